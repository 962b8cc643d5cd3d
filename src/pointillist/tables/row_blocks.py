"""Reads rows that may be mapped from a file block by block, and frees their memory."""

import math
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int

_BLOCK_VALUES = 2**20
_AT_ONCE = 1024
"""Number of rows that are read before memory is freed; for each row, the system often maps 64 kB around it."""


def blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Yields views of consecutive rows, of a table that may be larger than memory."""
    step = max(1, _BLOCK_VALUES // max(1, math.prod(rows.shape[1:])))
    for first in range(0, len(rows), step):
        yield rows[first : first + step]
        let_go(rows)


def rows_at(rows: np.ndarray, indices: Int[np.ndarray, " m"]) -> np.ndarray:
    """Returns `rows[indices]`; reads rows mapped from a file a few at a time."""
    if _map_of(rows) is None or len(indices) <= _AT_ONCE:
        taken = rows[indices]
        let_go(rows)
        return taken
    return np.concatenate([rows_at(rows, indices[i : i + _AT_ONCE]) for i in range(0, len(indices), _AT_ONCE)])


def let_go(rows: np.ndarray) -> None:
    """Frees the memory of rows that are a read-only map of a file; using them reads them again.

    The system would reclaim their memory when needed, but until then it counts as this process's.
    """
    found = _map_of(rows)
    if found is not None and hasattr(mmap, "MADV_DONTNEED"):
        found.madvise(mmap.MADV_DONTNEED)


def _map_of(rows: np.ndarray) -> Any:
    base: Any = rows
    while isinstance(base, np.ndarray):
        # Changes of a private map, of mode "c", would be lost.
        if isinstance(base, np.memmap) and base.mode == "r":
            return vars(base)["_mmap"]
        base = base.base
    return None


def column_range(rows: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Returns the lowest and the highest value of each column as float64."""
    low, high = np.full(rows.shape[1], np.inf), np.full(rows.shape[1], -np.inf)
    for block in blocks(rows):
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    return low, high
