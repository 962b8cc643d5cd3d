"""Normal scores of numbers (standard normal quantiles of the fraction of rows below), and densities."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.grids import Grid
from pointillist.lazy import special
from pointillist.tables.calendar_dates import day_numbers

N_KNOTS = 1000
"""Largest number of segments on which the distribution function of a continuous column is linear."""

MOST_VALUES, ROWS_PER_VALUE = 4096, 4
"""Largest number of distinct values of a discrete column, and smallest mean number of rows per value."""

ROWS_PER_INTERVAL = 25
"""Smallest number of rows per interval."""

_EDGE = 1e-7
_EXPONENT = -8

_END_ROWS, _END_FRACTION = 3.0, 0.0005

LARGEST_POSITION = 1 - 2**-12
"""Largest position in an interval. Added to a token of up to four digits in float32, it stays below 1."""

LOG_ROOT = 0.5 * np.log(2 * np.pi)

_SMALLEST = np.finfo(np.float64).tiny

_OUTERMOST = 10
"""Number of knots next to an end that determine how scores continue beyond it."""


@dataclass(frozen=True, eq=False)
class NormalScores:
    """Normal scores of a numeric column, z = Φ⁻¹(fraction of rows below), and their inverse.

    In a discrete column, each value covers the scores between the fraction of rows below it and the fraction up to it.
    In a continuous column, scores are linear between knots and end at the lowest and the highest value.

    The range may be split into intervals with about equally many rows.

    Attributes:
        points: Increasing values, or knots, shape (m,).
        levels: Fraction of rows below each value, and 1, shape (m + 1,); or the score of each knot, shape (m,).
        edges: Fraction of rows below each interval, and 1, shape (intervals + 1,).
    """

    points: Float[np.ndarray, " m"]
    levels: Float[np.ndarray, " l"]
    edges: Float[np.ndarray, " e"]

    @classmethod
    def fit(cls, values: Float[np.ndarray, " n"], step: float, most_intervals: int = 1) -> "NormalScores":
        """Learns the scores of a column, with at most `most_intervals` intervals.

        Under a grid of spacing `step`, 0 without one, a value represents all numbers that round to it.
        """
        n_intervals = int(np.clip(len(values) // ROWS_PER_INTERVAL, 1, most_intervals))
        edges = np.linspace(0, 1, n_intervals + 1)
        points, counts = np.unique(values, return_counts=True)
        if len(points) <= MOST_VALUES and ROWS_PER_VALUE * len(points) <= len(values):
            fractions, end = counts / len(values), _end_fraction(len(values))
            if len(points) > 1:
                fractions[[0, -1]] = np.maximum(fractions[[0, -1]], end)
            total = np.cumsum(fractions)
            # Divide by the last cumulative sum: a sum in another order would differ.
            levels = np.concatenate([[0], total / total[-1]])
            # Move edges so that no value lies in two intervals.
            return cls(points, levels, np.unique(levels[np.abs(levels[:, None] - edges).argmin(axis=0)]))
        dequantized = np.sort(_dequantized(values, step, np.random.default_rng(0).random(len(values))))
        knots = np.unique(np.quantile(dequantized, np.linspace(0, 1, min(N_KNOTS, len(dequantized) - 1) + 1)))
        below, up_to = (np.searchsorted(dequantized, knots, side) for side in ("left", "right"))
        edge = _end_fraction(len(dequantized))
        levels = special.ndtri(np.clip((below + up_to) / (2 * len(dequantized)), edge, 1 - edge))
        if step and n_intervals > 1:
            edges = _between_values(knots, levels, edges, points[0], step)
        return cls(knots, levels, edges)

    @property
    def is_discrete(self) -> bool:
        """Whether the points are all values of the column."""
        return len(self.levels) > len(self.points)

    def encode(
        self, values: Float[np.ndarray, " n"], step: float, positions: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        """Computes scores; a value outside the range has the score of the nearest one inside.

        `positions` are in [0, 1): of each number among the numbers that it represents, with the step of `fit`.
        """
        if not self.is_discrete:
            scaled = np.ldexp(_dequantized(values, step, positions), _EXPONENT)
            return np.interp(scaled, np.ldexp(self.points, _EXPONENT), self.levels)
        nearest = nearest_index(self.points, values)
        low, high = self.levels[nearest], self.levels[nearest + 1]
        return special.ndtri(np.clip(low + positions * (high - low), _EDGE, 1 - _EDGE))

    def decode(self, scores: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Converts scores to numbers, without rounding."""
        if self.is_discrete:
            return self.points[np.searchsorted(self.levels[1:-1], special.ndtr(scores), side="right")]
        return np.ldexp(np.interp(scores, self.levels, np.ldexp(self.points, _EXPONENT)), -_EXPONENT)

    def span(self, low: float, high: float, step: float) -> tuple[float, float] | None:
        """Returns the lowest and highest score of the numbers from `low` to `high`; None if there are none."""
        if self.is_discrete:
            inside = np.flatnonzero((self.points >= low) & (self.points <= high))
            if not len(inside):
                return None
            ends = special.ndtri([self.levels[inside[0]], self.levels[inside[-1] + 1]])
            return float(ends[0]), float(ends[1])
        low, high = low - 0.499 * step, high + 0.499 * step
        first, last = float(self.points[0]), float(self.points[-1])
        if high < first or low > last:
            return None
        points = np.ldexp(self.points, _EXPONENT)
        ends = np.interp(np.ldexp(np.array([low, high]), _EXPONENT), points, self.levels)
        span = -np.inf if low <= first else float(ends[0]), np.inf if high >= last else float(ends[1])
        return span if span[0] < span[1] else None

    def split(self, scores: Float[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Splits scores into an interval, 0 … intervals - 1, and a position in the interval, in [0, 1)."""
        fractions = special.ndtr(scores)
        interval = np.searchsorted(self.edges[1:-1], fractions, side="right")
        low, high = self.edges[interval], self.edges[interval + 1]
        return interval, np.clip((fractions - low) / (high - low), 0, LARGEST_POSITION)

    def joined(self, interval: Int[np.ndarray, " n"], positions: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Inverts `split`."""
        low, high = self.edges[interval], self.edges[interval + 1]
        # Exclude the upper end, which belongs to the next interval.
        return special.ndtri(np.clip(low + positions * (high - low), low, np.nextafter(high, low)))

    def check(self) -> None:
        """Raises a ValueError if the arrays are inconsistent."""
        if len(self.points) < 1 or len(self.levels) - len(self.points) not in (0, 1):
            raise ValueError("scores do not fit their values")
        if not all(np.isfinite(part).all() for part in (self.points, self.levels, self.edges)):
            raise ValueError("scores are not finite")
        if (np.diff(self.points) <= 0).any() or (np.diff(self.levels) < 0).any():
            raise ValueError("scores do not increase")
        if len(self.edges) < 2 or (np.diff(self.edges) <= 0).any() or self.edges[0] != 0 or self.edges[-1] != 1:
            raise ValueError("intervals of scores do not increase from 0 to 1")


def nearest_index(points: Float[np.ndarray, " m"], values: Float[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Returns the index of the nearest of increasing points for each value; the lower one for ties."""
    right = np.clip(np.searchsorted(points, values), 1, max(1, len(points) - 1))
    left, right = right - 1, np.minimum(right, len(points) - 1)
    return np.where(values - points[left] <= points[right] - values, left, right)


def _between_values(
    knots: np.ndarray, levels: np.ndarray, edges: np.ndarray, first: float, step: float
) -> Float[np.ndarray, " e"]:
    """Moves edges of intervals halfway between grid values, so that no value lies in two intervals."""
    at = np.interp(special.ndtri(edges[1:-1]), levels, knots)
    moved = first + step * (np.round((at - first) / step - 0.5) + 0.5)
    inside = moved[(moved > knots[0]) & (moved < knots[-1])]
    return np.unique(np.concatenate([[0.0], special.ndtr(np.interp(inside, knots, levels)), [1.0]]))


def _end_fraction(n: int) -> float:
    """The fraction of rows assigned to a column's lowest or highest value: 3 of n rows for large n.

    Samples of n rows then nearly always include these values, so generated data have the range of the training data.
    """
    return float(np.clip(_END_FRACTION, 0.5 / n, _END_ROWS / n))


def _dequantized(values: np.ndarray, step: float, positions: np.ndarray) -> np.ndarray:
    # Stay off the very ends, which could round to a neighbour.
    return values + 0.998 * step * (positions - 0.5)


def smoothed(
    values: Float[np.ndarray, " n"], support: Float[np.ndarray, " m"], counts: Float[np.ndarray, " _"], grid: Grid
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Returns the index of the nearest training value, and the log-density of each value given this index.

    A training value with c rows gives 1 / (c + 1) of its probability to the nearest unseen grid cells, by Laplace's
    rule of succession: half to the cells below and half to the cells above. If one side has no unseen cell, the value
    keeps that half. All unseen cells of a half between two training values get the same probability. Beyond the ends of
    the column, the density falls with the square of the distance, and half of the mass lies within one range of the
    column.

    Args:
        values: The values.
        support: Increasing values of the training rows.
        counts: Their counts; empty if unseen values have no mass.
        grid: Grid of the column.
    """
    unit = grid.unit or (float(np.diff(support).min()) if len(support) > 1 else 1.0)
    if grid.is_calendar:
        seen_steps, value_steps = (day_numbers(each) - day_numbers(support[:1]) for each in (support, values))
    else:
        seen_steps, value_steps = (np.round((each - support[0]) / unit) for each in (support, values))
    nearest = nearest_index(seen_steps, value_steps)
    if not len(counts):
        return nearest, np.where(support[nearest] == values, 0.0, -np.inf)
    # Number of unseen cells below and above each training value.
    n_unseen = np.diff(seen_steps) - 1
    n_neighbors = np.stack([np.append(np.inf, np.floor(n_unseen / 2)), np.append(np.ceil(n_unseen / 2), np.inf)])
    unseen_mass = np.where(n_neighbors > 0, 0.5 / (counts + 1), 0.0)
    factor = np.log(1 - unseen_mass.sum(axis=0))[nearest]
    is_other = value_steps != seen_steps[nearest]
    distance, span = np.abs(value_steps - seen_steps[nearest])[is_other], seen_steps[-1] or 1.0
    side = (value_steps > seen_steps[nearest])[is_other].astype(np.int64), nearest[is_other]
    beyond = np.log(span) - np.log(distance + span) - np.log(distance - 1 + span)
    between = -np.log(n_neighbors[side])
    factor[is_other] = np.log(unseen_mass[side]) + np.where(np.isinf(n_neighbors[side]), beyond, between)
    return nearest, factor - grid.log_width(unit)


def scores_and_slopes(
    scores: NormalScores, values: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Computes scores of numbers of a continuous column, and the log of their slope.

    Scores are linear between knots. Beyond the ends, the column's density falls with the square of the distance,
    starting from its value at the end, so that even a distant number has a moderate score.
    """
    points, levels = scores.points, scores.levels
    if len(points) < 2:
        return values - points[0], np.zeros(len(values))
    segment = np.clip(np.searchsorted(points, values, side="right") - 1, 0, len(points) - 2)
    slope = (np.diff(levels) / np.diff(points))[segment]
    z, log_slope = levels[segment] + (values - points[segment]) * slope, np.log(np.maximum(slope, _SMALLEST))
    for sign, is_beyond in ((1, values < points[0]), (-1, values > points[-1])):
        outer, end = sign * points[::sign], sign * levels[::sign]
        distance = outer[0] - sign * values[is_beyond]
        log_fraction = special.log_ndtr(end[0])
        # The smallest slope to the next knots; a single one may be close by chance.
        some = slice(1, _OUTERMOST + 1)
        flattest = float(np.min((end[some] - end[0]) / (outer[some] - outer[0])))
        span = np.exp(log_fraction + end[0] ** 2 / 2 + LOG_ROOT) / max(flattest, _SMALLEST)
        z_beyond = special.ndtri_exp(log_fraction - np.log1p(distance / span))
        z[is_beyond] = sign * z_beyond
        log_slope[is_beyond] = log_fraction - np.log(span) - 2 * np.log1p(distance / span) + z_beyond**2 / 2 + LOG_ROOT
    return z, log_slope


def range_mass(
    low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"], positions: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Log-probability of N(0, 1) between two scores, and its quantile at a fraction of that range in (0, 1)."""
    # Mirror to the lower half, where probabilities do not round to 1.
    sign = np.where(low + high > 0, -1.0, 1.0)
    first, last = (special.log_ndtr(np.where(sign > 0, *ends)) for ends in ((low, -high), (high, -low)))
    log_fraction = last + np.log(-np.expm1(first - last))
    inside = np.where(sign > 0, positions, 1 - positions)
    return log_fraction, sign * special.ndtri_exp(np.logaddexp(first, np.log(inside) + log_fraction))
