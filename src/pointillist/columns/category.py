"""Encoder of categories (text, booleans and similar), with one token value per category."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import (
    EVERY_NUMBER,
    MOST_CHOICES,
    Allowed,
    ColumnEncoder,
    Pieces,
    Volume,
    unknown_value_error,
)
from pointillist.foreign_text import listed
from pointillist.lazy import pa
from pointillist.tables.conditions import Between, OneOf
from pointillist.tables.table import Column


@dataclass(frozen=True, eq=False)
class CategoryEncoder(ColumnEncoder):
    """Encodes categories.

    Attributes:
        categories: The categories, in token order; a `Column` holds indices into its categories.
    """

    categories: tuple[Any, ...] = field()  # type: ignore[misc]

    kind: ClassVar[str] = "category"

    @property
    def n_values(self) -> int:
        return len(self.categories)

    def _indices(self, cells: Column) -> Int[np.ndarray, " n"]:
        """Indices in `categories` of cells that are all present; -1 for unknown categories."""
        index_of = {category: i for i, category in enumerate(self.categories)}
        indices = np.array([index_of.get(category, -1) for category in cells.categories or ()] or [-1])
        return indices[cells.values.astype(np.int64)]

    def _known_indices(self, cells: Column) -> Int[np.ndarray, " n"]:
        indices = self._indices(cells)
        if (indices < 0).any():
            assert cells.categories is not None
            unknown = cells.categories[int(cells.values[indices < 0].min())]
            raise unknown_value_error(self.name, repr(unknown), [*map(repr, self.categories)])
        return indices

    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        return self._known_indices(cells).astype(float), np.empty((len(cells.values), 0))

    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        values = tokens.astype(np.int64)
        is_missing = values >= self.n_values
        return Column(np.where(is_missing, 0, values), is_missing, self.categories)

    def value_cells(self) -> Column:
        return Column(np.arange(self.n_values), np.zeros(self.n_values, bool), self.categories)

    def typed(self, values: np.ndarray, arrow_type: "pa.DataType | None", *, is_rounded: bool) -> np.ndarray:
        kinds = {type(category) for category in self.categories}
        return np.array(self.categories, object if kinds == {str} else None)[values.astype(np.int64)]

    def format_value(self, value: float, arrow_type: "pa.DataType | None") -> str:
        return str(self.categories[int(value)])

    def without_unknown(self, cells: Column) -> tuple[Column, Bool[np.ndarray, " n"]]:
        assert cells.categories is not None
        is_unknown = np.zeros(len(cells.values), bool)
        is_unknown[~cells.is_missing] = self._indices(cells.take(~cells.is_missing)) < 0
        values = np.where(is_unknown, len(cells.categories), cells.values)
        return Column(values, cells.is_missing, (*cells.categories, self.categories[0])), is_unknown

    def is_allowed(self, allowed: Allowed, values: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        return np.isin(values, allowed.token_values)

    def _one_of(self, cells: Column, condition: OneOf) -> Pieces:
        return _pieces(np.unique(self._known_indices(cells)))

    def _between(self, condition: Between, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Pieces:
        if order is None:
            raise ValueError(
                f"column {self.name!r} holds categories, which have no order: use one_of instead of {condition}"
            )
        order_text = f"its categories in order are {listed([str(each) for each in order])}"
        for end in (condition.low, condition.high):
            if end is not None and end not in order:
                raise ValueError(f"column {self.name!r} has no {end!r}: {order_text}")
        low = 0 if condition.low is None else order.index(condition.low)
        high = len(order) if condition.high is None else order.index(condition.high)
        if low > high:
            raise ValueError(f"column {self.name!r}: {condition} is empty: {order_text}")
        return _pieces(np.array([i for i, each in enumerate(self.categories) if low <= order.index(each) <= high], int))

    def _volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        """Gives unknown categories a fraction of the rarest category's mass, by the rule of succession."""
        indices = self._indices(cells)
        is_known = indices >= 0
        factors = np.where(is_known, 0.0, -np.inf)
        if len(self.counts):
            # As for numbers, a category with c training rows keeps c / (c + 1) of its mass.
            rarest = self.counts.argmin()
            factors[indices == rarest] = -np.log1p(1 / self.counts[rarest])
            indices[~is_known], factors[~is_known] = rarest, -np.log1p(self.counts[rarest])
        return Volume(np.maximum(indices, 0).astype(float), np.empty((len(indices), 0)), factors)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"categories": self.categories}

    @classmethod
    def _from_json(cls, name: Any, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "CategoryEncoder":
        categories = content["categories"]
        kinds = {type(category) for category in categories}
        if len(kinds) > 1 or not kinds <= {str, int, bool, float} or len(set(categories)) < len(categories):
            raise ValueError(f"categories of {name!r} must be of one type and distinct")
        (counts,) = arrays
        return cls(name, bool(content["has_missing"]), counts, tuple(categories))

    def describe(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "n_values": self.n_values,
            "has_missing": self.has_missing,
            "categories": self.categories,
            "can_be_given": self.size <= MOST_CHOICES,
        }


def _pieces(token_values: np.ndarray) -> Pieces:
    """Pieces for some indices of categories, with the lowest and highest index."""
    ends = (float(token_values.min()), float(token_values.max())) if len(token_values) else EVERY_NUMBER
    return Pieces(token_values, np.empty((0, 2)), ends)
