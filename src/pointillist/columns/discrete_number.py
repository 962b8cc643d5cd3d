"""Encoder of few distinct numbers or dates, with one token value each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.grids import Grid
from pointillist.columns.number import NumberEncoder, check_increasing
from pointillist.columns.scores import nearest_index
from pointillist.tables.table import Column


@dataclass(frozen=True, eq=False)
class DiscreteEncoder(NumberEncoder):
    """Encodes numbers that all have a token value.

    Attributes:
        is_nominal: Whether the numbers are categories, as in columns listed as categorical.
    """

    is_nominal: bool = False  # type: ignore[misc]

    kind: ClassVar[str] = "discrete"

    @property
    def n_values(self) -> int:
        """Number of distinct numbers."""
        return len(self.atoms)

    def without_unknown(self, cells: Column) -> tuple[Column, Bool[np.ndarray, " n"]]:
        """Replaces numbers that are unknown categories by the first category."""
        if not self.is_nominal:
            return super().without_unknown(cells)
        is_unknown = ~cells.is_missing & ~np.isin(cells.values, self.atoms)
        return replace(cells, values=np.where(is_unknown, self.atoms[0], cells.values)), is_unknown

    @property
    def ranks(self) -> tuple[float, ...]:
        """Rank in (0, 1) of each number; -1 for missing cells."""
        ranks = (np.arange(len(self.atoms)) + 0.5) / max(1, len(self.atoms))
        return (*ranks.tolist(), *[-1.0] * self.has_missing)

    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        if self.is_nominal:
            self.check_known(cells)
        values = cells.values[~cells.is_missing]
        return nearest_index(self.atoms, values).astype(float), np.empty((len(values), 0))

    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        """Decodes tokens to numbers."""
        index = tokens.astype(np.int64)
        is_missing = index >= self.n_values
        return Column(np.where(is_missing, np.nan, self.atoms[np.where(is_missing, 0, index)]), is_missing)

    @classmethod
    def _from_json(cls, name: Any, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "DiscreteEncoder":
        counts, atoms = arrays
        check_increasing(name, atoms)
        grid = Grid.from_json(name, content["grid"])
        return cls(name, bool(content["has_missing"]), counts, atoms, grid, content["is_nominal"] is True)

    def to_json(self) -> dict[str, Any]:
        """JSON values that describe the encoder, without its arrays."""
        return super().to_json() | {"is_nominal": self.is_nominal}
