"""Levels of many tests together."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)

LEVEL = 0.01
"""Level over all tests that could distinguish rows from data, and over all signs of copying."""


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
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
