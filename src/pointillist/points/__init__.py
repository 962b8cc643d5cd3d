"""Rows of numbers: where they come from and how their columns are scaled."""

from pointillist.points.pointsets import POINTSETS, PointSet, load_pointset, true_class_probabilities
from pointillist.points.scaling import MinMaxScaling
from pointillist.points.tables import read_rows

__all__ = ["POINTSETS", "MinMaxScaling", "PointSet", "load_pointset", "read_rows", "true_class_probabilities"]
