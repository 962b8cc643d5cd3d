"""Tables of an evaluation, for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pointillist.foreign_text import terminal_text
from pointillist.metrics import MEASURES, Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pointillist.evaluation.evaluation import Evaluation
    from pointillist.evaluation.numbers import NumberMeasures

MAX_COLUMNS = 10
"""Most columns, and most pairs of columns, in a table."""

HEADS = ("rows", "real rows", "independent columns")

Column = tuple[str, ...]


def print_evaluation(
    evaluation: Evaluation, console: Console, attack: str | None = None, names: tuple[str, str] | None = None
) -> None:
    """Print tables of all measures, of the pairs and columns that differ most, and the verdict.

    Args:
        evaluation: The measures.
        console: Where to print.
        attack: Verdict of an audit of the model, if there was one.
        names: Names of the two tables, the data first.
    """
    console.print(_summary_table(evaluation, names))
    if evaluation.rows.trends.pairs:
        console.print(_pairs_table(evaluation))
    console.print(_columns_table(evaluation))
    if evaluation.rows.nearest is not None:
        shown = (
            "for that, attack the model with pointillist audit." if attack is None else f"an audit of it says: {attack}"
        )
        console.print(
            terminal_text(f"Nearness to the data and copies are a check for copying, not of privacy: {shown}")
        )
    console.print(terminal_text(evaluation.verdict, "bold"))


def _summary_table(evaluation: Evaluation, names: tuple[str, str] | None) -> Table:
    of_data, of_rows = ("", "") if names is None else (f" ({name})" for name in names)
    title = (
        f"Data: {evaluation.n:,} real rows{of_data}. Rows: {evaluation.m:,} generated rows{of_rows}. "
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
    rows = _score_rows(evaluation)
    if evaluation.numbers is not None:
        rows += _number_rows(evaluation.numbers, has_nearness=evaluation.are_numbers)
    table = filled(title, "measure", (*HEADS, "p"), rows)
    table.caption = (
        f"Real rows: {real}. Independent columns: the data, each column permuted by itself. p: p-value of one test "
        "alone. The verdict corrects for the number of tests, and counts the columns below as one test."
    )
    return table


def _score_rows(evaluation: Evaluation) -> list[Column]:
    tables = (evaluation.rows, evaluation.real, evaluation.independent)
    rows: list[Column] = []
    for name, measure in MEASURES.items():
        of_tables = [measure.lines(getattr(table, name)) for table in tables]
        p_value = p_text(getattr(evaluation.rows, name).p_value) if measure.test else ""
        for lines in zip(*of_tables, strict=True):
            rows.append((lines[0][0], *(rounded(value) for _, value in lines), p_value))
            p_value = ""
    learned, nothing = evaluation.rows.utility, evaluation.independent.utility
    if learned is not None and nothing is not None:
        scores = learned.of_rows, learned.of_data, nothing.of_rows
        rows.append((f"{learned.measure} of {learned.target}, predicted", *map(rounded, scores), ""))
    spread = evaluation.worst_residual
    if spread is not None:
        rows.append(
            (
                f"residuals off most, {spread.name}, best 1",
                rounded(spread.ratio),
                rounded(spread.baseline),
                "",
                p_text(spread.p_value),
            )
        )
    found = [table.nearest for table in tables if table.nearest is not None]
    if found:
        rows += [
            ("nearer to the data than to held-out rows", *(rounded(nearest.share) for nearest in found), ""),
            ("  99 % interval of one half", *("{:.3f} to {:.3f}".format(*nearest.interval) for nearest in found), ""),
        ]
    copies, held_out = evaluation.copies, evaluation.holdout_copies
    real = "" if held_out is None else f"{held_out.fraction:.2%}"
    rows += [
        ("equal to a data row", f"{copies.fraction:.2%}", real, "", p_text(evaluation.copies_p_value)),
        ("  data rows equal to another", "", f"{copies.duplicates:.2%}", "", ""),
    ]
    return rows


def _number_rows(numbers: NumberMeasures, *, has_nearness: bool) -> list[Column]:
    """Measures of the columns of numbers, beside those of real rows where these are known."""
    nearest, correlations = numbers.nearest, numbers.correlations
    baseline = Estimate(numbers.emd_floor.value, numbers.emd_floor.spread)
    forest = f"  random forest, accuracy, {numbers.forest_rows:,} rows a side"
    rows: list[Column] = [
        (f"{_count(len(numbers.names), 'column')} of numbers:", "", "", "", ""),
        ("  energy distance", rounded(numbers.energy.distance), "0", "", p_text(numbers.energy.p_value)),
        (forest, rounded(numbers.forest), "0.5", "", p_text(numbers.forest_p_value)),
        (f"  EMD, {numbers.emd_rows:,} rows a side", rounded(numbers.emd), rounded(baseline), "", ""),
    ]
    if correlations.pair is not None:
        one, two = (numbers.names[column] for column in correlations.pair)
        largest, expected = f"{correlations.largest:.3f}", f"{correlations.expected_largest:.3f}"
        rows.append((f"  correlation off most, {one} and {two}", largest, expected, "", p_text(correlations.p_value)))
        rows.append(
            ("  correlations off on average", f"{correlations.mean:.3f}", f"{correlations.expected_mean:.3f}", "", "")
        )
    if has_nearness:
        share = rounded(nearest.share_closer)
        rows.append(("  closer to the data than its own rows", share, "0.5", "", p_text(numbers.closer_p_value)))
    return rows


def _pairs_table(evaluation: Evaluation) -> Table:
    tables = (evaluation.rows, evaluation.real, evaluation.independent)
    pairs = list(zip(*(table.common_trends.pairs for table in tables), strict=True))
    shown = sorted(pairs, key=lambda pair: _known(pair[0].score - pair[1].score))[:MAX_COLUMNS]
    few = f"The {len(shown)} of {len(pairs):,} pairs of columns that score furthest below real rows"
    title = few if len(pairs) > len(shown) else "Pairs of columns, in bins of the data"
    rows = [
        (
            f"{pair[0].names[0]} × {pair[0].names[1]}",
            *(_number(each.score) for each in pair),
            f"{'r' if pair[0].kind == 'correlation' else 'V'} {_number(pair[0].strength)}",
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
        means = ("", "")
        if not math.isnan(column.data_mean):
            means = (
                f"{column.data_mean:.4g} ± {column.data_deviation:.3g}",
                f"{column.rows_mean:.4g} ± {column.rows_deviation:.3g}",
            )
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


def rounded(estimate: float) -> str:
    """Format an estimate with the decimals that show one digit of its standard error, two if the first is 1 or 2."""
    if not isinstance(estimate, Estimate):
        return _number(estimate)
    error = estimate.standard_error
    if not (error > 0 and math.isfinite(error)):
        return f"{estimate:.3g}"
    decimals = min(max(math.ceil(-math.log10(error / 3)), 0), 8)
    return f"{estimate:.{decimals}f} ± {error:.{decimals}f}"


def _known(value: float) -> float:
    """A key by which unknown values come last."""
    return value if value == value else float("inf")


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def p_text(p_value: float) -> str:
    """Format a p-value: two digits, or `<0.0001`."""
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}" if p_value < 0.1 else f"{p_value:.2f}"
