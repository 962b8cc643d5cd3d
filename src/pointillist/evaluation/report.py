"""The lines of an evaluation, with the tests that the verdict sums up, and its tables for the terminal."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.foreign_text import terminal_text
from pointillist.metrics import MEASURES, Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pointillist.evaluation.evaluation import Evaluation
    from pointillist.evaluation.scores import NumberMeasures

MAX_COLUMNS = 10
"""Most columns, and most pairs of columns, in a table."""

REPORT_WIDTH = 120
"""Number of characters in a line of a report as text."""

HEADS = ("rows", "real rows", "independent columns")

Column = tuple[str, ...]


class Reported(ABC):
    """A result that is printed, and shown in a notebook, as its report."""

    verdict: Any

    @abstractmethod
    def print_on(self, console: Console) -> None:
        """Print the report on a console."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verdict!r})"

    def __str__(self) -> str:
        """The report as plain text."""
        return self._printed().export_text()

    def _repr_html_(self) -> str:
        """The report for a notebook."""
        return self._printed().export_html(inline_styles=True, code_format="<pre>{code}</pre>")

    def _printed(self) -> Console:
        from rich.console import Console

        console = Console(file=StringIO(), width=REPORT_WIDTH, record=True)
        self.print_on(console)
        return console


@dataclass(frozen=True)
class Line:
    """A measure or a test.

    Attributes:
        title: Its title in the report; empty for a test that the report shows elsewhere.
        values: Its values for the rows, real rows and independent columns; text as it is, "" where there is none.
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


def lines_of(evaluation: Evaluation) -> list[Line]:
    """List the measures and tests of an evaluation, in the order of the report."""
    tables = (evaluation.rows, evaluation.real, evaluation.independent)
    lines: list[Line] = []
    for name, measure in MEASURES.items():
        found = [getattr(table, name) for table in tables]
        p_value, text = found[0].p_value if measure.test else None, f"{measure.test}{measure.detail(found[0])}"
        for i, each in enumerate(zip(*map(measure.lines, found), strict=True)):
            tested = (p_value, measure.test, text) if i == 0 else (None, "", "")
            lines.append(Line(each[0][0], tuple(value for _, value in each), *tested))
    smallest = min(column.p_value for column in evaluation.columns)
    lines.append(Line("", (), smallest, "columns", "the columns one by one", len(evaluation.columns)))
    learned, nothing = evaluation.rows.utility, evaluation.independent.utility
    if learned is not None and nothing is not None:
        scores = learned.of_rows, learned.of_data, nothing.of_rows
        lines.append(Line(f"{learned.measure} of {learned.target}, predicted", scores))
    spread = evaluation.worst_residual
    if spread is not None:
        title, values = f"residuals off most, {spread.name}, best 1", (spread.ratio, spread.baseline, "")
        times = f"{spread.ratio:.2f} times those of the data"
        text = f"the residuals of {spread.name!r} given the other columns ({times})"
        lines.append(Line(title, values, spread.p_value, "residuals", text, len(evaluation.residuals)))
    nearest = [table.nearest for table in tables if table.nearest is not None]
    if nearest:
        intervals = tuple("{:.3f} to {:.3f}".format(*each.interval) for each in nearest)
        lines.append(Line("nearer to the data than to held-out rows", tuple(each.share for each in nearest)))
        lines.append(Line("  99 % interval of one half", intervals))
    copies, held_out = evaluation.copies, evaluation.holdout_copies
    fractions = f"{copies.fraction:.2%}", "" if held_out is None else f"{held_out.fraction:.2%}", ""
    lines.append(Line("equal to a data row", fractions, evaluation.copies_p_value))
    lines.append(Line("  data rows equal to another", ("", f"{copies.duplicates:.2%}", "")))
    if evaluation.numbers is not None:
        lines += _number_lines(evaluation.numbers, has_nearness=evaluation.are_numbers)
    return lines


def _number_lines(numbers: NumberMeasures, *, has_nearness: bool) -> list[Line]:
    """Measures of the columns of numbers, with those of real rows where these are known."""
    energy, correlations = numbers.energy, numbers.correlations
    floor = Estimate(numbers.emd_floor.value, numbers.emd_floor.spread)
    forest = f"  random forest, accuracy, {numbers.forest_rows:,} rows a side", (numbers.forest, "0.5", "")
    called = f"the energy distance ({energy.distance:.3g})", f"a random forest (accuracy {numbers.forest:.2f})"
    lines = [
        Line(f"{_count(len(numbers.names), 'column')} of numbers:", ("", "", "")),
        Line("  energy distance", (energy.distance, "0", ""), energy.p_value, "energy distance", called[0]),
        Line(*forest, numbers.forest_p_value, "random forest", called[1]),
        Line(f"  EMD, {numbers.emd_rows:,} rows a side", (numbers.emd, floor, "")),
    ]
    if correlations.pair is not None:
        one, two = (numbers.names[column] for column in correlations.pair)
        largest = correlations.largest, correlations.expected_largest, ""
        text = f"the correlation of {one!r} and {two!r} (off by {correlations.largest:.2f})"
        title = f"  correlation off most, {one} and {two}"
        lines.append(Line(title, largest, correlations.p_value, "correlations", text))
        lines.append(Line("  correlations off on average", (correlations.mean, correlations.expected_mean, "")))
    if has_nearness:
        closer = numbers.nearest.share_closer, "0.5", ""
        lines.append(Line("  closer to the data than its own rows", closer, numbers.closer_p_value))
    return lines


def print_evaluation(
    evaluation: Evaluation, console: Console, attack: str | None = None, names: tuple[str, str] | None = None
) -> None:
    """Print tables of all measures, of the pairs and columns that differ most, and the verdict.

    Args:
        evaluation: The evaluation.
        console: The console to print on.
        attack: Verdict of an audit of the model, if there was one.
        names: Names of the two tables, the data first.
    """
    console.print(_summary_table(evaluation, names))
    if evaluation.rows.trends.pairs:
        console.print(_pairs_table(evaluation))
    console.print(_columns_table(evaluation))
    if evaluation.rows.nearest is not None:
        said = (
            "for that, attack the model with pointillist audit." if attack is None else f"an audit of it says: {attack}"
        )
        console.print(terminal_text(f"Nearness to the data and copies are a check for copying, not of privacy: {said}"))
    console.print(terminal_text(evaluation.verdict, "bold"))


def _summary_table(evaluation: Evaluation, names: tuple[str, str] | None) -> Table:
    data_name, rows_name = ("", "") if names is None else (f" ({name})" for name in names)
    title = (
        f"Data: {evaluation.n:,} real rows{data_name}. Rows: {evaluation.m:,} generated rows{rows_name}. "
        f"{_count(len(evaluation.names), 'column')}."
    )
    if evaluation.holdout_rows is None:
        real = "one random half of the data, measured against the other half"
    else:
        real = f"{min(evaluation.m, evaluation.holdout_rows):,} of the {evaluation.holdout_rows:,} held-out rows"
        if evaluation.rows.nearest is not None:
            real += "; for nearness and copies, one half of all held-out rows, with the other half held out"
        if evaluation.rows.utility is not None:
            real += f"; for the prediction, trees trained on the data ({evaluation.rows.utility.n_rows:,} rows)"
    rows = [
        (line.title, *map(rounded, line.values), "" if line.p_value is None else p_text(line.p_value))
        for line in evaluation.lines
        if line.title
    ]
    table = filled(title, "measure", (*HEADS, "p"), rows)
    table.caption = (
        f"Real rows: {real}. Independent columns: the data, each column permuted by itself. p: p-value of one test "
        "alone. The verdict corrects for the number of tests, and counts the columns below as one test."
    )
    return table


def _pairs_table(evaluation: Evaluation) -> Table:
    tables = (evaluation.rows, evaluation.real, evaluation.independent)
    pairs = list(zip(*(table.common_trends.pairs for table in tables), strict=True))
    # Pairs with unknown scores come last.
    shown = sorted(pairs, key=lambda pair: np.nan_to_num(pair[0].score - pair[1].score, nan=np.inf))[:MAX_COLUMNS]
    few = f"The {len(shown)} of {len(pairs):,} pairs of columns that score furthest below real rows"
    title = few if len(pairs) > len(shown) else "Pairs of columns, in bins of the data"
    rows = [
        (
            f"{pair[0].names[0]} × {pair[0].names[1]}",
            *(rounded(each.score) for each in pair),
            f"{'r' if pair[0].kind == 'correlation' else 'V'} {rounded(pair[0].strength)}",
        )
        for pair in shown
    ]
    table = filled(title, "pair", (*HEADS, "in the data"), rows)
    table.caption = "In the data: for two numbers, the absolute value of Pearson's correlation; otherwise Cramér's V."
    return table


def _columns_table(evaluation: Evaluation) -> Table:
    shown = evaluation.worst_columns[:MAX_COLUMNS]
    few = f"The {len(shown)} of {len(evaluation.columns):,} columns that differ most"
    title = few if len(evaluation.columns) > len(shown) else "Columns"
    rows: list[Column] = []
    for column in shown:
        statistic = "KS" if column.kind == "continuous" else "TV"
        sides = (column.data_mean, column.data_deviation), (column.rows_mean, column.rows_deviation)
        means = ("" if math.isnan(mean) else f"{mean:.4g} ± {deviation:.3g}" for mean, deviation in sides)
        rows.append((column.name, f"{statistic} {column.value:.3f}", p_text(column.p_value), *means))
    table = filled(title, "column", ("difference", "p", "data: mean ± sd", "rows: mean ± sd"), rows)
    table.caption = (
        "KS: Kolmogorov-Smirnov statistic of numbers; TV: total variation distance of categories and of few integers. "
        "Independent columns do as well here: this table says nothing about how columns depend on each other."
    )
    return table


def filled(title: str, first: str, heads: Column, rows: list[Column]) -> Table:
    """Make a table of rows of text, the first column to the left."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=terminal_text(title, "bold"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column(first, overflow="fold")
    for head in heads:
        table.add_column(head, justify="right")
    for cells in rows:
        table.add_row(*map(terminal_text, cells))
    return table


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def rounded(estimate: float | str) -> str:
    """Format an estimate with the decimals that show one digit of its standard error, two if the first is 1 or 2.

    Numbers without one have three decimals, and text stays as it is.
    """
    if isinstance(estimate, str):
        return estimate
    if not isinstance(estimate, Estimate):
        return "–" if math.isnan(estimate) else f"{estimate:.3f}"
    error = estimate.standard_error
    if not (error > 0 and math.isfinite(error)):
        return f"{estimate:.3g}"
    decimals = min(max(math.ceil(-math.log10(error / 3)), 0), 8)
    return f"{estimate:.{decimals}f} ± {error:.{decimals}f}"


def p_text(p_value: float) -> str:
    """Format a p-value: two digits, or `<0.0001`."""
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}" if p_value < 0.1 else f"{p_value:.2f}"
