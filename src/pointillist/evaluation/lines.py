"""The lines of an evaluation: what the report prints, and the tests that the verdict sums up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointillist.metrics import MEASURES, Estimate

if TYPE_CHECKING:
    from pointillist.evaluation.evaluation import Evaluation
    from pointillist.evaluation.numbers import NumberMeasures


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
        p_value, text = found[0].p_value if measure.test else None, measure.test
        if name == "two_sample":
            text = f"{measure.test} (AUC {found[0].auc:.2f})"
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
        Line(f"{count(len(numbers.names), 'column')} of numbers:", ("", "", "")),
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


def count(number: int, noun: str) -> str:
    """Format a number of things: "1 column", "2,000 columns"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"
