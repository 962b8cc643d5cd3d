"""Finds grids of columns of numbers (the decimals and the step of all values) and ends that no new value passes."""

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import BY_CHANCE, decimals_of
from pointillist.columns.repeats import are_few, are_spikes
from pointillist.tables.blocks import blocks, rows_at

NEAR_0 = 0.1
"""A column is not negative if its lowest value lies between 0 and this fraction of its range."""

_SOME_ROWS = 300
_KINDS = (np.float64, np.float32, np.float16)

Grids = tuple[Int[np.ndarray, " d"], Int[np.ndarray, " d"]]
"""Decimals of each column, and its step in units of the last decimal."""


def find_grids(
    rows: Float[np.ndarray, "n d"],
    low: Float[np.ndarray, " d"],
    high: Float[np.ndarray, " d"],
    is_whole: Bool[np.ndarray, " d"],
) -> Grids:
    """Finds the grid of each column: the decimals of its values, and the step that divides all their differences.

    A column has no grid, and its step is 0, if a value has more than `MAX_DECIMALS` decimals, or if random numbers of
    its type would have so few decimals with a probability above `BY_CHANCE`. A step above one unit of the last decimal
    counts if the column is discrete, or if random numbers with these decimals would have the step with a probability of
    at most `BY_CHANCE`.

    Args:
        rows: Rows, shape (n, d), finite.
        low: Lowest value of each column.
        high: Highest value of each column.
        is_whole: Which columns hold integers, whose step is at least 1.
    """
    some = rows_at(rows, np.linspace(0, len(rows) - 1, min(len(rows), _SOME_ROWS)).astype(np.int64))
    kinds = [next((kind for kind in _KINDS if _decimals(column, kind, 0) is not None), None) for column in some.T]
    values = [np.unique(column) for column in some.T]
    decimals = [None if kind is None else 0 for kind in kinds]
    for block in blocks(rows):
        for j, (kind, least) in enumerate(zip(kinds, decimals, strict=True)):
            if kind is not None and least is not None:
                decimals[j] = _decimals(block[:, j], kind, least)
    for j, (kind, found) in enumerate(zip(kinds, decimals, strict=True)):
        if kind is not None and found is not None and not is_whole[j]:
            error = float(np.spacing(max(abs(low[j]), abs(high[j])).astype(kind)))
            if min(1.0, 2 * error * 10.0**found) ** len(values[j]) > BY_CHANCE:
                decimals[j] = None
    steps = np.zeros(len(low), np.int64)
    for block in blocks(rows):
        for j, found in enumerate(decimals):
            if found is not None:
                units = np.round((block[:, j] - low[j]) * 10.0**found).astype(np.int64)
                steps[j] = np.gcd(steps[j], np.gcd.reduce(units))
    is_shared = [
        are_few(own, len(some)) or max(1.0, float(step)) ** (2 - len(own)) <= BY_CHANCE
        for own, step in zip(values, steps, strict=True)
    ]
    steps = np.maximum(np.where(is_shared, steps, np.minimum(steps, 1)), is_whole)
    return np.array([found or 0 for found in decimals]), steps


def common_grids(
    first: Grids, second: Grids, distance: Float[np.ndarray, " d"], is_whole: Bool[np.ndarray, " d"]
) -> Grids:
    """Returns, for each column, the coarsest grid that contains two given grids.

    Args:
        first: Grids, one for each column.
        second: The other grids; if one of the two is missing, there is no common grid.
        distance: Distance of a value on the second grid from one on the first.
        is_whole: Which columns hold integers, whose step is at least 1.
    """
    decimals = np.maximum(first[0], second[0])
    of_first, of_second = (steps * 10 ** (decimals - own) for own, steps in (first, second))
    has_grid = (first[1] > 0) & (second[1] > 0) & ((decimals == 0) | ~is_whole)
    apart = np.round(np.where(has_grid, distance, 0) * 10.0**decimals).astype(np.int64)
    steps = np.gcd(np.gcd(of_first, of_second), apart)
    return np.where(has_grid, decimals, 0), np.where(has_grid, steps, is_whole)


def find_ends(
    rows: Float[np.ndarray, "n d"], low: Float[np.ndarray, " d"], high: Float[np.ndarray, " d"]
) -> Bool[np.ndarray, "2 d"]:
    """Finds the columns whose lowest, and those whose highest, value is an end that new values do not pass.

    A value is an end if many rows share it, or if it is near 0 and no value lies beyond 0.

    Args:
        rows: Rows, shape (n, d), finite.
        low: Lowest value of each column.
        high: Highest value of each column.
    """
    counts = np.zeros((2, len(low)), np.int64)
    for block in blocks(rows):
        counts += [(block == low).sum(axis=0), (block == high).sum(axis=0)]
    ends = np.stack([low, -high]) / 2
    return are_spikes(counts, len(rows)) | ((ends >= 0) & (ends < NEAR_0 * (high / 2 - low / 2)))


def _decimals(column: Float[np.ndarray, " n"], kind: type[np.floating], least: int) -> int | None:
    """Returns the decimals of numbers, up to the rounding of a type; None if too many, or not of this type."""
    sizes = np.abs(column)
    with np.errstate(over="ignore"):
        held = sizes.astype(kind)
    return decimals_of(column, np.spacing(held), least) if (held == sizes).all() else None
