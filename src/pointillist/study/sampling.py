"""What the models of a study are asked for: rows, likelihoods of held-out rows, and their classes."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.diffusion.classification import N_TIMES, posterior
from pointillist.diffusion.denoisers import ConditionalDenoiser, Denoiser
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.samplers import Sampler, TransitionSampler
from pointillist.diffusion.solvers import sampler_named
from pointillist.engine.mapping import ClassElbos, ClassLogDensities, LogDensity, map_rows
from pointillist.engine.sampling import rows_per_chunk, stream_rows, whole_draws
from pointillist.engine.training import sigma_data_of
from pointillist.models.gaussian import GaussianProcess
from pointillist.study.grid import Cell, random_seed
from pointillist.study.measuring import Scorer, held_out
from pointillist.study.quantities import LIKELIHOOD_STEPS
from pointillist.study.settings import STEERED
from pointillist.study.shared import Shared


def rows_of(shared: Shared, cell: Cell, scorer: Scorer | None) -> Float[np.ndarray, "n d"]:
    """Returns a cell's rows, drawn if no other cell has drawn them."""
    store, dataset, settings = shared.store, shared.dataset(cell), cell.settings
    columns = dataset.rows.shape[1]
    kept = store.rows(cell.rows_key, columns)
    if kept is not None:
        return kept
    sampler, work = _steered(shared, cell, scorer), shared.study.sampling_work(cell)
    labels = None if settings.kind == "rows" else dataset.labels_to_draw(settings.n_samples)
    n_rows, chosen = settings.n_samples, None
    if labels is not None and sampler.rows_per_draw > 1:
        labels, chosen = whole_draws(labels, sampler)
        n_rows = len(labels)
    part = store.part(cell.rows_key, columns)
    # A draw goes on at the beginning of a chunk.
    n_kept = len(part) // rows_per_chunk(sampler) * rows_per_chunk(sampler)
    parts = [part[:n_kept]]
    shared.bar.say(f"sampling {shared.name(cell)}")
    shared.bar.advance(work * n_kept / n_rows)
    keeping = shared.keeping()
    for new in stream_rows(
        _guided(shared, cell),
        sampler,
        columns=columns,
        n_rows=n_rows,
        seed=random_seed(cell.rows_key),
        labels=None if labels is None else labels[n_kept:],
        first_row=n_kept,
    ):
        parts.append(new)
        shared.bar.advance(work * len(new) / n_rows)
        keeping.now_and_then(lambda: store.add_part(cell.rows_key, np.concatenate(parts)))
    rows = np.concatenate(parts)
    if chosen is not None:
        rows = rows[chosen]
    store.add_rows(cell.rows_key, rows)
    return rows


def log_density_of(shared: Shared, cell: Cell) -> Float[np.ndarray, " n"] | None:
    """Computes log-densities of held-out rows under a cell's model, in nats; returns None if there are none."""
    fresh = held_out(shared.dataset(cell).name, cell.settings.n_held_out)
    if fresh is None:
        return None
    shared.bar.say(f"likelihood of {shared.name(cell)}")
    log_density = map_rows(LogDensity(denoiser_of(shared, cell), LIKELIHOOD_STEPS), fresh[0])
    shared.bar.advance(shared.study.classifying_work(cell))
    return log_density


def class_probabilities_of(shared: Shared, cell: Cell) -> tuple[Float[np.ndarray, "n classes"], Int[np.ndarray, " n"]]:
    """Computes a model's class probabilities of held-out rows, and returns them with the rows' labels."""
    shared.bar.say(f"classifying {shared.name(cell)}")
    dataset = shared.dataset(cell)
    fresh = held_out(dataset.name, cell.settings.n_held_out)
    denoiser = denoiser_of(shared, cell)
    assert fresh is not None and isinstance(denoiser, ConditionalDenoiser)
    rows, labels = fresh
    method: Any = (
        ClassElbos(denoiser, dataset.n_classes, N_TIMES)
        if cell.settings.classifier == "elbo"
        else ClassLogDensities(denoiser, dataset.n_classes)
    )
    log_likelihoods = map_rows(method, rows, seed=random_seed(cell.key))
    shared.bar.advance(shared.study.classifying_work(cell))
    return posterior(log_likelihoods, dataset.class_sizes), labels


def denoiser_of(shared: Shared, cell: Cell) -> Denoiser:
    """Returns the denoiser of a cell's model, which is trained."""
    model = shared.store.model(cell.model_key)
    assert model is not None
    dataset, settings = shared.dataset(cell), cell.settings
    network = shared.store.network(model.network, settings.architecture, dataset.rows.shape[1])
    process = GaussianProcess(
        settings.architecture,
        settings.prediction,
        shared.schedule(cell),
        sigma_data_of(dataset.rows),
        dataset.n_classes,
        settings.p_uncond,
    )
    return process.denoiser(network)


def _guided(shared: Shared, cell: Cell) -> Denoiser:
    denoiser, guidance = denoiser_of(shared, cell), cell.settings.guidance
    if not guidance:
        return denoiser
    assert isinstance(denoiser, ConditionalDenoiser)
    return ClassifierFree(denoiser, np.asarray(guidance, np.float32))


def _steered(shared: Shared, cell: Cell, scorer: Scorer | None) -> Sampler:
    settings = cell.settings
    sampler = sampler_named(settings.sampler, shared.schedule(cell), settings.steps or None, settings.variance)
    if settings.method not in STEERED:
        return sampler
    assert isinstance(sampler, TransitionSampler) and scorer is not None
    temperature = np.asarray(settings.reward_temperature, np.float32)
    return STEERED[settings.method](sampler, scorer.reward(), temperature, settings.candidates)
