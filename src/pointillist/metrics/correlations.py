"""Differences between the correlations of columns."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.lazy import special, stats
from pointillist.metrics.checks import Seed, check_pair
from pointillist.metrics.distances import Rows

ROUNDING = 1e-12
"""A column that varies by less than this, relative to its largest value, counts as constant."""

Correlations = Callable[[NDArray[np.int64] | slice], tuple[Rows, Rows]]
"""Correlations of some of the pooled rows of both sides, and of all others."""


@dataclass(frozen=True, eq=False)
class CorrelationDifferences:
    """Differences of Pearson correlations between rows and data. See `correlation_differences`.

    Attributes:
        rows: Correlations of the columns over rows, shape `(d, d)`; nan where a column is constant on either side.
        data: The same over data.
        largest: Largest absolute difference over pairs of columns, in [0, 2]; nan if there is no pair.
        pair: The two columns that have it; None if there is no pair.
        mean: Mean absolute difference over pairs.
        p_value: Probability that the largest difference of normal scores' correlations is as large by chance; nan if
            there is no pair.
        expected_largest: Mean of `largest` under random divisions of the rows: the best value to expect.
        expected_mean: The same for `mean`.
    """

    rows: Rows
    data: Rows
    largest: float
    pair: tuple[int, int] | None
    mean: float
    p_value: float
    expected_largest: float
    expected_mean: float


def correlation_differences(
    real: ArrayLike, generated: ArrayLike, *, n_permutations: int = 999, max_rows: int = 5000, random_state: Seed = 0
) -> CorrelationDifferences:
    """Compare the correlations of all pairs of columns, and test the largest difference.

    The reported correlations are Pearson's, of the values as they are. The test uses correlations of normal scores,
    Φ⁻¹((rank - 1/2) / n) by column and side, where equal values have their mean rank: a column's shift, scale, shape
    and outliers do not count. The scores are pooled and divided again at random, and the largest |Δr| over pairs is
    compared with the largest in each division: p = (1 + #{as large}) / (1 + n_permutations), which needs no further
    correction for the number of pairs. The test is exact only for many rows, because each side is ranked by itself.

    Args:
        real: Shape `(n, d)`. Columns that are constant on a side are left out.
        generated: Shape `(m, d)`.
        n_permutations: Number of random divisions, at least 1.
        max_rows: Most rows taken from each side, at random, at least 2; all results are for these.
        random_state: Seed of the subsamples and the divisions.

    Raises:
        ValueError: If a number is too small.
    """
    data, rows = check_pair(real, generated)
    if n_permutations < 1 or max_rows < 2:
        raise ValueError(f"n_permutations={n_permutations} must be at least 1 and max_rows={max_rows} at least 2")
    rng = np.random.default_rng(random_state)
    rows, data = (side[rng.permutation(len(side))[:max_rows]] for side in (rows, data))
    d, m = rows.shape[1], len(rows)
    is_varied = [np.ptp(side, axis=0) > ROUNDING * np.abs(side).max(axis=0) for side in (rows, data)]
    varies = np.flatnonzero(is_varied[0] & is_varied[1])
    values = _divided(rows[:, varies], data[:, varies])
    scores = _divided(*(_normal_scores(side[:, varies]) for side in (rows, data)))
    matrices = [np.full((d, d), np.nan) for _ in range(2)]
    for matrix, found in zip(matrices, values(slice(m)), strict=True):
        matrix[np.ix_(varies, varies)] = found
    pairs = np.triu_indices(len(varies), 1)
    if not len(pairs[0]):
        return CorrelationDifferences(matrices[0], matrices[1], math.nan, None, *[math.nan] * 4)

    def differences(correlations: Correlations, side: NDArray[np.int64] | slice) -> Rows:
        one, two = correlations(side)
        return np.abs(one - two)[pairs]

    observed, tested = differences(values, slice(m)), differences(scores, slice(m)).max()
    worst = int(observed.argmax())
    largest, means, as_large = [], [], 0
    for _ in range(n_permutations):
        side = rng.permutation(m + len(data))[:m]
        permuted = differences(values, side)
        largest.append(permuted.max())
        means.append(permuted.mean())
        as_large += int(differences(scores, side).max() >= tested - 1e-9)
    return CorrelationDifferences(
        matrices[0],
        matrices[1],
        float(observed[worst]),
        (int(varies[pairs[0][worst]]), int(varies[pairs[1][worst]])),
        float(observed.mean()),
        (1 + as_large) / (1 + n_permutations),
        float(np.mean(largest)),
        float(np.mean(means)),
    )


def _divided(*sides: Rows) -> Correlations:
    """Return a function from indices of pooled rows to the correlations of these rows and of the others.

    Each side is standardized first, so that the moments do not depend on its mean and scale.
    """
    pooled = np.concatenate([(side - side.mean(axis=0)) / (side - side.mean(axis=0)).std(axis=0) for side in sides])
    all_sums, all_products = pooled.sum(axis=0), pooled.T @ pooled

    def correlations(side: NDArray[np.int64] | slice) -> tuple[Rows, Rows]:
        rows = pooled[side]
        sums, products = rows.sum(axis=0), rows.T @ rows
        others = _correlations(all_sums - sums, all_products - products, len(sides[1]))
        return _correlations(sums, products, len(sides[0])), others

    return correlations


def _normal_scores(rows: Rows) -> Rows:
    return special.ndtri((stats.rankdata(rows, axis=0) - 0.5) / len(rows))


def _correlations(sums: Rows, products: Rows, n: int) -> Rows:
    """Return correlations from sums of n rows and of their products; 0 for a column that is constant in these rows."""
    covariances = products / n - np.outer(sums / n, sums / n)
    variances = np.diag(covariances)
    deviations = np.sqrt(np.where(variances > ROUNDING, variances, np.inf))
    return np.clip(covariances / np.outer(deviations, deviations), -1, 1)
