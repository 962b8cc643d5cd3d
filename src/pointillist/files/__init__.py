"""Reads and writes tables as files, one module per format."""

from typing import TYPE_CHECKING

from pointillist.lazy import attach

if TYPE_CHECKING:
    from pointillist.files.csv_format import CsvForm
    from pointillist.files.formats import READABLE
    from pointillist.files.reading import read_numbers, read_table
    from pointillist.files.writing import TableWriter

# Importing the endings of files must not load any library.
__getattr__, __dir__ = attach(
    __name__,
    {
        ".csv_format": ["CsvForm"],
        ".formats": ["READABLE"],
        ".reading": ["read_numbers", "read_table"],
        ".writing": ["TableWriter"],
    },
)

__all__ = ["READABLE", "CsvForm", "TableWriter", "read_numbers", "read_table"]
