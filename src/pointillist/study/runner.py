"""Runs a study: trains missing models in stacks, draws, measures, and writes each finished part to the store."""

import platform
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import cached_property
from importlib.metadata import version
from itertools import groupby
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.markup import escape

from pointillist.diffusion.classification import posterior
from pointillist.diffusion.denoisers import ConditionalDenoiser, Denoiser
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.samplers import Sampler, TransitionSampler
from pointillist.diffusion.schedules import Schedule, padded
from pointillist.diffusion.solvers import sampler_named
from pointillist.diffusion.steering import SVDD, FeynmanKac, population
from pointillist.engine import weights
from pointillist.engine.devices import configure
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL, TrainingState
from pointillist.engine.mapping import ClassElbos, ClassLogDensities, LogDensity, map_rows
from pointillist.engine.recipes import Recipe
from pointillist.engine.sampling import rows_per_chunk, stream_rows, whole_draws
from pointillist.engine.training import StackTrainer, spread_of
from pointillist.files import printable
from pointillist.progress import Bar, Interruption, deferred_interrupt
from pointillist.study.checks import check_data
from pointillist.study.grid import Cell, Dataset, load_dataset, random_seed, study_cells
from pointillist.study.measuring import (
    floor_names,
    measure_classes,
    measure_classifier,
    measure_fitted,
    measure_floor,
    measure_neighbours,
    measure_rows,
    true_nll,
)
from pointillist.study.quantities import LIKELIHOOD_STEPS, QUANTITIES
from pointillist.study.results import protocol
from pointillist.study.scorer import Scorer, held_out
from pointillist.study.settings import STEERED, Settings
from pointillist.study.spec import Spec, short_name, to_json
from pointillist.study.store import Checkpoint, Measure, Model, Store
from pointillist.study.work import Work

MODELS_PER_STACK = 16
"""Number of models trained together: enough to fill the devices, few enough that results come in early."""

SECONDS_PER_CALL = 1.0
"""Desired seconds of a device call; between calls the bar moves and Ctrl-C is checked."""

KEEP_EVERY = 10.0
"""Most seconds of training or sampling that a killed process loses, besides the call in progress."""

ELBO_TIMES = 128
"""Number of noise levels that the classifier by denoising error uses."""


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
        compute(study, pending, study.names, store, work, bar, interruption)


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

    @property
    def names(self) -> list[str]:
        """Names of the data sets."""
        return list(self.datasets)

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
    with ThreadPoolExecutor(jax.local_device_count()) as pool:
        scored = _scored(study, cells, floors_of)
        scorers = {dataset.fingerprint: pool.submit(Scorer.fit, dataset) for dataset in scored}
        # Of all cells: a part of a study then takes the programs of the whole.
        table_length = max((cell.settings.timesteps for cell in study.cells), default=0) + 1
        run = _Run(store, study.by_fingerprint, scorers, work, bar, interruption, table_length, pool)
        run.measure_floors(study.spec, {name: study.datasets[name] for name in floors_of})
        run.finish([cell for cell in cells if not cell.model_key or store.model(cell.model_key) is not None])
        waiting = [cell for cell in cells if cell.model_key and store.model(cell.model_key) is None]
        for stack in stacks(waiting, study.by_fingerprint):
            run.train(stack)
            trained = {cell.model_key for cell in stack}
            run.finish([cell for cell in waiting if cell.model_key in trained])


def _scored(study: Study, cells: Sequence[Cell], floors_of: Sequence[str]) -> list[Dataset]:
    """The data sets that need a classifier of their classes."""
    asked = {
        cell.dataset for cell in cells if cell.settings.kind == "classes" or cell.settings.classifier == "mlp_100_50"
    }
    asked |= {
        study.datasets[name].fingerprint
        for section in study.spec.sections
        for name in section.datasets
        if section.kind == "classes" and name in floors_of
    }
    return [dataset for fingerprint, dataset in study.by_fingerprint.items() if fingerprint in asked]


def _keep_study(spec: Spec, store: Store, datasets: dict[str, Dataset]) -> None:
    versions = {name: version(name) for name in ("pointillist", "jax", "numpy", "scikit-learn")}
    machine = {"processor": platform.processor() or platform.machine(), "devices": jax.device_count()}
    with store.transaction():
        for dataset in datasets.values():
            store.add_dataset(dataset)
        store.set_fact("fingerprints", {name: dataset.fingerprint for name, dataset in datasets.items()})
        store.set_fact("spec", to_json(spec))
        store.set_fact("versions", versions)
        store.set_fact("machine", machine)


def stacks(cells: Sequence[Cell], datasets: dict[str, Dataset]) -> Iterator[list[Cell]]:
    """Groups cells, one per model, that one program can train together; each group is in the study's order."""

    def kind(cell: Cell) -> tuple[Any, ...]:
        settings = cell.settings
        return datasets[cell.dataset].rows.shape, astuple(settings.architecture), astuple(settings.training_method)

    once = {cell.model_key: cell for cell in cells}.values()
    for _, alike in groupby(sorted(once, key=kind), key=kind):
        waiting = list(alike)
        for first in range(0, len(waiting), MODELS_PER_STACK):
            yield waiting[first : first + MODELS_PER_STACK]


@dataclass
class _Run:
    store: Store
    datasets: dict[str, Dataset]
    scorers: dict[str, "Future[Scorer]"]
    work: Work
    bar: Bar
    interruption: Interruption
    table_length: int
    pool: ThreadPoolExecutor

    def measure_floors(self, spec: Spec, datasets: dict[str, Dataset]) -> None:
        """Measures the floors (data against data) that the store lacks."""
        wanted = {
            (name, protocol(column.settings)): column.settings
            for section in spec.sections
            for name in section.datasets
            for column in section.columns
            if name in datasets
        }
        for (name, key), settings in wanted.items():
            dataset = datasets[name]
            known = self.store.floors(dataset.fingerprint, key)
            missing = [q for q in QUANTITIES[settings.kind] if not known.keys() >= floor_names(q, dataset, settings)]
            if "nll" in missing and true_nll(dataset, settings) is None:
                missing.remove("nll")
            if missing:
                self._say(f"floor of {short_name(name)}: data against data")
            scorer = self.scorers[dataset.fingerprint].result() if settings.kind == "classes" and missing else None
            futures = [self.pool.submit(measure_floor, q, dataset, settings, scorer) for q in missing]
            for future in futures:
                for quantity, record in future.result().items():
                    self.store.add_floor(dataset.fingerprint, key, quantity, record)
            self.interruption.check()

    def finish(self, cells: list[Cell]) -> None:
        """Draws and measures some cells whose models, if they have any, are trained."""
        waiting: deque[tuple[Cell, Future[dict[str, Measure]]]] = deque()
        for cell in cells:
            waiting.append((cell, self._measured(cell)))
            while waiting and waiting[0][1].done():
                self._store(*waiting.popleft())
            self.interruption.check()
        while waiting:
            self._say(f"measuring {self._name(waiting[0][0])}")
            self._store(*waiting.popleft())
            self.interruption.check()

    def _store(self, cell: Cell, measures: "Future[dict[str, Measure]]") -> None:
        self.store.add_result(cell, measures.result())
        self.bar.advance(self.work.measuring)

    def _measured(self, cell: Cell) -> "Future[dict[str, Measure]]":
        """Does the devices' part of a cell and gives the rest to a thread."""
        dataset, kind = self.datasets[cell.dataset], cell.settings.classifier or cell.settings.kind
        if kind == "mlp_100_50":
            scorer = self.scorers[cell.dataset].result()
            return self.pool.submit(measure_fitted, cell, dataset, scorer.classifier)
        if kind in ("elbo", "exact"):
            return self.pool.submit(measure_classifier, *self._classified(cell, dataset))
        rows = self._rows(cell, dataset)
        if kind == "knn_100":
            return self.pool.submit(measure_neighbours, cell, dataset, rows)
        if kind == "classes":
            return self.pool.submit(measure_classes, cell, dataset, rows, self.scorers[cell.dataset].result())
        return self.pool.submit(measure_rows, cell, dataset.rows, rows, self._log_density(cell, dataset))

    def _say(self, what: str) -> None:
        """Shows the current step; escapes it, because a file's name may hold anything."""
        self.bar.say(escape(printable(what)))

    def _name(self, cell: Cell) -> str:
        settings = cell.settings
        what = settings.classifier or (settings.method if settings.kind == "classes" else f"T = {settings.timesteps}")
        w = f", w = {settings.guidance:g}" if settings.method == "guidance" and not settings.classifier else ""
        return f"{short_name(self.datasets[cell.dataset].name)}, {what}{w}"

    def train(self, cells: list[Cell]) -> None:
        """Trains the models of some cells that one program can train together, and keeps them."""
        used = dict.fromkeys(cell.dataset for cell in cells)
        first = self.datasets[cells[0].dataset]
        is_conditional = cells[0].settings.class_embedding > 0
        # All data sets of the shape, used or not: the study's stacks then share one program.
        alike = [
            fingerprint
            for fingerprint, dataset in self.datasets.items()
            if dataset.rows.shape == first.rows.shape and not (is_conditional and dataset.labels is None)
        ]
        labels = [dataset.labels for fingerprint in alike if (dataset := self.datasets[fingerprint]).labels is not None]
        trainer = StackTrainer(
            np.stack([self.datasets[fingerprint].rows for fingerprint in alike]),
            [
                Recipe(
                    dataset=alike.index(cell.dataset),
                    schedule=self._schedule(cell.settings),
                    seed=random_seed(cell.model_key),
                    epochs=cell.settings.epochs,
                    learning_rate=cell.settings.learning_rate,
                    warmup=cell.settings.warmup,
                    decay=cell.settings.decay,
                    averaging=cell.settings.averaging,
                    n_classes=self.datasets[cell.dataset].n_classes,
                    p_uncond=cell.settings.p_uncond,
                )
                for cell in cells
            ],
            cells[0].settings.architecture,
            cells[0].settings.training_method,
            labels=np.stack(labels).astype(np.int32) if is_conditional else None,
            capacity=MODELS_PER_STACK,
        )
        losses = self._restore(trainer, cells)
        names = ", ".join(short_name(self.datasets[fingerprint].name) for fingerprint in used)
        last = max(recipe.epochs for recipe in trainer.recipes)
        epochs = 1
        kept_at = time.monotonic()
        for cell, done in zip(cells, trainer.epochs_done, strict=True):
            self._advance_training(cell, done)
        while not trainer.is_done:
            self._say(f"training {len(cells)} models on {names}: epoch {max(trainer.epochs_done)} of {last}")
            start = time.monotonic()
            new = trainer.run(epochs)
            seconds = time.monotonic() - start
            epochs = int(np.clip(epochs * SECONDS_PER_CALL / seconds, 1, min(2 * epochs, MAX_EPOCHS_PER_CALL)))
            losses = [np.concatenate(pair) for pair in zip(losses, new, strict=True)]
            for cell, more in zip(cells, new, strict=True):
                self._advance_training(cell, len(more))
            if time.monotonic() - kept_at > KEEP_EVERY or self.interruption.requested:
                self._keep(trainer, cells, losses)
                kept_at = time.monotonic()
            self.interruption.check()
        networks = map(weights.to_bytes, trainer.networks())
        models = [Model(own, network) for own, network in zip(losses, networks, strict=True)]
        self.store.add_models({cell.model_key: model for cell, model in zip(cells, models, strict=True)})

    def _schedule(self, settings: Settings) -> Schedule:
        """Makes a schedule, with tables of one length for all so that they share programs."""
        return padded(settings.noise_schedule(), self.table_length)

    def _advance_training(self, cell: Cell, epochs: int) -> None:
        self.bar.advance(self.work.training(cell) * epochs / cell.settings.epochs)

    def _restore(self, trainer: StackTrainer, cells: list[Cell]) -> list[np.ndarray]:
        checkpoints = [self.store.checkpoint(cell.model_key) for cell in cells]
        template = trainer.template
        states: list[TrainingState | None] = [
            None if kept is None else self.store.tree(template, kept.state) for kept in checkpoints
        ]
        if any(state is not None for state in states):
            trainer.restore(states)
        return [np.empty(0, np.float32) if kept is None else kept.losses for kept in checkpoints]

    def _keep(self, trainer: StackTrainer, cells: list[Cell], losses: list[np.ndarray]) -> None:
        states = trainer.states()
        self.store.add_checkpoints(
            {
                cell.model_key: Checkpoint(int(state.epoch), own, weights.to_bytes(state))
                for cell, own, state in zip(cells, losses, states, strict=True)
            }
        )

    def _denoiser(self, cell: Cell, dataset: Dataset) -> Denoiser:
        model = self.store.model(cell.model_key)
        assert model is not None
        settings, architecture = cell.settings, cell.settings.architecture
        network = self.store.network(model.network, architecture, dataset.rows.shape[1])
        parts = network, settings.prediction, spread_of(dataset.rows)
        return architecture.denoiser(*parts, self._schedule(settings), dataset.n_classes)

    def _rows(self, cell: Cell, dataset: Dataset) -> np.ndarray:
        """The cell's rows, drawn if no other cell has drawn them."""
        settings, columns = cell.settings, dataset.rows.shape[1]
        kept = self.store.rows(cell.rows_key, columns)
        if kept is not None:
            return kept
        denoiser = self._denoiser(cell, dataset)
        schedule = self._schedule(settings)
        sampler: Sampler = sampler_named(settings.sampler, schedule, settings.steps or None, settings.variance)
        labels = None if settings.kind == "rows" else dataset.labels_to_draw(settings.n_samples)
        if settings.guidance:
            assert isinstance(denoiser, ConditionalDenoiser)
            denoiser = ClassifierFree(denoiser, np.asarray(settings.guidance, np.float32))
        if settings.method in STEERED:
            assert isinstance(sampler, TransitionSampler)
            reward = self.scorers[cell.dataset].result().reward()
            temperature = np.asarray(settings.reward_temperature, np.float32)
            sampler = (
                SVDD(sampler, reward, temperature, settings.candidates)
                if settings.method == "svdd_pm"
                else FeynmanKac(sampler, reward, temperature, settings.candidates, population(settings.candidates))
            )
        n_rows, places = settings.n_samples, None
        if labels is not None and sampler.rows_per_draw > 1:
            labels, places = whole_draws(labels, sampler)
            n_rows = len(labels)
        part = self.store.part(cell.rows_key, columns)
        # A draw goes on at the beginning of a chunk.
        n_kept = 0 if part is None else len(part) // rows_per_chunk(sampler) * rows_per_chunk(sampler)
        parts = [] if part is None else [part[:n_kept]]
        self._say(f"sampling {self._name(cell)}")
        self.bar.advance(self.work.sampling(cell) * n_kept / n_rows)
        kept_at = time.monotonic()
        for new in stream_rows(
            denoiser,
            sampler,
            columns=columns,
            n_rows=n_rows,
            seed=random_seed(cell.rows_key),
            labels=None if labels is None else labels[n_kept:],
            first_row=n_kept,
        ):
            parts.append(new)
            self.bar.advance(self.work.sampling(cell) * len(new) / n_rows)
            if time.monotonic() - kept_at > KEEP_EVERY or self.interruption.requested:
                self.store.add_part(cell.rows_key, np.concatenate(parts))
                kept_at = time.monotonic()
            self.interruption.check()
        rows = np.concatenate(parts) if places is None else np.concatenate(parts)[places]
        self.store.add_rows(cell.rows_key, rows)
        return rows

    def _log_density(self, cell: Cell, dataset: Dataset) -> np.ndarray | None:
        """Log-densities of held-out rows under a cell's model, in nats; None if there are none."""
        fresh = held_out(dataset.name, cell.settings.n_held_out)
        if fresh is None:
            return None
        self._say(f"likelihood of {self._name(cell)}")
        log_density = map_rows(LogDensity(self._denoiser(cell, dataset), LIKELIHOOD_STEPS), fresh[0])
        self.bar.advance(self.work.classifying(cell))
        return log_density

    def _classified(self, cell: Cell, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
        """A model's class probabilities of held-out rows, and their labels."""
        self._say(f"classifying {self._name(cell)}")
        fresh = held_out(dataset.name, cell.settings.n_held_out)
        denoiser = self._denoiser(cell, dataset)
        assert fresh is not None and isinstance(denoiser, ConditionalDenoiser)
        rows, labels = fresh
        method: Any = (
            ClassElbos(denoiser, dataset.n_classes, ELBO_TIMES)
            if cell.settings.classifier == "elbo"
            else ClassLogDensities(denoiser, dataset.n_classes)
        )
        log_likelihoods = map_rows(method, rows, seed=random_seed(cell.key))
        self.bar.advance(self.work.classifying(cell))
        return posterior(log_likelihoods, dataset.class_sizes), labels
