"""Differences between two sets of rows, one column at a time."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.arguments import is_missing
from pointillist.metrics.checks import check_pair
from pointillist.metrics.distances import Rows

# A column of integers with more distinct values than this is treated as continuous.
MAX_DISCRETE = 20

# Up to so many rows per side, the exact distribution of the Kolmogorov-Smirnov statistic costs next to nothing.
EXACT_ROWS = 2000

# Below this expected count the chi-square distribution is not to be trusted (Cochran 1954).
FEWEST_EXPECTED = 5

# Random divisions of the counts where it is not; fewer for so many values that each costs a while.
N_PERMUTATIONS = 9999
N_PERMUTATIONS_OF_MANY = 999
MANY_VALUES = 100


@dataclass(frozen=True)
class ColumnDifference:
    """The difference of one column between rows and data.

    Attributes:
        name: Name of the column.
        kind: `continuous`, `discrete` (few distinct integers) or `label`.
        value: Kolmogorov-Smirnov statistic of a continuous column, otherwise total variation distance, in [0, 1].
        p_value: Probability that independent draws from one distribution differ as much, in (0, 1].
        rows_mean: Mean over rows; this and the attributes below are nan for labels.
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
    data: ArrayLike,
    rows: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    random_state: int | np.random.Generator | None = 0,
) -> tuple[ColumnDifference, ...]:
    """Compare the marginal distributions of every column.

    A column is discrete if all its values on both sides are integers, at most 20 distinct ones. Its value is
    the total variation distance Σ_v |p_v − q_v| / 2 between the shares of the values. Its p-value is that of the
    chi-square test of homogeneity: by the chi-square distribution, or, if an expected count is below 5, by 9,999 random
    divisions of the pooled rows. For other columns, the value is the largest difference between the two distribution
    functions, and the p-value is that of the two-sample Kolmogorov-Smirnov test, exact up to 2,000 rows per side and
    too large where values tie.

    No p-value is corrected for the number of columns. Differences in how columns depend on each other go unseen.

    Args:
        data: Shape `(n, d)`.
        rows: Shape `(m, d)`.
        names: Names of the d columns; their numbers if None.
        random_state: Seed of the divisions.

    Returns:
        One difference per column, in the columns' order.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or there are not d names.

    Example:
        >>> import numpy as np
        >>> data = np.array([[0.0, 0.1], [0.0, 0.2], [1.0, 0.3], [1.0, 0.4]])
        >>> rows = np.array([[1.0, 0.9], [1.0, 0.2], [1.0, 0.3], [1.0, 0.4]])
        >>> [(c.kind, c.value) for c in column_differences(data, rows)]
        [('discrete', 0.5), ('continuous', 0.25)]
    """
    rows, data = check_pair(rows, data, ("rows", "data"))
    d = rows.shape[1]
    names = [str(column) for column in range(d)] if names is None else list(names)
    if len(names) != d:
        raise ValueError(f"names has {len(names)} name(s) but rows has {d} column(s): pass one per column")
    rng = np.random.default_rng(random_state)
    return tuple(_column(name, a, b, rng) for name, a, b in zip(names, rows.T, data.T, strict=True))


def label_difference(
    data_labels: Sequence[Hashable] | NDArray[Any],
    rows_labels: Sequence[Hashable] | NDArray[Any],
    *,
    name: str = "label",
    random_state: int | np.random.Generator | None = 0,
) -> ColumnDifference:
    """Compare the shares of labels, as `column_differences` does for a discrete column.

    Args:
        data_labels: The n labels of the data.
        rows_labels: The m labels of the rows, of any hashable type.
        name: Name of the column they come from.
        random_state: Seed of the random divisions.

    Returns:
        Total variation distance and p-value; the means are nan.

    Raises:
        ValueError: If a side has no labels, or a missing one (None or NaN).

    Example:
        >>> label_difference(["a", "b", "b", "b"], ["a", "a", "b", "b"]).value
        0.25
    """
    codes: dict[Hashable, int] = {}
    sides = []
    for side, labels in (("rows_labels", rows_labels), ("data_labels", data_labels)):
        values = np.asarray(labels).tolist() if isinstance(labels, np.ndarray) else list(labels)
        if not values:
            raise ValueError(f"{side} is empty: pass one label per row")
        missing = [i for i, value in enumerate(values) if is_missing(value)]
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
