"""Normal scores: numbers of a column as the standard normal quantiles of the share of rows below them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

N_KNOTS = 1000
"""Most intervals in which the distribution function of a continuous column is linear."""

MOST_VALUES, ROWS_PER_VALUE = 4096, 4
"""A column of at most so many values, each of so many rows on average, takes no other value."""

_EDGE = 1e-7
_EXPONENT = -8


@dataclass(frozen=True, eq=False)
class NormalScores:
    """The normal scores of a column of numbers, z = Φ⁻¹(share of rows below), and back.

    A column of few values is discrete: each value has the scores between the shares of rows below it and up to it.
    Any other is continuous: scores are linear between knots, and end at the lowest and the highest value.

    Attributes:
        points: The values, or the knots; increasing, shape (m,).
        levels: Share of rows below each value, and 1, shape (m + 1,); or the score of each knot, shape (m,).
    """

    points: Float[np.ndarray, " m"]
    levels: Float[np.ndarray, " l"]

    @classmethod
    def fit(cls, values: Float[np.ndarray, " n"], step: float) -> "NormalScores":
        """Learns the scores of a column.

        Args:
            values: The numbers, at least one, finite.
            step: Distance of which all differences are multiples; 0 if there is none. A value then stands for all
                numbers that are rounded to it.
        """
        points, counts = np.unique(values, return_counts=True)
        if len(points) <= MOST_VALUES and ROWS_PER_VALUE * len(points) <= len(values):
            return cls(points, np.concatenate([[0], np.cumsum(counts)]) / len(values))
        from scipy.special import ndtri

        spread = np.sort(_spread(values, step, np.random.default_rng(0).random(len(values))))
        knots = np.unique(np.quantile(spread, np.linspace(0, 1, min(N_KNOTS, len(spread) - 1) + 1)))
        below, up_to = (np.searchsorted(spread, knots, side) for side in ("left", "right"))
        edge = 0.5 / len(spread)
        return cls(knots, ndtri(np.clip((below + up_to) / (2 * len(spread)), edge, 1 - edge)))

    @property
    def is_discrete(self) -> bool:
        """Whether the column takes no value but the points."""
        return len(self.levels) > len(self.points)

    def encode(
        self, values: Float[np.ndarray, " n"], step: float, places: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Computes scores; a value beyond the known ones has the score of the nearest.

        Args:
            values: The numbers.
            step: The column's step, as in `fit`.
            places: Place of each number among those that it stands for, in [0, 1).
        """
        if not self.is_discrete:
            scaled = np.ldexp(_spread(values, step, places), _EXPONENT)
            return np.interp(scaled, np.ldexp(self.points, _EXPONENT), self.levels)
        from scipy.special import ndtri

        nearest = np.zeros(len(values), np.int64)
        if len(self.points) > 1:
            right = np.clip(np.searchsorted(self.points, values), 1, len(self.points) - 1)
            nearest = np.where(values - self.points[right - 1] <= self.points[right] - values, right - 1, right)
        low, high = self.levels[nearest], self.levels[nearest + 1]
        return ndtri(np.clip(low + places * (high - low), _EDGE, 1 - _EDGE))

    def decode(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Returns the numbers of some scores, not rounded."""
        if self.is_discrete:
            from scipy.special import ndtr

            return self.points[np.searchsorted(self.levels[1:-1], ndtr(scores), side="right")]
        return np.ldexp(np.interp(scores, self.levels, np.ldexp(self.points, _EXPONENT)), -_EXPONENT)

    def check(self) -> None:
        """Raises a ValueError if there are no such scores."""
        if len(self.points) < 1 or len(self.levels) - len(self.points) not in (0, 1):
            raise ValueError("scores do not fit their values")
        if not (np.isfinite(self.points).all() and np.isfinite(self.levels).all()):
            raise ValueError("scores are not finite")
        if (np.diff(self.points) <= 0).any() or (np.diff(self.levels) < 0).any():
            raise ValueError("scores do not increase")


def _spread(values: np.ndarray, step: float, places: np.ndarray) -> np.ndarray:
    # Not to the very ends, which rounding could take to a neighbour.
    return values + 0.998 * step * (places - 0.5)
