"""Encodes tables of any columns as rows of tokens and numbers, and decodes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.dependence import explained
from pointillist.columns.discrete_number import DiscreteEncoder
from pointillist.columns.encoder import ColumnEncoder, array_lengths
from pointillist.columns.kinds import (
    EXPLAINED,
    FEW_TOKENS,
    UNEXPLAINED,
    encoder_from_json,
    fit_encoder,
    kind_of_content,
)
from pointillist.columns.repeats import has_few_values
from pointillist.columns.scaled_number import ScaledEncoder
from pointillist.columns.table_scaling import TableScaling
from pointillist.foreign_text import listed
from pointillist.tables.keys import hardly_repeat, stray_words, too_many
from pointillist.tables.names import check_names
from pointillist.tables.table import Column, Table

MISSING = ("value", "unknown")
"""What a missing cell is: one more value of its column, or a value that nobody knows."""

MOST_COMPARED = 512
"""Most columns of a table in which each is compared with all others."""

SMALL = 2000
"""Most rows of a small table."""


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """The encoders of a table's columns.

    An encoded row has the token of each column that has one, and then the number of each column that has one.

    Attributes:
        columns: One encoder per column.
        scaling: The scaling of all columns, if none of them has a token; None for other tables.
    """

    columns: tuple[ColumnEncoder, ...]
    scaling: TableScaling | None = None

    @classmethod
    def from_scaling(cls, names: Sequence[Any], scaling: TableScaling) -> "TableEncoder":
        """Makes the encoder of a table of numbers without tokens."""
        encoders = (ScaledEncoder.of(name, scaling.column(i)) for i, name in enumerate(names))
        return cls(tuple(encoders), scaling)

    @classmethod
    def fit(cls, table: Table, categorical: Sequence[Any] = (), *, missing: str = "value") -> "TableEncoder":
        """Learns the tokens of all columns.

        Args:
            table: The table.
            categorical: Columns whose numbers are categories.
            missing: One of `MISSING`; missing labels are values all the same.

        Raises:
            ValueError: If nothing can be learned from a column: its text differs in nearly every row, or it is empty.
        """
        for name in categorical:
            if name not in table.names:
                raise ValueError(f"there is no column {name!r} to be categorical: the columns are {table.listed()}")
        encoders = []
        others = (cells for name, cells in zip(table.names, table.cells, strict=True) if name != table.label)
        has_unknown = missing == "unknown" and any(cells.is_missing.any() for cells in others)
        fractions = _explained_fractions(table, has_unknown)
        for name, cells, fraction in zip(table.names, table.cells, fractions, strict=True):
            _check_use(name, cells, is_category=name in categorical)
            is_category = name in categorical or (name == table.label and has_few_values(_values(cells), len(table)))
            is_unknown = has_unknown and name != table.label
            encoder = fit_encoder(
                name, cells, is_category=is_category, explained=float(fraction), is_unknown=is_unknown
            )
            if name == table.label and encoder.scores is None:
                # The classes are known, so a new label has no mass.
                encoder = replace(encoder, counts=np.empty(0))
            if isinstance(encoder, DiscreteEncoder):
                encoder = replace(encoder, is_nominal=name in categorical)
            encoders.append(encoder)
        if all(encoder.size == 1 and encoder.scores is None for encoder in encoders):
            raise ValueError("every column is constant, so there is nothing to learn: give rows that differ")
        return cls(tuple(encoders))

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values of every column, as `ColumnEncoder.to_json` returns them."""
        return [encoder.to_json() for encoder in self.columns]

    def array(self) -> Float[np.ndarray, " m"]:
        """The arrays that a file holds besides, of all columns one after another."""
        return np.concatenate([np.empty(0), *(array for encoder in self.columns for array in encoder.arrays)])

    @staticmethod
    def array_length(content: list[dict[str, Any]]) -> int:
        """Length of the array of a file.

        Raises:
            ValueError: If the file does not state it.
        """
        return sum(sum(array_lengths(each)) for each in content)

    @classmethod
    def from_json(cls, content: list[dict[str, Any]], array: Float[np.ndarray, " m"] | None) -> "TableEncoder":
        """Rebuilds the encoder from what `to_json` and `array` returned.

        Args:
            content: What `to_json` returned.
            array: What `array` returned; None for an encoder of the same sizes with other numbers, which says what
                network a file asks for before an array is read.

        Raises:
            ValueError: If there is no such encoder.
        """
        encoders, first = [], 0
        for each in content:
            arrays = kind_of_content(each).placeholders(each)
            if array is not None:
                ends = first + np.cumsum([0, *map(len, arrays)])
                arrays = [array[low:high] for low, high in pairwise(ends)]
                first = int(ends[-1])
            encoders.append(encoder_from_json(each, arrays))
        check_names([encoder.name for encoder in encoders])
        return cls(tuple(encoders))

    @cached_property
    def with_token(self) -> tuple[int, ...]:
        """Indices of the columns that have a token."""
        return tuple(index for index, encoder in enumerate(self.columns) if encoder.has_token)

    @cached_property
    def with_number(self) -> tuple[int, ...]:
        """For each number of a row, the index of its column."""
        return tuple(index for index, encoder in enumerate(self.columns) for _ in range(encoder.n_numbers))

    @cached_property
    def with_intervals(self) -> tuple[int, ...]:
        """Indices of the columns whose numbers have intervals."""
        return tuple(index for index, encoder in enumerate(self.columns) if encoder.has_intervals)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each token."""
        return tuple(self.columns[index].size for index in self.with_token)

    @cached_property
    def ranks(self) -> tuple[float, ...]:
        """Ranks of every value of all tokens."""
        return tuple(float(rank) for encoder in self.columns for rank in encoder.ranks)

    @cached_property
    def number_values(self) -> tuple[int, ...]:
        """For each number beside a token, the value of the token that says that there is a number."""
        return tuple(len(self.columns[index].atoms) for index in self.with_number)

    @property
    def n_tokens(self) -> int:
        """Number of tokens of a row."""
        return len(self.with_token)

    @property
    def width(self) -> int:
        """Number of values of an encoded row."""
        return len(self.with_token) + len(self.with_number)

    def encoder(self, name: Any) -> ColumnEncoder:
        """Returns the encoder of a column.

        Raises:
            ValueError: If there is no such column.
        """
        return self.columns[self.index(name)]

    def index(self, name: Any) -> int:
        """Returns the index of a column.

        Raises:
            ValueError: If there is no such column.
        """
        for index, encoder in enumerate(self.columns):
            if encoder.name == name and not isinstance(name, bool):
                return index
        names = listed([str(encoder.name) for encoder in self.columns])
        raise ValueError(f"there is no column {name!r}: the model's columns are {names}")

    @cached_property
    def row_indices(self) -> tuple[tuple[int | None, slice], ...]:
        """For each column, the index of its token in an encoded row, if it has one, and the slice of its numbers."""
        tokens = {column: i for i, column in enumerate(self.with_token)}
        ends = self.n_tokens + np.cumsum([0, *(encoder.n_numbers for encoder in self.columns)])
        return tuple((tokens.get(column), slice(*each)) for column, each in enumerate(pairwise(ends.tolist())))

    def token_index(self, name: Any) -> int | None:
        """Returns the index of a column's token in an encoded row; None if it has none."""
        return self.row_indices[self.index(name)][0]

    def number_index(self, name: Any) -> int | None:
        """Returns the index of a column's first number in an encoded row; None if it has none."""
        numbers = self.row_indices[self.index(name)][1]
        return numbers.start if numbers.start < numbers.stop else None

    def encode(
        self, columns: Sequence[Column], *, dequantize: bool = False, dtype: type[np.floating] = np.float64
    ) -> Float[np.ndarray, "n width"]:
        """Encodes the cells of these columns, in this order.

        Args:
            columns: The cells of each column.
            dequantize: Whether a rounded number becomes any of those that are rounded to it, always the same one.
            dtype: Type of the values; single precision holds what a network sees.
        """
        n = len(columns[0].values)
        rows = np.zeros((n, self.width), dtype)
        for index, (encoder, cells) in enumerate(zip(self.columns, columns, strict=True)):
            positions = np.random.default_rng(index).random(n) if dequantize else None
            token, numbers = self.row_indices[index]
            tokens, rows[:, numbers] = encoder.encode(cells, positions)
            if token is not None:
                rows[:, token] = tokens
        return rows

    def decode(self, rows: Float[np.ndarray, "n width"]) -> tuple[Column, ...]:
        """Decodes tokens and numbers to cells."""
        none = np.zeros(len(rows))
        return tuple(
            encoder.decode(none if token is None else rows[:, token], rows[:, numbers])
            for encoder, (token, numbers) in zip(self.columns, self.row_indices, strict=True)
        )


def _explained_fractions(table: Table, has_unknown: bool) -> np.ndarray:
    """How well the other columns explain each column; 0 for all if they explain less than two columns of many values.

    Numbers of few values, and single ones, are learned more exactly as tokens. In a small table a token has few rows,
    and it is 1 for columns that are explained in part, unless that is a single column whose values repeat. In
    tables with gaps it is 1: what is not known hides how well columns explain each other, and numbers that are given
    are seen more exactly than tokens.
    """
    none = np.zeros(len(table.names))
    if not 0 < len(none) <= MOST_COMPARED:
        return none
    if has_unknown:
        return np.ones(len(none))
    fractions = explained(table.cells)
    are_many = np.array([not has_few_values(_values(cells), int((~cells.is_missing).sum())) for cells in table.cells])
    if len(table.cells[0].values) > SMALL:
        return fractions if np.count_nonzero(are_many & (fractions >= EXPLAINED)) > 1 else none
    are_more = np.array([len(_values(cells)) > FEW_TOKENS for cells in table.cells])
    is_partial = fractions >= UNEXPLAINED
    is_enough = np.count_nonzero(are_more & is_partial) > 1 or (are_many & is_partial).any()
    return np.where(is_partial, 1.0, fractions) if is_enough else none


def _values(cells: Column) -> np.ndarray:
    """The distinct values of a column."""
    return np.unique(cells.values[~cells.is_missing])


def _check_use(name: Any, cells: Column, *, is_category: bool) -> None:
    n, n_present = len(cells.values), int((~cells.is_missing).sum())
    if not n_present:
        raise ValueError(f"column {name!r} has no value at all: drop it")
    if cells.categories is None and not is_category:
        return
    distinct = len(_values(cells))
    words = stray_words([text for text in cells.categories or () if isinstance(text, str)])
    if words and not is_category and hardly_repeat(distinct, n_present):
        raise ValueError(
            f"column {name!r} holds numbers except for {words[0]!r}: clear such cells to make them missing, say that "
            "it is categorical, or drop it"
        )
    if too_many(distinct, n_present):
        raise ValueError(
            f"column {name!r} has {distinct:,} different categories in {n:,} rows, too many to learn: drop it"
        )
