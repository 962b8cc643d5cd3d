"""Column scalings and their inverses: from the units of the data to those of a model."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.tables.row_blocks import blocks, column_range, rows_at

Rows = Float[np.ndarray, "n d"]

N_QUANTILES = 1000
"""Number of quantiles that `QuantileScaling` keeps of a column's distribution."""

_QUANTILE_ROWS = 100_000


class Scaling(ABC):
    """An increasing map of each column on its own.

    Its numbers are NumPy arrays, or arrays of JAX within a compiled program that applies `inverse`.
    """

    @abstractmethod
    def transform(self, rows: Rows) -> Rows:
        """Scales rows of shape (n, d); float32."""

    @abstractmethod
    def inverse(self, rows: Any, normal_cdf: Callable[[Any], Any] | None = None) -> Any:
        """Takes scaled rows of shape (n, d) back to the units of the data.

        Args:
            rows: NumPy rows, which become float64; or rows of JAX, which keep their type.
            normal_cdf: The distribution function of N(0, 1), which for rows of JAX must be JAX's own.
        """

    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define the scaling, by name; the last axis is that of the columns."""

    @abstractmethod
    def select(self, columns: Bool[np.ndarray, " d"]) -> "Scaling":
        """The scaling of some of the columns."""

    @abstractmethod
    def log_slope(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Log-determinant of `transform` at rows of shape (n, d); to be added to a log-density of scaled rows."""


@dataclass(frozen=True)
class AffineScaling(Scaling):
    """The scaling (row - centre) / unit. A column of unit 0 is constant: it maps to 0, and 0 maps back to its centre.

    Attributes:
        centre: Shape (d,): the value of each column that becomes 0.
        unit: Shape (d,): the divisor of each column, at least 0.
    """

    centre: Float[Any, " d"]
    unit: Float[Any, " d"]

    @classmethod
    def minmax(cls, rows: Rows) -> "AffineScaling":
        """Scales the range of each column of `rows`, shape (n, d), finite, to [-1, 1]."""
        low, high = column_range(rows)
        # Halves first: the range of float64 rows may be beyond float64.
        return cls(low / 2 + high / 2, high / 2 - low / 2)

    @classmethod
    def standard(cls, rows: Rows) -> "AffineScaling":
        """Scales each column of `rows`, shape (n, d), finite, to mean 0 and standard deviation 1."""
        low, high = column_range(rows)
        # Within the range, so that squares neither overflow nor underflow.
        inner = cls.minmax(rows)
        count, mean, squares = 0, np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
        for block in blocks(rows):
            # In one order in memory: a frame's columns would be summed in another than an array's.
            scaled = np.ascontiguousarray(inner._scaled(block))
            # Chan et al. 1983, equation 2.1: the mean and the sum of squares of two parts together.
            shift = scaled.mean(axis=0) - mean
            total = count + len(block)
            squares += ((scaled - scaled.mean(axis=0)) ** 2).sum(axis=0) + shift**2 * (count * len(block) / total)
            mean += shift * (len(block) / total)
            count = total
        return cls(np.where(high > low, inner.centre + mean * inner.unit, low), np.sqrt(squares / count) * inner.unit)

    @classmethod
    def identity(cls, columns: int) -> "AffineScaling":
        """Changes nothing."""
        return cls(np.zeros(columns), np.ones(columns))

    @property
    def _divisor(self) -> Float[np.ndarray, " d"]:
        return np.where(self.unit > 0, self.unit, 1.0)

    def _scaled(self, rows: Rows) -> Rows:
        return (np.asarray(rows, dtype=np.float64) - self.centre) / self._divisor

    def transform(self, rows: Rows) -> Rows:
        """Scales rows of shape (n, d); float32."""
        return self._scaled(rows).astype(np.float32)

    def inverse(self, rows: Any, normal_cdf: Callable[[Any], Any] | None = None) -> Any:
        """Takes scaled rows of shape (n, d) back; see `Scaling.inverse`."""
        return _precise(rows) * self.unit[None] + self.centre[None]

    def tensors(self) -> dict[str, np.ndarray]:
        """Centres and units."""
        return {"centre": self.centre, "unit": self.unit}

    def select(self, columns: Bool[np.ndarray, " d"]) -> "AffineScaling":
        """The scaling of some of the columns."""
        return AffineScaling(self.centre[columns], self.unit[columns])

    def log_slope(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Log-determinant of `transform`, the same for all rows."""
        return np.full(len(rows), -np.log(self._divisor).sum())


@dataclass(frozen=True)
class QuantileScaling(Scaling):
    """Makes each column standard normal by its own distribution function, linear between `N_QUANTILES` quantiles.

    Values beyond the range of the data map to its ends, and no generated row lies beyond it. A repeated value keeps its
    share of the rows.

    Attributes:
        quantiles: Quantiles of each column, shape (points, d), not decreasing along the first axis.
    """

    quantiles: Float[Any, "points d"]

    @classmethod
    def fit(cls, rows: Rows) -> "QuantileScaling":
        """Takes the quantiles of each column of `rows`, shape (n, d), finite; from at most 100,000 of them."""
        if len(rows) > _QUANTILE_ROWS:
            rows = rows_at(rows, np.sort(np.random.default_rng(0).choice(len(rows), _QUANTILE_ROWS, replace=False)))
        points = np.linspace(0, 1, min(N_QUANTILES, len(rows)))
        # Rounding may make quantiles of equal values decrease by a last digit.
        return cls(np.maximum.accumulate(np.quantile(np.asarray(rows, dtype=np.float64), points, axis=0)))

    @property
    def levels(self) -> Float[np.ndarray, " points"]:
        """Fraction of the data that lies below each quantile."""
        return np.linspace(0, 1, len(self.quantiles))

    @property
    def repeats(self) -> np.ndarray:
        """Which columns have values that repeat so often that they have no density, shape (d,), bool."""
        return (np.diff(self.quantiles, axis=0) == 0).any(axis=0)

    def _fraction_below(self, rows: Rows) -> Rows:
        levels, out = self.levels, np.empty(rows.shape)
        for j, quantiles in enumerate(self.quantiles.T):
            # A difference of quantiles may be subnormal, and a slope over it infinite. A power of two moves them all
            # away from there, and changes no bit of a share.
            exponent = 900 - int(np.frexp(np.abs(quantiles).max())[1])
            column, quantiles = (np.ldexp(np.asarray(each, np.float64), exponent) for each in (rows[:, j], quantiles))
            # The two disagree at values that repeat, by the share of these; the middle of it is meant.
            from_left = np.interp(column, quantiles, levels)
            from_right = 1 - np.interp(-column, -quantiles[::-1], levels)
            out[:, j] = (from_left + from_right) / 2
        return out

    def transform(self, rows: Rows) -> Rows:
        """Scales rows of shape (n, d); float32, within ±5.2."""
        from scipy.special import ndtri

        return ndtri(np.clip(self._fraction_below(rows), 1e-7, 1 - 1e-7)).astype(np.float32)

    def inverse(self, rows: Any, normal_cdf: Callable[[Any], Any] | None = None) -> Any:
        """Takes scaled rows of shape (n, d) back; see `Scaling.inverse`."""
        from scipy.special import ndtr

        fractions = (normal_cdf or ndtr)(_precise(rows))
        xp = fractions.__array_namespace__()
        levels = xp.linspace(0, 1, len(self.quantiles))
        columns = [xp.interp(fractions[:, j], levels, q) for j, q in enumerate(self.quantiles.T)]
        return xp.stack(columns, axis=1)

    def tensors(self) -> dict[str, np.ndarray]:
        """The quantiles."""
        return {"quantiles": self.quantiles}

    def select(self, columns: Bool[np.ndarray, " d"]) -> "QuantileScaling":
        """The scaling of some of the columns."""
        return QuantileScaling(self.quantiles[:, columns])

    def log_slope(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Log-determinant of `transform`, -inf beyond the data's range; only for columns without repeated values."""
        out = np.zeros(len(rows))
        z = self.transform(rows).astype(np.float64)
        for j, quantiles in enumerate(self.quantiles.T):
            index = np.searchsorted(quantiles, rows[:, j], side="right") - 1
            is_inside = (rows[:, j] >= quantiles[0]) & (rows[:, j] <= quantiles[-1])
            width = np.diff(quantiles)[np.clip(index, 0, len(quantiles) - 2)] * (len(quantiles) - 1)
            # dz/dx = (dp/dx) / φ(z), with φ the standard normal density.
            out += np.where(is_inside, -np.log(width) + z[:, j] ** 2 / 2 + np.log(2 * np.pi) / 2, -np.inf)
        return out


def _precise(rows: Any) -> Any:
    """NumPy rows in float64, and others as they are."""
    return rows.astype(np.float64) if isinstance(rows, np.ndarray) else rows
