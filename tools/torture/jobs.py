"""The tiny jobs that are disturbed, and the bits that they must end with."""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

_FIT = ["--timesteps", "5", "--width", "8", "--depth", "1", "--epochs", "30", "--batch-size", "16", "--quiet"]

SPEC = """
title = "A tiny study"
width = 8
depth = 1
time_embedding = 4
epochs = 6
batch_size = 32
n_samples = 100
emd_rows = 20

[sections.steps]
datasets = ["rows.npy"]
timesteps = [5, 9]
"""


@dataclass(frozen=True)
class Job:
    """A command with its inputs.

    Attributes:
        name: Its name in the table.
        arguments: Arguments of `pointillist`, with paths in the folder that it is run in.
        prepare: Writes the inputs into a folder.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]

    @property
    def folder(self) -> str:
        """Name of a folder to run it in."""
        return self.name.replace(", ", "-").replace(" ", "-")


def numbers(folder: Path) -> None:
    """Writes a table of numbers."""
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32))


def mixed(folder: Path) -> None:
    """Writes a table with categories, dates and gaps."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    columns = {
        "a": pa.array(a, mask=rng.random(200) < 0.1),
        "b": a + rng.normal(size=200),
        "kind": rng.choice(["x", "y"], 200),
        "day": (np.datetime64("2020-01-01") + rng.integers(0, 900, 200)).astype("M8[D]"),
    }
    csv.write_csv(pa.table(columns), folder / "mixed.csv")


def spec(folder: Path) -> None:
    """Writes a spec and its data."""
    numbers(folder)
    (folder / "tiny.toml").write_text(SPEC)


def given(content: bytes) -> Callable[[Path], None]:
    """What writes a fitted model."""
    return lambda folder: (folder / "given.model").write_bytes(content) and None


STUDY = Job("study", ("study", "tiny.toml", "--out", "results"), spec)
FIT_NUMBERS = Job("fit, numbers", ("fit", "rows.npy", *_FIT, "--out", "m"), numbers)
FIT_MIXED = Job("fit, mixed columns", ("fit", "mixed.csv", *_FIT, "--out", "m"), mixed)


def sample(model: bytes) -> Job:
    """The job that draws from a model."""
    return Job("sample", ("sample", "given.model", "-n", "30000", "--out", "drawn.csv"), given(model))


def bits(folder: Path) -> dict[str, str]:
    """Hashes of all files in a folder by name; of a store, those of its tables, whose rows may lie in any order."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = dump(path) if path.name == "study.db" else path.read_bytes()
        found[str(path.relative_to(folder))] = hashlib.sha256(content).hexdigest()
    return found


def dump(store: Path) -> bytes:
    """All rows of a store, as bytes, table by table and sorted."""
    with closing(sqlite3.connect(store)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        tables = {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in sorted(names)}
        return repr(tables).encode()


def difference(found: dict[str, str], wanted: dict[str, str]) -> str:
    """Names of the files that differ; empty if none does."""
    names = sorted(found.keys() | wanted.keys())
    words = {name: "left behind" if name not in wanted else "missing" if name not in found else "other bits"
             for name in names if found.get(name) != wanted.get(name)}  # fmt: skip
    return ", ".join(f"{name} ({word})" for name, word in words.items())
