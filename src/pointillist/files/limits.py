"""Limits on how much memory a small file may unpack to."""

from pathlib import Path
from typing import Any

FREE = 2**29
"""Number of bytes that any file may unpack to."""

MOST = 100
"""Largest multiple of its own size that a file may unpack to beyond `FREE`; packed text is 3 to 20 times smaller."""


def check_expansion(path: Path, size: int, packed: int, way_out: str) -> None:
    """Raises a ValueError if a file unpacks to much more than its own size.

    Args:
        path: The file.
        size: Number of bytes that it unpacks to.
        packed: Its own size in bytes.
        way_out: What to do if the file is an ordinary table all the same.
    """
    if size > FREE and size > MOST * packed:
        raise ValueError(
            f"{path}: unpacks to {size / max(1, packed):,.0f} times its size of {packed:,} bytes, which no ordinary "
            f"table does: {way_out}"
        )


def check_parquet(path: Path, metadata: Any) -> None:
    """Does what `check_expansion` does by the metadata of a Parquet file; a cell takes 8 bytes."""
    cells = 8 * metadata.num_rows * metadata.num_columns
    pages = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    check_unpacked(path, max(cells, pages))


def check_unpacked(path: Path, size: int) -> None:
    """Does what `check_expansion` does for the bytes that a Parquet file's cells take in memory."""
    check_expansion(path, size, path.stat().st_size, "write it as CSV first if it is one")
