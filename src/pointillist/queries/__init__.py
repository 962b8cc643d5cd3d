"""Queries to a fitted model: samples, conditional distributions, imputation and log-densities."""

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
