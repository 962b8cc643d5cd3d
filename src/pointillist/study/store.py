"""The store: one SQLite file, the single source of truth of a study. A finished cell is written in one transaction.

The file is not trusted: the content of its rows is checked when it is read.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import jax
import numpy as np
from jaxtyping import Float

from pointillist.diffusion.networks import Network
from pointillist.engine import weights
from pointillist.engine.recipes import Architecture
from pointillist.metrics import Estimate, Floor
from pointillist.study.database import Database
from pointillist.study.grid import Cell, Dataset

_MAX_FACT = 2**24
"""Most characters of a fact, enough for a spec of as many settings as it may have."""

_LARGEST = 1e100
"""Largest measure, whose squares and sums are still finite."""

_UNFINISHED = {"models": "checkpoints", "rows": "parts"}
"""Tables of what is under way, by that of what it becomes."""

Tree = TypeVar("Tree")


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
    """A model in training: number of epochs done, their losses, and the state as safetensors bytes."""

    epoch: int
    losses: Float[np.ndarray, " epochs"]
    state: bytes


class Store(Database):
    """A study's database."""

    version = 5

    # Arrays are float32, labels int32, both little-endian; `columns` says how many numbers a row has. Keys are empty
    # where there is nothing they could lead to. Measures are JSON: by metric, value, standard
    # error and degrees of freedom; NaN if the model diverged.
    tables: ClassVar = {
        "facts": "name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL",
        "datasets": "fingerprint TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, "
        "columns INTEGER NOT NULL, rows BLOB NOT NULL, labels BLOB",
        "floors": "dataset TEXT NOT NULL, protocol TEXT NOT NULL, metric TEXT NOT NULL, value REAL NOT NULL, "
        "spread REAL NOT NULL, n_repeats INTEGER NOT NULL, PRIMARY KEY (dataset, protocol, metric)",
        "models": "key TEXT NOT NULL PRIMARY KEY, losses BLOB NOT NULL, network BLOB NOT NULL",
        "rows": "key TEXT NOT NULL PRIMARY KEY, columns INTEGER NOT NULL, rows BLOB NOT NULL",
        "cells": "key TEXT NOT NULL PRIMARY KEY, dataset TEXT NOT NULL, settings TEXT NOT NULL, seed INTEGER NOT NULL, "
        "model TEXT NOT NULL, rows TEXT NOT NULL, measures TEXT NOT NULL",
        "checkpoints": "key TEXT NOT NULL PRIMARY KEY, epoch INTEGER NOT NULL, "
        "losses BLOB NOT NULL, state BLOB NOT NULL",
        "parts": "key TEXT NOT NULL PRIMARY KEY, columns INTEGER NOT NULL, rows BLOB NOT NULL",
    }

    def set_fact(self, name: str, value: Any) -> None:
        """Stores a JSON value under a name."""
        text = json.dumps(value)
        if len(text) > _MAX_FACT:
            raise ValueError(f"{self.path}: the {name} takes more than {_MAX_FACT >> 20} MiB in a store")
        self._put("facts", name, text)

    def fact(self, name: str) -> Any:
        """The JSON value under a name; None if there is none."""
        row = self._one("facts", name=name)
        with self._reading():
            if row is not None and len(row[1]) > _MAX_FACT:
                raise ValueError(f"the {name} is too long")
            return None if row is None else json.loads(row[1])

    def add_dataset(self, dataset: Dataset) -> None:
        """Stores a data set's rows under its fingerprint."""
        labels = None if dataset.labels is None else dataset.labels.astype("<i4").tobytes()
        self._put("datasets", dataset.fingerprint, dataset.name, *_packed(dataset.rows), labels)

    def dataset(self, fingerprint: str) -> Dataset:
        """Reads a stored data set."""
        row = self._one("datasets", fingerprint=fingerprint)
        with self._reading():
            if row is None:
                raise ValueError("a data set is missing")
            _, name, columns, rows, labels = row
            dataset = Dataset(name, _unpacked(columns, rows), None if labels is None else np.frombuffer(labels, "<i4"))
            _check_dataset(dataset, fingerprint)
            return dataset

    def add_floor(self, dataset: str, protocol: str, metric: str, floor: Floor) -> None:
        """Stores a floor; `protocol` names the settings that it depends on."""
        self._put("floors", dataset, protocol, metric, *astuple(floor))

    def floors(self, dataset: str, protocol: str) -> dict[str, Floor]:
        """Reads the floors of a data set by metric."""
        rows = self._get("floors", dataset=dataset, protocol=protocol)
        with self._reading():
            return {metric: _floor(*values) for _, _, metric, *values in rows}

    def add_models(self, models: Mapping[str, Model]) -> None:
        """Stores trained models and drops their checkpoints, in one transaction."""
        with self.transaction():
            for key, model in models.items():
                self._finish("models", key, _bytes_of(model.losses), model.network)

    def model(self, key: str) -> Model | None:
        """Reads a trained model, if there is one."""
        row = self._one("models", key=key)
        with self._reading():
            return None if row is None else Model(_floats(row[1]), row[2])

    def network(self, data: bytes, architecture: Architecture, columns: int) -> Network:
        """Reads a stored network for rows of `columns` columns.

        Raises:
            StoreError: If it does not fit.
        """
        return self.tree(_template(architecture, columns), data)

    def tree(self, template: Tree, data: bytes) -> Tree:
        """Reads a stored network or training state with the template's shapes.

        Raises:
            StoreError: If the shapes differ.
        """
        with self._reading():
            return weights.from_bytes(template, data)

    def add_rows(self, key: str, rows: Float[np.ndarray, "n d"]) -> None:
        """Stores generated rows, shape (n_samples, d), scaled, and drops the part of them, in one transaction."""
        with self.transaction():
            self._finish("rows", key, *_packed(rows))

    def _finish(self, table: str, key: str, *values: Any) -> None:
        """Writes a model or rows, and removes what was kept of them while they were under way."""
        self._put(table, key, *values)
        self.connection.execute(f"DELETE FROM {_UNFINISHED[table]} WHERE key = ?", (key,))

    def rows(self, key: str, columns: int | None = None) -> Float[np.ndarray, "n d"] | None:
        """Reads generated rows, shape (n_samples, d), scaled, if all are there; they must have `columns` columns."""
        return self._rows("rows", key, columns)

    def add_part(self, key: str, rows: Float[np.ndarray, "n d"]) -> None:
        """Stores the first rows of a draw that is to be continued."""
        self._put("parts", key, *_packed(rows))

    def part(self, key: str, columns: int | None = None) -> Float[np.ndarray, "n d"] | None:
        """Reads the stored first rows of a draw, if any."""
        return self._rows("parts", key, columns)

    def _rows(self, table: str, key: str, columns: int | None) -> np.ndarray | None:
        row = self._one(table, key=key)
        with self._reading():
            if row is not None and columns not in (None, row[1]):
                raise ValueError(f"generated rows have {row[1]} columns, and the data {columns}")
            return None if row is None else _unpacked(*row[1:])

    def add_result(self, cell: Cell, measures: Mapping[str, Estimate]) -> None:
        """Writes a finished cell and its measures by metric name."""
        content = json.dumps({name: [float(e), e.standard_error, e.degrees_of_freedom] for name, e in measures.items()})
        keys = cell.model_key, cell.rows_key
        self._put("cells", cell.key, cell.dataset, json.dumps(asdict(cell.settings)), cell.seed, *keys, content)

    def finished(self) -> set[str]:
        """Keys of the finished cells."""
        return {row[0] for row in self.connection.execute("SELECT key FROM cells")}

    def measures(self, key: str) -> dict[str, Estimate]:
        """Reads a finished cell's measures by metric; empty if it is not finished."""
        row = self._one("cells", key=key)
        with self._reading():
            return {} if row is None else {name: _measure(*values) for name, values in json.loads(row[-1]).items()}

    def merge(self, path: Path) -> None:
        """Merges the store of a part of the study into this one, in one transaction."""
        # Read by a connection of its own: a transaction over two files, interrupted, needs both to be undone.
        with Store(path) as part, self.transaction():
            for table in ("floors", "models", "rows", "cells"):
                write = self._finish if table in _UNFINISHED else self._put
                for row in part.connection.execute(f"SELECT * FROM {table}"):
                    write(table, *row)

    def add_checkpoints(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Replaces the checkpoints of some models, in one transaction."""
        with self.transaction():
            for key, checkpoint in checkpoints.items():
                self._put("checkpoints", key, checkpoint.epoch, _bytes_of(checkpoint.losses), checkpoint.state)

    def checkpoint(self, key: str) -> Checkpoint | None:
        """Reads a model's last checkpoint, if any."""
        row = self._one("checkpoints", key=key)
        with self._reading():
            return None if row is None else Checkpoint(row[1], _floats(row[2]), row[3])


@cache
def _template(architecture: Architecture, columns: int) -> Network:
    """Makes the shapes of a network."""
    return jax.eval_shape(lambda: architecture.build(jax.random.key(0), columns))


def _bytes_of(array: np.ndarray) -> bytes:
    return np.asarray(array, "<f4").tobytes()


def _floats(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<f4").astype(np.float32)


def _packed(rows: np.ndarray) -> tuple[int, bytes]:
    return rows.shape[1], _bytes_of(rows)


def _unpacked(columns: int, data: bytes) -> np.ndarray:
    if not data:
        raise ValueError("rows are missing")
    return _floats(data).reshape(-1, columns)


def _check_dataset(dataset: Dataset, fingerprint: str) -> None:
    n, labels = len(dataset.rows), dataset.labels
    if dataset.fingerprint != fingerprint or n < 2 or not np.isfinite(dataset.rows).all():
        raise ValueError("a data set is not the one that it should be")
    if labels is not None and not (len(labels) == n and 0 <= labels.min() <= labels.max() < n):
        raise ValueError("a data set has labels that are not valid")


def _floor(value: float, spread: float, n_repeats: int) -> Floor:
    _measure(value, spread, float(n_repeats))
    if type(n_repeats) is not int or n_repeats < 1:
        raise ValueError("a floor has no number of repeats")
    return Floor(value, spread, n_repeats)


def _measure(value: float, standard_error: float, degrees_of_freedom: float) -> Estimate:
    numbers = value, standard_error, degrees_of_freedom
    are_numbers = all(type(x) is float and not _LARGEST < abs(x) < math.inf for x in numbers)
    if not are_numbers or standard_error < 0 or degrees_of_freedom < 0:
        raise ValueError("a measure is not a number")
    return Estimate(*numbers)
