"""Encoder of numbers without tokens: it scales each number; a constant column has no number."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from pointillist.columns.encoder import EVERY_NUMBER, Pieces, Volume
from pointillist.columns.grids import Grid
from pointillist.columns.number import NumberEncoder
from pointillist.columns.scaling import TableScaling
from pointillist.tables.table import Column

MOST_CLASSES = 100
"""Largest number of steps between the lowest and highest integer of a column whose values are listed as classes."""

_HALF = 0.499
"""Half-width, in steps, of the interval that represents a grid value in a range."""

_LARGEST = 1e30
"""Distance from the range of the training rows beyond which values are clipped before scaling to float32."""


@dataclass(frozen=True, eq=False)
class ScaledEncoder(NumberEncoder):
    """Encodes numbers by scaling them.

    Attributes:
        scaling: Scaling, range and grid of this column.
    """

    atoms: Float[np.ndarray, " 0"] = field(default_factory=lambda: np.empty(0))  # type: ignore[misc]
    grid: Grid = field(default_factory=Grid)  # type: ignore[misc]
    scaling: TableScaling = field(kw_only=True)

    kind: ClassVar[str] = "scaled"
    has_token: ClassVar[bool] = False

    @property
    def n_numbers(self) -> int:
        return int(self.scaling.varies[0])

    @property
    def is_discrete(self) -> bool:
        """Whether the column holds integers."""
        return bool(self.scaling.is_integer[0])

    @property
    def _is_ungridded(self) -> bool:
        return self.has_number and not self.unit

    @property
    def unit(self) -> float:
        return float(self.scaling.units[0])

    @property
    def ends(self) -> tuple[float, float]:
        return float(self.scaling.minimum[0]), float(self.scaling.maximum[0])

    def rounded(self, values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        return self.scaling.rounded(values, 0)

    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.ends
        values = np.clip(cells.numbers, low - _LARGEST, high + _LARGEST)
        return np.zeros(len(values)), self._scaled(values)

    def observed(self, cells: Column) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
        """Encodes observed cells, clipped to the range that the network was trained on."""
        tokens, numbers = self.encode(cells)
        return tokens, np.clip(numbers, *self.scaling.bounds)

    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        n = len(numbers)
        values = self.scaling.inverse(numbers)[:, 0] if self.has_number else np.full(n, self.ends[0])
        return Column(values, np.zeros(n, bool))

    def predicted(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Decodes scaled numbers within the ends of the column; rounds them only if the column holds integers."""
        values = self.scaling.within(self.unrounded(scores), 0)
        return self.rounded(values) if self.is_discrete else values

    def unrounded(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        return self.scaling.varying.inverse(scores.reshape(-1, 1))[:, 0].reshape(scores.shape)

    def classes(self) -> np.ndarray | None:
        """The integers of the column's range; None if it holds other numbers, or more than `MOST_CLASSES`."""
        (low, high), step = self.ends, int(self.scaling.steps[0])
        if not self.is_discrete or high - low >= MOST_CLASSES * step:
            return None
        return np.arange(int(low), int(high) + 1, step)

    def _pieces_between(self, low: float, high: float) -> Pieces:
        low, high = (self.bounded(np.array([end]), sign).item() for end, sign in ((low, 1.0), (high, -1.0)))
        least, most = self.ends
        if low > high or low > most or high < least or (low == high and self._is_ungridded):
            ranges = np.empty((0, 2))
        elif not self.has_number:
            ranges = np.array([EVERY_NUMBER])
        else:
            # A grid value represents all numbers that round to it, and an end of the training range all beyond it.
            half = _HALF * self.unit
            scaled = self._scaled(np.clip([low - half, high + half], least - 0.5, most + 0.5))[:, 0]
            ranges = np.where([low <= least, high >= most], EVERY_NUMBER, scaled)[None]
        return Pieces(np.empty(0, int), ranges, (low, high))

    def volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        if cells.is_missing.any():
            row = int(cells.is_missing.argmax())
            raise ValueError(
                f"X has a missing cell in row {row}, column {self.name!r}: drop the row or fill the cell first"
            )
        return super().volume(cells, positions)

    def _volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        n = len(cells.values)
        if not self.has_number:
            return Volume(np.zeros(n), np.empty((n, 0)), np.zeros(n))
        slopes = self.scaling.varying.log_slope(cells.values[:, None])
        return Volume(np.zeros(n), self._scaled(cells.values), slopes)

    def _scaled(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
        return self.scaling.transform(values[:, None]).astype(np.float64)

    def describe(self) -> dict[str, Any]:
        scaling, (low, high) = self.scaling, self.ends
        described = {
            "kind": self.kind if self.has_number else "constant",
            "minimum": low,
            "maximum": high,
            "is_end": scaling.is_end[:, 0].tolist(),
        }
        if scaling.steps[0]:
            described["grid"] = scaling.grid[:, 0].tolist()
        if not self.has_number:
            return described
        return described | {name: array.item() for name, array in scaling.varying.tensors().items()}
