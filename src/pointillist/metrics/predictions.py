"""Scores of predictions: probabilities of classes against labels, and distributions of numbers against values.

Standard errors are over the draw of rows, with the predictions held fixed; they are nan for a single row.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import check_rows
from pointillist.metrics.estimate import Estimate, mean_estimate

SUM_TOLERANCE = 1e-3
"""Largest distance of a row's sum of probabilities from 1: half-precision softmaxes are that far off."""


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, *, n_bins: int = 15) -> Estimate:
    """Mean difference between a classifier's confidence in its top class and its accuracy.

    Rows are put into bins of equal width by their confidence, the probability of the most probable class, and the
    difference |accuracy − mean confidence| of each bin is weighted by its fraction of rows (Guo et al. 2017, arXiv
    1706.04599, equation 3). A bin includes its upper edge; a tie between classes goes to the first.

    The score is biased upwards for finite n, because noise in a bin is a difference too: a calibrated classifier scores
    about √(2/π) Σ_b √(Σ_{i in b} c_i (1 − c_i)) / n with confidences c. Compare scores at the same n and bins.

    Args:
        probabilities: Shape `(n, classes)`, in [0, 1], each row summing to 1 within 1e-3.
        labels: Shape `(n,)`, the index of the true class of each row.
        n_bins: Number of bins over [0, 1], at least 1.

    Returns:
        The score, in [0, 1]. The standard error is by the delta method, with the sign of the difference in the row's
        bin. It leaves out the bias, and is too large, by up to 1.66 times, for a calibrated classifier.

    Raises:
        ValueError: If the probabilities or labels are not as above, or `n_bins` is below 1.

    Example:
        >>> import numpy as np
        >>> sure = np.tile([0.9, 0.1], (10, 1))
        >>> expected_calibration_error(sure, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1])  # 60 % right at 90 %
        0.300 ± 0.163
    """
    probabilities, labels = _check_classes(probabilities, labels)
    if n_bins < 1:
        raise ValueError(f"n_bins is {n_bins} but must be at least 1")
    n = len(labels)
    confidences = probabilities.max(axis=1)
    excess = (probabilities.argmax(axis=1) == labels) - confidences
    bins = np.searchsorted(np.arange(1, n_bins) / n_bins, confidences)  # the first edge that is not below
    differences = np.bincount(bins, excess, minlength=n_bins)
    return Estimate(np.abs(differences).sum() / n, mean_estimate(np.sign(differences)[bins] * excess).standard_error)


def log_loss(probabilities: ArrayLike, labels: ArrayLike) -> Estimate:
    """Mean of −log p of the true class, in nats: the negative log-likelihood of a classifier per row.

    The true probabilities have the lowest value on average. Uniform guessing scores log(classes).

    Args:
        probabilities: Shape `(n, classes)`, in [0, 1], each row summing to 1 within 1e-3.
        labels: Shape `(n,)`, the index of the true class of each row.

    Returns:
        The mean, at least 0. A row counts at most 708.4, because probabilities are clipped at the
        smallest normal float64.

    Raises:
        ValueError: If the probabilities or labels are not as above.

    Example:
        >>> log_loss([[0.5, 0.5], [0.25, 0.75]], [0, 1])  # (log 2 + log 4/3) / 2
        0.490 ± 0.203
    """
    probabilities, labels = _check_classes(probabilities, labels)
    chosen = probabilities[np.arange(len(labels)), labels]
    return mean_estimate(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)))


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


def _check_classes(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    if np.ndim(probabilities) == 1:
        raise ValueError(
            "probabilities has 1 dimension(s) but needs 2, rows and classes: "
            "write np.column_stack([1 - p, p]) for the probabilities p of class 1 of two"
        )
    probabilities, labels = check_rows(probabilities, "probabilities", min_rows=1), np.asarray(labels)
    n, classes = probabilities.shape
    for row, column in np.argwhere((probabilities < 0) | (probabilities > 1)):
        value = f"{probabilities[row, column]:.3g} in row {row}, column {column}"
        raise ValueError(f"probabilities has {value}, outside [0, 1]: apply a softmax to logits first")
    sums = probabilities.sum(axis=1)
    for row in np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE):
        raise ValueError(f"probabilities sums to {sums[row]:.4g} in row {row} but must sum to 1: divide each row by it")
    if labels.shape != (n,):
        hint = "take labels.argmax(axis=1) of one-hot rows" if labels.ndim == 2 else "pass one label per row"
        raise ValueError(f"labels has shape {labels.shape} but probabilities has {n} row(s): {hint}")
    if labels.dtype.kind not in "biu":
        raise ValueError(f"labels is an array of {labels.dtype} but needs integers: pass the index of each true class")
    for row in np.flatnonzero((labels < 0) | (labels >= classes)):
        raise ValueError(
            f"labels has {labels[row]} in row {row} but probabilities has {classes} column(s): "
            f"number the classes from 0 to {classes - 1} in the order of the columns"
        )
    return probabilities, labels.astype(np.int64)


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
