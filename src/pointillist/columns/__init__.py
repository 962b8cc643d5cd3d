"""Column encoders: they convert the cells of a table to tokens and numbers for a network, and back."""

from pointillist.columns.scaling import AffineScaling, QuantileScaling, Scaling
from pointillist.columns.table_scaling import SCALINGS, TableScaling

__all__ = [
    "SCALINGS",
    "AffineScaling",
    "QuantileScaling",
    "Scaling",
    "TableScaling",
]
