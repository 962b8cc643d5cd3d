"""Trains the models of a study in stacks, and computes rows, likelihoods and classes of held-out rows by them."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from itertools import groupby, islice
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.diffusion.classification import ClassElbos, ClassLogDensities, posterior
from pointillist.diffusion.denoisers import Denoiser, has_classes
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.registries import sampler_named
from pointillist.diffusion.samplers import Sampler, TransitionSampler
from pointillist.engine import weights
from pointillist.engine.epochs import MAX_EPOCHS_PER_CALL
from pointillist.engine.mapping import LogDensity, map_rows
from pointillist.engine.recipes import Recipe
from pointillist.engine.sampling import stream_rows, whole_draws
from pointillist.engine.training import StackTrainer
from pointillist.progress import Keeping
from pointillist.study.grid import Cell, Dataset, random_seed
from pointillist.study.measuring import Scorer, held_out
from pointillist.study.quantities import LIKELIHOOD_STEPS
from pointillist.study.settings import STEERED
from pointillist.study.shared import Shared
from pointillist.study.spec import short_name
from pointillist.study.store import Model

MODELS_PER_STACK = 16
"""Number of models trained together: enough to fill the devices, few enough that results come in early."""

KEEP_EVERY = 10.0
"""Most seconds of training that a killed process loses, in addition to the call in progress."""

SECONDS_PER_CALL = 1.0
"""Desired seconds of a device call; between calls the bar moves and Ctrl-C is checked."""


def stacks(cells: Sequence[Cell], datasets: dict[str, Dataset]) -> Iterator[list[Cell]]:
    """Groups cells, one per model, that one program can train together; each group is in the study's order."""

    def kind(cell: Cell) -> tuple[Any, ...]:
        shape, settings = datasets[cell.dataset].rows.shape, cell.settings
        return shape, astuple(settings.architecture), astuple(settings.training_method)

    once = {cell.model_key: cell for cell in cells}.values()
    for _, alike in groupby(sorted(once, key=kind), key=kind):
        while stack := list(islice(alike, MODELS_PER_STACK)):
            yield stack


def train(shared: Shared, cells: list[Cell], meanwhile: Callable[[], None]) -> None:
    """Trains models of cells, one for each, in one program; calls `meanwhile` between calls of the devices."""
    store, trainer = shared.store, _trainer(shared, cells)
    checkpoints = [store.checkpoint(cell.model_key) for cell in cells]
    if any(checkpoints):
        template = trainer.template
        trainer.restore([None if kept is None else store.tree(template, kept.network) for kept in checkpoints])
    losses = [np.empty(0, np.float32) if kept is None else kept.losses for kept in checkpoints]

    def models_of(trees: Iterable[Any]) -> dict[str, Model]:
        parts = zip(cells, losses, map(weights.to_bytes, trees), strict=True)
        return {cell.model_key: Model(curve, content) for cell, curve, content in parts}

    names = ", ".join(dict.fromkeys(short_name(shared.dataset(cell).name) for cell in cells))
    last = max(recipe.epochs for recipe in trainer.recipes)
    keeping, epochs = Keeping(KEEP_EVERY, shared.interruption), 1
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
        keeping.now_and_then(lambda: store.add_checkpoints(models_of(trainer.states())))
    store.add_models(models_of(trainer.networks()))


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
    recipes = [
        Recipe(
            dataset=indices[cell.dataset],
            schedule=shared.schedule(cell),
            seed=random_seed(cell.model_key),
            n_classes=shared.dataset(cell).n_classes,
            **{key: getattr(cell.settings, key) for key in _OF_RECIPES},
        )
        for cell in cells
    ]
    return StackTrainer(
        np.stack([dataset.rows for dataset in alike.values()]),
        recipes,
        settings.architecture,
        settings.training_method,
        labels=np.stack(labels).astype(np.int32) if is_conditional else None,
        capacity=MODELS_PER_STACK,
    )


_OF_RECIPES = ("epochs", "learning_rate", "warmup", "decay", "averaging", "p_uncond")


def _advance(shared: Shared, cells: list[Cell], epochs: Iterable[int]) -> None:
    for cell, n in zip(cells, epochs, strict=True):
        shared.bar.advance(n / cell.settings.epochs)


def rows_of(shared: Shared, cell: Cell, scorer: Scorer | None) -> Float[np.ndarray, "n d"]:
    """Returns a cell's rows, drawn if no other cell has drawn them."""
    kept = shared.store.rows(cell.rows_key)
    if kept is not None:
        return kept
    dataset, settings = shared.dataset(cell), cell.settings
    shared.bar.say(f"sampling {shared.name(cell)}")
    sampler, denoiser = _sampler(shared, cell, scorer), denoiser_of(shared, cell)
    if settings.guidance:
        assert has_classes(denoiser)
        denoiser = ClassifierFree(denoiser, np.asarray(settings.guidance, np.float32))
    n_rows, labels = settings.n_samples, None
    chosen: Any = slice(None)
    if settings.kind != "rows":
        labels, chosen = whole_draws(dataset.labels_to_draw(n_rows), sampler)
        n_rows = len(labels)
    columns, seed, parts = dataset.rows.shape[1], random_seed(cell.rows_key), list[np.ndarray]()
    for new in stream_rows(denoiser, sampler, columns=columns, n_rows=n_rows, seed=seed, labels=labels):
        parts.append(new)
        shared.interruption.check()
    rows = np.concatenate(parts)[chosen]
    shared.store.add_rows(cell.rows_key, rows)
    return rows


def log_density_of(shared: Shared, cell: Cell) -> Float[np.ndarray, " n"] | None:
    """Computes log-densities of held-out rows under a cell's model, in nats; returns None if there are none."""
    fresh = held_out(shared.dataset(cell).name, cell.settings.n_held_out)
    if fresh is None:
        return None
    shared.bar.say(f"likelihood of {shared.name(cell)}")
    return map_rows(LogDensity(denoiser_of(shared, cell), LIKELIHOOD_STEPS), fresh[0])


def class_probabilities_of(shared: Shared, cell: Cell) -> tuple[Float[np.ndarray, "n classes"], Int[np.ndarray, " n"]]:
    """Computes a model's class probabilities of held-out rows, and returns them with the rows' labels."""
    shared.bar.say(f"classifying {shared.name(cell)}")
    dataset, denoiser = shared.dataset(cell), denoiser_of(shared, cell)
    fresh = held_out(dataset.name, cell.settings.n_held_out)
    assert fresh is not None and has_classes(denoiser)
    kind: Any = ClassElbos if cell.settings.classifier == "elbo" else ClassLogDensities
    log_likelihoods = map_rows(kind(denoiser, dataset.n_classes), fresh[0], seed=random_seed(cell.key))
    return posterior(log_likelihoods, dataset.class_sizes), fresh[1]


def denoiser_of(shared: Shared, cell: Cell) -> Denoiser:
    """Returns the denoiser of a cell's trained model."""
    model = shared.store.model(cell.model_key)
    assert model is not None
    dataset, settings = shared.dataset(cell), cell.settings
    network = shared.store.network(model.network, settings.architecture, dataset.rows.shape[1])
    return dataset.process(settings, shared.schedule(cell)).denoiser(network)


def _sampler(shared: Shared, cell: Cell, scorer: Scorer | None) -> Sampler:
    settings = cell.settings
    sampler = sampler_named(settings.sampler, shared.schedule(cell), settings.steps or None, settings.variance)
    if settings.method not in STEERED:
        return sampler
    assert isinstance(sampler, TransitionSampler) and scorer is not None
    temperature = np.asarray(settings.reward_temperature, np.float32)
    return STEERED[settings.method](sampler, scorer.reward(), temperature, settings.candidates)
