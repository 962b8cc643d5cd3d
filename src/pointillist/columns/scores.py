"""Normal scores: numbers of a column as the standard normal quantiles of the share of rows below them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

N_KNOTS = 1000
"""Most intervals in which the distribution function of a continuous column is linear."""

MOST_VALUES, ROWS_PER_VALUE = 4096, 4
"""A column of at most so many values, each of so many rows on average, takes no other value."""

ROWS_PER_INTERVAL = 25
"""Fewest rows of an interval."""

_EDGE = 1e-7
_EXPONENT = -8

_END_ROWS, _END_SHARE = 3.0, 0.0005

LARGEST_PLACE = 1 - 2**-12
"""Largest position in an interval: added to a token of up to four digits in single precision, it stays below 1."""


@dataclass(frozen=True, eq=False)
class NormalScores:
    """The normal scores of a column of numbers, z = Φ⁻¹(share of rows below), and back.

    A column of few values is discrete: each value has the scores between the shares of rows below it and up to it.
    Any other is continuous: scores are linear between knots, and end at the lowest and the highest value.

    The range may be split into intervals, of about as many rows each.

    Attributes:
        points: The values, or the knots; increasing, shape (m,).
        levels: Share of rows below each value, and 1, shape (m + 1,); or the score of each knot, shape (m,).
        edges: Share of rows below each interval, and 1, shape (intervals + 1,).
    """

    points: Float[np.ndarray, " m"]
    levels: Float[np.ndarray, " l"]
    edges: Float[np.ndarray, " e"]

    @classmethod
    def fit(cls, values: Float[np.ndarray, " n"], step: float, most_intervals: int = 1) -> "NormalScores":
        """Learns the scores of a column.

        Args:
            values: The numbers, at least one, finite.
            step: Distance of which all differences are multiples; 0 if there is none. A value then stands for all
                numbers that are rounded to it.
            most_intervals: Most intervals.
        """
        n_intervals = int(np.clip(len(values) // ROWS_PER_INTERVAL, 1, most_intervals))
        edges = np.linspace(0, 1, n_intervals + 1)
        points, counts = np.unique(values, return_counts=True)
        if len(points) <= MOST_VALUES and ROWS_PER_VALUE * len(points) <= len(values):
            shares, end = counts / len(values), _end(len(values))
            if len(points) > 1:
                shares[[0, -1]] = np.maximum(shares[[0, -1]], end)
            total = np.cumsum(shares)
            # Divided by its own last one, which sums in another order differ from.
            levels = np.concatenate([[0], total / total[-1]])
            # No value lies in two intervals.
            return cls(points, levels, np.unique(levels[np.abs(levels[:, None] - edges).argmin(axis=0)]))
        from scipy.special import ndtri

        spread = np.sort(_spread(values, step, np.random.default_rng(0).random(len(values))))
        knots = np.unique(np.quantile(spread, np.linspace(0, 1, min(N_KNOTS, len(spread) - 1) + 1)))
        below, up_to = (np.searchsorted(spread, knots, side) for side in ("left", "right"))
        edge = _end(len(spread))
        levels = ndtri(np.clip((below + up_to) / (2 * len(spread)), edge, 1 - edge))
        if step and n_intervals > 1:
            edges = _between_values(knots, levels, edges, points[0], step)
        return cls(knots, levels, edges)

    @property
    def is_discrete(self) -> bool:
        """Whether the column takes no value but the points."""
        return len(self.levels) > len(self.points)

    def encode(
        self, values: Float[np.ndarray, " n"], step: float, indices: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Computes scores; a value beyond the known ones has the score of the nearest.

        Args:
            values: The numbers.
            step: The column's step, as in `fit`.
            indices: Place of each number among those that it stands for, in [0, 1).
        """
        if not self.is_discrete:
            scaled = np.ldexp(_spread(values, step, indices), _EXPONENT)
            return np.interp(scaled, np.ldexp(self.points, _EXPONENT), self.levels)
        from scipy.special import ndtri

        nearest = nearest_index(self.points, values)
        low, high = self.levels[nearest], self.levels[nearest + 1]
        return ndtri(np.clip(low + indices * (high - low), _EDGE, 1 - _EDGE))

    def decode(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Returns the numbers of some scores, not rounded."""
        if self.is_discrete:
            from scipy.special import ndtr

            return self.points[np.searchsorted(self.levels[1:-1], ndtr(scores), side="right")]
        return np.ldexp(np.interp(scores, self.levels, np.ldexp(self.points, _EXPONENT)), -_EXPONENT)

    def span(self, low: float, high: float, step: float) -> tuple[float, float] | None:
        """Returns the lowest and the highest score of the numbers from `low` to `high`; None if there are none.

        Args:
            low: Lowest number.
            high: Highest number.
            step: The column's step, as in `fit`.
        """
        if self.is_discrete:
            from scipy.special import ndtri

            inside = np.flatnonzero((self.points >= low) & (self.points <= high))
            if not len(inside):
                return None
            ends = ndtri([self.levels[inside[0]], self.levels[inside[-1] + 1]])
            return float(ends[0]), float(ends[1])
        low, high = low - 0.499 * step, high + 0.499 * step
        first, last = float(self.points[0]), float(self.points[-1])
        if high < first or low > last:
            return None
        known = np.ldexp(self.points, _EXPONENT)
        ends = np.interp(np.ldexp(np.array([low, high]), _EXPONENT), known, self.levels)
        span = -np.inf if low <= first else float(ends[0]), np.inf if high >= last else float(ends[1])
        return span if span[0] < span[1] else None

    def split(self, scores: Float[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Splits scores into the interval, 0 … intervals - 1, and the position in it, in [0, 1)."""
        from scipy.special import ndtr

        shares = ndtr(scores)
        interval = np.searchsorted(self.edges[1:-1], shares, side="right")
        low, high = self.edges[interval], self.edges[interval + 1]
        return interval, np.clip((shares - low) / (high - low), 0, LARGEST_PLACE)

    def joined(self, interval: Int[np.ndarray, " n"], indices: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Returns the scores of what `split` returned."""
        from scipy.special import ndtri

        low, high = self.edges[interval], self.edges[interval + 1]
        # Not an upper end, which belongs to the next interval.
        return ndtri(np.clip(low + indices * (high - low), low, np.nextafter(high, low)))

    def check(self) -> None:
        """Raises a ValueError if there are no such scores."""
        if len(self.points) < 1 or len(self.levels) - len(self.points) not in (0, 1):
            raise ValueError("scores do not fit their values")
        if not all(np.isfinite(part).all() for part in (self.points, self.levels, self.edges)):
            raise ValueError("scores are not finite")
        if (np.diff(self.points) <= 0).any() or (np.diff(self.levels) < 0).any():
            raise ValueError("scores do not increase")
        if len(self.edges) < 2 or (np.diff(self.edges) <= 0).any() or self.edges[0] != 0 or self.edges[-1] != 1:
            raise ValueError("intervals of scores do not increase from 0 to 1")


def nearest_index(known: Float[np.ndarray, " m"], values: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Returns the index of the known value nearest to each value; the lower one if two are equally near.

    Args:
        known: At least one value, increasing.
        values: The values.
    """
    right = np.clip(np.searchsorted(known, values), 1, max(1, len(known) - 1))
    left, right = right - 1, np.minimum(right, len(known) - 1)
    return np.where(values - known[left] <= known[right] - values, left, right)


def _between_values(
    knots: np.ndarray, levels: np.ndarray, edges: np.ndarray, first: float, step: float
) -> Float[np.ndarray, " e"]:
    """Move the edges of intervals halfway between two values of a grid, so that no value lies in two intervals."""
    from scipy.special import ndtr, ndtri

    at = np.interp(ndtri(edges[1:-1]), levels, knots)
    moved = first + step * (np.round((at - first) / step - 0.5) + 0.5)
    inside = moved[(moved > knots[0]) & (moved < knots[-1])]
    return np.unique(np.concatenate([[0.0], ndtr(np.interp(inside, knots, levels)), [1.0]]))


def _end(n: int) -> float:
    """The share of rows that have a column's lowest or highest value: that of 3 of n rows, if there are thousands.

    Of as many rows as the model has seen, one then nearly always has it, and the column's range is that of the data.
    """
    return float(np.clip(_END_SHARE, 0.5 / n, _END_ROWS / n))


def _spread(values: np.ndarray, step: float, indices: np.ndarray) -> np.ndarray:
    # Not to the very ends, which rounding could take to a neighbor.
    return values + 0.998 * step * (indices - 0.5)
