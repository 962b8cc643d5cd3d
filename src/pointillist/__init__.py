"""Diffusion models for rows of numbers: fit them side by side, sample them, measure how good they are."""

from typing import TYPE_CHECKING

from pointillist.lazy import attach

if TYPE_CHECKING:
    from pointillist import metrics, rules
    from pointillist.datasets.pointsets import load_pointset
    from pointillist.estimators.classifier import DiffusionClassifier
    from pointillist.estimators.estimator import Diffusion, load
    from pointillist.estimators.imputer import DiffusionImputer
    from pointillist.estimators.regressor import DiffusionRegressor
    from pointillist.estimators.relational import RelationalDiffusion
    from pointillist.evaluation import evaluate
    from pointillist.privacy.auditing import audit
    from pointillist.tables.conditions import between, missing, one_of, present

__version__ = "0.1.0"
"""The version of the library."""

# So that `pointillist --help` pays for no numerical library.
__getattr__, __dir__ = attach(
    __name__,
    {
        ".datasets": ["load_pointset"],
        ".estimators.classifier": ["DiffusionClassifier"],
        ".estimators.estimator": ["Diffusion", "load"],
        ".estimators.imputer": ["DiffusionImputer"],
        ".estimators.regressor": ["DiffusionRegressor"],
        ".estimators.relational": ["RelationalDiffusion"],
        ".evaluation": ["evaluate"],
        ".metrics": ["metrics"],
        ".privacy.auditing": ["audit"],
        ".rules": ["rules"],
        ".tables.conditions": ["between", "missing", "one_of", "present"],
    },
)

__all__ = [
    "Diffusion",
    "DiffusionClassifier",
    "DiffusionImputer",
    "DiffusionRegressor",
    "RelationalDiffusion",
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
    "rules",
]
