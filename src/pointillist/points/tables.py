"""Rows from files: `.npy`, `.csv`, `.csv.gz` and `.parquet`, checked, with one clear line for whatever is wrong."""

from pathlib import Path

from pointillist.files import check_regular, naming
from pointillist.points.columns import Table
from pointillist.points.csv_files import read_csv
from pointillist.points.npy_files import read_npy
from pointillist.points.parquet_files import read_parquet

READABLE = (".npy", ".csv", ".csv.gz", ".parquet")
"""Endings of the files that `read_table` reads and `TableWriter` writes."""


def ending_of(path: Path) -> str:
    """The one of `READABLE` that the file's name ends in.

    Raises:
        ValueError: If there is none.
    """
    for ending in READABLE:
        if path.name.endswith(ending):
            return ending
    raise ValueError(f"{path}: the file's name must end in one of {', '.join(READABLE)}")


def read_table(path: str | Path, label: str | None = None, *, min_rows: int = 2) -> Table:
    """Reads a table of numbers in one pass.

    A `.npy` file holds an array of two dimensions, or of three: (n, tokens, width), which is flattened to
    (n, tokens x width). A `.csv` file, compressed or not, is UTF-8 text with a header line and numbers, or true and
    false, below it; white space around names and values is dropped, and so are empty lines, but those between the
    values of a single column, which are missing values. Names are not all numbers, unless they are 0, 1, 2, …: a file
    without a header is refused. A column is of integers only if the whole file writes all its values so. The columns
    of a `.parquet` file are numbers, or true and false.
    Nothing in a file is executed: arrays of Python objects are refused.

    Rows of more than `SPOOL_ABOVE` bytes are not held in memory but mapped from a temporary file, and those of a
    float64 `.npy` file from that file, which must then stay as it is while they are in use.

    Args:
        path: The file.
        label: The column that holds labels: numbers, true and false, or text. Its name; for a `.npy` file its number,
            from 0, or from -1 backwards. Labels of a `.csv` file are text if one of them is written as no number is,
            such as 007; "NA" in quotes is text too.
        min_rows: The fewest rows that will do.

    Returns:
        The rows without the labels, and the labels.

    Raises:
        ValueError: In one line, if the file cannot be read as such a table. Rows are counted from 1.
        OSError: If the file cannot be opened, or the temporary file cannot be written.
    """
    path = Path(path)
    ending = ending_of(path)
    check_regular(path)
    with naming(path):
        with path.open("rb") as file:
            empty = not file.read(1)
        if empty:
            raise ValueError(f"{path}: the file is empty")
        read = {".npy": read_npy, ".csv": read_csv, ".csv.gz": read_csv, ".parquet": read_parquet}[ending]
        return read(path, label, min_rows)
