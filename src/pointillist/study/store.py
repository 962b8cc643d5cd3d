"""The store: one SQLite file, the single source of truth of a study. A finished cell is written in one transaction."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Float

from pointillist.atomic_files import check_regular, checking
from pointillist.diffusion.networks import Network
from pointillist.engine import weights
from pointillist.engine.recipes import Architecture
from pointillist.metrics import Baseline, Estimate
from pointillist.study.grid import Cell, Dataset

VERSION = 6
"""Version of the tables; a store of another version is refused."""

# Arrays are float32, labels int32, both little-endian; `columns` is the number of columns of rows. The keys of a cell's
# model and rows are empty if it has none. Measures are JSON: by metric, value, standard error and degrees of freedom;
# NaN if the model diverged.
TABLES = {
    "facts": "name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL",
    "datasets": "fingerprint TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, "
    "columns INTEGER NOT NULL, rows BLOB NOT NULL, labels BLOB",
    "baselines": "dataset TEXT NOT NULL, protocol TEXT NOT NULL, metric TEXT NOT NULL, value REAL NOT NULL, "
    "spread REAL NOT NULL, n_repeats INTEGER NOT NULL, PRIMARY KEY (dataset, protocol, metric)",
    "models": "key TEXT NOT NULL PRIMARY KEY, losses BLOB NOT NULL, network BLOB NOT NULL",
    "rows": "key TEXT NOT NULL PRIMARY KEY, columns INTEGER NOT NULL, rows BLOB NOT NULL",
    "cells": "key TEXT NOT NULL PRIMARY KEY, dataset TEXT NOT NULL, settings TEXT NOT NULL, seed INTEGER NOT NULL, "
    "model TEXT NOT NULL, rows TEXT NOT NULL, measures TEXT NOT NULL",
    "checkpoints": "key TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL, losses BLOB NOT NULL, state BLOB NOT NULL",
}
"""Columns of each table, in SQL."""

_WAY_OUT = "; --fresh starts a new one"

T = TypeVar("T")
Tree = TypeVar("Tree")


class StoreError(ValueError):
    """Error about a store that cannot be used; the message is one line."""


@dataclass(frozen=True)
class Model:
    """A trained model: its mean training loss per epoch, shape (epochs,), and its weights as safetensors bytes.

    For a model in training, `network` has the whole state.
    """

    losses: Float[np.ndarray, " epochs"]
    network: bytes


class Store(AbstractContextManager):
    """A study's database; its file is made if it does not exist or is empty.

    SQLite checks the file once, when it is opened. A file of another version or a damaged one is refused with a
    StoreError, and one that is not regular with an OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            check_regular(path)
        _check_journal(path)
        try:
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=60)
            problem = self._problem()
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            problem = f"cannot be used as a study's store ({error})"
        if problem:
            self.close()
            raise StoreError(f"{path}: {problem}{_WAY_OUT}")

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _problem(self) -> str:
        """Says why the file cannot be used; empty if it can. Makes the tables of a new one."""
        # The file may come from elsewhere.
        self.connection.execute("PRAGMA trusted_schema = OFF")
        self.connection.execute("PRAGMA cell_size_check = ON")
        self.connection.text_factory = lambda text: text.decode(errors="replace")
        found = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
        wanted = {table: f"CREATE TABLE {table} ({columns})" for table, columns in TABLES.items()}
        if not self.connection.execute(found).fetchall():
            self.connection.execute("PRAGMA auto_vacuum = FULL")
            with self.transaction():
                for statement in wanted.values():
                    self.connection.execute(statement)
                self.connection.execute(f"PRAGMA user_version = {VERSION}")
        if self.connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            return "is not a store of this version of pointillist"
        if dict(self.connection.execute(found)) != wanted:
            return "is damaged: its tables differ from a store's"
        (problem,) = self.connection.execute("PRAGMA integrity_check(1)").fetchone()
        return "" if problem == "ok" else f"is damaged: {' '.join(problem.split())}"

    def _put(self, table: str, *values: Any) -> None:
        """Writes a row, which replaces the one with the same key."""
        self.connection.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(values))})", values)

    def _read(self, table: str, convert: Callable[..., T], **keys: str) -> list[T]:
        """Reads the rows with the given keys, and returns what `convert` makes of each row."""
        condition = " AND ".join(f"{name} = ?" for name in keys)
        with checking(self.path, StoreError):
            rows = self.connection.execute(f"SELECT * FROM {table} WHERE {condition}", (*keys.values(),))
            return [convert(*row) for row in rows.fetchall()]

    def _one(self, table: str, convert: Callable[..., T], **key: str) -> T | None:
        return next(iter(self._read(table, convert, **key)), None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Writes everything within the block, or nothing."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def merge(self, path: Path) -> None:
        """Merges the store of a part of the study into this one, in one transaction."""
        # By a second connection: a transaction over two files, if interrupted, needs both to be undone.
        with Store(path) as part, self.transaction():
            for table in ("baselines", "models", "rows", "cells"):
                for row in part.connection.execute(f"SELECT * FROM {table}"):
                    self._put(table, *row)
            self._drop_checkpoints()

    def set_fact(self, name: str, value: Any) -> None:
        """Stores a JSON value under a name."""
        self._put("facts", name, json.dumps(value))

    def fact(self, name: str) -> Any:
        """Reads the JSON value under a name; None if there is none."""
        return self._one("facts", lambda _, text: json.loads(text), name=name)

    def add_dataset(self, dataset: Dataset) -> None:
        """Stores a data set's rows under its fingerprint."""
        labels = None if dataset.labels is None else dataset.labels.astype("<i4").tobytes()
        rows = dataset.rows
        self._put("datasets", dataset.fingerprint, dataset.name, rows.shape[1], _bytes_of(rows), labels)

    def dataset(self, fingerprint: str) -> Dataset:
        """Reads a stored data set."""
        found = self._one("datasets", _dataset, fingerprint=fingerprint)
        if found is None or found.fingerprint != fingerprint:
            raise StoreError(f"{self.path}: is damaged: a data set is missing or has other content")
        return found

    def add_baselines(self, dataset: str, protocol: str, baselines: Mapping[str, Baseline]) -> None:
        """Stores baselines by metric; `protocol` names the settings that they depend on."""
        with self.transaction():
            for metric, baseline in baselines.items():
                self._put("baselines", dataset, protocol, metric, *astuple(baseline))

    def baselines(self, dataset: str, protocol: str) -> dict[str, Baseline]:
        """Reads the baselines of a data set by metric."""
        found = self._read("baselines", lambda *row: (row[2], Baseline(*row[3:])), dataset=dataset, protocol=protocol)
        return dict(found)

    def add_models(self, models: Mapping[str, Model]) -> None:
        """Stores trained models by key and drops their checkpoints, in one transaction."""
        with self.transaction():
            for key, model in models.items():
                self._put("models", key, _bytes_of(model.losses), model.network)
            self._drop_checkpoints()

    def _drop_checkpoints(self) -> None:
        self.connection.execute("DELETE FROM checkpoints WHERE key IN (SELECT key FROM models)")

    def model(self, key: str) -> Model | None:
        """Reads a trained model, if there is one."""
        return self._one("models", lambda _, losses, network: Model(_floats(losses), network), key=key)

    def network(self, data: bytes, architecture: Architecture, columns: int) -> Network:
        """Reads a stored network for rows of `columns` columns."""
        return self.tree(_template(architecture, columns), data)

    def tree(self, template: Tree, data: bytes) -> Tree:
        """Reads a stored network or training state; raises a StoreError if its shapes are not the template's."""
        with checking(self.path, StoreError):
            return weights.from_bytes(template, data)

    def add_checkpoints(self, checkpoints: Mapping[str, Model]) -> None:
        """Replaces the checkpoints of models in training, in one transaction."""
        with self.transaction():
            for key, model in checkpoints.items():
                self._put("checkpoints", key, len(model.losses), _bytes_of(model.losses), model.network)

    def checkpoint(self, key: str) -> Model | None:
        """Reads the last checkpoint of a model in training, if any."""
        return self._one("checkpoints", lambda _, __, losses, state: Model(_floats(losses), state), key=key)

    def add_rows(self, key: str, rows: Float[np.ndarray, "n d"]) -> None:
        """Stores generated rows, shape (n_samples, d), scaled."""
        self._put("rows", key, rows.shape[1], _bytes_of(rows))

    def rows(self, key: str) -> Float[np.ndarray, "n d"] | None:
        """Reads generated rows, shape (n_samples, d), scaled, if all are there."""
        return self._one("rows", _rows, key=key)

    def add_result(self, cell: Cell, measures: Mapping[str, Estimate]) -> None:
        """Stores a finished cell and its measures by metric."""
        content = json.dumps({name: [float(e), e.standard_error, e.degrees_of_freedom] for name, e in measures.items()})
        keys = cell.model_key, cell.rows_key
        self._put("cells", cell.key, cell.dataset, json.dumps(asdict(cell.settings)), cell.seed, *keys, content)

    def finished(self) -> set[str]:
        """Reads the keys of the finished cells."""
        return {row[0] for row in self.connection.execute("SELECT key FROM cells")}

    def measures(self, key: str) -> dict[str, Estimate]:
        """Reads a finished cell's measures by metric; empty if it is not finished."""
        found = self._one("cells", lambda *row: json.loads(row[-1]), key=key) or {}
        return {name: Estimate(*values) for name, values in found.items()}


def _check_journal(path: Path) -> None:
    """Refuses a journal of several databases, which no store has: SQLite deletes the file that it names."""
    journal, magic = path.with_name(f"{path.name}-journal"), bytes.fromhex("d9d505f920a163d7")
    if journal.exists():
        check_regular(journal)
        content = journal.read_bytes()
        # Any journal begins with these bytes; one of several databases ends with them as well.
        if len(content) > len(magic) and content.endswith(magic):
            raise StoreError(f"{journal}: is not a journal of a study's store{_WAY_OUT}")


@cache
def _template(architecture: Architecture, columns: int) -> Network:
    """Makes the shapes of a network."""
    return jax.eval_shape(lambda: architecture.build(jax.random.key(0), columns))


def _bytes_of(array: np.ndarray) -> bytes:
    return np.asarray(array, "<f4").tobytes()


def _floats(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<f4").astype(np.float32)


def _rows(_: str, columns: int, data: bytes) -> np.ndarray:
    return _floats(data).reshape(-1, columns)


def _dataset(_: str, name: str, columns: int, data: bytes, labels: bytes | None) -> Dataset:
    return Dataset(name, _rows(name, columns, data), None if labels is None else np.frombuffer(labels, "<i4"))
