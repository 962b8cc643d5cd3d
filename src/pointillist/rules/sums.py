"""Sums that the rows of a table obey: elapsed = air + taxi."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.encoder import ColumnEncoder
from pointillist.tables.table import Column

_NULL = 1e-9
_DENOMINATOR = 1000


def sums(
    columns: Sequence[Column], codes: Sequence[ColumnEncoder], places: Sequence[int], rows: Int[np.ndarray, " m"]
) -> Iterator[tuple[int, tuple[int, ...], tuple[float, ...], float]]:
    """Finds columns that are sums of others in every row in which no cell of theirs is missing.

    They are the null space of the columns, each with the last of its columns on the left, so that no two have the same
    one there.

    Args:
        columns: The columns of a table.
        codes: Their codes.
        places: Positions of the columns of numbers among which sums are looked for.
        rows: Some rows in which none of those is missing.

    Yields:
        For each, the column, its terms, their factors, and the constant.
    """
    values = np.stack([columns[place].values[rows].astype(float) for place in places], axis=1)
    with np.errstate(over="ignore"):
        middle, spread = values.mean(axis=0), values.std(axis=0)
    varies = (spread > 0) & np.isfinite(spread)
    own, middle, spread = [p for p, v in zip(places, varies, strict=True) if v], middle[varies], spread[varies]
    if len(own) < 2:
        return
    _, sizes, directions = np.linalg.svd((values[:, varies] - middle) / spread, full_matrices=False)
    null = _reduced(directions[sizes <= _NULL * sizes[0]] / spread)
    for row, pivot in null:
        terms = [i for i in np.flatnonzero(row) if i != pivot]
        factors = tuple(_simple(-row[i]) for i in terms)
        constant = _simple(middle[pivot] - float(np.dot(factors, middle[terms])))
        found = own[pivot], tuple(own[i] for i in terms), factors, constant
        if terms and _holds(*found, columns, codes[own[pivot]].grid.decimals):
            yield found


def _simple(number: float) -> float:
    """The nearest fraction of a small denominator, if it is very near."""
    scaled = number * np.arange(1, _DENOMINATOR + 1)
    near = np.flatnonzero(np.abs(scaled - np.round(scaled)) <= 1e-7 * np.maximum(1, np.abs(scaled)))
    return float(np.round(scaled[near[0]]) / (near[0] + 1)) if len(near) else float(number)


def _reduced(rows: Float[np.ndarray, "r d"]) -> list[tuple[Float[np.ndarray, " d"], int]]:
    """The rows in reduced echelon form, from the last column on, each with its pivot; 0 where nearly so."""
    rows = rows.copy()
    pivots: list[int] = []
    for column in reversed(range(rows.shape[1])):
        done = len(pivots)
        if done == len(rows):
            break
        best = done + int(np.abs(rows[done:, column]).argmax())
        if abs(rows[best, column]) <= 1e-6 * np.abs(rows[done:]).max():
            continue
        rows[[done, best]] = rows[[best, done]]
        rows[done] /= rows[done, column]
        for other in range(len(rows)):
            if other != done:
                rows[other] -= rows[other, column] * rows[done]
        pivots.append(column)
    rows[np.abs(rows) < 1e-7 * np.abs(rows).max(axis=1, initial=0, keepdims=True)] = 0
    return list(zip(rows, pivots, strict=False))


def _holds(
    column: int,
    terms: tuple[int, ...],
    factors: tuple[float, ...],
    constant: float,
    columns: Sequence[Column],
    decimals: int | None,
) -> bool:
    """Whether all rows without missing cells obey a sum, to the precision of its column."""
    places = (column, *terms)
    there = ~np.any([columns[place].is_missing for place in places], axis=0)
    own, *of_terms = (columns[place].values[there].astype(float) for place in places)
    total = np.stack(of_terms, axis=1) @ np.array(factors) + constant
    if decimals is not None and np.abs(own).max() < 2.0**52 / 10.0**decimals:
        return bool((np.abs(total - own) < 0.5 * 10.0**-decimals).all())
    return bool(np.allclose(total, own, rtol=1e-9, atol=1e-9 * np.abs(own).max()))
