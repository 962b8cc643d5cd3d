"""Rows that come in blocks, gathered in memory while they are few and in a temporary file once they are many."""

from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

import numpy as np
from jaxtyping import Float

from pointillist.atomic_files import naming

SPOOL_ABOVE = 2**28
"""Number of bytes beyond which rows go to a temporary file."""


class Spool:
    """Gathers blocks of rows; memory stays below a few times `SPOOL_ABOVE`, however many rows there are.

    Args:
        width: Number of columns.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._blocks: list[np.ndarray] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def append(self, block: Float[np.ndarray, "m d"]) -> None:
        """Adds rows, shape (m, d), in C order. The block is kept: the caller must not change it afterwards."""
        self._blocks.append(block)
        self._bytes += block.nbytes
        if self._bytes > SPOOL_ABOVE:
            with naming(Path(gettempdir())):
                # Without a name, so that the system frees it however the process ends.
                self._file = self._file or TemporaryFile()  # noqa: SIM115, closed by `rows`
                for kept in self._blocks:
                    self._file.write(kept.data)
            self._blocks.clear()

    def rows(self) -> Float[np.ndarray, "n d"]:
        """All rows, shape (n, d), float64 and read-only: in memory, or mapped from the temporary file."""
        if self._file is None:
            rows = np.concatenate([np.empty((0, self._width)), *self._blocks])
            rows.setflags(write=False)
            return rows
        with self._file as file:
            with naming(Path(gettempdir())):
                file.flush()
            # The mapping keeps the file's space after the file is closed.
            return np.memmap(file, np.float64, "r", shape=(self._bytes // (8 * self._width), self._width))
