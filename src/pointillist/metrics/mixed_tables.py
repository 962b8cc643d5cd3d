"""Tables of numbers, categories and missing cells: their checks, their encoding as matrices, and distances of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pointillist.lazy import distance
from pointillist.metrics.checks import Table
from pointillist.metrics.distances import Rows
from pointillist.metrics.inputs import columns_of
from pointillist.tables.names import is_frame

TableLike = Any
"""A table: a data frame, columns by name, or an array of shape `(n, d)`, whose columns are "0" … "d - 1"."""

REACH = 0.5
"""Distance beyond the range of the real rows at which numbers are clipped, as a fraction of that range. With one half,
a point at distance 1 from all numbers exists (see `_of_tables`)."""

TILE_CELLS = 2**20
"""Number of distances that are in memory at once, some 10 MB."""


def check_tables(min_rows: int = 2, /, **sides: TableLike) -> list[Table]:
    """Check tables, by the caller's names for them, that are to be compared, the reference first.

    Arrays and data frames become columns by name (see `columns_of`). A ValueError says if a table has no column,
    columns of different lengths, or fewer rows than `min_rows`; if a column is neither float64 nor object, has an
    infinity, or holds objects other than str and None; or if columns differ between tables, in name or in kind.
    """
    others = {name: side for name, side in sides.items() if not isinstance(side, Mapping)}
    tables = sides | (columns_of(others) if others else {})
    reference, first = next(iter(tables.items()))
    for side, table in tables.items():
        _check_table(side, table, min_rows)
        for has, lacks in ((reference, side), (side, reference)):
            missing = [name for name in tables[has] if name not in tables[lacks]]
            if missing:
                raise ValueError(f"{lacks} has no column {missing[0]!r}, which {has} has: pass the same columns")
        for name, column in first.items():
            kinds = ["categories" if each.dtype == object else "numbers" for each in (table[name], column)]
            if kinds[0] != kinds[1]:
                where = f"{kinds[0]} in {side} but {kinds[1]} in {reference}"
                raise ValueError(f"column {name!r} holds {where}: make them of one kind")
    return [*tables.values()]


def encode(*tables: Table, max_categories: int | None = None) -> tuple[list[Rows], NDArray[np.bool_]]:
    """Encode tables as matrices: numbers unchanged, categories by their alphabetical order, NaN where missing.

    A category has the same code in all tables. With `max_categories`, the rarest categories over all tables share one
    code. Each matrix has the first table's order of columns. Also return which columns are categories, shape `(d,)`.
    """
    names = list(tables[0])
    matrices = [np.empty((count_rows(table), len(names))) for table in tables]
    is_category = np.array([tables[0][name].dtype == object for name in names])
    for j, name in enumerate(names):
        columns = [table[name] for table in tables]
        if is_category[j]:
            columns = _encode_categories(columns, max_categories)
        for matrix, column in zip(matrices, columns, strict=True):
            matrix[:, j] = column
    return matrices, is_category


def count_rows(table: Table) -> int:
    """Return the number of rows of a table that has columns."""
    return len(next(iter(table.values())))


def _check_table(side: str, table: Table, min_rows: int) -> None:
    if not table:
        raise ValueError(f"{side} has no columns: pass at least one")
    lengths = {name: np.shape(column) for name, column in table.items()}
    for name, column in table.items():
        where = f"column {name!r} of {side}"
        if lengths[name] != next(iter(lengths.values())) or len(lengths[name]) != 1:
            raise ValueError(f"{where} has shape {lengths[name]}: pass arrays of one dimension and one length")
        if column.dtype == object:
            wrong = [i for i, cell in enumerate(column) if not (cell is None or isinstance(cell, str))]
            advice = "pass str for categories and None where missing"
        elif column.dtype == np.float64:
            wrong = np.flatnonzero(np.isinf(column)).tolist()
            advice = "pass NaN for missing numbers, and drop such rows"
        else:
            raise ValueError(f"{where} is {column.dtype}: pass float64 for numbers and object for categories")
        if wrong:
            raise ValueError(f"{where} holds {column[wrong[0]]!r} in row {wrong[0]}: {advice}")
    if count_rows(table) < min_rows:
        raise ValueError(f"{side} has {count_rows(table)} row(s) but needs at least {min_rows}: pass more rows")


def _encode_categories(columns: list[NDArray[Any]], max_categories: int | None) -> list[Rows]:
    counts: Counter[str] = Counter()
    for column in columns:
        counts.update(column.tolist())
    counts.pop(None, None)  # type: ignore[call-overload]
    kept = sorted(counts)
    if max_categories is not None and len(kept) > max_categories:
        kept = sorted(sorted(kept, key=lambda category: -counts[category])[: max_categories - 1])
    codes: dict[str | None, float] = dict.fromkeys(counts, float(len(kept)))
    codes.update({category: float(code) for code, category in enumerate(kept)})
    codes[None] = float("nan")
    return [np.array([codes[cell] for cell in column.tolist()], np.float64) for column in columns]


@dataclass(frozen=True)
class Points:
    """Rows as points: their distance is the distance of `numbers` plus the number of `codes` that differ."""

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
        distances = np.zeros((len(self), len(others)))
        if self.numbers.shape[1]:
            distances += distance.cdist(self.numbers, others.numbers, self.kind)
        if n_codes := self.codes.shape[1]:
            distances += n_codes * distance.cdist(self.codes, others.codes, "hamming")
        return distances

    def nearest(self, records: Points) -> tuple[Rows, NDArray[np.int64]]:
        """Return the distance of each point to its nearest record, and the index of that record."""
        distances, indices = np.empty(len(self)), np.empty(len(self), np.int64)
        n_rows = max(1, TILE_CELLS // len(records))
        for top in range(0, len(self), n_rows):
            rows = slice(top, top + n_rows)
            tile = self.take(rows).distances(records)
            distances[rows], indices[rows] = tile.min(axis=1), tile.argmin(axis=1)
        return distances, indices


def points_of(**sides: TableLike) -> list[Points]:
    """Make points of all sides, the real one first; see `check_tables` for the ValueError.

    The distance is Euclidean between arrays without missing cells, and a sum over columns between other tables (Gower
    1971). Two numbers add their
    difference, divided by the first table's range; numbers are clipped half that range beyond its ends. Two
    categories add 0 if equal and 1 otherwise, as do missing cells.
    """
    matrices, is_category = encode(*check_tables(**sides))
    is_table = any(isinstance(side, Mapping) or is_frame(side) for side in sides.values())
    if is_table or is_category.any() or any(np.isnan(rows).any() for rows in matrices):
        return _of_tables(matrices, is_category)
    return [Points(rows, np.empty((len(rows), 0)), "euclidean") for rows in matrices]


def _of_tables(matrices: list[Rows], is_category: NDArray[np.bool_]) -> list[Points]:
    """Scale numbers by the range of the first table.

    A number x of a column with missing cells becomes (x, −x) / 2, and a missing cell becomes the point at distance 1
    from all numbers with −REACH ≤ x ≤ 1 + REACH, which exists because they are at most 2 apart.
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
