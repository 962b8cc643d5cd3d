"""Differences between two sets of rows, one column at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import check_pair
from pointillist.metrics.distances import Rows

# A column of whole numbers with more distinct values than this is treated as continuous.
MAX_DISCRETE = 20

# Up to so many rows a side, the exact law of the Kolmogorov-Smirnov statistic costs next to nothing.
EXACT_ROWS = 2000

# Below this expected count the chi-square law is not to be trusted (Cochran 1954).
FEWEST_EXPECTED = 5

# Random divisions of the counts where it is not; fewer for so many values that each costs a while.
N_PERMUTATIONS = 9999
N_PERMUTATIONS_OF_MANY = 999
MANY_VALUES = 100


@dataclass(frozen=True)
class ColumnDifference:
    """How one column differs between rows and data.

    Attributes:
        name: The column's.
        kind: `continuous`, `discrete` (few whole numbers) or `label`.
        value: Kolmogorov-Smirnov statistic of a continuous column, else total variation distance, in [0, 1].
        p_value: That independent draws of one law differ as much, in (0, 1].
        rows_mean: Mean over rows; nan for labels, as are those below.
        data_mean: Mean over data.
        rows_deviation: Standard deviation over rows.
        data_deviation: Standard deviation over data.
    """

    name: str
    kind: Literal["continuous", "discrete", "label"]
    value: float
    p_value: float
    rows_mean: float = float("nan")
    data_mean: float = float("nan")
    rows_deviation: float = float("nan")
    data_deviation: float = float("nan")


def column_differences(
    rows: ArrayLike,
    data: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> tuple[ColumnDifference, ...]:
    """Compare every column's marginal law.

    A column is discrete where all its values on both sides are whole numbers, at most 20 distinct ones. Its value is
    the total variation distance Σ_v |p_v − q_v| / 2 between the shares of the values, and its p-value that of the
    chi-square test of homogeneity: by the chi-square law, or, where an expected count is below 5, by 9,999 random
    divisions of the pooled rows. Other columns have the largest difference between the two distribution functions and
    the p-value of the two-sample Kolmogorov-Smirnov test, exact up to 2,000 rows a side and too large where values tie.

    No p-value is corrected for the number of columns. What columns do together goes unseen.

    Args:
        rows: Shape `(m, d)`.
        data: Shape `(n, d)`.
        names: d names; the columns' numbers if None.
        random_state: Seed of the divisions.

    Returns:
        One difference a column, in the columns' order.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or there are not d names.

    Example:
        >>> import numpy as np
        >>> data = np.array([[0.0, 0.1], [0.0, 0.2], [1.0, 0.3], [1.0, 0.4]])
        >>> rows = np.array([[1.0, 0.9], [1.0, 0.2], [1.0, 0.3], [1.0, 0.4]])
        >>> [(c.kind, c.value) for c in column_differences(rows, data)]
        [('discrete', 0.5), ('continuous', 0.25)]
    """
    rows, data = check_pair(rows, data, ("rows", "data"))
    d = rows.shape[1]
    names = [str(column) for column in range(d)] if names is None else list(names)
    if len(names) != d:
        raise ValueError(f"names has {len(names)} name(s) but rows has {d} column(s): pass one a column")
    rng = np.random.default_rng(random_state)
    return tuple(_column(name, a, b, rng) for name, a, b in zip(names, rows.T, data.T, strict=True))


def label_difference(
    rows_labels: Sequence[Hashable] | NDArray[Any],
    data_labels: Sequence[Hashable] | NDArray[Any],
    *,
    name: str = "label",
    random_state: int | np.random.Generator | None = 0,
) -> ColumnDifference:
    """Compare the shares of labels, as `column_differences` does those of a discrete column.

    Args:
        rows_labels: m labels, of any kind that can be told apart.
        data_labels: n labels.
        name: Of the column they come from.
        random_state: Seed of the random divisions.

    Returns:
        Total variation distance and p-value; the means are nan.

    Raises:
        ValueError: If a side has no labels, or one that is missing (None or NaN).

    Example:
        >>> label_difference(["a", "a", "b", "b"], ["a", "b", "b", "b"]).value
        0.25
    """
    codes: dict[Hashable, int] = {}
    sides = []
    for side, labels in (("rows_labels", rows_labels), ("data_labels", data_labels)):
        values = np.asarray(labels).tolist() if isinstance(labels, np.ndarray) else list(labels)
        if not values:
            raise ValueError(f"{side} is empty: pass one label a row")
        missing = [i for i, value in enumerate(values) if value is None or value != value]
        if missing:
            raise ValueError(f"{side} has no label in row {missing[0]}: drop or fill such rows first")
        sides.append(np.array([codes.setdefault(value, len(codes)) for value in values]))
    counts = [np.bincount(side, minlength=len(codes)) for side in sides]
    value, p_value = _compare_counts(counts[0], counts[1], np.random.default_rng(random_state))
    return ColumnDifference(name, "label", value, p_value)


def _column(name: str, rows: Rows, data: Rows, rng: np.random.Generator) -> ColumnDifference:
    kind: Literal["continuous", "discrete"] = "continuous"
    values = np.unique(np.concatenate([rows, data]))
    if len(values) <= MAX_DISCRETE and np.all(values == np.round(values)):
        kind = "discrete"
        counts = [np.bincount(np.searchsorted(values, side), minlength=len(values)) for side in (rows, data)]
        value, p_value = _compare_counts(counts[0], counts[1], rng)
    else:
        from scipy.stats import ks_2samp

        method = "exact" if max(len(rows), len(data)) <= EXACT_ROWS else "asymp"
        result = ks_2samp(rows, data, method=method)
        value, p_value = float(result.statistic), float(result.pvalue)
    return ColumnDifference(
        name, kind, value, p_value, float(rows.mean()), float(data.mean()), float(rows.std()), float(data.std())
    )


def _compare_counts(rows: NDArray[np.int64], data: NDArray[np.int64], rng: np.random.Generator) -> tuple[float, float]:
    """Total variation distance of two histograms, and the p-value of their homogeneity."""
    from scipy.stats import chi2

    m, n, pooled = int(rows.sum()), int(data.sum()), rows + data
    distance = float(np.abs(rows / m - data / n).sum() / 2)
    if len(pooled) == 1:
        return distance, 1.0
    expected = pooled * (m / (m + n))
    weights = (m + n) / n / expected  # of both sides' squared deviations, which are equal
    observed = np.square(rows - expected) @ weights
    if expected.min() * min(1, n / m) >= FEWEST_EXPECTED:
        return distance, float(chi2.sf(observed, len(pooled) - 1))
    n_permutations = N_PERMUTATIONS if len(pooled) <= MANY_VALUES else N_PERMUTATIONS_OF_MANY
    size, as_large = max(1, 2**20 // len(pooled)), 0
    for start in range(0, n_permutations, size):
        drawn = rng.multivariate_hypergeometric(pooled, m, size=min(size, n_permutations - start))
        as_large += int(np.count_nonzero(np.square(drawn - expected) @ weights >= observed * (1 - 1e-9)))
    return distance, (1 + as_large) / (1 + n_permutations)
