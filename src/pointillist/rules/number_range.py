"""The numbers that a column may take where a relation is solved for it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pointillist.columns.encoder import ColumnEncoder

EXACT = 2.0**-50
"""Relative rounding error of double precision."""

_NULL = 1e-9


@dataclass(frozen=True, eq=False)
class NumberRange:
    """The numbers that a column may take where a relation is solved for it.

    Attributes:
        code: The column's code.
        low: Lowest number.
        high: Highest number.
        largest: Largest absolute value in the training rows.
        is_bounded: Whether a condition bounds the numbers; the other columns of a relation then move first.
        can_be_left: Whether a number beyond the range is allowed if a relation is broken otherwise.
    """

    code: ColumnEncoder
    low: float
    high: float
    largest: float
    is_bounded: bool
    can_be_left: bool

    @classmethod
    def of(cls, code: ColumnEncoder, bounds: tuple[float, float] | None = None, *, is_strict: bool) -> "NumberRange":
        """Returns the range of a column's training rows, within bounds if there are some; unlimited for categories.

        Args:
            code: The column's code.
            bounds: Lowest and highest number that a condition allows.
            is_strict: Whether no number may lie beyond the range.
        """
        if code.categories is not None:
            return cls(code, -np.inf, np.inf, 0.0, False, False)
        low, high = code.ends
        largest = max(abs(low), abs(high))
        if bounds is not None:
            low, high = max(low, bounds[0]), min(high, bounds[1])
        can_be_left = code.scores is not None and not is_strict
        return cls(code, low, high, largest, bounds is not None, can_be_left)

    @property
    def unit(self) -> float:
        """Step of the numbers: all their differences are multiples of it; 0 without one."""
        return self.code.unit

    @property
    def negligible(self) -> float:
        """Error that counts as rounding of the largest number; 10⁻⁹ times that number if there are no digits."""
        return self.largest * (EXACT if self.largest < 2.0**52 * self.unit else _NULL)

    def fitted(self, wanted: Float[np.ndarray, " m"], *, is_last: bool = False) -> Float[np.ndarray, " m"]:
        """Returns the nearest numbers of the range; if `is_last` and the range can be left, numbers beyond it stay."""
        rounded = self.code.rounded(wanted)
        fits = self.code.rounded(np.clip(rounded, self.low, self.high))
        if not (is_last and self.can_be_left):
            return fits
        return np.where(np.abs(rounded - fits) > self.negligible, rounded, fits)
