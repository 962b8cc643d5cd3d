"""The models of related tables: what a row is conditioned on, in training and in sampling."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from pointillist.relational.features import SEPARATOR, Cells, Feature, Sequences, number_column, taken
from pointillist.relational.rows import RowDrawer
from pointillist.tables.layout import Layout
from pointillist.tables.schema import ForeignKey, Schema
from pointillist.tables.table import Column

MOST_ANCESTOR_FEATURES = 8
"""Largest number of columns of a grandparent's row that a row is conditioned on."""

COUNT, START, MIDDLE, IS_MISSING, STEP = "count", "start", "middle", "is missing", "step"

_DAY_IN_MICROSECONDS, _WEEK, _MONTHS = 86_400_000_000, 7, 12


@dataclass(frozen=True)
class Order:
    """The column that orders the rows of a parent. It is learned as a first value and steps.

    Attributes:
        unit: Divisor of all differences between values.
        last: Place of the highest value of the training rows.
        days: Number of days per unit, for dates; 0 for numbers.
    """

    column: str
    unit: float
    base: float
    last: float
    days: float = 0.0

    @classmethod
    def of(cls, column: str, cells: Column, *, is_day: bool) -> Self:
        """Makes the order of a column; `is_day` if the numbers of dates are days, not microseconds."""
        base = float(cells.values.min())
        differences = cells.values - base
        if (differences == np.round(differences)).all():
            unit = float(np.gcd.reduce(differences.astype(np.int64))) or 1.0
        else:
            unit = 1.0
        days = 0.0 if not cells.is_date else unit / (1 if is_day else _DAY_IN_MICROSECONDS)
        return cls(column, unit, base, float(differences.max() / unit), days)

    def places(self, cells: Column) -> Float[np.ndarray, " n"]:
        """Returns values as multiples of the unit from the base."""
        return (cells.values - self.base) / self.unit

    def cells(self, places: Float[np.ndarray, " n"]) -> Column:
        """Returns the values at some places."""
        return Column(self.base + places * self.unit, np.zeros(len(places), bool), is_date=self.days > 0)

    def context(self, places: Float[np.ndarray, " n"]) -> dict[str, Column]:
        """Returns the context of rows that follow a row at each place: the place and, for dates, weekday and month."""
        found = {f"previous{SEPARATOR}{self.column}": number_column(places)}
        if self.days and self.days <= 31:
            since_1970 = self.base / self.unit * self.days + places * self.days
            days = np.floor(since_1970).astype("datetime64[D]")
            months = days.astype("datetime64[M]").astype(int) % _MONTHS
            calendar = [("weekday", days.astype(int) % _WEEK, _WEEK), ("month", months, _MONTHS)]
            for name, values, n in calendar:
                categories = tuple(map(str, range(n)))
                found[f"{name}{SEPARATOR}{self.column}"] = Column(values, np.zeros(len(values), bool), categories)
        return found


@dataclass(frozen=True, eq=False)
class TableModel:
    """The fitted model of one table.

    Attributes:
        features: Columns that other rows are conditioned on.
        order: The order of rows with the same parent; None without one.
        targets: Features of the parent of each further foreign key, by the key's name.
    """

    name: str
    layout: Layout
    features: tuple[Feature, ...]
    order: Order | None
    targets: Mapping[str, tuple[Feature, ...]]
    n_rows: int
    drawer: RowDrawer


@dataclass
class Database:
    """Rows of related tables as features, real or drawn.

    Attributes:
        cells: Columns of each table: its features, and the counts and summaries of rows that refer to it.
        rows: Index of the parent's row, by name of the foreign key.
    """

    schema: Schema
    features: dict[str, tuple[Feature, ...]] = field(default_factory=dict)
    orders: dict[str, Order | None] = field(default_factory=dict)
    cells: dict[str, dict[str, Column]] = field(default_factory=dict)
    rows: dict[str, Int[np.ndarray, " n"]] = field(default_factory=dict)
    firsts: dict[str, ForeignKey | None] = field(default_factory=dict)

    def view(self, table: str) -> dict[str, Column]:
        """Returns what a child sees of each row of a table: its features, and some of its parent's."""
        found = {each.name: each.coded(self.cells[table][each.name]) for each in self.features[table]}
        key = self.firsts[table]
        if key is not None:
            for each in self.features[key.parent][:MOST_ANCESTOR_FEATURES]:
                coded = each.coded(self.cells[key.parent][each.name])
                found[f"parent{SEPARATOR}{each.name}"] = taken(coded, self.rows[key.name])
        return found

    def counts(self, key: ForeignKey) -> Int[np.ndarray, " p"]:
        """Number of rows that refer to each row of the parent."""
        cells = self.cells[key.parent][f"{key.name}{SEPARATOR}{COUNT}"]
        return np.where(cells.is_missing, 0, np.maximum(np.round(cells.values), 0)).astype(np.int64)

    def child_rows(self, table: str, key: ForeignKey) -> "ChildRows":
        """Returns the steps through the rows of a table, side by side for all parents."""
        names = [name for each in self.features[table] for name in each.summaries]
        summaries = {name: self.cells[key.parent][f"{key.name}{SEPARATOR}{name}"] for name in names}
        order, walk = self.orders[table], None
        if order is not None:
            start, middle = (self.cells[key.parent][f"{key.name}{SEPARATOR}{each}"] for each in (START, MIDDLE))
            walk = Walk(order, np.where(start.is_missing, 0.0, start.values), middle.values * self.counts(key))
        sequences = Sequences(self.features[table], summaries, self.counts(key), is_ordered=order is not None)
        parent = {f"parent{SEPARATOR}{name}": cells for name, cells in self.view(key.parent).items()}
        summaries = {f"total{SEPARATOR}{name}": cells for name, cells in summaries.items()}
        return ChildRows(sequences, parent | summaries, walk)


class Walk:
    """The places of the last rows of all parents in the order, and what is left of the sum of places."""

    def __init__(self, order: Order, places: Float[np.ndarray, " p"], sums: Float[np.ndarray, " p"]) -> None:
        self._order, self._places, self._left = order, places, sums
        self._n_here = np.zeros(len(places))

    def context(self, parents: Int[np.ndarray, " m"], n_left: Float[np.ndarray, " m"]) -> dict[str, Column]:
        """Returns the context of the next row of some parents, which have a number of rows left.

        It has the calendar, the number of rows at the last place, and how far the mean place of the rows that are left
        is from it.
        """
        places, name = self._places[parents], self._order.column
        found = self._order.context(places)
        found[f"here{SEPARATOR}{name}"] = number_column(self._n_here[parents])
        found[f"left{SEPARATOR}{MIDDLE}"] = number_column(self._left[parents] / n_left - places)
        return found

    def add(self, step: int, parents: Int[np.ndarray, " m"], cells: dict[str, Column]) -> None:
        """Moves on by the step of each parent's row, and adds the place to the row; the first row has no step."""
        name = f"{STEP}{SEPARATOR}{self._order.column}"
        if step == 0:
            cells[name] = number_column(np.zeros(len(parents)))
        moved = self._places[parents] + np.maximum(cells[name].values, 0.0)
        self._n_here[parents] = np.where(moved > self._places[parents], 1, self._n_here[parents] + 1)
        self._places[parents] = places = np.clip(moved, 0.0, self._order.last)
        self._left[parents] -= places
        cells[self._order.column] = self._order.cells(places)


@dataclass
class ChildRows:
    """Steps through the rows of all parents, side by side.

    Attributes:
        sequences: What is left of the summaries, and the previous rows.
        parents: Context that stays the same for all rows of a parent.
        walk: The places of the rows in their order; None without an order.
    """

    sequences: Sequences
    parents: Cells
    walk: Walk | None

    def steps(self) -> Iterator[tuple[int, Int[np.ndarray, " m"], dict[str, Column]]]:
        """Yields the index of each step, the parents that have such a row, and the context of the row."""
        for step, parents in enumerate(self.sequences.steps()):
            context = {name: cells.take(parents) for name, cells in self.parents.items()}
            context |= self.sequences.context(parents)
            if self.walk is not None:
                context |= self.walk.context(parents, context["left"].values)
            yield step, parents, context

    def add(self, step: int, parents: Int[np.ndarray, " m"], cells: dict[str, Column]) -> None:
        """Adds the row of each parent."""
        if self.walk is not None:
            self.walk.add(step, parents, cells)
        self.sequences.add(parents, cells)


def linked(
    key: ForeignKey, rows: Int[np.ndarray, " n"], features: tuple[Feature, ...], cells: Cells
) -> dict[str, Column]:
    """Returns whether a further foreign key is missing, and some columns of the rows to which it refers."""
    is_missing = Column((rows < 0).astype(int), np.zeros(len(rows), bool), ("no", "yes"))
    found = {f"{key.name}{SEPARATOR}{IS_MISSING}": is_missing}
    for each in features:
        found[f"{key.name}{SEPARATOR}{each.name}"] = taken(each.coded(cells[each.name]), rows)
    return found


def table_and_column(name: str, tables: tuple[str, ...]) -> tuple[str, str]:
    """Splits "table.column"; raises a ValueError if there is no such table."""
    for table in sorted(tables, key=len, reverse=True):
        if name.startswith(f"{table}."):
            return table, name[len(table) + 1 :]
    raise ValueError(f"{name!r} is not a column of a table: give 'TABLE.COLUMN', with a table of {', '.join(tables)}")
