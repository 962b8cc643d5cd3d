"""From a table in its own units to what a model sees, and back: scaling, constant columns, whole numbers."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.points.scaling import AffineScaling, QuantileScaling, Rows, Scaling, column_range

SCALINGS = ("minmax", "standard", "quantile", None)
"""Ways to scale columns, by name; None leaves them as they are."""

MARGIN = 0.1
"""Share of half a column's range that generated values may lie beyond it."""


@dataclass(frozen=True)
class TableScaling:
    """What the columns of a table were in training, and how those that vary are scaled.

    Attributes:
        minimum: Lowest value of each column, shape (d,).
        maximum: Highest value of each column, shape (d,).
        is_whole: Which columns hold whole numbers alone, shape (d,).
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
            raise ValueError("every column is constant, so that there is nothing to learn: give rows that differ")
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

    def widened(self, rows: Float[np.ndarray, "n d"]) -> "TableScaling":
        """The same scaling of a range that holds the values of more rows."""
        low, high = column_range(rows)
        return replace(self, minimum=np.minimum(self.minimum, low), maximum=np.maximum(self.maximum, high))

    @property
    def repeating(self) -> Int[np.ndarray, " columns"]:
        """Columns of values that repeat so often that they have no density, scaled by quantiles; none otherwise."""
        if not isinstance(self.varying, QuantileScaling):
            return np.empty(0, np.int64)
        return np.flatnonzero(self.varies)[self.varying.repeats]

    @property
    def varies(self) -> Bool[np.ndarray, " d"]:
        """Which columns are not constant."""
        return self.maximum > self.minimum

    @property
    def bounds(self) -> Float[np.ndarray, "2 k"]:
        """Lowest and highest scaled value that a generated row may have in each column that varies."""
        ends = np.stack([self.minimum, self.maximum])[:, self.varies]
        low, high = self.varying.transform(ends).astype(np.float64)
        margin = MARGIN * (high - low) / 2
        return np.stack([low - margin, high + margin]).astype(np.float32)

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """The columns that vary, scaled; float32.

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
        """Scaled rows as rows of the table, float64: constants back in place, whole numbers whole and in range."""
        out = self.in_units(rows)
        whole = self.is_whole
        out[:, whole] = np.clip(np.round(out[:, whole]), self.minimum[whole], self.maximum[whole])
        return out

    def in_units(self, rows: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """As `inverse`, but nothing is rounded: for rows that are still on their way to the data."""
        out = np.repeat(self.minimum[None], len(rows), axis=0)
        out[:, self.varies] = self.varying.inverse(rows)
        return out

    def log_slope(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """As of `Scaling`, over the columns that vary."""
        return self.varying.log_slope(rows[:, self.varies])
