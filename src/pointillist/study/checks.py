"""Checks that data sets fit a spec, before anything is computed."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from pointillist.datasets.pointsets import POINTSETS
from pointillist.diffusion.registries import SAMPLERS
from pointillist.study.grid import Dataset, has_fresh_rows
from pointillist.study.settings import STEERED, Settings
from pointillist.study.spec import Section, Spec, SpecError, short_name

_C2ST_ROWS = 10
"""Fewest rows a side with 15 neighbors among the four fifths of both sides that a fold learns from."""

_COVERAGE_ROWS = 12
"""Fewest rows a side with which the coverage has an error; half of them have 5 neighbors, as its floor needs."""


def check_data(spec: Spec, datasets: dict[str, Dataset]) -> None:
    """Raises a SpecError that names the first data set that does not fit the settings of its sections."""
    check_kinds(spec, datasets)
    for section in spec.sections:
        for name in section.datasets:
            with _naming(spec, section, _described(name, datasets)):
                for column in section.columns:
                    _check_sizes(datasets[name], column.settings)


def check_kinds(spec: Spec, datasets: dict[str, Dataset]) -> None:
    """Checks what tables and figures need too: that data sets have classes, and that schedules can be made."""
    for section in spec.sections:
        for name in section.datasets if section.kind != "rows" else ():
            with _naming(spec, section, _described(name, datasets)):
                _check_classes(datasets[name], section.kind)
        for column in section.columns:
            with _naming(spec, section, column.label):
                _check_method(column.settings)


@contextmanager
def _naming(spec: Spec, section: Section, what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise SpecError(f"{spec.name}: {section.name}, {what}: {error}") from error


def _described(name: str, datasets: dict[str, Dataset]) -> str:
    return f"{short_name(name)} ({len(datasets[name].rows)} rows)"


def _check_classes(dataset: Dataset, kind: str) -> None:
    if dataset.labels is None:
        known = ", ".join(POINTSETS)
        raise ValueError(f"has no labels, which guidance and classifiers need; the sets with labels: {known}")
    if dataset.n_classes < 2:
        raise ValueError("has a single class; guidance and classifiers need at least two")
    if dataset.class_sizes.min() < 4:
        label, size = int(dataset.class_sizes.argmin()), int(dataset.class_sizes.min())
        raise ValueError(f"class {label} has {size} row{'s' * (size != 1)}; every class needs at least 4")
    if kind == "classifier" and not has_fresh_rows(dataset.name):
        raise ValueError("is a fixed table; classifiers are measured on fresh rows, which it cannot give")


def _check_method(settings: Settings) -> None:
    settings.noise_schedule()
    if settings.classifier and settings.method != "guidance":
        raise ValueError("classifiers use a conditional model: leave method out")
    if settings.classifier and not settings.n_held_out:
        raise ValueError("classifiers are measured on held-out rows: give n_held_out above 0")
    if settings.guidance and settings.p_uncond == 0:
        raise ValueError(f"guidance = {settings.guidance:g} needs p_uncond above 0")
    if settings.method == "feynman_kac" and settings.reward_temperature == 0:
        raise ValueError("feynman_kac needs reward_temperature above 0")
    name, steps, timesteps = settings.sampler, settings.steps, settings.timesteps
    if settings.method in STEERED and name != "ancestral":
        raise ValueError(f"rewards steer ancestral sampling, not {name}: leave sampler out")
    if SAMPLERS[name].points:
        if steps == 1 or timesteps < 2:
            raise ValueError(f"{name} needs at least 2 steps, and 2 timesteps")
    elif steps > timesteps:
        raise ValueError(f"steps = {steps} of {name} is more than timesteps = {timesteps}")


def _check_sizes(dataset: Dataset, settings: Settings) -> None:
    n = len(dataset.rows)
    if settings.batch_size > n:
        raise ValueError(f"batch_size = {settings.batch_size} is more than the number of rows")
    if settings.kind == "classifier":
        return
    if settings.kind == "rows" and n < 2 * _C2ST_ROWS:
        needed = f"at least {2 * _C2ST_ROWS} rows, as 15 nearest neighbors are to distinguish its halves"
        raise ValueError(f"the data set needs {needed}")
    # The floor compares two halves of the data.
    limit, what = min(n // 2, settings.n_samples), "half of the data and from n_samples rows"
    if settings.kind == "classes":
        label, size = int(dataset.class_sizes.argmin()), int(dataset.class_sizes.min())
        n_drawn = int(np.bincount(dataset.labels_to_draw(settings.n_samples), minlength=dataset.n_classes).min())
        if size < _COVERAGE_ROWS:
            raise ValueError(f"class {label} has {size} rows; the coverage of a class needs {_COVERAGE_ROWS}")
        if n_drawn < _COVERAGE_ROWS:
            drawn = f"n_samples = {settings.n_samples} gives a class {n_drawn} rows"
            raise ValueError(f"{drawn}; its coverage needs {_COVERAGE_ROWS}")
        limit, what = min(size // 2, n_drawn), "half of every class and from its share of n_samples rows"
    if settings.emd_rows > limit:
        raise ValueError(
            f"emd_rows = {settings.emd_rows} must be at most {limit}, as the EMD draws that many rows from {what}"
        )
