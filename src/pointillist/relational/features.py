"""Features: the columns of a table as other rows see them, and the summaries of the rows of a parent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.lazy import pa
from pointillist.tables.table import Column, number_column

MOST_CATEGORIES = 200
"""Largest number of categories of a feature."""

MOST_COMMON = 6
"""Largest number of categories of a feature whose fractions are summarized."""

SEPARATOR = "›"

_ROUNDS = 3
"""Number of rounds in which numbers are moved; only those that meet an end need more than one."""

_MOST_MOVED = 0.45
"""Largest fraction of the rows at a position that move to the next one."""

Cells = Mapping[str, Column]


@dataclass(frozen=True)
class Feature:
    """A column of numbers or categories that other rows are conditioned on.

    Attributes:
        categories: The categories as text; None for numbers.
        common: Indices of the most frequent categories; empty for numbers.
        has_spread: Whether the standard deviation of the numbers is summarized.
    """

    name: str
    categories: tuple[str, ...] | None = None
    common: tuple[int, ...] = ()
    has_spread: bool = False

    @classmethod
    def of(cls, name: str, cells: Column) -> "Feature | None":
        """Makes a feature of a column; None if the column has too many categories."""
        values, counts = np.unique(cells.values[~cells.is_missing], return_counts=True)
        if cells.categories is None:
            return cls(name, has_spread=len(values) > 2)
        if len(values) > MOST_CATEGORIES:
            return None
        categories = tuple(str(cells.categories[int(value)]) for value in values)
        # The fraction of the last of all categories follows from the others.
        n_common = min(MOST_COMMON, len(values) - 1)
        return cls(name, categories, tuple(np.argsort(-counts, kind="stable")[:n_common].tolist()))

    @classmethod
    def all_of(cls, cells: Cells) -> "tuple[Feature, ...]":
        """Makes features of the columns that have not too many categories."""
        return tuple(each for name, column in cells.items() if (each := cls.of(name, column)))

    def coded(self, cells: Column) -> Column:
        """Returns a column with the feature's categories; others are missing."""
        if self.categories is None:
            return Column(np.where(cells.is_missing, 0.0, cells.numbers), cells.is_missing)
        index = {category: i for i, category in enumerate(self.categories)}
        found = np.array([index.get(str(category), -1) for category in cells.categories or ()] or [-1])
        values = found[np.where(cells.is_missing, 0, cells.values).astype(np.int64)]
        is_missing = cells.is_missing | (values < 0)
        return Column(np.where(is_missing, 0, values), is_missing, self.categories)

    @property
    def summaries(self) -> tuple[str, ...]:
        """Names of the numbers that summarize the column over the rows of a parent."""
        if self.categories is None:
            return (f"mean of {self.name}", *([f"deviation of {self.name}"] if self.has_spread else []))
        return (*(f"fraction of {self.name} {self.categories[i]}" for i in self.common), f"number of {self.name}")

    def to_json(self) -> list[Any]:
        """Returns the JSON values that `from_json` reads."""
        return [self.name, self.categories, self.common, self.has_spread]

    @classmethod
    def from_json(cls, content: Sequence[Any]) -> Self:
        """Rebuilds a feature."""
        name, categories, common, has_spread = content
        known = None if categories is None else tuple(map(str, categories))
        return cls(str(name), known, tuple(map(int, common)), bool(has_spread))


def arrow_of(cells: Cells) -> "pa.Table":
    """Makes an Arrow table of features."""
    columns = []
    for each in cells.values():
        if each.categories is None:
            columns.append(pa.array(each.values.astype(np.float64), mask=each.is_missing))
            continue
        indices = pa.array(each.values.astype(np.int32), mask=each.is_missing)
        columns.append(pa.DictionaryArray.from_arrays(indices, pa.array([*map(str, each.categories)], pa.string())))
    return pa.table(columns, names=[*cells])


def summarized(
    features: Sequence[Feature], cells: Cells, parents: Int[np.ndarray, " n"], n_parents: int, *, all_rows: bool = True
) -> dict[str, Column]:
    """Summarizes the rows of each parent, or those without a missing cell, as numbers by name; missing without rows."""
    found: dict[str, Column] = {}
    for feature in features:
        coded = feature.coded(cells[feature.name])
        here = parents[~coded.is_missing]
        values = coded.values[~coded.is_missing]
        n = np.bincount(here, minlength=n_parents)
        n_rows = np.bincount(parents, minlength=n_parents) if all_rows else n
        n_or_none = np.where(n > 0, n, np.nan)
        if feature.categories is None:
            mean = np.bincount(here, values, n_parents) / n_or_none
            found[f"mean of {feature.name}"] = number_column(mean)
            if feature.has_spread:
                squares = np.bincount(here, (values - mean[here]) ** 2, n_parents)
                found[f"deviation of {feature.name}"] = number_column(np.sqrt(squares / n_or_none))
            continue
        for i in feature.common:
            count = np.bincount(here[values == i], minlength=n_parents)
            fraction = count / np.where(n_rows > 0, n_rows, np.nan)
            found[f"fraction of {feature.name} {feature.categories[i]}"] = number_column(fraction)
        pairs = np.unique(here * len(feature.categories) + values.astype(np.int64)) // max(1, len(feature.categories))
        distinct = np.bincount(pairs, minlength=n_parents).astype(float)
        found[f"number of {feature.name}"] = number_column(np.where(n_rows > 0, distinct, np.nan))
    return found


def moved_to_means(
    values: Float[np.ndarray, " n"],
    parents: Int[np.ndarray, " n"],
    means: Float[np.ndarray, " p"],
    is_free: Bool[np.ndarray, " n"],
    ends: tuple[float, float],
) -> Float[np.ndarray, " n"]:
    """Moves the free numbers of each parent by one distance within ends, so that its mean is as given; NaN for any."""
    found, free = values.copy(), parents[is_free]
    n_free, n = (np.bincount(each, minlength=len(means)) for each in (free, parents))
    for _ in range(_ROUNDS):
        missing = np.nan_to_num(means * n - np.bincount(parents, found, len(means)))
        found[is_free] = np.clip(found[is_free] + missing[free] / n_free[free], *ends)
    return found


def moved_positions(
    positions: Float[np.ndarray, " n"], parents: Int[np.ndarray, " n"], means: Float[np.ndarray, " p"]
) -> Float[np.ndarray, " n"]:
    """Moves rows at the ends of groups with equal positions to the group beside theirs, to come near the mean position.

    The rows are in the order of parents and positions, and stay so. Less than half of a group moves, so that no row
    moves if all positions of a parent differ.
    """
    is_new = (np.diff(positions, prepend=np.nan) != 0) | (np.diff(parents, prepend=-1) != 0)
    firsts, group = np.flatnonzero(is_new), np.cumsum(is_new) - 1
    within = (np.arange(len(positions)) - firsts[group] + 0.5) / np.bincount(group)[group] - 0.5
    low, high = (np.searchsorted(parents[firsts], parents, side=side) for side in ("left", "right"))
    gap = (positions[firsts[high - 1]] - positions[firsts[low]]) / np.maximum(high - 1 - low, 1)
    n_rows = np.maximum(np.bincount(parents, minlength=len(means)), 1)
    missing = np.nan_to_num(means - np.bincount(parents, positions, len(means)) / n_rows)
    shift = np.clip(missing[parents] / np.where(gap > 0, gap, np.inf), -_MOST_MOVED, _MOST_MOVED)
    return positions[firsts[np.clip(np.round(group + within + shift).astype(np.int64), low, high - 1)]]
