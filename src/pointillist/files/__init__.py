"""Reads and writes tables as files, one module per format."""

from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import READABLE
from pointillist.files.reading import read_numbers, read_table
from pointillist.files.writing import TableWriter

__all__ = ["READABLE", "CsvForm", "TableWriter", "read_numbers", "read_table"]
