"""Encoder of continuous numbers and dates as normal scores: standard normal quantiles of the fraction of rows below.

A score follows the token that means "a number", or the token is one of several intervals of scores and the score is the
position in it. Point masses, values that are much more frequent than their neighbours, have token values too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from pointillist.columns.encoder import Allowed, Pieces, Span, Volume
from pointillist.columns.grids import Grid
from pointillist.columns.number import NumberEncoder, check_increasing
from pointillist.columns.scores import NormalScores, nearest_index
from pointillist.tables.conditions import OneOf
from pointillist.tables.table import Column

_LOG_ROOT = 0.5 * np.log(2 * np.pi)

_LARGEST_FRACTION = 1 - 1e-7
"""Largest fraction of rows below a number; it bounds the scores that networks see."""

_SMALLEST = np.finfo(np.float64).tiny

_OUTERMOST = 10
"""Number of knots next to an end that determine how scores continue beyond it."""

_WIDE = 0.05
"""Width of a grid cell, in normal scores, above which the density is averaged over the cell."""

_NARROW = 1e-6
"""Width of a grid cell, in normal scores, below which the slope of the score is more exact than its difference."""


@dataclass(frozen=True, eq=False)
class ContinuousEncoder(NumberEncoder):
    """Encodes numbers as normal scores.

    Attributes:
        scores: The normal scores of all values except the atoms.
    """

    scores: NormalScores = field()  # type: ignore[misc]

    kind: ClassVar[str] = "continuous"

    @property
    def n_intervals(self) -> int:  # type: ignore[override]
        """Number of intervals, the token values that mean "a number"."""
        return len(self.scores.edges) - 1

    @property
    def n_values(self) -> int:
        """Number of atoms and intervals."""
        return len(self.atoms) + self.n_intervals

    @property
    def n_counted(self) -> int:
        """Number of distinct values if scores are discrete; -1 for continuous columns, whose values are not counted."""
        return len(self.atoms) + len(self.scores.points) if self.scores.is_discrete else -1

    @property
    def seen(self) -> Float[np.ndarray, " m"]:
        """Increasing values of the training rows, or knots of their distribution function."""
        return np.sort(np.concatenate([self.atoms, self.scores.points]))

    @property
    def ranks(self) -> tuple[float, ...]:
        """Rank in (0, 1) of each atom and interval; -1 for missing cells, and for numbers without intervals."""
        middle = self.atoms
        if self.has_intervals:
            halves = self.scores.joined(np.arange(self.n_intervals), np.full(self.n_intervals, 0.5))
            middle = np.concatenate([self.atoms, self.scores.decode(halves)])
        ranks = (np.argsort(np.argsort(middle, kind="stable")) + 0.5) / max(1, len(middle))
        return (*ranks.tolist(), *[-1.0] * (self.size - len(middle)))

    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        present = ~cells.is_missing
        values, at = cells.values[present], positions[present]
        tokens, scores = np.full(len(values), float(len(self.atoms))), np.zeros(len(values))
        is_atom = np.zeros(len(values), bool)
        if len(self.atoms):
            nearest = nearest_index(self.atoms, values)
            is_atom = self.atoms[nearest] == values
            tokens[is_atom] = nearest[is_atom]
        scores[~is_atom] = self.scores.encode(values[~is_atom], self.unit, at[~is_atom])
        if self.has_intervals:
            tokens[~is_atom] += sum(self.scores.split(scores[~is_atom]))
            return tokens, np.empty((len(values), 0))
        return tokens, scores[:, None]

    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        """Decodes tokens and scores to numbers."""
        index = tokens.astype(np.int64)
        is_missing = index >= self.n_values
        values = np.full(len(tokens), np.nan)
        is_atom = index < len(self.atoms)
        values[is_atom] = self.atoms[index[is_atom]]
        is_number = ~is_atom & ~is_missing
        if is_number.any():
            if self.has_intervals:
                scores = self.scores.joined(index[is_number] - len(self.atoms), tokens[is_number] % 1.0)
            else:
                scores = numbers[is_number, 0]
            found = self.scores.decode(scores)
            values[is_number] = found if self.scores.is_discrete else self.rounded(found)
        return Column(values, is_missing)

    def predicted(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Decodes scores, such as quantiles, to numbers."""
        tokens = np.full(scores.size, float(len(self.atoms)))
        return self.decode(tokens, scores.reshape(-1, 1)).values.reshape(scores.shape)

    def _one_of(self, cells: Column, condition: OneOf) -> Pieces:
        found = super()._one_of(cells, condition)
        if not self.scores.is_discrete and not self.unit and len(found.ranges):
            raise ValueError(
                f"column {self.name!r} holds continuous numbers, so {condition} has probability 0: use between"
            )
        return found

    def _pieces_between(self, low: float, high: float) -> Pieces:
        found = super()._pieces_between(low, high)
        span = self.scores.span(*found.ends, self.unit)
        if span is None:
            return found
        token_values = np.append(found.token_values, np.arange(len(self.atoms), self.n_values))
        return Pieces(token_values, np.array([span]), found.ends)

    def _in_pieces(self, found: Pieces, text: str, ends: Span) -> Allowed:
        if not self.has_intervals:
            return super()._in_pieces(found, text, ends)
        from scipy.special import ndtr

        first, token_values = len(self.atoms), found.token_values
        is_interval = (token_values >= first) & (token_values < self.n_values)
        pieces = [(slot, 0.0, 1.0) for slot in token_values[~is_interval]]
        edges = self.scores.edges
        for low, high in ndtr(found.ranges):
            for i in range(self.n_intervals):
                begin, end = np.clip((np.array([low, high]) - edges[i]) / (edges[i + 1] - edges[i]), 0, 1)
                if end > begin:
                    pieces.append((first + i, begin, end))
        if not pieces:
            raise ValueError(f"column {self.name!r}: no training row is {text}")
        columns = np.array(pieces)
        return Allowed(self.name, text, columns[:, 0].astype(int), columns[:, 1], columns[:, 2], np.empty((0, 2)), ends)

    @property
    def has_wide_cells(self) -> bool:
        """Whether a grid cell covers a range of scores so wide that a density is averaged over it."""
        if self.has_intervals:
            return False
        if self.scores.is_discrete:
            return True
        values = self.rounded(np.interp(np.linspace(-2, 2, 9), self.scores.levels, self.scores.points))
        low, high = (self._on_line(end)[0] for end in self.grid.cell(values))
        return bool((high - low).max() > _WIDE)

    def _number_volume(self, values: np.ndarray, positions: np.ndarray) -> Volume:
        if not self.scores.is_discrete:
            return self._continuous_volume(values, positions)
        from scipy.special import ndtri

        nearest, factors = self._smoothed(values)
        value = self.seen[nearest]
        is_atom = np.isin(value, self.atoms)
        tokens, z = np.zeros(len(values)), np.zeros(len(values))
        tokens[is_atom] = np.searchsorted(self.atoms, value[is_atom])
        if not is_atom.all():
            point = np.searchsorted(self.scores.points, value[~is_atom])
            low, high = self.scores.levels[point], self.scores.levels[point + 1]
            fraction = low + positions[~is_atom] * (high - low)
            score = ndtri(np.clip(fraction, 1 - _LARGEST_FRACTION, _LARGEST_FRACTION))
            tokens[~is_atom], z[~is_atom], score_factors = self._score_volume(score, np.log(high - low))
            factors[~is_atom] += score_factors
        return Volume(tokens, self._shown(z), factors)

    def _continuous_volume(self, values: np.ndarray, positions: np.ndarray) -> Volume:
        """The volume of numbers whose scores are continuous; atoms have a mass."""
        values = self.rounded(values)
        z, log_slope = self._on_line(values)
        log_fraction = log_slope - z**2 / 2 - _LOG_ROOT
        if self.unit:
            low, high = (self._on_line(end)[0] for end in self.grid.cell(values))
            is_wide = high - low > _NARROW
            log_fraction += np.log(self.unit)
            log_fraction[is_wide], z[is_wide] = _range_mass(low[is_wide], high[is_wide], positions[is_wide])
        tokens, z, factors = self._score_volume(z, log_fraction)
        is_atom = np.isin(values, self.atoms)
        tokens[is_atom], z[is_atom], factors[is_atom] = np.searchsorted(self.atoms, values[is_atom]), 0.0, 0.0
        return Volume(tokens, self._shown(z), factors - self._log_width(self.unit or 1.0))

    def _shown(self, z: np.ndarray) -> np.ndarray:
        """Scores as an array of numbers; empty if the column has no numbers."""
        return z[:, None][:, : self.n_numbers]

    def _score_volume(self, z: np.ndarray, log_fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens, scores and log factors of cells, from a score in each cell and the log-probability of the cell."""
        from scipy.special import ndtr

        tokens = np.full(len(z), float(len(self.atoms)))
        if not self.has_intervals:
            # The density is that of the score, not of the fraction of rows below.
            return tokens, z, log_fraction + z**2 / 2 + _LOG_ROOT
        interval = np.searchsorted(self.scores.edges[1:-1], ndtr(z), side="right")
        log_width = np.log(np.diff(self.scores.edges)[interval])
        return tokens + interval, np.zeros(len(z)), log_fraction - log_width

    def _on_line(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes scores of numbers of a continuous column, and the log of their slope.

        Scores are linear between knots. Beyond the ends, the column's density falls with the square of the distance,
        starting from its value at the end, so that even a distant number has a moderate score.
        """
        from scipy.special import log_ndtr, ndtri_exp

        points, levels = self.scores.points, self.scores.levels
        if len(points) < 2:
            return values - points[0], np.zeros(len(values))
        segment = np.clip(np.searchsorted(points, values, side="right") - 1, 0, len(points) - 2)
        slope = (np.diff(levels) / np.diff(points))[segment]
        z, log_slope = levels[segment] + (values - points[segment]) * slope, np.log(np.maximum(slope, _SMALLEST))
        for sign, is_beyond in ((1, values < points[0]), (-1, values > points[-1])):
            outer, end = sign * points[::sign], sign * levels[::sign]
            distance = outer[0] - sign * values[is_beyond]
            log_fraction = log_ndtr(end[0])
            span = np.exp(log_fraction + end[0] ** 2 / 2 + _LOG_ROOT) / max(_flattest(outer, end), _SMALLEST)
            z_beyond = ndtri_exp(log_fraction - np.log1p(distance / span))
            z[is_beyond] = sign * z_beyond
            log_slope[is_beyond] = (
                log_fraction - np.log(span) - 2 * np.log1p(distance / span) + z_beyond**2 / 2 + _LOG_ROOT
            )
        return z, log_slope

    @property
    def arrays(self) -> tuple[Float[np.ndarray, " m"], ...]:
        """The counts, the atoms and the normal scores."""
        return *super().arrays, self.scores.points, self.scores.levels, self.scores.edges

    @classmethod
    def placeholders(cls, content: dict[str, Any]) -> list[Float[np.ndarray, " m"]]:
        """Valid arrays of the lengths that a model file declares."""
        *others, edges = super().placeholders(content)
        return [*others, np.linspace(0, 1, len(edges))]

    @classmethod
    def _from_json(cls, name: Any, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "ContinuousEncoder":
        counts, atoms, points, levels, edges = arrays
        check_increasing(name, atoms)
        scores = NormalScores(points, levels, edges)
        scores.check()
        grid = Grid.from_json(name, content["grid"])
        return cls(name, bool(content["has_missing"]), counts, atoms, grid, scores)

    def describe(self) -> dict[str, Any]:
        """The atoms, the range, the grid and the scores."""
        scores = {
            "points": self.scores.points,
            "levels": self.scores.levels,
            "edges": self.scores.edges,
            "is_discrete": self.scores.is_discrete,
            "has_intervals": self.has_intervals,
        }
        return super().describe() | {"scores": scores}


def _range_mass(low: np.ndarray, high: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log-probability of N(0, 1) between two scores, and its quantile at a fraction of that range in (0, 1)."""
    from scipy.special import log_ndtr, ndtri_exp

    # Mirror to the lower half, where probabilities do not round to 1.
    sign = np.where(low + high > 0, -1.0, 1.0)
    first, last = (log_ndtr(np.where(sign > 0, *ends)) for ends in ((low, -high), (high, -low)))
    log_fraction = last + np.log(-np.expm1(first - last))
    inside = np.where(sign > 0, positions, 1 - positions)
    return log_fraction, sign * ndtri_exp(np.logaddexp(first, np.log(inside) + log_fraction))


def _flattest(points: np.ndarray, levels: np.ndarray) -> float:
    """Smallest slope of the lines from the first knot to the next ones; a single neighbour may be close by chance."""
    some = slice(1, _OUTERMOST + 1)
    return float(np.min((levels[some] - levels[0]) / (points[some] - points[0])))
