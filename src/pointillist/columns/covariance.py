"""The covariance of numbers of which some may not be there, as if they were jointly normal."""

import numpy as np
from jaxtyping import Bool, Float

MOST_ROWS = 2000
"""Most rows that a covariance is learned from."""

STEPS = 8
"""Steps of expectation-maximization where numbers are not there. More fit the rows better, and others worse."""

SHRINKAGES = (1e-4, 1e-3, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Shares of independence that held-out rows choose among."""

HELD_OUT = 5
"""One of so many rows is held out for that."""

SMALLEST_VARIANCE = 1e-5
"""Smallest variance of a number along an axis."""

_NOISE = 1e-6
"""Variance of the noise that a number is known with, which keeps systems of equations regular."""

_AT_ONCE = 256


def estimate_covariance(numbers: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "k k"]:
    """Learns the covariance of numbers whose mean is 0, NaN where there is none.

    It is that of greatest likelihood under N(0, C), by expectation-maximization where numbers are not there (Little &
    Rubin 2019, Statistical Analysis with Missing Data, section 11.2), less a share of all that is not on its diagonal,
    which is chosen by the likelihood of held-out rows.

    Args:
        numbers: The numbers, of which at most 2,000 rows are used, evenly spaced.
    """
    n, k = numbers.shape
    rows = np.asarray(numbers[np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(np.int64)], np.float64)
    # Rows may come in an order.
    rows = rows[np.isfinite(rows).any(axis=1)]
    rows = np.random.default_rng(0).permutation(rows)
    if len(rows) < HELD_OUT:
        return np.eye(k, dtype=np.float32)
    m = len(rows) // HELD_OUT
    learned = _most_likely(rows[m:])
    shrinkage = max(SHRINKAGES, key=lambda shrinkage: _moments(rows[:m], _shrink(learned, shrinkage))[1])
    # The last digits of sums are not the same with every number of threads, and a stopped fit goes on with the same.
    return _shrink(_most_likely(rows), shrinkage).round(6).astype(np.float32)


def principal_axes(
    covariance: Float[np.ndarray, "k k"], is_rotated: Bool[np.ndarray, " k"]
) -> Float[np.ndarray, "k k"]:
    """Principal axes of some numbers together, in columns, each as long as its standard deviation; own ones of others.

    Args:
        covariance: The covariance of all numbers.
        is_rotated: Which have axes together.
    """
    variance = covariance.diagonal().astype(np.float64)
    axes = np.eye(len(covariance))
    indices = np.flatnonzero(is_rotated)
    block = np.ix_(indices, indices)
    variance[indices], vectors = np.linalg.eigh(covariance[block].astype(np.float64))
    # The last digits are not the same with every number of threads.
    axes[block] = vectors.round(7)
    return (axes * np.sqrt(np.maximum(variance, SMALLEST_VARIANCE))).astype(np.float32)


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
    """Mean of x xᵀ given what there is of each row, and the mean log-density of that, less a constant."""
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
