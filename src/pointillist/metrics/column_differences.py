"""Differences between two sets of rows, one column at a time."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pointillist.lazy import stats
from pointillist.metrics.checks import Seed
from pointillist.metrics.distances import Rows
from pointillist.metrics.mixed_tables import TableLike, check_tables

MAX_DISCRETE = 20
"""Most distinct values of a column of integers that is treated as discrete."""

EXACT_ROWS = 2000
"""Most rows per side for which the exact distribution of the Kolmogorov-Smirnov statistic is computed."""

FEWEST_EXPECTED = 5
"""Least expected count for which the chi-square distribution is trusted (Cochran 1954)."""

N_PERMUTATIONS, N_PERMUTATIONS_OF_MANY, MANY_VALUES = 9999, 999, 100
"""Random divisions for smaller counts; fewer for columns with many values, as each division then takes longer."""


@dataclass(frozen=True)
class ColumnDifference:
    """The difference of one column between rows and data.

    Attributes:
        name: Name of the column.
        kind: `continuous`, `discrete` (few distinct integers) or `label`.
        value: Kolmogorov-Smirnov statistic of a continuous column, otherwise total variation distance, in [0, 1].
        p_value: Probability that independent draws from one distribution differ as much, in (0, 1].
        rows_mean: Mean over rows, nan for labels; `data_mean`, `rows_deviation` and `data_deviation` are alike.
    """

    name: str
    kind: Literal["continuous", "discrete", "label"]
    value: float
    p_value: float
    rows_mean: float = float("nan")
    data_mean: float = float("nan")
    rows_deviation: float = float("nan")
    data_deviation: float = float("nan")

    @property
    def statistic(self) -> str:
        """Abbreviation of `value`: KS (Kolmogorov-Smirnov) or TV (total variation)."""
        return "KS" if self.kind == "continuous" else "TV"


def column_differences(
    real: TableLike, generated: TableLike, *, random_state: Seed = 0
) -> tuple[ColumnDifference, ...]:
    """Compare the marginal distributions of every column.

    A numeric column is discrete if its values on both sides are at most 20 distinct integers. The value of a discrete
    or categorical column is the total variation distance Σ_v |p_v − q_v| / 2. Its p-value comes from the chi-square
    test of homogeneity: by the chi-square distribution, or, if an expected count is below 5, by 9,999 random divisions
    of the pooled rows. For other columns, the value is the largest difference between the two distribution functions,
    and the p-value comes from the two-sample Kolmogorov-Smirnov test, exact up to 2,000 rows per side and too large
    where values tie.

    Missing cells are one more category. Numeric columns with missing cells have two tests, of the values and of the
    fraction of missing cells: the one with the smaller p-value counts, and the p-value is doubled.

    No p-value is corrected for the number of columns. Dependence between columns is not seen.

    Args:
        real: n rows: an array, or a table with the same columns.
        generated: m rows.
        random_state: Seed of the divisions.

    Example:
        >>> import numpy as np
        >>> data = np.array([[0.0, 0.1], [0.0, 0.2], [1.0, 0.3], [1.0, 0.4]])
        >>> rows = np.array([[1.0, 0.9], [1.0, 0.2], [1.0, 0.3], [1.0, 0.4]])
        >>> [(c.kind, c.value) for c in column_differences(data, rows)]
        [('discrete', 0.5), ('continuous', 0.25)]
    """
    data, rows = check_tables(real=real, generated=generated)
    return tuple(_column(name, rows[name], column, random_state) for name, column in data.items())


def _column(name: str, rows: NDArray[Any], data: NDArray[Any], random_state: Any) -> ColumnDifference:
    if data.dtype == object:
        return _labels(name, rows, data, random_state)
    is_missing = np.isnan(rows), np.isnan(data)
    missing = _labels(name, *is_missing, random_state)
    rows, data = rows[~is_missing[0]], data[~is_missing[1]]
    if min(len(rows), len(data)) < 2:
        return missing
    found = _numbers(name, rows, data, np.random.default_rng(random_state))
    if not any(side.any() for side in is_missing):
        return found
    smaller = min(missing, found, key=lambda each: each.p_value)
    return replace(smaller, p_value=min(1.0, 2 * smaller.p_value))


def _labels(name: str, rows: NDArray[Any], data: NDArray[Any], random_state: Any) -> ColumnDifference:
    codes: dict[Any, int] = {}
    sides = [[codes.setdefault(value, len(codes)) for value in side.tolist()] for side in (rows, data)]
    counts = [np.bincount(side, minlength=len(codes)) for side in sides]
    return ColumnDifference(name, "label", *_compare_counts(counts[0], counts[1], np.random.default_rng(random_state)))


def _numbers(name: str, rows: Rows, data: Rows, rng: np.random.Generator) -> ColumnDifference:
    kind: Literal["continuous", "discrete"] = "continuous"
    values = np.unique(np.concatenate([rows, data]))
    if len(values) <= MAX_DISCRETE and np.all(values == np.round(values)):
        kind = "discrete"
        counts = [np.bincount(np.searchsorted(values, side), minlength=len(values)) for side in (rows, data)]
        value, p_value = _compare_counts(counts[0], counts[1], rng)
    else:
        method = "exact" if max(len(rows), len(data)) <= EXACT_ROWS else "asymp"
        result = stats.ks_2samp(rows, data, method=method)
        value, p_value = float(result.statistic), float(result.pvalue)
    means = [function(side) for function in (np.mean, np.std) for side in (rows, data)]
    return ColumnDifference(name, kind, value, p_value, *map(float, means))


def _compare_counts(rows: NDArray[np.int64], data: NDArray[np.int64], rng: np.random.Generator) -> tuple[float, float]:
    """Return the total variation distance of two histograms, and the p-value of the test of homogeneity."""
    m, n, pooled = int(rows.sum()), int(data.sum()), rows + data
    distance = float(np.abs(rows / m - data / n).sum() / 2)
    if len(pooled) == 1:
        return distance, 1.0
    expected = pooled * (m / (m + n))
    weights = (m + n) / n / expected  # of both sides' squared deviations, which are equal
    observed = np.square(rows - expected) @ weights
    if expected.min() * min(1, n / m) >= FEWEST_EXPECTED:
        return distance, float(stats.chi2.sf(observed, len(pooled) - 1))
    n_permutations = N_PERMUTATIONS if len(pooled) <= MANY_VALUES else N_PERMUTATIONS_OF_MANY
    size, as_large = max(1, 2**20 // len(pooled)), 0
    for start in range(0, n_permutations, size):
        drawn = rng.multivariate_hypergeometric(pooled, m, size=min(size, n_permutations - start))
        as_large += int(np.count_nonzero(np.square(drawn - expected) @ weights >= observed * (1 - 1e-9)))
    return distance, (1 + as_large) / (1 + n_permutations)
