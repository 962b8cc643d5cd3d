"""Scalings of numeric columns, and their inverses.

A scaling is an increasing transformation of each column of a table. Its arrays are NumPy arrays, or JAX arrays inside a
compiled program that applies `inverse`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.tables.numbers import blocks, column_range, rows_at

Rows = Float[np.ndarray, "n d"]

N_QUANTILES = 1000
"""Number of quantiles per column that `QuantileScaling` stores."""

_QUANTILE_ROWS = 100_000


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

    def inverse(self, rows: Any, normal_cdf: Callable[[Any], Any] | None = None) -> Any:
        """Converts scaled rows, shape (n, d), back to the units of the data; see `QuantileScaling.inverse`."""
        return _precise(rows) * self.unit[None] + self.centre[None]

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define the scaling, by name; the last axis is the column."""
        return {"centre": self.centre, "unit": self.unit}

    def select(self, columns: Bool[np.ndarray, " d"]) -> "AffineScaling":
        """Returns the scaling of the selected columns."""
        return AffineScaling(self.centre[columns], self.unit[columns])

    def log_slope(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Returns the log-determinant of `transform` at rows; add it to a log-density of scaled rows."""
        return np.full(len(rows), -np.log(self._divisor).sum())


@dataclass(frozen=True)
class QuantileScaling:
    """Makes each column standard normal through its distribution function, linear between `N_QUANTILES` quantiles.

    Values outside the range of the data map to its ends, and no generated value is outside it. A repeated value keeps
    its relative frequency.

    Attributes:
        quantiles: Quantiles of each column, shape (points, d), non-decreasing along the first axis.
    """

    quantiles: Float[Any, "points d"]

    @classmethod
    def fit(cls, rows: Rows) -> "QuantileScaling":
        """Computes quantiles of each column of `rows`, shape (n, d), finite, from at most 100,000 rows."""
        if len(rows) > _QUANTILE_ROWS:
            rows = rows_at(rows, np.sort(np.random.default_rng(0).choice(len(rows), _QUANTILE_ROWS, replace=False)))
        points = np.linspace(0, 1, min(N_QUANTILES, len(rows)))
        # Rounding may make quantiles of equal values decrease in the last digit.
        return cls(np.maximum.accumulate(np.quantile(np.asarray(rows, dtype=np.float64), points, axis=0)))

    @property
    def levels(self) -> Float[np.ndarray, " points"]:
        """Fraction of the data below each quantile."""
        return np.linspace(0, 1, len(self.quantiles))

    @property
    def repeats(self) -> np.ndarray:
        """Which columns repeat a value so often that they have no density, shape (d,), bool."""
        return (np.diff(self.quantiles, axis=0) == 0).any(axis=0)

    def _fraction_below(self, rows: Rows) -> Rows:
        levels, out = self.levels, np.empty(rows.shape)
        for j, quantiles in enumerate(self.quantiles.T):
            # A difference of quantiles may be subnormal, which makes slopes infinite. Multiplying by a power of two
            # avoids that and changes no bit of a fraction.
            exponent = 900 - int(np.frexp(np.abs(quantiles).max())[1])
            column, quantiles = (np.ldexp(np.asarray(each, np.float64), exponent) for each in (rows[:, j], quantiles))
            # At repeated values the two differ by the value's relative frequency; take the middle.
            from_left = np.interp(column, quantiles, levels)
            from_right = 1 - np.interp(-column, -quantiles[::-1], levels)
            out[:, j] = (from_left + from_right) / 2
        return out

    def transform(self, rows: Rows) -> Rows:
        """Scales rows, shape (n, d), to float32 within ±5.2."""
        from scipy.special import ndtri

        return ndtri(np.clip(self._fraction_below(rows), 1e-7, 1 - 1e-7)).astype(np.float32)

    def inverse(self, rows: Any, normal_cdf: Callable[[Any], Any] | None = None) -> Any:
        """Converts scaled rows, shape (n, d), back to the units of the data.

        Args:
            rows: NumPy rows, which are computed in float64; or JAX rows, which keep their type.
            normal_cdf: The distribution function of N(0, 1); JAX's for JAX rows.
        """
        from scipy.special import ndtr

        fractions = (normal_cdf or ndtr)(_precise(rows))
        xp = fractions.__array_namespace__()
        levels = xp.linspace(0, 1, len(self.quantiles))
        columns = [xp.interp(fractions[:, j], levels, q) for j, q in enumerate(self.quantiles.T)]
        return xp.stack(columns, axis=1)

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays that define the scaling, by name; the last axis is the column."""
        return {"quantiles": self.quantiles}

    def select(self, columns: Bool[np.ndarray, " d"]) -> "QuantileScaling":
        """Returns the scaling of the selected columns."""
        return QuantileScaling(self.quantiles[:, columns])

    def log_slope(self, rows: Rows) -> Float[np.ndarray, " n"]:
        """Returns the log-determinant of `transform`, -inf outside the data's range; values must not repeat."""
        out = np.zeros(len(rows))
        z = self.transform(rows).astype(np.float64)
        for j, quantiles in enumerate(self.quantiles.T):
            index = np.searchsorted(quantiles, rows[:, j], side="right") - 1
            is_inside = (rows[:, j] >= quantiles[0]) & (rows[:, j] <= quantiles[-1])
            width = np.diff(quantiles)[np.clip(index, 0, len(quantiles) - 2)] * (len(quantiles) - 1)
            # dz/dx = (dp/dx) / φ(z), with φ the standard normal density.
            out += np.where(is_inside, -np.log(width) + z[:, j] ** 2 / 2 + np.log(2 * np.pi) / 2, -np.inf)
        return out


Scaling = AffineScaling | QuantileScaling
"""A scaling of any kind."""

SCALINGS: dict[str | None, Callable[[Rows], Scaling]] = {
    "minmax": AffineScaling.minmax,
    "standard": AffineScaling.standard,
    "quantile": QuantileScaling.fit,
    None: lambda rows: AffineScaling.identity(rows.shape[1]),
}
"""Functions that fit scalings, by name; None leaves columns unchanged."""


def _precise(rows: Any) -> Any:
    """Converts NumPy rows to float64; returns other rows unchanged."""
    return rows.astype(np.float64) if isinstance(rows, np.ndarray) else rows
