"""Repeated values of numeric columns, grids of the values that they can take, and the ends that no new value passes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.tables.calendar_dates import dates_after, dates_before, nearest_dates
from pointillist.tables.numbers import blocks, rows_at, spread_indices

MAX_ATOMS = 256
"""Largest number of distinct values of a discrete column, in which each value has at least four rows on average."""

SPIKE_FRACTION = 0.01
"""Smallest fraction of the rows at which a value counts as a point mass."""

FEWEST_ROWS = 200
REPEATED_FRACTION = 0.05

MAX_DECIMALS = 8
"""Largest number of decimals of a column with a grid."""

BY_CHANCE = 0.01
"""Largest accepted probability that random numbers appear to have a grid or a point mass."""

NEAR_0 = 0.1
"""A column is non-negative if its lowest value lies between 0 and this fraction of its range."""

_SOME_ROWS = 300
_KINDS = (np.float64, np.float32, np.float16)

Grids = tuple[Int[np.ndarray, " d"], Int[np.ndarray, " d"]]
"""Decimals of each column, and its step in units of the last decimal."""


def has_few_values(values: np.ndarray, n: int) -> bool:
    """Whether a column of n cells has few distinct values."""
    return len(values) <= MAX_ATOMS and 4 * len(values) <= n


def is_spike(counts: np.ndarray, n: int) -> np.ndarray:
    """Which values of a column of n cells are point masses, by their counts."""
    return counts >= max(4, SPIKE_FRACTION * n)


def has_repeats(rows: Float[np.ndarray, "n d"]) -> bool:
    """Whether a numeric table has a column in which values repeat too often for a continuous distribution."""
    n = len(rows)
    return n >= FEWEST_ROWS and any(repeated_fraction(column) > REPEATED_FRACTION for column in rows.T)


def repeated_fraction(column: Float[np.ndarray, " n"]) -> float:
    """The fraction of cells with a repeated value; 0 for constant columns, which need no model."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) == 1:
        return 0.0
    if has_few_values(values, len(column)):
        return 1.0
    return float(counts[is_spike(counts, len(column))].sum() / len(column))


@dataclass(frozen=True)
class Grid:
    """The values that a numeric column can take.

    Attributes:
        decimals: Largest number of decimals of any value; None if a value has more than `MAX_DECIMALS`.
        step: Greatest common divisor of the distances of all dates from the first, for example a day; 0 for other
            columns.
        first: The first date.
        is_calendar: Whether integers are dates such as 20240320, so that 20240380 is impossible.
        increment: Step between neighboring values, which are its multiples; 0 for the last decimal.
    """

    decimals: int | None = None
    step: int = 0
    first: int = 0
    is_calendar: bool = False
    increment: float = 0.0

    @property
    def unit(self) -> float:
        """Grid spacing, which divides all differences between values; 0 without a grid."""
        if self.step or self.increment:
            return self.increment or float(self.step)
        return 0.0 if self.decimals is None else 10.0**-self.decimals

    def rounded(self, values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Rounds numbers to the decimals of the grid, or dates to its step."""
        if self.is_calendar:
            return nearest_dates(values)
        if self.step:
            return self.first + self.step * np.round((values - self.first) / self.step)
        if self.increment:
            values = self.increment * np.round(values / self.increment)
        return values if self.decimals is None else np.round(values, self.decimals)

    def cell(self, values: Float[np.ndarray, "*n"]) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
        """Returns the lowest and highest numbers that round to the given grid values."""
        if self.is_calendar:
            return (dates_before(values - 1) + values) / 2, (values + dates_after(values + 1)) / 2
        return values - self.unit / 2, values + self.unit / 2

    def log_width(self, unit: float) -> float:
        """Returns the log-width of a grid cell in the table's units, from its unit; 0 for dates, measured in steps."""
        return 0.0 if self.step else float(np.log(unit))

    def to_json(self) -> list[Any]:
        """All attributes, as JSON values."""
        return [self.decimals, self.step, self.first, self.is_calendar, self.increment]

    @classmethod
    def from_json(cls, name: Any, content: list[Any]) -> "Grid":
        """Rebuilds a grid from the result of `to_json`; a ValueError names the column if the grid is invalid."""
        decimals, step, first, is_calendar, increment = content
        are_steps = type(step) is int and type(first) is int and 0 <= step <= 2**53 >= abs(first)
        are_decimals = decimals is None or (type(decimals) is int and 0 <= decimals <= MAX_DECIMALS)
        is_increment = isinstance(increment, float) and 0 <= increment < np.inf and not (step and increment)
        if not are_steps or not are_decimals or not is_increment:
            raise ValueError(f"the grid of {name!r} is invalid")
        return cls(decimals, step, first, is_calendar is True, increment)


def decimals_of(values: np.ndarray, error: float | np.ndarray = 0.0, least: int = 0) -> int | None:
    """Returns the number of decimals that all values need, at least `least`; None if it exceeds `MAX_DECIMALS`.

    `error` is the largest distance of a value from its rounded value: one number, or one per value.
    """
    found = range(least, MAX_DECIMALS + 1)
    return next((k for k in found if (np.abs(np.round(values, k) - values) <= error).all()), None)


def find_grids(
    rows: Float[np.ndarray, "n d"],
    low: Float[np.ndarray, " d"],
    high: Float[np.ndarray, " d"],
    is_integer: Bool[np.ndarray, " d"],
) -> Grids:
    """Finds the grid of each column: the decimals of its values, and a step that divides all their differences.

    A column has no grid (step 0) if a value has more than `MAX_DECIMALS` decimals, or if random numbers of its type
    have so few decimals with a probability above `BY_CHANCE`. A step above one unit of the last decimal is used if the
    column is discrete, or if random numbers with these decimals have this step with a probability of at most
    `BY_CHANCE`. `low` and `high` are the lowest and highest value of each column; the step of integers is at least 1.
    """
    sample = rows_at(rows, spread_indices(len(rows), _SOME_ROWS))
    kinds = [next((kind for kind in _KINDS if _decimals(column, kind, 0) is not None), None) for column in sample.T]
    values = [np.unique(column) for column in sample.T]
    decimals = [None if kind is None else 0 for kind in kinds]
    for block in blocks(rows):
        for j, (kind, least) in enumerate(zip(kinds, decimals, strict=True)):
            if kind is not None and least is not None:
                decimals[j] = _decimals(block[:, j], kind, least)
    for j, (kind, found) in enumerate(zip(kinds, decimals, strict=True)):
        if kind is not None and found is not None and not is_integer[j]:
            error = float(np.spacing(max(abs(low[j]), abs(high[j])).astype(kind)))
            if min(1.0, 2 * error * 10.0**found) ** len(values[j]) > BY_CHANCE:
                decimals[j] = None
    steps = np.zeros(len(low), np.int64)
    for block in blocks(rows):
        for j, found in enumerate(decimals):
            if found is not None:
                units = np.round((block[:, j] - low[j]) * 10.0**found).astype(np.int64)
                steps[j] = np.gcd(steps[j], np.gcd.reduce(units))
    is_shared = [
        has_few_values(distinct, len(sample)) or max(1.0, float(step)) ** (2 - len(distinct)) <= BY_CHANCE
        for distinct, step in zip(values, steps, strict=True)
    ]
    steps = np.maximum(np.where(is_shared, steps, np.minimum(steps, 1)), is_integer)
    return np.array([found or 0 for found in decimals]), steps


def find_ends(
    rows: Float[np.ndarray, "n d"], low: Float[np.ndarray, " d"], high: Float[np.ndarray, " d"]
) -> Bool[np.ndarray, "2 d"]:
    """Finds the columns whose lowest or highest value is an end that new values do not pass.

    A value is an end if many rows share it, or if it is near 0 and no value lies beyond 0. `low` and `high` are the
    lowest and highest value of each column; the result has a row for each.
    """
    counts = np.zeros((2, len(low)), np.int64)
    for block in blocks(rows):
        counts += [(block == low).sum(axis=0), (block == high).sum(axis=0)]
    ends = np.stack([low, -high]) / 2
    return is_spike(counts, len(rows)) | ((ends >= 0) & (ends < NEAR_0 * (high / 2 - low / 2)))


def _decimals(column: Float[np.ndarray, " n"], kind: type[np.floating], least: int) -> int | None:
    """Returns the decimals of numbers up to rounding in a type; None if too many, or not numbers of this type."""
    sizes = np.abs(column)
    with np.errstate(over="ignore"):
        held = sizes.astype(kind)
    return decimals_of(column, np.spacing(held), least) if (held == sizes).all() else None
