"""Tables of numbers, whose rows are in memory or mapped from a file."""

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.atomic_files import naming

LONGEST_LABEL = 200
"""Largest number of characters of a label; in a NumPy array, every label takes the space of the longest."""

SPOOL_ABOVE = 2**28
"""Number of bytes above which rows are written to a temporary file."""

_BLOCK_VALUES = 2**20
_AT_ONCE = 1024
"""Number of rows that are read before memory is freed; for each row, the system often maps 64 kB around it."""


@dataclass(frozen=True)
class LabelColumn:
    """The column of a table that holds labels.

    Attributes:
        name: Name of the column, or its index if the table has no names.
        position: Its index among all columns of the table, from 0.
        values: int64, bool, finite float64 or text, shape (n,).
    """

    name: str
    position: int
    values: np.ndarray


@dataclass(frozen=True)
class Numbers:
    """Rows of numbers, with the names and types of their columns in the file.

    Attributes:
        rows: Rows without the label column, shape (n, d) with n and d at least 1; float64, finite, read-only. A large
            table is mapped from a file.
        names: Names of the d columns; None if the file has none.
        types: NumPy's names of the types of the d columns: "int64", "uint8", "float32", "bool", …
        label: The label column, if there is one.
    """

    rows: Float[np.ndarray, "n d"]
    names: tuple[str, ...] | None
    types: tuple[str, ...]
    label: LabelColumn | None = None


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


def spread_indices(n: int, most: int) -> Int[np.ndarray, " m"]:
    """Returns at most `most` evenly spread indices of n rows."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)


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


class Spool:
    """Gathers blocks of rows of some width; takes memory of at most a few times `SPOOL_ABOVE`."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._blocks: list[np.ndarray] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, block: Float[np.ndarray, "m d"]) -> None:
        """Adds rows in C order. The caller must not change the block afterwards."""
        self._blocks.append(block)
        self._bytes += block.nbytes
        if self._bytes > SPOOL_ABOVE:
            with naming(Path(gettempdir())):
                # The system frees a file without a name however the process ends.
                self._file = self._file or TemporaryFile()  # noqa: SIM115, closed by `rows`
                for kept in self._blocks:
                    self._file.write(kept.data)
            self._blocks.clear()

    def rows(self) -> Float[np.ndarray, "n d"]:
        """Returns all rows as float64, read-only: in memory, or mapped from the temporary file."""
        if self._file is None:
            rows = np.concatenate([np.empty((0, self._width)), *self._blocks])
            rows.setflags(write=False)
            return rows
        with self._file as file:
            with naming(Path(gettempdir())):
                file.flush()
            # The mapping keeps the file's space after the file is closed.
            return np.memmap(file, np.float64, "r", shape=(self._bytes // (8 * self._width), self._width))
