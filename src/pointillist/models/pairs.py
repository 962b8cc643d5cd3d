"""What a model keeps of how the columns of its training rows hang together, two by two."""

import numpy as np
from jaxtyping import Float, Int

from pointillist.points import rows_at
from pointillist.points.encoding import TableEncoding
from pointillist.points.mixed import MixedTable
from pointillist.points.pair_counts import MOST_COLUMNS, MOST_ROWS, PairCounts


def pairs_of_numbers(rows: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"] | None) -> PairCounts | None:
    """Counts pairs of columns of numbers, with the classes as one more column.

    Args:
        rows: The rows, which may be mapped from a file.
        labels: Indices of classes, shape (n,).
    """
    if rows.shape[1] > MOST_COLUMNS:
        return None
    some = _some(len(rows))
    columns = list(rows_at(rows, some).astype(np.float64).T)
    classes = [] if labels is None else [labels[some].astype(np.float64)]
    return PairCounts.of([*columns, *classes], [False] * len(columns) + [True] * len(classes))


def pairs_of_table(
    rows: Float[np.ndarray, "n width"], table: MixedTable, encoding: TableEncoding
) -> PairCounts | None:
    """Counts pairs of columns of a table of tokens, in the order of its codes.

    Args:
        rows: The encoded rows.
        table: The table; a last column of classes need not be in it.
        encoding: The tokens of its columns.
    """
    some = _some(len(rows))
    columns = []
    for place, code in enumerate(encoding.columns):
        if code.categories is None:
            cells = table.cells[place]
            columns.append(np.where(cells.is_missing[some], np.nan, cells.values[some].astype(np.float64)))
        else:
            tokens = rows[some, place].astype(np.float64)
            columns.append(np.where((tokens >= 0) & (tokens < code.n_values), tokens, np.nan))
    return PairCounts.of(columns, [code.categories is not None for code in encoding.columns])


def _some(n: int) -> Int[np.ndarray, " m"]:
    return np.linspace(0, n - 1, min(n, MOST_ROWS)).astype(np.int64)
