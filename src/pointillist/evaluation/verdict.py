"""What an evaluation comes to, in one line of plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointillist.evaluation.evaluation import Evaluation

LEVEL = 0.01
"""Of all tests that tell rows from data together, and of all signs of copying together."""


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values by Holm's step-down procedure, in the order given.

    Args:
        p_values: Of each hypothesis.

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
    """The line. See `Evaluation.verdict`."""
    return " ".join(filter(None, (_say_difference(evaluation), _say_copies(evaluation))))


def p_text(p_value: float) -> str:
    """A p-value in words: `p = 0.03`, `p < 0.0001`."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def _say_difference(evaluation: Evaluation) -> str:
    sizes = f"{evaluation.m:,} against {evaluation.n:,}"
    if not evaluation.can_be_told_apart:
        return f"Cannot be told apart from the data at the 1 % level with so many rows ({sizes})."
    adjusted = evaluation.adjusted_p_values
    name = min(adjusted, key=lambda test: (adjusted[test], evaluation.p_values[test]))
    clauses = [
        f"Can be told apart from the data at the 1 % level ({sizes} rows)",
        f"most clearly by {_test_text(evaluation, name)}, {p_text(adjusted[name])}",
    ]
    worst = evaluation.worst_columns[0]
    if adjusted["columns"] <= LEVEL:
        clauses.append(f"the worst column is {worst.name!r} ({_statistic(worst.kind)} {worst.value:.2f})")
    else:
        clauses.append("no single column differs")
    return f"{clauses[0]}, {'; '.join(clauses[1:])}."


def _test_text(evaluation: Evaluation, name: str) -> str:
    """A test with what it measured."""
    if name == "columns":
        return "the columns one by one"
    if name == "random forest":
        return f"a random forest (accuracy {evaluation.two_sample:.2f})"
    if name == "labels" and evaluation.labels is not None:
        return f"the shares of {evaluation.labels.name!r} (total variation {evaluation.labels.value:.2f})"
    if name == "correlations" and evaluation.correlations.pair is not None:
        one, two = (evaluation.names[column] for column in evaluation.correlations.pair)
        return f"the correlation of {one!r} and {two!r} (off by {evaluation.correlations.largest:.2f})"
    return f"the energy distance ({evaluation.energy.distance:.3g})"


def _statistic(kind: str) -> str:
    return "Kolmogorov-Smirnov" if kind == "continuous" else "total variation"


def _say_copies(evaluation: Evaluation) -> str:
    nearest, training = evaluation.nearest, evaluation.training_p_value
    level = LEVEL / (2 if training is None else 3)
    signs = []
    if evaluation.copies_p_value <= level:
        signs.append(
            f"{nearest.exact_copies:,} of {evaluation.m:,} equal a data row ({nearest.duplicate_share:.1%} of the data "
            "equal another)"
        )
    if training is not None and training <= level:
        signs.append(f"{nearest.closer_to_training:.0%} are closer to the data than to held-out rows, not half")
    closer = evaluation.closer_p_value <= level
    if closer:
        signs.append(f"nearer to the data than its own rows in {nearest.share_closer:.0%} of comparisons, not half")
    if not signs:
        return ""
    # Rows that bunch up are near the data too; only where the laws agree, or by another sign, is it copying.
    bunched = closer and len(signs) == 1 and evaluation.can_be_told_apart
    head = "The rows look copied, or bunch up where the data is dense" if bunched else "The rows look copied"
    return f"{head}: {'; '.join(signs)}."
