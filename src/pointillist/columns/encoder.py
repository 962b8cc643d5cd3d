"""The interface of column encoders, which convert the cells of a column to tokens and numbers, and back.

A token is an integer from 0 on. If a column has both tokens and numbers, one value of the token means "a number
follows". A missing cell is either one more value of the token or unobserved.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import is_missing
from pointillist.columns.grids import Grid
from pointillist.lazy import pa
from pointillist.tables.calendar_dates import dates_after, dates_before
from pointillist.tables.conditions import Between, Condition, Missing, OneOf, Present
from pointillist.tables.names import name_from_json, name_to_json
from pointillist.tables.table import Column, cells_of, kind_of
from pointillist.tables.unlearnable import MAX_CATEGORIES

if TYPE_CHECKING:
    from pointillist.columns.normal_scores import NormalScores

MOST_CHOICES = 1000
"""Largest number of values among which a page offers a choice."""

EVERY_NUMBER = (-np.inf, np.inf)

Observed = Mapping[Any, Column]
"""Observed cells by column name: one cell for all rows, or one per row."""


class Span(NamedTuple):
    """The range that a condition allows in a column, in numbers or in indices of categories.

    Attributes:
        is_set: Whether the condition allows single values only. Rounding must then not move a drawn number.
    """

    low: float
    high: float
    is_set: bool = False


Ends = Mapping[Any, Span]
"""Ranges of the columns that are drawn under conditions, by column name."""


@dataclass(frozen=True)
class Allowed:
    """What a condition allows in a column, in pieces: values of the token, or parts of intervals of numbers.

    Attributes:
        name: Name of the column.
        text: The condition as text, for messages.
        token_values: Value of the token for each piece, shape (p,).
        low: Start of each piece within its interval, in [0, 1), shape (p,); 0 for other values of the token.
        high: End of each piece within its interval, in (0, 1], shape (p,); 1 for other values of the token.
        ranges: Increasing ranges of the number that goes with the token, shape (r, 2); r = 0 if the column has none.
        ends: Lowest and highest allowed value in the table's units; infinite if all values are allowed.
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
        """Whether the condition allows every number that goes with the token."""
        return len(self.ranges) == 1 and tuple(self.ranges[0]) == EVERY_NUMBER


class Pieces(NamedTuple):
    """Allowed token values, ranges of the number, and the lowest and highest allowed value in table units."""

    token_values: Int[np.ndarray, " p"]
    ranges: Float[np.ndarray, "r 2"]
    ends: tuple[float, float]


class Volume(NamedTuple):
    """Tokens and numbers of n cells, with the factors that convert their density to the density of the cells.

    Attributes:
        tokens: Tokens, without positions in intervals; 0 for cells without mass or token.
        numbers: Numbers; 0 for cells without numbers.
        log_factors: Terms to add to the log-density of token and number, which give the log-density of the cell in the
            table's units: the log of the number's slope or of the cell's width. -inf for cells without mass, for
            example unknown labels.
    """

    tokens: Float[np.ndarray, " n"]
    numbers: Float[np.ndarray, "n k"]
    log_factors: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class ColumnEncoder(ABC):
    """Encodes the cells of one column as a token and k numbers.

    Attributes:
        name: Name of the column.
        has_missing: Whether the last value of the token means that the cell is missing.
        counts: Number of training rows with each value, for columns in which values are counted. Empty for continuous
            columns, and for columns that take no new values, for example labels.
    """

    name: Any
    has_missing: bool
    counts: Float[np.ndarray, " c"]

    kind: ClassVar[str]
    """Name of the kind, in model files and on pages."""

    has_token: ClassVar[bool] = True
    """Whether cells of this kind have a token."""

    most_counts: ClassVar[int] = MAX_CATEGORIES
    """Largest length of the arrays of a column of this kind."""

    is_on_pages: ClassVar[bool] = True
    """Whether a page can hold columns of this kind."""

    categories: ClassVar[tuple[Any, ...] | None] = None
    atoms: ClassVar[np.ndarray] = np.empty(0)
    grid: ClassVar[Grid] = Grid()
    scores: "ClassVar[NormalScores | None]" = None
    is_nominal: ClassVar[bool] = False
    n_intervals: ClassVar[int] = 0

    @property
    @abstractmethod
    def n_values(self) -> int:
        """Number of values of the token, without the value for missing cells."""

    @property
    def ranks(self) -> tuple[float, ...]:
        """Rank in (0, 1) of each value of the token; -1 for categories, missing cells and unrestricted numbers."""
        return (-1.0,) * self.size

    @property
    def size(self) -> int:
        """Number of values of the token, including the value for missing cells."""
        return self.n_values + self.has_missing

    @property
    def has_categories(self) -> bool:
        """Whether the values are categories (text or numbers), which have no mean or median."""
        return self.is_nominal or self.categories is not None

    @property
    def unit(self) -> float:
        """Grid spacing, which divides all differences between values; 0 without a grid."""
        return self.grid.unit

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest value, in the representation of `Column`."""
        return 0.0, self.n_values - 1.0

    def rounded(self, values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Rounds numbers to the column's decimals, or dates to its step."""
        return self.grid.rounded(values)

    def bounded(self, bounds: Float[np.ndarray, "*n"], sign: float) -> Float[np.ndarray, "*n"]:
        """Returns the nearest numbers on the grid at or above the bounds (sign 1), or at or below them (sign -1)."""
        if self.grid.is_calendar:
            return dates_after(bounds) if sign > 0 else dates_before(bounds)
        nearest = self.rounded(np.asarray(bounds))
        return np.where(sign * nearest >= sign * bounds, nearest, self.rounded(np.asarray(nearest + sign * self.unit)))

    @property
    def has_intervals(self) -> bool:
        """Whether the token gives the interval of a number, so that no separate number is needed."""
        return self.n_intervals > 1

    @property
    def n_numbers(self) -> int:
        """Number of numbers per cell, k."""
        return int(self.n_intervals == 1)

    @property
    def has_number(self) -> bool:
        """Whether cells have numbers."""
        return self.n_numbers > 0

    @property
    def is_discrete(self) -> bool:
        """Whether every value is a single value rather than a representative of nearby numbers."""
        return self.scores is None

    def classes(self) -> np.ndarray | None:
        """All values of the column if it is discrete; None otherwise."""
        return self.value_cells().values if self.is_discrete else None

    def encode(
        self, cells: Column, positions: Float[np.ndarray, " n"] | None = None
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
        """Encodes cells as tokens and numbers. Numbers beyond the range of the training rows are clipped to it.

        Args:
            cells: The cells, n of them.
            positions: Position of each number among the numbers that round to it, in [0, 1); 0.5 by default.

        Returns:
            Tokens, shape (n,), and numbers, shape (n, k), with 0 for cells without numbers. For numbers in intervals,
            the token is the interval plus the position in it, in [0, 1). Missing cells have the token NaN if the token
            has no value for them.

        Raises:
            ValueError: If a category is unknown.
        """
        n = len(cells.values)
        tokens, numbers = np.zeros(n), np.zeros((n, self.n_numbers))
        present = ~cells.is_missing
        at = np.full(n, 0.5) if positions is None else positions
        tokens[present], numbers[present] = self._encoded(cells.take(present), at[present])
        tokens[~present] = self.n_values if self.has_missing else np.nan
        return tokens, numbers

    def observed(self, cells: Column) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n k"]]:
        """Encodes cells that a model conditions on; see `encode`."""
        return self.encode(cells)

    @abstractmethod
    def _encoded(self, cells: Column, positions: Float[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and numbers of cells that are all present."""

    @abstractmethod
    def decode(self, tokens: Float[np.ndarray, " n"], numbers: Float[np.ndarray, "n k"]) -> Column:
        """Decodes tokens, as `encode` returns them, and numbers to cells."""

    def unrounded(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Decodes numbers without rounding or clipping them."""
        raise NotImplementedError(f"columns of the kind {self.kind!r} have only rounded numbers")

    def predicted(self, scores: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Decodes numbers, for example quantiles, to the values that predictions average."""
        raise NotImplementedError(f"columns of the kind {self.kind!r} have no numbers")

    @abstractmethod
    def value_cells(self) -> Column:
        """The single values that have a token, in token order."""

    @abstractmethod
    def typed(self, values: np.ndarray, arrow_type: "pa.DataType | None", *, is_rounded: bool) -> np.ndarray:
        """Converts values of a `Column` to the table's type, rounded to the grid if `is_rounded`."""

    def without_unknown(self, cells: Column) -> tuple[Column, Bool[np.ndarray, " n"]]:
        """Replaces unknown categories by a known one; returns the cells and a mask of the replaced ones."""
        return cells, np.zeros(len(cells.values), bool)

    @abstractmethod
    def is_allowed(self, allowed: Allowed, values: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        """Which values, in the representation of `Column`, a condition allows."""

    @abstractmethod
    def format_value(self, value: float, arrow_type: "pa.DataType | None") -> str:
        """Formats a value, in the representation of `Column`, for a message."""

    def check_observed(self, cells: Column, arrow_type: "pa.DataType | None", *, is_label: bool = False) -> None:
        """Raises a ValueError if a cell is an unknown category or class, or outside the range of the training rows."""
        self.encode(cells)

    def _range_text(self, arrow_type: "pa.DataType | None") -> str:
        """The range of a numeric column as the end of a message."""
        return ""

    def allowed(self, condition: Condition, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Allowed:
        """Returns what a condition allows in the column.

        Args:
            condition: The condition.
            arrow_type: Arrow type of the column; None for labels that have no column in the table.
            order: All categories of the column in order; None if the column has no order.

        Raises:
            ValueError: In one line, if the condition does not apply to the column or allows nothing.
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
            raise ValueError(f"column {self.name!r}: no training row is {condition}{self._range_text(arrow_type)}")
        ends = Span(*found.ends, isinstance(condition, OneOf))
        return self._in_pieces(found._replace(token_values=token_values), str(condition), ends)

    @abstractmethod
    def _one_of(self, cells: Column, condition: OneOf) -> Pieces:
        """What a condition allows that lists values."""

    @abstractmethod
    def _between(self, condition: Between, arrow_type: "pa.DataType | None", order: Sequence[Any] | None) -> Pieces:
        """What a condition allows that gives two ends."""

    def _in_pieces(self, found: Pieces, text: str, ends: Span) -> Allowed:
        n = len(found.token_values)
        return Allowed(self.name, text, found.token_values, np.zeros(n), np.ones(n), found.ranges, ends)

    def volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        """Computes the tokens and numbers of cells, and the factors between their density and the density of the cells.

        Categories, labels and missing cells have a mass. Numbers have a density that is constant within each cell of
        the column's grid: the mass of the grid cell divided by its width. The width is 1 for integers, 10^-d for d
        decimals, and one step for dates, including dates written as integers such as 20240320.

        Args:
            cells: The cells, n of them.
            positions: Position of each number within its grid cell, as a fraction in (0, 1), shape (n,).
        """
        n = len(cells.values)
        found = Volume(np.zeros(n), np.zeros((n, self.n_numbers)), np.full(n, -np.inf))
        if self.has_missing:
            found.tokens[cells.is_missing], found.log_factors[cells.is_missing] = self.n_values, 0.0
        present = ~cells.is_missing
        for array, values in zip(found, self._volume(cells.take(present), positions[present]), strict=True):
            array[present] = values
        return found

    @abstractmethod
    def _volume(self, cells: Column, positions: Float[np.ndarray, " n"]) -> Volume:
        """The volume of cells that are all present."""

    @property
    def has_wide_cells(self) -> bool:
        """Whether a grid cell covers a range of encoded numbers so wide that densities are averaged over it."""
        return False

    @property
    def arrays(self) -> tuple[Float[np.ndarray, " m"], ...]:
        """The arrays that a model file holds."""
        return (self.counts,)

    def to_json(self) -> dict[str, Any]:
        """JSON values that describe the encoder, without its arrays."""
        return {
            "kind": self.kind,
            "name": name_to_json(self.name),
            "has_missing": self.has_missing,
            "lengths": [len(array) for array in self.arrays],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "ColumnEncoder":
        """Rebuilds the encoder from valid results of `to_json` and `arrays`, or raises a ValueError."""
        found = cls._from_json(name_from_json(content["name"]), content, arrays)
        if found.n_values < 1:
            raise ValueError(f"column {found.name!r} has no values")
        if len(found.counts) not in (0, found._n_counted) or not (found.counts >= 1).all():
            raise ValueError(f"counts of {found.name!r} do not fit its values")
        return found

    @classmethod
    @abstractmethod
    def _from_json(cls, name: Any, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "ColumnEncoder":
        """The encoder, after the checks specific to its kind."""

    @property
    def _n_counted(self) -> int:
        """Number of values that are counted in training rows, if any."""
        return self.n_values

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a page needs to decode, show and edit the column's values, as JSON values and arrays.

        The page script that decodes them is named after the `kind`.
        """


def condition_cells(name: Any, values: Sequence[Any], arrow_type: "pa.DataType | None") -> Column:
    """Converts values of a condition to cells. The ends of a range of integers may have fractions."""
    if arrow_type is None:
        return label_cells(values)
    if kind_of(arrow_type) == "integer" and all(isinstance(v, int | float | np.number) for v in values):
        return Column(np.asarray(values, np.float64), np.zeros(len(values), bool))
    return cells_of(name, values, arrow_type)


def label_cells(values: Sequence[Any]) -> Column:
    """Converts labels that have no column in the table to cells; None marks missing labels."""
    labels = tuple(dict.fromkeys(value for value in values if value is not None))
    indices = np.array([0 if value is None else labels.index(value) for value in values])
    return Column(indices, np.array([value is None for value in values]), labels)


def unknown_value_error(name: Any, value: str, values: Sequence[str]) -> ValueError:
    """Makes the error for a value that no training row had."""
    more = "" if len(values) <= 10 else f" and {len(values) - 10} more"
    return ValueError(f"column {name!r} has no {value} in the training rows, which have {', '.join(values[:10])}{more}")
