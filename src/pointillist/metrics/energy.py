"""Unbiased energy distance, with a standard error that is valid near zero and away from it, and a permutation test."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import Seed, check_pair
from pointillist.metrics.distances import Rows, sums_between, sums_within, tiles
from pointillist.metrics.estimate import Estimate

CHUNK_PERMUTATIONS = 1000
"""Random divisions of the rows per matrix product."""

ROUNDING = 1e-6
"""Values of the statistic closer than this, relative to the mean distance, count as equal."""


def energy_distance(real: ArrayLike, generated: ArrayLike) -> Estimate:
    r"""Squared energy distance between two distributions, as an unbiased U-statistic.

    Estimates 2 E‖X − Y‖ − E‖X − X'‖ − E‖Y − Y'‖, which is zero only if X and Y have the same distribution
    (Székely & Rizzo 2013), by means over pairs i ≠ j. If the distributions agree, it is negative half of the time; it
    is never clipped.

    The standard error is over the draw of both sides. The first-order part of the Hoeffding decomposition, with h the
    doubly centered distance, is the mean over rows of a_i = 2 (mean_j ‖x_i − y_j‖ − mean_{i'≠i} ‖x_i − x_i'‖), and
    likewise of b_j; the second-order part has the variance

        V₂ = 4 E[h_xy²] / (n m) + 2 E[h_xx²] / (n (n−1)) + 2 E[h_yy²] / (m (m−1)).

    The jackknife variance J = var(a)/n + var(b)/m is the first-order variance plus *twice* V₂, because each a_i carries
    the noise of the means over the other rows. So the variance is estimated by max(J − V₂, V₂), with unbiased estimates
    of each E[h²] (U-centering: Székely & Rizzo 2014, definition 2 and proposition 1). If the distributions agree, this
    is one and a half times to twice the true variance; to ask whether the two are distinguishable at all, divide the
    value by `null_standard_error` = √V₂, which is right in that case. The ratio is skewed to the right: about one value
    in fifteen is above 1.64.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`. Swapping the two changes nothing.

    Returns:
        The squared energy distance, in the unit of the columns, with `standard_error` and
        `null_standard_error` (nan with fewer than four rows on a side).

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> A, B = rng.normal(size=(500, 2)), rng.normal(size=(400, 2))
        >>> print(f"{energy_distance(A, B):.4f}, shifted {energy_distance(A, B + 1.0):.2f}")
        0.0095, shifted 0.94
    """
    A, B = check_pair(real, generated)
    n, m = len(A), len(B)
    between_A, between_B = sums_between(A, B)
    within_A, within_B = sums_within(A), sums_within(B)
    value = 2 * between_A.sum() / (n * m) - within_A.sum() / (n * (n - 1)) - within_B.sum() / (m * (m - 1))
    if min(n, m) < 4:  # U-centring divides by n − 3
        return Estimate(value)

    a = 2 * (between_A / m - within_A / (n - 1))
    b = 2 * (between_B / n - within_B / (m - 1))
    jackknife = a.var(ddof=1) / n + b.var(ddof=1) / m

    center = (A.sum(axis=0) + B.sum(axis=0)) / (n + m)  # squared distances from moments: keep them small
    near_A, near_B = A - center, B - center
    second_order = (
        4 * _centered_square_between(near_A, near_B, between_A, between_B) / (n * m)
        + 2 * _centered_square_within(near_A, within_A) / (n * (n - 1))
        + 2 * _centered_square_within(near_B, within_B) / (m * (m - 1))
    )
    variance = max(jackknife - second_order, second_order)
    return Estimate(value, math.sqrt(variance), null_standard_error=math.sqrt(second_order))


def _centered_square_between(A: Rows, B: Rows, sums_A: Rows, sums_B: Rows) -> float:
    """Estimate E[h²] of one row of A and one of B without bias, from the sums of distances of each row."""
    n, m = len(A), len(B)
    squares = m * np.square(A).sum() + n * np.square(B).sum() - 2 * (A.sum(axis=0) @ B.sum(axis=0))
    centered = squares - np.square(sums_A).sum() / m - np.square(sums_B).sum() / n + sums_A.sum() ** 2 / (n * m)
    return max(0.0, float(centered)) / ((n - 1) * (m - 1))


def _centered_square_within(A: Rows, sums: Rows) -> float:
    """Estimate E[h²] of two rows of A without bias, from the sums of distances of each row to the others."""
    n = len(A)
    squares = 2 * n * np.square(A).sum() - 2 * np.square(A.sum(axis=0)).sum()
    centered = squares - 2 * np.square(sums).sum() / (n - 2) + sums.sum() ** 2 / ((n - 1) * (n - 2))
    return max(0.0, float(centered)) / (n * (n - 3))


@dataclass(frozen=True)
class EnergyTest:
    """The energy distance of two sets of rows, and whether chance explains it. See `energy_test`.

    Attributes:
        distance: The `energy_distance` of the rows that were compared, in the unit of the columns.
        p_value: Fraction of random divisions of the pooled rows with at least this distance, in (0, 1].
        n_permutations: Number of random divisions.
        n_rows: Number of rows compared on each side.
    """

    distance: Estimate
    p_value: float
    n_permutations: int
    n_rows: tuple[int, int]


def energy_test(
    real: ArrayLike, generated: ArrayLike, *, n_permutations: int = 999, max_rows: int = 2000, random_state: Seed = 0
) -> EnergyTest:
    """Test whether both sides are draws from one distribution, by permutations of the energy distance.

    The pooled rows are divided at random into sides of the same sizes, `n_permutations` times, and

        p = (1 + #{distance of a random division ≥ distance of the sides}) / (1 + n_permutations)

    (Székely & Rizzo 2013, section 6, as a permutation test). If all rows are independent draws from one distribution,
    all divisions are equally likely: P(p ≤ α) ≤ α exactly, at any number of rows. With enough rows, the test finds any
    difference between distributions.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.
        n_permutations: Number of random divisions, at least 1. No p-value is below 1 / (1 + n_permutations).
        max_rows: Most rows taken from each side, at random, at least 2. For the n and m rows taken, the memory is
            4 (n + m)² bytes, and the time about (n + m)² `n_permutations` multiplications.
        random_state: Seed of the subsamples and the divisions.

    Raises:
        ValueError: If a number is too small.
    """
    A, B = check_pair(real, generated)
    if n_permutations < 1 or max_rows < 2:
        raise ValueError(f"n_permutations={n_permutations} must be at least 1 and max_rows={max_rows} at least 2")
    rng = np.random.default_rng(random_state)
    A, B = (side[rng.permutation(len(side))[:max_rows]] for side in (A, B))
    n, m = len(A), len(B)
    distances, unit = _centered_distances(np.concatenate([A, B]))
    sums = distances.sum(axis=1, dtype=np.float64)

    in_A = np.zeros((n + m, 1), np.float32)
    in_A[:n] = 1
    observed = _statistics(distances, sums, in_A)[0]
    as_large = 0
    for start in range(0, n_permutations, CHUNK_PERMUTATIONS):
        size = min(CHUNK_PERMUTATIONS, n_permutations - start)
        divisions = rng.permuted(np.repeat(in_A, size, axis=1), axis=0)
        as_large += int(np.count_nonzero(_statistics(distances, sums, divisions) >= observed - ROUNDING * unit))
    return EnergyTest(energy_distance(A, B), (1 + as_large) / (1 + n_permutations), n_permutations, (n, m))


def _centered_distances(rows: Rows) -> tuple[NDArray[np.float32], float]:
    """Return the distances between all rows minus their mean, and the mean, in a unit that fits float32.

    A constant added to every distance does not change the energy distance, and centered distances round less.
    """
    rows = rows - rows.mean(axis=0)
    rows /= np.abs(rows).max() or 1.0
    distances = np.empty((len(rows), len(rows)), np.float32)
    for some, others, tile in tiles(rows, rows, "euclidean", upper=True):
        distances[some, others] = tile
        distances[others, some] = tile.T
    mean = float(distances.sum(dtype=np.float64)) / (len(rows) * (len(rows) - 1))
    distances -= np.float32(mean)
    np.fill_diagonal(distances, 0)
    return distances, mean


def _statistics(distances: NDArray[np.float32], sums: Rows, in_A: NDArray[np.float32]) -> Rows:
    """Return the energy distance of each division, a column of zeros and ones; shape `(divisions,)`."""
    n = int(in_A[:, 0].sum())
    m = len(in_A) - n
    within_A = np.einsum("ij,ij->j", distances @ in_A, in_A, dtype=np.float64)
    from_A = sums @ in_A
    within_B = sums.sum() - 2 * from_A + within_A
    return 2 * (from_A - within_A) / (n * m) - within_A / (n * (n - 1)) - within_B / (m * (m - 1))
