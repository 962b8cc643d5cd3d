"""Distances between all pairs of rows, one tile at a time: memory is bounded whatever the number of rows."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pointillist.lazy import distance

Rows = NDArray[np.float64]

TILE_BYTES = 2**20
"""Size of a tile of distances, which stays in the second-level cache between the passes over it."""


def tiles(
    A: Rows, B: Rows, kind: Literal["euclidean", "sqeuclidean"], *, upper: bool = False
) -> Iterator[tuple[slice, slice, Rows]]:
    """Yield the `(n, m)` distances between the rows of A and B in tiles: rows of A, rows of B, and their distances.

    The next step overwrites the distances. With `upper`, for A = B, the tiles below the diagonal are left out: the
    columns of a tile start where its rows start.
    """
    n, m = len(A), len(B)
    cells = max(1, TILE_BYTES // 8)
    width = min(m, max(1, cells // 64))
    height = max(1, cells // width)
    buffer = np.empty(width * height)
    for top in range(0, n, height):
        rows = slice(top, min(top + height, n))
        for left in range(top if upper else 0, m, width):
            columns = slice(left, min(left + width, m))
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            out = buffer[: shape[0] * shape[1]].reshape(shape)
            distance.cdist(A[rows], B[columns], kind, out=out)
            yield rows, columns, out


def sums_between(A: Rows, B: Rows) -> tuple[Rows, Rows]:
    """Sum the Euclidean distances of each row of A to all of B, shape `(n,)`, and of each of B to A, shape `(m,)`."""
    sums_A, sums_B = np.zeros(len(A)), np.zeros(len(B))
    for rows, columns, tile in tiles(A, B, "euclidean"):
        sums_A[rows] += tile.sum(axis=1)
        sums_B[columns] += tile.sum(axis=0)
    return sums_A, sums_B


def sums_within(A: Rows) -> Rows:
    """Sum the Euclidean distances of each row of A to the other rows of A, each pair computed about once."""
    sums = np.zeros(len(A))
    for rows, columns, tile in tiles(A, A, "euclidean", upper=True):
        sums[rows] += tile.sum(axis=1)
        beyond = max(columns.start, rows.stop)  # left of here the mirrored pair is in this band too
        if beyond < columns.stop:
            sums[beyond : columns.stop] += tile[:, beyond - columns.start :].sum(axis=0)
    return sums
