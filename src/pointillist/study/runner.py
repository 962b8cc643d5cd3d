"""Runs a study: trains missing models, draws, measures, and stores each finished part; here or on a Ray cluster."""

import platform
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from pointillist.engine.cluster import cluster, results
from pointillist.engine.devices import configure
from pointillist.metrics import Estimate
from pointillist.progress import Bar, Interruption, deferred_interrupt
from pointillist.study import measuring
from pointillist.study.grid import Cell, check_data, columns_to_json, load_dataset
from pointillist.study.measuring import Scorer
from pointillist.study.models import class_probabilities_of, log_density_of, rows_of, stacks, train
from pointillist.study.shared import Shared, Study
from pointillist.study.spec import Spec, short_name, to_json
from pointillist.study.store import Model, Store

MODELS_PER_TASK = 4
"""Number of models per task of a cluster: few enough that a lost worker loses little, and that all end together."""

Task = tuple[list[Cell], Sequence[str], dict[str, Model], dict[str, np.ndarray]]
"""Cells, names of data sets whose baselines are wanted, and models and rows that already exist."""


def run_study(spec: Spec, store: Store, console: Console) -> None:
    """Computes every cell of the study that the store lacks; raises a SpecError first if a data set does not fit.

    Ctrl-C stops at the next safe point with a KeyboardInterrupt, and a killed process loses a few seconds of training,
    or one draw. The next run continues from there and ends with the same numbers, bit for bit.
    """
    study = _begin(spec, store)
    pending = study.pending(store)
    # A step is a model to train, or a cell to measure.
    n_steps = len(_untrained(pending, store)) + len(pending)
    with Bar(console, n_steps) as bar, deferred_interrupt(console) as interruption:
        compute(Shared(study, store, bar, interruption), pending, study.without_baselines(store))


def _begin(spec: Spec, store: Store) -> Study:
    """Loads and checks the data of a study, and keeps it with the spec."""
    configure()
    datasets = {name: load_dataset(name) for section in spec.sections for name in section.datasets}
    check_data(spec, datasets)
    facts = {
        "fingerprints": {name: dataset.fingerprint for name, dataset in datasets.items()},
        "columns": {name: columns_to_json(dataset) for name, dataset in datasets.items()},
        "spec": to_json(spec),
        "versions": {name: version(name) for name in ("pointillist", "jax", "numpy", "scikit-learn")},
        "machine": {"processor": platform.processor() or platform.machine(), "devices": jax.device_count()},
    }
    with store.transaction():
        for dataset in datasets.values():
            store.add_dataset(dataset)
        for name, fact in facts.items():
            store.set_fact(name, fact)
    return Study(spec, datasets)


def _untrained(cells: Sequence[Cell], store: Store) -> set[str]:
    models = {cell.model_key for cell in cells if cell.model_key}
    return {key for key in models if store.model(key) is None}


def compute(shared: Shared, cells: Sequence[Cell], baselines_of: Sequence[str]) -> None:
    """Computes some cells of a study, and the baselines of some of its data sets, where the store lacks them."""
    study, store = shared.study, shared.store
    scored = {c.dataset for c in cells if c.settings.kind == "classes" or c.settings.classifier == "mlp_100_50"}
    for section in study.spec.sections:
        if section.kind == "classes":
            scored |= {study.datasets[name].fingerprint for name in section.datasets if name in baselines_of}
    with warnings.catch_warnings(), ThreadPoolExecutor(jax.local_device_count()) as pool:
        # The scoring classifier has the protocol's number of passes, whether they are enough or not.
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
        # Before all tasks that wait for them.
        datasets = {key: dataset for key, dataset in study.by_fingerprint.items() if key in scored}
        scorers = {key: pool.submit(Scorer.fit, dataset) for key, dataset in datasets.items()}
        measuring = _Measuring(shared, scorers, pool)
        try:
            measuring.begin_baselines(baselines_of)
            untrained = _untrained(cells, store)
            measuring.begin([cell for cell in cells if cell.model_key not in untrained])
            for stack in stacks([cell for cell in cells if cell.model_key in untrained], study.by_fingerprint):
                train(shared, stack, measuring.store_finished)
                trained = {cell.model_key for cell in stack}
                measuring.begin([cell for cell in cells if cell.model_key in trained])
            measuring.finish()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass
class _Measuring:
    """Measures cells on threads, while the devices work on the next ones."""

    shared: Shared
    scorers: dict[str, "Future[Scorer]"]
    pool: ThreadPoolExecutor
    waiting: deque[tuple[str, "Future[Any]", Callable[[Any], None]]] = field(default_factory=deque)
    """By measure: its name, its future, and the function that stores the result."""

    def begin_baselines(self, names: Sequence[str]) -> None:
        """Begins to measure the baselines (data against data) of some data sets, where the store lacks them."""
        study, store = self.shared.study, self.shared.store
        for name in names:
            dataset, what = study.datasets[name], f"baseline of {short_name(name)}"
            for key, settings, quantities in study.missing_baselines(name, store):
                self.shared.bar.say(f"{what}: data against data")
                scorer = self.scorers[dataset.fingerprint].result if settings.kind == "classes" else None
                add = partial(store.add_baselines, dataset.fingerprint, key)
                for quantity in quantities:
                    future = self.pool.submit(measuring.measure_baseline, quantity, dataset, settings, scorer)
                    self.waiting.append((what, future, add))

    def begin(self, cells: list[Cell]) -> None:
        """Starts to measure some cells whose models, if they have any, are trained."""
        for cell in cells:
            self.waiting.append((self.shared.name(cell), self._measured(cell), partial(self._store, cell)))
            self.store_finished()
            self.shared.interruption.check()

    def store_finished(self) -> None:
        """Stores the measures that are ready, in the order in which they were begun."""
        while self.waiting and self.waiting[0][1].done():
            _, future, store = self.waiting.popleft()
            store(future.result())

    def finish(self) -> None:
        """Waits for all measures that have begun, and stores them."""
        while self.waiting:
            what, future, store = self.waiting.popleft()
            self.shared.bar.say(f"measuring {what}")
            store(future.result())
            self.shared.interruption.check()

    def _store(self, cell: Cell, measures: dict[str, Estimate]) -> None:
        self.shared.store.add_result(cell, measures)
        self.shared.bar.advance(1)

    def _measured(self, cell: Cell) -> "Future[Any]":
        """Computes on the devices what a cell needs, and gives the rest to a thread."""
        shared, dataset = self.shared, self.shared.dataset(cell)
        kind = cell.settings.classifier or cell.settings.kind
        if kind == "mlp_100_50":
            classifier = self.scorers[cell.dataset].result().classifier
            return self.pool.submit(measuring.measure_on_both, classifier.predict_proba, dataset, cell.settings)
        if kind in ("elbo", "exact"):
            return self.pool.submit(measuring.measure_classifier, *class_probabilities_of(shared, cell))
        scorer = self.scorers[cell.dataset].result() if kind == "classes" else None
        rows = rows_of(shared, cell, scorer)
        if kind == "knn_100":
            return self.pool.submit(measuring.measure_neighbors, cell, dataset, rows)
        if scorer is not None:
            return self.pool.submit(measuring.measure_classes, cell, dataset, rows, scorer)
        return self.pool.submit(measuring.measure_rows, cell, dataset.rows, rows, log_density_of(shared, cell))


def run_study_on_ray(spec: Spec, store: Store, console: Console, address: str | None = None) -> None:
    """Does the same as `run_study` by tasks of a Ray cluster, with the same bits on the same kind of processor.

    Without an address, the cluster is this machine. Ctrl-C cancels the tasks; finished ones are kept. A ValueError says
    that there is no cluster.
    """
    # Before JAX runs threads: the processes of a local cluster are forked.
    with cluster(address), tempfile.TemporaryDirectory() as folder:
        study = _begin(spec, store)
        tasks = _tasks(study, store)
        with Bar(console, len(tasks)) as bar, deferred_interrupt(console) as interruption:
            bar.say(f"{len(tasks)} tasks on Ray")
            for done, content in enumerate(results(computed, study, tasks, check=interruption.check), 1):
                path = Path(folder) / "part.db"
                path.write_bytes(content)
                store.merge(path)
                bar.advance(1)
                bar.say(f"{done} of {len(tasks)} tasks on Ray")


def computed(study: Study, cells: list[Cell], baselines_of: Sequence[str], models: dict, rows: dict) -> bytes:
    """Runs one task, and returns the bytes of a store that holds some cells of a study."""
    configure()
    with tempfile.TemporaryDirectory() as folder, Bar(Console(quiet=True), 1.0, is_shown=False) as bar:
        path = Path(folder) / "study.db"
        with Store(path) as store:
            store.add_models(models)
            for key, array in rows.items():
                store.add_rows(key, array)
            compute(Shared(study, store, bar, Interruption()), cells, baselines_of)
        return path.read_bytes()


def _tasks(study: Study, store: Store) -> list[Task]:
    """Makes the tasks: each data set's baselines, cells of models trained together, and cells that need no training.

    Stacks are split, because on a machine with few cores a small stack takes no longer per model than a large one.
    """
    pending = study.pending(store)
    tasks: list[Task] = [([], (name,), {}, {}) for name in study.without_baselines(store)]
    for stack in stacks([cell for cell in pending if cell.model_key], study.by_fingerprint):
        for first in range(0, len(stack), MODELS_PER_TASK):
            keys = {cell.model_key for cell in stack[first : first + MODELS_PER_TASK]}
            cells = [cell for cell in pending if cell.model_key in keys]
            models = {key: model for key in keys if (model := store.model(key)) is not None}
            rows = {cell.rows_key: kept for cell in cells if (kept := store.rows(cell.rows_key)) is not None}
            tasks.append((cells, (), models, rows))
    untrained = [cell for cell in pending if not cell.model_key]
    by_dataset = [[cell for cell in untrained if cell.dataset == key] for key in study.by_fingerprint]
    return tasks + [(cells, (), {}, {}) for cells in by_dataset if cells]
