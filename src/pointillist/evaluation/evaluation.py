"""Measures rows against data, with real rows and independent columns as baselines."""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.evaluation.inputs import columns_of
from pointillist.evaluation.json_values import json_value
from pointillist.evaluation.levels import LEVEL, holm
from pointillist.evaluation.report import HEADS, Line, Reported, lines_of, print_evaluation
from pointillist.evaluation.scores import NumberMeasures, Scores, measure_all, measure_numbers
from pointillist.evaluation.verdict import copy_signs, verdict_of
from pointillist.metrics import (
    ColumnDifference,
    Copies,
    ResidualSpread,
    column_differences,
    copies,
    residual_spreads,
)
from pointillist.metrics.mixed_tables import Table, check_tables, count_rows

if TYPE_CHECKING:
    from rich.console import Console

MIN_ROWS = 10
"""Fewest rows of each table; fewer would show nothing."""

MAX_CLASSES = 20
"""Most different integers of a target that are predicted as classes and not as numbers."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Reported):
    """Measures of generated rows against data.

    Attributes:
        m: Number of generated rows.
        n: Number of data rows.
        names: Names of the columns.
        holdout_rows: Number of held-out rows; None without them.
        target: Column that was predicted, or whose classes were compared; None if none was named.
        rows: Scores of the generated rows.
        real: Scores of the same number of held-out rows, or of all if they are fewer: the real-data baseline. Without
            held-out rows, one random half of the data is scored against the other. `nearest` is that of one half of the
            held-out rows, among the data and the other half. `utility` is None; see `rows.utility.of_data`.
        independent: Scores of the same number of data rows, with each column permuted by itself: what single columns
            alone are worth.
        columns: Differences of the columns, each in the unit of its column.
        residuals: How far each number strays from what the other columns predict, relative to the data; empty for
            small tables.
        copies: Rows that equal a data row.
        holdout_copies: Held-out rows that equal a data row; None without held-out rows.
        numbers: Measures of the columns of numbers without missing cells; None if there are no such columns.
        seconds: Duration of the evaluation.
    """

    m: int
    n: int
    names: tuple[str, ...]
    holdout_rows: int | None
    target: str | None
    rows: Scores
    real: Scores
    independent: Scores
    columns: tuple[ColumnDifference, ...]
    residuals: tuple[ResidualSpread, ...]
    copies: Copies
    holdout_copies: Copies | None
    numbers: NumberMeasures | None
    seconds: float

    @cached_property
    def lines(self) -> list[Line]:
        """The lines of the report, with the tests that could distinguish the rows from the data."""
        return lines_of(self)

    @cached_property
    def p_values(self) -> dict[str, float]:
        """p-value of each test that could distinguish the rows from the data.

        The columns count as one test, and so do the residuals: the smallest p-value, times the number of columns.
        Permutation tests, whose p-values are at least 0.001, could otherwise never reject in a table of many columns.
        """
        tests = [(line.test, line.p_value, line.n_tests) for line in self.lines if line.test]
        return {name: min(1.0, n * p_value) for name, p_value, n in tests if p_value is not None}

    @cached_property
    def adjusted_p_values(self) -> dict[str, float]:
        """`p_values` with Holm's correction for their number: at 0.01 or below, the rows are distinguishable."""
        return holm(self.p_values)

    @property
    def is_distinguishable(self) -> bool:
        """Whether any test distinguishes the rows from the data, at the level 0.01 over all tests together."""
        return min(self.adjusted_p_values.values()) <= LEVEL

    @property
    def is_held_out(self) -> bool:
        """Whether there are held-out rows, and they equal data rows no more often than data rows equal one another."""
        return self.holdout_copies is not None and self.holdout_copies.p_value > LEVEL / 3

    @cached_property
    def copies_p_value(self) -> float:
        """p-value of the exact copies, if rows are expected to equal data rows no more often than held-out rows do.

        It is that of Fisher's one-sided exact test: given the data, rows and held-out rows are independent trials.
        Without held-out rows, or if they equal data rows too often, it is `copies.p_value`.
        """
        from scipy.stats import hypergeom

        if self.holdout_copies is None or self.holdout_rows is None or not self.is_held_out:
            return self.copies.p_value
        total = self.copies.count + self.holdout_copies.count
        return float(hypergeom.sf(self.copies.count - 1, self.m + self.holdout_rows, total, self.m))

    @property
    def looks_copied(self) -> bool:
        """Whether any sign of copying is beyond chance, at the level 0.01 over all signs together."""
        return bool(copy_signs(self))

    @property
    def are_numbers(self) -> bool:
        """Whether all columns except the target are numbers without missing cells."""
        return self.numbers is not None and {*self.names} - {*self.numbers.names} <= {self.target}

    @property
    def worst_columns(self) -> tuple[ColumnDifference, ...]:
        """The columns in the order of their p-values, the surest difference first."""
        return tuple(sorted(self.columns, key=lambda column: (column.p_value, -column.value)))

    @property
    def worst_residual(self) -> ResidualSpread | None:
        """The column whose residuals have the smallest p-value; None if there are no residuals."""
        return min(self.residuals, key=lambda spread: spread.p_value, default=None)

    @cached_property
    def verdict(self) -> str:
        """Paragraph on whether rows look copied or are distinguishable from the data, and how they score."""
        return verdict_of(self)

    def print_on(self, console: "Console") -> None:
        """Print the report on a console."""
        print_evaluation(self, console)

    def to_frame(self) -> Any:
        """Return a pandas frame with one row per line of the report, indexed by its title."""
        import pandas

        lines = [line for line in self.lines if line.title]
        values = [(*line.values, *[""] * (len(HEADS) - len(line.values)), line.p_value) for line in lines]
        return pandas.DataFrame(values, [line.title.strip() for line in lines], [*HEADS, "p"])

    def summary(self) -> dict[str, Any]:
        """Return the verdict and what it rests on, as JSON values."""
        conclusions = {
            "verdict": self.verdict,
            "is_distinguishable": self.is_distinguishable,
            "looks_copied": self.looks_copied,
            "p_values": self.p_values,
            "adjusted_p_values": self.adjusted_p_values,
            "copies_p_value": self.copies_p_value,
        }
        return json_value(conclusions)

    def to_json(self) -> dict[str, Any]:
        """Convert numbers, standard errors and p-values to JSON values, the verdict first; unknown ones are None."""
        return {**self.summary(), **json_value(self)}


def evaluate(data: Any, rows: Any, holdout: Any = None, target: Any = None, *, random_state: int = 0) -> Evaluation:
    """Measure how similar generated rows are to real ones, and test whether they can be distinguished.

    Real rows and independent columns are measured too, as baselines. Columns of numbers have further tests.

    Columns, pairs of columns and copies use all rows. The other measures use subsamples: boosted trees see the same
    number of rows of each table, at most 16,000 per side and 256,000 cells; the residuals of 5,000 rows per side are
    compared, by a regression fitted to 5,000 more data rows; manifold scores see 2,000 rows per side; the
    nearest records are those of 5,000 rows among 15,000 of each side; and a target is learned from at most 50,000 rows.
    For columns of numbers, the energy test sees 4,000 rows per side, the random forest 2,000 (1,000 beyond
    16 columns) and the correlations 5,000.

    Args:
        data: Real rows, at least 10: an array of shape (n, d), a data frame of pandas, Polars or PyArrow, or columns of
            one length by name, float64 for numbers (NaN where missing) and object for categories (str, or None).
        rows: Generated rows, at least 10, with the same columns; those of frames in any order.
        holdout: Real rows that the generator of `rows` did not see, at least 10.
        target: A column to predict in the held-out rows, if there are any; of arrays its position. Text, and integers
            of at most 20 different values, are predicted as classes, and other numbers as numbers.
        random_state: Seed of subsamples, folds and permutations.

    Returns:
        All measures, with `verdict`, `is_distinguishable`, `looks_copied` and `to_json()`.

    Raises:
        ValueError: In one line, if the tables have different columns, too few rows, or values that cannot be compared,
            or if the target is not a column or has only one value in the held-out rows.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> evaluate(rng.normal(size=(300, 2)), rng.normal(size=(200, 2))).is_distinguishable
        False
    """
    start = time.perf_counter()
    sides = {"data": data, "rows": rows} | ({} if holdout is None else {"holdout": holdout})
    tables = sides if isinstance(data, dict) else columns_of(sides)
    check_tables(MIN_ROWS, **tables)
    # Random draws must not depend on the order of columns.
    tables = {side: {name: table[name] for name in tables["data"]} for side, table in tables.items()}
    target = None if target is None else str(target)
    data = tables["data"]
    if target is not None and target not in data:
        raise ValueError(f"target={target!r} is not a column of data: use one of {', '.join(map(repr, data))}")
    if target is not None and _is_of_classes(data[target]):
        for table in tables.values():
            texts = [None if value != value else f"{value:.16g}" for value in table[target].tolist()]
            table[target] = np.array(texts, object)
    data, rows, holdout = tables["data"], tables["rows"], tables.get("holdout")
    scores = measure_all(data, rows, holdout, target, random_state)
    return Evaluation(
        m=count_rows(rows),
        n=count_rows(data),
        names=tuple(data),
        holdout_rows=None if holdout is None else count_rows(holdout),
        target=target,
        rows=scores[0],
        real=scores[1],
        independent=scores[2],
        columns=column_differences(data, rows, random_state=random_state),
        residuals=residual_spreads(data, rows, random_state=random_state),
        copies=copies(data, rows),
        holdout_copies=None if holdout is None else copies(data, holdout),
        numbers=_numbers(data, rows, random_state),
        seconds=time.perf_counter() - start,
    )


def is_of_numbers(column: np.ndarray) -> bool:
    """Whether a column is predicted as numbers, and not as classes."""
    return column.dtype != object and not _is_of_classes(column)


def _is_of_classes(column: np.ndarray) -> bool:
    if column.dtype == object:
        return False
    values = np.unique(column[~np.isnan(column)])
    return len(values) <= MAX_CLASSES and bool(np.all(values == np.round(values)))


def _numbers(data: Table, rows: Table, random_state: int) -> NumberMeasures | None:
    """Measures of the columns that hold numbers and no missing cell in both tables."""
    names = tuple(
        name for name in data if all(t[name].dtype != object and not np.isnan(t[name]).any() for t in (data, rows))
    )
    if not names:
        return None
    data_matrix, row_matrix = (np.stack([table[name] for name in names], axis=1) for table in (data, rows))
    return measure_numbers(data_matrix, row_matrix, names, random_state)
