"""Fitted models of rows: a codec, a process and weights. The command line and studies use them without scikit-learn."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist.models.configuration import Configuration
    from pointillist.models.fitting import prepare
    from pointillist.models.request import Request
    from pointillist.models.row_model import RowModel
    from pointillist.models.saving import load_model, save_model

__getattr__ = getter(
    __name__,
    {
        "Configuration": "pointillist.models.configuration",
        "Request": "pointillist.models.request",
        "RowModel": "pointillist.models.row_model",
        "load_model": "pointillist.models.saving",
        "prepare": "pointillist.models.fitting",
        "save_model": "pointillist.models.saving",
    },
)

__all__ = [
    "Configuration",
    "Request",
    "RowModel",
    "load_model",
    "prepare",
    "save_model",
]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
