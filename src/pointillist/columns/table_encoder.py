"""Encodes tables of any columns as rows of tokens and numbers, and decodes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.dependence import explained
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.grids import has_few_values
from pointillist.columns.kinds import (
    EXPLAINED,
    FEW_TOKENS,
    UNEXPLAINED,
    array_lengths,
    encoder_from_json,
    fit_encoder,
)
from pointillist.columns.number import NumberEncoder
from pointillist.columns.scaled_number import ScaledEncoder
from pointillist.columns.scaling import TableScaling
from pointillist.foreign_text import listed
from pointillist.tables.names import check_names
from pointillist.tables.table import Column, Table
from pointillist.tables.unlearnable import MAX_CATEGORIES, MOST_CATEGORIES, hardly_repeat, stray_words, too_many

MISSING = ("value", "unknown")
"""Interpretations of missing cells: one more value of the column, or an unobserved value."""

MOST_COMPARED = 512
"""Largest number of columns for which each column is regressed on all others."""

SMALL = 2000
"""Largest number of rows of a small table."""


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """The encoders of a table's columns.

    An encoded row holds the tokens of all columns with a token, followed by the numbers of all columns.

    Attributes:
        columns: One encoder per column.
        scaling: The scaling of all columns if no column has a token; None otherwise.
    """

    columns: tuple[ColumnEncoder, ...]
    scaling: TableScaling | None = None

    @classmethod
    def from_scaling(cls, names: Sequence[Any], scaling: TableScaling) -> "TableEncoder":
        """Makes the encoder of a numeric table without tokens."""
        encoders = tuple(
            ScaledEncoder(name, False, np.empty(0), scaling=scaling.column(i)) for i, name in enumerate(names)
        )
        return cls(encoders, scaling)

    @classmethod
    def fit(
        cls,
        table: Table,
        categorical: Sequence[Any] = (),
        *,
        missing: str = "value",
        given: Sequence[Any] = (),
        increments: Mapping[Any, float] = MappingProxyType({}),
    ) -> "TableEncoder":
        """Learns the encoders of all columns.

        Args:
            table: The table.
            categorical: Columns whose numbers are categories.
            missing: One of `MISSING`. Missing labels always count as one more value.
            given: Columns that are always observed. Their numbers get scores, which are finer than intervals.
            increments: Step of each column whose numbers are multiples of a step.

        Raises:
            ValueError: If a column cannot be learned: it is empty, or its text differs in nearly every row.
        """
        for name in categorical:
            if name not in table.names:
                raise ValueError(
                    f"categorical names column {name!r}, which the table lacks: its columns are {table.listed()}"
                )
        encoders = []
        others = (cells for name, cells in zip(table.names, table.cells, strict=True) if name != table.label)
        has_unknown = missing == "unknown" and any(cells.is_missing.any() for cells in others)
        fractions = _explained_fractions(table, has_unknown)
        for name, cells, fraction in zip(table.names, table.cells, fractions, strict=True):
            _check_use(name, cells, is_category=name in categorical)
            is_category = name in categorical or (name == table.label and has_few_values(_values(cells), len(table)))
            is_unknown = has_unknown and name != table.label
            encoder = fit_encoder(
                name,
                cells,
                is_category=is_category,
                explained=1.0 if name in given else float(fraction),
                is_unknown=is_unknown,
                increment=increments.get(name, 0.0),
            )
            if name == table.label and encoder.scores is None:
                # All classes are known, so unknown labels have no mass.
                encoder = replace(encoder, counts=np.empty(0))
            if name in categorical and isinstance(encoder, NumberEncoder):
                encoder = replace(encoder, is_nominal=True)
            encoders.append(encoder)
        if all(encoder.size == 1 and encoder.scores is None for encoder in encoders):
            raise ValueError("every column is constant, so there is nothing to learn: give rows that differ")
        return cls(tuple(encoders))

    def to_json(self) -> list[dict[str, Any]]:
        """Returns the JSON values of every column; see `ColumnEncoder.to_json`."""
        return [encoder.to_json() for encoder in self.columns]

    def array(self) -> Float[np.ndarray, " m"]:
        """Concatenates the arrays of all columns."""
        return np.concatenate([np.empty(0), *(array for encoder in self.columns for array in encoder.arrays)])

    @classmethod
    def from_json(cls, content: list[dict[str, Any]], array: Float[np.ndarray, " m"]) -> "TableEncoder":
        """Rebuilds the encoder from the results of `to_json` and `array`; raises a ValueError if they are not valid."""
        lengths = [array_lengths(each) for each in content]
        if array.shape != (sum(map(sum, lengths)),):
            raise ValueError("its arrays do not fit its columns")
        arrays = iter(np.split(array, np.cumsum([n for each in lengths for n in each])[:-1]))
        pairs = zip(content, lengths, strict=True)
        encoders = [encoder_from_json(each, [*islice(arrays, len(n))]) for each, n in pairs]
        check_names([encoder.name for encoder in encoders])
        return cls(tuple(encoders))

    @cached_property
    def with_token(self) -> tuple[int, ...]:
        """Indices of the columns that have a token."""
        return tuple(index for index, encoder in enumerate(self.columns) if encoder.has_token)

    @cached_property
    def with_number(self) -> tuple[int, ...]:
        """Index of the column of each number of a row."""
        return tuple(index for index, encoder in enumerate(self.columns) for _ in range(encoder.n_numbers))

    @cached_property
    def with_intervals(self) -> tuple[int, ...]:
        """Indices of the columns with intervals of numbers."""
        return tuple(index for index, encoder in enumerate(self.columns) if encoder.has_intervals)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each token."""
        return tuple(self.columns[index].size for index in self.with_token)

    @cached_property
    def ranks(self) -> tuple[float, ...]:
        """Ranks of all values of all tokens."""
        return tuple(float(rank) for encoder in self.columns for rank in encoder.ranks)

    @cached_property
    def number_values(self) -> tuple[int, ...]:
        """Token value that means "a number", for each number that has a token."""
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
        """Returns the encoder of a column; raises a ValueError if the column does not exist."""
        return self.columns[self.index(name)]

    def index(self, name: Any) -> int:
        """Returns the index of a column; raises a ValueError if the column does not exist."""
        for index, encoder in enumerate(self.columns):
            if encoder.name == name and not isinstance(name, bool):
                return index
        names = listed([str(encoder.name) for encoder in self.columns])
        raise ValueError(f"there is no column {name!r}: the model's columns are {names}")

    @cached_property
    def row_indices(self) -> tuple[tuple[int | None, slice], ...]:
        """Index of each column's token in an encoded row (None without a token), and the slice of its numbers."""
        tokens = {column: i for i, column in enumerate(self.with_token)}
        ends = self.n_tokens + np.cumsum([0, *(encoder.n_numbers for encoder in self.columns)])
        return tuple((tokens.get(column), slice(*each)) for column, each in enumerate(pairwise(ends.tolist())))

    def token_index(self, name: Any) -> int | None:
        """Returns the index of a column's token in an encoded row; None without a token."""
        return self.row_indices[self.index(name)][0]

    def number_index(self, name: Any) -> int | None:
        """Returns the index of a column's first number in an encoded row; None without a number."""
        numbers = self.row_indices[self.index(name)][1]
        return numbers.start if numbers.start < numbers.stop else None

    def encode(
        self, columns: Sequence[Column], *, dequantize: bool = False, dtype: type[np.floating] = np.float64
    ) -> Float[np.ndarray, "n width"]:
        """Encodes the cells of all columns, in the order of the columns.

        Args:
            columns: The cells.
            dequantize: Whether a rounded number becomes a random number that rounds to it, the same at every call.
            dtype: Type of the values; float32 suffices for networks.
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
    """Fraction of each column's variance that the other columns explain, adjusted to favour tokens or numbers.

    All fractions are 0 if fewer than two columns with many values are explained: tokens then represent the numbers more
    exactly. In a small table, each token value has few rows, so the fraction is 1 for partly explained columns, unless
    there is one such column and its values repeat. If cells are unobserved, all fractions are 1: missing cells obscure
    the dependence, and observed numbers carry more information than tokens.
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
    """Distinct values of a column."""
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
            f"column {name!r} holds numbers except for {words[0]!r}: clear these cells to make them missing, declare "
            "it categorical, or drop it"
        )
    if too_many(distinct, n_present, MAX_CATEGORIES if cells.categories is None else MOST_CATEGORIES):
        raise ValueError(
            f"column {name!r} has {distinct:,} different categories in {n:,} rows, too many to learn: drop it"
        )
