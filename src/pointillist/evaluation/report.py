"""Tables of an evaluation, for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pointillist.evaluation.lines import count
from pointillist.foreign_text import terminal_text
from pointillist.metrics import Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pointillist.evaluation.evaluation import Evaluation

MAX_COLUMNS = 10
"""Most columns, and most pairs of columns, in a table."""

HEADS = ("rows", "real rows", "independent columns")

Column = tuple[str, ...]


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
    of_data, of_rows = ("", "") if names is None else (f" ({name})" for name in names)
    title = (
        f"Data: {evaluation.n:,} real rows{of_data}. Rows: {evaluation.m:,} generated rows{of_rows}. "
        f"{count(len(evaluation.names), 'column')}."
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
