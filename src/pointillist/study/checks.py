"""Checks that data sets fit a spec, before anything is computed."""

import numpy as np

from pointillist.datasets.pointsets import POINTSETS
from pointillist.diffusion.solvers import SAMPLERS
from pointillist.study.grid import Dataset, has_fresh_rows
from pointillist.study.settings import STEERED, Settings
from pointillist.study.spec import Section, Spec, SpecError, short_name


def check_data(spec: Spec, datasets: dict[str, Dataset]) -> None:
    """Checks every data set against the settings of its sections.

    Raises:
        SpecError: If a data set does not fit; the message names the first.
    """
    check_kinds(spec, datasets)
    for section in spec.sections:
        for name in section.datasets:
            for column in section.columns:
                _check_sizes(datasets[name], column.settings, _place(spec, section, name, datasets[name]))


def check_kinds(spec: Spec, datasets: dict[str, Dataset]) -> None:
    """Checks what tables and figures need too: that data sets have classes, and that schedules can be made.

    Raises:
        SpecError: If a data set or setting does not fit; the message names the first.
    """
    for section in spec.sections:
        for name in section.datasets:
            if section.kind != "rows":
                _check_classes(datasets[name], section.kind, _place(spec, section, name, datasets[name]))
        for column in section.columns:
            _check_method(column.settings, f"{spec.name}: {section.name}, {column.label}")


def _place(spec: Spec, section: Section, name: str, dataset: Dataset) -> str:
    return f"{spec.name}: {section.name}, {short_name(name)} ({len(dataset.rows)} rows)"


def _check_classes(dataset: Dataset, kind: str, where: str) -> None:
    with_labels = ", ".join(POINTSETS)
    if dataset.labels is None:
        raise SpecError(
            f"{where}: has no labels, which guidance and classifiers need; the sets with labels: {with_labels}"
        )
    if dataset.n_classes < 2:
        raise SpecError(f"{where}: has a single class; guidance and classifiers need at least two")
    if dataset.class_sizes.min() < 4:
        label, size = int(dataset.class_sizes.argmin()), int(dataset.class_sizes.min())
        raise SpecError(f"{where}: class {label} has {size} row{'s' * (size != 1)}; every class needs at least 4")
    if kind == "classifier" and not has_fresh_rows(dataset.name):
        raise SpecError(f"{where}: is a fixed table; classifiers are measured on fresh rows, which it cannot give")


def _check_method(settings: Settings, where: str) -> None:
    try:
        settings.noise_schedule()
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from error
    if settings.classifier and settings.method != "guidance":
        raise SpecError(f"{where}: classifiers use a conditional model: leave method out")
    if settings.classifier and not settings.n_held_out:
        raise SpecError(f"{where}: classifiers are measured on held-out rows: give n_held_out above 0")
    if settings.guidance and settings.p_uncond == 0:
        raise SpecError(f"{where}: guidance = {settings.guidance:g} needs p_uncond above 0")
    if settings.method == "feynman_kac" and settings.reward_temperature == 0:
        raise SpecError(f"{where}: feynman_kac needs reward_temperature above 0")
    name, steps, timesteps = settings.sampler, settings.steps, settings.timesteps
    if settings.method in STEERED and name != "ancestral":
        raise SpecError(f"{where}: rewards steer ancestral sampling, not {name}: leave sampler out")
    if SAMPLERS[name].points:
        if steps == 1 or timesteps < 2:
            raise SpecError(f"{where}: {name} needs at least 2 steps, and 2 timesteps")
    elif steps > timesteps:
        raise SpecError(f"{where}: steps = {steps} of {name} is more than timesteps = {timesteps}")


def _check_sizes(dataset: Dataset, settings: Settings, where: str) -> None:
    n = len(dataset.rows)
    if settings.batch_size > n:
        raise SpecError(f"{where}: batch_size = {settings.batch_size} is more than the number of rows")
    if settings.kind == "classifier":
        return
    if settings.kind == "rows" and n < 2 * _C2ST_ROWS:
        raise SpecError(
            f"{where}: the data set needs at least {2 * _C2ST_ROWS} rows, as 15 nearest neighbors are to distinguish "
            "its halves"
        )
    # The floor compares two halves of the data.
    limit = min(n // 2, settings.n_samples)
    what = "half of the data and from n_samples rows"
    if settings.kind == "classes":
        drawn = np.bincount(dataset.labels_to_draw(settings.n_samples), minlength=dataset.n_classes)
        _check_coverage(dataset, int(drawn.min()), settings, where)
        limit = int(min((dataset.class_sizes // 2).min(), drawn.min()))
        what = "half of every class and from its share of n_samples rows"
    if settings.emd_rows > limit:
        raise SpecError(
            f"{where}: emd_rows = {settings.emd_rows} must be at most {limit}, as the EMD draws "
            f"that many rows from {what}"
        )


_C2ST_ROWS = 10
"""Fewest rows a side with 15 neighbors among the four fifths of both sides that a fold learns from."""

_COVERAGE_ROWS = 12
"""Fewest rows a side with which the coverage has an error; half of them have 5 neighbors, as its floor needs."""


def _check_coverage(dataset: Dataset, n_drawn: int, settings: Settings, where: str) -> None:
    label, size = int(dataset.class_sizes.argmin()), int(dataset.class_sizes.min())
    if size < _COVERAGE_ROWS:
        raise SpecError(f"{where}: class {label} has {size} rows; the coverage of a class needs {_COVERAGE_ROWS}")
    if n_drawn < _COVERAGE_ROWS:
        raise SpecError(
            f"{where}: n_samples = {settings.n_samples} gives a class {n_drawn} rows; its coverage needs "
            f"{_COVERAGE_ROWS}"
        )
