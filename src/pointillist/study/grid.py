"""From a spec to cells: one model to train, each with a key that is a hash of everything that decides its result."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pointillist.points import POINTSETS, MinMaxScaling, load_pointset, read_rows
from pointillist.study.settings import Settings
from pointillist.study.spec import Section, Spec

RESULT_VERSION = 1
"""To be raised whenever a change of the code changes the results of a cell; older cells are then computed anew."""


@dataclass(frozen=True)
class Dataset:
    """Rows to learn, scaled per column to [-1, 1].

    Attributes:
        name: A point set's name or a file's path.
        rows: Shape (n, d), float32.
    """

    name: str
    rows: Float[np.ndarray, "n d"]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the rows: the identity of a data set, whatever its name."""
        digest = hashlib.sha256(str(self.rows.shape).encode())
        digest.update(np.ascontiguousarray(self.rows).data)
        return digest.hexdigest()[:32]


def load_dataset(name: str) -> Dataset:
    """Loads a named set or a file and scales it."""
    if name in POINTSETS:
        return Dataset(name, load_pointset(name)[0])
    rows = read_rows(Path(name))
    return Dataset(name, MinMaxScaling.fit(rows).transform(rows))


@dataclass(frozen=True)
class Cell:
    """One model of the grid.

    Attributes:
        dataset: Fingerprint of its data set.
        settings: What the spec decides.
        seed: 0, 1, …: the repetition.
    """

    dataset: str
    settings: Settings
    seed: int

    @cached_property
    def key(self) -> str:
        """A hash of everything that decides the result."""
        content = {"version": RESULT_VERSION, **asdict(self)}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def random_seed(self) -> int:
        """The 32-bit seed of all the cell's randomness; different cells' errors are then independent."""
        return int(self.key[:8], 16)


def section_cells(section: Section, seeds: int, fingerprints: dict[str, str]) -> list[Cell]:
    """The cells of one section; `fingerprints` maps names of data sets to hashes."""
    return [
        Cell(fingerprints[name], column.settings, seed)
        for name in section.datasets
        for column in section.columns
        for seed in range(seeds)
    ]


def study_cells(spec: Spec, fingerprints: dict[str, str]) -> list[Cell]:
    """All cells of a study; those that sections share come once."""
    cells = (cell for section in spec.sections for cell in section_cells(section, spec.seeds, fingerprints))
    return list({cell.key: cell for cell in cells}.values())
