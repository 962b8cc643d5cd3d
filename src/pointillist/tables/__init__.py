"""Tables of columns of any kind: arrays and data frames in and out, column names, missing cells, conditions."""

from pointillist.tables.labels import LONGEST_LABEL
from pointillist.tables.number_table import LabelColumn, Table
from pointillist.tables.row_blocks import blocks, column_range, rows_at
from pointillist.tables.table import Column, MixedTable

__all__ = [
    "LONGEST_LABEL",
    "Column",
    "LabelColumn",
    "MixedTable",
    "Table",
    "blocks",
    "column_range",
    "rows_at",
]
