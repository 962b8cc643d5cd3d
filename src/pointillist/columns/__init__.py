"""Column encoders: they convert the cells of a table to tokens and numbers for a network, and back."""

from pointillist.columns.scaling import SCALINGS, AffineScaling, TableScaling

__all__ = ["SCALINGS", "AffineScaling", "TableScaling"]
