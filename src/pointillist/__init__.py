"""Diffusion models for rows of numbers: fit them side by side, sample them, measure how good they are."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist import metrics
    from pointillist.datasets.pointsets import load_pointset
    from pointillist.estimators.classifier import DiffusionClassifier
    from pointillist.estimators.estimator import Diffusion, load
    from pointillist.estimators.imputer import DiffusionImputer
    from pointillist.estimators.regressor import DiffusionRegressor
    from pointillist.evaluation import evaluate
    from pointillist.privacy import audit
    from pointillist.tables.conditions import between, missing, one_of, present

__version__ = "0.1.0"
"""The version of the library."""

# So that `pointillist --help` pays for no numerical library.
__getattr__ = getter(
    __name__,
    {
        "Diffusion": "pointillist.estimators.estimator",
        "DiffusionClassifier": "pointillist.estimators.classifier",
        "DiffusionImputer": "pointillist.estimators.imputer",
        "DiffusionRegressor": "pointillist.estimators.regressor",
        "audit": "pointillist.privacy",
        "between": "pointillist.tables.conditions",
        "evaluate": "pointillist.evaluation",
        "load": "pointillist.estimators.estimator",
        "load_pointset": "pointillist.datasets",
        "metrics": "pointillist.metrics",
        "missing": "pointillist.tables.conditions",
        "one_of": "pointillist.tables.conditions",
        "present": "pointillist.tables.conditions",
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
    "load",
    "load_pointset",
    "metrics",
    "missing",
    "one_of",
    "present",
]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
