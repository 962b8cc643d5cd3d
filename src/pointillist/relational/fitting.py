"""Fits the models of related tables."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from pointillist.arguments import derived_seed, seed_of
from pointillist.columns.unlearned import separated
from pointillist.engine.devices import configure
from pointillist.lazy import pa
from pointillist.models.configuration import Configuration, changed_gaussian_only
from pointillist.relational.database import COUNT, IS_MISSING, MIDDLE, START, STEP, Database, Order, TableModel, linked
from pointillist.relational.features import MOST_CATEGORIES, SEPARATOR, Feature, arrow_of, summarized
from pointillist.relational.model import RelationalModel
from pointillist.relational.rows import RowDrawer, fit_rows
from pointillist.rules.related_tables import renamed, rules_by_table
from pointillist.tables.frames import table_of, with_columns
from pointillist.tables.layout import Layout
from pointillist.tables.schema import ForeignKey, Positions, Schema, read_frame
from pointillist.tables.subjects import Subjects
from pointillist.tables.table import Column, Table, number_column

MOST_TARGET_FEATURES = 6
"""Largest number of columns of the parent of a further foreign key by which rows are matched."""

CHANCE_OF_END = 1e-4
"""Largest probability that all rows with a value are last in their histories by chance."""

_CONSTANT = f"{SEPARATOR}constant"


class Frame(NamedTuple):
    """A table as it was given, and the columns that are learned: neither keys nor the order; the layout has both."""

    table: Table
    layout: Layout
    learned: tuple[str, ...]


def check_configuration(configuration: Configuration) -> None:
    """Raises a ValueError, in one line, about a parameter that models of related tables do not use."""
    if configuration.epsilon is not None:
        raise ValueError("epsilon covers single rows, and a subject has rows in several tables: leave epsilon out")
    unused = changed_gaussian_only(configuration)
    unused += ["missing"] if configuration.missing != "value" else []
    unused += ["max_minutes"] if configuration.max_minutes is not None else []
    if unused:
        raise ValueError(f"the models of related tables do not use {unused[0]}: leave it out")


def _frame(name: str, X: Any, table: Table, schema: Schema) -> Frame:
    """Finds the columns of a table that are learned; warns of the others."""
    keys, order = schema.key_columns(name), schema.order.get(name)
    learned = [column for column in table.names if column not in keys and column != order]
    for column in keys:
        cells = table.arrow.column(column)
        if pa.types.is_dictionary(cells.type):
            table = table.with_column(column, cells.cast(cells.type.value_type))
    candidates = table.select(learned).arrow.append_column(_CONSTANT, pa.array(np.zeros(len(table))))
    separate = separated(Table(candidates))
    for reason in separate.reasons.values():
        warnings.warn(f"table {name!r}: {reason}, so it is dropped", UserWarning, stacklevel=5)
    named = tuple(column for column in separate.X.names if column != _CONSTANT)
    kept = [column for column in table.names if column in (*named, *keys, order)]
    found = table_of(with_columns(X, kept))
    assert found is not None
    _, kind, headings = found
    return Frame(table, Layout.of(table.select(kept), kind, headings), named)


def fit_subjects(
    configuration: Configuration, X: Any, column: str, order: str | None, checkpoint: Path | None
) -> RelationalModel:
    """Fits models of the subjects that a column of a table names, and of their rows; see `fit_tables`."""
    table = read_frame("X", X)
    subjects = Subjects.of(X, table, column, order)
    configuration = replace(configuration, rules=[renamed(each, subjects.where) for each in configuration.rules or ()])
    model = fit_tables(configuration, subjects.split(table), subjects.schema(order), checkpoint)
    kept = {name for each in model.tables for name in each.layout.column_names}
    return replace(model, subjects=subjects.keeping(X, kept))


def fit_tables(
    configuration: Configuration, tables: Mapping[str, Any], schema: Schema, checkpoint: Path | None
) -> RelationalModel:
    """Fits a model of the rows of each table; `checkpoint` begins the names of the files of states of training.

    In the schema of the model, the key that decides the number of rows is first among the keys of each table. Raises a
    ValueError, in one line, if keys are not valid, or a column or a parameter cannot be used.
    """
    check_configuration(configuration)
    configure()
    plain = {name: read_frame(name, X) for name, X in tables.items()}
    positions = Positions.of(schema, plain)
    schema = positions.schema
    frames = {name: _frame(name, tables[name], plain[name], schema) for name in schema.tables}
    seed = seed_of(configuration.random_state)
    training = TrainingRows(schema, frames, positions, np.random.default_rng(seed))
    rules = rules_by_table(configuration.rules or (), plain, positions.rows, schema)
    for name in reversed(schema.tables):
        training.prepare(name)
    models = []
    for index, name in enumerate(schema.tables):
        table_seed = derived_seed(seed, index)
        state = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.{name}")
        of_table = replace(configuration, random_state=table_seed, rules=None)
        model = fit_rows(of_table, training.drawn(name), training.context(name), name, state)
        frame, database = frames[name], training.database
        others = database.features[name], database.orders.get(name), training.targets[name], training.ends(name)
        models.append(TableModel(name, frame.layout, *others, len(frame.table), RowDrawer(model)))
    return RelationalModel(schema, tuple(models), rules)


class TrainingRows:
    """The rows of related tables as features, with the rows of each parent and their context.

    Args:
        models: Fitted models, whose features and orders are used; empty in a fit, which finds them.
    """

    def __init__(
        self,
        schema: Schema,
        frames: Mapping[str, Frame],
        positions: Positions,
        rng: np.random.Generator,
        models: Sequence[TableModel] = (),
    ) -> None:
        self.schema, self.frames, self._rng, self._is_fit = schema, frames, rng, not models
        firsts = {name: positions.first(name) for name in schema.tables}
        self.database = Database.of(schema, models, firsts)
        self.database.rows |= positions.rows
        self.targets = {each.name: dict(each.targets) for each in models}
        self._sorted: dict[str, Int[np.ndarray, " n"]] = {}

    def prepare(self, name: str) -> None:
        """Computes the features of a table, and the summaries of its rows; tables that refer to it come first."""
        frame, database = self.frames[name], self.database
        key = database.firsts[name]
        database.cells[name] = cells = self._steps(name, key)
        cells |= {column: frame.table.column(column) for column in frame.learned}
        cells |= self._linked(name, key)
        if not cells:
            cells[_CONSTANT] = number_column(np.zeros(len(frame.table)))
        for other in self.schema.keys_to(name):
            rows = database.rows[other.name]
            count = np.bincount(rows[rows >= 0], minlength=len(frame.table)).astype(float)
            cells[f"{other.name}{SEPARATOR}{COUNT}"] = number_column(count)
        database.features.setdefault(name, Feature.all_of(cells))
        for other in self.schema.keys_to(name):
            if database.firsts[other.table] == other:
                cells |= self._summaries(other, len(frame.table))

    def _steps(self, name: str, key: ForeignKey | None) -> dict[str, Column]:
        """Sorts the rows of each parent, and returns the steps of the order column."""
        if key is None:
            return {}
        frame, parents = self.frames[name], self.database.rows[key.name]
        column = self.schema.order.get(name)
        if column is None:
            self._sorted[name] = np.lexsort((self._rng.random(len(parents)), parents))
            return {}
        cells = frame.table.column(column)
        is_day = pa.types.is_date32(frame.table.arrow.column(column).type)
        order = self.database.orders[name] = self.database.orders.get(name) or Order.of(column, cells, is_day=is_day)
        positions = order.positions(cells)
        rows = self._sorted[name] = np.lexsort((positions, parents))
        steps = np.diff(positions[rows], prepend=0.0)
        steps[np.diff(parents[rows], prepend=-1) != 0] = 0.0
        found = np.empty(len(rows))
        found[rows] = steps
        return {f"{STEP}{SEPARATOR}{column}": number_column(found)}

    def _linked(self, name: str, first: ForeignKey | None) -> dict[str, Column]:
        """Columns of the rows to which further foreign keys refer."""
        found: dict[str, Column] = {}
        targets = self.targets.setdefault(name, {})
        for key in self.schema.foreign_keys.get(name, ()):
            if key == first:
                continue
            parent = self.frames[key.parent]
            columns = {} if key.is_self else {column: parent.table.column(column) for column in parent.learned}
            some = Feature.all_of(columns)[:MOST_TARGET_FEATURES]
            found |= linked(key, self.database.rows[key.name], targets.setdefault(key.name, some), columns)
            if self._is_fit and (self.database.rows[key.name] >= 0).all():
                del found[f"{key.name}{SEPARATOR}{IS_MISSING}"]
        return found

    def _summaries(self, key: ForeignKey, n: int) -> dict[str, Column]:
        """Summaries of the rows of each row of a parent."""
        table, database = key.table, self.database
        parents = database.rows[key.name]
        found = summarized(database.features[table], database.cells[table], parents, n, all_rows=self._is_fit)
        order = database.orders.get(table)
        if order is not None:
            positions = order.positions(self.frames[table].table.column(order.column))
            start = np.full(n, np.inf)
            np.minimum.at(start, parents, positions)
            found[START] = number_column(np.where(np.isfinite(start), start, np.nan))
            with np.errstate(invalid="ignore"):
                found[MIDDLE] = number_column(np.bincount(parents, positions, n) / np.bincount(parents, minlength=n))
        return {f"{key.name}{SEPARATOR}{name}": cells for name, cells in found.items()}

    def ends(self, name: str) -> dict[str, tuple[Any, ...]]:
        """Values that only the last row of a parent has, by column of an ordered table.

        A value counts if its rows would all be last with a probability of at most `CHANCE_OF_END`, were it anywhere in
        the rows of its parents.
        """
        key, database = self.database.firsts[name], self.database
        if key is None or name not in database.orders:
            return {}
        rows = self._sorted[name]
        parents = database.rows[key.name][rows]
        is_last = np.diff(parents, append=-1) != 0
        log_chance = -np.log(np.bincount(parents)[parents])
        found = {}
        for feature in database.features[name]:
            cells = database.cells[name][feature.name].take(rows)
            values, codes = np.unique(cells.or_nan, return_inverse=True)
            if feature.name not in self.frames[name].learned or len(values) > MOST_CATEGORIES:
                continue
            is_end = np.bincount(codes, ~is_last) == 0
            is_end &= (np.bincount(codes, log_chance) <= np.log(CHANCE_OF_END)) & ~np.isnan(values)
            if is_end.any():
                known = cells.categories
                ends = values[is_end].tolist()
                found[feature.name] = tuple(ends if known is None else (known[int(value)] for value in ends))
        return found

    def drawn(self, name: str) -> "pa.Table":
        """The columns of a table that its model draws: in their types, and the others as numbers or text."""
        cells, frame = self.database.cells[name], self.frames[name]
        others = arrow_of({column: each for column, each in cells.items() if column not in frame.learned})
        columns = [(frame.table.arrow if column in frame.learned else others).column(column) for column in cells]
        return pa.table(columns, names=[*cells])

    def context(self, name: str) -> dict[str, Column]:
        """The columns that the rows of a table are given."""
        key = self.database.firsts[name]
        if key is None:
            return {}
        rows, parents = self._sorted[name], self.database.rows[key.name]
        firsts = np.searchsorted(parents[rows], np.arange(len(self.frames[key.parent].table)))
        children = self.database.child_rows(name, key)
        found: dict[str, Column] = {}
        for step, of, context in children.steps():
            here = rows[firsts[of] + step]
            for column, cells in context.items():
                if column not in found:
                    found[column] = Column(np.zeros(len(rows)), np.ones(len(rows), bool), cells.categories)
                found[column].values[here] = cells.values
                found[column].is_missing[here] = cells.is_missing
            features = self.database.features[name]
            children.add(step, of, {each.name: self.database.cells[name][each.name].take(here) for each in features})
        return {column: cells for column, cells in found.items() if not cells.is_missing.all()}
