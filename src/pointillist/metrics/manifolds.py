"""Separate scores of fidelity and diversity: fractions of rows that are near the other side."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.lazy import spatial
from pointillist.metrics.checks import Seed, check_pair
from pointillist.metrics.distances import Rows
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.mixed_tables import Points, TableLike, points_of

ROUNDING = 1e-12
"""Relative distance beyond a radius that counts as within it: far above the rounding of both."""

N_SPLITS, SPLIT_SEED = 20, 0
"""Random splits into halves for a standard error, each one degree of freedom; and their seed."""


@dataclass(frozen=True)
class ManifoldScores:
    """Fidelity and diversity of samples. See `manifold_scores`.

    Attributes:
        precision: Fraction of samples within the k-neighbor ball of at least one data row, in [0, 1].
        coverage: Fraction of data rows with a sample within their k-neighbor ball, in [0, 1].
        n_rows: Number of rows on each side.
    """

    precision: Estimate
    coverage: Estimate
    n_rows: int


def manifold_scores(
    real: TableLike, generated: TableLike, *, k: int = 5, max_rows: int = 2000, random_state: Seed = 0
) -> ManifoldScores:
    """Precision and coverage of generated rows.

    Each real row has a closed ball that reaches to its k-th nearest real neighbor, not counting the row itself.
    Precision asks whether a generated row is in any ball (Kynkäänniemi et al. 2019, arXiv 1904.06991), and coverage
    which balls have a generated row in them (Naeem et al. 2020, arXiv 2002.09797, where balls are open). Precision
    falls if rows look unlike any data, coverage if some data looks unlike any row. An outlier's large ball can raise
    the precision, but affects the coverage less.

    For two samples of one distribution without ties, the coverage is about 1 − 2^−k on average; the precision depends
    on the distribution. Scale the columns alike, and compare at the same k and number of rows.

    Args:
        real: n rows. Distances are defined in `mixed_tables.points_of`.
        generated: m rows with the same columns.
        k: Number of neighbors, at least 1 and below the number of rows per side.
        max_rows: Most rows taken from each side, and never more than the smaller side has; 2,000 take 60 MB.
        random_state: Seed of the subsamples.

    Returns:
        Both scores. Standard errors are over the draw of both sides, from the differences between disjoint random
        halves of both, over 20 splits (hence 20 degrees of freedom), assuming that the variance halves with twice the
        rows, and never below the binomial error with one more success and failure. With 200 or more rows they are 0.85
        to 1.2 times the true ones, and more for a score above 0.99; with fewer than 2 (k + 1) per side they are nan.

    Raises:
        ValueError: If k is below 1 or not below the number of rows per side.
    """
    sides = points_of(real=real, generated=generated)
    n = min(*map(len, sides), max_rows)
    if not 1 <= k < n:
        raise ValueError(f"k={k} must be at least 1 and below {n}, the number of rows per side: pass more rows")
    rng = np.random.default_rng(random_state)
    records, rows = (side.take(rng.permutation(len(side))[:n]) for side in sides)
    radii, all_across = _radii(records, k), rows.distances(records)

    def scores(a: NDArray[np.int64], b: NDArray[np.int64]) -> Rows:
        is_within = all_across[np.ix_(b, a)] <= radii(a)
        return np.array([is_within.any(axis=1).mean(), is_within.any(axis=0).mean()])

    precision, covered = _estimates(scores, n, n, k)
    return ManifoldScores(precision, covered, n)


def coverage(real: ArrayLike, generated: ArrayLike, *, k: int = 5) -> Estimate:
    """Fraction of real rows with a generated row no farther than their k-th nearest real neighbor.

    This is the coverage of `manifold_scores` over all rows, by k-d trees, with the same standard error.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.
        k: Number of neighbors, at least 1 and below n.

    Raises:
        ValueError: If k is not in 1 … n - 1.
    """
    data, samples = check_pair(real, generated)
    if not 1 <= k < len(data):
        raise ValueError(f"k={k} must be at least 1 and below {len(data)}, the number of real rows: pass more rows")

    def covered(a: NDArray[np.int64], b: NDArray[np.int64]) -> Rows:
        nearest, _ = spatial.cKDTree(samples[b]).query(data[a])
        radii, _ = spatial.cKDTree(data[a]).query(data[a], k=[k + 1])
        return np.array([np.mean(nearest <= radii[:, 0] * (1 + ROUNDING))])

    (found,) = _estimates(covered, len(data), len(samples), k)
    return found


def _estimates(scores: Callable[..., Rows], n: int, m: int, k: int) -> list[Estimate]:
    """Return scores that are fractions of n rows, with standard errors if halves of both sides have enough rows."""
    values = scores(np.arange(n), np.arange(m))
    variances = np.full(len(values), np.nan)
    if n // 2 > k and m // 2:
        smoothed = (values * n + 1) / (n + 2)  # a fraction of exactly 0 or 1 is not known without error
        variances = np.maximum(split_variance(scores, n, m), smoothed * (1 - smoothed) / n)
    return [Estimate(value, error, N_SPLITS) for value, error in zip(values, np.sqrt(variances), strict=True)]


def split_variance(score: Callable[..., Any], *sizes: int) -> Any:
    """Estimate the variance of a score from differences between disjoint random halves.

    The score takes row indices of each side, with these sizes, and returns a number or an array of numbers.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    squares = 0.0
    for _ in range(N_SPLITS):
        orders = [rng.permutation(size) for size in sizes]
        one, two = (
            score(*(order[half * (len(order) // 2) :][: len(order) // 2] for order in orders)) for half in (0, 1)
        )
        squares = squares + (one - two) ** 2
    # Half of a squared difference is the variance for half of the rows, and the variance for all rows is half of that.
    return squares / (4 * N_SPLITS)


def _radii(points: Points, k: int) -> Callable[[NDArray[np.int64]], Rows]:
    """Return a function from row indices to each row's distance to its k-th nearest neighbor among them, rounded up.

    Only the nearest neighbors of each row are kept, enough to include k others of any random half of the rows.
    """
    within = points.distances(points)
    m = min(len(points), 32 + 16 * k)
    nearest = np.argpartition(within, m - 1, axis=1)[:, :m]
    order = np.argsort(np.take_along_axis(within, nearest, axis=1), axis=1)
    nearest = np.take_along_axis(nearest, order, axis=1)
    distances = np.take_along_axis(within, nearest, axis=1)

    def radii(rows: NDArray[np.int64]) -> Rows:
        is_among = np.zeros(len(nearest), bool)
        is_among[rows] = True
        last = (np.cumsum(is_among[nearest[rows]], axis=1) > k).argmax(axis=1)
        return distances[rows, last] * (1 + ROUNDING)

    return radii
