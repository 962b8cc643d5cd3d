"""Hostile stores: of other rows, of other tables, or of other bytes."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from pointillist.study.store import Store
from torture.changes import VALUES, changed_bytes, changed_value

_STATEMENTS = (
    "CREATE TABLE more (a)",
    "CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    "CREATE TRIGGER more AFTER INSERT ON facts BEGIN DELETE FROM cells; END",
    "DROP TABLE baselines",
    "DROP TABLE rows; CREATE VIEW rows AS SELECT key, key AS columns, key AS rows FROM cells",
    "ALTER TABLE facts RENAME TO others",
    "DELETE FROM facts",
    "DELETE FROM datasets",
    "DELETE FROM rows",
    "DELETE FROM models",
    "DELETE FROM baselines",
    "PRAGMA user_version = 99",
    "PRAGMA auto_vacuum = NONE; VACUUM",
    "PRAGMA journal_mode = WAL",
    "PRAGMA encoding = 'UTF-16'; VACUUM",
)


class _Open(Store):
    """A store in which any row can be written."""

    def put(self, table: str, values: tuple[Any, ...]) -> None:
        """Writes a row."""
        self._put(table, *values)

    def all(self, table: str) -> list[tuple[Any, ...]]:
        """Reads all rows."""
        return self.connection.execute(f"SELECT * FROM {table}").fetchall()


def hostile_store(rng: np.random.Generator, good: Path, path: Path) -> str:
    """Writes a store; what the last one left beside it goes."""
    for old in path.parent.glob("study.db*"):
        old.unlink()
    whole = (good / "results" / "study.db").read_bytes()
    kind = rng.random()
    if kind < 0.2:
        content, what = changed_bytes(whole, rng)
        path.write_bytes(content)
        return what
    path.write_bytes(whole)
    if kind < 0.4:
        statements = _STATEMENTS[rng.integers(len(_STATEMENTS))]
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(statements)
        return statements
    with _Open(path) as store:
        while True:
            try:
                return _facts(store, rng) if kind < 0.7 else _cells(store, rng)
            except sqlite3.IntegrityError:
                continue


def _facts(store: _Open, rng: np.random.Generator) -> str:
    names = ["spec", "spec", "spec", "fingerprints", "columns", "versions", "machine"]
    name = names[rng.integers(len(names))]
    fact, where = changed_value({name: store.fact(name)}, rng)
    if name not in fact:
        return f"{name} is as it was"
    store.set_fact(name, fact[name])
    return f"fact {where}: {json.dumps(fact[name])[:60]}"


def _cells(store: _Open, rng: np.random.Generator) -> str:
    tables = ["cells", "cells", "models", "rows", "baselines", "datasets"]
    table = tables[rng.integers(len(tables))]
    rows = store.all(table)
    row = list(rows[rng.integers(len(rows))])
    place = int(rng.integers(len(row)))
    row[place] = _other(row[place], rng)
    store.put(table, tuple(row))
    return f"{table}, value {place}: {row[place]!r:.60}"


def _other(before: Any, rng: np.random.Generator) -> Any:
    if isinstance(before, bytes) and rng.random() < 0.7:
        return changed_bytes(before, rng)[0]
    if isinstance(before, str) and before.startswith("{") and rng.random() < 0.8:
        return json.dumps(changed_value(json.loads(before), rng)[0])
    known = [v for v in VALUES if isinstance(v, int | float | str | None) and v != 10**30 and v != "\ud800"]
    return known[rng.integers(len(known))]
