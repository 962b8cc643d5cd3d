"""Draws related tables: parents first, then the rows of all parents side by side."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int
from scipy.special import ndtri

from pointillist.arguments import derived_seed
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.normal_scores import nearest_index
from pointillist.lazy import pa
from pointillist.models.conditioning import observed_column, split
from pointillist.models.request import Request
from pointillist.queries.consistency import with_rows
from pointillist.relational.database import COUNT, IS_MISSING, MIDDLE, Database, TableModel, linked
from pointillist.relational.features import SEPARATOR, Cells, moved_positions, moved_to_means, summarized
from pointillist.relational.matching import coordinates, earlier_rows, fitted_counts, matched, without_repeats
from pointillist.relational.rows import CHUNK_ROWS, FEW_ROWS
from pointillist.tables.frames import aligned
from pointillist.tables.schema import ForeignKey, Positions
from pointillist.tables.table import Column, kind_of

if TYPE_CHECKING:
    from pointillist.relational.model import RelationalModel

MOST_KEPT_LEVELS = 12
"""Largest number of values of a number, like a weekday, that is kept as it was drawn."""

ROWS_PER_PART = 100_000
"""Number of rows, about, of tables that are drawn together."""

_MOST_TURNS = 10
"""Number of times that a row is drawn again if it ends a history too early."""


class Sampler:
    """Draws the rows of all tables, under conditions by "table.column" or given real rows of tables without a parent.

    Raises a ValueError, in one line, if a condition or a given table cannot be used.
    """

    def __init__(self, model: "RelationalModel", where: Mapping[str, Any], given: Mapping[str, Any], seed: int) -> None:
        schema = self._schema = model.schema
        self._models, self._rules = {each.name: each for each in model.tables}, model.rules
        self._given, self._seed, self._part = given, seed, 0
        self._n_drawn = dict.fromkeys(schema.tables, 0)
        self._where: dict[str, dict[str, Any]] = {}
        for condition, value in where.items():
            table, column = schema.table_and_column(condition)
            self._where.setdefault(table, {})[column] = value
        firsts = model.first_keys
        self._database = Database.of(schema, model.tables, firsts)
        for name in given:
            if name not in self._models:
                raise ValueError(f"given names table {name!r}: the tables are {', '.join(schema.tables)}")
            if firsts[name] is not None:
                raise ValueError(f"given takes tables without a parent, and {name!r} has one: give its parent only")
            if name in self._where:
                raise ValueError(f"where and given both set table {name!r}: leave one of them out")
            for key in schema.foreign_keys.get(name, ()):
                if key.parent not in given:
                    raise ValueError(f"given table {name!r} refers to {key.parent!r} by {key.name}: give both")
        self._tables = {name: aligned(X, self._models[name].layout) for name, X in given.items()}
        self._database.rows |= Positions.of(schema.part(given), self._tables).rows

    def parts(self, n_rows: Mapping[str, int]) -> Iterator[dict[str, "pa.Table"]]:
        """Draws all tables but the given ones, in parts whose sizes depend on the training rows alone.

        A part has some rows of a table without a parent, with all rows below them. Children of given tables, and tables
        to which other such groups refer, are in the first part with all of their rows. `n_rows` has the number of rows
        of each table without a parent.
        """
        keys: dict[str, dict[str, Column]] = {}
        groups, firsts = self._groups(), self._database.firsts
        further = [key for each in self._schema.foreign_keys.values() for key in each if key != firsts[key.table]]
        targets = {key.parent for key in further if not key.is_self}
        whole = {root for root, names in groups.items() if root in self._given or targets & {*names}}
        together = [name for name in self._schema.tables if any(name in groups[root] for root in whole)]
        if together:
            drawn = {name: self._table(name, n_rows.get(name, 0), keys) for name in together}
            yield {name: table for name, table in drawn.items() if table is not None}
        for root in [root for root in groups if root not in whole]:
            all_rows = sum(self._models[name].n_rows for name in groups[root])
            size = max(1, ROWS_PER_PART * self._models[root].n_rows // max(1, all_rows))
            for first in range(0, n_rows[root], size):
                self._part += 1
                n = min(size, n_rows[root] - first)
                yield {name: self._table(name, n, keys) for name in groups[root]}

    def _groups(self) -> dict[str, list[str]]:
        """The tables below each table without a parent, with itself, by its name."""
        root_of: dict[str, str] = {}
        groups: dict[str, list[str]] = {}
        for name in self._schema.tables:
            key = self._database.firsts[name]
            root_of[name] = name if key is None else root_of[key.parent]
            groups.setdefault(root_of[name], []).append(name)
        return groups

    def _table(self, name: str, n: int, keys: dict[str, dict[str, Column]]) -> "pa.Table | None":
        """Draws the rows of a table, with n rows if it has no parent, and adds its keys; None for a given table."""
        model, key = self._models[name], self._database.firsts[name]
        if name in self._given:
            self._read(name)
        else:
            self._database.cells[name] = self._roots(model, n) if key is None else self._children(model, key)
            self._match(model)
            if name in self._rules:
                cells, fixed = self._database.cells, dict.fromkeys(self._where.get(name, ()), True)
                self._rules[name].restore(cells, self._database.rows, self._schema, fixed)
        keys[name] = self._keys(name, keys)
        if name in self._given:
            return None
        drawn = self._database.cells[name] | keys[name]
        self._n_drawn[name] += len(next(iter(drawn.values())).values)
        return model.layout.table(tuple(drawn[column] for column in model.layout.column_names))

    def _seed_of(self, *parts: int | str) -> int:
        entropy = [self._seed, self._part, *(self._schema.tables.index(p) if isinstance(p, str) else p for p in parts)]
        return derived_seed(*entropy)

    def _roots(self, model: TableModel, n: int) -> dict[str, Column]:
        where, seed = dict(self._where.get(model.name, {})), self._seed_of(model.name)
        for name, implied in self._implied(model).items():
            where[name] = float(np.clip(implied.values[0], *model.drawer.encoder(name).ends))
        if where:
            return model.drawer.draw_where(where, n, seed)
        cells = model.drawer.draw({}, n, seed)
        rng = np.random.default_rng(seed)
        for key in self._schema.keys_to(model.name):
            name = f"{key.name}{SEPARATOR}{COUNT}"
            cells[name] = at_quantiles(model.drawer.encoder(name), cells[name], rng)
        return cells

    def _read(self, name: str) -> None:
        """Reads the rows of a given table, and draws how many rows refer to each, and their summaries."""
        model, table = self._models[name], self._tables[name]
        cells = {column: table.column(column) for column in table.names}
        for key in self._schema.foreign_keys.get(name, ()):
            targets = self._database.cells.get(key.parent, {})
            cells |= linked(key, self._database.rows[key.name], model.targets[key.name], targets)
        observed = {column: each for column, each in cells.items() if column in model.drawer.names}
        self._database.cells[name] = cells | model.drawer.draw(observed, len(table), self._seed_of(name))

    def _children(self, model: TableModel, key: ForeignKey) -> dict[str, Column]:
        fixed = self._implied(model) | self._fixed(model)
        if self._schema.is_link(model.name):
            most = math.prod(len(self._database.counts(each)) for each in self._schema.foreign_keys[model.name][1:])
            cells, name = self._database.cells[key.parent], f"{key.name}{SEPARATOR}{COUNT}"
            cells[name] = replace(cells[name], values=np.minimum(cells[name].values, most))
        counts, children = self._database.counts(key), self._database.child_rows(model.name, key)
        if counts.sum() < CHUNK_ROWS // 2 * counts.max(initial=0):
            model = replace(model, drawer=replace(model.drawer, chunk_rows=FEW_ROWS))
        parts: list[dict[str, Column]] = []
        parents: list[np.ndarray] = []
        for step, of, context in children.steps():
            observed = context | {name: cells.looked_up(np.zeros(len(of), int)) for name, cells in fixed.items()}
            known = {name: cells for name, cells in observed.items() if model.drawer.knows(name)}
            cells = model.drawer.draw(known, len(of), self._seed_of(model.name, step))
            if not model.ends.keys() & fixed.keys():
                cells = self._not_ended(model, cells, known, context["left"].values > 1, step)
            children.add(step, of, cells)
            parts.append(cells)
            parents.append(of)
        if not parts:
            self._database.rows[key.name] = np.empty(0, np.int64)
            empty = model.drawer.draw({}, 0, 0)
            if model.order is not None:
                empty[model.order.column] = model.order.cells(np.empty(0))
            return empty
        order = np.argsort(np.concatenate(parents), kind="stable")
        rows = np.concatenate(parents)[order]
        found = {name: Column.joined([part[name] for part in parts]).take(order) for name in parts[0]}
        is_kept = ~follows_end(model.is_end(found), rows)
        rows = self._database.rows[key.name] = rows[is_kept]
        found = {name: cells.take(is_kept) for name, cells in found.items()}
        if model.order is not None:
            middle = self._database.cells[key.parent][f"{key.name}{SEPARATOR}{MIDDLE}"]
            positions = moved_positions(model.order.positions(found[model.order.column]), rows, middle.or_nan)
            found[model.order.column] = model.order.cells(positions)
        return found | {
            each.name: self._centered(model.drawer.encoder(each.name), found[each.name], key, rows)
            for each in model.features
            if each.categories is None and each.name not in fixed
        }

    def _not_ended(
        self, model: TableModel, cells: dict[str, Column], known: Cells, has_next: Bool[np.ndarray, " n"], step: int
    ) -> dict[str, Column]:
        """Draws rows again that end a history although another row follows."""
        for turn in range(1, _MOST_TURNS + 1):
            wrong = np.flatnonzero(model.is_end(cells) & has_next)
            if not len(wrong):
                break
            some = {name: each.take(wrong) for name, each in known.items()}
            again = model.drawer.draw(some, len(wrong), self._seed_of(model.name, step, turn))
            cells = {name: with_rows(each, again[name], wrong) for name, each in cells.items()}
        return cells

    def _centered(self, encoder: ColumnEncoder, cells: Column, key: ForeignKey, rows: np.ndarray) -> Column:
        """Moves the numbers of each parent to the mean that its row has; weekdays and other few numbers are kept."""
        mean = self._database.cells[key.parent].get(f"{key.name}{SEPARATOR}mean of {encoder.name}")
        levels, is_there = encoder.classes(), ~cells.is_missing
        if mean is None or (levels is not None and len(levels) <= MOST_KEPT_LEVELS):
            return cells
        values = cells.values.astype(float)
        is_free = np.isin(values[is_there], () if levels is not None else encoder.atoms, invert=True)
        moved = moved_to_means(values[is_there], rows[is_there], mean.or_nan, is_free, encoder.ends)
        values[is_there] = encoder.rounded(moved) if levels is None else levels[nearest_index(levels, moved)]
        return replace(cells, values=values)

    def _implied(self, model: TableModel) -> dict[str, Column]:
        """Summaries of children that follow from the conditions on their table."""
        found: dict[str, Column] = {}
        for key in self._schema.keys_to(model.name):
            child = self._models[key.table]
            if self._database.firsts[key.table] == key:
                fixed = self._fixed(child)
                features = [each for each in child.features if each.name in fixed]
                summaries = summarized(features, fixed, np.zeros(1, np.int64), 1)
                found |= {f"{key.name}{SEPARATOR}{name}": cells for name, cells in summaries.items()}
        return {name: cells for name, cells in found.items() if not cells.is_missing[0] and model.drawer.knows(name)}

    def _fixed(self, model: TableModel) -> dict[str, Column]:
        values, conditions = split(Request(where=self._where.get(model.name)).where or {})
        if conditions:
            name = next(iter(conditions))
            raise ValueError(
                f"where takes single values of tables with a parent, and {model.name}.{name} is {conditions[name]}: "
                "give one value"
            )
        codec = model.drawer.model.codec
        found = {name: observed_column(codec, name, value, None) for name, value in values.items()}
        for name, cells in found.items():
            if len(cells.values) != 1 or name not in model.drawer.names:
                raise ValueError(f"where takes one value of {model.name}.{name}, a column that is no key and no order")
        return found

    def _match(self, model: TableModel) -> None:
        """Chooses the rows to which further foreign keys refer."""
        database, first = self._database, self._database.firsts[model.name]
        cells = database.cells[model.name]
        n = len(next(iter(cells.values())).values)
        rng = np.random.default_rng(self._seed_of(model.name, 1 << 20))
        for key in self._schema.foreign_keys.get(model.name, ()):
            if key == first:
                continue
            missing = cells.get(f"{key.name}{SEPARATOR}{IS_MISSING}")
            is_missing = np.zeros(n, bool) if missing is None else _is_yes(missing)
            wanted = database.counts(key).astype(float)
            if key.is_self:
                database.rows[key.name] = earlier_rows(is_missing, wanted, rng)
                continue
            features, present = model.targets[key.name], np.flatnonzero(~is_missing)
            if not len(wanted):
                raise ValueError(f"no row of {key.parent!r} was drawn, to which {key.name} could refer: raise scale")
            targets = database.cells[key.parent]
            of_rows = {each.name: cells[f"{key.name}{SEPARATOR}{each.name}"].take(present) for each in features}
            scales = {each.name: targets[each.name] for each in features}
            counts = fitted_counts(wanted, len(present), rng)
            points = coordinates(features, of_rows, scales, len(present))
            rows = np.full(n, -1)
            rows[present] = matched(points, coordinates(features, scales, scales, len(wanted)), counts, rng)
            database.rows[key.name] = rows
        if self._schema.is_link(model.name):
            parent, *further = self._schema.foreign_keys[model.name]
            shape = [len(database.counts(key)) for key in further]
            codes = np.ravel_multi_index([database.rows[key.name] for key in further], shape)
            codes = without_repeats(codes, database.rows[parent.name], math.prod(shape), rng)
            database.rows |= zip((key.name for key in further), np.unravel_index(codes, shape), strict=True)

    def _keys(self, name: str, keys: Mapping[str, Mapping[str, Column]]) -> dict[str, Column]:
        schema, model, cells = self._schema, self._models[name], self._database.cells[name]
        first = self._database.firsts[name]
        n = len(next(iter(cells.values())).values)
        found: dict[str, Column] = {}
        foreign = schema.foreign_keys.get(name, ())
        for key in [key for key in foreign if not key.is_self]:
            for column, primary in zip(key.columns, schema.primary_keys[key.parent], strict=True):
                if column not in found:
                    found[column] = keys[key.parent][primary].looked_up(self._database.rows[key.name])
        for column in schema.primary_keys.get(name, ()):
            if name in self._given or (model.order is not None and column == model.order.column):
                found[column] = cells[column]
            elif column not in found:
                numbers = np.arange(n) + self._n_drawn[name]
                if first is not None and any(each in found for each in schema.primary_keys[name]):
                    rows = self._database.rows[first.name]
                    numbers = np.arange(n) - np.searchsorted(rows, rows)
                found[column] = _numbered(numbers + 1, kind_of(model.layout.type_of(column)))
        for key in [key for key in foreign if key.is_self]:
            for column, primary in zip(key.columns, schema.primary_keys[name], strict=True):
                found[column] = found[primary].looked_up(self._database.rows[key.name])
        return found


def at_quantiles(encoder: ColumnEncoder, cells: Column, rng: np.random.Generator) -> Column:
    """Moves numbers to random quantiles of the training rows, one in each n-th of them, in the order of the numbers.

    The distribution of a few drawn numbers of children is then as near as possible to that of the training rows.
    Numbers stay as they are in a column with both single values and a continuous distribution.
    """
    n = len(cells.values)
    rank = np.empty(n)
    rank[np.lexsort((rng.random(n), cells.values))] = np.arange(n)
    fraction = (rank + rng.random(n)) / n
    if encoder.scores is None:
        levels = np.cumsum(encoder.counts) / encoder.counts.sum()
        return replace(cells, values=encoder.atoms[np.searchsorted(levels, fraction)])
    return cells if len(encoder.atoms) else replace(cells, values=np.round(encoder.scores.decode(ndtri(fraction))))


def follows_end(is_end: Bool[np.ndarray, " n"], parents: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Whether a row of the same parent before each row ends the history; rows are in the order of their parents."""
    before = np.cumsum(is_end) - is_end
    return before > before[np.searchsorted(parents, parents)]


def _numbered(numbers: Int[np.ndarray, " n"], kind: str) -> Column:
    is_missing = np.zeros(len(numbers), bool)
    if kind != "category":
        return Column(numbers.astype(float), is_missing)
    values, index = np.unique(numbers, return_inverse=True)
    return Column(index, is_missing, tuple(map(str, values.tolist())))


def _is_yes(cells: Column) -> np.ndarray:
    return np.array([each == "yes" for each in cells.categories or ()] or [False])[cells.values.astype(np.int64)]
