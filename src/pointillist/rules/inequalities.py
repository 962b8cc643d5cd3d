"""Inequalities that rows obey: orders of columns, found or declared, and declared bounds and comparisons of sums."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Any

import numpy as np

from pointillist.columns.encoder import condition_cells
from pointillist.rules.declared import Declared, NamedColumns
from pointillist.rules.rule import (
    EXACT,
    FEWEST_ROWS,
    SAMPLE_ROWS,
    Mask,
    NumberRange,
    NumberRule,
    Numbers,
    Rows,
    Rule,
    TrainingRows,
    Vector,
    order_of_moves,
)
from pointillist.tables.table import kind_of, seconds_per_unit

BROKEN_BY_CHANCE, BROKEN_ROWS = 0.05, 10
"""An order counts only if at least this fraction of rows would break it if the columns were independent, and at least
this number of rows, plus 2 for every nat of the number of pairs."""


@dataclass(frozen=True)
class Inequality(NumberRule):
    """A sum of multiples of columns plus a constant is at least 0, or above 0 if that is strict.

    `wording` is the rule for people.
    """

    factors: tuple[float, ...]
    constant: float
    is_strict: bool
    wording: str

    kind = "inequality"
    fewest_columns = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 in self.factors or len(self.factors) != len(self.columns):
            raise ValueError("a rule of an inequality needs one factor other than 0 for each column")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> list["Inequality"]:
        """Find the orders that no chain of others implies, from the lowest column on: each may raise the one above."""
        numeric, columns = rows.numeric, rows.columns
        # The numbers of each column in another order, as if the columns were independent.
        shuffled = {i: np.random.default_rng(i).permutation(columns[i].values[~columns[i].is_missing]) for i in numeric}
        fewest = BROKEN_ROWS + 2 * np.log(max(len(numeric) * (len(numeric) - 1), 1))
        found = set[tuple[int, int]]()
        for low, high in permutations(numeric, 2):
            if not rows.may_relate(low, high):
                continue
            is_complete = ~(columns[low].is_missing | columns[high].is_missing)
            a, b = columns[low].values, columns[high].values
            # Most pairs are out of order in some of the first rows.
            is_off = any((a[part] > b[part])[is_complete[part]].any() for part in (slice(SAMPLE_ROWS), slice(None)))
            if is_off or columns[low].is_date != columns[high].is_date or is_complete.sum() < FEWEST_ROWS:
                continue
            n = min(len(shuffled[low]), len(shuffled[high]))
            by_chance = (shuffled[low][:n] > shuffled[high][:n]).mean()
            is_real = by_chance >= BROKEN_BY_CHANCE and by_chance * is_complete.sum() >= fewest
            # Equal columns are a sum.
            if is_real and (a[is_complete] < b[is_complete]).any():
                found.add((low, high))
        direct = {
            (low, high)
            for low, high in found
            if not any((low, middle) in found and (middle, high) in found for middle in numeric)
        }
        depth = {i: sum(high == i for _, high in found) for i in numeric}
        names = [encoder.name for encoder in rows.encoders]
        return [
            cls((high, low), (1.0, -1.0), 0.0, False, f"{names[high]} ≥ {names[low]}")
            for low, high in sorted(direct, key=lambda pair: (depth[pair[1]], pair))
        ]

    def residual(self, values: Numbers) -> Vector:
        """Return the sum, which must be at least 0."""
        return np.asarray(values @ np.array(self.factors) + self.constant)

    def is_off(self, values: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        return self._is_below(self.residual(values), ranges)

    def _is_below(self, residual: Vector, ranges: Sequence[NumberRange]) -> Mask:
        within = 0.0
        # Rounding plays no role for one column, and for two that are compared as they are.
        if len(self.columns) > 2 or (len(self.columns) == 2 and (self.constant or sum(self.factors))):
            largest = np.array([each.largest for each in ranges])
            within = EXACT * float(np.abs(self.factors) @ largest + abs(self.constant))
        return np.asarray(residual <= within if self.is_strict else residual < -within)

    def restore(self, rows: Rows) -> None:
        """Move one column of each wrong row to the other side of its limit, as far as it was off.

        Found orders never move reserved cells.
        """
        if rows.turn > 0 and rows.shift < 2:
            return
        (values, is_complete), columns = self.cells(rows.columns), list(self.columns)
        ranges = [rows.ranges[column] for column in columns]
        shift = rows.shift - 2 if self.is_declared else 0
        for is_fixed in (rows.is_reserved, rows.is_fixed)[: 1 + self.is_declared]:
            free = ~is_fixed[:, columns]
            for i in order_of_moves(ranges, shift=max(shift, 0)):
                wrong = np.flatnonzero(is_complete & free[:, i] & self.is_off(values, ranges))
                values[wrong, i] = self._moved(values[wrong], i, ranges)
        rows.put(columns, values)

    def _moved(self, values: Numbers, i: int, ranges: Sequence[NumberRange]) -> Vector:
        """Return numbers of column i with which wrong rows obey, or as near to that as its range allows."""
        sign, range_ = np.sign(self.factors[i]), ranges[i]
        others, mirrored = values.copy(), values.copy()
        others[:, i] = 0.0
        limit = -self.residual(others) / self.factors[i]
        mirrored[:, i] = range_.fitted(2 * limit - values[:, i])
        nearest = values.copy()
        nearest[:, i] = range_.encoder.bounded(limit, sign)
        beyond = np.nextafter(nearest[:, i], sign * np.inf)
        if range_.encoder.unit:
            beyond = range_.encoder.bounded(nearest[:, i] + 0.5 * sign * range_.encoder.unit, sign)
        nearest[:, i] = np.where(self.is_off(nearest, ranges), beyond, nearest[:, i])
        if not range_.can_be_left:
            nearest[:, i] = range_.fitted(nearest[:, i])
        return np.where(self.is_off(mirrored, ranges), nearest[:, i], mirrored[:, i])

    def excluded(self, low: Numbers, high: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        with np.errstate(invalid="ignore"):
            highest = np.maximum(low * np.array(self.factors), high * np.array(self.factors)).sum(axis=1)
        return self._is_below(highest + self.constant, ranges)

    def text(self, names: Sequence[Any]) -> str:
        return self.wording


@dataclass(frozen=True, repr=False)
class Ordered(Declared):
    """Columns in increasing order."""

    columns: tuple[Any, ...]
    strict: bool = False

    kind = "ordered"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names(self.columns, 2)
        _check_strict(self)

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        return [self._order(columns, low, high) for low, high in pairwise(self.columns)]

    def _order(self, columns: NamedColumns, low: Any, high: Any) -> Inequality:
        """Return the order of two columns of numbers or of dates. Dates of different types are compared in seconds."""
        wording = f"{low} {'<' if self.strict else '≤'} {high}"
        indices = columns.number(high), columns.number(low)
        types = columns.arrow_type(high), columns.arrow_type(low)
        are_dates = [kind_of(each) == "date" for each in types]
        if are_dates[0] != are_dates[1]:
            raise ValueError(f"rules: {wording} compares {types[1]} with {types[0]}: make both numbers or both dates")
        scales = [seconds_per_unit(each) if any(are_dates) else 1.0 for each in types]
        factors = (1.0, -1.0) if scales[0] == scales[1] else (scales[0], -scales[1])
        return Inequality(indices, factors, 0.0, self.strict, wording, is_declared=True)


def ordered(*columns: Any, strict: bool = False, on_violation: str = "refuse") -> Ordered:
    """Declare that numbers or dates increase from column to column, as in start ≤ end.

    Args:
        *columns: Names of two or more columns, the lowest first.
        strict: Whether they also differ.
        on_violation: "refuse", "drop" or "allow" training rows that break the rule.
    """
    return Ordered(columns, strict, on_violation=on_violation)


@dataclass(frozen=True, repr=False)
class Bounds(Declared):
    """A lowest and a highest value of a column."""

    column: Any
    low: Any = None
    high: Any = None
    strict: bool = False

    kind = "bounds"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names((self.column,))
        _check_strict(self)
        if self.low is None and self.high is None:
            raise ValueError("rules.bounds needs low, high or both")
        for name in ("low", "high"):
            value = getattr(self, name)
            if hasattr(value, "isoformat"):
                object.__setattr__(self, name, value.isoformat())
            elif value is not None and not isinstance(value, str | int | float):
                raise ValueError(f"rules.bounds: {name} must be a number, a date or a duration, not {value!r:.60}")

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        index, found = columns.number(self.column), list[Rule]()
        above, below = (">", "<") if self.strict else ("≥", "≤")
        for sign, comparison, end in ((1.0, above, self.low), (-1.0, below, self.high)):
            if end is not None:
                wording = f"{self.column} {comparison} {end}"
                value = float(condition_cells(self.column, [end], columns.arrow_type(self.column)).values[0])
                found.append(Inequality((index,), (sign,), -sign * value, self.strict, wording, is_declared=True))
        return found


def bounds(
    column: Any, low: Any = None, high: Any = None, *, strict: bool = False, on_violation: str = "refuse"
) -> Bounds:
    """Declare the lowest and the highest value of a column of numbers or dates.

    Args:
        column: Name of the column.
        low: Lowest value: a number, or a date, a time or a duration as text or as an object; None without a limit.
        high: Highest value.
        strict: Whether the limits themselves are excluded.
        on_violation: "refuse", "drop" or "allow" training rows that break the rule.
    """
    return Bounds(column, low, high, strict, on_violation=on_violation)


def positive(column: Any, *, on_violation: str = "refuse") -> Bounds:
    """Declare that a column of numbers is above 0; `bounds(column, low=0)` also allows 0.

    Args:
        column: Name of the column.
        on_violation: "refuse", "drop" or "allow" training rows that break the rule.
    """
    return Bounds(column, 0, strict=True, on_violation=on_violation)


def _check_strict(declared: Ordered | Bounds) -> None:
    if type(declared.strict) is not bool:
        raise ValueError(f"rules.{declared.kind}: strict must be true or false, not {declared.strict!r:.60}")
