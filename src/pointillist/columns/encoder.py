"""The interface of column encoders: from the cells of a column to a token and perhaps a number, and back.

A token is an integer from 0 on. A number, where a column has both, is given beside the token that says that there is
one. A missing cell is one more value of the token, or unknown. Each kind of column is a subclass in a separate file,
which `kinds` registers.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import is_missing
from pointillist.columns.grids import Grid
from pointillist.tables.conditions import Between, Condition, Missing, OneOf, Present
from pointillist.tables.keys import MAX_CATEGORIES
from pointillist.tables.names import name_from_json, name_to_json
from pointillist.tables.table import Column, cells_of, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

    from pointillist.columns.scores import NormalScores

MOST_CHOICES = 1000
"""Most values of a column among which a user of a page chooses."""

EVERY_NUMBER = (-np.inf, np.inf)


Observed = Mapping[Any, Column]
"""Observed cells by column: one for all rows, or one per row."""


class Span(NamedTuple):
    """Range of the numbers that a condition allows in a column.

    Attributes:
        low: Lowest number, or index of a category.
        high: Highest number, or index of a category.
        is_set: Whether only some numbers of the range are allowed, so that a drawn number must not move.
    """

    low: float
    high: float
    is_set: bool = False


Ends = Mapping[Any, Span]
"""Ranges of the columns that are drawn under conditions, by column."""


@dataclass(frozen=True)
class Allowed:
    """What a condition allows in a column.

    A piece is a value of the token, or for an interval of numbers a part of the interval.

    Attributes:
        name: Name of the column.
        text: The condition, for messages.
        token_values: The token's value of each piece, shape (p,).
        low: Where in the interval each piece begins, shape (p,); 0 for other values.
        high: Where it ends, at most 1, shape (p,); 1 for other values.
        ranges: Ranges of the number beside the token, shape (r, 2), increasing; none if the column has no number.
        ends: Lowest and highest value in the table's units; infinite where all are allowed.
    """

    name: Any
    text: str
    token_values: Int[np.ndarray, " p"]
    low: Float[np.ndarray, " p"]
    high: Float[np.ndarray, " p"]
    ranges: Float[np.ndarray, "r 2"]
    ends: Span

    @property
    def allows_every_number(self) -> bool:
        """Whether every number beside the token is allowed."""
        return len(self.ranges) == 1 and tuple(self.ranges[0]) == EVERY_NUMBER


class Pieces(NamedTuple):
    """Values of a token, ranges of the number beside it, and the lowest and highest value in the table's units."""

    token_values: Int[np.ndarray, " p"]
    ranges: Float[np.ndarray, "r 2"]
    ends: tuple[float, float]


class Volume(NamedTuple):
    """Cells as a distribution of tokens and numbers sees them.

    Attributes:
        tokens: Tokens, shape (n,), without positions in intervals; 0 where a cell has no mass or no token.
        numbers: Numbers, shape (n, k); 0 where there are none.
        log_factors: What to add to the log-density of token and number to get that of the cell in the table's units,
            shape (n,): the logarithm of the number's slope, or of the width of the cell; -inf for a cell without mass,
            such as an unknown label.
    """

    tokens: Float[np.ndarray, " n"]
    numbers: Float[np.ndarray, "n k"]
    log_factors: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class ColumnEncoder(ABC):
    """Encodes the cells of one column as a token, and perhaps a number beside it.

    Attributes:
        name: Name of the column.
        has_missing: Whether the last value of the token stands for a missing cell.
        counts: Number of training rows with each value of a column that has a token or a fixed set of scores for each;
            empty for a column of other numbers, and for one that has no new values, such as a label.
    """

    name: Any
    has_missing: bool
    counts: Float[np.ndarray, " c"]

    kind: ClassVar[str]
    """Name of the kind, in model files and on pages."""

    has_token: ClassVar[bool] = True
    """Whether cells of the kind have a token."""

    categories: ClassVar[tuple[Any, ...] | None] = None
    atoms: ClassVar[np.ndarray] = np.empty(0)
    grid: ClassVar[Grid] = Grid()
    scores: "ClassVar[NormalScores | None]" = None
    is_nominal: ClassVar[bool] = False
    n_intervals: ClassVar[int] = 0

    @property
    @abstractmethod
    def n_values(self) -> int:
        """Number of the token's values, not counting the one for a missing cell."""

    @property
    @abstractmethod
    def ranks(self) -> tuple[float, ...]:
        """Rank in (0, 1) of every value of the token; -1 for categories, a missing cell, and numbers of any size."""

    @property
    def size(self) -> int:
        """Number of values of the column's token."""
        return self.n_values + self.has_missing

    @property
    def has_categories(self) -> bool:
        """Whether its values are categories, in text or in numbers, which have no mean and no median."""
        return self.is_nominal or self.categories is not None

    @property
    def unit(self) -> float:
        """Distance of which all differences between values are multiples; 0 if there is none."""
        return self.grid.unit

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest value, as a `Column` holds them."""
        return 0.0, self.n_values - 1.0

    def rounded(self, values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Rounds numbers to the column's digits, or dates to its step."""
        return self.grid.rounded(values)

    def bounded(self, bounds: Float[np.ndarray, "*n"], sign: float) -> Float[np.ndarray, "*n"]:
        """Returns the nearest numbers on the column's grid that are not below bounds, or (-1) not above."""
        return self.grid.bounded(bounds, sign)

    @property
    def has_intervals(self) -> bool:
        """Whether numbers have tokens by their size, and no number beside them."""
        return self.n_intervals > 1

    @property
    def n_numbers(self) -> int:
        """Number of numbers of a cell, k."""
        return int(self.n_intervals == 1)

    @property
    def has_number(self) -> bool:
        """Whether cells have numbers."""
        return self.n_numbers > 0

    @property
    def is_discrete(self) -> bool:
        """Whether each value is a single one, and does not represent the numbers near it."""
        return self.scores is None

    def classes(self) -> np.ndarray | None:
        """All values of the column, if they have tokens and no numbers; None for other columns."""
        return self.value_cells().values if self.is_discrete else None

    def encode(
        self, cells: Column, positions: Float[np.ndarray, " n"] | None = None
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
        """Encodes cells as tokens and numbers.

        Args:
            cells: The cells.
            positions: Position of each number among those that are rounded to it, in [0, 1); the middle by default.

        Returns:
            Tokens, shape (n,), that of an interval plus the position in it, in [0, 1), and NaN for missing cells if the
            token has no value for them; and numbers, shape (n, k), 0 where there are none.

        Raises:
            ValueError: If a category is unknown. A number beyond the known range becomes the nearest known one.
        """
        n = len(cells.values)
        tokens, numbers = np.zeros(n), np.zeros((n, self.n_numbers))
        present = ~cells.is_missing
        at = np.full(n, 0.5) if positions is None else positions
        tokens[present], numbers[present] = self._encoded(cells, at)
        tokens[~present] = self.n_values if self.has_missing else np.nan
        return tokens, numbers

    def observed(self, cells: Column) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
        """Encodes cells that other cells are drawn given; see `encode`."""
        return self.encode(cells)

    @abstractmethod
    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and numbers of the cells that are not missing."""

    @abstractmethod
    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        """Decodes tokens and numbers to cells.

        Args:
            tokens: Tokens; that of an interval plus a number in [0, 1), the position in it.
            numbers: Numbers.
        """

    def unrounded(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Decodes numbers without rounding or clipping them."""
        raise NotImplementedError(f"columns of the kind {self.kind!r} have rounded numbers alone")

    def predicted(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Decodes numbers, such as quantiles, to what a prediction averages."""
        raise NotImplementedError(f"columns of the kind {self.kind!r} have no numbers")

    @property
    @abstractmethod
    def values(self) -> np.ndarray:
        """The single values that have a token, in the order of the tokens."""

    @abstractmethod
    def value_cells(self) -> Column:
        """The cells of these values."""

    @abstractmethod
    def typed(self, values: np.ndarray, arrow_type: "pa.DataType | None", *, is_rounded: bool) -> np.ndarray:
        """Converts values, as a `Column` holds them, to those of the table; perhaps rounded to the column's grid."""

    def without_unknown(self, cells: Column) -> tuple[Column, Bool[np.ndarray, " n"]]:
        """Replaces values that have no token by one that has; returns the cells, and which were replaced."""
        return cells, np.zeros(len(cells.values), bool)

    @abstractmethod
    def is_allowed(self, allowed: Allowed, values: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        """Which values, as a `Column` holds them, a condition allows."""

    @abstractmethod
    def format_value(self, value: float, arrow_type: "pa.DataType | None") -> str:
        """A value, as a `Column` holds it, as text for a message."""

    @abstractmethod
    def check_known(self, cells: Column) -> None:
        """Raises a ValueError if cells hold values that no training row had, where these are all there are."""

    @abstractmethod
    def check_range(self, cells: Column, arrow_type: "pa.DataType | None") -> None:
        """Raises a ValueError if a cell lies beyond the range of the training rows."""

    def range_text(self, arrow_type: "pa.DataType | None") -> str:
        """The range of a column of numbers for the end of a message; nothing for other columns."""
        return ""

    def allowed(self, condition: Condition, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Allowed:
        """Returns what a condition allows in the column.

        Args:
            condition: The condition.
            arrow_type: Arrow's type of the column; None for labels that have no column in the table.
            order: All categories of the column, in their order; None if they have none.

        Raises:
            ValueError: In one line, if the condition cannot be put to the column, or allows nothing.
        """
        found = Pieces(np.empty(0, int), np.empty((0, 2)), EVERY_NUMBER)
        values: list[Any] = []
        is_missing_allowed = isinstance(condition, Missing)
        if isinstance(condition, OneOf):
            values = [value for value in condition.values if not is_missing(value)]
            is_missing_allowed = len(values) < len(condition.values)
        if is_missing_allowed and not self.has_missing:
            raise ValueError(f"column {self.name!r} has no missing cells in the model: give a value")
        if isinstance(condition, Present):
            found = Pieces(np.arange(self.n_values), np.array([EVERY_NUMBER]), EVERY_NUMBER)
        elif isinstance(condition, OneOf) and values:
            found = self._one_of(condition_cells(self.name, values, arrow_type), condition)
        elif isinstance(condition, Between):
            found = self._between(condition, arrow_type, order)
        token_values = np.append(found.token_values, self.n_values) if is_missing_allowed else found.token_values
        if not len(token_values) and (self.has_token or not len(found.ranges)):
            raise ValueError(f"column {self.name!r}: no training row is {condition}{self.range_text(arrow_type)}")
        ends = Span(*found.ends, isinstance(condition, OneOf))
        return self._in_pieces(found._replace(token_values=token_values), str(condition), ends)

    @abstractmethod
    def _one_of(self, cells: Column, condition: OneOf) -> Pieces:
        """What is allowed where cells hold one of some values."""

    @abstractmethod
    def _between(self, condition: Between, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Pieces:
        """What is allowed where cells lie between two ends."""

    def _in_pieces(self, found: Pieces, text: str, ends: Span) -> Allowed:
        n = len(found.token_values)
        return Allowed(self.name, text, found.token_values, np.zeros(n), np.ones(n), found.ranges, ends)

    def volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        """Computes the tokens and numbers of cells, and the factors between their density and that of the cells.

        Categories, labels and missing cells have a mass. Numbers have a density, constant within each cell of the
        column's grid: the mass of the cell divided by its width. The width is 1 for integers, 10^-d for d decimals, and
        one step for dates, also where these are integers such as 20240320.

        Args:
            cells: The cells.
            positions: Position in each number's cell of the grid, as a fraction in (0, 1).
        """
        n = len(cells.values)
        found = Volume(np.zeros(n), np.zeros((n, self.n_numbers)), np.full(n, -np.inf))
        if self.has_missing:
            found.tokens[cells.is_missing], found.log_factors[cells.is_missing] = self.n_values, 0.0
        present = ~cells.is_missing
        for array, values in zip(found, self._volume(cells, positions), strict=True):
            array[present] = values
        return found

    @abstractmethod
    def _volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        """The volume of the cells that are not missing."""

    @property
    def has_wide_cells(self) -> bool:
        """Whether a cell of the grid covers a range of numbers so wide that a density is averaged over it."""
        return False

    @property
    def arrays(self) -> tuple[Float[np.ndarray, " m"], ...]:
        """The arrays of numbers that a model file holds."""
        return (self.counts,)

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON values."""
        return {
            "kind": self.kind,
            "name": name_to_json(self.name),
            "has_missing": self.has_missing,
            "lengths": [len(array) for array in self.arrays],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "ColumnEncoder":
        """Rebuilds the encoder from what `to_json` and `arrays` returned.

        Raises:
            ValueError: If there is no such encoder.
        """
        found = cls._from_json(name_from_json(content["name"]), content, arrays)
        if found.n_values < 1:
            raise ValueError(f"column {found.name!r} has no values")
        n_seen = found.n_counted
        if len(found.counts) not in (0, n_seen) or not (found.counts >= 1).all():
            raise ValueError(f"counts of {found.name!r} do not fit its values")
        return found

    @classmethod
    @abstractmethod
    def _from_json(cls, name: Any, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "ColumnEncoder":
        """The encoder, with what is particular to its kind checked."""

    @property
    def n_counted(self) -> int:
        """Number of values of which the training rows are counted, if they are."""
        return self.n_values

    @classmethod
    def placeholders(cls, content: dict[str, Any]) -> list[Float[np.ndarray, " m"]]:
        """Arrays with the lengths that a file claims, and possible values."""
        return [np.arange(1.0, n + 1) for n in array_lengths(content)]

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a page needs to decode, show and ask for the column's values, as JSON values and arrays.

        The script of the page that decodes them has the name of the `kind`.
        """


def condition_cells(name: Any, values: Sequence[Any], arrow_type: "pa.DataType | None") -> Column:
    """Converts values of a condition to cells; an end of a range of integers may be a fraction."""
    if arrow_type is not None:
        if kind_of(arrow_type) == "whole" and all(isinstance(v, int | float | np.number) for v in values):
            return Column(np.asarray(values, np.float64), np.zeros(len(values), bool))
        return cells_of(name, values, arrow_type)
    labels = tuple(dict.fromkeys(values))
    return Column(np.array([labels.index(value) for value in values]), np.zeros(len(values), bool), labels)


def unknown_value_error(name: Any, value: str, known: Sequence[str]) -> ValueError:
    """The error about a value that no training row had."""
    more = "" if len(known) <= 10 else f" and {len(known) - 10} more"
    return ValueError(f"column {name!r} has no {value} in the training rows, which have {', '.join(known[:10])}{more}")


def checked_count(value: Any) -> int:
    """Checks a number of values that a file claims.

    Raises:
        ValueError: If it is not such a number.
    """
    if type(value) is not int or not 0 <= value <= MAX_CATEGORIES:
        raise ValueError(f"{value!r:.40} is not a number of values")
    return value


def array_lengths(content: dict[str, Any]) -> list[int]:
    """Lengths of the arrays that a column of a file claims to have.

    Raises:
        ValueError: If these are no lengths.
    """
    return [checked_count(length) for length in content["lengths"]]
