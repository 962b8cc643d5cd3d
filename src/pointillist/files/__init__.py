"""Reads and writes tables as files, one module per format."""

from typing import TYPE_CHECKING

from pointillist.lazy import getter

if TYPE_CHECKING:
    from pointillist.files.csv_format import CsvForm
    from pointillist.files.formats import READABLE
    from pointillist.files.reading import read_numbers, read_table
    from pointillist.files.writing import TableWriter

# So that the endings of files can be had without any library.
__getattr__ = getter(
    __name__,
    {
        "READABLE": "pointillist.files.formats",
        "CsvForm": "pointillist.files.csv_format",
        "TableWriter": "pointillist.files.writing",
        "read_numbers": "pointillist.files.reading",
        "read_table": "pointillist.files.reading",
    },
)

__all__ = ["READABLE", "CsvForm", "TableWriter", "read_numbers", "read_table"]
