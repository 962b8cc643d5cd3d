"""The numbers that a column may take where a rule is restored."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pointillist.columns.encoder import ColumnEncoder

EXACT, NULL = 2.0**-50, 1e-9
"""Relative rounding error of double precision, and of numbers that were calculated from others with fewer digits."""


@dataclass(frozen=True, eq=False)
class NumberRange:
    """The numbers that a column may take where a rule is restored.

    Attributes:
        encoder: The column's encoder.
        low: Lowest number.
        high: Highest number.
        largest: Largest absolute value in the training rows.
        is_bounded: Whether a condition bounds the numbers; the other columns of a rule then move first.
        can_be_left: Whether a number beyond the range is allowed if a rule is broken otherwise.
    """

    encoder: ColumnEncoder
    low: float
    high: float
    largest: float
    is_bounded: bool
    can_be_left: bool

    @classmethod
    def of(cls, encoder: ColumnEncoder, bounds: tuple[float, float] | None = None, *, is_strict: bool) -> "NumberRange":
        """Returns the range of a column's training rows; unlimited for categories.

        Args:
            encoder: The column's encoder.
            bounds: Lowest and highest number that a condition allows.
            is_strict: Whether no number may lie beyond the range.
        """
        if encoder.categories is not None:
            return cls(encoder, -np.inf, np.inf, 0.0, False, False)
        low, high = encoder.ends
        largest = max(abs(low), abs(high))
        if bounds is not None:
            low, high = max(low, bounds[0]), min(high, bounds[1])
        can_be_left = encoder.scores is not None and not is_strict
        return cls(encoder, low, high, largest, bounds is not None, can_be_left)

    @property
    def unit(self) -> float:
        """Step of the numbers: all their differences are multiples of it; 0 without one."""
        return self.encoder.unit

    @property
    def rounding(self) -> float:
        """Step to which the numbers were rounded; 0 for integers, which are counts and exact."""
        return 0.0 if self.unit >= 1 else self.unit

    @property
    def negligible(self) -> float:
        """Error that counts as rounding of the largest number; 10⁻⁹ times that number if there are no digits."""
        return self.largest * (EXACT if self.largest < 2.0**52 * self.unit else NULL)

    def fitted(self, wanted: Float[np.ndarray, " m"], *, is_last: bool = False) -> Float[np.ndarray, " m"]:
        """Returns the nearest numbers of the range; if `is_last` and the range can be left, numbers beyond it stay."""
        rounded = self.encoder.rounded(wanted)
        fits = self.encoder.rounded(np.clip(rounded, self.low, self.high))
        if not (is_last and self.can_be_left):
            return fits
        return np.where(np.abs(rounded - fits) > self.negligible, rounded, fits)


def order_of_moves(ranges: list[NumberRange], first: int = 0, shift: int = 0) -> list[int]:
    """Returns the order in which columns move: `first` first, bounded ones last; `shift` moves some to the end."""
    order = sorted(range(len(ranges)), key=lambda i: (ranges[i].is_bounded, i != first))
    start = shift % len(order)
    return order[start:] + order[:start]
