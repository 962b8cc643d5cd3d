"""Sums up an evaluation in sentences on copies, differences, scores, and tables that may be exchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointillist.evaluation.levels import LEVEL

if TYPE_CHECKING:
    from pointillist.evaluation.evaluation import Evaluation


def verdict_of(evaluation: Evaluation) -> str:
    """Write the paragraph of an evaluation, signs of copying first."""
    sentences = (_say_copies, _say_difference, _say_scores, _say_tables)
    return " ".join(filter(None, (sentence(evaluation) for sentence in sentences)))


def copy_signs(evaluation: Evaluation) -> dict[str, str]:
    """Describe each sign of copying, at the level 0.01 over all signs together."""
    nearest, copies = evaluation.rows.nearest, evaluation.copies
    # If there are other columns, rows that agree in a few columns of numbers are not copies.
    numbers = evaluation.numbers if evaluation.are_numbers else None
    signs = {}
    if nearest is not None and nearest.share > nearest.interval[1]:  # one-sided, at the level 0.005
        signs["held-out rows"] = f"{nearest.share:.0%} are nearer to the data than to held-out rows, not half"
    found = f"{copies.count:,} of {evaluation.m:,} equal a data row"
    usual = f" ({copies.duplicates:.1%} of the data equal another)"
    if evaluation.holdout_copies is not None and evaluation.is_held_out:
        fraction = evaluation.holdout_copies.fraction
        usual = f", and {fraction:.1%} of the held-out rows do ({_p_text(evaluation.copies_p_value)})"
    auc, below = evaluation.rows.two_sample.auc, 1 - evaluation.rows.two_sample.p_value
    tests = {
        "copies": (evaluation.copies_p_value, found + usual),
        # Trees that were trained with a data row mistake its copy for data.
        "boosted trees": (below, f"boosted trees mistake rows for data (AUC {auc:.2f}, {_p_text(below)})"),
    }
    if numbers is not None:
        below, closer = 1 - numbers.forest_p_value, numbers.nearest.share_closer
        text = f"a random forest mistakes rows for data (accuracy {numbers.forest:.2f}, {_p_text(below)})"
        tests["random forest"] = below, text
        text = f"nearer to the data than its own rows in {closer:.0%} of comparisons, not half"
        tests["nearness"] = numbers.closer_p_value, text
    level = (LEVEL / 2 if nearest is not None else LEVEL) / len(tests)
    return signs | {name: text for name, (p_value, text) in tests.items() if p_value <= level}


def _say_copies(evaluation: Evaluation) -> str:
    signs = copy_signs(evaluation)
    if not signs:
        return ""
    # Rows that bunch up are near the data too. Nearness alone shows copying only if the distributions agree.
    bunched = [*signs] == ["nearness"] and evaluation.is_distinguishable
    head = "The rows look copied, or bunch up where the data is dense" if bunched else "The rows look copied"
    return f"{head}: {'; '.join(signs.values())}."


def _say_difference(evaluation: Evaluation) -> str:
    sizes = f"{evaluation.m:,} rows, {evaluation.n:,} rows of data"
    if not evaluation.is_distinguishable:
        return f"Not distinguishable from the data at the 1 % level ({sizes})."
    adjusted, texts = evaluation.adjusted_p_values, {line.test: line.text for line in evaluation.lines}
    name = min(adjusted, key=lambda test: (adjusted[test], evaluation.p_values[test]))
    worst = evaluation.worst_columns[0]
    where = "no single column differs"
    if adjusted["columns"] <= LEVEL:
        statistic = "Kolmogorov-Smirnov" if worst.kind == "continuous" else "total variation"
        where = f"the worst column is {worst.name!r} ({statistic} {worst.value:.2f})"
    return (
        f"Distinguishable from the data at the 1 % level ({sizes}), most clearly by {texts[name]}, "
        f"{_p_text(adjusted[name])}; {where}."
    )


def _say_scores(evaluation: Evaluation) -> str:
    tables = evaluation.rows, evaluation.real, evaluation.independent
    auc, real, independent = (table.two_sample.auc for table in tables)
    line = f"AUC of boosted trees {auc:.3f} (real rows {real:.3f}, independent columns {independent:.3f})"
    trends = [table.common_trends.mean for table in tables]
    if trends[0] != trends[0]:
        return f"{line}."
    return f"{line}; pairs of columns score {trends[0]:.3f} (real rows {trends[1]:.3f}, independent {trends[2]:.3f})."


def _say_tables(evaluation: Evaluation) -> str:
    """Say if held-out rows equal data rows or are unlike the data, and if tables may be exchanged."""
    held_out, nearest, sentences = evaluation.holdout_copies, evaluation.rows.nearest, []
    if held_out is None:
        return ""
    if not evaluation.is_held_out:
        sentences.append(
            f"The held-out rows are not held out: {held_out.count:,} of {evaluation.holdout_rows:,} equal a data row "
            f"({held_out.duplicates:.1%} of the data equal another), so they say little about copying."
        )
    p_value = evaluation.real.two_sample.p_value
    if p_value <= LEVEL / 3:
        sentences.append(
            f"The held-out rows are unlike the data (AUC {evaluation.real.two_sample.auc:.2f}, {_p_text(p_value)}): "
            "they come from another population, or rows and data are exchanged."
        )
    if nearest is not None and nearest.share < nearest.interval[0]:  # one-sided, at the level 0.005
        sentences.append(
            f"Only {nearest.share:.0%} of the rows are nearer to the data than to the held-out rows: data and "
            "held-out rows may be exchanged."
        )
    return " ".join(sentences)


def _p_text(p_value: float) -> str:
    """Format a p-value: `p = 0.03`, `p < 0.0001`."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"
