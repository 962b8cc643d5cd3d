"""The tables of an evaluation for the terminal."""

import math
from typing import TYPE_CHECKING

import numpy as np

from pointillist.evaluation.comparison import Comparison
from pointillist.evaluation.report import p_text, rounded, text_table
from pointillist.evaluation.verdict import verdict_of
from pointillist.foreign_text import terminal_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_COLUMNS = 10
"""Most columns, and most pairs of columns, in a table."""

HEADS = ("rows", "real rows", "independent columns")


def print_evaluation(
    evaluation: Comparison, console: "Console", attack: str | None = None, names: tuple[str, str] | None = None
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
    console.print(terminal_text(verdict_of(evaluation), "bold"))


def _summary_table(found: Comparison, names: tuple[str, str] | None) -> "Table":
    data_name, rows_name = ("", "") if names is None else (f" ({name})" for name in names)
    title = (
        f"Data: {found.n:,} real rows{data_name}. Rows: {found.m:,} generated rows{rows_name}. "
        f"{len(found.names):,} column{'s' * (len(found.names) != 1)}."
    )
    real = "one random half of the data, measured against the other half"
    if found.holdout_rows is not None:
        real = f"{min(found.m, found.holdout_rows):,} of the {found.holdout_rows:,} held-out rows"
        if found.rows.nearest is not None:
            real += "; for nearness and copies, one half of all held-out rows, with the other half held out"
        if found.rows.utility is not None:
            real += f"; for the prediction, trees trained on the data ({found.rows.utility.n_rows:,} rows)"
    caption = (
        f"Real rows: {real}. Independent columns: the data, each column permuted by itself. p: p-value of one test "
        "alone. The verdict corrects for the number of tests, and counts the columns below as one test."
    )
    rows = [
        (line.title, *map(rounded, line.values), "" if line.p_value is None else p_text(line.p_value))
        for line in found.lines
        if line.title
    ]
    return text_table(title, ("measure", *HEADS, "p"), rows, caption)


def _pairs_table(found: Comparison) -> "Table":
    sides = (table.common_trends.pairs for table in (found.rows, found.real, found.independent))
    pairs = list(zip(*sides, strict=True))
    # Pairs with unknown scores come last.
    shown = sorted(pairs, key=lambda pair: np.nan_to_num(pair[0].score - pair[1].score, nan=np.inf))[:MAX_COLUMNS]
    title = "Pairs of columns, in bins of the data"
    if len(pairs) > len(shown):
        title = f"The {len(shown)} of {len(pairs):,} pairs of columns that score furthest below real rows"
    rows = []
    for pair in shown:
        strength = f"{'r' if pair[0].kind == 'correlation' else 'V'} {rounded(pair[0].strength)}"
        rows.append((" × ".join(pair[0].names), *(rounded(each.score) for each in pair), strength))
    caption = "In the data: for two numbers, the absolute value of Pearson's correlation; otherwise Cramér's V."
    return text_table(title, ("pair", *HEADS, "in the data"), rows, caption)


def _columns_table(found: Comparison) -> "Table":
    shown, title = found.worst_columns[:MAX_COLUMNS], "Columns"
    if len(found.columns) > len(shown):
        title = f"The {len(shown)} of {len(found.columns):,} columns that differ most"
    rows = []
    for column in shown:
        statistic = "KS" if column.kind == "continuous" else "TV"
        sides = (column.data_mean, column.data_deviation), (column.rows_mean, column.rows_deviation)
        means = ("" if math.isnan(mean) else f"{mean:.4g} ± {deviation:.3g}" for mean, deviation in sides)
        rows.append((column.name, f"{statistic} {column.value:.3f}", p_text(column.p_value), *means))
    caption = (
        "KS: Kolmogorov-Smirnov statistic of numbers; TV: total variation distance of categories and of few integers. "
        "This table compares single columns only; it says nothing about dependence between them."
    )
    return text_table(title, ("column", "difference", "p", "data: mean ± sd", "rows: mean ± sd"), rows, caption)
