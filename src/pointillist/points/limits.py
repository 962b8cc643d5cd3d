"""What a small file may become in memory."""

from pathlib import Path
from typing import Any

FREE = 2**29
"""Bytes that any file may unpack to."""

MOST = 100
"""How many times its own size a larger one may: tables of text become 3 to 20 times smaller when they are packed."""


def check_expansion(path: Path, size: int, packed: int, way_out: str) -> None:
    """Raises a ValueError if a file becomes much larger than it is.

    Args:
        path: The file.
        size: Bytes that it becomes.
        packed: Its own size in bytes.
        way_out: What to do if it is a table all the same.
    """
    if size > FREE and size > MOST * packed:
        raise ValueError(
            f"{path}: holds {size / max(1, packed):,.0f} times its size of {packed:,} bytes, as no ordinary table "
            f"does: {way_out}"
        )


def check_parquet(path: Path, metadata: Any) -> None:
    """Refuses what `check_expansion` does, by the metadata of a Parquet file; a cell takes 8 bytes."""
    cells = 8 * metadata.num_rows * metadata.num_columns
    pages = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    check_expansion(path, max(cells, pages), path.stat().st_size, "write it as CSV first, if it is meant")
