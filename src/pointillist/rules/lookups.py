"""Lookups: columns whose values another column determines, as a city determines its country."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import ColumnEncoder
from pointillist.lazy import special
from pointillist.rules.rule import (
    FEWEST_ROWS,
    SAMPLE_ROWS,
    Conditions,
    Mask,
    NumberRange,
    Numbers,
    Rows,
    Rule,
    TrainingRows,
)
from pointillist.tables.table import Column

ROWS_PER_VALUE = 5
"""Fewest rows per value of a determining column, on average. With fewer, nearly every column with many values would
determine all others, and the model would reproduce single training rows."""

MOST_COLUMNS, MOST_NUMBERS, MOST_IN_SAMPLE = 128, 20_000, 0.8
"""Most columns that are compared, most numbers in all lookups, and most distinct values per row of the sample."""

BY_CHANCE = 50.0
"""Least surprise, in nats, that rows with equal values of one column agree about another, if they were independent."""

Codes = Int[np.ndarray, " _"]


@dataclass(frozen=True, eq=False)
class TableRule(Rule):
    """A table that lists values of the rule's columns.

    Attributes:
        table: One column for each column of the rule, shape (m, k). A category is the index of its token.
    """

    table: Float[np.ndarray, "m k"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.table.shape != (max(1, len(self.table)), len(self.columns)) or not np.isfinite(self.table).all():
            raise ValueError("a rule with a table needs rows of finite numbers, one for each column")

    def in_tokens(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> list[Column]:
        """Return all columns, those of the rule with the categories of their encoders."""
        return [in_tokens(each, ranges[i].encoder) if i in self.columns else each for i, each in enumerate(columns)]

    def _may_break(self, rows: np.ndarray, observed: Collection[int]) -> Mask:
        """Return which rows of observed cells the rule covers; by default all."""
        return np.ones(len(rows), bool)

    def contradicted(self, conditions: Conditions) -> Mask:
        """Find the rows whose observed cells and conditions no entry of the table meets.

        Conditions lose the values that no entry has, such as cities outside an observed country.
        """
        columns = list(zip(self.columns, self.table.T, strict=True))
        observed, allowed, encoders = conditions.observed, conditions.allowed, conditions.encoders
        cells = [in_tokens(observed[column], encoders[column]).values for column, _ in columns if column in observed]
        rows = np.column_stack(np.broadcast_arrays(*cells)) if cells else np.empty((1, 0))
        # Equal rows are looked up once: there may be many, and the table may be long.
        distinct, inverse = np.unique(rows, axis=0, return_inverse=True)
        possible = np.ones((len(distinct), len(self.table)), bool)
        for cell, values in zip(distinct.T, [values for c, values in columns if c in observed], strict=True):
            possible &= cell[:, None] == values
        for column, values in columns:
            if column in allowed:
                possible &= encoders[column].is_allowed(allowed[column], values)
        is_covered = self._may_break(rows, observed)
        for column, values in columns:
            encoder = encoders[column]
            if column in allowed and encoder.scores is None and is_covered.all():
                before = allowed[column]
                tokens = before.token_values if encoder.categories is not None else encoder.atoms[before.token_values]
                kept = np.isin(tokens, values[possible.any(axis=0)])
                allowed[column] = replace(
                    before, token_values=before.token_values[kept], low=before.low[kept], high=before.high[kept]
                )
        return is_covered & ~np.asarray(possible.any(axis=1))[inverse.ravel()]

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        return super().from_json({**content, "table": np.atleast_2d(np.array(content["table"], float))})

    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        for values, column in zip(self.table.T, self.columns, strict=True):
            encoder = encoders[column]
            if encoder.categories is not None or encoder.scores is None:
                known = encoder.atoms if encoder.categories is None else np.arange(len(encoder.categories))
                is_known = np.isin(values, known).all()
            else:
                low, high = encoder.rounded(np.array(encoder.ends))
                is_known = values.min() >= low and values.max() <= high and (encoder.rounded(values) == values).all()
            if not is_known:
                raise ValueError(f"column {encoder.name!r} cannot hold the values that a rule lists")


@dataclass(frozen=True, eq=False)
class Lookup(TableRule):
    """The first column, whose values in the table increase, determines the others.

    If it `is_followed`, it never moves, and the others always follow it.
    """

    is_followed: bool = False

    kind = "lookup"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (np.diff(self.table[:, 0]) <= 0).any():
            raise ValueError("the values of a column that decides others must increase")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> list["Lookup"]:
        """Find the columns that determine others in all rows, among the columns without missing cells.

        In a chain of lookups, the last column is looked up by the one before it. If two columns determine each other,
        the first determines the second. If several determine a column independently, the one with the fewest values
        does. A calculated column may determine others, except for those it is calculated from, and never moves for
        them; nor does the label.
        """
        fixed = calculated if rows.label is None else {**calculated, rows.label: ()}
        columns, n = rows.columns, len(rows.columns[0].values) if rows.columns else 0
        indices = [index for index, cells in enumerate(columns) if not cells.is_missing.any()]
        if n < FEWEST_ROWS or not 1 < len(indices) <= MOST_COLUMNS:
            return []
        some = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE_ROWS])
        samples = {index: _codes(columns[index].values[some]) for index in indices}
        sizes = {index: _size(sample) for index, sample in samples.items()}
        # A column with more values than a lookup may list has a different value in almost every row.
        most = min(len(some) * MOST_IN_SAMPLE, n / ROWS_PER_VALUE)

        @cache
        def codes(index: int) -> Codes:
            return _codes(columns[index].values)

        found = set[tuple[int, int]]()
        for x, y in permutations(indices, 2):
            if not rows.may_relate(x, y):
                continue
            is_likely = 1 < sizes[y] <= sizes[x] <= most and _determines(samples[x], samples[y])
            if not is_likely or depends_on(fixed, fixed.get(x, ()), y) or _size(codes(x)) > n / ROWS_PER_VALUE:
                continue
            if _determines(codes(x), codes(y)) and _surprise(codes(x), codes(y)) > BY_CHANCE:
                found.add((x, y))
        while True:
            groups = _grouped(indices, found, {x: _size(codes(x)) for pair in found for x in pair}, fixed)
            numbers = {x: _size(codes(x)) * (1 + len(terms)) for x, terms in groups.items()}
            if sum(numbers.values()) <= MOST_NUMBERS:
                break
            largest = max(numbers, key=lambda x: (numbers[x], x))
            found = {(x, y) for x, y in found if x != largest}
        lookups = []
        for x, terms in groups.items():
            first = np.unique(codes(x), return_index=True)[1]
            values = [in_tokens(columns[i].take(first), rows.encoders[i]).values for i in (x, *terms)]
            table = np.stack(values, axis=1).astype(float)
            lookups.append(cls((x, *terms), table[np.argsort(table[:, 0])], x in fixed))
        return lookups

    @property
    def reserved(self) -> tuple[int, ...]:
        """All columns, except for a first column that never moves."""
        return self.columns[self.is_followed :]

    def restore(self, rows: Rows) -> None:
        """Change cells that are not fixed so that rows without missing cells obey the lookup.

        The first column takes its nearest value that agrees with the other columns that are fixed, or that come before
        it and were drawn without it. If there is none, the columns that are not fixed follow it. A row stays as it is
        if the first column has a value that is not in the table.
        """
        rows.columns = self.in_tokens(rows.columns, rows.ranges)
        free, keys, determined = ~rows.is_fixed[:, list(self.columns)], self.table[:, 0], self.table[:, 1:]
        values, index, is_broken = self._looked_up(rows.columns)
        wrong = np.flatnonzero(is_broken)
        moves = wrong[free[wrong, 0] & (not self.is_followed)]
        if len(moves):
            # Equal rows are looked up once.
            alike = np.column_stack([index[moves], values[moves, 1:], free[moves, 1:]])
            distinct, inverse = np.unique(alike, axis=0, return_inverse=True)
            k = determined.shape[1]
            found = [self._agreeing(int(row[0]), row[1 : 1 + k], row[1 + k :] == 0) for row in distinct]
            index[moves] = np.array(found)[inverse.ravel()]
        values[wrong, 0] = keys[index[wrong]]
        values[wrong, 1:] = np.where(free[wrong, 1:], determined[index[wrong]], values[wrong, 1:])
        rows.put(self.columns, values)

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Mask:
        return self._looked_up(self.in_tokens(columns, ranges))[2]

    def _looked_up(self, columns: Sequence[Column]) -> tuple[Numbers, Codes, Mask]:
        """Return the values of all columns, each row's index in the table, and which rows differ from that entry."""
        (values, is_complete), keys = self.cells(columns), self.table[:, 0]
        index = np.minimum(np.searchsorted(keys, values[:, 0]), len(keys) - 1)
        differs = (self.table[index, 1:] != values[:, 1:]).any(axis=1)
        return values, index, is_complete & (keys[index] == values[:, 0]) & differs

    def _may_break(self, rows: np.ndarray, observed: Collection[int]) -> Mask:
        """Return which rows have no unknown value in the first column."""
        return np.isin(rows[:, 0], self.table[:, 0]) if self.columns[0] in observed else np.ones(len(rows), bool)

    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        for column in self.columns:
            if encoders[column].has_missing:
                raise ValueError(f"column {encoders[column].name!r} may be missing, so it cannot hold the values")
        super().check(encoders)

    def _agreeing(self, index: int, values: Float[np.ndarray, " k"], is_fixed: Bool[np.ndarray, " k"]) -> int:
        """Return the entry nearest to `index` that agrees with the determined columns' values, or else `index`."""
        for which in (is_fixed | (np.array(self.columns[1:]) < self.columns[0]), is_fixed):
            if which.any():
                agree = np.flatnonzero((self.table[:, 1:][:, which] == values[which]).all(axis=1))
                if len(agree):
                    return int(agree[np.abs(agree - index).argmin()])
        return index

    def text(self, names: Sequence[Any]) -> str:
        first, *others = (str(names[column]) for column in self.columns)
        return f"{first} decides {', '.join(others)}"


def in_tokens(cells: Column, encoder: ColumnEncoder) -> Column:
    """Return the cells with the categories of the encoder, which may differ from those of observed cells."""
    if cells.categories is None or cells.categories == encoder.categories:
        return cells
    values = np.where(cells.is_missing, 0, encoder.encode(cells)[0])
    return replace(cells, values=values, categories=encoder.categories)


def depends_on(calculated: Mapping[int, Collection[int]], columns: Collection[int], wanted: int) -> bool:
    """Return whether any of some columns is the wanted one, or is calculated from it, directly or indirectly."""
    return any(wanted == each or depends_on(calculated, calculated.get(each, ()), wanted) for each in columns)


def _grouped(
    indices: Sequence[int], found: set[tuple[int, int]], sizes: dict[int, int], fixed: Collection[int]
) -> dict[int, list[int]]:
    """Return the columns that each column is to determine, for pairs (x, y) in which x determines y."""
    candidates = {
        y: [x for x in indices if (x, y) in found and not ((y, x) in found and y < x and x not in fixed)]
        for y in indices
    }
    groups = defaultdict[int, list[int]](list)
    for y in indices:
        if candidates[y] and y not in fixed:
            first = [x for x in candidates[y] if not candidates[x] or x in fixed] or candidates[y]
            groups[min(first, key=lambda x: (sizes[x], x))].append(y)
    return dict(groups)


def _codes(values: np.ndarray) -> Codes:
    """Return the index of each row's value among the distinct values."""
    return np.unique(values, return_inverse=True)[1].astype(np.int32)


def _size(codes: Codes) -> int:
    return int(codes.max()) + 1


def _value_by_value(x: Codes, y: Codes) -> Codes:
    """Return the value of y in one row of each value of x."""
    values = np.zeros(_size(x), np.int32)
    values[x] = y
    return values


def _determines(x: Codes, y: Codes) -> bool:
    """Return whether all rows with equal values of x have equal values of y."""
    return bool((_value_by_value(x, y)[x] == y).all())


def _surprise(x: Codes, y: Codes) -> float:
    """Return how unlikely it is, in nats, that rows with equal values of x agree about y as they do.

    It is the log of the number of ways to assign the values of y to rows, minus that to assign them to values of x.
    """

    def ways(values: Codes) -> float:
        return float(special.gammaln(len(values) + 1) - special.gammaln(np.bincount(values) + 1).sum())

    return ways(y) - ways(_value_by_value(x, y))
