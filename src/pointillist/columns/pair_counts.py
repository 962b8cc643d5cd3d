"""Two-way histograms of all pairs of columns: a model's record of the dependence between columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int

MOST_COLUMNS = 32
"""Largest number of columns whose pairs are counted."""

MOST_ROWS = 20_000
"""Largest number of rows that are counted."""

FEWEST_BINS, MOST_BINS = 2, 10

ROWS_PER_CELL = 20
"""Mean number of rows per histogram cell. Fewer rows carry little information, and reveal more about single rows."""


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Two-way histograms of all pairs of columns.

    Bins of numbers are quantiles, with edges halfway between two values. Bins of a nominal column are its most frequent
    categories; rows with other categories or missing cells are not counted.

    Attributes:
        ends: Edges of the bins of each column, shape (d, bins + 1): increasing, with the last one repeated if there are
            fewer bins. For nominal columns, indices of categories, with -1 for unused bins.
        counts: Number of rows in each cell, shape (pairs, bins, bins), with pairs in the order of `combinations`.
    """

    ends: Float[np.ndarray, "d ends"]
    counts: Int[np.ndarray, "pairs bins bins"]

    @classmethod
    def of(cls, columns: Sequence[Float[np.ndarray, " n"]], is_nominal: Sequence[bool]) -> "PairCounts | None":
        """Counts rows; NaN marks missing cells. Returns None for one column, or more than `MOST_COLUMNS`.

        Nominal columns hold indices of categories.
        """
        if not 1 < len(columns) <= MOST_COLUMNS:
            return None
        n_bins = int(np.clip((len(columns[0]) / ROWS_PER_CELL) ** 0.5, FEWEST_BINS, MOST_BINS))
        found = [
            _most_frequent(column, n_bins) if is_index else _quantiles(column, n_bins)
            for column, is_index in zip(columns, is_nominal, strict=True)
        ]
        ends, bins = zip(*found, strict=True)
        counts = []
        for a, b in combinations(bins, 2):
            is_counted = (a >= 0) & (b >= 0)
            counts.append(np.bincount(a[is_counted] * n_bins + b[is_counted], minlength=n_bins**2))
        return cls(np.stack(ends), np.stack(counts).reshape(-1, n_bins, n_bins).astype(np.int32))

    def tensors(self) -> dict[str, np.ndarray]:
        """The tensors of a model file."""
        return {"pair_ends": self.ends, "pair_counts": self.counts}

    @staticmethod
    def shapes(n_columns: int, n_bins: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Shapes and types of the tensors, for at most the largest number of columns and bins."""
        n_columns, n_bins = min(n_columns, MOST_COLUMNS), min(n_bins, MOST_BINS)
        n_pairs = n_columns * (n_columns - 1) // 2
        ends, counts = np.dtype("f8"), np.dtype("i4")
        return {"pair_ends": ((n_columns, n_bins + 1), ends), "pair_counts": ((n_pairs, n_bins, n_bins), counts)}


def _most_frequent(
    indices: Float[np.ndarray, " n"], n_bins: int
) -> tuple[Float[np.ndarray, " ends"], Int[np.ndarray, " n"]]:
    """The most frequent categories, and the bin of each row; -1 for rows that are not counted."""
    categories, counts = np.unique(indices[~np.isnan(indices)], return_counts=True)
    kept = np.sort(categories[np.argsort(-counts, kind="stable")[:n_bins]])
    ends = np.full(n_bins + 1, -1.0)
    ends[: len(kept)] = kept
    return ends, np.where(np.isin(indices, kept), np.searchsorted(kept, indices), -1)


def _quantiles(
    values: Float[np.ndarray, " n"], n_bins: int
) -> tuple[Float[np.ndarray, " ends"], Int[np.ndarray, " n"]]:
    """The edges of bins with about equally many rows, and the bin of each row; -1 for missing values.

    Values that are more frequent than a bin have bins by themselves.
    """
    present = np.sort(values[~np.isnan(values)])
    if not len(present):
        return np.zeros(n_bins + 1), np.full(len(values), -1)
    lowest, counts = np.unique(present[np.arange(1, n_bins) * len(present) // n_bins], return_counts=True)
    after = np.searchsorted(present, lowest[counts > 1], side="right")
    lowest = np.unique(np.concatenate([lowest[lowest > present[0]], present[after[after < len(present)]]]))
    inner = present[np.searchsorted(present, lowest) - 1] / 2 + lowest / 2
    ends = np.full(n_bins + 1, present[-1])
    ends[0] = present[0]
    ends[1 : 1 + len(inner)] = inner
    return ends, np.where(np.isnan(values), -1, np.searchsorted(inner, values, side="right"))
