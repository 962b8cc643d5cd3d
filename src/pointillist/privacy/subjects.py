"""Subjects for an audit of related tables: rows with all rows below them, described by cells and aggregates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pointillist.evaluation.related_tables import Keyed
from pointillist.foreign_text import listed
from pointillist.metrics.checks import Table as Columns
from pointillist.metrics.mixed_tables import count_rows
from pointillist.privacy.inputs import Side
from pointillist.relational.model import RelationalModel
from pointillist.tables.frames import aligned
from pointillist.tables.schema import ForeignKey, Schema


def tree_of(model: RelationalModel) -> Schema:
    """Return the table of subjects, which is first, and the tables below it, each with the key of its parent alone.

    Subjects are the rows of the table without a parent that has the most training rows below it.
    """
    schema, rows = model.schema, {each.name: each.n_rows for each in model.tables}
    below: dict[str, list[str]] = {root: [] for root in model.roots}
    for table in schema.tables:
        for root, found in below.items():
            # Parents come before their children.
            if table not in below and schema.foreign_keys[table][0].parent in (root, *found):
                found.append(table)
    subjects = max(below, key=lambda root: sum(rows[table] for table in below[root]))
    keys = {table: schema.foreign_keys[table][:1] for table in below[subjects]}
    return replace(schema, tables=(subjects, *below[subjects]), foreign_keys=keys)


def source_of(model: RelationalModel) -> str:
    """Return the table, or the column of one table, that has the subjects."""
    return f"table {tree_of(model).tables[0]!r}" if model.subjects is None else f"column {model.subjects.column!r}"


def described(tables: Mapping[str, Any], schema: Schema, tree: Schema) -> Columns:
    """Describe each subject of a `tree_of` tables by its cells and by aggregates of the rows below it.

    Aggregates are the number of rows, means and standard deviations of numbers, numbers of categories and the most
    frequent ones, and the first values of tables with an order. Of tables further below, means of the means, and so on.
    A ValueError in one line says if a key is not valid.
    """
    keyed = replace(Keyed.of(tables, schema), schema=tree)
    columns = dict(keyed.columns)
    for table in reversed(tree.tables):
        columns[table] = replace(keyed, columns=columns).aggregated(table)
        for key in tree.keys_to(table):
            columns[table] |= _details(keyed, key, count_rows(columns[table]))
    return columns[tree.tables[0]]


def _details(tables: Keyed, key: ForeignKey, n: int) -> Columns:
    """Return deviations, most frequent categories and, with an order, first values of the rows of each of n parents."""
    rows, columns, order = tables.rows[key.name], tables.columns[key.table], tables.schema.order.get(key.table)
    found: dict[str, np.ndarray] = {}
    first = np.full(n + 1, -1)  # the last place is for rows without a parent
    if order is not None:
        last_to_first = np.lexsort((columns[order], rows))[::-1]
        first[rows[last_to_first]] = last_to_first  # where indices repeat, the last assignment counts
    for name, values in columns.items():
        is_number = values.dtype != object
        is_there = (rows >= 0) & (~np.isnan(values) if is_number else np.array([each is not None for each in values]))
        here, present = rows[is_there], values[is_there]
        if is_number:
            counts = np.bincount(here, minlength=n)
            counts = np.where(counts > 0, counts, np.nan)
            means = np.bincount(here, present, n) / counts
            variances = np.bincount(here, (present - means[here]) ** 2, n) / counts
            found[f"{key.name} deviation of {name}"] = np.sqrt(variances)
        else:
            texts, codes = np.unique(present.astype(str), return_inverse=True)
            pairs, sizes = np.unique(here * max(1, len(texts)) + codes, return_counts=True)
            parents, codes = np.divmod(pairs[np.argsort(sizes, kind="stable")], max(1, len(texts)))
            frequent = found[f"{key.name} most frequent {name}"] = np.full(n, None, object)
            frequent[parents] = texts[codes]
        if order is not None:
            found[f"{key.name} first {name}"] = np.append(values, [np.nan if is_number else None])[first[:n]]
    return found


def subjects_of(model: RelationalModel, X: Any, name: str) -> Side:
    """Read tables, or the one table of subjects, for attacks that see no network; errors are those of `side_of`."""
    try:
        if isinstance(X, Mapping) != (model.subjects is None):
            tables = f"a dictionary of the tables {listed([*model.schema.tables])}"
            raise ValueError(f"give {tables if model.subjects is None else 'one table'}, not {type(X).__name__}")
        if model.subjects is not None:
            X = model.subjects.split(aligned(X, model.subjects.layout))
        columns = _columns(model, X)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    n = count_rows(columns)
    return Side(columns, np.empty((n, 0), np.float32), None, np.zeros(n, bool))


def drawn_subjects(model: RelationalModel, n: int, like: Columns, seed: int) -> Columns:
    """Draw tables with n subjects, as columns with the names and the order of the columns `like`."""
    rows = {each.name: each.n_rows for each in model.tables}
    scale = n / rows[tree_of(model).tables[0]]
    n_rows = {name: max(1, round(scale * count)) for name, count in rows.items()}
    columns = _columns(model, model.sample(n_rows, {}, {}, seed))
    return {name: columns[name] for name in like}


def _columns(model: RelationalModel, tables: Mapping[str, Any]) -> Columns:
    found = {}
    for each in model.tables:
        if each.name not in tables:
            raise ValueError(f"there is no table {each.name!r}: give {listed([*model.schema.tables])}")
        try:
            found[each.name] = aligned(tables[each.name], each.layout)
        except ValueError as error:
            raise ValueError(f"table {each.name!r}: {error}") from error
    return described(found, model.schema, tree_of(model))
