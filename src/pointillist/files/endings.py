"""Endings of files that hold tables."""

from pathlib import Path

READABLE = (".npy", ".csv", ".csv.gz", ".parquet")
"""Endings of the files that `read_table` reads and `TableWriter` writes."""


def ending_of(path: Path) -> str:
    """The ending of the file's name, one of `READABLE`.

    Raises:
        ValueError: If the name has another ending.
    """
    for ending in READABLE:
        if path.name.endswith(ending):
            return ending
    raise ValueError(f"{path}: the file's name must end in one of {', '.join(READABLE)}")
