"""Columns whose values another column decides, as a code decides a name, and a city its country."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.number_range import NumberRange
from pointillist.rules.rule import (
    FEWEST_ROWS,
    Conditions,
    Rows,
    Rule,
    TrainingRows,
    complete,
    numbers_of,
)
from pointillist.tables.table import Column

ROWS_PER_VALUE = 5
"""Fewest rows for each value of a column that decides others, on average. With fewer, nearly every column of many
values would decide all others, and single training rows would come back."""

MOST_COLUMNS, MOST_NUMBERS, MOST_IN_SOME = 128, 20_000, 0.8
"""Most columns that are compared, most numbers in all tables, and most different values of a column, a row of some."""

BY_CHANCE = 50.0
"""Least surprise, in nats, that rows of one value agree about another, were the two columns independent."""

_ROWS = 5000


@dataclass(frozen=True, eq=False)
class Lookup(Rule):
    """The first column decides the others: its values, and theirs.

    Attributes:
        table: The values of the first column, increasing, and beside each those of the others, shape (m, k). A
            category is the index of its token.
        is_followed: Whether the first column never moves, and the others always follow it.
    """

    table: Float[np.ndarray, "m k"]
    is_followed: bool = False

    kind = "lookup"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.table.shape != (len(self.table), len(self.columns)) or not np.isfinite(self.table).all():
            raise ValueError("a column that decides others has a table of another shape, or with other than numbers")
        if not len(self.table) or (np.diff(self.table[:, 0]) <= 0).any():
            raise ValueError("the values of a column that decides others do not increase")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> list["Lookup"]:
        """Finds the columns that decide others in all rows, among those without missing cells.

        What a column decides that another one decides is looked up by that other one. Of two that decide each other,
        the first decides the second. If several decide a column independently, the one with the fewest values counts.
        A calculated column may decide others, but not those that it is calculated from, and never moves for them; nor
        does the label.
        """
        decided = calculated if rows.label is None else {**calculated, rows.label: ()}
        columns, codes = rows.columns, rows.encoders
        n = len(columns[0].values) if columns else 0
        indices = [index for index, cells in enumerate(columns) if not cells.is_missing.any()]
        if n < FEWEST_ROWS or not 1 < len(indices) <= MOST_COLUMNS:
            return []
        some = np.sort(np.random.default_rng(0).permutation(n)[:_ROWS])
        in_some = {index: _numbered(columns[index].values[some]) for index in indices}

        @cache
        def in_all(index: int) -> tuple[np.ndarray, np.ndarray]:
            return _numbered(columns[index].values)

        found = set[tuple[int, int]]()
        for x, y in permutations(indices, 2):
            # A column with more values than a lookup may list has a different value in almost every row.
            most = min(len(some) * MOST_IN_SOME, n / ROWS_PER_VALUE)
            if is_needed(decided, decided.get(x, ()), y):
                continue
            if 1 < len(in_some[y][0]) <= len(in_some[x][0]) <= most and _decides(in_some[x], in_some[y]):
                pair, size = (in_all(x), in_all(y)), len(in_all(x)[0])
                if size <= n / ROWS_PER_VALUE and _decides(*pair) and _surprise(*pair) > BY_CHANCE:
                    found.add((x, y))
        while True:
            of = _grouped(indices, found, {index: len(in_all(index)[0]) for pair in found for index in pair}, decided)
            numbers = {x: len(in_all(x)[0]) * (1 + len(terms)) for x, terms in of.items()}
            if sum(numbers.values()) <= MOST_NUMBERS:
                break
            largest = max(numbers, key=lambda x: (numbers[x], x))
            found = {(x, y) for x, y in found if x != largest}
        tables = []
        for x, terms in of.items():
            first = np.unique(in_all(x)[1], return_index=True)[1]
            own = [_of_tokens(columns[index].take(first), codes[index]).values for index in (x, *terms)]
            table = np.stack(own, axis=1).astype(float)
            tables.append(cls((x, *terms), table[np.argsort(table[:, 0])], x in decided))
        return tables

    @property
    def reserved(self) -> tuple[int, ...]:
        """All columns; of a first column that never moves, the others."""
        return self.columns[self.is_followed :]

    def restore(self, rows: Rows) -> None:
        """Changes cells that are not fixed so that rows without missing ones obey the lookup.

        The first column takes the nearest of its values that agrees with those others that are fixed, or come before it
        and were drawn without it. Where there is none, those that are not fixed follow it. Rows stay as they are where
        the first column has none of the values.
        """
        for column in self.columns:
            rows.columns[column] = _of_tokens(rows.columns[column], rows.ranges[column].encoder)
        free, keys, decided = ~rows.is_fixed[:, list(self.columns)], self.table[:, 0], self.table[:, 1:]
        values, at, is_broken = self._looked_up(rows.columns)
        wrong = np.flatnonzero(is_broken)
        moves = wrong[free[wrong, 0] & (not self.is_followed)]
        if len(moves):
            # Equal rows are looked up once.
            alike = np.column_stack([at[moves], values[moves, 1:], free[moves, 1:]])
            different, which = np.unique(alike, axis=0, return_inverse=True)
            k = decided.shape[1]
            found = [self._agreeing(int(row[0]), row[1 : 1 + k], row[1 + k :] == 0) for row in different]
            at[moves] = np.array(found)[which.ravel()]
        values[wrong, 0] = keys[at[wrong]]
        values[wrong, 1:] = np.where(free[wrong, 1:], decided[at[wrong]], values[wrong, 1:])
        rows.put(self.columns, values)

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Bool[np.ndarray, " n"]:
        """Finds the rows without missing cells in which a decided column differs from the table."""
        own = {column: _of_tokens(columns[column], ranges[column].encoder) for column in self.columns}
        return self._looked_up([own.get(i, cells) for i, cells in enumerate(columns)])[2]

    def _looked_up(
        self, columns: Sequence[Column]
    ) -> tuple[Float[np.ndarray, "n k"], Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """Returns the values of all columns, each row's index in the table, and which rows differ from that entry."""
        values, keys = numbers_of(columns, self.columns), self.table[:, 0]
        at = np.minimum(np.searchsorted(keys, values[:, 0]), len(keys) - 1)
        is_other = (self.table[at, 1:] != values[:, 1:]).any(axis=1)
        return values, at, complete(columns, self.columns) & (keys[at] == values[:, 0]) & is_other

    def _agreeing(self, at: int, own: Float[np.ndarray, " k"], is_fixed: Bool[np.ndarray, " k"]) -> int:
        """The row of the table to take instead of another, for some values of the decided columns."""
        for which in (is_fixed | (np.array(self.columns[1:]) < self.columns[0]), is_fixed):
            if which.any():
                agree = np.flatnonzero((self.table[:, 1:][:, which] == own[which]).all(axis=1))
                if len(agree):
                    return int(agree[np.abs(agree - at).argmin()])
        return at

    def contradicted(self, conditions: Conditions) -> Bool[np.ndarray, " n"]:
        """Finds the rows whose observed cells and conditions no entry of the table meets.

        Conditions lose the values that no entry has, such as cities outside an observed country.
        """
        encoders = [conditions.encoders[column] for column in self.columns]
        is_observed = np.array([column in conditions.observed for column in self.columns])
        cells = [
            _of_tokens(conditions.observed[c], conditions.encoders[c]) for c in self.columns if c in conditions.observed
        ]
        observed = np.column_stack(np.broadcast_arrays(*(each.values for each in cells))) if cells else np.empty((1, 0))
        # Equal rows are looked up once: there may be many, and the table may be long.
        different, which = np.unique(observed, axis=0, return_inverse=True)
        possible = np.ones((len(different), len(self.table)), bool)
        for own, values in zip(different.T, self.table.T[is_observed], strict=True):
            possible &= own[:, None] == values
        for column, encoder, values in zip(self.columns, encoders, self.table.T, strict=True):
            if column in conditions.allowed:
                possible &= encoder.is_allowed(conditions.allowed[column], values)
        is_known = np.isin(observed[:, 0], self.table[:, 0]) if is_observed[0] else np.ones(len(observed), bool)
        for column, encoder, values in zip(self.columns, encoders, self.table.T, strict=True):
            if column in conditions.allowed and encoder.scores is None and is_known.all():
                asked, left = conditions.allowed[column], values[possible.any(axis=0)]
                kept = np.isin(
                    asked.token_values if encoder.categories is not None else encoder.atoms[asked.token_values], left
                )
                conditions.allowed[column] = replace(
                    asked, token_values=asked.token_values[kept], low=asked.low[kept], high=asked.high[kept]
                )
        return is_known & ~np.asarray(possible.any(axis=1))[which.ravel()]

    def text(self, names: Sequence[Any]) -> str:
        """The rule, with the columns' names."""
        first, *others = (str(names[column]) for column in self.columns)
        return f"{first} decides {', '.join(others)}"

    def to_json(self) -> dict[str, Any]:
        """The kind and all attributes, as JSON values."""
        return {**super().to_json(), "table": self.table.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Lookup":
        """Rebuilds what `to_json` returned; raises a ValueError if there is no such lookup."""
        return super().from_json({**content, "table": np.array(content["table"], float)})

    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        """Raises a ValueError if the table has values that the columns cannot hold."""
        for values, column in zip(self.table.T, self.columns, strict=True):
            encoder = encoders[column]
            if encoder.categories is not None or encoder.scores is None:
                known = np.arange(encoder.n_values) if encoder.categories is not None else encoder.atoms
                is_known = np.isin(values, known).all()
            else:
                low, high = encoder.rounded(np.array(encoder.ends))
                is_known = values.min() >= low and values.max() <= high and (encoder.rounded(values) == values).all()
            if not is_known or encoder.has_missing:
                raise ValueError(f"column {encoder.name!r} has no such values as another one decides for it")


def _of_tokens(cells: Column, code: ColumnEncoder) -> Column:
    """The same cells, with the column's own categories if theirs are others, as those of given cells may be."""
    if cells.categories is None or cells.categories == code.categories:
        return cells
    return replace(cells, values=np.where(cells.is_missing, 0, code.encode(cells)[0]), categories=code.categories)


def is_needed(calculated: Mapping[int, Collection[int]], columns: Collection[int], wanted: int) -> bool:
    """Says whether any of some columns is the wanted one, or is calculated from it, directly or by way of others."""
    return any(wanted == each or is_needed(calculated, calculated.get(each, ()), wanted) for each in columns)


def _grouped(
    indices: Sequence[int], found: set[tuple[int, int]], sizes: dict[int, int], decided: Collection[int]
) -> dict[int, list[int]]:
    """The columns that each one is to decide, of pairs (x, y) of which x decides y."""
    by = {
        y: [x for x in indices if (x, y) in found and not ((y, x) in found and y < x and x not in decided)]
        for y in indices
    }
    of = defaultdict[int, list[int]](list)
    for y in indices:
        if by[y] and y not in decided:
            first = [x for x in by[y] if not by[x] or x in decided] or by[y]
            of[min(first, key=lambda x: (sizes[x], x))].append(y)
    return dict(of)


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values of a column, and which of them each row has."""
    distinct, indices = np.unique(values, return_inverse=True)
    return distinct, indices.astype(np.int32)


def _decides(x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether all rows of a value of x have one value of y, of two columns as `_numbered` returns them."""
    return bool((_of_values(x, y)[x[1]] == y[1]).all())


def _of_values(x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The value of y in a row of each value of x."""
    own = np.zeros(len(x[0]), np.int32)
    own[x[1]] = y[1]
    return own


def _surprise(x: tuple[np.ndarray, np.ndarray], y: tuple[np.ndarray, np.ndarray]) -> float:
    """Nats by which rows of one value of x are unlikely to agree about y as they do.

    The logarithm of the number of ways to give the values of y to rows, less that of those to give them to values of x.
    """
    from scipy.special import gammaln

    def ways(values: np.ndarray) -> float:
        return float(gammaln(len(values) + 1) - gammaln(np.bincount(values) + 1).sum())

    return ways(y[1]) - ways(_of_values(x, y))
