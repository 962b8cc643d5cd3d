"""Separate scores of fidelity and diversity: shares of rows among the nearest neighbors of the other side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import check_pair
from pointillist.metrics.distances import Rows
from pointillist.metrics.estimate import Estimate

# A distance that equals a radius counts as within it. Relative; far above the rounding of the two.
ROUNDING = 1e-12

# Pairs of a row and a ball around it that are listed at once, about 50 bytes each.
CHUNK_PAIRS = 2**18

# Random splits into halves for a standard error, each one degree of freedom; and their seed.
N_SPLITS = 20
SPLIT_SEED = 0


@dataclass(frozen=True)
class ManifoldScores:
    """Positions of samples among the data, and of the data among samples, as four scores. See `manifold_scores`.

    Attributes:
        precision: Share of samples within the k-neighbor ball of at least one data row, in [0, 1].
        recall: Share of data rows within the k-neighbor ball of at least one sample, in [0, 1].
        density: Mean number of data balls that a sample is in, divided by k: at least 0, and above
            1 if samples lie where the data is dense.
        coverage: Share of data rows with a sample within their own k-neighbor ball, in [0, 1].
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def manifold_scores(data: ArrayLike, samples: ArrayLike, *, k: int = 5) -> ManifoldScores:
    """Precision, recall, density and coverage of generated rows.

    Each row has a closed ball that reaches to its k-th nearest neighbor on its own side, not counting the row
    itself. Precision and recall ask whether a row is in any ball of the other side
    (Kynkäänniemi et al. 2019, arXiv 1904.06991); density counts the balls of data that a sample is in, and
    coverage asks which balls of data have a sample in them (Naeem et al. 2020, arXiv 2002.09797).
    Precision and density fall if samples look unlike any data, recall and coverage if some data looks unlike any
    sample. An outlier's large ball can raise precision or recall, but affects density and coverage less.

    For two samples of one distribution without ties, density is 1 on average, whatever the distribution, and coverage
    is `expected_coverage`; precision and recall depend on the distribution. All four depend on the numbers of rows
    and on the units of the columns: scale the columns alike, and compare at the same n, m and k. Where
    distances tie, as for rows on a grid, the balls are closed; in the code of Naeem et al. they are open.

    The balls are exact. They are found in k-d trees, which suit few columns: on one core, 10,000 rows per
    side take about 2 s in 2 columns; from about 10 columns up nearly all pairs are compared, and 5,000
    rows per side take 20 s. Most of the time goes to the standard errors. Memory grows with n + m alone.

    Args:
        data: Shape `(n, d)`.
        samples: Shape `(m, d)`.
        k: Number of neighbors, at least 1 and below both n and m.

    Returns:
        The four scores. A standard error is over the draw of both sides, at these n, m and k. It allows
        for rows that share neighbors, which make the true error up to three times the binomial one. It is
        taken from the differences between disjoint random halves of both sides, over 20 splits with a fixed
        seed (hence 20 degrees of freedom), assuming that the variance halves with twice the rows, and
        is never below the binomial error with one more success and failure. In simulations with 200 or more
        rows it was 0.85 to 1.2 times the true one, but twice that and more for a share above 0.99; with
        60 rows it fell to 0.7. It leaves out how far a score is from its limit for many rows, and that rows
        may not be independent draws. It is nan with fewer than 2 (k + 1) rows on a side.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or k is below 1 or not
            below the number of rows of each side.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> data, samples = rng.normal(size=(500, 2)), 0.5 * rng.normal(size=(500, 2))
        >>> scores = manifold_scores(data, samples)
        >>> print(f"precision {scores.precision:.2f}, recall {scores.recall:.2f}")
        precision 1.00, recall 0.80
        >>> print(f"density {scores.density:.2f}, coverage {scores.coverage:.2f}")
        density 0.92, coverage 0.70
    """
    data, samples = check_pair(data, samples, ("data", "samples"))
    _check_neighbors(k, data=len(data), samples=len(samples))
    n, m = len(data), len(samples)
    values, variances = _values_and_variances(_all_scores, data, samples, k, fewest_samples=k + 1)
    floors = _binomial_floors(values[[0, 1, 0, 3]], np.array([m, n, m, n]))
    floors[2] /= k**2  # a sample that is in a ball is in at least one
    errors = np.sqrt(np.maximum(variances, floors))
    return ManifoldScores(*(Estimate(value, error, N_SPLITS) for value, error in zip(values, errors, strict=True)))


def coverage(data: ArrayLike, samples: ArrayLike, *, k: int = 5) -> Estimate:
    """Share of data rows that have a sample no farther than their k-th nearest neighbor in the data.

    This is the coverage of `manifold_scores`, in a fraction of the time. For samples from the data's own distribution
    it is `expected_coverage` on average, which is below 1.

    Args:
        data: Shape `(n, d)`.
        samples: Shape `(m, d)`.
        k: Number of neighbors, at least 1 and below n.

    Returns:
        The share, in [0, 1]. The standard error is the one that `manifold_scores` describes, and never
        below the binomial one over data rows; it is nan with fewer than 2 (k + 1) data rows.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or k is below 1 or not
            below n.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> data, samples = rng.normal(size=(2000, 2)), rng.normal(size=(1000, 2))
        >>> coverage(data, samples)
        0.8620 ± 0.0117
        >>> print(f"{expected_coverage(2000, 1000):.4f}")
        0.8686
    """
    data, samples = check_pair(data, samples, ("data", "samples"))
    _check_neighbors(k, data=len(data))
    values, variances = _values_and_variances(_coverage, data, samples, k, fewest_samples=1)
    floors = _binomial_floors(values, np.array([len(data)]))
    return Estimate(values[0], np.sqrt(np.maximum(variances, floors))[0], N_SPLITS)


def expected_coverage(n: int, m: int, k: int = 5) -> float:
    """Mean coverage of data by samples from the same distribution, whatever it is, without ties.

    The other n − 1 rows and the m samples are exchangeable in their distance to a row, so its ball is empty
    of samples if the k nearest of all of them are data. The mean is

        1 − Π_{i<k} (n − 1 − i) / (n + m − 1 − i),

    about 1 − 2^−k for n = m (Naeem et al. 2020, lemma 2).

    Args:
        n: Number of data rows.
        m: Number of samples, at least 0.
        k: Number of neighbors, at least 1 and below n.

    Returns:
        The mean, in [0, 1].

    Raises:
        ValueError: If k is below 1 or not below n, or m is negative.

    Example:
        >>> print(f"{expected_coverage(1000, 1000):.3f} {expected_coverage(1000, 100):.3f}")
        0.969 0.380
    """
    _check_neighbors(k)
    if n <= k:
        raise ValueError(f"n is {n} but k={k} neighbors of a row need {k + 1}: pass a larger n or a smaller k")
    if m < 0:
        raise ValueError(f"m is {m} but the number of samples must be at least 0: pass their number")
    nearest = np.arange(k)
    return float(1 - np.prod((n - 1 - nearest) / (n + m - 1 - nearest)))


def _check_neighbors(k: int, **sides: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k} but must be at least 1 neighbor")
    for name, size in sides.items():
        if size <= k:
            raise ValueError(
                f"{name} has {size} row(s) but k={k} neighbors of a row need {k + 1}: pass more rows or a smaller k"
            )


def _values_and_variances(
    score: Callable[[Rows, Rows, int], Rows], data: Rows, samples: Rows, k: int, fewest_samples: int
) -> tuple[Rows, Rows]:
    """Score both sides in full, and estimate the variances from differences between halves."""
    values = score(data, samples, k)
    if len(data) // 2 <= k or len(samples) // 2 < fewest_samples:
        return values, np.full_like(values, np.nan)
    return values, split_variance(lambda a, b: score(data[a], samples[b], k), len(data), len(samples))


def split_variance(score: Callable[..., Any], *sizes: int) -> Any:
    """Variance of a score of some sides, from its differences between disjoint random halves of each.

    Args:
        score: The score, a number or an array of them, of the indices of some rows of each side.
        sizes: The number of rows of each side.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    squares = 0.0
    for _ in range(N_SPLITS):
        orders = [rng.permutation(size) for size in sizes]
        one, two = (
            score(*(order[half * (len(order) // 2) :][: len(order) // 2] for order in orders)) for half in (0, 1)
        )
        squares = squares + (one - two) ** 2
    # Half of a squared difference is the variance of one half, and that of twice the rows half of it again.
    return squares / (4 * N_SPLITS)


def _binomial_floors(shares: Rows, trials: NDArray[np.int64]) -> Rows:
    smoothed = (shares * trials + 1) / (trials + 2)  # a share of exactly 0 or 1 is not known without error
    return smoothed * (1 - smoothed) / trials


def _all_scores(data: Rows, samples: Rows, k: int) -> Rows:
    around_samples = _balls_around(samples, data, _radii(data, k))
    around_data = _balls_around(data, samples, _radii(samples, k))
    precision, recall = np.mean(around_samples > 0), np.mean(around_data > 0)
    return np.array([precision, recall, around_samples.mean() / k, *_coverage(data, samples, k)])


def _coverage(data: Rows, samples: Rows, k: int) -> Rows:
    from scipy.spatial import cKDTree

    nearest, _ = cKDTree(samples).query(data)
    return np.array([np.mean(nearest <= _radii(data, k))])


def _radii(rows: Rows, k: int) -> Rows:
    """Distance of each row to its k-th nearest neighbor, rounded up. The row itself is at distance 0."""
    from scipy.spatial import cKDTree

    distances, _ = cKDTree(rows).query(rows, k=[k + 1])
    return distances[:, 0] * (1 + ROUNDING)


def _balls_around(rows: Rows, centres: Rows, radii: Rows) -> NDArray[np.int64]:
    """Count the balls that each of `rows` is in, a bounded number of pairs at a time."""
    from scipy.spatial import cKDTree

    tree = cKDTree(rows)
    ends = np.cumsum(tree.query_ball_point(centres, radii, return_length=True))
    counts = np.zeros(len(rows), np.int64)
    for chunk in np.split(np.arange(len(centres)), np.flatnonzero(np.diff(ends // CHUNK_PAIRS)) + 1):
        found = tree.query_ball_point(centres[chunk], radii[chunk], return_sorted=False)
        counts += np.bincount(np.fromiter(chain.from_iterable(found), np.int64), minlength=len(rows))
    return counts
