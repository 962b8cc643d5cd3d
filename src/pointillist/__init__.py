"""Diffusion models for rows of numbers: fit them side by side, sample them, measure how good they are."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist import metrics
    from pointillist.estimators import Diffusion, DiffusionClassifier, DiffusionImputer, DiffusionRegressor
    from pointillist.evaluation import evaluate
    from pointillist.points import load_pointset
    from pointillist.points.conditions import between, missing, one_of, present
    from pointillist.privacy import audit

__version__ = "0.1.0"
"""The version of the library."""

# So that `pointillist --help` pays for no numerical library.
__getattr__ = getter(
    __name__,
    {
        "Diffusion": "pointillist.estimators",
        "DiffusionClassifier": "pointillist.estimators",
        "DiffusionImputer": "pointillist.estimators",
        "DiffusionRegressor": "pointillist.estimators",
        "audit": "pointillist.privacy",
        "between": "pointillist.points.conditions",
        "evaluate": "pointillist.evaluation",
        "load_pointset": "pointillist.points",
        "metrics": "pointillist.metrics",
        "missing": "pointillist.points.conditions",
        "one_of": "pointillist.points.conditions",
        "present": "pointillist.points.conditions",
    },
)

__all__ = [
    "Diffusion",
    "DiffusionClassifier",
    "DiffusionImputer",
    "DiffusionRegressor",
    "__version__",
    "audit",
    "between",
    "evaluate",
    "load_pointset",
    "metrics",
    "missing",
    "one_of",
    "present",
]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
