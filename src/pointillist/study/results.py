"""A study's results in the form that tables and figures need: a pure function of the store."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from pointillist.atomic_files import checking
from pointillist.diffusion.schedules import prior_kl
from pointillist.metrics import Baseline
from pointillist.study.comparisons import MIN_SEEDS_FOR_SPREAD, Better, Summary, best, excess, reach_baseline, summarize
from pointillist.study.grid import Cell, Dataset, has_fresh_rows, study_cells, with_columns
from pointillist.study.quantities import OF_EACH_CLASS, QUANTITIES, SIZES, class_metric, is_asked, protocol
from pointillist.study.settings import Settings
from pointillist.study.spec import ReferenceValue, Section, from_json, short_name
from pointillist.study.store import Store, StoreError

KL_LIMIT = 0.01
"""Nats per column of the data. If a schedule leaves more in the prior, its sampler starts from a wrong distribution."""

BANDS = {"baseline": "no test finds it worse than the baseline", "near": "under 5", "off": "5 to 20", "far": "over 20"}
"""Classes of cells by their distance from the baseline in standard errors, with the legend's text for them."""

_NEAR, _FAR = 5, 20


class Entry(NamedTuple):
    """A table's cell: texts, which are empty if there is nothing to show, and the measured number.

    `band` is the distance from the baseline as one of `BANDS`, `distance` the same in words, and `live` the request to
    `index.html` to draw the rows of the cell.
    """

    measured: str
    reported: str = ""
    is_best: bool = False
    number: float | None = None
    band: str = ""
    distance: str = ""
    live: str = ""


@dataclass(frozen=True)
class Measured:
    """The results of one column of a section for a data set and metric; None if they are not known.

    `is_best` means that no test distinguishes it from the best, and `reaches_baseline` that no test finds it worse than
    its baseline. `excess` is the distance on the worse side of the baseline, in standard errors.
    """

    summary: Summary | None
    reference: ReferenceValue | None
    baseline: Baseline | None
    is_asked: bool
    is_best: bool
    reaches_baseline: bool
    excess: float | None

    @property
    def value(self) -> float:
        """The measured value; NaN if there is none, or if the model diverged."""
        return np.nan if self.summary is None else self.summary.value

    @property
    def is_diverged(self) -> bool:
        """Whether cells are finished, and a model diverged."""
        return self.summary is not None and not np.isfinite(self.summary.value)

    @property
    def band(self) -> tuple[str, str]:
        """Distance from the baseline, as one of `BANDS` and in words; both empty if it is unknown."""
        if self.baseline is None or self.excess is None:
            return "", ""
        side = "above" if self.value > self.baseline.value else "below"
        distance = f"{abs(self.excess):.1f} standard errors {side} the baseline"
        if self.reaches_baseline:
            return "baseline", f"{distance}: {BANDS['baseline']}"
        return "near" if self.excess < _NEAR else "off" if self.excess <= _FAR else "far", distance


@dataclass(frozen=True)
class Row:
    """One data set and metric of a section, with the results of each column.

    `metric` may be of a single class, for example "emd, class 3". If `is_ranked`, the numbers can be compared.
    """

    name: str
    metric: str
    title: str
    better: Better
    is_ranked: bool
    cells: tuple[Measured, ...]

    @property
    def dataset(self) -> str:
        """Short name of the data set."""
        return short_name(self.name)

    @property
    def baseline(self) -> Baseline | None:
        """The baseline, if all columns share one."""
        return self.cells[0].baseline if len({cell.baseline for cell in self.cells}) == 1 else None

    @cached_property
    def present(self) -> list[int]:
        """The columns that have a number."""
        return [i for i, cell in enumerate(self.cells) if np.isfinite(cell.value)]

    @property
    def leader(self) -> int:
        """The column with the best number, which a test need not distinguish from others."""

        def badness(i: int) -> float:
            cell = self.cells[i]
            if self.better == "baseline":
                return abs(cell.value - (0.0 if cell.baseline is None else cell.baseline.value))
            return cell.value if self.better == "lower" else -cell.value

        return min(self.present, key=badness)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The columns' cells of a table."""
        return tuple(map(self._entry, self.cells))

    def _entry(self, cell: Measured) -> Entry:
        summary, reported = cell.summary, "" if cell.reference is None else cell.reference.text
        if summary is None or cell.is_diverged:
            text = "diverged" if cell.is_diverged else "not yet" if cell.is_asked else "–"
            return Entry(text, reported)
        text = self._with_error(summary.value, summary.standard_error)
        return Entry(text, reported, cell.is_best, summary.value, *cell.band)

    @property
    def baseline_entry(self) -> Entry:
        """The baseline's cell of a table."""
        texts = set(self.baseline_texts)
        text = "" if "" in texts else texts.pop() if len(texts) == 1 else "varies"
        return Entry(text, number=None if self.baseline is None else self.baseline.value)

    @property
    def baseline_texts(self) -> list[str]:
        """Each column's baseline ± its spread; empty if there is none."""
        baselines = [cell.baseline for cell in self.cells]
        return ["" if baseline is None else self._with_error(baseline.value, baseline.spread) for baseline in baselines]

    def _with_error(self, value: float, error: float) -> str:
        return f"{value:.{self._decimals}f} ± {error:.{self._decimals}f}"

    @cached_property
    def _decimals(self) -> int:
        """Number of decimals that shows one digit of the median standard error, two if the first is 1 or 2.

        If a value would be shown as 0 by these, they show the smallest error.
        """
        summaries = [cell.summary for cell in self.cells if cell.summary is not None]
        known = [s for s in summaries if np.isfinite(s.standard_error) and np.isfinite(s.value)]
        errors = [s.standard_error for s in known]
        typical = float(np.median(errors)) if errors else 0.0
        if typical <= 0:
            return 3

        def showing(error: float) -> int:
            return int(np.clip(np.ceil(-np.log10(error / 3)), 0, 8))

        is_lost = any(s.value and not round(s.value, showing(typical)) for s in known)
        return showing(min(error for error in errors if error > 0)) if is_lost else showing(typical)


class Results:
    """The results that a store holds of its study. Rows are read once, even if the store changes later.

    Raises a StoreError if the store holds no study, or one that no spec can have asked for.
    """

    def __init__(self, store: Store) -> None:
        content = store.fact("spec")
        if content is None:
            raise StoreError(f"{store.path}: holds no study yet")
        self.store = store
        with checking(store.path, StoreError):
            self.spec = from_json(content)
            self.fingerprints: dict[str, str] = store.fact("fingerprints")
            # Two files may hold the same rows, which are then in memory once.
            kept = {key: store.dataset(key) for key in set(self.fingerprints.values())}
            columns, names = store.fact("columns") or {}, self.fingerprints.items()
            self._datasets = {n: with_columns(replace(kept[key], name=n), columns.get(n)) for n, key in names}
        # Tables, figures and the page ask again and again.
        self._rows: dict[Section, list[Row]] = {}
        self._prior_kls: dict[tuple[str, Settings], float] = {}

    @cached_property
    def fewest_seeds(self) -> int:
        """The fewest finished seeds of a cell that has some; the spec's number of seeds if there is none."""
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
        """Whether error bars cover training as well as sampling."""
        return self.fewest_seeds >= MIN_SEEDS_FOR_SPREAD

    @property
    def seeds(self) -> str:
        """How many seeds the cells have, in words."""
        few, all_ = self.fewest_seeds, self.spec.seeds
        return f"{all_} seed{'s' * (all_ > 1)}" if few == all_ else f"{few} to {all_} seeds"

    def dataset(self, name: str) -> Dataset:
        """Returns a data set of the study, with scaled rows."""
        return self._datasets[name]

    def cells(self, name: str, settings: Settings) -> list[Cell]:
        """Returns the cells of one data set and setting, one per seed."""
        return [_cell(self.fingerprints[name], settings, seed) for seed in range(self.spec.seeds)]

    def rows(self, section: Section) -> list[Row]:
        """Makes the rows of a section's table, by data set, then metric."""
        if section not in self._rows:
            has_likelihood = any(column.settings.n_held_out for column in section.columns)
            self._rows[section] = [
                self._row(section, name, metric)
                for name in section.datasets
                for metric in QUANTITIES[section.kind]
                if metric != "nll" or (has_likelihood and has_fresh_rows(name))
            ]
        return self._rows[section]

    def class_rows(self, section: Section) -> list[Row]:
        """Makes rows for some quantities of each class alone, by data set; none if rows have no classes."""
        return [
            self._row(section, name, metric, label)
            for name in (section.datasets if section.kind == "classes" else ())
            for metric in OF_EACH_CLASS
            for label in range(self.dataset(name).n_classes)
        ]

    def _row(self, section: Section, name: str, quantity: str, label: int | None = None) -> Row:
        title, better = QUANTITIES[section.kind][quantity]
        metric = quantity if label is None else class_metric(quantity, label)
        settings = [column.settings for column in section.columns]
        summaries = [self._summary(name, each, metric) for each in settings]
        baselines = [self.store.baselines(self.fingerprints[name], protocol(each)).get(metric) for each in settings]
        real = [None if baseline is None else _one_evaluation(baseline) for baseline in baselines]
        reported = {r.column: r for r in section.reference if (r.dataset, r.metric) == (short_name(name), metric)}
        is_ranked = quantity not in SIZES or len(set(map(SIZES[quantity][0], settings))) == 1
        targets = None
        if better == "baseline":
            is_ranked &= not any(s is not None and f is None for s, f in zip(summaries, baselines, strict=True))
            targets = [np.nan if baseline is None else baseline.value for baseline in baselines]
        parts = (
            summaries,
            [reported.get(column.label) for column in section.columns],
            baselines,
            [is_asked(metric, each) for each in settings],
            best(summaries, targets, highest=better == "higher") if is_ranked else [False] * len(settings),
            reach_baseline(summaries, real, better),
            [excess(*pair, better) for pair in zip(summaries, real, strict=True)],
        )
        heading = title if label is None else class_metric(title, label)
        return Row(name, metric, heading, better, is_ranked, tuple(map(Measured, *parts)))

    def _summary(self, name: str, settings: Settings, metric: str) -> Summary | None:
        by_seed = [self.store.measures(cell.key) for cell in self.cells(name, settings)]
        measures = [measures[metric] for measures in by_seed if metric in measures]
        # All seeds of classifiers and likelihoods are measured on the same held-out rows.
        on_same_rows = settings.kind == "classifier" or metric == "nll"
        return summarize(measures, on_same_rows=on_same_rows) if measures else None

    def alpha_bar_T(self, settings: Settings) -> float:
        """Returns ᾱ_T, the fraction of signal that is left in x_T, where the sampler assumes none."""
        return float(settings.noise_schedule().alpha_bar[-1])

    def prior_kl(self, name: str, settings: Settings) -> float:
        """Computes KL(q(x_T | x_0) ‖ N(0, I)) in nats, averaged over the data set's rows: a bound for q(x_T)."""
        asked = name, settings
        if asked not in self._prior_kls:
            self._prior_kls[asked] = prior_kl(settings.noise_schedule(), self.dataset(name).rows)
        return self._prior_kls[asked]

    def prior_is_off(self, name: str, settings: Settings) -> bool:
        """Whether the sampler may start from a wrong distribution: by that bound, above `KL_LIMIT` nats per column."""
        return self.prior_kl(name, settings) > KL_LIMIT * self.dataset(name).rows.shape[1]

    def generated(self, name: str, settings: Settings) -> np.ndarray | None:
        """Returns the generated rows of seed 0, shape (n_samples, d), scaled; None if they are not finished."""
        return self.store.rows(self.cells(name, settings)[0].rows_key)

    def losses(self, name: str, settings: Settings) -> list[np.ndarray]:
        """Returns the mean loss per epoch of the finished models, one array per seed."""
        models = [self.store.model(cell.model_key) for cell in self.cells(name, settings)]
        return [model.losses for model in models if model is not None]

    def origin(self, name: str) -> dict[str, str | int]:
        """Returns the store's facts about the "machine" or the "versions" that made it; empty if there are none."""
        return self.store.fact(name) or {}

    def finished_and_missing(self) -> tuple[int, int]:
        """Counts the finished and the missing cells."""
        keys = {cell.key for cell in study_cells(self.spec, self.fingerprints)}
        finished = len(keys & self.store.finished())
        return finished, len(keys) - finished


# Hashing a cell's keys takes longer than looking up what they lead to.
_cell = lru_cache(maxsize=100_000)(Cell)


def _one_evaluation(baseline: Baseline) -> Summary:
    n = baseline.n_repeats
    return Summary(baseline.value, baseline.spread, n - 1 if n > 1 else np.inf, n)
