"""The tables of an evaluation."""

import math
from typing import NamedTuple

import numpy as np
from rich.console import Console

from pointillist.evaluation.comparison import Comparison
from pointillist.evaluation.report import date_text, p_text, rounded, text_table
from pointillist.evaluation.verdict import verdict_of
from pointillist.foreign_text import terminal_text

MAX_COLUMNS = 10
"""Most columns, and most pairs of columns, in a table."""

HEADS = ("rows", "real rows", "independent columns")


class TextTable(NamedTuple):
    """A table of text, as `text_table` takes it."""

    title: str
    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    caption: str


def print_evaluation(
    evaluation: Comparison, console: Console, attack: str | None = None, names: tuple[str, str] | None = None
) -> None:
    """Print tables of all measures, of the pairs and columns that differ most, and the verdict.

    `attack` is the verdict of an audit of the model, if there was one; `names` are those of the two tables, data first.
    """
    for table in (summary_table(evaluation, names), pairs_table(evaluation), columns_table(evaluation)):
        if table.rows:
            console.print(text_table(*table))
    if evaluation.rows.nearest is not None:
        console.print(terminal_text(privacy_note(attack)))
    console.print(terminal_text(verdict_of(evaluation), "bold"))


def privacy_note(attack: str | None) -> str:
    """Return a sentence on what nearness says about privacy, with the verdict of an audit if there was one."""
    said = "for that, attack the model with pointillist audit." if attack is None else f"an audit of it says: {attack}"
    return f"Nearness to the data and copies are a check for copying, not of privacy: {said}"


def summary_table(found: Comparison, names: tuple[str, str] | None = None) -> TextTable:
    """Return all measures of the rows, beside those of real rows and of independent columns."""
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
    return TextTable(title, ("measure", *HEADS, "p"), rows, caption)


def pairs_table(found: Comparison) -> TextTable:
    """Return the pairs of columns that score furthest below real rows."""
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
    return TextTable(title, ("pair", *HEADS, "in the data"), rows, caption)


def columns_table(found: Comparison) -> TextTable:
    """Return the columns that differ most."""
    shown, title = found.worst_columns[:MAX_COLUMNS], "Columns"
    if len(found.columns) > len(shown):
        title = f"The {len(shown)} of {len(found.columns):,} columns that differ most"
    rows, days = [], {each.column.name: each.per_day for each in found.histograms}
    for column in shown:
        sides = (column.data_mean, column.data_deviation), (column.rows_mean, column.rows_deviation)
        means = (_mean_text(*side, days[column.name]) for side in sides)
        rows.append((column.name, f"{column.statistic} {column.value:.3f}", p_text(column.p_value), *means))
    caption = (
        "KS: Kolmogorov-Smirnov statistic of numbers; TV: total variation distance of categories and of few integers. "
        "This table compares single columns only; it says nothing about dependence between them."
    )
    return TextTable(title, ("column", "difference", "p", "data: mean ± sd", "rows: mean ± sd"), rows, caption)


def _mean_text(mean: float, deviation: float, per_day: int | None) -> str:
    if math.isnan(mean):
        return ""
    if per_day is None:
        return f"{mean:.4g} ± {deviation:.3g}"
    return f"{date_text(mean, per_day)} ± {deviation / per_day:.3g} days"
