"""Residuals: how far numbers stray from their prediction by the other columns, in rows and in data."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointillist.lazy import ensemble, stats
from pointillist.metrics.checks import Seed
from pointillist.metrics.classifiers import draw_seed, fit_trees, on_one_thread
from pointillist.metrics.distances import Rows
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.mixed_tables import TableLike, check_tables, count_rows, encode
from pointillist.metrics.nearest import equal_rows

MIN_ROWS = 50
"""Fewest residuals per side; columns with fewer are left out."""

BINS = 64
"""Most bins of a number, and most categories of a column, that the trees distinguish."""

CLIPPED = 0.99
"""Quantile at which the absolute residuals of both sides are clipped, so that no single row dominates."""

FARTHEST = 1e6
"""Largest distance from a column's mean, in standard deviations; larger distances are clipped."""

ROUNDING = 1e-6
"""Residuals below this fraction of the column's standard deviation count as 0."""


@dataclass(frozen=True)
class ResidualSpread:
    """How far a column strays from its prediction by the other columns. See `residual_spreads`.

    Attributes:
        name: Name of the column.
        ratio: Mean absolute residual of the rows over the data's: 1 at best, below 1 if rows follow the other columns
            too closely.
        baseline: The same ratio for two halves of the data's residuals.
        p_value: p-value of Student's two-sided test of equal means.
    """

    name: str
    ratio: Estimate
    baseline: Estimate
    p_value: float


def residual_spreads(
    real: TableLike, generated: TableLike, *, max_rows: int = 5000, random_state: Seed = 0
) -> tuple[ResidualSpread, ...]:
    """Compare how far each number strays from its prediction by the other columns, in rows and in data.

    A regression of each number on all other columns is fitted to one half of the data: a linear one, then boosted
    trees on its residuals (scikit-learn's `HistGradientBoostingRegressor`). It is applied to the other half and to the
    rows; rows that equal a fitted row are left out on both sides. If rows and data have the same distribution, their
    residuals do too, however good the regression is. The test detects noise between columns that is too small or too
    large, which two-sample tests by classifiers hardly detect.

    Args:
        real: n rows: an array, or a table with the same columns.
        generated: m rows.
        max_rows: Most rows to fit, and most rows of each side to compare, drawn at random.
        random_state: Seed of these draws and of the trees.

    Returns:
        One result per column of numbers. Constant columns, columns with fewer than 50 residuals on a side, and the only
        column of a table are left out. Standard errors are over the draw of rows, with the regression held fixed.
    """
    data, rows = check_tables(real=real, generated=generated)
    if len(data) < 2:
        return ()
    rng = np.random.default_rng(random_state)
    (data_matrix, row_matrix), is_category = encode(data, rows, max_categories=BINS)
    order, half = rng.permutation(count_rows(data)), count_rows(data) // 2
    train, seed = data_matrix[order[:half][:max_rows]], draw_seed(rng)
    sides = (row_matrix[rng.permutation(len(row_matrix))[:max_rows]], data_matrix[order[half:][:max_rows]])
    train, *unseen = _standardized([train, *(side[~equal_rows(side, train)] for side in sides)], is_category)
    found = []
    with on_one_thread():
        for j, name in enumerate(data):
            known = [side[~np.isnan(side[:, j])] for side in (train, *unseen)]
            if is_category[j] or min(map(len, known)) < MIN_ROWS or not known[0][:, j].any():
                continue
            some, others = _residuals(known, j, is_category, seed)
            ratio, p_value = _compare(some, others)
            found.append(ResidualSpread(name, ratio, _compare(others[::2], others[1::2])[0], p_value))
    return tuple(found)


def _standardized(sides: list[Rows], is_category: NDArray[np.bool_]) -> list[Rows]:
    """Standardize the numbers of all sides by mean and standard deviation of the first; 0 where that is constant."""
    found = [side.copy() for side in sides]
    for j in np.flatnonzero(~is_category):
        known = sides[0][~np.isnan(sides[0][:, j]), j]
        largest = np.abs(known).max(initial=0.0) or 1.0  # squares of large numbers would overflow
        known = known / largest
        varies = len(known) > 0 and np.ptp(known) > 0
        mean, deviation = (known.mean(), known.std()) if varies else (0.0, np.inf)
        for side in found:
            with np.errstate(over="ignore"):
                side[:, j] = np.clip((side[:, j] / largest - mean) / deviation, -FARTHEST, FARTHEST)
    return found


def _residuals(sides: list[Rows], j: int, is_category: NDArray[np.bool_], seed: int) -> list[Rows]:
    """Fit column j on the first side, and return its absolute residuals on the others, in standard deviations."""
    features, is_category = [np.delete(side, j, axis=1) for side in sides], np.delete(is_category, j)
    numbers = [np.nan_to_num(side[:, ~is_category]) for side in features]
    slopes = np.linalg.lstsq(numbers[0], sides[0][:, j], rcond=None)[0]
    targets = [side[:, j] - terms @ slopes for side, terms in zip(sides, numbers, strict=True)]
    # A hundred trees with more leaves are no more exact, and take four times as long.
    trees = ensemble.HistGradientBoostingRegressor(
        max_iter=30,
        learning_rate=0.2,
        max_leaf_nodes=15,
        max_bins=BINS,
        categorical_features=is_category,
        early_stopping=False,
        random_state=seed,
    )
    fit_trees(trees, features[0], targets[0])
    residuals = (np.abs(target - trees.predict(side)) for target, side in zip(targets[1:], features[1:], strict=True))
    return [np.where(residual < ROUNDING, 0.0, residual) for residual in residuals]


def _compare(rows: Rows, data: Rows) -> tuple[Estimate, float]:
    """Return the ratio of the mean absolute residuals, and the p-value of Student's test of equal means."""
    limit = np.quantile(np.concatenate([rows, data]), CLIPPED)
    rows, data = np.minimum(rows, limit), np.minimum(data, limit)
    pooled = np.concatenate([rows, data])
    if not pooled.var() > 0:
        return Estimate(1.0), 1.0
    null = pooled.std() / pooled.mean() * math.sqrt(1 / len(rows) + 1 / len(data))
    ratio, error, mean = math.inf, math.nan, data.mean()
    if mean > 0:
        ratio, errors = rows.mean() / mean, [math.sqrt(side.var(ddof=1) / len(side)) for side in (rows, data)]
        error = math.hypot(errors[0], ratio * errors[1]) / mean
    return Estimate(ratio, error, len(pooled) - 2, null), float(stats.ttest_ind(rows, data).pvalue)
