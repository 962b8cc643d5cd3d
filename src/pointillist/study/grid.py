"""Makes cells from a spec and its data sets, with keys that hash everything that decides a cell's results."""

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
from pointillist.diffusion.registries import SAMPLERS
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule
from pointillist.engine.training import sigma_data_of
from pointillist.files.reading import read_numbers
from pointillist.models.gaussian import GaussianProcess
from pointillist.study.settings import STEERED, Settings
from pointillist.study.spec import Spec, SpecError, short_name

RESULT_VERSION = 9
"""Version of the results, raised whenever a change to the code changes them; older ones are computed again."""

HELD_OUT_SEED = 43
"""Seed of the fresh draw that classifiers are measured on; the canonical draw's is 42."""

_C2ST_ROWS = 10
"""Fewest rows per side that leave 15 neighbors in the four fifths of both sides that a fold learns from."""

_COVERAGE_ROWS = 12
"""Fewest rows per side for an error of the coverage; half of them have 5 neighbors, as its baseline needs."""


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

    def class_rows(self, label: int) -> Float[np.ndarray, "m d"]:
        """Returns the rows of one class."""
        return self.rows[self.labels == label]

    def labels_to_draw(self, n: int) -> Int[np.ndarray, " n"]:
        """Makes sorted labels for n rows; the numbers of rows of two classes differ by at most one."""
        return (np.arange(n) * self.n_classes // n).astype(np.int32)

    def process(self, settings: Settings, schedule: Schedule) -> GaussianProcess:
        """Makes the process of a model of the data set."""
        sigma_data, n_classes = sigma_data_of(self.rows), self.n_classes
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
    """Returns names and scaling of a data set's columns as JSON values; None for a point set."""
    scaling = dataset.scaling
    if scaling is None:
        return None
    return {"names": dataset.names, "centre": scaling.centre.tolist(), "unit": scaling.unit.tolist()}


def with_columns(dataset: Dataset, content: Any) -> Dataset:
    """Returns the data set with what `columns_to_json` returned."""
    if content is None:
        return dataset
    names, scaling = content["names"], AffineScaling(np.array(content["centre"]), np.array(content["unit"]))
    return replace(dataset, names=None if names is None else tuple(names), scaling=scaling)


@dataclass(frozen=True)
class Cell:
    """A trained model, its rows and measures: a data set's fingerprint, settings and a seed (0, 1, …)."""

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
        return self._hash("model", self.settings.training)

    @cached_property
    def rows_key(self) -> str:
        """Hash of everything that decides the generated rows; empty if there are none."""
        return self._hash("rows", self.settings.sampling)

    def _hash(self, kind: str, settings: dict[str, Any]) -> str:
        if not settings:
            return ""
        parts = {"version": RESULT_VERSION, "kind": kind, "dataset": self.dataset, "seed": self.seed}
        content = json.dumps({**parts, "settings": settings}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def random_seed(key: str) -> int:
    """Makes a 32-bit seed from a key, so that the errors of different models, rows and measures are independent."""
    return int(key[:8], 16)


def study_cells(spec: Spec, fingerprints: dict[str, str]) -> list[Cell]:
    """Lists the cells of a study, once each; `fingerprints` maps names of data sets to hashes."""
    cells = [
        Cell(fingerprints[name], column.settings, seed)
        for section in spec.sections
        for name in section.datasets
        for column in section.columns
        for seed in range(spec.seeds)
    ]
    return list({cell.key: cell for cell in cells}.values())


def check_data(spec: Spec, datasets: dict[str, Dataset]) -> None:
    """Checks that settings can be used together, and that data sets fit them; raises a SpecError."""
    for section in spec.sections:
        what = ""
        try:
            for column in section.columns:
                what = column.label
                _check_method(column.settings)
            for name in section.datasets:
                dataset = datasets[name]
                what = f"{short_name(name)} ({len(dataset.rows)} rows)"
                if section.kind != "rows":
                    _check_classes(dataset, section.kind)
                for column in section.columns:
                    _check_sizes(dataset, column.settings)
        except ValueError as error:
            raise SpecError(f"{spec.name}: {section.name}, {what}: {error}") from error


def _check_classes(dataset: Dataset, kind: str) -> None:
    if dataset.labels is None:
        known = ", ".join(POINTSETS)
        raise ValueError(f"has no labels, which guidance and classifiers need; the sets with labels: {known}")
    if dataset.n_classes < 2:
        raise ValueError("has a single class; guidance and classifiers need at least two")
    label, size = int(dataset.class_sizes.argmin()), int(dataset.class_sizes.min())
    if size < 4:
        raise ValueError(f"class {label} has {size} row{'s' * (size != 1)}; every class needs at least 4")
    if kind == "classifier" and not has_fresh_rows(dataset.name):
        raise ValueError("is a fixed table; classifiers are measured on fresh rows, which it cannot give")


def _check_method(settings: Settings) -> None:
    settings.noise_schedule()
    method, classifier, name = settings.method, settings.classifier, settings.sampler
    steps, timesteps, has_points = settings.steps, settings.timesteps, SAMPLERS[settings.sampler].points > 0
    mistakes = {
        "classifiers use a conditional model: leave method out": classifier and method != "guidance",
        "classifiers are measured on held-out rows: give n_held_out above 0": classifier and not settings.n_held_out,
        f"guidance = {settings.guidance:g} needs p_uncond above 0": settings.guidance and not settings.p_uncond,
        "feynman_kac needs reward_temperature above 0": method == "feynman_kac" and not settings.reward_temperature,
        f"rewards steer ancestral sampling, not {name}: leave sampler out": method in STEERED and name != "ancestral",
        f"{name} needs at least 2 steps": has_points and steps == 1,
        f"steps = {steps} of {name} is more than timesteps = {timesteps}": not has_points and steps > timesteps,
    }
    for message, is_made in mistakes.items():
        if is_made:
            raise ValueError(message)


def _check_sizes(dataset: Dataset, settings: Settings) -> None:
    n, n_samples = len(dataset.rows), settings.n_samples
    if settings.batch_size > n:
        raise ValueError(f"batch_size = {settings.batch_size} is more than the number of rows")
    if settings.kind == "classifier":
        return
    if settings.kind == "rows":
        if n < 2 * _C2ST_ROWS:
            raise ValueError(f"needs at least {2 * _C2ST_ROWS} rows, so that each half has 15 nearest neighbors")
        # The baseline compares two halves of the data.
        limit, what = min(n // 2, n_samples), "half of the data and from n_samples rows"
    else:
        label, size = int(dataset.class_sizes.argmin()), int(dataset.class_sizes.min())
        # The numbers of rows to draw of two classes differ by at most one.
        n_drawn = n_samples // dataset.n_classes
        if size < _COVERAGE_ROWS:
            raise ValueError(f"class {label} has {size} rows; the coverage of a class needs {_COVERAGE_ROWS}")
        if n_drawn < _COVERAGE_ROWS:
            given = f"n_samples = {n_samples} gives a class {n_drawn} rows"
            raise ValueError(f"{given}; its coverage needs {_COVERAGE_ROWS}")
        limit, what = min(size // 2, n_drawn), "half of every class and from its share of n_samples rows"
    if settings.emd_rows > limit:
        raise ValueError(
            f"emd_rows = {settings.emd_rows} must be at most {limit}, because the EMD draws that many rows from {what}"
        )
