"""The interface of rules, and the rows in which they are found, restored and checked."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import Allowed, ColumnEncoder
from pointillist.rules.number_range import NumberRange
from pointillist.tables.table import Column

FEWEST_ROWS = 100
"""Fewest rows without a missing cell that show a rule."""

TURNS, MOST_TURNS = 4, 20
"""Number of passes over all rules, and most passes for rows that still break one; in the further passes, other columns
move first."""


@dataclass(frozen=True)
class TrainingRows:
    """Training rows in which rules are looked for.

    Attributes:
        columns: The cells of each column.
        encoders: The encoder of each column.
        numeric: Indices of the columns of numbers that equations and orders may be about.
        sample: Some rows in which no numeric column has a missing cell.
        label: Index of the column of labels, which no rule changes; None without labels.
    """

    columns: Sequence[Column]
    encoders: Sequence[ColumnEncoder]
    numeric: Sequence[int]
    sample: Int[np.ndarray, " m"]
    label: int | None = None

    def numbers(self, columns: Sequence[int]) -> Float[np.ndarray, "m k"]:
        """Returns the numbers of some columns in the sampled rows."""
        return np.stack([self.columns[column].values[self.sample].astype(float) for column in columns], axis=1)

    def ranges(self, columns: Sequence[int]) -> list[NumberRange]:
        """Returns the ranges of some columns."""
        return [NumberRange.of(self.encoders[column], is_strict=False) for column in columns]


@dataclass
class Rows:
    """Rows in which rules are restored.

    Attributes:
        columns: The cells of each column; rules replace them.
        ranges: The range of each column.
        is_fixed: Which cells do not change.
        is_reserved: Which cells change only where no other cell can: the fixed ones, and those that lookups relate.
        turn: Number of the pass over all rules, from 0.
    """

    columns: list[Column]
    ranges: Sequence[NumberRange]
    is_fixed: Bool[np.ndarray, "n d"]
    is_reserved: Bool[np.ndarray, "n d"]
    turn: int = 0

    @property
    def has_reserved(self) -> bool:
        """Whether lookups reserve cells."""
        return self.is_reserved is not self.is_fixed

    @property
    def is_last(self) -> bool:
        """Whether numbers may lie beyond ranges that can be left."""
        return self.turn >= TURNS - 1

    @property
    def shift(self) -> int:
        """Number of columns that are moved from the front of the order of moves to its end."""
        return max(self.turn - TURNS + 1, 0)

    def put(self, columns: Sequence[int], values: Float[np.ndarray, "n k"]) -> None:
        """Replaces the numbers of some columns, or the indices of their categories."""
        for column, own in zip(columns, values.T, strict=True):
            cells = self.columns[column]
            self.columns[column] = replace(cells, values=own if cells.categories is None else own.astype(np.int64))


@dataclass
class Conditions:
    """Observed cells and conditions of rows to draw.

    Attributes:
        encoders: The encoder of each column.
        observed: Observed cells by index of the column, one for all rows or one per row.
        allowed: What conditions allow, by index of the column; rules narrow it.
    """

    encoders: Sequence[ColumnEncoder]
    observed: Mapping[int, Column]
    allowed: dict[int, Allowed]

    def box(
        self, columns: Sequence[int]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"], Bool[np.ndarray, " n"]]:
        """Returns the lowest and highest number of each column, and which rows certainly have a cell in all of them."""
        ends, is_complete = [], np.ones(1, bool)
        for column in columns:
            encoder = self.encoders[column]
            low, high = (np.array([end]) for end in encoder.rounded(np.array(encoder.ends)))
            if column in self.observed:
                low = high = self.observed[column].values.astype(float)
                is_complete = is_complete & ~self.observed[column].is_missing
            elif column in self.allowed:
                asked = self.allowed[column]
                low, high = np.maximum(low, asked.ends.low), np.minimum(high, asked.ends.high)
                is_complete = is_complete & (not encoder.has_missing or encoder.n_values not in asked.token_values)
            else:
                is_complete = is_complete & (not encoder.has_missing)
            ends.append((low, high))
        lows, highs = zip(*ends, strict=True)
        return np.column_stack(np.broadcast_arrays(*lows)), np.column_stack(np.broadcast_arrays(*highs)), is_complete


@dataclass(frozen=True)
class Rule(ABC):
    """What the cells of some columns obey in every row in which none of them is missing.

    Attributes:
        columns: Indices of the columns.
    """

    columns: tuple[int, ...]

    kind: ClassVar[str]
    """Name of the kind of rule in files."""

    has_exceptions: ClassVar[bool] = False
    """Whether a few training rows may break the rule, as typing errors do."""

    def __post_init__(self) -> None:
        columns = self.columns
        are_indices = all(type(column) is int and column >= 0 for column in columns)
        if not are_indices or not 2 <= len(columns) == len({*columns}):
            raise ValueError("a rule is not of two or more different columns")

    @classmethod
    @abstractmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> Iterable[Self]:
        """Finds the rules that rows obey; `calculated` maps calculated columns to those they are made from."""

    @property
    def reserved(self) -> tuple[int, ...]:
        """Columns that other rules change only where no other cell can change."""
        return ()

    def fix_determined(self, rows: Rows) -> bool:
        """Restores and fixes cells that fixed cells determine; returns whether there are any."""
        return False

    @abstractmethod
    def restore(self, rows: Rows) -> None:
        """Changes cells that are not fixed so that rows obey the rule.

        Numbers stay within the ranges of their columns, except in the last passes and in ranges that can be left.
        """

    @abstractmethod
    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Bool[np.ndarray, " n"]:
        """Finds the rows without missing cells that break the rule by more than rounding explains."""

    @abstractmethod
    def contradicted(self, conditions: Conditions) -> Bool[np.ndarray, " n"]:
        """Finds the rows in which no cells meet the conditions and obey the rule; one element stands for all rows.

        A rule may narrow the conditions to what it allows.
        """

    @abstractmethod
    def text(self, names: Sequence[Any]) -> str:
        """Returns the rule for people, with the names of the table's columns."""

    def to_json(self) -> dict[str, Any]:
        """Returns the kind and all attributes as JSON values."""
        own = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}
        return {"kind": self.kind, **own}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuilds what `to_json` returned; raises a ValueError if there is no such rule."""
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
        del values["kind"]
        return cls(**values)

    @abstractmethod
    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        """Raises a ValueError if the columns of a table cannot obey the rule."""


class NumberRule(Rule):
    """A rule about columns of numbers."""

    @abstractmethod
    def excluded(
        self, low: Float[np.ndarray, "n k"], high: Float[np.ndarray, "n k"], ranges: Sequence[NumberRange]
    ) -> Bool[np.ndarray, " n"]:
        """Finds the boxes in which no row obeys the rule, by interval arithmetic on the ends of its columns."""

    def contradicted(self, conditions: Conditions) -> Bool[np.ndarray, " n"]:
        """Finds the rows whose observed cells and conditions make a box in which no row obeys the rule."""
        low, high, is_complete = conditions.box(self.columns)
        ranges = [NumberRange.of(conditions.encoders[column], is_strict=True) for column in self.columns]
        return is_complete & self.excluded(low, high, ranges)

    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        """Raises a ValueError if a column has categories."""
        for column in self.columns:
            if encoders[column].categories is not None:
                raise ValueError(f"column {encoders[column].name!r} has categories, and a rule of numbers")


def complete(columns: Sequence[Column], own: Sequence[int]) -> Bool[np.ndarray, " n"]:
    """Returns which rows have no missing cell in some columns."""
    return ~np.any([columns[column].is_missing for column in own], axis=0)


def numbers_of(columns: Sequence[Column], own: Sequence[int]) -> Float[np.ndarray, "n k"]:
    """Returns the numbers of some columns, or the indices of their categories."""
    return np.stack([columns[column].values for column in own], axis=1).astype(float)
