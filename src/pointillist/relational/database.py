"""The models of related tables: what a row is conditioned on, in training and in sampling."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.relational.features import SEPARATOR, Cells, Feature
from pointillist.relational.rows import RowDrawer
from pointillist.tables.layout import Layout
from pointillist.tables.schema import ForeignKey, Schema
from pointillist.tables.table import Column, number_column

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
        is_whole = (differences == np.round(differences)).all()
        unit = float(np.gcd.reduce(differences.astype(np.int64)) if is_whole else 0) or 1.0
        days = 0.0 if not cells.is_date else unit / (1 if is_day else _DAY_IN_MICROSECONDS)
        return cls(column, unit, base, float(differences.max() / unit), days)

    def positions(self, cells: Column) -> Float[np.ndarray, " n"]:
        """Returns values as multiples of the unit from the base."""
        return (cells.values - self.base) / self.unit

    def cells(self, positions: Float[np.ndarray, " n"]) -> Column:
        """Returns the values at some positions."""
        return Column(self.base + positions * self.unit, np.zeros(len(positions), bool), is_date=self.days > 0)

    def context(self, positions: Float[np.ndarray, " n"]) -> dict[str, Column]:
        """Returns the context of rows after a row at each position: the position and, for dates, weekday and month."""
        found = {f"previous{SEPARATOR}{self.column}": number_column(positions)}
        if self.days and self.days <= 31:
            since_1970 = self.base / self.unit * self.days + positions * self.days
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
        ends: Values that only the last row of a parent has, by column: nothing follows a death.
    """

    name: str
    layout: Layout
    features: tuple[Feature, ...]
    order: Order | None
    targets: Mapping[str, tuple[Feature, ...]]
    ends: Mapping[str, tuple[Any, ...]]
    n_rows: int
    drawer: RowDrawer

    def is_end(self, cells: Cells) -> Bool[np.ndarray, " n"]:
        """Whether each row has a value after which no row follows."""
        masks = [np.zeros(len(next(iter(cells.values())).values), bool)]
        for name, values in self.ends.items():
            known = cells[name].categories
            wanted = values if known is None else [i for i, each in enumerate(known) if each in values]
            masks.append(np.isin(cells[name].values, wanted) & ~cells[name].is_missing)
        return np.any(masks, axis=0)


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

    @classmethod
    def of(cls, schema: Schema, models: Sequence[TableModel], firsts: dict[str, ForeignKey | None]) -> Self:
        """Makes a database without rows, with the features and orders of some models."""
        features, orders = {each.name: each.features for each in models}, {each.name: each.order for each in models}
        return cls(schema, features, orders, firsts=firsts)

    def view(self, table: str) -> dict[str, Column]:
        """Returns what a child sees of each row of a table: its features, and some of its parent's."""
        found = {each.name: each.coded(self.cells[table][each.name]) for each in self.features[table]}
        key = self.firsts[table]
        if key is not None:
            for each in self.features[key.parent][:MOST_ANCESTOR_FEATURES]:
                coded = each.coded(self.cells[key.parent][each.name])
                found[f"parent{SEPARATOR}{each.name}"] = coded.looked_up(self.rows[key.name])
        return found

    def counts(self, key: ForeignKey) -> Int[np.ndarray, " p"]:
        """Number of rows that refer to each row of the parent."""
        cells = self.cells[key.parent][f"{key.name}{SEPARATOR}{COUNT}"]
        return np.where(cells.is_missing, 0, np.maximum(np.round(cells.values), 0)).astype(np.int64)

    def child_rows(self, table: str, key: ForeignKey) -> "ChildRows":
        """Returns the steps through the rows of a table, side by side for all parents."""
        names = [name for each in self.features[table] for name in each.summaries]
        summaries = {name: self.cells[key.parent][f"{key.name}{SEPARATOR}{name}"] for name in names}
        order, walk = self.orders.get(table), None
        if order is not None:
            start, middle = (self.cells[key.parent][f"{key.name}{SEPARATOR}{each}"] for each in (START, MIDDLE))
            walk = Walk(order, np.where(start.is_missing, 0.0, start.values), middle.values * self.counts(key))
        parent = {f"parent{SEPARATOR}{name}": cells for name, cells in self.view(key.parent).items()}
        totals = {f"total{SEPARATOR}{name}": cells for name, cells in summaries.items()}
        return ChildRows(self.features[table], summaries, self.counts(key), parent | totals, walk)


class Walk:
    """The positions of the last rows of all parents in the order, and what is left of the sum of positions."""

    def __init__(self, order: Order, positions: Float[np.ndarray, " p"], sums: Float[np.ndarray, " p"]) -> None:
        self._order, self._positions, self._left = order, positions, sums
        self._n_here = np.zeros(len(positions))

    def context(self, parents: Int[np.ndarray, " m"], n_left: Float[np.ndarray, " m"]) -> dict[str, Column]:
        """Returns the context of the next row of some parents, which have a number of rows left.

        It has the calendar, the number of rows at the last position, and the distance from it to the mean position of
        the rows that are left.
        """
        positions, name = self._positions[parents], self._order.column
        found = self._order.context(positions)
        found[f"here{SEPARATOR}{name}"] = number_column(self._n_here[parents])
        found[f"left{SEPARATOR}{MIDDLE}"] = number_column(self._left[parents] / n_left - positions)
        return found

    def add(self, step: int, parents: Int[np.ndarray, " m"], cells: dict[str, Column]) -> None:
        """Moves on by the step of each parent's row, and adds the position to the row; the first row has no step."""
        name = f"{STEP}{SEPARATOR}{self._order.column}"
        if step == 0:
            cells[name] = number_column(np.zeros(len(parents)))
        moved = self._positions[parents] + np.maximum(cells[name].values, 0.0)
        self._n_here[parents] = np.where(moved > self._positions[parents], 1, self._n_here[parents] + 1)
        self._positions[parents] = positions = np.clip(moved, 0.0, self._order.last)
        self._left[parents] -= positions
        cells[self._order.column] = self._order.cells(positions)


class ChildRows:
    """The rows of all parents, drawn or read side by side, step by step.

    The context of a row is the context that all rows of its parent share, its index, the number of rows that are left,
    and, for each feature, what is left of the sum over the rows of its parent, divided by that number. So the rows of a
    parent agree with the summaries that its row has. In ordered tables, the context includes the previous row and the
    position in the order.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        summaries: Cells,
        counts: Int[np.ndarray, " p"],
        shared: Cells,
        walk: Walk | None,
    ) -> None:
        self._features, self._counts, self._shared, self._walk = features, counts, shared, walk
        self._summaries = {name: cells.or_nan for name, cells in summaries.items()}
        self._left = {
            name: values * counts if name.startswith(("mean", "fraction")) else values.copy()
            for name, values in self._summaries.items()
            if not name.startswith("deviation")
        }
        self._seen = {
            feature.name: np.zeros((len(counts), len(feature.categories)), bool)
            for feature in features
            if feature.categories is not None
        }
        self._previous = {
            feature.name: Column(np.zeros(len(counts)), np.ones(len(counts), bool), feature.categories)
            for feature in features
        }

    def steps(self) -> Iterator[tuple[int, Int[np.ndarray, " m"], dict[str, Column]]]:
        """Yields the index of each step, the parents that have such a row, and the context of the row."""
        # Parents with many rows come first, so that each step is a prefix.
        order = np.argsort(-self._counts, kind="stable")
        for step in range(self._counts.max(initial=0)):
            parents = order[: np.searchsorted(-self._counts[order], -step, side="left")]
            yield step, parents, self._context(step, parents)

    def _context(self, step: int, parents: Int[np.ndarray, " m"]) -> dict[str, Column]:
        n_left = (self._counts[parents] - step).astype(float)
        found = {name: cells.take(parents) for name, cells in self._shared.items()}
        found |= {"index": number_column(np.full(len(parents), float(step))), "left": number_column(n_left)}
        for name, left in self._left.items():
            scale = n_left if name.startswith(("mean", "fraction")) else 1
            found[f"left{SEPARATOR}{name}"] = number_column(left[parents] / scale)
        if self._walk is not None:
            for name, cells in self._previous.items():
                found[f"previous{SEPARATOR}{name}"] = cells.take(parents)
            found |= self._walk.context(parents, n_left)
        return found

    def add(self, step: int, parents: Int[np.ndarray, " m"], cells: dict[str, Column]) -> None:
        """Adds the row of each parent."""
        if self._walk is not None:
            self._walk.add(step, parents, cells)
        for feature in self._features:
            coded = feature.coded(cells[feature.name])
            previous = self._previous[feature.name]
            previous.values[parents], previous.is_missing[parents] = coded.values, coded.is_missing
            if feature.categories is None:
                name = f"mean of {feature.name}"
                # A missing number counts as the mean.
                values = np.where(coded.is_missing, self._summaries[name][parents], coded.values)
                self._left[name][parents] -= values
                continue
            for i in feature.common:
                name = f"fraction of {feature.name} {feature.categories[i]}"
                self._left[name][parents] -= ~coded.is_missing & (coded.values == i)
            seen, values = self._seen[feature.name], coded.values.astype(np.int64)
            is_new = ~coded.is_missing & ~seen[parents, values] if seen.shape[1] else coded.is_missing & False
            self._left[f"number of {feature.name}"][parents] -= is_new
            seen[parents[is_new], values[is_new]] = True


def linked(
    key: ForeignKey, rows: Int[np.ndarray, " n"], features: tuple[Feature, ...], cells: Cells
) -> dict[str, Column]:
    """Returns whether a further foreign key is missing, and some columns of the rows to which it refers."""
    is_missing = Column((rows < 0).astype(int), np.zeros(len(rows), bool), ("no", "yes"))
    found = {f"{key.name}{SEPARATOR}{IS_MISSING}": is_missing}
    for each in features:
        found[f"{key.name}{SEPARATOR}{each.name}"] = each.coded(cells[each.name]).looked_up(rows)
    return found
