"""Calibration error and log loss of predicted class probabilities."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import check_rows
from pointillist.metrics.estimate import Estimate

# How far the probabilities of a row may sum from 1: half-precision softmaxes are that far off.
SUM_TOLERANCE = 1e-3


def expected_calibration_error(probabilities: ArrayLike, labels: ArrayLike, *, n_bins: int = 15) -> Estimate:
    """Mean gap between a classifier's confidence in its top class and how often it is right.

    Rows are put into bins of equal width by their confidence, the probability of the most probable class,
    and the gap |accuracy − mean confidence| of each bin is weighted by its share of rows (Guo et al. 2017,
    arXiv 1706.04599, equation 3). A bin includes its upper edge; a tie between classes goes to the first.

    The score is biased upwards for finite n, because noise in a bin opens a gap too: a calibrated classifier scores
    about √(2/π) Σ_b √(Σ_{i in b} c_i (1 − c_i)) / n with confidences c. Compare scores at the same n and bins.

    Args:
        probabilities: Shape `(n, classes)`, in [0, 1], each row summing to 1 within 1e-3.
        labels: Shape `(n,)`, the index of the true class of each row.
        n_bins: Number of bins over [0, 1], at least 1.

    Returns:
        The score, in [0, 1]. The standard error is over the draw of rows with the classifier held fixed, by
        the delta method, with the sign of the gap of the row's bin. It leaves out the bias, and is too large, by up to
        1.66 times, for a calibrated classifier. It is nan for a single row.

    Raises:
        ValueError: If the probabilities or labels are not as above, or `n_bins` is below 1.

    Example:
        >>> import numpy as np
        >>> sure = np.tile([0.9, 0.1], (10, 1))
        >>> expected_calibration_error(sure, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1])  # 60 % right at 90 %
        0.300 ± 0.163
    """
    probabilities, labels = _check_predictions(probabilities, labels)
    if n_bins < 1:
        raise ValueError(f"n_bins is {n_bins} but must be at least 1")
    n = len(labels)
    confidences = probabilities.max(axis=1)
    excess = (probabilities.argmax(axis=1) == labels) - confidences
    edges = np.arange(1, n_bins) / n_bins
    bins = np.searchsorted(edges, confidences)  # the first edge that is not below
    gaps = np.bincount(bins, excess, minlength=n_bins)
    error = (np.sign(gaps)[bins] * excess).std(ddof=1) / math.sqrt(n) if n > 1 else math.nan
    return Estimate(np.abs(gaps).sum() / n, error)


def log_loss(probabilities: ArrayLike, labels: ArrayLike) -> Estimate:
    """Mean of −log p of the true class, in nats: the negative log-likelihood of a classifier per row.

    The true probabilities have the lowest value on average. Uniform guessing scores log(classes).

    Args:
        probabilities: Shape `(n, classes)`, in [0, 1], each row summing to 1 within 1e-3.
        labels: Shape `(n,)`, the index of the true class of each row.

    Returns:
        The mean, at least 0. A row counts at most 708.4, because probabilities are clipped at the
        smallest normal float64. The standard error is that of the mean over the draw of rows, with the
        classifier held fixed; nan for a single row.

    Raises:
        ValueError: If the probabilities are not a finite `(n, classes)` array of rows that sum to 1, or the
            labels are not n indices of classes.

    Example:
        >>> log_loss([[0.5, 0.5], [0.25, 0.75]], [0, 1])  # (log 2 + log 4/3) / 2
        0.490 ± 0.203
    """
    probabilities, labels = _check_predictions(probabilities, labels)
    n = len(labels)
    losses = -np.log(np.maximum(probabilities[np.arange(n), labels], np.finfo(np.float64).tiny))
    return Estimate(losses.mean(), losses.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan)


def _check_predictions(probabilities: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.integer]]:
    """Return both as arrays, or say in one line what is wrong with them and the way out."""
    if np.ndim(probabilities) == 1:
        raise ValueError(
            "probabilities has 1 dimension(s) but needs 2, rows and classes: "
            "write np.column_stack([1 - p, p]) for the probabilities p of class 1 of two"
        )
    probabilities = check_rows(probabilities, "probabilities", min_rows=1)
    n, classes = probabilities.shape
    sums, labels = probabilities.sum(axis=1), np.asarray(labels)
    if ((probabilities < 0) | (probabilities > 1)).any():
        row, column = np.argwhere((probabilities < 0) | (probabilities > 1))[0]
        problem = f"{probabilities[row, column]:.3g} in row {row}, column {column}, outside [0, 1]"
        raise ValueError(f"probabilities has {problem}: apply a softmax to logits first")
    if (off := np.flatnonzero(np.abs(sums - 1) > SUM_TOLERANCE)).size:
        raise ValueError(
            f"probabilities sums to {sums[off[0]]:.4g} in row {off[0]} but must sum to 1: "
            "pass the probabilities of all classes, or divide each row by its sum"
        )
    if labels.shape != (n,):
        hint = "take labels.argmax(axis=1) of one-hot rows" if labels.ndim == 2 else "pass one label per row"
        raise ValueError(f"labels has shape {labels.shape} but probabilities has {n} row(s): {hint}")
    if labels.dtype.kind not in "biu":
        raise ValueError(f"labels is an array of {labels.dtype} but needs integers: pass the index of each true class")
    if (wrong := np.flatnonzero((labels < 0) | (labels >= classes))).size:
        raise ValueError(
            f"labels has {labels[wrong[0]]} in row {wrong[0]} but probabilities has {classes} column(s): "
            f"number the classes from 0 to {classes - 1} in the order of the columns"
        )
    return probabilities, labels.astype(np.int64)
