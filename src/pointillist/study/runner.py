"""Runs a study: trains what is missing in stacks, samples, measures, and writes each finished cell to the store."""

import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import partial
from importlib.metadata import version
from itertools import groupby

import jax
import numpy as np
from rich.console import Console

from pointillist.diffusion.denoisers import NetworkDenoiser
from pointillist.diffusion.networks import MLP
from pointillist.diffusion.samplers import Ancestral
from pointillist.diffusion.schedules import padded
from pointillist.engine import weights
from pointillist.engine.devices import configure
from pointillist.engine.sampling import sample_rows
from pointillist.engine.training import MAX_EPOCHS_PER_CALL, Architecture, Recipe, StackTrainer, TrainingState
from pointillist.metrics import METRICS
from pointillist.study.grid import Cell, Dataset, load_dataset, study_cells
from pointillist.study.measuring import measure_cell, measure_floor
from pointillist.study.progress import Bar, Interruption, deferred_interrupt
from pointillist.study.results import protocol, short_name
from pointillist.study.settings import Settings
from pointillist.study.spec import Spec, SpecError, to_json
from pointillist.study.store import Checkpoint, Result, Store

MODELS_PER_STACK = 16
"""Models trained together: enough to fill the devices, few enough that results come in early."""

SECONDS_PER_CALL = 1.0
"""Wanted length of a device call; between calls the bar moves and Ctrl-C is looked at."""

CHECKPOINT_EVERY = 10.0
"""Seconds of training that a killed process loses at most, besides the call in flight."""

_MEASURING = 1.5e11
"""Floating-point operations that measuring a cell takes as long as; for the progress bar alone."""


def run_study(spec: Spec, store: Store, console: Console) -> None:
    """Computes every cell of the study that the store lacks.

    Ctrl-C stops at the next safe place, and a killed process loses a few seconds: the next run goes on from there and
    ends with the same numbers, bit for bit.

    Args:
        spec: The study.
        store: Where finished cells are; it keeps the spec too.
        console: For the progress bar.

    Raises:
        SpecError: If a data set does not fit the spec, before anything is computed.
        KeyboardInterrupt: After Ctrl-C, with the state kept.
    """
    configure()
    datasets = {name: load_dataset(name) for section in spec.sections for name in section.datasets}
    _check_sizes(spec, datasets)
    _keep_study(spec, store, datasets)
    cells = study_cells(spec, {name: dataset.fingerprint for name, dataset in datasets.items()})
    pending = [cell for cell in cells if cell.key not in store.finished()]
    by_fingerprint = {dataset.fingerprint: dataset for dataset in datasets.values()}
    total = sum(_work(cell, by_fingerprint) for cell in pending)
    with (
        Bar(console, max(total, 1.0)) as bar,
        deferred_interrupt(console) as interruption,
        ThreadPoolExecutor(jax.local_device_count()) as pool,
    ):
        run = _Run(store, by_fingerprint, bar, interruption, _table_length(cells), pool)
        run.measure_floors(spec, datasets)
        for stack in _stacks(pending, by_fingerprint):
            run.finish(stack)


def _check_sizes(spec: Spec, datasets: dict[str, Dataset]) -> None:
    for section in spec.sections:
        for name in section.datasets:
            n = len(datasets[name].rows)
            for column in section.columns:
                settings = column.settings
                where = f"{section.name}, {short_name(name)} ({n} rows)"
                if settings.batch_size > n:
                    raise SpecError(f"{where}: batch_size = {settings.batch_size} is more than there are rows")
                # The floor compares two halves of the data.
                limit = min(n // 2, settings.n_samples)
                if settings.emd_rows > limit:
                    raise SpecError(
                        f"{where}: emd_rows = {settings.emd_rows} must be at most {limit}, as the EMD draws "
                        "that many rows from half of the data and from n_samples rows"
                    )


def _keep_study(spec: Spec, store: Store, datasets: dict[str, Dataset]) -> None:
    for dataset in datasets.values():
        store.add_dataset(dataset)
    store.set_fact("fingerprints", {name: dataset.fingerprint for name, dataset in datasets.items()})
    store.set_fact("spec", to_json(spec))
    store.set_fact("versions", {name: version(name) for name in ("pointillist", "jax", "numpy", "scikit-learn")})
    store.set_fact("machine", {"processor": platform.processor() or platform.machine(), "devices": jax.device_count()})


def _table_length(cells: Sequence[Cell]) -> int:
    """One length for all schedules' tables: a program then serves them all."""
    return max((cell.settings.timesteps for cell in cells), default=0) + 1


def _architecture(settings: Settings) -> Architecture:
    return Architecture(settings.width, settings.depth, settings.time_embedding)


def _operations(settings: Settings, columns: int) -> float:
    """Of one row's way through the network, about: two per weight."""
    inner = settings.width * (columns * 2 + settings.time_embedding + settings.depth * settings.width)
    return 2.0 * inner


def _training_work(cell: Cell, dataset: Dataset) -> float:
    settings = cell.settings
    n, columns = dataset.rows.shape
    steps = n // settings.batch_size
    # Forward, and backward for activations and for weights.
    return 3.0 * settings.epochs * steps * settings.batch_size * _operations(settings, columns)


def _sampling_work(cell: Cell, dataset: Dataset) -> float:
    return float(cell.settings.n_samples * cell.settings.timesteps) * _operations(cell.settings, dataset.rows.shape[1])


def _work(cell: Cell, datasets: dict[str, Dataset]) -> float:
    dataset = datasets[cell.dataset]
    return _training_work(cell, dataset) + _sampling_work(cell, dataset) + _MEASURING


def _stacks(cells: Sequence[Cell], datasets: dict[str, Dataset]) -> Iterator[list[Cell]]:
    """Cells that one program can train together, in the study's order within each kind."""

    def kind(cell: Cell) -> tuple[tuple[int, ...], tuple[int, ...], int]:
        architecture = astuple(_architecture(cell.settings))
        return datasets[cell.dataset].rows.shape, architecture, cell.settings.batch_size

    for _, alike in groupby(sorted(cells, key=kind), key=kind):
        waiting = list(alike)
        for first in range(0, len(waiting), MODELS_PER_STACK):
            yield waiting[first : first + MODELS_PER_STACK]


@dataclass
class _Run:
    store: Store
    datasets: dict[str, Dataset]
    bar: Bar
    interruption: Interruption
    table_length: int
    pool: ThreadPoolExecutor

    def measure_floors(self, spec: Spec, datasets: dict[str, Dataset]) -> None:
        """Measures data against data, where the store lacks it."""
        wanted = {
            (name, protocol(column.settings)): column.settings
            for section in spec.sections
            for name in section.datasets
            for column in section.columns
        }
        for (name, key), settings in wanted.items():
            dataset = datasets[name]
            known = self.store.floors(dataset.fingerprint, key)
            missing = [metric for metric in METRICS if metric not in known]
            if missing:
                self.bar.say(f"floor of {short_name(name)}: data against data")
            futures = {metric: self.pool.submit(measure_floor, metric, dataset, settings) for metric in missing}
            for metric, future in futures.items():
                self.store.add_floor(dataset.fingerprint, key, metric, future.result())
            self.interruption.check()

    def finish(self, cells: list[Cell]) -> None:
        """Trains, samples, measures and stores some cells that one program can train together."""
        networks, losses = self._train(cells)
        waiting: deque[tuple[Cell, Future, Callable[..., Result]]] = deque()
        for cell, network, own_losses in zip(cells, networks, losses, strict=True):
            dataset = self.datasets[cell.dataset]
            self.bar.say(f"sampling {self._name(cell)}")
            rows = self._sample(cell, network, dataset)
            self.bar.advance(_sampling_work(cell, dataset))
            kept = partial(Result, own_losses, rows, weights.to_bytes(network))
            waiting.append((cell, self.pool.submit(measure_cell, cell, dataset.rows, rows), kept))
            while waiting and waiting[0][1].done():
                self._store(*waiting.popleft())
            self.interruption.check()
        while waiting:
            self.bar.say(f"measuring {self._name(waiting[0][0])}")
            self._store(*waiting.popleft())
            self.interruption.check()

    def _store(self, cell: Cell, measures: Future, result: Callable[..., Result]) -> None:
        self.store.add_result(cell, result(measures.result()))
        self.bar.advance(_MEASURING)

    def _name(self, cell: Cell) -> str:
        return f"{short_name(self.datasets[cell.dataset].name)}, T = {cell.settings.timesteps}"

    def _train(self, cells: list[Cell]) -> tuple[list[MLP], list[np.ndarray]]:
        used = dict.fromkeys(cell.dataset for cell in cells)
        shape = self.datasets[cells[0].dataset].rows.shape
        # All data sets of the shape, used or not: the study's stacks then share one program.
        alike = [fingerprint for fingerprint, dataset in self.datasets.items() if dataset.rows.shape == shape]
        trainer = StackTrainer(
            np.stack([self.datasets[fingerprint].rows for fingerprint in alike]),
            [
                Recipe(
                    dataset=alike.index(cell.dataset),
                    schedule=padded(cell.settings.noise_schedule(), self.table_length),
                    seed=cell.random_seed,
                    epochs=cell.settings.epochs,
                    learning_rate=cell.settings.learning_rate,
                )
                for cell in cells
            ],
            _architecture(cells[0].settings),
            cells[0].settings.batch_size,
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
            self.bar.say(f"training {len(cells)} models on {names}: epoch {max(trainer.epochs_done)} of {last}")
            start = time.monotonic()
            new = trainer.run(epochs)
            seconds = time.monotonic() - start
            epochs = int(np.clip(epochs * SECONDS_PER_CALL / seconds, 1, min(2 * epochs, MAX_EPOCHS_PER_CALL)))
            losses = [np.concatenate(pair) for pair in zip(losses, new, strict=True)]
            for cell, more in zip(cells, new, strict=True):
                self._advance_training(cell, len(more))
            is_due = time.monotonic() - kept_at > CHECKPOINT_EVERY
            if is_due or trainer.is_done or self.interruption.requested:
                self._keep(trainer, cells, losses)
                kept_at = time.monotonic()
            self.interruption.check()
        return trainer.networks(), losses

    def _advance_training(self, cell: Cell, epochs: int) -> None:
        self.bar.advance(_training_work(cell, self.datasets[cell.dataset]) * epochs / cell.settings.epochs)

    def _restore(self, trainer: StackTrainer, cells: list[Cell]) -> list[np.ndarray]:
        checkpoints = [self.store.checkpoint(cell.key) for cell in cells]
        template = trainer.states()[0]
        states: list[TrainingState | None] = [
            None if kept is None else weights.from_bytes(template, kept.state) for kept in checkpoints
        ]
        if any(state is not None for state in states):
            trainer.restore(states)
        return [np.empty(0, np.float32) if kept is None else kept.losses for kept in checkpoints]

    def _keep(self, trainer: StackTrainer, cells: list[Cell], losses: list[np.ndarray]) -> None:
        states = trainer.states()
        self.store.add_checkpoints(
            {
                cell.key: Checkpoint(int(state.epoch), own, weights.to_bytes(state))
                for cell, own, state in zip(cells, losses, states, strict=True)
            }
        )

    def _sample(self, cell: Cell, network: MLP, dataset: Dataset) -> np.ndarray:
        schedule = padded(cell.settings.noise_schedule(), self.table_length)
        return sample_rows(
            NetworkDenoiser(network=network, schedule=schedule),
            Ancestral(schedule, cell.settings.variance),
            columns=dataset.rows.shape[1],
            n_rows=cell.settings.n_samples,
            seed=cell.random_seed,
        )
