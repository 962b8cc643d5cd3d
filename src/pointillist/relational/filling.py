"""Fills missing cells of related tables, given the other cells of the row and the rows that belong to it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pointillist.arguments import derived_seed
from pointillist.relational.features import SEPARATOR
from pointillist.relational.fitting import Frame, TrainingRows
from pointillist.relational.model import RelationalModel
from pointillist.tables.frames import aligned
from pointillist.tables.schema import Positions


def filled_tables(model: RelationalModel, tables: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Returns tables whose missing cells are drawn, in the containers of the training tables.

    A cell is drawn given the other cells of its row, the row of its parent, the previous row, and summaries of the rows
    of its parent and below it, as far as these cells are known. Missing foreign keys stay missing. Raises a ValueError
    in one line if a table or a key cannot be used. Drawn cells obey the declared rules, as far as known cells allow.
    """
    for name in model.schema.tables:
        if name not in tables:
            raise ValueError(f"X has no table {name!r}: give all tables of fit")
    plain = {each.name: aligned(tables[each.name], each.layout) for each in model.tables}
    models = {each.name: each for each in model.tables}
    frames = {}
    for name, table in plain.items():
        known = {*models[name].drawer.names}
        frames[name] = Frame(table, models[name].layout, tuple(column for column in table.names if column in known))
    positions, rng = Positions.of(model.schema, plain), np.random.default_rng(seed)
    rows = TrainingRows(model.schema, frames, positions, rng, model.tables)
    rows.database.firsts = model.first_keys
    for key in rows.database.firsts.values():
        if key is not None and (rows.database.rows[key.name] < 0).any():
            raise ValueError(f"foreign key {key.name} has missing cells: fill them, or drop these rows")
    for name in reversed(model.schema.tables):
        rows.prepare(name)
    found = {}
    for index, name in enumerate(model.schema.tables):
        drawer, cells, table = models[name].drawer, rows.database.cells[name], plain[name]
        given = dict(zip(table.names, table.cells, strict=True))
        is_hidden = {column: cells[column].is_missing for column in frames[name].learned}
        for key in model.schema.keys_to(name):
            if rows.database.firsts[key.table] == key:
                # Summaries of rows all of whose cells are missing.
                summaries = [f"{key.name}{SEPARATOR}{each}" for f in models[key.table].features for each in f.summaries]
                has_rows = rows.database.counts(key) > 0
                is_hidden |= {each: cells[each].is_missing & has_rows for each in summaries if each in drawer.names}
        table_seed = derived_seed(seed, index)
        cells |= given | drawer.filled(cells, rows.context(name), is_hidden, table_seed)
        if name in model.rules:
            fixed = {column: ~each.is_missing for column, each in given.items()}
            model.rules[name].restore(rows.database.cells, rows.database.rows, model.schema, fixed)
        complete = frames[name].layout.filled(table, tuple(cells[column] for column in table.names))
        found[name] = frames[name].layout.restore(complete)
    return found
