"""Rows measured against data."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.evaluation.plain import as_plain
from pointillist.evaluation.verdict import LEVEL, holm, say_verdict
from pointillist.metrics import (
    ColumnDifference,
    CorrelationDifferences,
    EnergyTest,
    Estimate,
    Floor,
    ManifoldScores,
    NearestRecords,
    column_differences,
    correlation_differences,
    emd,
    energy_test,
    expected_coverage,
    floor,
    label_difference,
    manifold_scores,
    nearest_records,
    two_sample_test,
)
from pointillist.metrics.checks import check_pair

MIN_ROWS = 10
"""Fewer rows on a side show nothing."""

ENERGY_ROWS = 4000
"""Rows a side of the energy test: 8,000² distances in float32 are 256 MB."""

EMD_ROWS = 250

# Rows a side of the forest and of the manifold scores: both take seconds, and the more the more columns there are.
SLOW_ROWS = 2000
SLOW_ROWS_OF_MANY = 1000
MANY_COLUMNS = 16

NEIGHBOURS = 5


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured of rows against data. All but `columns` and `correlations` is of scaled columns.

    Attributes:
        m: Rows.
        n: Data rows.
        d: Columns.
        names: Of the columns.
        energy: Energy distance with its permutation test.
        two_sample: Accuracy of a random forest that tells rows from data; 0.5 at its best.
        two_sample_rows: Rows a side that the forest saw.
        two_sample_p_value: Of an accuracy above 0.5.
        emd: Earth mover's distance between subsamples.
        emd_floor: The same between halves of the data.
        emd_rows: Rows a subsample.
        manifold: Precision, recall, density and coverage, of as many rows on both sides.
        manifold_floor: The same of one half of the data against the other; density and coverage by theory.
        manifold_rows: Rows a side.
        nearest: Distances to the closest data records.
        copies_p_value: That independent rows would have as many exact copies, given the data's own duplicates.
        closer_p_value: Of a `share_closer` above 0.5.
        training_p_value: Of a `closer_to_training` above 0.5; None without held-out rows.
        columns: Each column's difference, in the unit of the column.
        correlations: Differences of correlations.
        labels: Difference of the labels' shares; None without labels.
        seconds: That the evaluation took.
    """

    m: int
    n: int
    d: int
    names: tuple[str, ...]
    energy: EnergyTest
    two_sample: Estimate
    two_sample_rows: int
    two_sample_p_value: float
    emd: Estimate
    emd_floor: Floor
    emd_rows: int
    manifold: ManifoldScores
    manifold_floor: ManifoldScores
    manifold_rows: int
    nearest: NearestRecords
    copies_p_value: float
    closer_p_value: float
    training_p_value: float | None
    columns: tuple[ColumnDifference, ...]
    correlations: CorrelationDifferences
    labels: ColumnDifference | None
    seconds: float

    @cached_property
    def p_values(self) -> dict[str, float]:
        """Of each test that could tell rows from data.

        The columns count as one test: the smallest of their p-values, times their number. Permutation tests, whose
        p-values are 0.001 at the least, could otherwise never reject in a table of many columns.
        """
        p_values = {"energy distance": self.energy.p_value, "random forest": self.two_sample_p_value}
        p_values["columns"] = min(1.0, self.d * min(column.p_value for column in self.columns))
        if self.correlations.pair is not None:
            p_values["correlations"] = self.correlations.p_value
        if self.labels is not None:
            p_values["labels"] = self.labels.p_value
        return p_values

    @cached_property
    def adjusted_p_values(self) -> dict[str, float]:
        """`p_values` with Holm's correction for their number: below 0.01 the two are told apart."""
        return holm(self.p_values)

    @property
    def can_be_told_apart(self) -> bool:
        """Whether any test tells rows from data, at the level 0.01 over all of them."""
        return min(self.adjusted_p_values.values()) <= LEVEL

    @property
    def worst_columns(self) -> tuple[ColumnDifference, ...]:
        """The columns, the one that differs most surely first."""
        return tuple(sorted(self.columns, key=lambda column: (column.p_value, -column.value)))

    @cached_property
    def verdict(self) -> str:
        """One line: whether rows and data can be told apart, by what, and whether rows look copied."""
        return say_verdict(self)

    def to_json(self) -> dict[str, Any]:
        """All numbers, their standard errors and p-values, as what JSON knows; None where a number is not known."""
        return as_plain(self)


def evaluate_numbers(
    rows: ArrayLike,
    data: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    label_name: str | None = None,
    rows_labels: Sequence[Hashable] | NDArray[Any] | None = None,
    data_labels: Sequence[Hashable] | NDArray[Any] | None = None,
    holdout: ArrayLike | None = None,
    random_state: int = 0,
) -> Evaluation:
    """Measure how like the data rows of numbers are, and whether they can be told apart from it.

    Columns are divided by the data's standard deviation, constant ones left as they are, for all but what is measured
    column by column. Large tables are subsampled: to 4,000 rows a side for the energy test, 2,000 for the random forest
    and the manifold scores (1,000 beyond 16 columns), 5,000 for correlations and nearest records; columns and labels
    are compared on all rows.

    Args:
        rows: Shape `(m, d)`, m at least 10.
        data: Shape `(n, d)`, n at least 10.
        names: d names of columns; their numbers if None.
        label_name: What the labels are called.
        rows_labels: m labels, of any kind.
        data_labels: n labels.
        holdout: Shape `(h, d)`: rows of the data's distribution that the maker of `rows` did not see, at least 2.
        random_state: Seed of all that is drawn.

    Returns:
        What was measured.

    Raises:
        ValueError: In one line, if a side is not a finite `(n, d)` array of at least 10 rows, the columns differ, the
            names are not d, or there are labels of one side only or not one a row.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> data = rng.normal(size=(300, 2))
        >>> evaluate_numbers(rng.normal(size=(200, 2)), data).verdict
        'Cannot be told apart from the data at the 1 % level with so many rows (200 against 300).'
    """
    start = time.perf_counter()
    rows, data = check_pair(rows, data, ("rows", "data"), MIN_ROWS)
    (m, d), n = rows.shape, len(data)
    if names is not None and len(names) != d:
        raise ValueError(f"names has {len(names)} name(s) but rows has {d} column(s): pass one a column")
    columns = column_differences(rows, data, names=names, random_state=random_state)
    labels = _compare_labels(rows_labels, data_labels, m, n, label_name or "label", random_state)
    correlations = correlation_differences(rows, data, random_state=random_state)

    deviations = np.where(np.ptp(data, axis=0) > 0, data.std(axis=0), 0.0)  # of equal values it may be rounding
    scale = np.where(deviations > 0, deviations, 1.0)
    near_rows, near_data = check_pair(rows / scale, data / scale, ("rows, scaled,", "data, scaled,"))
    if holdout is not None:
        holdout = check_pair(data, holdout, ("data", "holdout"))[1] / scale
    nearest = nearest_records(near_rows, near_data, holdout=holdout, random_state=random_state)
    training = nearest.closer_to_training
    slow_rows = SLOW_ROWS if d <= MANY_COLUMNS else SLOW_ROWS_OF_MANY
    two_sample = two_sample_test(near_rows, near_data, max_rows=slow_rows, random_state=random_state)
    emd_rows = min(EMD_ROWS, n // 2, m)
    manifold, manifold_floor = _manifold(near_rows, near_data, slow_rows, random_state)
    return Evaluation(
        m=m,
        n=n,
        d=d,
        names=tuple(column.name for column in columns),
        energy=energy_test(near_rows, near_data, max_rows=ENERGY_ROWS, random_state=random_state),
        two_sample=two_sample,
        two_sample_rows=min(m, n, slow_rows),
        two_sample_p_value=_above_half(two_sample, two_sample.null_standard_error),
        emd=emd(near_rows, near_data, n_subsample=emd_rows, random_state=random_state),
        emd_floor=floor(partial(emd, n_subsample=emd_rows, n_repeats=1), near_data, random_state=random_state),
        emd_rows=emd_rows,
        manifold=manifold,
        manifold_floor=manifold_floor,
        manifold_rows=min(m, n // 2, slow_rows),
        nearest=nearest,
        copies_p_value=_copies_p_value(nearest, m, n),
        closer_p_value=_above_half(nearest.share_closer, nearest.share_closer.standard_error),
        training_p_value=None if training is None else _above_half(training, training.null_standard_error),
        columns=columns,
        correlations=correlations,
        labels=labels,
        seconds=time.perf_counter() - start,
    )


def _compare_labels(
    rows_labels: Sequence[Hashable] | NDArray[Any] | None,
    data_labels: Sequence[Hashable] | NDArray[Any] | None,
    m: int,
    n: int,
    name: str,
    random_state: int,
) -> ColumnDifference | None:
    if rows_labels is None and data_labels is None:
        return None
    for side, labels, size in (("rows", rows_labels, m), ("data", data_labels, n)):
        if labels is None:
            raise ValueError(f"{side}_labels is missing: pass the labels of both rows and data, or neither")
        if len(labels) != size:
            raise ValueError(f"{side}_labels has {len(labels)} label(s) but {side} has {size} row(s): pass one a row")
    assert rows_labels is not None and data_labels is not None
    return label_difference(rows_labels, data_labels, name=name, random_state=random_state)


def _manifold(
    rows: NDArray[np.float64], data: NDArray[np.float64], max_rows: int, random_state: int
) -> tuple[ManifoldScores, ManifoldScores]:
    """The scores, and those of the data itself, at one number of rows on all sides."""
    size = min(len(rows), len(data) // 2, max_rows)
    k = min(NEIGHBOURS, size - 1)
    rng = np.random.default_rng(random_state)
    some, order = rng.permutation(len(rows))[:size], rng.permutation(len(data))
    one, other = data[order[:size]], data[order[size : 2 * size]]
    scores, itself = manifold_scores(one, rows[some], k=k), manifold_scores(one, other, k=k)
    best = ManifoldScores(
        itself.precision, itself.recall, Estimate(1, 0), Estimate(expected_coverage(size, size, k), 0)
    )
    return scores, best


def _above_half(estimate: Estimate, error: float) -> float:
    """One-sided p-value of a share above 0.5; an error of zero leaves no doubt, either way."""
    from scipy.stats import t

    if error == 0:
        return 0.0 if estimate > 0.5 else 1.0
    return float(t.sf((estimate - 0.5) / error, estimate.degrees_of_freedom))


def _copies_p_value(nearest: NearestRecords, m: int, n: int) -> float:
    """Of Fisher's one-sided exact test that rows equal data records more often than those equal one another.

    Records are no independent trials. The chance that a row has an equal record, less the share p of records that have
    one, has a variance of at most (p (1 − p) + p) / n (Esty 1983, with every duplicate one of a pair), and hence that
    of n (1 − p) / (2 − p) trials.
    """
    from scipy.stats import hypergeom

    share = nearest.duplicate_share
    trials = max(1, int(n * (1 - share) / (2 - share)))
    duplicates = round(share * trials)
    return float(hypergeom.sf(nearest.exact_copies - 1, m + trials, nearest.exact_copies + duplicates, m))
