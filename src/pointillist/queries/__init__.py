"""What a fitted model is asked: rows, conditional distributions, missing cells, and log-densities."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist.queries.conditional import Conditional
    from pointillist.queries.sampling import SamplingRun

__getattr__ = getter(
    __name__,
    {"Conditional": "pointillist.queries.conditional", "SamplingRun": "pointillist.queries.sampling"},
)

__all__ = ["Conditional", "SamplingRun"]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
