"""Rows of any columns as points: distances between them, and the nearest records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics.distances import Rows
from pointillist.metrics.mixed_tables import TableLike, check_tables, encode

REACH = 0.5
"""Distance beyond the range of the real rows at which numbers are clipped, as a fraction of that range. With one half,
a point at distance 1 from all numbers exists (see `_of_tables`)."""

TILE_ROWS, TILE_RECORDS = 256, 4096
"""Rows and records of a tile of distances, some 10 MB."""


@dataclass(frozen=True)
class Points:
    """Rows whose distance is that of their `numbers` plus the number of their `codes` that differ."""

    numbers: Rows
    codes: Rows
    kind: Literal["euclidean", "cityblock"]

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: NDArray[np.integer] | slice) -> Points:
        """Select points by their indices."""
        return replace(self, numbers=self.numbers[index], codes=self.codes[index])

    def distances(self, others: Points) -> Rows:
        """Return the distances to other points, shape `(points, others)`."""
        from scipy.spatial.distance import cdist

        distances = np.zeros((len(self), len(others)))
        if self.numbers.shape[1]:
            distances += cdist(self.numbers, others.numbers, self.kind)
        if n_codes := self.codes.shape[1]:
            distances += n_codes * cdist(self.codes, others.codes, "hamming")
        return distances

    def nearest(self, records: Points) -> tuple[Rows, NDArray[np.int64]]:
        """Return the distance of each point to its nearest record, and the index of that record."""
        distances, indices = np.full(len(self), np.inf), np.zeros(len(self), np.int64)
        for top in range(0, len(self), TILE_ROWS):
            rows = slice(top, min(top + TILE_ROWS, len(self)))
            for left in range(0, len(records), TILE_RECORDS):
                tile = self.take(rows).distances(records.take(slice(left, left + TILE_RECORDS)))
                index = tile.argmin(axis=1)
                closest = tile[np.arange(len(tile)), index]
                nearer = closest < distances[rows]
                indices[rows] = np.where(nearer, left + index, indices[rows])
                distances[rows] = np.where(nearer, closest, distances[rows])
        return distances, indices


def points_of(**sides: TableLike) -> list[Points]:
    """Make points of all sides, the real one first; see `check_tables` for the ValueError.

    The distance is Euclidean between arrays, and a sum over columns between tables (Gower 1971). Two numbers add their
    difference, divided by the first table's range; a number more than half that range outside it counts as half the
    range outside. Two categories add 0 if equal and 1 otherwise, as do missing cells.
    """
    matrices, is_category = encode(*check_tables(**sides))
    if any(isinstance(side, Mapping) for side in sides.values()):
        return _of_tables(matrices, is_category)
    return [Points(rows, np.empty((len(rows), 0)), "euclidean") for rows in matrices]


def _of_tables(matrices: list[Rows], is_category: NDArray[np.bool_]) -> list[Points]:
    """Scale numbers by the range of the first table.

    A number x of a column with missing cells becomes (x, −x) / 2, and a missing cell the point that is at distance 1
    from all of those with −REACH ≤ x ≤ 1 + REACH, which exists as long as they are no farther apart than 2.
    """
    parts: list[list[Rows]] = [[np.empty((len(side), 0))] for side in matrices]
    for j in np.flatnonzero(~is_category):
        known = matrices[0][~np.isnan(matrices[0][:, j]), j]
        low, width = (known.min(), np.ptp(known) or 1.0) if len(known) else (0.0, 1.0)
        scaled = [np.clip((side[:, [j]] - low) / width, -REACH, 1 + REACH) for side in matrices]
        if any(np.isnan(side).any() for side in scaled):
            scaled = [
                np.where(np.isnan(side), np.array([-REACH, -1 - REACH]) / 2, np.hstack([side, -side]) / 2)
                for side in scaled
            ]
        for part, side in zip(parts, scaled, strict=True):
            part.append(side)
    codes = [np.nan_to_num(side[:, is_category], nan=-1.0) for side in matrices]
    return [Points(np.hstack(part), each, "cityblock") for part, each in zip(parts, codes, strict=True)]
