"""What is measured of rows and data, as the lines of a report, and the tests that could distinguish the two."""

from dataclasses import dataclass
from functools import cached_property

from pointillist.evaluation.figure import Histogram
from pointillist.evaluation.report import percent
from pointillist.evaluation.scores import NumberMeasures, Scores
from pointillist.lazy import stats
from pointillist.metrics import MEASURES, ColumnDifference, Copies, ResidualSpread
from pointillist.metrics.estimate import LEVEL, holm


@dataclass(frozen=True)
class Line:
    """A measure or a test.

    Attributes:
        title: Its title in the report; empty for a test that the report shows elsewhere.
        values: Its values for the rows, real rows and independent columns: numbers or text, "" if there is none.
        p_value: p-value of the test; None for a measure without one.
        test: Name of the test, if it is one of those that could distinguish rows from data.
        text: Name of the test in the verdict, with what it measured.
        n_tests: Number of tests whose smallest p-value this is.
    """

    title: str
    values: tuple[float | str, ...] = ()
    p_value: float | None = None
    test: str = ""
    text: str = ""
    n_tests: int = 1


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Measures of generated rows against data.

    Attributes:
        m: Number of generated rows.
        n: Number of data rows.
        names: Names of the columns.
        holdout_rows: Number of held-out rows; None without them.
        target: Column that was predicted, or whose classes were compared; None if none was named.
        rows: Scores of the generated rows.
        real: Scores of the same number of held-out rows, or of all if they are fewer: the real-data baseline. Without
            held-out rows, one random half of the data is scored against the other. `nearest` compares one half of the
            held-out rows with the data and the other half. `utility` is None; see `rows.utility.of_data`.
        independent: Scores of the same number of data rows, with each column permuted by itself: what single columns
            alone are worth.
        columns: Differences of the columns, each in the unit of its column.
        residuals: How far each number strays from its prediction by the other columns, relative to the data; empty for
            small tables.
        copies: Rows that equal a data row.
        holdout_copies: Held-out rows that equal a data row; None without held-out rows.
        numbers: Measures of the numeric columns without missing cells; None if there are no such columns.
        histograms: Distributions of the columns.
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
    histograms: tuple[Histogram, ...]
    seconds: float

    @cached_property
    def lines(self) -> list[Line]:
        """The measures and tests, in the order of the report."""
        tables = (self.rows, self.real, self.independent)
        lines: list[Line] = []
        for name, measure in MEASURES.items():
            found = [getattr(table, name) for table in tables]
            for i, (titled, *others) in enumerate(zip(*map(measure.lines, found), strict=True)):
                line = Line(titled[0], (titled[1], *(value for _, value in others)))
                if measure.test and i == 0:
                    text = f"{measure.test}{measure.detail(found[0])}"
                    line = Line(line.title, line.values, found[0].p_value, measure.test, text)
                lines.append(line)
        smallest = min(column.p_value for column in self.columns)
        lines.append(Line("", (), smallest, "columns", "the columns one by one", len(self.columns)))
        learned, nothing = self.rows.utility, self.independent.utility
        if learned is not None and nothing is not None:
            scores = learned.of_rows, learned.of_data, nothing.of_rows
            lines.append(Line(f"{learned.measure} of {learned.target}, predicted", scores))
        spread = self.worst_residual
        if spread is not None:
            title, values = f"residuals off most, {spread.name}, best 1", (spread.ratio, spread.baseline, "")
            times = f"{spread.ratio:.2f} times those of the data"
            text = f"the residuals of {spread.name!r} given the other columns ({times})"
            lines.append(Line(title, values, spread.p_value, "residuals", text, len(self.residuals)))
        nearest = [table.nearest for table in tables if table.nearest is not None]
        if nearest:
            intervals = tuple("{:.3f} to {:.3f}".format(*each.interval) for each in nearest)
            lines.append(Line("nearer to the data than to held-out rows", tuple(each.share for each in nearest)))
            lines.append(Line("  99 % interval of one half", intervals))
        held_out = "" if self.holdout_copies is None else percent(self.holdout_copies.fraction, 2)
        equal = percent(self.copies.fraction, 2), held_out, ""
        lines.append(Line("equal to a data row", equal, self.copies_p_value))
        lines.append(Line("  data rows equal to another", ("", percent(self.copies.duplicates, 2), "")))
        if self.numbers is not None:
            lines += _number_lines(self.numbers)
            if self.are_numbers:
                closer = self.numbers.nearest.share_closer, "0.5", ""
                lines.append(Line("  closer to the data than its own rows", closer, self.numbers.closer_p_value))
        return lines

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

        It comes from Fisher's one-sided exact test: given the data, rows and held-out rows are independent trials.
        Without held-out rows, or if they equal data rows too often, it is `copies.p_value`.
        """
        if self.holdout_copies is None or self.holdout_rows is None or not self.is_held_out:
            return self.copies.p_value
        total = self.copies.count + self.holdout_copies.count
        return float(stats.hypergeom.sf(self.copies.count - 1, self.m + self.holdout_rows, total, self.m))

    @property
    def are_numbers(self) -> bool:
        """Whether all columns except the target are numbers without missing cells."""
        return self.numbers is not None and {*self.names} - {*self.numbers.names} <= {self.target}

    @property
    def worst_columns(self) -> tuple[ColumnDifference, ...]:
        """The columns in the order of their p-values, the smallest first."""
        return tuple(sorted(self.columns, key=lambda column: (column.p_value, -column.value)))

    @property
    def worst_residual(self) -> ResidualSpread | None:
        """The column whose residuals have the smallest p-value; None if there are no residuals."""
        return min(self.residuals, key=lambda spread: spread.p_value, default=None)


def _number_lines(numbers: NumberMeasures) -> list[Line]:
    """Return the tests of numeric columns; real rows have the best value."""
    n, correlations = len(numbers.names), numbers.correlations
    title, accuracy = f"  random forest, accuracy, {numbers.forest_rows:,} rows per side", (numbers.forest, "0.5", "")
    text = f"a random forest (accuracy {numbers.forest:.2f})"
    lines = [
        Line(f"{n:,} column{'s' * (n != 1)} of numbers:", ("", "", "")),
        Line(title, accuracy, numbers.forest_p_value, "random forest", text),
    ]
    if correlations.pair is not None:
        one, two = (numbers.names[column] for column in correlations.pair)
        title, difference = f"  correlation off most, {one} and {two}", (correlations.difference, "0", "")
        text = f"the correlation of {one!r} and {two!r} (off by {correlations.difference:.2f})"
        lines.append(Line(title, difference, correlations.p_value, "correlations", text))
    return lines
