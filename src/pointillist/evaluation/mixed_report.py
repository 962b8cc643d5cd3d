"""The tables of a mixed table's evaluation, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointillist.evaluation.report import MAX_COLUMNS, rounded, titled_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pointillist.evaluation.mixed import MixedEvaluation, MixedScores

HEADS = ("rows", "real rows", "independent columns")

Cells = tuple[str, ...]


def print_mixed_evaluation(evaluation: MixedEvaluation, console: Console) -> None:
    """Prints a table of measures beside both yardsticks, those of the worst pairs and columns, and the verdict.

    Args:
        evaluation: What was measured.
        console: Where to.
    """
    from rich.text import Text

    console.print(_summary_table(evaluation))
    if evaluation.rows.trends.pairs:
        console.print(_pairs_table(evaluation))
    console.print(_columns_table(evaluation))
    console.print(Text(evaluation.verdict, style="bold"))


def _summary_table(evaluation: MixedEvaluation) -> Table:
    title = f"{evaluation.m:,} rows against {evaluation.n:,} of data, {len(evaluation.names):,} column(s)"
    if evaluation.holdout_rows is None:
        real = "one random half of the data, measured against the other half"
    else:
        real = f"{min(evaluation.m, evaluation.holdout_rows):,} of the {evaluation.holdout_rows:,} held-out rows"
        if evaluation.rows.nearest is not None:
            real += "; nearness and copies of one half of all, with the other half held out"
        if evaluation.rows.utility is not None:
            real += f"; what is predicted, by training on the data ({evaluation.rows.utility.n_rows:,} rows)"
    table = _filled(title, "measure", HEADS, _summary_rows(evaluation))
    table.caption = (
        f"Best is 1, but for the AUC and for what is nearer 0.5. Real rows: {real}. Independent columns: "
        "the data, each column permuted by itself."
    )
    return table


def _summary_rows(evaluation: MixedEvaluation) -> list[Cells]:
    tables = (evaluation.rows, evaluation.real, evaluation.independent)
    n_rows = evaluation.rows.two_sample.n_rows
    rows: list[Cells] = [
        ("boosted two-sample score", *(rounded(table.two_sample.score) for table in tables)),
        (f"its AUC, {n_rows:,} rows a side", *(rounded(table.two_sample.auc) for table in tables)),
        ("pair trends", *(_number(table.trends.mean) for table in tables)),
        ("  in bins of the data", *(_number(table.common_trends.mean) for table in tables)),
        ("  of related pairs", *(_number(table.common_trends.related_mean) for table in tables)),
        (
            f"precision, {evaluation.rows.manifold.n_rows:,} rows a side",
            *(rounded(t.manifold.precision) for t in tables),
        ),
        ("coverage", *(rounded(table.manifold.coverage) for table in tables)),
    ]
    learnt, nothing = evaluation.rows.utility, evaluation.independent.utility
    if learnt is not None and nothing is not None:
        of_real = rounded(learnt.of_data)
        rows.append(
            (
                f"{learnt.measure} of {learnt.target}, predicted",
                rounded(learnt.of_rows),
                of_real,
                rounded(nothing.of_rows),
            )
        )
    if evaluation.rows.nearest is not None:
        rows += _nearest_rows(tables)
    rows.append(("column shapes", *(_number(table.shapes_mean) for table in tables)))
    return rows


def _nearest_rows(tables: tuple[MixedScores, ...]) -> list[Cells]:
    found = [table.nearest for table in tables if table.nearest is not None]
    return [
        ("nearer to the data than to held-out rows", *(rounded(nearest.share) for nearest in found)),
        ("  99 % interval of one half", *("{:.3f} to {:.3f}".format(*nearest.interval) for nearest in found)),
        ("equal to a data row", *(f"{nearest.copy_share:.2%}" for nearest in found)),
        ("  of the held-out rows", *(f"{nearest.holdout_copy_share:.2%}" for nearest in found)),
    ]


def _pairs_table(evaluation: MixedEvaluation) -> Table:
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
    table = _filled(title, "pair", (*HEADS, "in the data"), rows)
    table.caption = "In the data: Pearson's correlation, without its sign, of two numbers; else Cramér's V."
    return table


def _columns_table(evaluation: MixedEvaluation) -> Table:
    shapes = evaluation.rows.shapes
    shown = sorted(shapes, key=lambda name: _known(shapes[name] - evaluation.real.shapes[name]))[:MAX_COLUMNS]
    few = f"The {len(shown)} of {len(shapes):,} columns that score furthest below real rows"
    title = few if len(shapes) > len(shown) else "Columns"
    tables = (evaluation.rows, evaluation.real, evaluation.independent)
    table = _filled(title, "column", HEADS, [(name, *(_number(t.shapes[name]) for t in tables)) for name in shown])
    table.caption = (
        "1 − Kolmogorov-Smirnov statistic of numbers, 1 − total variation distance of categories. Independent "
        "columns score as real rows do: it says nothing of what columns do together."
    )
    return table


def _filled(title: str, first: str, heads: Cells, rows: list[Cells]) -> Table:
    from rich.text import Text

    table = titled_table(title)
    table.add_column(first, overflow="fold")
    for head in heads:
        table.add_column(head, justify="right")
    for cells in rows:
        table.add_row(*map(Text, cells))  # a string would be read as markup
    return table


def _known(value: float) -> float:
    """Values that are not known come last."""
    return value if value == value else float("inf")


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"
