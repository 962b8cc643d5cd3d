"""Diffusion models as scikit-learn estimators: rows go in and come out in the user's units, and seeds are integers."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist.estimators.classifier import DiffusionClassifier
    from pointillist.estimators.estimator import Diffusion
    from pointillist.estimators.imputer import DiffusionImputer
    from pointillist.estimators.regressor import DiffusionRegressor
    from pointillist.models.configuration import REPORT

# The command line has models without scikit-learn, and does not wait for its import.
__getattr__ = getter(
    __name__,
    {
        "Diffusion": "pointillist.estimators.estimator",
        "DiffusionClassifier": "pointillist.estimators.classifier",
        "DiffusionImputer": "pointillist.estimators.imputer",
        "DiffusionRegressor": "pointillist.estimators.regressor",
        "REPORT": "pointillist.models.configuration",
    },
)

__all__ = ["REPORT", "Diffusion", "DiffusionClassifier", "DiffusionImputer", "DiffusionRegressor"]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
