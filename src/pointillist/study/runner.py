"""Runs a study: trains missing models in stacks, draws, measures, and writes each finished part to the store."""

import platform
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any

import jax
from rich.console import Console

from pointillist.engine.devices import configure
from pointillist.metrics import Estimate, Floor
from pointillist.progress import Bar, Interruption, deferred_interrupt
from pointillist.study import measuring
from pointillist.study.checks import check_data
from pointillist.study.grid import Cell, Dataset, columns_to_json, load_dataset, study_cells
from pointillist.study.quantities import QUANTITIES
from pointillist.study.results import protocol
from pointillist.study.sampling import class_probabilities_of, log_density_of, rows_of
from pointillist.study.scorer import Scorer
from pointillist.study.settings import Settings
from pointillist.study.shared import Shared, Work
from pointillist.study.spec import Spec, short_name, to_json
from pointillist.study.store import Store
from pointillist.study.training import stacks, train


def run_study(spec: Spec, store: Store, console: Console) -> None:
    """Computes every cell of the study that the store lacks.

    Ctrl-C stops at the next safe point, and a killed process loses a few seconds. The next run continues from there and
    ends with the same numbers, bit for bit.

    Args:
        spec: The study.
        store: Store of finished models, rows and cells; it keeps the spec too.
        console: Console for the progress bar.

    Raises:
        SpecError: If a data set does not fit the spec, before anything is computed.
        KeyboardInterrupt: After Ctrl-C; the state is kept.
    """
    study = Study.begun(spec, store)
    pending = study.pending(store)
    work = Work(study.by_fingerprint, pending, store)
    with Bar(console, work.total) as bar, deferred_interrupt(console) as interruption:
        compute(study, pending, study.without_floors(store), store, work, bar, interruption)


@dataclass(frozen=True)
class Study:
    """A spec and its data sets.

    Attributes:
        spec: The study's spec.
        datasets: Data sets by name.
    """

    spec: Spec
    datasets: dict[str, Dataset]

    @classmethod
    def begun(cls, spec: Spec, store: Store) -> "Study":
        """Loads and checks the data, and keeps it with the spec.

        Raises:
            SpecError: If a data set does not fit the spec.
        """
        configure()
        study = cls(spec, {name: load_dataset(name) for section in spec.sections for name in section.datasets})
        check_data(spec, study.datasets)
        _keep_study(spec, store, study.datasets)
        return study

    def without_floors(self, store: Store) -> list[str]:
        """Names of the data sets of which the store lacks floors."""
        return [name for name in self.datasets if any(self.missing_floors(name, store))]

    def missing_floors(self, name: str, store: Store) -> Iterator[tuple[str, Settings, list[str]]]:
        """The floors of a data set that the store lacks: their protocol, settings with it, and names of quantities."""
        dataset = self.datasets[name]
        wanted = {
            protocol(column.settings): column.settings
            for section in self.spec.sections
            for column in section.columns
            if name in section.datasets
        }
        for key, settings in wanted.items():
            known = store.floors(dataset.fingerprint, key)
            missing = [
                q for q in QUANTITIES[settings.kind] if not known.keys() >= measuring.floor_names(q, dataset, settings)
            ]
            if settings.kind == "classifier" and missing and not measuring.has_true_probabilities(dataset):
                continue
            if "nll" in missing and measuring.true_nll(dataset, settings) is None:
                missing.remove("nll")
            if missing:
                yield key, settings, missing

    @property
    def by_fingerprint(self) -> dict[str, Dataset]:
        """The data sets by fingerprint."""
        return {dataset.fingerprint: dataset for dataset in self.datasets.values()}

    @cached_property
    def cells(self) -> list[Cell]:
        """All cells, once each."""
        return study_cells(self.spec, {name: dataset.fingerprint for name, dataset in self.datasets.items()})

    def pending(self, store: Store) -> list[Cell]:
        """The cells that the store lacks."""
        finished = store.finished()
        return [cell for cell in self.cells if cell.key not in finished]


def compute(
    study: Study,
    cells: Sequence[Cell],
    floors_of: Sequence[str],
    store: Store,
    work: Work,
    bar: Bar,
    interruption: Interruption,
) -> None:
    """Computes some cells of a study, and the floors of some of its data sets, where the store lacks them."""
    with warnings.catch_warnings(), ThreadPoolExecutor(jax.local_device_count()) as pool:
        # The scoring classifier has the protocol's number of passes, whether they are enough or not.
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
        scored = _scored(study, cells, floors_of)
        scorers = {dataset.fingerprint: pool.submit(Scorer.fit, dataset) for dataset in scored}
        # Of all cells: a part of a study then takes the programs of the whole.
        table_length = max((cell.settings.timesteps for cell in study.cells), default=0) + 1
        shared = Shared(store, study.by_fingerprint, work, bar, interruption, table_length)
        measuring = _Measuring(shared, scorers, pool)
        try:
            measuring.begin_floors(study, floors_of)
            measuring.begin([cell for cell in cells if not cell.model_key or store.model(cell.model_key) is not None])
            waiting = [cell for cell in cells if cell.model_key and store.model(cell.model_key) is None]
            for stack in stacks(waiting, study.by_fingerprint):
                train(shared, stack, measuring.store_finished)
                trained = {cell.model_key for cell in stack}
                measuring.begin([cell for cell in waiting if cell.model_key in trained])
            measuring.finish()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _scored(study: Study, cells: Sequence[Cell], floors_of: Sequence[str]) -> list[Dataset]:
    """The data sets that need a classifier of their classes."""
    sections = [section for section in study.spec.sections if section.kind == "classes"]
    asked = {study.datasets[name].fingerprint for each in sections for name in each.datasets if name in floors_of}
    asked |= {c.dataset for c in cells if c.settings.kind == "classes" or c.settings.classifier == "mlp_100_50"}
    return [dataset for fingerprint, dataset in study.by_fingerprint.items() if fingerprint in asked]


def _keep_study(spec: Spec, store: Store, datasets: dict[str, Dataset]) -> None:
    versions = {name: version(name) for name in ("pointillist", "jax", "numpy", "scikit-learn")}
    machine = {"processor": platform.processor() or platform.machine(), "devices": jax.device_count()}
    with store.transaction():
        for dataset in datasets.values():
            store.add_dataset(dataset)
        store.set_fact("fingerprints", {name: dataset.fingerprint for name, dataset in datasets.items()})
        store.set_fact("columns", {name: columns_to_json(dataset) for name, dataset in datasets.items()})
        store.set_fact("spec", to_json(spec))
        store.set_fact("versions", versions)
        store.set_fact("machine", machine)


@dataclass
class _Measuring:
    """Measures cells on threads, while the devices work on the next ones."""

    shared: Shared
    scorers: dict[str, "Future[Scorer]"]
    pool: ThreadPoolExecutor
    waiting: deque[tuple[str, "Future[Any]", Callable[[Any], None]]] = field(default_factory=deque)
    """What is measured, its future, and what stores its result."""

    def begin_floors(self, study: Study, names: Sequence[str]) -> None:
        """Begins to measure the floors (data against data) that the store lacks, of some data sets."""
        missing = [(name, *each) for name in names for each in study.missing_floors(name, self.shared.store)]
        for name, key, settings, quantities in missing:
            dataset = study.datasets[name]
            # All are given to the threads before this: none of them waits for a later one.
            scorer = self.scorers[dataset.fingerprint].result if settings.kind == "classes" else None
            self.shared.say(f"floor of {short_name(name)}: data against data")
            for q in quantities:
                future = self.pool.submit(measuring.measure_floor, q, dataset, settings, scorer)
                self.waiting.append((f"floor of {short_name(name)}", future, partial(self._store_floors, dataset, key)))

    def begin(self, cells: list[Cell]) -> None:
        """Does the devices' part of some cells whose models, if they have any, are trained."""
        for cell in cells:
            self.waiting.append((self.shared.name(cell), self._measured(cell), partial(self._store, cell)))
            self.store_finished()
            self.shared.interruption.check()

    def store_finished(self) -> None:
        """Stores what is measured, in the order in which it was begun."""
        while self.waiting and self.waiting[0][1].done():
            self._store_next()

    def finish(self) -> None:
        """Waits for what has begun."""
        while self.waiting:
            self.shared.say(f"measuring {self.waiting[0][0]}")
            self._store_next()
            self.shared.interruption.check()

    def _store_next(self) -> None:
        _, future, store = self.waiting.popleft()
        store(future.result())

    def _store(self, cell: Cell, measures: dict[str, Estimate]) -> None:
        self.shared.store.add_result(cell, measures)
        self.shared.bar.advance(self.shared.work.measuring)

    def _store_floors(self, dataset: Dataset, key: str, records: dict[str, Floor]) -> None:
        for quantity, record in records.items():
            self.shared.store.add_floor(dataset.fingerprint, key, quantity, record)

    def _measured(self, cell: Cell) -> "Future[dict[str, Estimate]]":
        """Does the devices' part of a cell and gives the rest to a thread."""
        shared, dataset = self.shared, self.shared.dataset(cell)
        kind = cell.settings.classifier or cell.settings.kind
        if kind == "mlp_100_50":
            return self.pool.submit(
                measuring.measure_fitted, cell, dataset, self.scorers[cell.dataset].result().classifier
            )
        if kind in ("elbo", "exact"):
            return self.pool.submit(measuring.measure_classifier, *class_probabilities_of(shared, cell))
        scorer = self.scorers[cell.dataset].result() if kind == "classes" else None
        rows = rows_of(shared, cell, scorer)
        if kind == "knn_100":
            return self.pool.submit(measuring.measure_neighbors, cell, dataset, rows)
        if scorer is not None:
            return self.pool.submit(measuring.measure_classes, cell, dataset, rows, scorer)
        return self.pool.submit(measuring.measure_rows, cell, dataset.rows, rows, log_density_of(shared, cell))
