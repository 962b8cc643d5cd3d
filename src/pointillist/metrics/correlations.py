"""Test of the correlations between columns."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.lazy import special, stats
from pointillist.metrics.checks import Seed, check_pair
from pointillist.metrics.distances import Rows

ROUNDING = 1e-12
"""A column that varies by less than this, relative to its largest value, counts as constant."""


@dataclass(frozen=True)
class CorrelationTest:
    """The largest difference of a correlation between rows and data. See `correlation_test`.

    Attributes:
        pair: The two columns; None if fewer than two vary on both sides.
        difference: Its absolute value, in [0, 2]; nan without a pair.
        p_value: Fraction of random divisions of the pooled rows with a difference as large, in (0, 1]; nan without one.
    """

    pair: tuple[int, int] | None
    difference: float
    p_value: float


def correlation_test(
    real: ArrayLike, generated: ArrayLike, *, n_permutations: int = 999, max_rows: int = 5000, random_state: Seed = 0
) -> CorrelationTest:
    """Test the largest difference of a correlation over all pairs of columns.

    Correlations are of normal scores, Φ⁻¹((rank - 1/2) / n) by column and side, where equal values have their mean
    rank: a column's shift, scale, shape and outliers do not count. The scores are pooled and divided again at random,
    and p = (1 + #{largest difference as large}) / (1 + n_permutations), which needs no further correction for the
    number of pairs. The test is exact only for many rows, because each side is ranked by itself.

    Args:
        real: Shape `(n, d)`. Columns that are constant on a side are left out.
        generated: Shape `(m, d)`.
        n_permutations: Number of random divisions, at least 1.
        max_rows: Most rows taken from each side, at random, at least 2.
        random_state: Seed of the subsamples and the divisions.

    Raises:
        ValueError: If a number is too small.
    """
    data, rows = check_pair(real, generated)
    if n_permutations < 1 or max_rows < 2:
        raise ValueError(f"n_permutations={n_permutations} must be at least 1 and max_rows={max_rows} at least 2")
    rng = np.random.default_rng(random_state)
    sides = [side[rng.permutation(len(side))[:max_rows]] for side in (rows, data)]
    is_varied = [np.ptp(side, axis=0) > ROUNDING * np.abs(side).max(axis=0) for side in sides]
    varies = np.flatnonzero(is_varied[0] & is_varied[1])
    pairs = np.triu_indices(len(varies), 1)
    if not len(pairs[0]):
        return CorrelationTest(None, math.nan, math.nan)
    # Of one standard deviation on either side, so that divisions mix them evenly.
    scores = np.concatenate([stats.zscore(_normal_scores(side[:, varies])) for side in sides])

    def differences(order: NDArray[np.int64]) -> Rows:
        one, two = (_correlations(scores[half]) for half in np.split(order, [len(sides[0])]))
        return np.abs(one - two)[pairs]

    observed = differences(np.arange(len(scores)))
    largest, as_large = observed.max(), 0
    for _ in range(n_permutations):
        as_large += int(differences(rng.permutation(len(scores))).max() >= largest - 1e-9)
    pair = [int(varies[columns[observed.argmax()]]) for columns in pairs]
    return CorrelationTest((pair[0], pair[1]), float(largest), (1 + as_large) / (1 + n_permutations))


def _normal_scores(rows: Rows) -> Rows:
    return special.ndtri((stats.rankdata(rows, axis=0) - 0.5) / len(rows))


def _correlations(rows: Rows) -> Rows:
    """Return Pearson's correlations; 0 for a column that is constant in these rows."""
    covariances = np.cov(rows, rowvar=False)
    variances = np.diag(covariances)
    deviations = np.sqrt(np.where(variances > ROUNDING, variances, np.inf))
    return covariances / np.outer(deviations, deviations)
