"""Diffusion models for rows of numbers: fit them side by side, sample them, measure how good they are."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist import metrics
    from pointillist.estimators import Diffusion, DiffusionClassifier, DiffusionRegressor
    from pointillist.evaluation import evaluate
    from pointillist.points import load_pointset
    from pointillist.privacy import audit

__version__ = "0.1.0"
"""The version of the library."""

# So that `pointillist --help` pays for no numerical library.
__getattr__ = getter(
    __name__,
    {
        "Diffusion": "pointillist.estimators",
        "DiffusionClassifier": "pointillist.estimators",
        "DiffusionRegressor": "pointillist.estimators",
        "audit": "pointillist.privacy",
        "evaluate": "pointillist.evaluation",
        "load_pointset": "pointillist.points",
        "metrics": "pointillist.metrics",
    },
)

__all__ = [
    "Diffusion",
    "DiffusionClassifier",
    "DiffusionRegressor",
    "__version__",
    "audit",
    "evaluate",
    "load_pointset",
    "metrics",
]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
