"""An evaluation's tables, for the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pointillist.evaluation.evaluation import Evaluation
from pointillist.metrics import Estimate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MAX_COLUMNS = 10
"""Columns that the table of columns shows."""

_STATISTICS = {"continuous": "KS", "discrete": "TV", "label": "TV"}


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Prints a table of metrics, one of the columns that differ most, and the verdict.

    Args:
        evaluation: What was measured.
        console: Where to.
    """
    from rich.text import Text

    console.print(_summary_table(evaluation))
    console.print(_columns_table(evaluation))
    console.print(Text(evaluation.verdict, style="bold"))


def _summary_table(evaluation: Evaluation) -> Table:
    from rich.text import Text

    title = f"{evaluation.m:,} rows against {evaluation.n:,} of data, {_count(evaluation.d, 'column')}"
    table = titled_table(title)
    table.add_column("metric")
    for head in ("value", "at its best", "p"):
        table.add_column(head, justify="right")
    for cells in _summary_rows(evaluation):
        table.add_row(*map(Text, cells))  # a string would be read as markup
    table.caption = "Columns are divided by the data's standard deviation. p: for one test alone."
    return table


def _summary_rows(evaluation: Evaluation) -> list[tuple[str, str, str, str]]:
    scores, best, nearest = evaluation.manifold, evaluation.manifold_floor, evaluation.nearest
    floor = Estimate(evaluation.emd_floor.value, evaluation.emd_floor.spread)
    rows = [
        ("energy distance", rounded(evaluation.energy.distance), "0", _p(evaluation.energy.p_value)),
        (
            f"random forest's accuracy, {evaluation.two_sample_rows:,} rows a side",
            rounded(evaluation.two_sample),
            "0.5",
            _p(evaluation.two_sample_p_value),
        ),
        (f"EMD, {evaluation.emd_rows:,} rows a side", rounded(evaluation.emd), rounded(floor), ""),
        ("precision", rounded(scores.precision), rounded(best.precision), ""),
        ("recall", rounded(scores.recall), rounded(best.recall), ""),
        ("density", rounded(scores.density), "1", ""),
        ("coverage", rounded(scores.coverage), f"{best.coverage:.3f}", ""),
        (
            "closer to the data than its own rows",
            rounded(nearest.share_closer),
            "0.5",
            _p(evaluation.closer_p_value),
        ),
    ]
    if nearest.closer_to_training is not None and evaluation.training_p_value is not None:
        share = rounded(nearest.closer_to_training)
        rows.append(("closer to the data than to held-out rows", share, "0.5", _p(evaluation.training_p_value)))
    copies = f"{nearest.exact_copies:,} ({nearest.copy_share:.2%})"
    rows.append(("exact copies", copies, f"{nearest.duplicate_share:.2%}", _p(evaluation.copies_p_value)))
    correlations = evaluation.correlations
    if correlations.pair is not None:
        one, two = (evaluation.names[column] for column in correlations.pair)
        largest, best_text = f"{correlations.largest:.3f}", f"{correlations.expected_largest:.3f}"
        rows.append((f"correlation off most, {one} and {two}", largest, best_text, _p(correlations.p_value)))
        rows.append(
            ("correlations off on average", f"{correlations.mean:.3f}", f"{correlations.expected_mean:.3f}", "")
        )
    if evaluation.labels is not None:
        label = evaluation.labels
        rows.append((f"shares of {label.name}, total variation", f"{label.value:.3f}", "0", _p(label.p_value)))
    return rows


def _columns_table(evaluation: Evaluation) -> Table:
    from rich.text import Text

    shown = evaluation.worst_columns[:MAX_COLUMNS]
    few = f"the {len(shown)} of {evaluation.d:,} columns that differ most" if evaluation.d > len(shown) else "columns"
    table = titled_table(few.capitalize())
    table.add_column("column", overflow="fold")
    for head in ("difference", "p", "data: mean ± sd", "rows: mean ± sd"):
        table.add_column(head, justify="right")
    for column in shown:
        table.add_row(
            Text(column.name),
            f"{_STATISTICS[column.kind]} {column.value:.3f}",
            _p(column.p_value),
            f"{column.data_mean:.4g} ± {column.data_deviation:.3g}",
            f"{column.rows_mean:.4g} ± {column.rows_deviation:.3g}",
        )
    table.caption = "KS: Kolmogorov-Smirnov statistic; TV: total variation distance, of whole numbers."
    return table


def titled_table(title: str) -> Table:
    """An empty table in the style of all of them."""
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        title_style="bold",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def rounded(estimate: Estimate) -> str:
    """With the decimals that show one digit of the standard error, two if the first is 1 or 2."""
    error = estimate.standard_error
    if not (error > 0 and math.isfinite(error)):
        return f"{estimate:.3g}"
    decimals = min(max(math.ceil(-math.log10(error / 3)), 0), 8)
    return f"{estimate:.{decimals}f} ± {error:.{decimals}f}"


def _p(p_value: float) -> str:
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.2g}" if p_value < 0.1 else f"{p_value:.2f}"
