"""Gathers blocks of rows, in memory or, if there are many, in a temporary file."""

from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO

import numpy as np
from jaxtyping import Float

from pointillist.atomic_files import naming

SPOOL_ABOVE = 2**28
"""Number of bytes above which rows are written to a temporary file."""


class Spool:
    """Gathers blocks of rows; takes memory of at most a few times `SPOOL_ABOVE`.

    Args:
        width: Number of columns.
    """

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
