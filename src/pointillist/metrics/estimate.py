"""Numbers that carry their standard errors, and p-values of many tests together."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import SupportsFloat, TypeVar

import numpy as np
from numpy.typing import NDArray

Name = TypeVar("Name", bound=Hashable)


class Estimate(float):
    """A float with a standard error; all other code treats it as a plain number.

    Arithmetic, `str`, `format` and JSON see only the value, and the result of arithmetic is a plain float: how errors
    combine depends on correlations, which a single number cannot know.

    Args:
        value: The estimate.
        standard_error: Its standard error, in the unit of the value; nan if unknown.
        degrees_of_freedom: Degrees of freedom of Student's t for `(value - truth) / standard_error`; inf if the
            standard error is asymptotic and the normal distribution applies.
        null_standard_error: The standard error that would hold if both sides had the same distribution; nan unless it
            is known separately from `standard_error`. Use this one to ask whether the two are distinguishable at
            all, and the other to ask how far apart they are.

    Example:
        >>> distance = Estimate(27.612, 1.4807, 4)
        >>> distance
        27.61 ± 1.48
        >>> print(f"{distance:.1f}", distance > 20, distance + 1, distance.degrees_of_freedom)
        27.6 True 28.612 4.0
    """

    __slots__ = ("_errors",)

    _errors: tuple[float, float, float]

    def __new__(
        cls,
        value: SupportsFloat,
        standard_error: SupportsFloat = math.nan,
        degrees_of_freedom: SupportsFloat = math.inf,
        null_standard_error: SupportsFloat = math.nan,
    ) -> Estimate:
        """Make a float of `value` that carries its errors."""
        self = super().__new__(cls, value)
        self._errors = float(standard_error), float(degrees_of_freedom), float(null_standard_error)
        return self

    @property
    def standard_error(self) -> float:
        """Standard error, in the unit of the value; nan if unknown."""
        return self._errors[0]

    @property
    def degrees_of_freedom(self) -> float:
        """Degrees of freedom of the standard error; inf if it is asymptotic."""
        return self._errors[1]

    @property
    def null_standard_error(self) -> float:
        """Standard error if both sides had the same distribution; nan if unknown."""
        return self._errors[2]

    def __repr__(self) -> str:
        value, error = float(self), self.standard_error
        if not 1e-6 <= error < 1e6:  # zero, nan and inf too: no decimals to align to
            return f"{value:.6g} ± {error:.3g}"
        decimals = max(0, 2 - math.floor(math.log10(error)))
        return f"{value:.{decimals}f} ± {error:.{decimals}f}"

    __str__ = float.__repr__


def mean_estimate(scores: NDArray[np.float64]) -> Estimate:
    """Return the mean of independent scores, with its standard error over the draw of rows; nan for a single row."""
    n = len(scores)
    return Estimate(scores.mean(), scores.std(ddof=1) / math.sqrt(n) if n > 1 else math.nan)


LEVEL = 0.01
"""Level over all tests that could distinguish rows from data, over all signs of copying, and over all attacks."""


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Adjust p-values by Holm's step-down procedure.

    Returns:
        The least level over all hypotheses together at which each is rejected, at most 1.

    Example:
        >>> holm({"a": 0.04, "b": 0.01, "c": 0.03})
        {'a': 0.06, 'b': 0.03, 'c': 0.06}
    """
    adjusted, previous = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        previous = max(previous, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = previous
    return {name: adjusted[name] for name in p_values}
