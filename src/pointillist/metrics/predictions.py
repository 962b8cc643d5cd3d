"""Scores of predicted distributions of numbers against the observed values.

Standard errors are over the draw of rows, with the predictions held fixed; they are nan for a single row.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import check_rows
from pointillist.metrics.estimate import Estimate, mean_estimate


def crps(draws: ArrayLike, values: ArrayLike) -> Estimate:
    """Continuous ranked probability score of predicted distributions, each given by points, in the unit of the values.

    It is the mean over rows of E|x - y| - E|x - x'| / 2 (Gneiting & Raftery 2007, equation 21) for x and x' from the
    points, y the value. The true distribution has the lowest score on average. Evenly spaced quantiles score as the
    distribution itself; m independent draws score on average E|x - x'| / (2 m) more.

    Args:
        draws: Shape `(n, m)`: points of equal weight of each row's distribution, such as draws or quantiles.
        values: Shape `(n,)`: the observed values.

    Raises:
        ValueError: If the shapes do not fit, or a number is not finite.

    Example:
        >>> crps([[0.0, 2.0], [0.0, 2.0]], [1.0, 0.0])  # 1 - 1/2, and 1 - 1/2
        0.5 ± 0
    """
    points, found = _check_points(draws, values)
    m = points.shape[1]
    # The sum of all distances is a weighted sum of the sorted points.
    weights = 2 * np.arange(1, m + 1) - m - 1
    spread = np.sort(points, axis=1) @ weights / m**2
    return mean_estimate(np.abs(points - found[:, None]).mean(axis=1) - spread)


def interval_coverage(lows: ArrayLike, highs: ArrayLike, values: ArrayLike) -> Estimate:
    """Fraction of values that lie in their predicted intervals, ends included.

    Calibrated central intervals of level 1 - a cover 1 - a of continuous values.

    Args:
        lows: Shape `(n,)`: lower ends, such as quantiles of level a / 2; -inf for none.
        highs: Shape `(n,)`: upper ends; inf for none.
        values: Shape `(n,)`: the observed values.

    Raises:
        ValueError: If the shapes do not fit, an end is NaN, or a value is not finite.

    Example:
        >>> interval_coverage([0, 0, 0, 0], [1, 1, 1, 1], [0.5, 0.2, 1.0, 3.0])
        0.750 ± 0.250
    """
    found = _check_values(values)
    ends = {"lows": np.asarray(lows, np.float64), "highs": np.asarray(highs, np.float64)}
    for name, end in ends.items():
        if end.shape != found.shape:
            raise ValueError(f"{name} has shape {end.shape} but values has {len(found)} row(s): pass one end per value")
        if np.isnan(end).any():
            raise ValueError(f"{name} has a NaN in row {np.isnan(end).argmax()}: drop such rows")
    return mean_estimate(((ends["lows"] <= found) & (found <= ends["highs"])).astype(float))


def pit(draws: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Probability integral transform of each value: the fraction of its predicted distribution below it.

    For calibrated distributions of continuous numbers it is uniform on [0, 1] (Gneiting et al. 2007, "Probabilistic
    forecasts, calibration and sharpness"): a histogram with a hump shows distributions that are too wide, a trough ones
    that are too narrow. With m points it is one of 0, 1 / m, … 1; points that equal the value count half.

    Args:
        draws: Shape `(n, m)`: points of equal weight of each row's distribution, such as draws or quantiles.
        values: Shape `(n,)`: the observed values.

    Raises:
        ValueError: If the shapes do not fit, or a number is not finite.

    Example:
        >>> pit([[0.0, 1.0], [0.0, 1.0]], [0.5, 1.0])
        array([0.5 , 0.75])
    """
    points, found = _check_points(draws, values)
    return ((points < found[:, None]) + 0.5 * (points == found[:, None])).mean(axis=1)


def _check_points(draws: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points, found = check_rows(draws, "draws", min_rows=1), _check_values(values)
    if len(found) != len(points):
        raise ValueError(f"values has shape {found.shape} but draws has {len(points)} row(s): pass one value per row")
    return points, found


def _check_values(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"values has shape {found.shape}: pass one value per row, at least one")
    if not np.isfinite(found).all():
        raise ValueError("values has a number that is not finite: drop such rows")
    return found
