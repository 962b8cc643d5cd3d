"""Scalings of numeric columns and tables, and their inverses.

A scaling is an increasing transformation of each column. Its arrays are NumPy arrays, or JAX arrays inside a compiled
program that applies `inverse`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import LARGEST_INTEGER
from pointillist.columns.grids import MAX_DECIMALS, find_ends, find_grids
from pointillist.tables.numbers import blocks, column_range

Rows = Float[np.ndarray, "n d"]

MARGIN = 0.1
"""Distance that generated values may lie outside a column's range, as a fraction of half the range."""


@dataclass(frozen=True)
class AffineScaling:
    """The scaling (row - centre) / unit. A column with unit 0 is constant: it maps to 0, and 0 maps back to its centre.

    Attributes:
        centre: Value of each column that maps to 0, shape (d,).
        unit: Divisor of each column, at least 0, shape (d,).
    """

    centre: Float[Any, " d"]
    unit: Float[Any, " d"]

    @classmethod
    def minmax(cls, rows: Rows) -> "AffineScaling":
        """Fits the scaling that maps the range of each column of `rows`, shape (n, d), finite, to [-1, 1]."""
        low, high = column_range(rows)
        # Halve first: the range of float64 rows may exceed float64.
        return cls(low / 2 + high / 2, high / 2 - low / 2)

    @classmethod
    def standard(cls, rows: Rows) -> "AffineScaling":
        """Fits the scaling to mean 0 and standard deviation 1 of each column of `rows`, shape (n, d), finite."""
        low, high = column_range(rows)
        # Scale to [-1, 1] first, so that squares neither overflow nor underflow.
        inner = cls.minmax(rows)
        count, mean, squares = 0, np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
        for block in blocks(rows):
            # Frames and arrays differ in memory order, which would change the order of summation.
            scaled = np.ascontiguousarray(inner._scaled(block))
            # Chan et al. 1983, equation 2.1: the mean and sum of squares of two parts combined.
            shift = scaled.mean(axis=0) - mean
            total = count + len(block)
            squares += ((scaled - scaled.mean(axis=0)) ** 2).sum(axis=0) + shift**2 * (count * len(block) / total)
            mean += shift * (len(block) / total)
            count = total
        return cls(np.where(high > low, inner.centre + mean * inner.unit, low), np.sqrt(squares / count) * inner.unit)

    @classmethod
    def identity(cls, columns: int) -> "AffineScaling":
        """Makes the scaling that changes nothing."""
        return cls(np.zeros(columns), np.ones(columns))

    @property
    def _divisor(self) -> Float[np.ndarray, " d"]:
        return np.where(self.unit > 0, self.unit, 1.0)

    def _scaled(self, rows: Rows) -> Rows:
        return (np.asarray(rows, dtype=np.float64) - self.centre) / self._divisor

    def transform(self, rows: Rows) -> Rows:
        """Scales rows, shape (n, d), to float32."""
        return self._scaled(rows).astype(np.float32)

    def inverse(self, rows: Any) -> Any:
        """Converts scaled rows of NumPy (in float64) or JAX, shape (n, d), back to the units of the data."""
        rows = rows.astype(np.float64) if isinstance(rows, np.ndarray) else rows
        return rows * self.unit[None] + self.centre[None]

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define the scaling, by name; the last axis is the column."""
        return {"centre": self.centre, "unit": self.unit}

    def select(self, columns: Bool[np.ndarray, " d"]) -> "AffineScaling":
        """Returns the scaling of the selected columns."""
        return AffineScaling(self.centre[columns], self.unit[columns])

    def log_slope(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Returns the log-determinant of `transform` at rows; add it to a log-density of scaled rows."""
        return np.full(len(rows), -np.log(self._divisor).sum())


SCALINGS: dict[str | None, Callable[[Rows], AffineScaling]] = {
    "minmax": AffineScaling.minmax,
    "standard": AffineScaling.standard,
    None: lambda rows: AffineScaling.identity(rows.shape[1]),
}
"""Functions that fit scalings, by name; None leaves columns unchanged."""


@dataclass(frozen=True)
class TableScaling:
    """The ranges of a table's columns in the training rows, and the scaling of the columns that vary.

    Attributes:
        minimum: Lowest value of each column, shape (d,).
        maximum: Highest value of each column, shape (d,).
        is_integer: Which columns hold integers, shape (d,).
        varying: Scaling of the k columns that are not constant, the only ones that the model sees.
        decimals: Number of decimals of each column's values, shape (d,); 0 without a grid.
        steps: Distance between neighboring grid values, in units of the last decimal, shape (d,); 0 without a grid.
        is_end: Whether new values stop at the lowest, and at the highest, value of each column, shape (2, d).
    """

    minimum: Float[np.ndarray, " d"]
    maximum: Float[np.ndarray, " d"]
    is_integer: Bool[np.ndarray, " d"]
    varying: AffineScaling
    decimals: Int[np.ndarray, " d"]
    steps: Int[np.ndarray, " d"]
    is_end: Bool[np.ndarray, "2 d"]

    @classmethod
    def fit(cls, rows: Rows, method: str | None, is_integer: Bool[np.ndarray, " d"]) -> "TableScaling":
        """Learns a scaling, one of `SCALINGS`, from `rows`, shape (n, d), finite; some column must vary."""
        low, high = column_range(rows)
        varies = high > low
        if not varies.any():
            raise ValueError("every column is constant, so there is nothing to learn: give rows that differ")
        # Scale all columns: selecting the varying ones would copy a table that may exceed memory.
        scaling = SCALINGS[method](rows)
        is_end = find_ends(rows, low, high) | is_integer
        decimals, steps = find_grids(rows, low, high, is_integer)
        return cls(low, high, is_integer, scaling.select(varies), decimals, steps, is_end)._with_range_on_grid()

    def _with_range_on_grid(self) -> "TableScaling":
        return replace(self, minimum=self.rounded(self.minimum), maximum=self.rounded(self.maximum))

    @property
    def units(self) -> Float[np.ndarray, " d"]:
        """Distance between neighboring grid values of each column, in the units of the table; 0 without a grid."""
        return self.steps / 10.0**self.decimals

    @cached_property
    def grid(self) -> Float[np.ndarray, "3 d"]:
        """Scale, first number and step of each column, shape (3, d); grid values are (first + step k) / scale."""
        scale, step = 10.0**self.decimals, np.maximum(self.steps, 1.0)
        return np.stack([scale, np.round(self.minimum * scale) % step, step])

    @property
    def varies(self) -> Bool[np.ndarray, " d"]:
        """Which columns are not constant."""
        return self.maximum > self.minimum

    def column(self, index: int) -> "TableScaling":
        """Returns the scaling of one column."""
        is_column = np.arange(len(self.varies)) == index
        low, high, is_integer = self.minimum[is_column], self.maximum[is_column], self.is_integer[is_column]
        varying, is_end = self.varying.select(is_column[self.varies]), self.is_end[:, is_column]
        return TableScaling(low, high, is_integer, varying, self.decimals[is_column], self.steps[is_column], is_end)

    @property
    def bounds(self) -> Float[np.ndarray, "2 k"]:
        """Lowest and highest scaled value that a generated row may have, for each column that varies, shape (2, k)."""
        ends = np.stack([self.minimum, self.maximum])[:, self.varies]
        low, high = self.varying.transform(ends).astype(np.float64)
        margin = MARGIN * (high - low) / 2
        return np.stack([low - margin, high + margin]).astype(np.float32)

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Scales the columns that vary to float32; raises a ValueError if a scaled value exceeds it."""
        varies = self.varies
        with np.errstate(over="ignore"):
            scaled = self.varying.transform(rows if varies.all() else rows[:, varies])
        if not np.isfinite(scaled).all():
            column = np.flatnonzero(varies)[np.argwhere(~np.isfinite(scaled))[0, 1]]
            raise ValueError(
                f"column {column} has values too large for the model's float32: scale it (scaling='minmax')"
            )
        return scaled

    def inverse(self, rows: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Converts scaled rows to rows of the table, float64, with constant columns, on grids and within ends."""
        out = np.repeat(self.minimum[None], len(rows), axis=0)
        out[:, self.varies] = self.varying.inverse(rows)
        return self.within(self.rounded(out))

    def within(self, values: Float[np.ndarray, "*n"], columns: int | slice = slice(None)) -> Float[np.ndarray, "*n"]:
        """Clips values of one column, or of the columns on the last axis, to the ends of their columns."""
        is_low, is_high = self.is_end[:, columns]
        low, high = np.where(is_low, self.minimum[columns], -np.inf), np.where(is_high, self.maximum[columns], np.inf)
        return np.clip(values, low, high)

    def rounded(self, values: Float[np.ndarray, "*n"], columns: int | slice = slice(None)) -> Float[np.ndarray, "*n"]:
        """Rounds values of one column, or of the columns on the last axis, to their grid, if there is one."""
        scale, first, step = self.grid[:, columns]
        on_grid = (first + step * np.round((values * scale - first) / step)) / scale
        return np.where(self.steps[columns] > 0, on_grid, values)

    def log_slope(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Returns the log-determinant of `transform` at rows, shape (n, d)."""
        return self.varying.log_slope(rows[:, self.varies])

    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the tensors of a model file."""
        return {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "decimals": self.decimals,
            "steps": self.steps,
            "ends": self.is_end.astype(np.int64),
            **self.varying.tensors(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray], is_integer: Bool[np.ndarray, " d"]) -> "TableScaling":
        """Rebuilds a scaling from the result of `tensors`; raises a ValueError if it or a grid is invalid."""
        decimals, steps, ends = (tensors[name] for name in ("decimals", "steps", "ends"))
        d, k = is_integer.shape, tensors["unit"].shape
        shapes = {"minimum": d, "maximum": d, "decimals": d, "steps": d, "ends": (2, *d), "centre": k}
        if any(tensors[name].shape != shape for name, shape in shapes.items()):
            raise ValueError("its scaling does not fit its columns")
        is_possible = (decimals >= 0) & (decimals <= MAX_DECIMALS) & (steps >= 0) & (steps <= LARGEST_INTEGER)
        is_of_integers = (decimals == 0) & (steps > 0) & (ends == 1).all(axis=0)
        if not is_possible.all() or not np.isin(ends, (0, 1)).all() or not is_of_integers[is_integer].all():
            raise ValueError("its grids do not fit its columns")
        varying, fits = AffineScaling(tensors["centre"], tensors["unit"]), tensors["unit"] >= 0
        scaling = cls(tensors["minimum"], tensors["maximum"], is_integer, varying, decimals, steps, ends > 0)
        if not fits.all() or scaling.varies.sum() != len(fits):
            raise ValueError("its scaling does not fit its columns")
        return scaling
