"""Diffusion models as scikit-learn has estimators: arrays in the user's units in and out, integer seeds."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist.estimators.classifier import DiffusionClassifier
    from pointillist.estimators.estimator import Diffusion
    from pointillist.estimators.parameters import REPORT

# So that the command line, which has models without scikit-learn, does not wait for it.
__getattr__ = getter(
    __name__,
    {
        "Diffusion": "pointillist.estimators.estimator",
        "DiffusionClassifier": "pointillist.estimators.classifier",
        "REPORT": "pointillist.estimators.parameters",
    },
)

__all__ = ["REPORT", "Diffusion", "DiffusionClassifier"]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
