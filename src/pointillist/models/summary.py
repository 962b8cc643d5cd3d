"""Summaries of training rows, for comparisons: counts of values, and histograms of pairs of columns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.pair_counts import MOST_COLUMNS, MOST_ROWS, PairCounts
from pointillist.columns.table_encoder import TableEncoder
from pointillist.tables.numbers import rows_at, spread_indices
from pointillist.tables.table import Table

Shapes = dict[str, tuple[tuple[int, ...], np.dtype]]
"""Shapes and types of tensors, by name."""


@dataclass(frozen=True, eq=False)
class Summary:
    """Counts of training rows.

    Attributes:
        pairs: Histograms of all pairs of columns, with the classes as the last column; None for wide tables.
        values: Number of rows with each value of each token, concatenated over columns, shape (token_values,); None for
            Gaussian models.
    """

    pairs: PairCounts | None
    values: Int[np.ndarray, " slots"] | None = None

    @classmethod
    def from_rows(cls, rows: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"] | None) -> "Summary":
        """Counts rows of numbers, which may be memory-mapped, with class indices of shape (n,)."""
        if rows.shape[1] > MOST_COLUMNS:
            return cls(None)
        sample = spread_indices(len(rows), MOST_ROWS)
        columns = list(rows_at(rows, sample).astype(np.float64).T)
        classes = [] if labels is None else [labels[sample].astype(np.float64)]
        return cls(PairCounts.of([*columns, *classes], [False] * len(columns) + [True] * len(classes)))

    @classmethod
    def from_table(cls, rows: Float[np.ndarray, "n width"], table: Table, encoding: TableEncoder) -> "Summary":
        """Counts encoded rows of a table, which may lack the last column, of classes."""
        sample = spread_indices(len(rows), MOST_ROWS)
        columns, values = [], []
        for index, encoder in enumerate(encoding.columns):
            tokens = rows[:, index]
            # Tokens of unobserved cells are negative.
            values.append(np.bincount(tokens[tokens >= 0].astype(np.int64), minlength=encoder.size).astype(np.int32))
            if encoder.categories is None:
                cells = table.cells[index]
                columns.append(np.where(cells.is_missing[sample], np.nan, cells.values[sample].astype(np.float64)))
            else:
                categories = np.floor(tokens[sample].astype(np.float64))
                columns.append(np.where((categories >= 0) & (categories < encoder.n_values), categories, np.nan))
        are_nominal = [encoder.categories is not None for encoder in encoding.columns]
        return cls(PairCounts.of(columns, are_nominal), np.concatenate(values))

    def tensors(self) -> dict[str, np.ndarray]:
        """The tensors of a model file."""
        found = {} if self.pairs is None else self.pairs.tensors()
        return found if self.values is None else found | {"value_counts": self.values}

    @staticmethod
    def shapes(declared: Shapes, n_columns: int, n_token_values: int) -> Shapes:
        """The valid shape and type of each summary tensor that a file declares; the columns include the classes."""
        found: Shapes = {}
        if "pair_counts" in declared:
            found |= PairCounts.shapes(n_columns, declared["pair_counts"][0][-1])
        if "value_counts" in declared:
            found["value_counts"] = ((n_token_values,), np.dtype("i4"))
        return found

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> "Summary | None":
        """Reads the summary from the tensors of a file; None if it has none. Counts must not be negative."""
        counts, values = tensors.get("pair_counts"), tensors.get("value_counts")
        if any((array < 0).any() for array in (counts, values) if array is not None):
            raise ValueError("a count of its training rows is below 0")
        if counts is None and values is None:
            return None
        return cls(None if counts is None else PairCounts(tensors["pair_ends"], counts), values)
