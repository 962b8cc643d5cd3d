"""Makes cells from a spec, with keys that hash everything that decides a cell's model, rows and measures."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.scaling import AffineScaling
from pointillist.datasets.pointsets import POINTSETS, load_pointset
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule
from pointillist.engine.training import sigma_data_of
from pointillist.files.reading import read_numbers
from pointillist.models.gaussian import GaussianProcess
from pointillist.study.settings import Settings
from pointillist.study.spec import Spec

RESULT_VERSION = 9
"""Version of the results, raised whenever a change to the code changes them: older cells and floors are recomputed."""

HELD_OUT_SEED = 43
"""Seed of the fresh draw that classifiers are measured on; the canonical draw's is 42."""


@dataclass(frozen=True)
class Dataset:
    """Rows to learn, float32, scaled per column to [-1, 1], of a point set or of a file, whose name is its path.

    Labels are 0 … n_classes - 1. The columns of a file may have names, and the scaling that was applied to them.
    """

    name: str
    rows: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"] | None = None
    names: tuple[str, ...] | None = None
    scaling: AffineScaling | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of rows and labels, which identifies a data set whatever its name."""
        digest = hashlib.sha256(str(self.rows.shape).encode())
        digest.update(np.ascontiguousarray(self.rows).data)
        if self.labels is not None:
            digest.update(np.ascontiguousarray(self.labels.astype(np.int32)).data)
        return digest.hexdigest()[:32]

    @cached_property
    def class_sizes(self) -> Int[np.ndarray, " classes"]:
        """Number of rows of each class; empty if there are no labels."""
        return np.empty(0, np.int64) if self.labels is None else np.bincount(self.labels)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_sizes)

    def of_class(self, label: int) -> Float[np.ndarray, "m d"]:
        """The rows of one class."""
        return self.rows[self.labels == label]

    def labels_to_draw(self, n: int) -> Int[np.ndarray, " n"]:
        """Makes sorted labels for n rows, as many of each class as of the others, or one more."""
        return (np.arange(n) * self.n_classes // n).astype(np.int32)


def process_of(dataset: Dataset, settings: Settings, schedule: Schedule) -> GaussianProcess:
    """The process of a model of a data set."""
    sigma_data, n_classes = sigma_data_of(dataset.rows), dataset.n_classes
    return GaussianProcess(
        settings.architecture, settings.prediction, schedule, sigma_data, n_classes, settings.p_uncond
    )


def has_fresh_rows(name: str) -> bool:
    """Whether any number of rows can be drawn from a data set's distribution: not for a fixed table or a file."""
    return name in POINTSETS and POINTSETS[name].is_generated


def load_dataset(name: str) -> Dataset:
    """Loads a named set or a file, and scales it."""
    if name in POINTSETS:
        return Dataset(name, *load_pointset(name))
    table = read_numbers(Path(name))
    scaling = AffineScaling.minmax(table.rows)
    return Dataset(name, scaling.transform(table.rows), names=table.names, scaling=scaling)


def columns_to_json(dataset: Dataset) -> dict[str, Any] | None:
    """Names and scaling of a data set's columns, as JSON values; None if it has neither."""
    names, scaling = dataset.names, dataset.scaling
    if names is None and scaling is None:
        return None
    ends = (None, None) if scaling is None else (scaling.centre.tolist(), scaling.unit.tolist())
    return {"names": names, "centre": ends[0], "unit": ends[1]}


def with_columns(dataset: Dataset, content: Any) -> Dataset:
    """Returns the data set with what `columns_to_json` returned; raises a ValueError if it does not fit."""
    if content is None:
        return dataset
    names, centre, unit = content["names"], content["centre"], content["unit"]
    d = dataset.rows.shape[1]
    if names is not None and not (len(names) == len(set(names)) == d and all(isinstance(each, str) for each in names)):
        raise ValueError(f"the names of {dataset.name!r:.40} are not those of its columns")
    scaling = None
    if centre is not None:
        scaling = AffineScaling(np.array(centre, np.float64), np.array(unit, np.float64))
        parts = scaling.centre, scaling.unit
        if any(part.shape != (d,) or not np.isfinite(part).all() for part in parts) or (scaling.unit < 0).any():
            raise ValueError(f"the scaling of {dataset.name!r:.40} is not that of its columns")
    return replace(dataset, names=None if names is None else tuple(names), scaling=scaling)


@dataclass(frozen=True)
class Cell:
    """One model that is trained, drawn from and measured: a data set's fingerprint, settings and a seed (0, 1, …)."""

    dataset: str
    settings: Settings
    seed: int

    @cached_property
    def key(self) -> str:
        """Hash of everything that decides the measures."""
        settings = asdict(self.settings)
        if self.settings.classifier in ("elbo", "exact"):
            settings["lowest_lambda"] = LOWEST_LAMBDA
        if self.settings.classifier == "exact":
            settings["flows"] = "about the mean of each class"
        if self.settings.classifier == "knn_100":
            settings["votes"] = "by class sizes"
        return self._hash("cell", settings)

    @cached_property
    def model_key(self) -> str:
        """Hash of everything that decides the trained model; empty if there is none."""
        training = self.settings.training
        return "" if not training else self._hash("model", training)

    @cached_property
    def rows_key(self) -> str:
        """Hash of everything that decides the rows drawn; empty if none are."""
        drawing = self.settings.drawing
        return "" if not drawing else self._hash("rows", drawing)

    def _hash(self, kind: str, settings: dict[str, Any]) -> str:
        content = {
            "version": RESULT_VERSION,
            "kind": kind,
            "dataset": self.dataset,
            "seed": self.seed,
            "settings": settings,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def random_seed(key: str) -> int:
    """Makes a 32-bit seed from a key, so that the errors of different models, rows and measures are independent."""
    return int(key[:8], 16)


def study_cells(spec: Spec, fingerprints: dict[str, str]) -> list[Cell]:
    """All cells of a study, once each; `fingerprints` maps names of data sets to hashes."""
    cells = [
        Cell(fingerprints[name], column.settings, seed)
        for section in spec.sections
        for name in section.datasets
        for column in section.columns
        for seed in range(spec.seeds)
    ]
    return list({cell.key: cell for cell in cells}.values())
