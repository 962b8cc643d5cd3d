"""Encoder of numbers and dates: single values with a token, and normal scores of all other numbers.

Single values (atoms) are all values of a column with few of them, or point masses, which are much more frequent than
their neighbors. The score of any other number follows the token that means "a number", or the token is one of several
intervals of scores, with a position in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.arguments import is_missing
from pointillist.columns.encoder import (
    EVERY_NUMBER,
    MOST_CHOICES,
    Allowed,
    ColumnEncoder,
    Pieces,
    Span,
    Volume,
    condition_cells,
    unknown_value_error,
)
from pointillist.columns.grids import Grid
from pointillist.columns.normal_scores import (
    LOG_ROOT,
    NormalScores,
    nearest_index,
    range_mass,
    scores_and_slopes,
    smoothed,
)
from pointillist.lazy import pa, special
from pointillist.tables.conditions import Between, OneOf
from pointillist.tables.table import Column, kind_of, to_arrow

_LARGEST_FRACTION = 1 - 1e-7
"""Largest fraction of rows below a number; it bounds the scores that networks see."""

_WIDE = 0.05
"""Width of a grid cell, in normal scores, above which the density is averaged over the cell."""

_NARROW = 1e-6
"""Width of a grid cell, in normal scores, below which the slope of the score is more exact than its difference."""


@dataclass(frozen=True, eq=False)
class NumberEncoder(ColumnEncoder):
    """Encodes numbers or dates.

    Attributes:
        atoms: Increasing single values that have a token, shape (a,).
        grid: The values that the column can take.
        scores: Normal scores of all other values; None if there are none.
        is_nominal: Whether the numbers are categories.
    """

    atoms: Float[np.ndarray, " a"] = field()  # type: ignore[misc]
    grid: Grid = field()  # type: ignore[misc]
    scores: NormalScores | None = None  # type: ignore[misc]
    is_nominal: bool = False  # type: ignore[misc]

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "discrete" if self.scores is None else "continuous"

    @property
    def n_intervals(self) -> int:  # type: ignore[override]
        """Number of token values that mean "a number"."""
        return 0 if self.scores is None else len(self.scores.edges) - 1

    @property
    def n_values(self) -> int:
        return len(self.atoms) + self.n_intervals

    @property
    def _n_counted(self) -> int:
        if self.scores is None:
            return len(self.atoms)
        return len(self.atoms) + len(self.scores.points) if self.scores.is_discrete else -1

    @property
    def support(self) -> Float[np.ndarray, " m"]:
        """Increasing values of the training rows, or knots of their distribution function."""
        return self.atoms if self.scores is None else np.sort(np.concatenate([self.atoms, self.scores.points]))

    @property
    def ends(self) -> tuple[float, float]:
        return float(self.support.min()), float(self.support.max())

    @property
    def ranks(self) -> tuple[float, ...]:
        middle = self.atoms
        if self.scores is not None and self.has_intervals:
            halves = self.scores.joined(np.arange(self.n_intervals), np.full(self.n_intervals, 0.5))
            middle = np.concatenate([self.atoms, self.scores.decode(halves)])
        ranks = (np.argsort(np.argsort(middle, kind="stable")) + 0.5) / max(1, len(middle))
        return (*ranks.tolist(), *[-1.0] * (self.size - len(middle)))

    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        values = cells.values
        if self.scores is None:
            if self.is_nominal:
                self._check_known(values)
            return nearest_index(self.atoms, values).astype(float), np.empty((len(values), 0))
        tokens, scores = np.full(len(values), float(len(self.atoms))), np.zeros(len(values))
        is_other = ~np.isin(values, self.atoms)
        tokens[~is_other] = np.searchsorted(self.atoms, values[~is_other])
        scores[is_other] = self.scores.encode(values[is_other], self.unit, positions[is_other])
        if self.has_intervals:
            tokens[is_other] += sum(self.scores.split(scores[is_other]))
            return tokens, np.empty((len(values), 0))
        return tokens, scores[:, None]

    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        index = tokens.astype(np.int64)
        is_missing = index >= self.n_values
        values = np.full(len(tokens), np.nan)
        is_atom = index < len(self.atoms)
        values[is_atom] = self.atoms[index[is_atom]]
        is_number = ~is_atom & ~is_missing
        if self.scores is not None and is_number.any():
            if self.has_intervals:
                scores = self.scores.joined(index[is_number] - len(self.atoms), tokens[is_number] % 1.0)
            else:
                scores = numbers[is_number, 0]
            found = self.scores.decode(scores)
            values[is_number] = found if self.scores.is_discrete else self.rounded(found)
        return Column(values, is_missing)

    def predicted(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        tokens = np.full(scores.size, float(len(self.atoms)))
        return self.decode(tokens, scores.reshape(-1, 1)).values.reshape(scores.shape)

    def value_cells(self) -> Column:
        return Column(self.atoms, np.zeros(len(self.atoms), bool))

    def typed(self, values: np.ndarray, arrow_type: "pa.DataType | None", *, is_rounded: bool) -> np.ndarray:
        found = self.rounded(values) if is_rounded else values
        if arrow_type is None or kind_of(arrow_type) != "date":
            return np.asarray(found, float)
        cells = Column(self.rounded(found.ravel()), np.zeros(values.size, bool))
        return to_arrow([cells], pa.schema([("x", arrow_type)]))[0].to_numpy().reshape(values.shape)

    def format_value(self, value: float, arrow_type: "pa.DataType | None") -> str:
        # A number that is no multiple of the increment is shown as it is.
        rounded = value if self.grid.increment else float(self.rounded(np.array([value]))[0])
        if arrow_type is None or kind_of(arrow_type) != "date":
            return f"{rounded:.6g}" if self.grid.decimals is None else f"{rounded:.15g}"
        return str(to_arrow([Column(np.array([rounded]), np.zeros(1, bool))], pa.schema([("", arrow_type)]))[0][0])

    def without_unknown(self, cells: Column) -> tuple[Column, Bool[np.ndarray, " n"]]:
        if not self.is_nominal:
            return super().without_unknown(cells)
        is_unknown = ~cells.is_missing & ~np.isin(cells.values, self.atoms)
        return replace(cells, values=np.where(is_unknown, self.atoms[0], cells.values)), is_unknown

    def _check_known(self, values: np.ndarray) -> None:
        new = np.setdiff1d(values, self.atoms)
        if len(new):
            raise unknown_value_error(self.name, f"{new[0]:.16g}", [f"{value:.16g}" for value in self.atoms])

    def check_observed(self, cells: Column, arrow_type: "pa.DataType | None", *, is_label: bool = False) -> None:
        if is_label:
            self._check_known(cells.values[~cells.is_missing])
        low, high = self.rounded(np.array(self.ends))
        is_beyond = ~cells.is_missing & ((cells.values < low) | (cells.values > high))
        if is_beyond.any():
            value = self.format_value(float(cells.values[is_beyond][0]), arrow_type)
            raise ValueError(f"column {self.name!r}: no training row is {value}{self._range_text(arrow_type)}")
        super().check_observed(cells, arrow_type)

    def _range_text(self, arrow_type: "pa.DataType | None") -> str:
        if arrow_type is None:
            return ""
        low, high = (self.format_value(end, arrow_type) for end in self.ends)
        return f"; its values go from {low} to {high}"

    def is_allowed(self, allowed: Allowed, values: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        in_range = (values >= allowed.ends.low) & (values <= allowed.ends.high)
        is_allowed_atom = np.isin(values, self.atoms[allowed.token_values[allowed.token_values < len(self.atoms)]])
        return np.where(np.isin(values, self.atoms), is_allowed_atom, in_range)

    def _one_of(self, cells: Column, condition: OneOf) -> Pieces:
        values, index = np.unique(cells.values, return_index=True)
        found = [self._pieces_between(float(value), float(value)) for value in values]
        ranges = np.concatenate([each.ranges for each in found])
        if self._is_ungridded and (len(ranges) or not self.has_token):
            raise ValueError(
                f"column {self.name!r} holds continuous numbers, so {condition} has probability 0: use between"
            )
        for i, each in zip(index, found, strict=True):
            if not len(each.token_values) and not len(each.ranges):
                value = [value for value in condition.values if not is_missing(value)][i]
                raise ValueError(f"column {self.name!r}: no training row is {value!r}")
        token_values = np.unique(np.concatenate([each.token_values for each in found]))
        return Pieces(token_values, ranges, (float(cells.values.min()), float(cells.values.max())))

    @property
    def _is_ungridded(self) -> bool:
        """Whether single numbers have probability 0, apart from atoms."""
        return self.scores is not None and not self.scores.is_discrete and not self.unit

    def _between(self, condition: Between, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Pieces:
        ends = zip((condition.low, condition.high), EVERY_NUMBER, strict=True)
        low, high = (default if value is None else self._end(value, arrow_type) for value, default in ends)
        return self._pieces_between(low, high)

    def _end(self, value: Any, arrow_type: "pa.DataType | None") -> float:
        """Converts an end of a range, which need not be a possible value of the column."""
        is_number = isinstance(value, int | float | np.number | Decimal)
        if is_number and arrow_type is not None and kind_of(arrow_type) == "number":
            return float(value)
        return float(condition_cells(self.name, [value], arrow_type).values[0])

    def _pieces_between(self, low: float, high: float) -> Pieces:
        """What a condition allows from a lowest to a highest number."""
        low, high = (self.bounded(np.array([end]), sign).item() for end, sign in ((low, 1.0), (high, -1.0)))
        token_values = np.flatnonzero((self.atoms >= low) & (self.atoms <= high))
        span = None if self.scores is None else self.scores.span(low, high, self.unit)
        if span is None:
            return Pieces(token_values, np.empty((0, 2)), (low, high))
        intervals = np.arange(len(self.atoms), self.n_values)
        return Pieces(np.append(token_values, intervals), np.array([span]), (low, high))

    def _in_pieces(self, found: Pieces, text: str, ends: Span) -> Allowed:
        if self.scores is None or not self.has_intervals:
            return super()._in_pieces(found, text, ends)
        first, token_values = len(self.atoms), found.token_values
        is_interval = (token_values >= first) & (token_values < self.n_values)
        pieces = [(value, 0.0, 1.0) for value in token_values[~is_interval]]
        edges = self.scores.edges
        for low_and_high in special.ndtr(found.ranges):
            begin, end = np.clip((low_and_high[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
            pieces += [(first + i, begin[i], end[i]) for i in np.flatnonzero(end > begin)]
        if not pieces:
            raise ValueError(f"column {self.name!r}: no training row is {text}")
        columns = np.array(pieces)
        return Allowed(self.name, text, columns[:, 0].astype(int), columns[:, 1], columns[:, 2], np.empty((0, 2)), ends)

    @property
    def has_wide_cells(self) -> bool:
        if self.scores is None or self.has_intervals:
            return False
        if self.scores.is_discrete:
            return True
        values = self.rounded(np.interp(np.linspace(-2, 2, 9), self.scores.levels, self.scores.points))
        low, high = (scores_and_slopes(self.scores, end)[0] for end in self.grid.cell(values))
        return bool((high - low).max() > _WIDE)

    def _volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        values = cells.values
        if self.scores is None:
            nearest, factors = smoothed(values, self.support, self.counts, self.grid)
            return Volume(nearest.astype(float), np.empty((len(values), 0)), factors)
        if not self.scores.is_discrete:
            return self._continuous_volume(values, positions, self.scores)
        nearest, factors = smoothed(values, self.support, self.counts, self.grid)
        value = self.support[nearest]
        is_atom = np.isin(value, self.atoms)
        tokens, z = np.zeros(len(values)), np.zeros(len(values))
        tokens[is_atom] = np.searchsorted(self.atoms, value[is_atom])
        point = np.searchsorted(self.scores.points, value[~is_atom])
        low, high = self.scores.levels[point], self.scores.levels[point + 1]
        fraction = low + positions[~is_atom] * (high - low)
        score = special.ndtri(np.clip(fraction, 1 - _LARGEST_FRACTION, _LARGEST_FRACTION))
        tokens[~is_atom], z[~is_atom], score_factors = self._score_volume(score, np.log(high - low), self.scores)
        factors[~is_atom] += score_factors
        return Volume(tokens, z[:, None][:, : self.n_numbers], factors)

    def _continuous_volume(self, values: np.ndarray, positions: np.ndarray, scores: NormalScores) -> Volume:
        """The volume of numbers whose scores are continuous; atoms have a mass."""
        values = self.rounded(values)
        z, log_slope = scores_and_slopes(scores, values)
        log_fraction = log_slope - z**2 / 2 - LOG_ROOT
        if self.unit:
            low, high = (scores_and_slopes(scores, end)[0] for end in self.grid.cell(values))
            is_wide = high - low > _NARROW
            log_fraction += np.log(self.unit)
            log_fraction[is_wide], z[is_wide] = range_mass(low[is_wide], high[is_wide], positions[is_wide])
        tokens, z, factors = self._score_volume(z, log_fraction, scores)
        is_atom = np.isin(values, self.atoms)
        tokens[is_atom], z[is_atom], factors[is_atom] = np.searchsorted(self.atoms, values[is_atom]), 0.0, 0.0
        return Volume(tokens, z[:, None][:, : self.n_numbers], factors - self.grid.log_width(self.unit or 1.0))

    def _score_volume(
        self, z: np.ndarray, log_fraction: np.ndarray, scores: NormalScores
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tokens, scores and log factors of cells, from a score in each cell and the log-probability of the cell."""
        tokens = np.full(len(z), float(len(self.atoms)))
        if not self.has_intervals:
            # The density is that of the score, not of the fraction of rows below.
            return tokens, z, log_fraction + z**2 / 2 + LOG_ROOT
        interval = np.searchsorted(scores.edges[1:-1], special.ndtr(z), side="right")
        log_width = np.log(np.diff(scores.edges)[interval])
        return tokens + interval, np.zeros(len(z)), log_fraction - log_width

    @property
    def arrays(self) -> tuple[Float[np.ndarray, " m"], ...]:
        scores = () if self.scores is None else (self.scores.points, self.scores.levels, self.scores.edges)
        return self.counts, self.atoms, *scores

    def to_json(self) -> dict[str, Any]:
        nominal = {"is_nominal": self.is_nominal} if self.scores is None else {}
        return super().to_json() | {"grid": self.grid.to_json()} | nominal

    @classmethod
    def _from_json(cls, name: Any, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "NumberEncoder":
        counts, atoms, *score_arrays = arrays
        if (np.diff(atoms) <= 0).any():
            raise ValueError(f"values of {name!r} do not increase")
        scores = None
        if content["kind"] == "continuous":
            scores = NormalScores(*score_arrays)
            scores.check()
        grid, is_nominal = Grid.from_json(name, content["grid"]), content.get("is_nominal") is True
        return cls(name, bool(content["has_missing"]), counts, atoms, grid, scores, is_nominal)

    def describe(self) -> dict[str, Any]:
        # Knots need not lie on the grid.
        low, high = self.rounded(np.array(self.ends)).tolist()
        described = {
            "kind": self.kind,
            "n_values": self.n_values,
            "has_missing": self.has_missing,
            "atoms": self.atoms,
            "minimum": low,
            "maximum": high,
            "ends": self.ends,
            "decimals": self.grid.decimals,
            "step": self.grid.step,
            "increment": self.grid.increment,
            "is_nominal": self.is_nominal,
            "is_calendar": self.grid.is_calendar,
            "first": self.grid.first,
            "can_be_given": self.scores is not None or self.size <= MOST_CHOICES,
        }
        if self.scores is None:
            return described
        return described | {
            "scores": {
                "points": self.scores.points,
                "levels": self.scores.levels,
                "edges": self.scores.edges,
                "is_discrete": self.scores.is_discrete,
                "has_intervals": self.has_intervals,
            }
        }
