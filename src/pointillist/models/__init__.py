"""Fitted models of rows: a codec, a process and weights. The command line and studies use them without scikit-learn."""

from typing import TYPE_CHECKING

from pointillist.lazy import attach

if TYPE_CHECKING:
    from pointillist.models.configuration import Configuration
    from pointillist.models.fitting import prepare
    from pointillist.models.request import Request
    from pointillist.models.row_model import RowModel
    from pointillist.models.saving import load_model, save_model

__getattr__, __dir__ = attach(
    __name__,
    {
        ".configuration": ["Configuration"],
        ".fitting": ["prepare"],
        ".request": ["Request"],
        ".row_model": ["RowModel"],
        ".saving": ["load_model", "save_model"],
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
