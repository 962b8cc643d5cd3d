"""A study's results in the form that tables and figures need: a pure function of the store."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from pointillist.atomic_files import checking
from pointillist.diffusion.schedules import prior_kl
from pointillist.metrics import Floor
from pointillist.metrics.c2st import MOST_ROWS
from pointillist.study.checks import check_kinds
from pointillist.study.comparisons import (
    MIN_SEEDS_FOR_SPREAD,
    Better,
    Summary,
    best,
    excess,
    reach_floor,
    summarise,
)
from pointillist.study.database import StoreError
from pointillist.study.grid import RESULT_VERSION, Cell, Dataset, has_fresh_rows, study_cells, with_columns
from pointillist.study.quantities import OF_EACH_CLASS, QUANTITIES, is_asked, of_class
from pointillist.study.reference import ReferenceValue
from pointillist.study.settings import TEXT, Settings
from pointillist.study.spec import Section, Spec, from_json, short_name
from pointillist.study.store import Store

KL_LIMIT = 0.01
"""Nats per column of the data. If a schedule leaves more in the prior, its sampler starts from a wrong distribution."""


_SIZES: dict[str, Callable[[Settings], int]] = {
    "emd": lambda settings: settings.emd_rows,
    "two_sample_test": lambda settings: min(settings.n_samples, MOST_ROWS),
    "coverage": lambda settings: settings.n_samples,
    "calibration_error": lambda settings: settings.n_held_out,
}
"""Numbers of rows with which quantities change, so that only those of as many can be compared."""


def protocol(settings: Settings) -> str:
    """Names what a floor depends on: the settings, and the version of the results."""
    head = f"version={RESULT_VERSION},{settings.kind}"
    if settings.kind == "classifier":
        return f"{head},n_held_out={settings.n_held_out}"
    held_out = f",n_held_out={settings.n_held_out}" if settings.kind == "rows" else ""
    return f"{head},n_samples={settings.n_samples},emd_rows={settings.emd_rows}{held_out}"


@dataclass(frozen=True)
class Row:
    """One data set and metric of a section.

    Attributes:
        dataset: Short name of the data set.
        metric: Name of the quantity, such as "emd, class 3" for one of a single class.
        title: Heading of the row.
        better: Direction in which the quantity is better.
        summaries: Summary of each column's cells; None where no cell is finished.
        references: Reported value of each column; None where nothing was reported.
        floors: Floor of each column, the real-data baseline: the metric between halves of the data.
        is_ranked: Whether the columns' numbers can be compared, so that one is best.
        is_best: For each column, whether no test distinguishes it from the best.
        is_asked: For each column, whether its settings ask for this quantity.
        reaches_floor: For each column, whether no test finds it worse than its floor.
    """

    dataset: str
    metric: str
    title: str
    better: Better
    summaries: tuple[Summary | None, ...]
    references: tuple[ReferenceValue | None, ...]
    floors: tuple[Floor | None, ...]
    is_ranked: bool
    is_best: tuple[bool, ...]
    is_asked: tuple[bool, ...]
    reaches_floor: tuple[bool, ...]

    @property
    def floor(self) -> Floor | None:
        """The floor, if all columns share one."""
        return self.floors[0] if len(set(self.floors)) == 1 else None

    def first(self, n: int) -> "Row":
        """The row of the first columns alone."""
        of_columns = ("summaries", "references", "floors", "is_best", "is_asked", "reaches_floor")
        return replace(self, **{name: getattr(self, name)[:n] for name in of_columns})

    def value(self, i: int) -> float:
        """The value of a column that has one."""
        summary = self.summaries[i]
        assert summary is not None
        return summary.value

    def excess(self, i: int) -> float | None:
        """Distance of a column on the worse side of its floor, in standard errors; None if either is unknown."""
        summary, floor = self.summaries[i], self.floors[i]
        if summary is None or floor is None or not np.isfinite(summary.value):
            return None
        return excess(summary, _one_evaluation(floor), self.better)


class Results:
    """Everything a store holds of its study; what is read once stays, whatever the store gets after.

    Raises:
        StoreError: If the store holds no study, or one that no spec can have asked for.
    """

    def __init__(self, store: Store) -> None:
        content = store.fact("spec")
        if content is None:
            raise StoreError(f"{store.path}: holds no study yet")
        self.store = store
        with checking(store.path, StoreError):
            self.spec: Spec = from_json(content)
            names = [name for section in self.spec.sections for name in section.datasets]
            self.fingerprints = _fingerprints(store.fact("fingerprints"), names)
            # Two files may hold the same rows, which are then in memory once.
            kept = {key: store.dataset(key) for key in set(self.fingerprints.values())}
            columns = store.fact("columns") or {}
            self._datasets = {
                n: with_columns(replace(kept[key], name=n), columns.get(n)) for n, key in self.fingerprints.items()
            }
            check_kinds(self.spec, self._datasets)
        # Tables, figures and the page ask again and again.
        self._rows: dict[Section, list[Row]] = {}
        self._prior_kls: dict[tuple[str, Settings], float] = {}

    @cached_property
    def fewest_seeds(self) -> int:
        """The fewest finished seeds of a cell that has some; those that are asked for if there is none."""
        finished = self.store.finished()
        cells = (
            sum(cell.key in finished for cell in self.cells(name, column.settings))
            for section in self.spec.sections
            for name in section.datasets
            for column in section.columns
        )
        return min(filter(None, cells), default=self.spec.seeds)

    @property
    def covers_training(self) -> bool:
        """Whether error bars cover training as well as the drawing of rows."""
        return self.fewest_seeds >= MIN_SEEDS_FOR_SPREAD

    @property
    def seeds(self) -> str:
        """How many seeds the cells have, in words."""
        few, all_ = self.fewest_seeds, self.spec.seeds
        return f"{all_} seed{'s' * (all_ > 1)}" if few == all_ else f"{few} to {all_} seeds"

    def dataset(self, name: str) -> Dataset:
        """A data set of the study, with scaled rows."""
        return self._datasets[name]

    def cells(self, name: str, settings: Settings) -> list[Cell]:
        """The cells of one data set and setting, one per seed."""
        return [_cell(self.fingerprints[name], settings, seed) for seed in range(self.spec.seeds)]

    def rows(self, section: Section) -> list[Row]:
        """Makes the rows of a section's table, by data set, then metric."""
        if section not in self._rows:
            self._rows[section] = [
                self._row(section, name, q.name, q.title, q.better)
                for name in section.datasets
                for q in QUANTITIES[section.kind].values()
                if q.name != "nll"
                or (has_fresh_rows(name) and any(column.settings.n_held_out for column in section.columns))
            ]
        return self._rows[section]

    def class_rows(self, section: Section) -> list[Row]:
        """Makes rows for some quantities of each class alone, by data set; none if rows have no classes."""
        if section.kind != "classes":
            return []
        quantities = QUANTITIES["classes"]
        return [
            self._row(section, name, of_class(key, k), of_class(quantities[key].title, k), quantities[key].better)
            for name in section.datasets
            for key in OF_EACH_CLASS
            for k in range(self.dataset(name).n_classes)
        ]

    def _row(self, section: Section, name: str, metric: str, title: str, better: Better) -> Row:
        short = short_name(name)
        summaries = tuple(self._summary(name, column.settings, metric) for column in section.columns)
        known = [self.store.floors(self.fingerprints[name], protocol(column.settings)) for column in section.columns]
        floors = tuple(each.get(metric) for each in known)
        reported = {(r.dataset, r.metric, r.column): r for r in section.reference}
        lacks_target = any(s is not None and f is None for s, f in zip(summaries, floors, strict=True))
        # Not densities with unlike noise, or EMDs of unlike numbers of rows.
        size = self.cut_off if metric == "nll" else _SIZES.get(metric.partition(",")[0], lambda settings: 0)
        is_comparable = len({size(column.settings) for column in section.columns}) == 1
        is_ranked = is_comparable and not (better == "floor" and lacks_target)
        targets = [np.nan if f is None else f.value for f in floors] if better == "floor" else None
        is_best = best(summaries, targets, highest=better == "higher") if is_ranked else [False] * len(summaries)
        return Row(
            short,
            metric,
            title,
            better,
            summaries,
            tuple(reported.get((short, metric, column.label)) for column in section.columns),
            floors,
            is_ranked,
            tuple(is_best),
            tuple(is_asked(metric, column.settings) for column in section.columns),
            tuple(reach_floor(summaries, [None if f is None else _one_evaluation(f) for f in floors], better)),
        )

    def _summary(self, name: str, settings: Settings, metric: str) -> Summary | None:
        found = [self.store.measures(cell.key).get(metric) for cell in self.cells(name, settings)]
        measures = [m for m in found if m is not None]
        if not measures:
            return None
        return summarise(
            [float(m) for m in measures],
            [m.standard_error for m in measures],
            [m.degrees_of_freedom for m in measures],
            on_same_rows=settings.kind == "classifier" or metric == "nll",
        )

    def alpha_bar_T(self, settings: Settings) -> float:
        """ᾱ_T, the fraction of signal that is left where the prior is assumed."""
        return float(settings.noise_schedule().alpha_bar[-1])

    def cut_off(self, settings: Settings) -> float:
        """Noise level σ = sigma_1 / alpha_1 at which a likelihood is evaluated."""
        schedule = settings.noise_schedule()
        return float(schedule.sigma[1] / schedule.alpha[1])

    def prior_kl(self, name: str, settings: Settings) -> float:
        """KL(q(x_T | x_0) ‖ N(0, I)) in nats, averaged over the data set's rows: a bound on that of q(x_T)."""
        asked = name, settings
        if asked not in self._prior_kls:
            self._prior_kls[asked] = prior_kl(settings.noise_schedule(), self.dataset(name).rows)
        return self._prior_kls[asked]

    def prior_is_off(self, name: str, settings: Settings) -> bool:
        """Whether the sampler may start from a wrong distribution: by that bound, above `KL_LIMIT` nats per column."""
        return self.prior_kl(name, settings) > KL_LIMIT * self.dataset(name).rows.shape[1]

    def generated(self, name: str, settings: Settings) -> np.ndarray | None:
        """Generated rows of the cell of seed 0, shape (n_samples, d), scaled; None if it is not finished."""
        columns = self.dataset(name).rows.shape[1]
        return self.store.rows(self.cells(name, settings)[0].rows_key, columns)

    def losses(self, name: str, settings: Settings) -> list[np.ndarray]:
        """Mean loss per epoch of the finished cells, one array per seed."""
        models = [self.store.model(cell.model_key) for cell in self.cells(name, settings)]
        losses = [model.losses for model in models if model is not None]
        if any(len(one) != settings.epochs for one in losses):
            raise StoreError(f"{self.store.path}: is damaged: a model does not have a loss for each epoch")
        return losses

    def origin(self, name: str) -> dict[str, str | int]:
        """The store's facts about the "machine" or the "versions" that made it; empty if there are none."""
        with checking(self.store.path, StoreError):
            content = self.store.fact(name) or {}
            return {TEXT(key): each if type(each) is int else TEXT(each) for key, each in content.items()}

    def finished_and_missing(self) -> tuple[int, int]:
        """Numbers of finished and of missing cells."""
        keys = {cell.key for cell in study_cells(self.spec, self.fingerprints)}
        finished = len(keys & self.store.finished())
        return finished, len(keys) - finished


# Hashing a cell's keys takes longer than looking up what they lead to.
_cell = lru_cache(maxsize=100_000)(Cell)


def _one_evaluation(floor: Floor) -> Summary:
    return Summary(floor.value, floor.spread, floor.n_repeats - 1 if floor.n_repeats > 1 else np.inf, floor.n_repeats)


def _fingerprints(content: Any, names: Sequence[str]) -> dict[str, str]:
    """Checks the hash of every data set that a store claims."""
    if not isinstance(content, dict) or content.keys() != set(names):
        raise ValueError("its fingerprints are not those of its data sets")
    if not all(isinstance(key, str) and re.fullmatch("[0-9a-f]{32}", key) for key in content.values()):
        raise ValueError("a fingerprint is not valid")
    return content
