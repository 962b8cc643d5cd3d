"""Encodes columns as the tokens and numbers that a network sees, and decodes them."""

from pointillist.columns.scaling import AffineScaling, QuantileScaling, Scaling
from pointillist.columns.table_scaling import SCALINGS, TableScaling

__all__ = [
    "SCALINGS",
    "AffineScaling",
    "QuantileScaling",
    "Scaling",
    "TableScaling",
]
