"""Diffusion models as scikit-learn estimators: rows go in and come out in the user's units, and seeds are integers."""

from pointillist.models.configuration import REPORT

__all__ = ["REPORT"]
