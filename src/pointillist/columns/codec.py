"""What every codec has: it maps the columns of a table to the values that a network sees, and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.encoder import Span
from pointillist.tables.layout import Layout
from pointillist.tables.table import Column

Observed = Mapping[Any, Column]
"""Cells that are given rather than drawn, by column: one for all rows, or one per row."""


Ends = Mapping[Any, Span]
"""Ranges of the columns that are drawn under conditions, by column."""


@dataclass(frozen=True)
class Codec(ABC):
    """Maps rows to the values that a network sees, and drawn values to rows in the container of the training rows.

    Drawn rows are passed around as the codec decodes them, which only the codec needs to know: numbers as an array,
    other columns as an Arrow table.

    Attributes:
        layout: Container, names and types of the rows.
    """

    layout: Layout

    @property
    def names(self) -> Any:
        """Names of the d columns; None if they have none, or for columns of several kinds their positions."""
        return self.layout.names

    @property
    @abstractmethod
    def types(self) -> tuple[Any, ...]:
        """Types of the d columns, as `TableWriter` takes them."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Number of values of a row that the network sees."""

    @abstractmethod
    def encode(self, rows: Float[np.ndarray, "n columns"]) -> Float[np.ndarray, "n width"]:
        """Converts rows of numbers to what the network sees, float32."""

    @abstractmethod
    def decode(
        self, drawn: Float[np.ndarray, "n width"], given: Observed, rows: slice, ends: Ends | None = None
    ) -> Any:
        """Converts drawn values to rows.

        Args:
            drawn: The values, shape (n, width).
            given: Given cells, which come back as they are.
            rows: Which of all the rows that are asked for these are.
            ends: Ranges that no rounding may lead out of.
        """

    @abstractmethod
    def joined(self, parts: Sequence[Any]) -> Any:
        """Joins decoded rows; without parts, returns no rows."""

    def restore(self, decoded: Any, index: Any = None) -> Any:
        """Converts decoded rows to the container of the training rows, for pandas with an index."""
        return self.layout.restore(decoded, index)

    @abstractmethod
    def columns(self, decoded: Any) -> list[Any]:
        """Splits decoded rows into columns, each of its own type."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Returns the JSON values that describe the codec in a file."""

    @abstractmethod
    def tensors(self) -> dict[str, np.ndarray]:
        """Returns the arrays that a file holds besides."""

    @property
    def n_columns(self) -> int:
        """Number of columns, d."""
        return len(self.types)
