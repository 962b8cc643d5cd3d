"""Estimates the covariance of numbers with missing values under a joint normal model."""

import numpy as np
from jaxtyping import Bool, Float

from pointillist.tables.numbers import spread_indices

MOST_ROWS = 2000
"""Largest number of rows that the estimate uses."""

STEPS = 8
"""Steps of expectation-maximization with missing numbers. More steps fit the training rows better, and held-out rows
worse."""

SHRINKAGES = (1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Candidate shrinkage intensities; held-out rows select one."""

HELD_OUT = 5
"""One row in `HELD_OUT` is held out to select the shrinkage."""

SMALLEST_VARIANCE = 1e-5
"""Lower bound of the variance along an axis."""

RIDGE = 0.01
"""Variance that is added to each given number in a regression on given numbers, which bounds the coefficients."""

_NOISE = 1e-6
"""Variance of the noise added to each observed number, which keeps the linear systems regular."""

_AT_ONCE = 256


def estimate_covariance(numbers: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "k k"]:
    """Estimates the covariance of numbers with mean 0, where NaN marks missing numbers.

    The estimate, from at most 2,000 evenly spaced rows, maximizes the likelihood under N(0, C) by
    expectation-maximization (Little & Rubin 2019, Statistical Analysis with Missing Data, section 11.2). Its
    off-diagonal entries are then shrunk by the intensity under which held-out rows are most likely.
    """
    rows = np.asarray(numbers[spread_indices(len(numbers), MOST_ROWS)], np.float64)
    # The rows may be sorted.
    rows = np.random.default_rng(0).permutation(rows[np.isfinite(rows).any(axis=1)])
    if len(rows) < HELD_OUT:
        return np.eye(numbers.shape[1], dtype=np.float32)
    m = len(rows) // HELD_OUT
    learned = _most_likely(rows[m:])
    shrinkage = max(SHRINKAGES, key=lambda shrinkage: _moments(rows[:m], _shrink(learned, shrinkage))[1])
    # The last digits of sums depend on the number of threads, but a resumed fit must use the same covariance.
    return _shrink(_most_likely(rows), shrinkage).round(6).astype(np.float32)


def principal_axes(
    covariance: Float[np.ndarray, "k k"], is_rotated: Bool[np.ndarray, " k"]
) -> Float[np.ndarray, "k k"]:
    """Returns the joint principal axes of the rotated numbers, and the coordinate axes of the others, as columns.

    Each axis is as long as its standard deviation.
    """
    variance = covariance.diagonal().astype(np.float64)
    axes = np.eye(len(covariance))
    indices = np.flatnonzero(is_rotated)
    block = np.ix_(indices, indices)
    variance[indices], vectors = np.linalg.eigh(covariance[block].astype(np.float64))
    # The last digits depend on the number of threads.
    axes[block] = vectors.round(7)
    return (axes * np.sqrt(np.maximum(variance, SMALLEST_VARIANCE))).astype(np.float32)


def regressed(covariance: Float[np.ndarray, "k k"], n_given: int) -> Float[np.ndarray, "c k"]:
    """Returns the covariance of the first c numbers given the last ones, followed by their regression coefficients.

    Args:
        covariance: Covariance of all numbers.
        n_given: Number of numbers that are given; the result is the covariance if there are none.
    """
    if not n_given:
        return covariance
    c = len(covariance) - n_given
    whole = covariance.astype(np.float64)
    given = whole[c:, c:] + RIDGE * np.eye(n_given)
    coefficients = np.linalg.solve(given, whole[c:, :c]).T
    left = whole[:c, :c] - coefficients @ whole[c:, :c]
    return np.hstack([left, coefficients]).round(6).astype(np.float32)


def _shrink(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    return (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))


def _most_likely(rows: np.ndarray) -> np.ndarray:
    if np.isfinite(rows).all():
        return rows.T @ rows / len(rows)
    covariance = np.eye(rows.shape[1])
    for _ in range(STEPS):
        covariance = _shrink(_moments(rows, covariance)[0], SHRINKAGES[0])
    return covariance


def _moments(rows: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, float]:
    """Mean of E[x xᵀ | observed part of x], and the mean log-density of the observed parts up to a constant."""
    k = len(covariance)
    total, log_density = np.zeros((k, k)), 0.0
    for first in range(0, len(rows), _AT_ONCE):
        x = rows[first : first + _AT_ONCE]
        root = np.isfinite(x) / _NOISE**0.5
        y = root * np.where(np.isfinite(x), x, 0.0)
        scaled = root[:, :, None] * covariance
        system = np.eye(k) + scaled * root[:, None]
        solved = np.linalg.solve(system, np.concatenate([scaled, y[:, :, None]], axis=2))
        mean = np.einsum("nij,ni->nj", scaled, solved[:, :, k])
        total += mean.T @ mean + len(x) * covariance - np.einsum("nij,nik->jk", scaled, solved[:, :, :k])
        log_density -= 0.5 * float(np.sum(np.linalg.slogdet(system)[1]) + np.sum(y * solved[:, :, k]))
    return total / len(rows), log_density / len(rows)
