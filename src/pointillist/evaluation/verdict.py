"""The verdict of an evaluation, in one paragraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointillist.evaluation.evaluation import Evaluation

LEVEL = 0.01
"""Level over all tests that could distinguish rows from data, and over all signs of copying."""


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values by Holm's step-down procedure, in the order given.

    Args:
        p_values: The p-value of each hypothesis.

    Returns:
        The level over all hypotheses at which each is just rejected, at most 1.

    Example:
        >>> holm({"a": 0.04, "b": 0.01, "c": 0.03})
        {'a': 0.06, 'b': 0.03, 'c': 0.06}
    """
    adjusted, previous = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        previous = max(previous, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = previous
    return {name: adjusted[name] for name in p_values}


def say_verdict(evaluation: Evaluation) -> str:
    """Write the paragraph of `Evaluation.verdict`."""
    return " ".join(filter(None, (_say_difference(evaluation), _say_scores(evaluation), _say_copies(evaluation))))


def p_text(p_value: float) -> str:
    """Format a p-value: `p = 0.03`, `p < 0.0001`."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def _say_difference(evaluation: Evaluation) -> str:
    sizes = f"{evaluation.m:,} rows, {evaluation.n:,} rows of data"
    if not evaluation.is_distinguishable:
        return f"Not distinguishable from the data at the 1 % level ({sizes})."
    adjusted = evaluation.adjusted_p_values
    name = min(adjusted, key=lambda test: (adjusted[test], evaluation.p_values[test]))
    worst = evaluation.worst_columns[0]
    where = "no single column differs"
    if adjusted["columns"] <= LEVEL:
        where = f"the worst column is {worst.name!r} ({_statistic(worst.kind)} {worst.value:.2f})"
    return (
        f"Distinguishable from the data at the 1 % level ({sizes}), most clearly by {_test_text(evaluation, name)}, "
        f"{p_text(adjusted[name])}; {where}."
    )


def _test_text(evaluation: Evaluation, name: str) -> str:
    """A test with what it measured."""
    numbers = evaluation.numbers
    if name == "columns":
        return "the columns one by one"
    if name == "random forest" and numbers is not None:
        return f"a random forest (accuracy {numbers.forest:.2f})"
    if name == "energy distance" and numbers is not None:
        return f"the energy distance ({numbers.energy.distance:.3g})"
    if name == "correlations" and numbers is not None and numbers.correlations.pair is not None:
        one, two = (numbers.names[column] for column in numbers.correlations.pair)
        return f"the correlation of {one!r} and {two!r} (off by {numbers.correlations.largest:.2f})"
    return f"boosted trees (AUC {evaluation.rows.two_sample.auc:.2f})"


def _statistic(kind: str) -> str:
    return "Kolmogorov-Smirnov" if kind == "continuous" else "total variation"


def _say_scores(evaluation: Evaluation) -> str:
    tables = evaluation.rows, evaluation.real, evaluation.independent
    auc, real, independent = (table.two_sample.auc for table in tables)
    line = f"AUC of boosted trees {auc:.3f} (real rows {real:.3f}, independent columns {independent:.3f})"
    trends = [table.common_trends.mean for table in tables]
    if trends[0] != trends[0]:
        return f"{line}."
    return f"{line}; pairs of columns score {trends[0]:.3f} (real rows {trends[1]:.3f}, independent {trends[2]:.3f})."


def _say_copies(evaluation: Evaluation) -> str:
    nearest = evaluation.rows.nearest
    # Where other columns decide which rows are alike, a few columns of numbers say nothing of copies.
    numbers = evaluation.numbers if evaluation.are_numbers else None
    level = LEVEL / (2 * (nearest is not None) + 2 * (numbers is not None) or 1)
    signs = []
    if nearest is not None and nearest.share > nearest.interval[1]:  # one-sided, at the level 0.005
        signs.append(f"{nearest.share:.0%} are nearer to the data than to held-out rows, not half")
    if nearest is not None and evaluation.copies_p_value is not None and evaluation.copies_p_value <= level:
        signs.append(
            f"{nearest.exact_copies:,} of {evaluation.m:,} equal a data row, and {nearest.holdout_copy_share:.1%} of "
            f"the held-out rows do ({p_text(evaluation.copies_p_value)})"
        )
    closer = False
    if numbers is not None:
        records = numbers.nearest
        if nearest is None and numbers.copies_p_value <= level:
            signs.append(
                f"{records.exact_copies:,} of {evaluation.m:,} equal a data row ({records.duplicate_share:.1%} of the "
                "data equal another)"
            )
        closer = numbers.closer_p_value <= level
        if closer:
            signs.append(f"nearer to the data than its own rows in {records.share_closer:.0%} of comparisons, not half")
    if not signs:
        return ""
    # Rows that bunch up are near the data too; only where the distributions agree, or by another sign, is it copying.
    bunched = closer and len(signs) == 1 and evaluation.is_distinguishable
    head = "The rows look copied, or bunch up where the data is dense" if bunched else "The rows look copied"
    return f"{head}: {'; '.join(signs)}."
