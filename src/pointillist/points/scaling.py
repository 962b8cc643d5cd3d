"""Column scaling and its inverse."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class MinMaxScaling:
    """Maps every column linearly so that a given range becomes [-1, 1].

    A constant column maps to 0 and comes back as its constant.

    Attributes:
        minimum: Shape (d,), the value of each column that becomes -1.
        maximum: Shape (d,), the value of each column that becomes 1.
    """

    minimum: Float[np.ndarray, " d"]
    maximum: Float[np.ndarray, " d"]

    @classmethod
    def fit(cls, rows: Float[np.ndarray, "n d"]) -> "MinMaxScaling":
        """Takes the range of each column from `rows`, shape (n, d), finite."""
        rows = np.asarray(rows, dtype=np.float64)
        return cls(rows.min(axis=0), rows.max(axis=0))

    @property
    def _centre(self) -> Float[np.ndarray, " d"]:
        return self.minimum / 2 + self.maximum / 2

    @property
    def _half_width(self) -> Float[np.ndarray, " d"]:
        half = self.maximum / 2 - self.minimum / 2
        return np.where(half > 0, half, 1.0)

    def transform(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Scales rows of shape (n, d); float32. Rows outside the range end outside [-1, 1]."""
        return ((np.asarray(rows, dtype=np.float64) - self._centre) / self._half_width).astype(np.float32)

    def inverse(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Takes scaled rows of shape (n, d) back to the units of the data; float64."""
        rows = np.asarray(rows, dtype=np.float64) * self._half_width + self._centre
        return np.where(self.maximum > self.minimum, rows, self.minimum)
