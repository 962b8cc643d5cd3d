"""Reads and writes tables as files, one module per format."""

from pointillist.files.csv_format import CsvForm
from pointillist.files.endings import READABLE
from pointillist.files.mixed_files import read_mixed
from pointillist.files.reading import read_any, read_table
from pointillist.files.writing import TableWriter

__all__ = [
    "READABLE",
    "CsvForm",
    "TableWriter",
    "read_any",
    "read_mixed",
    "read_table",
]
