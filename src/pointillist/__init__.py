"""Diffusion models for rows of numbers: fit them side by side, sample them, measure how good they are."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointillist import metrics
    from pointillist.estimators import Diffusion, DiffusionClassifier
    from pointillist.points import load_pointset

__version__ = "0.1.0"
"""The version of the library."""

_PUBLIC = {
    "Diffusion": "pointillist.estimators",
    "DiffusionClassifier": "pointillist.estimators",
    "load_pointset": "pointillist.points",
    "metrics": "pointillist.metrics",
}

__all__ = ["Diffusion", "DiffusionClassifier", "__version__", "load_pointset", "metrics"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `pointillist --help` pays for no numerical library.
    if name not in _PUBLIC:
        raise AttributeError(f"module 'pointillist' has no attribute {name!r}")
    module = import_module(_PUBLIC[name])
    return module if module.__name__.endswith(f".{name}") else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
