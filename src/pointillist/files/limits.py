"""Limits on how much memory a small file may unpack to."""

from pathlib import Path

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
