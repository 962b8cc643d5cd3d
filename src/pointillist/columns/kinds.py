"""Chooses an encoder for a column, and rebuilds the encoders of a model file."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from pointillist.columns.category import CategoryEncoder
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.grids import BY_CHANCE, MAX_ATOMS, Grid, decimals_of, has_few_values, is_spike
from pointillist.columns.normal_scores import NormalScores
from pointillist.columns.number import NumberEncoder
from pointillist.columns.rare_categories import RareCategoriesEncoder
from pointillist.lazy import special
from pointillist.tables.calendar_dates import are_dates, date_of_days, day_numbers, month_ends
from pointillist.tables.table import Column
from pointillist.tables.unlearnable import MAX_CATEGORIES

KINDS: dict[str, type[ColumnEncoder]] = {
    "category": CategoryEncoder,
    "rare_categories": RareCategoriesEncoder,
    "discrete": NumberEncoder,
    "continuous": NumberEncoder,
}
"""Encoder classes by kind."""

FEW_TOKENS, FEW_WITH_MISSING = 32, 12
"""Largest number of values of a numeric column that has one token value each although the other columns explain it;
and the same in a table with unobserved cells."""

EXPLAINED = 0.6
"""Fraction of a column's variance, explained by regression on the other columns, above which they explain it."""

UNEXPLAINED, MAX_INTERVALS = 0.3, 64
"""Explained fraction of a column's variance below which its numbers get intervals, and the largest number of
intervals."""

NEIGHBORS, TIMES = 8, 4
"""Threshold for a point mass: its count is `TIMES` the median count of the `NEIGHBORS` values on either side."""


def fit_encoder(
    name: Any,
    cells: Column,
    *,
    is_category: bool = False,
    explained: float = 1.0,
    is_unknown: bool = False,
    increment: float = 0.0,
) -> ColumnEncoder:
    """Chooses and learns the encoder of a column.

    Categories become tokens; of very many, the rare ones share one. So do the numbers of columns with few distinct
    values, and point masses. A column that the other columns explain (`explained` is the fraction of its variance)
    needs fewer distinct values for that, because its numbers are then learned jointly with theirs. The other numbers of
    an explained column become normal scores, with a token that means "a number". The other numbers of an unexplained
    column become tokens for intervals, with a uniform position in the interval. With `is_unknown`, missing cells are
    unobserved, rather than one more value of the token. With an `increment`, all numbers are multiples of it.
    """
    has_missing = bool(cells.is_missing.any()) and not is_unknown
    present = cells.values[~cells.is_missing]
    if cells.categories is not None:
        used, counts = np.unique(present.astype(np.int64), return_counts=True)
        categories = tuple(cells.categories[i] for i in used)
        if len(categories) > MAX_CATEGORIES:
            return RareCategoriesEncoder.fit(name, categories, counts, has_missing=has_missing)
        return CategoryEncoder(name, has_missing, counts.astype(float), categories)
    values, counts = np.unique(present, return_counts=True)
    grid = Grid(decimals_of(values))
    if increment:
        grid = Grid(decimals_of(np.append(values, increment)), increment=increment)
    if cells.is_date:
        # Generated dates have a time of day only if dates in the table have one.
        grid = replace(grid, step=int(np.gcd.reduce((values - values[0]).astype(np.int64))), first=int(values[0]))
    most_values = FEW_WITH_MISSING if is_unknown else FEW_TOKENS if explained >= EXPLAINED else MAX_ATOMS
    if is_category or len(values) == 1 or (len(values) <= most_values and has_few_values(values, len(present))):
        return NumberEncoder(name, has_missing, np.empty(0) if is_category else counts.astype(float), values, grid)
    grid = replace(grid, is_calendar=not cells.is_date and not increment and are_dates(values))
    atoms = values[_is_spike(counts, len(present))]
    others = present[~np.isin(present, atoms)]
    if not len(others):
        return NumberEncoder(name, has_missing, counts.astype(float), atoms, grid)
    fit = _scores_of_dates if grid.is_calendar else NormalScores.fit
    scores = fit(others, grid.unit, MAX_INTERVALS if explained < UNEXPLAINED else 1)
    value_counts = counts.astype(float) if scores.is_discrete else np.empty(0)
    return NumberEncoder(name, has_missing, value_counts, atoms, grid, scores)


def encoder_from_json(content: dict[str, Any], arrays: Sequence[np.ndarray]) -> ColumnEncoder:
    """Rebuilds an encoder of any kind from its JSON values and arrays, or raises a ValueError."""
    return _kind_of(content).from_json(content, arrays)


def array_lengths(content: dict[str, Any]) -> list[int]:
    """Reads the lengths of a column's arrays from a model file: integers from 0 to the kind's `most_counts`."""
    lengths, most = list(content["lengths"]), _kind_of(content).most_counts
    for length in lengths:
        if type(length) is not int or not 0 <= length <= most:
            raise ValueError(f"{length!r:.40} is not a number of values")
    return lengths


def _kind_of(content: dict[str, Any]) -> type[ColumnEncoder]:
    kind = content["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown kind of column {kind!r:.40}")
    return KINDS[kind]


def _scores_of_dates(values: np.ndarray, unit: float, most_intervals: int) -> NormalScores:
    """Scores of integers that are dates, linear in days, with no mass between the end of a month and the next month."""
    scores = NormalScores.fit(day_numbers(values), unit, most_intervals)
    if scores.is_discrete:
        return replace(scores, points=date_of_days(scores.points))
    ends = month_ends(scores.points[0], scores.points[-1])
    days = np.union1d(scores.points, ends)
    points = np.concatenate([date_of_days(days), date_of_days(ends - 1) + 1])
    levels = np.interp(np.concatenate([days, ends]), scores.points, scores.levels)
    order = np.argsort(points)
    return replace(scores, points=points[order], levels=levels[order])


def _is_spike(counts: np.ndarray, n: int) -> Bool[np.ndarray, " values"]:
    """Which values of a column of n cells are point masses: much more frequent than neighbors, not by chance.

    If counts were Poisson with the median of the neighboring counts as mean, the largest count would be this large with
    a probability below `BY_CHANCE`. Without this test, some value in a few hundred rounded numbers usually has four
    times the count of its neighbors.
    """
    padded = np.pad(counts.astype(float), NEIGHBORS, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBORS + 1)
    found = is_spike(counts, n)
    for i in np.flatnonzero(found):
        near = np.nanmedian(np.delete(windows[i], NEIGHBORS))
        by_chance = len(counts) * special.pdtrc(counts[i] - 1, near)
        found[i] = counts[i] >= TIMES * near and by_chance < BY_CHANCE
    return found
