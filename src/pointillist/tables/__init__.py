"""Tables of columns of any kind: arrays and data frames in and out, column names, missing cells, conditions."""

from pointillist.tables.numbers import LONGEST_LABEL, LabelColumn, Numbers, blocks, column_range, rows_at
from pointillist.tables.row_sampling import RowLimit
from pointillist.tables.table import Column, Table

__all__ = [
    "LONGEST_LABEL",
    "Column",
    "LabelColumn",
    "Numbers",
    "RowLimit",
    "Table",
    "blocks",
    "column_range",
    "rows_at",
]
