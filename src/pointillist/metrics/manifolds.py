"""Separate scores of fidelity and diversity: fractions of rows among the nearest neighbors of the other side."""

import math
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
    """Four scores of samples among data, and of data among samples. See `manifold_scores`.

    Attributes:
        precision: Fraction of samples within the k-neighbor ball of at least one data row, in [0, 1].
        recall: Fraction of data rows within the k-neighbor ball of at least one sample, in [0, 1].
        density: Mean number of data balls that a sample is in, divided by k: at least 0, and above
            1 if samples lie where the data is dense.
        coverage: Fraction of data rows with a sample within their k-neighbor ball, in [0, 1].
        n_rows: Number of rows on each side.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate
    n_rows: int


def manifold_scores(
    real: TableLike, generated: TableLike, *, k: int = 5, max_rows: int = 2000, random_state: Seed = 0
) -> ManifoldScores:
    """Precision, recall, density and coverage of generated rows.

    Each row has a closed ball that reaches to its k-th nearest neighbor on its side, not counting the row itself.
    Precision and recall ask whether a row is in any ball of the other side (Kynkäänniemi et al. 2019, arXiv
    1904.06991); density counts the balls of real rows that a generated one is in, and coverage asks which balls of real
    rows have a generated one in them (Naeem et al. 2020, arXiv 2002.09797, where balls are open). Precision and density
    fall if rows look unlike any data, recall and coverage if some data looks unlike any row. An outlier's large ball
    can raise precision or recall, but affects density and coverage less.

    For two samples of one distribution without ties, density is 1 on average, and coverage `expected_coverage`;
    precision and recall depend on the distribution. Scale the columns alike, and compare at the same k and number of
    rows.

    Args:
        real: n rows. Distances are defined in `mixed_tables.points_of`.
        generated: m rows with the same columns.
        k: Number of neighbors, at least 1 and below the number of rows per side.
        max_rows: Most rows taken from each side, and never more than the smaller side has; 2,000 take 100 MB.
        random_state: Seed of the subsamples.

    Returns:
        The four scores. Standard errors are over the draw of both sides, from the differences between disjoint random
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
    record_radii, row_radii, all_across = _radii(records, k), _radii(rows, k), rows.distances(records)

    def scores(a: NDArray[np.int64], b: NDArray[np.int64]) -> Rows:
        across = all_across[np.ix_(b, a)]
        in_records, in_rows = across <= record_radii(a), across <= row_radii(b)[:, None]
        precision, recall = in_records.any(axis=1).mean(), in_rows.any(axis=0).mean()
        return np.array([precision, recall, in_records.sum(axis=1).mean() / k, in_records.any(axis=0).mean()])

    values, variances = scores(np.arange(n), np.arange(n)), np.full(4, np.nan)
    if n // 2 > k:
        # A row that is in a ball is in at least one: an error of the density is no smaller than that.
        baselines = _binomial_variance(values[[0, 1, 0, 3]], n) / np.array([1, 1, k**2, 1])
        variances = np.maximum(split_variance(scores, n, n), baselines)
    found = [Estimate(value, error, N_SPLITS) for value, error in zip(values, np.sqrt(variances), strict=True)]
    return ManifoldScores(found[0], found[1], found[2], found[3], n)


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

    def covered(a: NDArray[np.int64] | slice, b: NDArray[np.int64] | slice) -> Any:
        nearest, _ = spatial.cKDTree(samples[b]).query(data[a])
        radii, _ = spatial.cKDTree(data[a]).query(data[a], k=[k + 1])
        return np.mean(nearest <= radii[:, 0] * (1 + ROUNDING))

    value, variance = covered(slice(None), slice(None)), math.nan
    if len(data) // 2 > k and len(samples) // 2:
        found = split_variance(covered, len(data), len(samples))
        variance = max(found, _binomial_variance(value, len(data)))
    return Estimate(value, math.sqrt(variance), N_SPLITS)


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """Mean coverage of n real rows by m rows from the same distribution, whatever it is, without ties.

    It is 1 − Π_{i<k} (n − 1 − i) / (n + m − 1 − i), about 1 − 2^−k for n = m (Naeem et al. 2020, lemma 2): the other
    n − 1 rows and the m generated ones are exchangeable in their distance to a row.

    Raises:
        ValueError: If k is not in 1 … n - 1, or m is negative.

    Example:
        >>> print(f"{expected_coverage(1000, 1000):.3f} {expected_coverage(1000, 100):.3f}")
        0.969 0.380
    """
    if not 1 <= k < n or m < 0:
        raise ValueError(f"k={k} must be at least 1 and below n={n}, and m={m} at least 0")
    nearest = np.arange(k)
    return float(1 - np.prod((n - 1 - nearest) / (n + m - 1 - nearest)))


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


def _binomial_variance(fractions: Any, trials: int) -> Any:
    smoothed = (fractions * trials + 1) / (trials + 2)  # a fraction of exactly 0 or 1 is not known without error
    return smoothed * (1 - smoothed) / trials


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
