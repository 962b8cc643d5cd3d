"""Unbiased energy distance, with a standard error that is valid near zero and away from it."""

import math

import numpy as np
from numpy.typing import ArrayLike

from pointillist.metrics.checks import check_pair
from pointillist.metrics.distances import Rows, sums_between, sums_within
from pointillist.metrics.estimate import Estimate


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
