"""Rows of numbers and tables: reading, writing, scaling and encoding them, and the named point sets."""

from pointillist.arguments import LARGEST_INTEGER
from pointillist.points.columns import LabelColumn, Table
from pointillist.points.csv_form import CsvForm
from pointillist.points.endings import READABLE
from pointillist.points.labels import LONGEST_LABEL
from pointillist.points.mixed import Cells, MixedTable
from pointillist.points.mixed_files import read_mixed
from pointillist.points.pointsets import POINTSETS, PointSet, load_pointset, true_class_probabilities, true_log_density
from pointillist.points.scaling import AffineScaling, QuantileScaling, Scaling, blocks, column_range, rows_at
from pointillist.points.table_scaling import SCALINGS, TableScaling
from pointillist.points.tables import read_any, read_table
from pointillist.points.writing import TableWriter

__all__ = [
    "LARGEST_INTEGER",
    "LONGEST_LABEL",
    "POINTSETS",
    "READABLE",
    "SCALINGS",
    "AffineScaling",
    "Cells",
    "CsvForm",
    "LabelColumn",
    "MixedTable",
    "PointSet",
    "QuantileScaling",
    "Scaling",
    "Table",
    "TableScaling",
    "TableWriter",
    "blocks",
    "column_range",
    "load_pointset",
    "read_any",
    "read_mixed",
    "read_table",
    "rows_at",
    "true_class_probabilities",
    "true_log_density",
]
