"""Base class of numeric encoders: a grid, single values with a token, and densities between observed values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.encoder import (
    EVERY_NUMBER,
    MOST_CHOICES,
    Allowed,
    ColumnEncoder,
    Pieces,
    Volume,
    condition_cells,
    unknown_value_error,
)
from pointillist.columns.grids import Grid
from pointillist.columns.scores import nearest_index
from pointillist.tables.calendar_dates import day_numbers
from pointillist.tables.conditions import Between, OneOf
from pointillist.tables.table import Column, kind_of, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class NumberEncoder(ColumnEncoder):
    """Encodes numbers or dates.

    Attributes:
        atoms: Increasing values that have a token, shape (a,).
        grid: The values that the column can take.
    """

    atoms: Float[np.ndarray, " a"] = field()  # type: ignore[misc]
    grid: Grid = field()  # type: ignore[misc]

    @property
    def seen(self) -> Float[np.ndarray, " m"]:
        """Increasing values of the training rows, or knots of their distribution function."""
        return self.atoms

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest number of the column."""
        return float(self.seen.min()), float(self.seen.max())

    @property
    def values(self) -> np.ndarray:
        """The values that have a token."""
        return self.atoms

    def typed(self, values: np.ndarray, arrow_type: "pa.DataType | None", *, is_rounded: bool) -> np.ndarray:
        """Returns numbers, rounded if requested, or dates in the column's type."""
        import pyarrow as pa

        found = self.rounded(values) if is_rounded else values
        if arrow_type is None or kind_of(arrow_type) != "date":
            return np.asarray(found, float)
        cells = Column(self.rounded(found.ravel()), np.zeros(values.size, bool))
        return to_arrow([cells], pa.schema([("x", arrow_type)]))[0].to_numpy().reshape(values.shape)

    def value_cells(self) -> Column:
        """The values that have a token, as cells."""
        return Column(self.atoms, np.zeros(len(self.atoms), bool))

    def check_known(self, cells: Column) -> None:
        """Raises a ValueError if a cell holds a number without a token."""
        new = np.setdiff1d(cells.values[~cells.is_missing], self.atoms)
        if len(new):
            raise unknown_value_error(self.name, f"{new[0]:.16g}", [f"{value:.16g}" for value in self.atoms])

    def check_range(self, cells: Column, arrow_type: "pa.DataType | None") -> None:
        """Raises a ValueError if a number is outside the range of the training rows."""
        low, high = self.rounded(np.array(self.ends))
        beyond = ~cells.is_missing & ((cells.values < low) | (cells.values > high))
        if beyond.any():
            value = self.format_value(float(cells.values[beyond][0]), arrow_type)
            raise ValueError(f"column {self.name!r}: no training row is {value}{self.range_text(arrow_type)}")

    def range_text(self, arrow_type: "pa.DataType | None") -> str:
        """The range of the training rows as the end of a message."""
        if arrow_type is None:
            return ""
        low, high = (self.format_value(end, arrow_type) for end in self.ends)
        return f"; its values go from {low} to {high}"

    def format_value(self, value: float, arrow_type: "pa.DataType | None") -> str:
        """Formats a number, or a date in the column's type."""
        rounded = float(self.rounded(np.array([value]))[0])
        if arrow_type is None or kind_of(arrow_type) != "date":
            return f"{rounded:.6g}" if self.grid.decimals is None else f"{rounded:.15g}"
        import pyarrow as pa

        return str(to_arrow([Column(np.array([rounded]), np.zeros(1, bool))], pa.schema([("", arrow_type)]))[0][0])

    def _one_of(self, cells: Column, condition: OneOf) -> Pieces:
        found = [self._pieces_between(float(value), float(value)) for value in np.unique(cells.values)]
        token_values = np.unique(np.concatenate([each.token_values for each in found]))
        ranges = np.concatenate([each.ranges for each in found])
        return Pieces(token_values, ranges, (float(cells.values.min()), float(cells.values.max())))

    def _between(self, condition: Between, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Pieces:
        ends = zip((condition.low, condition.high), EVERY_NUMBER, strict=True)
        low, high = (default if value is None else self._end(value, arrow_type) for value, default in ends)
        return self._pieces_between(low, high)

    def _end(self, value: Any, arrow_type: "pa.DataType | None") -> float:
        """An end of a range, which need not be a possible value of the column."""
        if (
            arrow_type is not None
            and kind_of(arrow_type) == "number"
            and isinstance(value, int | float | np.number | Decimal)
        ):
            return float(value)
        return float(condition_cells(self.name, [value], arrow_type).values[0])

    def _pieces_between(self, low: float, high: float) -> Pieces:
        """What a condition allows from a lowest to a highest number."""
        low, high = (self.bounded(np.array([end]), sign).item() for end, sign in ((low, 1.0), (high, -1.0)))
        token_values = np.flatnonzero((self.atoms >= low) & (self.atoms <= high))
        return Pieces(token_values, np.empty((0, 2)), (low, high))

    def _volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        present = ~cells.is_missing
        return self._number_volume(cells.values[present], positions[present])

    def _number_volume(self, values: np.ndarray, positions: np.ndarray) -> Volume:
        """The volume of numbers in a column whose training values are counted.

        A number that no training row had shares the token of the nearest value.
        """
        nearest, factors = self._smoothed(values)
        return Volume(nearest.astype(float), np.empty((len(values), 0)), factors)

    def _smoothed(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the index of the nearest training value, and the log-density of each value given this index.

        A training value with c rows gives 1 / (c + 1) of its probability to the nearest unseen grid cells, by Laplace's
        rule of succession: half to the cells below and half to the cells above. If one side has no unseen cell, the
        value keeps that half. All unseen cells of a half between two training values get the same probability. Beyond
        the ends of the column, the density falls with the square of the distance, and half of the mass lies within one
        range of the column.

        Args:
            values: The values, shape (n,).
        """
        seen = self.seen
        unit = self.unit or (float(np.diff(seen).min()) if len(seen) > 1 else 1.0)
        if self.grid.is_calendar:
            seen_steps, value_steps = (
                day_numbers(seen) - day_numbers(seen[:1]),
                day_numbers(values) - day_numbers(seen[:1]),
            )
        else:
            seen_steps, value_steps = np.round((seen - seen[0]) / unit), np.round((values - seen[0]) / unit)
        nearest = nearest_index(seen_steps, value_steps)
        if not len(self.counts):
            return nearest, np.where(seen[nearest] == values, 0.0, -np.inf)
        # Number of unseen cells below and above each training value.
        n_unseen = np.diff(seen_steps) - 1
        n_neighbours = np.stack([np.append(np.inf, np.floor(n_unseen / 2)), np.append(np.ceil(n_unseen / 2), np.inf)])
        unseen_mass = np.where(n_neighbours > 0, 0.5 / (self.counts + 1), 0.0)
        factor = np.log(1 - unseen_mass.sum(axis=0))[nearest]
        is_other = value_steps != seen_steps[nearest]
        distance, span = np.abs(value_steps - seen_steps[nearest])[is_other], seen_steps[-1] or 1.0
        side = (value_steps > seen_steps[nearest])[is_other].astype(np.int64), nearest[is_other]
        beyond = np.log(span) - np.log(distance + span) - np.log(distance - 1 + span)
        factor[is_other] = np.log(unseen_mass[side]) + np.where(
            np.isinf(n_neighbours[side]), beyond, -np.log(n_neighbours[side])
        )
        return nearest, factor - self._log_width(unit)

    def _log_width(self, unit: float) -> float:
        """Log-width of a grid cell in the table's units; 0 for dates, whose unit is a step."""
        return 0.0 if self.grid.step else float(np.log(unit))

    def is_allowed(self, allowed: Allowed, values: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        """Which numbers a condition allows."""
        in_range = (values >= allowed.ends.low) & (values <= allowed.ends.high)
        known = np.isin(values, self.atoms[allowed.token_values[allowed.token_values < len(self.atoms)]])
        return np.where(np.isin(values, self.atoms), known, in_range)

    @property
    def arrays(self) -> tuple[Float[np.ndarray, " m"], ...]:
        """The counts and the atoms."""
        return self.counts, self.atoms

    def to_json(self) -> dict[str, Any]:
        """JSON values that describe the encoder, without its arrays."""
        return super().to_json() | {"grid": self.grid.to_json()}

    def describe(self) -> dict[str, Any]:
        """The atoms, the range and the grid."""
        # Knots need not lie on the grid.
        low, high = self.rounded(np.array(self.ends)).tolist()
        return {
            "kind": self.kind,
            "n_values": self.n_values,
            "has_missing": self.has_missing,
            "atoms": self.atoms,
            "minimum": low,
            "maximum": high,
            "ends": self.ends,
            "decimals": self.grid.decimals,
            "step": self.grid.step,
            "is_nominal": self.is_nominal,
            "is_calendar": self.grid.is_calendar,
            "first": self.grid.first,
            "can_be_given": self.scores is not None or self.size <= MOST_CHOICES,
        }


def check_increasing(name: Any, atoms: np.ndarray) -> None:
    """Raises a ValueError if the atoms of a model file do not increase."""
    if (np.diff(atoms) <= 0).any():
        raise ValueError(f"values of {name!r} do not increase")
