"""The interface of rules, and the rows in which they are found, restored and checked."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, get_args, get_origin

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import Allowed, ColumnEncoder
from pointillist.tables.table import Column

Numbers = Float[np.ndarray, "n k"]
"""Numbers, or indices of categories, of the k columns of a rule in n rows."""

Vector = Float[np.ndarray, " n"]
Mask = Bool[np.ndarray, " n"]
Masks = Bool[np.ndarray, "n k"]
Indices = Int[np.ndarray, " _"]

FEWEST_ROWS = 100
"""Fewest rows without a missing cell in which a rule is looked for."""

SAMPLE_ROWS = 5000
"""Number of training rows in which rules are looked for first."""

TURNS, MOST_TURNS = 4, 20
"""Number of passes over all rules, and most passes for rows that still break one. In the additional passes, the columns
move in another order."""

EXACT, NULL = 2.0**-50, 1e-9
"""Relative rounding error in double precision, and of numbers calculated from others with fewer digits."""


@dataclass(frozen=True, eq=False)
class NumberRange:
    """The numbers that a column may take where a rule is restored.

    Attributes:
        low: Lowest number, -∞ for categories.
        high: Highest number, ∞ for categories.
        largest: Largest absolute value in the training rows.
        is_bounded: Whether a condition bounds the numbers; the other columns of a rule then move first.
        can_be_left: Whether a number beyond the range is allowed if a rule would otherwise stay broken.
    """

    encoder: ColumnEncoder
    low: float
    high: float
    largest: float
    is_bounded: bool
    can_be_left: bool

    @classmethod
    def of(cls, encoder: ColumnEncoder, bounds: tuple[float, float] | None = None, *, is_strict: bool) -> Self:
        """Return the range of a column in the training rows, within the bounds of a condition."""
        if encoder.categories is not None:
            return cls(encoder, -np.inf, np.inf, 0.0, False, False)
        low, high = encoder.ends
        largest = max(abs(low), abs(high))
        if bounds is not None:
            low, high = max(low, bounds[0]), min(high, bounds[1])
        return cls(encoder, low, high, largest, bounds is not None, encoder.scores is not None and not is_strict)

    @property
    def rounding(self) -> float:
        """Step to which the numbers were rounded; 0 for integers, which are exact counts."""
        return 0.0 if self.encoder.unit >= 1 else self.encoder.unit

    @property
    def negligible(self) -> float:
        """Error that counts as rounding of the largest number; 10⁻⁹ times that number without a unit."""
        return self.largest * (EXACT if self.largest < 2.0**52 * self.encoder.unit else NULL)

    def fitted(self, wanted: Float[np.ndarray, " m"], *, is_last: bool = False) -> Float[np.ndarray, " m"]:
        """Return the nearest numbers in the range; numbers beyond it stay if `is_last` and the range can be left."""
        rounded = self.encoder.rounded(wanted)
        fits = self.encoder.rounded(np.clip(rounded, self.low, self.high))
        if not (is_last and self.can_be_left):
            return fits
        return np.where(np.abs(rounded - fits) > self.negligible, rounded, fits)


def order_of_moves(ranges: Sequence[NumberRange], first: int = 0, shift: int = 0) -> list[int]:
    """Return the order in which columns move: `first` first, bounded ones last; `shift` moves some to the end."""
    order = sorted(range(len(ranges)), key=lambda i: (ranges[i].is_bounded, i != first))
    start = shift % len(order)
    return order[start:] + order[:start]


@dataclass(frozen=True)
class TrainingRows:
    """Training rows in which rules are looked for.

    Attributes:
        numeric: Indices of the numeric columns that equations and orders may relate.
        sample: Indices of some rows without a missing cell in a numeric column.
        label: Index of the label column, which no rule changes; None without labels.
        ignored: Sets of columns that no rule may relate to each other; an empty set forbids all rules.
    """

    columns: Sequence[Column]
    encoders: Sequence[ColumnEncoder]
    numeric: Sequence[int]
    sample: Int[np.ndarray, " m"]
    label: int | None = None
    ignored: Sequence[frozenset[int]] = ()

    def may_relate(self, *columns: int) -> bool:
        """Return whether a rule may relate some columns to each other."""
        return not any(each <= {*columns} for each in self.ignored)

    def numbers(self, columns: Sequence[int]) -> Numbers:
        """Return the numbers of some columns in the sampled rows."""
        return np.stack([self.columns[column].values[self.sample].astype(float) for column in columns], axis=1)

    def ranges(self, columns: Sequence[int]) -> list[NumberRange]:
        """Return the ranges of some columns."""
        return [NumberRange.of(self.encoders[column], is_strict=False) for column in columns]


@dataclass
class Rows:
    """Rows in which rules are restored.

    Attributes:
        columns: The cells of each column; rules replace them.
        is_fixed: Which cells do not change.
        is_reserved: Which cells change only where no other cell can: the fixed cells and the cells of lookups. The same
            array as `is_fixed` without lookups.
        turn: Number of the pass over all rules, from 0.
    """

    columns: list[Column]
    ranges: Sequence[NumberRange]
    is_fixed: Bool[np.ndarray, "n d"]
    is_reserved: Bool[np.ndarray, "n d"]
    turn: int = 0

    @property
    def shift(self) -> int:
        """Number of columns that go from the front of the order of moves to its end."""
        return max(self.turn - TURNS + 1, 0)

    def put(self, columns: Sequence[int], values: Numbers) -> None:
        """Replace the numbers of some columns, or the indices of their categories."""
        for column, new in zip(columns, values.T, strict=True):
            cells = self.columns[column]
            self.columns[column] = replace(cells, values=new if cells.categories is None else new.astype(np.int64))


@dataclass
class Conditions:
    """Observed cells and conditions of rows to draw.

    Attributes:
        observed: Observed cells by column index, one for all rows or one per row.
        allowed: What conditions allow, by column index; rules narrow it.
    """

    encoders: Sequence[ColumnEncoder]
    observed: Mapping[int, Column]
    allowed: dict[int, Allowed]


@dataclass(frozen=True)
class Rule(ABC):
    """A relation between columns that holds in every row without a missing cell in them.

    Attributes:
        columns: Indices of the columns.
        is_declared: Whether the user declared the rule, so that rows that still break it are drawn again.
    """

    columns: tuple[int, ...]
    is_declared: bool = field(default=False, kw_only=True)

    kind: ClassVar[str]
    """Name of the kind of rule in files."""

    fewest_columns: ClassVar[int] = 2
    """Fewest columns of a rule of this kind."""

    has_exceptions: ClassVar[bool] = False
    """Whether a few training rows may break the rule, as typing errors do."""

    def __post_init__(self) -> None:
        for each in fields(self):
            if not _is_valid(getattr(self, each.name), each.type):
                raise ValueError(f"a rule of the kind {self.kind!r} has a wrong value of {each.name!r}")
        if not self.fewest_columns <= len(self.columns) == len({*self.columns}) or min(self.columns) < 0:
            raise ValueError(f"a rule of the kind {self.kind!r} needs {self.fewest_columns} or more different columns")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> Iterable[Self]:
        """Find the rules that rows obey; `calculated` maps calculated columns to the columns they depend on.

        By default, rules of a kind are only declared.
        """
        return ()

    @property
    def reserved(self) -> tuple[int, ...]:
        """Columns that other rules change only where no other cell can change."""
        return ()

    def fix_determined(self, rows: Rows) -> bool:
        """Restore and fix cells that fixed cells determine; return whether there are any."""
        return False

    @abstractmethod
    def restore(self, rows: Rows) -> None:
        """Change cells that are not fixed so that rows obey the rule.

        Numbers stay within the ranges of their columns, except in the last passes and in ranges that can be left.
        """

    @abstractmethod
    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Mask:
        """Find the rows without missing cells that break the rule by more than rounding explains."""

    @abstractmethod
    def contradicted(self, conditions: Conditions) -> Mask:
        """Find the rows in which no cells meet the conditions and obey the rule; one element represents all rows.

        A rule may narrow the conditions to what it allows.
        """

    @abstractmethod
    def text(self, names: Sequence[Any]) -> str:
        """Return the rule for people, with the names of the table's columns."""

    @abstractmethod
    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        """Raise a ValueError if the columns of a table cannot obey the rule."""

    def to_json(self) -> dict[str, Any]:
        """Return the kind and all attributes as JSON values."""
        values = {each.name: np.asarray(getattr(self, each.name)).tolist() for each in fields(self)}
        return {"kind": self.kind, **values}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuild a rule from the result of `to_json`; raise a ValueError if it is not valid."""
        return cls(**arguments_of(content))

    def cells(self, columns: Sequence[Column]) -> tuple[Numbers, Mask]:
        """Return the numbers (or indices of categories) of the rule's columns, and which rows miss none of them."""
        chosen = [columns[column] for column in self.columns]
        values = np.stack([cells.values for cells in chosen], axis=1).astype(float)
        return values, ~np.any([cells.is_missing for cells in chosen], axis=0)


class NumberRule(Rule):
    """A rule about numeric columns."""

    @abstractmethod
    def is_off(self, values: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        """Return which rows of numbers break the rule by more than rounding explains."""

    @abstractmethod
    def excluded(self, low: Numbers, high: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        """Find the boxes in which no row obeys the rule, by interval arithmetic on the ends of its columns."""

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Mask:
        values, is_complete = self.cells(columns)
        return is_complete & self.is_off(values, [ranges[column] for column in self.columns])

    def contradicted(self, conditions: Conditions) -> Mask:
        """Find the rows whose observed cells and conditions make a box in which no row obeys the rule."""
        encoders, ends, is_complete = conditions.encoders, list[tuple[Vector, Vector]](), np.ones(1, bool)
        for column in self.columns:
            encoder = encoders[column]
            low, high = (np.array([end]) for end in encoder.rounded(np.array(encoder.ends)))
            if column in conditions.observed:
                low = high = conditions.observed[column].values.astype(float)
                is_complete = is_complete & ~conditions.observed[column].is_missing
            elif column in conditions.allowed:
                allowed = conditions.allowed[column]
                low, high = np.maximum(low, allowed.ends.low), np.minimum(high, allowed.ends.high)
                is_complete = is_complete & (not encoder.has_missing or encoder.n_values not in allowed.token_values)
            else:
                is_complete = is_complete & (not encoder.has_missing)
            ends.append((low, high))
        ranges = [NumberRange.of(encoders[column], is_strict=True) for column in self.columns]
        lowest, highest = (np.column_stack(np.broadcast_arrays(*side)) for side in zip(*ends, strict=True))
        return is_complete & self.excluded(lowest, highest, ranges)

    def check(self, encoders: Sequence[ColumnEncoder]) -> None:
        for column in self.columns:
            if encoders[column].categories is not None:
                raise ValueError(f"column {encoders[column].name!r} has categories, but a rule about numbers")


def arguments_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a rule in JSON values, in which lists represent tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items() if name != "kind"
    }


def _is_valid(value: Any, annotation: Any) -> bool:
    """Return whether a value has its annotated type, for booleans, integers, text, finite floats and their tuples."""
    if get_origin(annotation) is tuple:
        return isinstance(value, tuple) and all(_is_valid(each, get_args(annotation)[0]) for each in value)
    if annotation is float:
        return isinstance(value, float) and math.isfinite(value)
    return annotation not in (bool, int, str) or type(value) is annotation
