"""Distributions of one value as weighted points: mean, quantiles and mode; and what is asked of them, checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from pointillist.arguments import is_whole

POINTS = 50
"""Number of quantiles of a number that stand for its distribution."""

STRETCH = 1.5
"""How many times as far from the median as evenly spread quantiles of N(0, 1) the points lie, so that they reach into
tails: the mean of a log-normal number of σ = 1 comes out 2.3 % low with 50 points at 1, and 0.5 % with this."""

_FAR = 1e-12
"""Levels are taken to lie so far from 0 and 1 at least."""

COMPLETIONS = 32
"""Number of draws of the missing cells of a row over which distributions of its other cells are averaged."""

DRAWS = 200
"""Number of draws that stand for the distribution of several columns."""

STATISTICS = ("mean", "median", "mode")

NARROW = 0.1
"""The mode of numbers is the middle of the shortest interval that holds so much of their distribution."""


class NormalPoints(NamedTuple):
    """Points that stand for N(0, 1).

    Attributes:
        values: The points, in order.
        weights: Their weights, which sum to 1.
    """

    values: Float[np.ndarray, " n"]
    weights: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Predictive:
    """One distribution a row, each of points with weights.

    Attributes:
        values: The points, shape (n, points): numbers, or places of categories.
        weights: Their weights, shape (n, points), which sum to 1 in a row.
        is_atom: Which points stand for a single value, shape (points,); each of the others for the numbers about it.
    """

    values: Float[np.ndarray, "n points"]
    weights: Float[np.ndarray, "n points"]
    is_atom: Bool[np.ndarray, " points"]

    def mean(self) -> Float[np.ndarray, " n"]:
        """The means."""
        return np.sum(self.values * self.weights, axis=1)

    def quantiles(self, levels: Float[np.ndarray, " q"]) -> Float[np.ndarray, "n q"]:
        """The quantiles: of single values the first that has the level's mass below or at it.

        Others lie between points, linear in quantiles of N(0, 1), whose points become these.
        """
        from scipy.special import ndtri

        values, weights, order = self._sorted()
        above = np.cumsum(weights, axis=1)
        below = above - weights
        middle = (above + below) / 2
        is_atom = self.is_atom[order]
        fractions = np.stack([np.where(is_atom, below, middle), np.where(is_atom, above, middle)], axis=2)
        fractions = fractions.reshape(len(values), -1)
        ends = np.repeat(values, 2, axis=1)
        if self.is_atom.all():
            scores = (above[:, None] < np.asarray(levels)[None, :, None] - 1e-9).sum(axis=2)
            return np.take_along_axis(values, np.minimum(scores, values.shape[1] - 1), axis=1)
        scores, target_scores = ndtri(np.clip(fractions, _FAR, 1 - _FAR)), ndtri(levels)
        found = [np.interp(target_scores, row, points) for row, points in zip(scores, ends, strict=True)]
        return np.array(found).reshape(len(values), len(levels))

    def mode(self) -> Float[np.ndarray, " n"]:
        """The most probable value; if none has a tenth, of numbers the middle of the shortest interval with so much."""
        values, weights, _ = self._sorted()
        above = np.cumsum(weights, axis=1)
        # The same value may come several times: its mass is reached at the last of them.
        is_last = np.diff(values, axis=1, append=np.inf) > 0
        is_first = np.roll(is_last, 1, axis=1)
        below = np.maximum.accumulate(np.where(is_first, above - weights, 0.0), axis=1)
        masses = np.where(is_last, above - below, -1.0)
        modes = np.take_along_axis(values, masses.argmax(axis=1)[:, None], axis=1)[:, 0]
        is_open = (masses.max(axis=1) < NARROW) & (not self.is_atom.all())
        for i in np.flatnonzero(is_open):
            points, end, weight = values[i], above[i], weights[i]
            # The first point by which the share is full, from each point on.
            last = np.searchsorted(end, end - weight + min(NARROW, end[-1]) - 1e-9)
            first = np.flatnonzero(last < len(points))
            best = first[np.argmin(points[last[first]] - points[first])]
            modes[i] = (points[best] + points[last[best]]) / 2
        return modes

    def _sorted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        order = np.argsort(self.values, axis=1, kind="stable")
        return np.take_along_axis(self.values, order, 1), np.take_along_axis(self.weights, order, 1), order


def pooled(parts: Sequence[Predictive]) -> Predictive:
    """Returns the means of distributions of the same rows."""
    values, weights = np.hstack([part.values for part in parts]), np.hstack([part.weights for part in parts])
    return Predictive(values, weights / len(parts), np.concatenate([part.is_atom for part in parts]))


def normal_points(n: int, part: int = 0, parts: int = 1, stretch: float = STRETCH) -> NormalPoints:
    """Returns n points that stand for N(0, 1).

    They are those of one of several parts, which lie between those of the others: the mean over the parts has `parts`
    times as many points, and reaches as far into the tails. A point is the median of the numbers whose probability it
    has. Parts of few points need a stretch of 1, by which all of them have the same weights.
    """
    from scipy.special import ndtr, ndtri

    levels, half = (np.arange(n) + (part + 0.5) / parts) / n, 0.5 / (parts * n)
    below, above = (ndtr(stretch * ndtri(np.clip(levels + side, 0, 1))) for side in (-half, half))
    weights = above - below
    return NormalPoints(ndtri((below + above) / 2), weights / weights.sum())


def checked_levels(levels: Sequence[float]) -> Float[np.ndarray, " levels"]:
    """Returns levels of quantiles; raises a ValueError if they are not numbers between 0 and 1."""
    array = np.asarray(levels, float)
    if array.ndim != 1 or not len(array) or not ((array > 0) & (array < 1)).all():
        raise ValueError(f"levels of quantiles must be numbers between 0 and 1, not {levels!r}")
    return array


def checked_draws(n_draws: int) -> int:
    """Returns a number of draws; raises a ValueError if it is not an integer of at least 1."""
    if not is_whole(n_draws, 1):
        raise ValueError(f"n_draws must be an integer of at least 1, not {n_draws!r}")
    return int(n_draws)
