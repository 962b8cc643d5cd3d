"""Diffusion models as scikit-learn has estimators: arrays in the user's units in and out, integer seeds."""

from pointillist.estimators.classifier import DiffusionClassifier
from pointillist.estimators.model import Diffusion
from pointillist.estimators.parameters import REPORT

__all__ = ["REPORT", "Diffusion", "DiffusionClassifier"]
