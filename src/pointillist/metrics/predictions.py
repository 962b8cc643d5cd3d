"""How well predicted distributions of numbers fit what came: CRPS, coverage of intervals, and the PIT."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import check_rows
from pointillist.metrics.estimate import Estimate


def crps(draws: ArrayLike, values: ArrayLike) -> Estimate:
    """Continuous ranked probability score of predicted distributions, each given by points, in the unit of the values.

    It is E|x - y| - E|x - x'| / 2 (Gneiting & Raftery 2007, equation 21) for x and x' from the points, y the value; the
    mean over rows. The true distribution has the lowest score on average. Evenly spaced quantiles give that of the
    distribution itself; m independent draws give on average E|x - x'| / (2 m) more.

    Args:
        draws: Shape `(n, m)`: points of equal weight of each row's distribution, such as draws or quantiles.
        values: Shape `(n,)`: what came.

    Returns:
        The score, at least 0, with its standard error over the draw of rows; nan for a single row.

    Raises:
        ValueError: If the shapes do not fit, or a number is not finite.

    Example:
        >>> crps([[0.0, 2.0], [0.0, 2.0]], [1.0, 0.0])  # 1 - 1/2, and 1 - 1/2
        0.5 ± 0
    """
    points, found = _checked(draws, values)
    m = points.shape[1]
    # Of sorted points, the sum of all distances is one of points with weights.
    weights = 2 * np.arange(1, m + 1) - m - 1
    spread = np.sort(points, axis=1) @ weights / m**2
    return _mean(np.abs(points - found[:, None]).mean(axis=1) - spread)


def interval_coverage(lows: ArrayLike, highs: ArrayLike, values: ArrayLike) -> Estimate:
    """Share of values that lie in their predicted intervals, ends included.

    Calibrated central intervals of level 1 - a cover 1 - a of continuous values.

    Args:
        lows: Shape `(n,)`: lower ends, such as quantiles of level a / 2; -inf for none.
        highs: Shape `(n,)`: upper ends; inf for none.
        values: Shape `(n,)`: what came.

    Returns:
        The share, with its standard error over the draw of rows; nan for a single row.

    Raises:
        ValueError: If the shapes do not fit, an end is NaN, or a value is not finite.

    Example:
        >>> interval_coverage([0, 0, 0, 0], [1, 1, 1, 1], [0.5, 0.2, 1.0, 3.0])
        0.750 ± 0.250
    """
    found = _finite(values)
    ends = []
    for name, given in (("lows", lows), ("highs", highs)):
        end = np.asarray(given, np.float64)
        if end.shape != found.shape:
            raise ValueError(f"{name} has shape {end.shape} but values has {len(found)} row(s): pass one end per value")
        if np.isnan(end).any():
            raise ValueError(f"{name} has a NaN in row {np.isnan(end).argmax()}: drop such rows")
        ends.append(end)
    return _mean(((ends[0] <= found) & (found <= ends[1])).astype(float))


def pit(draws: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Probability integral transform of each value: the share of its predicted distribution below it.

    The shares of calibrated distributions of continuous numbers are uniform on [0, 1] (Gneiting et al. 2007,
    "Probabilistic forecasts, calibration and sharpness"): a histogram with a hump shows distributions that are too
    wide, a trough ones that are too narrow. Of m points, a share is one of 0, 1 / m, … 1; points that equal the value
    count half.

    Args:
        draws: Shape `(n, m)`: points of equal weight of each row's distribution, such as draws or quantiles.
        values: Shape `(n,)`: what came.

    Raises:
        ValueError: If the shapes do not fit, or a number is not finite.

    Example:
        >>> pit([[0.0, 1.0], [0.0, 1.0]], [0.5, 1.0])
        array([0.5 , 0.75])
    """
    points, found = _checked(draws, values)
    return ((points < found[:, None]) + 0.5 * (points == found[:, None])).mean(axis=1)


def _checked(draws: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points, found = check_rows(draws, "draws", min_rows=1), _finite(values)
    if len(found) != len(points):
        raise ValueError(f"values has shape {found.shape} but draws has {len(points)} row(s): pass one value per row")
    return points, found


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"values has shape {found.shape}: pass one value per row, at least one")
    if not np.isfinite(found).all():
        raise ValueError("values has a number that is not finite: drop such rows")
    return found


def _mean(scores: NDArray[np.float64]) -> Estimate:
    n = len(scores)
    return Estimate(scores.mean(), scores.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan)
