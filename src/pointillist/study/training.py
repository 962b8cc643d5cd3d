"""Trains the models of a study in stacks, with checkpoints in the store."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np

from pointillist.engine import weights
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL
from pointillist.engine.recipes import Recipe
from pointillist.engine.training import StackTrainer
from pointillist.study.grid import Cell, Dataset, random_seed
from pointillist.study.shared import Shared
from pointillist.study.spec import short_name
from pointillist.study.store import Checkpoint, Model

MODELS_PER_STACK = 16
"""Number of models trained together: enough to fill the devices, few enough that results come in early."""

SECONDS_PER_CALL = 1.0
"""Desired seconds of a device call; between calls the bar moves and Ctrl-C is checked."""


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


def train(shared: Shared, cells: list[Cell], meanwhile: Callable[[], None]) -> None:
    """Trains models of cells, one for each, in one program; calls `meanwhile` between calls of the devices."""
    trainer = _trainer(shared, cells)
    losses = _restored(shared, trainer, cells)
    names = ", ".join(dict.fromkeys(short_name(shared.dataset(cell).name) for cell in cells))
    last = max(recipe.epochs for recipe in trainer.recipes)
    keeping, epochs = shared.keeping(), 1
    _advance(shared, cells, trainer.epochs_done)
    while not trainer.is_done:
        shared.bar.say(f"training {len(cells)} models on {names}: epoch {max(trainer.epochs_done)} of {last}")
        start = time.monotonic()
        new = trainer.run(epochs)
        seconds = time.monotonic() - start
        meanwhile()
        epochs = int(np.clip(epochs * SECONDS_PER_CALL / seconds, 1, min(2 * epochs, MAX_EPOCHS_PER_CALL)))
        losses = [np.concatenate(pair) for pair in zip(losses, new, strict=True)]
        _advance(shared, cells, map(len, new))
        keeping.now_and_then(partial(_keep, shared, trainer, cells, losses))
    networks = map(weights.to_bytes, trainer.networks())
    finished = zip(cells, losses, networks, strict=True)
    shared.store.add_models({cell.model_key: Model(curve, network) for cell, curve, network in finished})


def _trainer(shared: Shared, cells: list[Cell]) -> StackTrainer:
    """Makes a trainer of all data sets of the shape, used or not: the study's stacks then share one program."""
    first, settings = shared.dataset(cells[0]), cells[0].settings
    is_conditional = settings.class_embedding > 0
    alike = {
        fingerprint: dataset
        for fingerprint, dataset in shared.study.by_fingerprint.items()
        if dataset.rows.shape == first.rows.shape and not (is_conditional and dataset.labels is None)
    }
    indices = {fingerprint: i for i, fingerprint in enumerate(alike)}
    labels = [dataset.labels for dataset in alike.values() if dataset.labels is not None]
    return StackTrainer(
        np.stack([dataset.rows for dataset in alike.values()]),
        [_recipe(shared, cell, indices[cell.dataset]) for cell in cells],
        settings.architecture,
        settings.training_method,
        labels=np.stack(labels).astype(np.int32) if is_conditional else None,
        capacity=MODELS_PER_STACK,
    )


def _recipe(shared: Shared, cell: Cell, dataset: int) -> Recipe:
    settings = cell.settings
    return Recipe(
        dataset=dataset,
        schedule=shared.schedule(cell),
        seed=random_seed(cell.model_key),
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        warmup=settings.warmup,
        decay=settings.decay,
        averaging=settings.averaging,
        n_classes=shared.dataset(cell).n_classes,
        p_uncond=settings.p_uncond,
    )


def _advance(shared: Shared, cells: list[Cell], epochs: Iterable[int]) -> None:
    for cell, n in zip(cells, epochs, strict=True):
        shared.bar.advance(shared.study.training_work(cell) * n / cell.settings.epochs)


def _restored(shared: Shared, trainer: StackTrainer, cells: list[Cell]) -> list[np.ndarray]:
    """Sets the trainer to what the store kept, and returns the losses until then."""
    checkpoints = [shared.store.checkpoint(cell.model_key) for cell in cells]
    if any(checkpoints):
        template = trainer.template
        trainer.restore([None if kept is None else shared.store.tree(template, kept.state) for kept in checkpoints])
    return [np.empty(0, np.float32) if kept is None else kept.losses for kept in checkpoints]


def _keep(shared: Shared, trainer: StackTrainer, cells: list[Cell], losses: list[np.ndarray]) -> None:
    states = zip(cells, losses, trainer.states(), strict=True)
    shared.store.add_checkpoints(
        {cell.model_key: Checkpoint(int(state.epoch), curve, weights.to_bytes(state)) for cell, curve, state in states}
    )
