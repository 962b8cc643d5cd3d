"""The store: one SQLite file, the one source of truth of a study. A finished cell is written in one transaction."""

import io
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.study.grid import Cell, Dataset

_VERSION = 2

_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE datasets (fingerprint TEXT PRIMARY KEY, name TEXT NOT NULL, rows BLOB NOT NULL, labels BLOB);
CREATE TABLE floors (
    dataset TEXT NOT NULL, protocol TEXT NOT NULL, metric TEXT NOT NULL,
    value REAL NOT NULL, spread REAL NOT NULL, n_repeats INTEGER NOT NULL,
    PRIMARY KEY (dataset, protocol, metric)
);
CREATE TABLE cells (
    key TEXT PRIMARY KEY, dataset TEXT NOT NULL, settings TEXT NOT NULL, seed INTEGER NOT NULL,
    model TEXT NOT NULL, rows TEXT NOT NULL -- keys, empty where there is none
);
CREATE TABLE models (key TEXT PRIMARY KEY, losses BLOB NOT NULL, network BLOB NOT NULL);
CREATE TABLE rows (key TEXT PRIMARY KEY, rows BLOB NOT NULL);
CREATE TABLE measures (
    cell TEXT NOT NULL, metric TEXT NOT NULL,
    value REAL, standard_error REAL, degrees_of_freedom REAL, -- SQLite keeps a NaN as NULL
    PRIMARY KEY (cell, metric)
);
CREATE TABLE checkpoints (key TEXT PRIMARY KEY, epoch INTEGER NOT NULL, losses BLOB NOT NULL, state BLOB NOT NULL);
CREATE TABLE parts (key TEXT PRIMARY KEY, rows BLOB NOT NULL);
"""


@dataclass(frozen=True)
class Measure:
    """One metric of one cell: its value, standard error and degrees of freedom (inf: asymptotic).

    The value is NaN where the model diverged.
    """

    value: float
    standard_error: float
    degrees_of_freedom: float


@dataclass(frozen=True)
class FloorRecord:
    """The metric of data against data: mean over repeats, and the standard deviation of one evaluation."""

    value: float
    spread: float
    n_repeats: int

    @property
    def standard_error(self) -> float:
        """Of the mean over repeats."""
        return float(self.spread / np.sqrt(self.n_repeats))


@dataclass(frozen=True)
class Model:
    """A trained model.

    Attributes:
        losses: Mean training loss per epoch, shape (epochs,).
        network: Weights, as safetensors bytes.
    """

    losses: Float[np.ndarray, " epochs"]
    network: bytes


@dataclass(frozen=True)
class Checkpoint:
    """A model in training: epochs done, their losses, and the state as safetensors bytes."""

    epoch: int
    losses: Float[np.ndarray, " epochs"]
    state: bytes


class StoreError(ValueError):
    """A store that cannot be used, in one line."""


class Store:
    """A study's database.

    Args:
        path: The file; made if it does not exist.

    Raises:
        StoreError: If the file is no store of this version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        is_new = not path.exists()
        try:
            self._connection = sqlite3.connect(path, isolation_level=None)
            if is_new:
                self._connection.execute("PRAGMA auto_vacuum = FULL")
                with self._transaction():
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {_VERSION}")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {row[0] for row in self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{path}: cannot be used as a study's store ({error}); --fresh starts a new one"
            ) from error
        if version != _VERSION or "cells" not in tables:
            raise StoreError(f"{path}: is not a store of this version of pointillist; --fresh starts a new one")

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def set_fact(self, name: str, value: Any) -> None:
        """Keeps a JSON value under a name."""
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def fact(self, name: str) -> Any:
        """The JSON value under a name, None if there is none."""
        row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def add_dataset(self, dataset: Dataset) -> None:
        """Keeps a data set's rows, under its fingerprint."""
        self._connection.execute(
            "INSERT OR REPLACE INTO datasets VALUES (?, ?, ?, ?)",
            (
                dataset.fingerprint,
                dataset.name,
                _to_bytes(dataset.rows),
                None if dataset.labels is None else _to_bytes(dataset.labels),
            ),
        )

    def dataset(self, fingerprint: str) -> Dataset:
        """A kept data set."""
        query = "SELECT name, rows, labels FROM datasets WHERE fingerprint = ?"
        name, rows, labels = self._connection.execute(query, (fingerprint,)).fetchone()
        return Dataset(name, _from_bytes(rows), None if labels is None else _from_bytes(labels))

    def add_floor(self, dataset: str, protocol: str, metric: str, floor: FloorRecord) -> None:
        """Keeps a floor; `protocol` names the settings that it depends on."""
        self._connection.execute(
            "INSERT OR REPLACE INTO floors VALUES (?, ?, ?, ?, ?, ?)",
            (dataset, protocol, metric, floor.value, floor.spread, floor.n_repeats),
        )

    def floors(self, dataset: str, protocol: str) -> dict[str, FloorRecord]:
        """The floors of a data set by metric."""
        query = "SELECT metric, value, spread, n_repeats FROM floors WHERE dataset = ? AND protocol = ?"
        rows = self._connection.execute(query, (dataset, protocol))
        return {metric: FloorRecord(*values) for metric, *values in rows}

    def add_models(self, models: Mapping[str, Model]) -> None:
        """Keeps trained models and drops their checkpoints, in one transaction."""
        with self._transaction():
            for key, model in models.items():
                values = (key, _to_bytes(model.losses), model.network)
                self._connection.execute("INSERT OR REPLACE INTO models VALUES (?, ?, ?)", values)
                self._connection.execute("DELETE FROM checkpoints WHERE key = ?", (key,))

    def model(self, key: str) -> Model | None:
        """A trained model, if it is one."""
        row = self._connection.execute("SELECT losses, network FROM models WHERE key = ?", (key,)).fetchone()
        return None if row is None else Model(_from_bytes(row[0]), row[1])

    def add_rows(self, key: str, rows: Float[np.ndarray, "n d"]) -> None:
        """Keeps generated rows, shape (n_samples, d), scaled, and drops the part of them, in one transaction."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (key, _to_bytes(rows)))
            self._connection.execute("DELETE FROM parts WHERE key = ?", (key,))

    def rows(self, key: str) -> Float[np.ndarray, "n d"] | None:
        """Generated rows, shape (n_samples, d), scaled, if all are there."""
        return self._array("rows", key)

    def add_part(self, key: str, rows: Float[np.ndarray, "n d"]) -> None:
        """Keeps the first rows of a draw that is to be gone on with."""
        self._connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?)", (key, _to_bytes(rows)))

    def part(self, key: str) -> Float[np.ndarray, "n d"] | None:
        """The kept first rows of a draw, if any."""
        return self._array("parts", key)

    def _array(self, table: str, key: str) -> np.ndarray | None:
        row = self._connection.execute(f"SELECT rows FROM {table} WHERE key = ?", (key,)).fetchone()
        return None if row is None else _from_bytes(row[0])

    def add_result(self, cell: Cell, measures: Mapping[str, Measure]) -> None:
        """Writes a finished cell's measures by metric name, in one transaction."""
        content = (cell.key, cell.dataset, json.dumps(asdict(cell.settings)), cell.seed, cell.model_key, cell.rows_key)
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)", content)
            self._connection.executemany(
                "INSERT OR REPLACE INTO measures VALUES (?, ?, ?, ?, ?)",
                [(cell.key, metric, m.value, m.standard_error, m.degrees_of_freedom) for metric, m in measures.items()],
            )

    def finished(self) -> set[str]:
        """Keys of the finished cells."""
        return {row[0] for row in self._connection.execute("SELECT key FROM cells")}

    def measures(self, key: str) -> dict[str, Measure]:
        """A finished cell's measures by metric; empty for one that is not finished."""
        query = "SELECT metric, value, standard_error, degrees_of_freedom FROM measures WHERE cell = ?"
        rows = self._connection.execute(query, (key,))
        return {metric: Measure(*(np.nan if v is None else v for v in values)) for metric, *values in rows}

    def merge(self, path: Path) -> None:
        """Takes over what a part of the study has in a store of its own, in one transaction."""
        self._connection.execute("ATTACH ? AS part", (str(path),))
        try:
            with self._transaction():
                for table in ("floors", "models", "rows", "cells", "measures"):
                    self._connection.execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM part.{table}")
                self._connection.execute("DELETE FROM checkpoints WHERE key IN (SELECT key FROM part.models)")
                self._connection.execute("DELETE FROM parts WHERE key IN (SELECT key FROM part.rows)")
        finally:
            self._connection.execute("DETACH part")

    def add_checkpoints(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Replaces the checkpoints of some models, in one transaction."""
        with self._transaction():
            self._connection.executemany(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)",
                [(key, c.epoch, _to_bytes(c.losses), c.state) for key, c in checkpoints.items()],
            )

    def checkpoint(self, key: str) -> Checkpoint | None:
        """A model's last checkpoint, if any."""
        query = "SELECT epoch, losses, state FROM checkpoints WHERE key = ?"
        row = self._connection.execute(query, (key,)).fetchone()
        return None if row is None else Checkpoint(row[0], _from_bytes(row[1]), row[2])


def _to_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _from_bytes(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)
