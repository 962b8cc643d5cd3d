"""Combinations of values: columns whose values occur together only in some ways."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.rules.declared import Declared, NamedColumns
from pointillist.rules.lookups import TableRule, in_tokens
from pointillist.rules.rule import Conditions, Mask, NumberRange, Rows, Rule
from pointillist.tables.table import Column

MOST_NUMBERS = 200_000
"""Most numbers in the table of a rule."""


@dataclass(frozen=True, eq=False)
class Combination(TableRule):
    """The values of some columns form one of the rows of a table, the most frequent first."""

    wording: str

    kind = "combination"

    @property
    def reserved(self) -> tuple[int, ...]:
        return self.columns

    def restore(self, rows: Rows) -> None:
        """Replace wrong combinations by the most similar one that agrees with the fixed cells, if there is one."""
        rows.columns = self.in_tokens(rows.columns, rows.ranges)
        (values, is_complete), free = self.cells(rows.columns), ~rows.is_fixed[:, list(self.columns)]
        wrong = np.flatnonzero(is_complete & ~self._is_known(values))
        if not len(wrong):
            return
        # Equal rows are looked up once.
        alike = np.column_stack([values[wrong], free[wrong]])
        distinct, inverse = np.unique(alike, axis=0, return_inverse=True)
        k = len(self.columns)
        found = np.array([self._nearest(row[:k], row[k:] == 1) for row in distinct])
        values[wrong] = found[inverse.ravel()]
        rows.put(self.columns, values)

    def _nearest(self, values: Float[np.ndarray, " k"], is_free: Bool[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Return the entry that agrees with all fixed values and most of the others; the values if there is none."""
        agrees = self.table == values
        score = agrees.sum(axis=1) - len(values) * (~agrees[:, ~is_free]).any(axis=1)
        best = int(score.argmax())
        return self.table[best] if score[best] >= 0 and agrees[best, ~is_free].all() else values

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Mask:
        values, is_complete = self.cells(self.in_tokens(columns, ranges))
        return is_complete & ~self._is_known(values)

    def _is_known(self, values: Float[np.ndarray, "n k"]) -> Mask:
        # Rows are compared as bytes; adding 0 turns -0 into 0.
        whole = f"V{8 * len(self.columns)}"
        rows, known = (np.ascontiguousarray(each + 0.0).view(whole)[:, 0] for each in (values, self.table))
        return np.isin(rows, known)

    def contradicted(self, conditions: Conditions) -> Mask:
        """Find the rows whose observed cells and conditions no entry meets; none if they allow a missing cell."""
        for column in self.columns:
            observed, allowed = conditions.observed.get(column), conditions.allowed.get(column)
            if observed is not None and observed.is_missing.any():
                return np.zeros(1, bool)
            if allowed is not None and conditions.encoders[column].n_values in allowed.token_values:
                return np.zeros(1, bool)
        return super().contradicted(conditions)

    def text(self, names: Sequence[Any]) -> str:
        return self.wording


@dataclass(frozen=True, repr=False)
class ColumnsRule(Declared):
    """A declared rule on two or more columns, without other arguments."""

    columns: tuple[Any, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names(self.columns, 2)


@dataclass(frozen=True, repr=False)
class FixedCombinations(ColumnsRule):
    """Columns that have only the combinations of the training rows."""

    kind = "fixed_combinations"

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        cells = [in_tokens(columns.cells(name), columns.encoders[columns.index(name)]) for name in self.columns]
        is_complete = ~np.any([each.is_missing for each in cells], axis=0)
        values = np.stack([each.values for each in cells], axis=1).astype(float)
        table, counts = np.unique(values[is_complete], axis=0, return_counts=True)
        listed = ", ".join(map(str, self.columns))
        if not 0 < table.size <= MOST_NUMBERS:
            raise ValueError(
                f"rules: {len(table):,} different combinations of {listed} are too many or "
                f"too few for a rule, which lists at most {MOST_NUMBERS:,} values: leave a column out"
            )
        wording = f"{listed} have a combination of the training rows"
        table = table[np.argsort(-counts, kind="stable")]
        return [Combination(tuple(map(columns.index, self.columns)), table, wording, is_declared=True)]


def fixed_combinations(*columns: Any) -> FixedCombinations:
    """Declare that columns have only combinations of values that a training row has, like a city and its country.

    Args:
        *columns: Names of two or more columns.
    """
    return FixedCombinations(columns)


@dataclass(frozen=True, repr=False)
class OneHot(ColumnsRule):
    """Columns: exactly one is 1, or true."""

    kind = "one_hot"

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        """Return the table in which one column after the other is 1; without columns that are never 1."""
        listed = ", ".join(map(str, self.columns))
        zeros, ones = np.full((2, len(self.columns)), np.nan)
        for i, name in enumerate(self.columns):
            known = columns.encoders[columns.index(name)].value_cells()
            values = known.values.tolist() if known.categories is None else list(known.categories)
            if any(isinstance(value, str) for value in values) or not {*values} & {0, 1}:
                raise ValueError(f"rules.one_hot: column {name!r} must hold 0 and 1, or booleans")
            for found, value in ((zeros, 0), (ones, 1)):
                if value in values:
                    found[i] = value if known.categories is None else values.index(value)
        table = np.where(np.eye(len(self.columns), dtype=bool), ones, zeros)
        possible = table[np.isfinite(table).all(axis=1)]
        if not len(possible):
            raise ValueError(f"rules.one_hot: no column of {listed} can be the only 1")
        indices = tuple(map(columns.index, self.columns))
        return [Combination(indices, possible, f"one of {listed} is 1", is_declared=True)]


def one_hot(columns: Sequence[Any], *, on_violation: str = "refuse") -> OneHot:
    """Declare that exactly one of some columns is 1, or true, and the others are 0, or false.

    Args:
        columns: Names of two or more columns.
        on_violation: "refuse", "drop" or "allow" training rows that break the rule.
    """
    return OneHot(tuple(columns), on_violation=on_violation)
