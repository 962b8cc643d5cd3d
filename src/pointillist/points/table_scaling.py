"""Scales a table to what a model sees, and back; handles constant columns and columns of integers."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.points.scaling import AffineScaling, QuantileScaling, Rows, Scaling, column_range

SCALINGS = ("minmax", "standard", "quantile", None)
"""Names of the ways to scale columns; None leaves them as they are."""

MARGIN = 0.1
"""Distance that generated values may lie beyond a column's range, as a fraction of half the range."""


@dataclass(frozen=True)
class TableScaling:
    """The ranges of a table's columns in training, and the scaling of those that vary.

    Attributes:
        minimum: Lowest value of each column, shape (d,).
        maximum: Highest value of each column, shape (d,).
        is_whole: Which columns hold integers alone, shape (d,).
        varying: Scaling of the k columns that are not constant; the model sees no others.
    """

    minimum: Float[np.ndarray, " d"]
    maximum: Float[np.ndarray, " d"]
    is_whole: Bool[np.ndarray, " d"]
    varying: Scaling

    @classmethod
    def fit(cls, rows: Rows, method: str | None, is_whole: Bool[np.ndarray, " d"]) -> "TableScaling":
        """Learns a scaling, one of `SCALINGS`, from `rows`, shape (n, d), finite.

        Raises:
            ValueError: If all columns are constant.
        """
        low, high = column_range(rows)
        varies = high > low
        if not varies.any():
            raise ValueError("every column is constant, so there is nothing to learn: give rows that differ")
        if method is None:
            scaling: Scaling = AffineScaling.identity(rows.shape[1])
        else:
            # Of all columns: those that vary would be a copy of a table that may be larger than the memory.
            scaling = {
                "minmax": AffineScaling.minmax,
                "standard": AffineScaling.standard,
                "quantile": QuantileScaling.fit,
            }[method](rows)
        return cls(low, high, is_whole, scaling.of(varies))

    def widened(self, rows: Float[np.ndarray, "n d"], is_whole: Bool[np.ndarray, " d"]) -> "TableScaling":
        """The same scaling, with ranges that also hold the values of more rows, some columns of which hold integers."""
        low, high = column_range(rows)
        low, high = np.minimum(self.minimum, low), np.maximum(self.maximum, high)
        return replace(self, minimum=low, maximum=high, is_whole=is_whole)

    @property
    def repeating(self) -> Int[np.ndarray, " columns"]:
        """Columns scaled by quantiles whose values repeat so often that they have no density; none otherwise."""
        if not isinstance(self.varying, QuantileScaling):
            return np.empty(0, np.int64)
        return np.flatnonzero(self.varies)[self.varying.repeats]

    @property
    def varies(self) -> Bool[np.ndarray, " d"]:
        """Which columns are not constant."""
        return self.maximum > self.minimum

    @property
    def bounds(self) -> Float[np.ndarray, "2 k"]:
        """Lowest and highest scaled values that a generated row may have in each column that varies."""
        ends = np.stack([self.minimum, self.maximum])[:, self.varies]
        low, high = self.varying.transform(ends).astype(np.float64)
        margin = MARGIN * (high - low) / 2
        return np.stack([low - margin, high + margin]).astype(np.float32)

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Scales the columns that vary; float32.

        Raises:
            ValueError: If a scaled value is beyond float32.
        """
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
        """Turns scaled rows into rows of the table, float64: adds constants, rounds integers, keeps them in range."""
        out = self.in_units(rows)
        whole = self.is_whole
        out[:, whole] = np.clip(np.round(out[:, whole]), self.minimum[whole], self.maximum[whole])
        return out

    def in_units(self, rows: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Does the same as `inverse` but without rounding, for rows in the middle of sampling."""
        out = np.repeat(self.minimum[None], len(rows), axis=0)
        out[:, self.varies] = self.varying.inverse(rows)
        return out

    def log_slope(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Log-determinant of the scaling of the columns that vary; see `Scaling.log_slope`."""
        return self.varying.log_slope(rows[:, self.varies])
