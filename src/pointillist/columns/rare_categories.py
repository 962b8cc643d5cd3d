"""Encoder of columns with very many categories: frequent ones have a token value each, and the others share one.

The position in the shared value selects one of the rare categories, in proportion to their numbers of training rows.
New rows therefore have the rare categories of the training rows, as often, but independently of all other columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.category import CategoryEncoder
from pointillist.columns.encoder import Allowed, Pieces, Volume
from pointillist.columns.normal_scores import LARGEST_POSITION
from pointillist.lazy import pa
from pointillist.tables.conditions import Between, OneOf
from pointillist.tables.table import Column
from pointillist.tables.unlearnable import MOST_CATEGORIES

MOST_FREQUENT, FEWEST_ROWS = 1000, 50
"""Largest number of categories with a token value, and smallest number of training rows of each."""

RARE = 0
"""The token value that rare categories share. Positions are added to it, and are exact only next to 0."""


@dataclass(frozen=True, eq=False)
class RareCategoriesEncoder(CategoryEncoder):
    """Encodes many categories: each frequent one has a token value, and the rare ones share another.

    Attributes:
        categories: The categories; a `Column` holds indices into its categories. The frequent ones come first.
        n_frequent: Number of categories with a token value, at least 1. The category with index i has the value i + 1.
    """

    n_frequent: int = field()

    kind: ClassVar[str] = "rare_categories"
    most_counts: ClassVar[int] = MOST_CATEGORIES
    is_on_pages: ClassVar[bool] = False

    @classmethod
    def fit(cls, name: Any, categories: Sequence[Any], counts: Int[np.ndarray, " c"], *, has_missing: bool) -> Self:
        """Makes the encoder of categories with their numbers of training rows."""
        order = np.argsort(-counts, kind="stable")
        n_frequent = int(np.clip((counts >= FEWEST_ROWS).sum(), 1, MOST_FREQUENT))
        return cls(name, has_missing, counts[order].astype(float), tuple(categories[i] for i in order), n_frequent)

    @cached_property
    def _ends(self) -> Float[np.ndarray, " rare"]:
        """The fraction of the rare cells with each rare category or an earlier one."""
        sums = np.cumsum(self.counts[self.n_frequent :])
        return sums / sums[-1]

    @property
    def n_values(self) -> int:
        return self.n_frequent + 1

    @property
    def _n_counted(self) -> int:
        return len(self.categories)

    @property
    def has_intervals(self) -> bool:
        """True, because the position in the value of the token selects a rare category."""
        return True

    def _token_values(self, indices: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The value of the token of categories."""
        return np.where(indices < self.n_frequent, indices + 1, RARE)

    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        indices = self._known_indices(cells)
        tokens, is_rare = self._token_values(indices).astype(float), indices >= self.n_frequent
        rare = indices[is_rare] - self.n_frequent
        fractions = self.counts[indices[is_rare]] / self.counts[self.n_frequent :].sum()
        tokens[is_rare] += LARGEST_POSITION * (self._ends[rare] - (1 - positions[is_rare]) * fractions)
        return tokens, np.empty((len(tokens), 0))

    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        values = tokens.astype(np.int64)
        is_missing, is_rare = values >= self.n_values, values == RARE
        indices = np.where(is_missing, 0, values - 1)
        found = np.searchsorted(self._ends, tokens[is_rare].astype(float) / LARGEST_POSITION, side="right")
        indices[is_rare] = self.n_frequent + np.minimum(found, len(self._ends) - 1)
        return Column(indices, is_missing, self.categories)

    def value_cells(self) -> Column:
        raise ValueError(
            f"column {self.name!r} has {len(self.categories):,} categories, most of them too rare for probabilities: "
            "choose another column, or merge its categories before the fit"
        )

    def is_allowed(self, allowed: Allowed, values: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        return np.isin(self._token_values(values.astype(np.int64)), allowed.token_values)

    def _one_of(self, cells: Column, condition: OneOf) -> Pieces:
        found = super()._one_of(cells, condition)
        tokens = self._token_values(found.token_values)
        if RARE in tokens:
            rare = self.categories[found.token_values[tokens == RARE][0]]
            raise ValueError(
                f"column {self.name!r}: {rare!r} is one of its {len(self._ends):,} rare categories, which a condition "
                "cannot join with others: ask for it alone"
            )
        return found._replace(token_values=tokens)

    def _between(self, condition: Between, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Pieces:
        raise ValueError(f"column {self.name!r} has too many categories for {condition}: use one_of")

    def _volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        """Gives each rare category its fraction of the mass of all rare ones."""
        found = super()._volume(cells, positions)
        indices = found.tokens.astype(np.int64)
        rare_rows = self.counts[self.n_frequent :].sum()
        log_fractions = np.where(indices < self.n_frequent, 0.0, np.log(self.counts[indices] / rare_rows))
        tokens = self._token_values(indices).astype(float)
        return Volume(tokens, found.numbers, found.log_factors + log_fractions)

    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"n_frequent": self.n_frequent}

    @classmethod
    def _from_json(cls, name: Any, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "RareCategoriesEncoder":
        each, n_frequent = CategoryEncoder._from_json(name, content, arrays), content["n_frequent"]
        if type(n_frequent) is not int or not 1 <= n_frequent < len(each.categories) or not len(each.counts):
            raise ValueError(f"column {name!r} has no rare categories, or they are not counted")
        return cls(name, each.has_missing, each.counts, each.categories, n_frequent)

    def describe(self) -> dict[str, Any]:
        """Raises a ValueError, because pages hold no column of this kind."""
        raise ValueError(
            f"a page cannot hold the {len(self.categories):,} categories of column {self.name!r}: fit without it"
        )
