"""Checks the members of an audit: counts those that cannot be training rows, by the counts in the model."""

from itertools import combinations

import numpy as np

from pointillist.columns.pair_counts import MOST_ROWS, PairCounts
from pointillist.models.row_model import RowModel
from pointillist.privacy.inputs import Side


def count_strangers(model: RowModel, members: Side) -> int:
    """Return a lower bound of the number of members that are not training rows; 0 if the model file has no counts.

    If all members are training rows, no value of a column occurs in more members than training rows. In models of
    numbers, the same holds for the cells of a grid over two columns, if all training rows were counted.
    """
    excess = [int(members.is_foreign.sum())]
    summary = model.summary
    if summary is not None and summary.values is not None:
        first = 0
        for column, code in enumerate(model.codec.encoding.columns):
            tokens = members.rows[:, column]
            counts = np.bincount(tokens[tokens >= 0].astype(np.int64), minlength=code.size)
            excess.append(_excess(counts, summary.values[first : first + code.size]))
            first += code.size
    elif summary is not None and summary.pairs is not None and summary.pairs.counts[0].sum() < MOST_ROWS:
        excess += _excesses_in_grids(summary.pairs, members)
    return max(excess)


def _excesses_in_grids(pairs: PairCounts, members: Side) -> list[int]:
    numbers = [column for column in members.columns.values() if column.dtype != object]
    bins = [
        np.searchsorted(ends[1:-1][ends[1:-1] < ends[-1]], column, side="right")
        for column, ends in zip(numbers, pairs.ends, strict=False)
    ]
    n_columns, n_bins = len(pairs.ends), pairs.counts.shape[-1]
    recorded = dict(zip(combinations(range(n_columns), 2), pairs.counts, strict=True))
    return [
        _excess(np.bincount(bins[i] * n_bins + bins[j], minlength=n_bins**2), recorded[i, j].ravel())
        for i, j in combinations(range(len(bins)), 2)
    ]


def _excess(counts: np.ndarray, recorded: np.ndarray) -> int:
    return int(np.maximum(counts.astype(np.int64) - recorded, 0).sum())
