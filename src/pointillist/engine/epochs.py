"""The compiled training of one model: its epochs, their steps, the noise and the learning rate."""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import CleanRows
from pointillist.diffusion.schedules import AnyArray
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.recipes import AnyArchitecture, Method, Recipe, Weights

MAX_EPOCHS_PER_CALL = 64
"""Most epochs that one device call trains a model for, and the length of its table of losses."""

TRAINING_VERSION = 13
"""Version of the training, raised whenever a change to the code changes the weights that a training ends with."""

PARTS_AXIS = "parts"
"""Name of the axis of devices that share a model's batches."""

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Constants of Adam."""


class TrainingState(eqx.Module):
    """One model in training, or a stack of them; a pytree of arrays.

    `steps` counts the steps of Adam, whose averages of the gradient and of its square are `first` and `second`.
    `average` is the average of the weights over the steps, if one is kept.
    """

    network: Weights
    steps: Int[AnyArray, "*stack"]
    first: Weights
    second: Weights
    epoch: Int[AnyArray, "*stack"]
    average: Weights | None

    @classmethod
    def initial(cls, network: Weights, *, is_averaged: bool, stack: tuple[int, ...] = ()) -> "TrainingState":
        """Make the state before the first epoch of a network, or of a stack of networks.

        In NumPy: zeros and copies in a compiled program take as long to compile as all the weights.
        """
        host = jax.device_get(network)
        first, second = (jax.tree.map(np.zeros_like, host) for _ in range(2))
        average = jax.tree.map(np.copy, host) if is_averaged else None
        return cls(host, np.zeros(stack, np.int32), first, second, np.zeros(stack, np.int32), average)

    @property
    def trained(self) -> Weights:
        """The network to use: the average if there is one."""
        return self.network if self.average is None else self.average

    def starting_from(self, network: Weights) -> "TrainingState":
        """Replace the weights, and their average if there is one."""
        return replace(self, network=network, average=None if self.average is None else network)


def first_network(key: PRNGKeyArray, architecture: AnyArchitecture, columns: int) -> Weights:
    """Draw the weights before a model's first epoch; `key` is the key of its training."""
    return architecture.build(jax.random.fold_in(key, 0), columns)


def pick(tree: Any, i: AnyArray | int) -> Any:
    """Return entry i of a stack."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, i, keepdims=False), tree)


def train(
    state: TrainingState,
    recipe: Recipe,
    epochs: Array,
    data: CleanRows,
    n_rows: Int[Array, ""],
    architecture: AnyArchitecture,
    method: Method,
) -> tuple[TrainingState, Float[Array, " epochs"]]:
    """Train one model for at most `epochs` more epochs, 1 … `MAX_EPOCHS_PER_CALL`, or to its last.

    The rows, labels and `sigma_data` of `data` are stacks of data sets, which have `n_rows` rows each before their
    padding. The mean loss of each epoch, 0 for epochs not trained, has shape (`MAX_EPOCHS_PER_CALL`,).
    """
    rows = pick(data, recipe.dataset)

    def one_epoch(i: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
        state, losses = carry
        state, loss = _epoch(state, recipe, rows, n_rows, architecture, method)
        return state, losses.at[i].set(loss)

    n_epochs = jnp.minimum(epochs, recipe.epochs - state.epoch)
    return jax.lax.fori_loop(0, n_epochs, one_epoch, (state, jnp.zeros(MAX_EPOCHS_PER_CALL)))


def _epoch(
    state: TrainingState,
    recipe: Recipe,
    data: CleanRows,
    n_rows: Int[Array, ""],
    architecture: AnyArchitecture,
    method: Method,
) -> tuple[TrainingState, Float[Array, ""]]:
    most_steps, steps = len(data.x0) // method.batch_size, n_rows // method.batch_size
    epoch_key = jax.random.fold_in(key_of(recipe.seed, Stream.TRAINING), state.epoch + 1)
    # One vmapped call is compiled faster than four calls.
    order_key, level_key, noise_key, label_key = jax.vmap(jax.random.fold_in, (None, 0))(epoch_key, jnp.arange(4))
    # All rows and noise of an epoch are drawn at once, so that a step is nothing but the network.
    order = shuffled(order_key, n_rows, len(data.x0))[: most_steps * method.batch_size]
    labels = None
    if data.labels is not None:
        is_dropped = jax.random.bernoulli(label_key, recipe.p_uncond, order.shape)
        labels = jnp.where(is_dropped, recipe.n_classes, data.labels[order])
    examples = method.objective.examples(
        (level_key, noise_key),
        CleanRows(data.x0[order], labels, recipe.schedule, data.sigma_data, architecture.features),
        method.batch_size,
    )
    batches = jax.tree.map(lambda a: a.reshape(most_steps, method.batch_size, -1), examples)
    first = state.epoch.astype(jnp.float32) * steps

    def step(index: Array, carry: tuple[TrainingState, Array]) -> tuple[TrainingState, Array]:
        state, losses = carry
        i = first + index.astype(jnp.float32)
        loss, gradient = _gradient(state.network, pick(batches, index), method)
        if method.is_clipped:
            gradient = clipped(gradient, recipe.clip)
        progress = i / (jnp.asarray(recipe.epochs, jnp.float32) * steps)
        warm = jnp.minimum(1.0, (i + 1) / jnp.maximum(recipe.warmup, 1.0))
        rate = warm * recipe.learning_rate * (1 - recipe.decay * 0.5 * (1 - jnp.cos(jnp.pi * progress)))
        if method.is_decayed:
            state = replace(state, network=_decayed(state.network, rate * recipe.weight_decay))
        return updated(state, gradient, rate, recipe.averaging, i), losses.at[index].set(loss)

    # The bound is traced, so that tables with different numbers of rows share a program.
    state, losses = jax.lax.fori_loop(0, steps, step, (state, jnp.zeros(most_steps)))
    return replace(state, epoch=state.epoch + 1), losses.sum() / steps


def updated(
    state: TrainingState, gradient: Weights, rate: Float[AnyArray, ""] | float, averaging: AnyArray | float, i: AnyArray
) -> TrainingState:
    """Take step i of Adam (Kingma and Ba 2015, arXiv 1412.6980), and update the average of the weights, if any.

    The bias corrections of the two moments are two numbers per step, computed outside the passes over the weights (the
    end of section 2 there).
    """
    steps = state.steps + 1
    t = steps.astype(jnp.float32)
    correction = jnp.sqrt(1 - BETA_2**t)
    rate, epsilon = rate * correction / (1 - BETA_1**t), EPSILON * correction
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, state.first, gradient)
    second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g**2, state.second, gradient)
    network = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + epsilon), state.network, first, second)
    average = None
    if state.average is not None:
        decay = jnp.minimum(averaging, (i + 1) / (i + 10))
        average = jax.tree.map(lambda a, w: decay * a + (1 - decay) * w, state.average, network)
    return replace(state, network=network, steps=steps, first=first, second=second, average=average)


def _decayed(network: Weights, fraction: Float[AnyArray, ""]) -> Weights:
    return jax.tree.map(lambda w: w * (1 - fraction) if w.ndim > 1 else w, network)


def shuffled(key: PRNGKeyArray, n: Int[AnyArray, ""] | int, size: int) -> Int[Array, " size"]:
    """Put 0 … n - 1 in a random order, followed by `size` - n other numbers; above 2¹⁶, n must be `size`.

    Up to 2¹⁶ rows, one sort of random bits that carry the number in their lowest bits is enough. It takes a sixth of
    the time of `jax.random.permutation`, which takes a tenth of a small network's epoch. Rows whose random bits are
    equal keep their order: 61 of the 32 million pairs of 8,000 rows, and one pair in 65,536 of 2¹⁶ rows.
    """
    if size > 2**16:
        return jax.random.permutation(key, size)
    numbers = jnp.arange(size, dtype=jnp.uint32)
    n_bits = 32 - jax.lax.clz(jnp.asarray(n, jnp.uint32) - 1)
    numbered = (jax.random.bits(key, (size,)) >> n_bits << n_bits) | numbers
    in_order = jax.lax.sort(jnp.where(numbers < n, numbered, jnp.uint32(2**32 - 1)))
    return (in_order & ((jnp.uint32(1) << n_bits) - 1)).astype(jnp.int32)


def _gradient(network: Weights, batch: tuple[Array, ...], method: Method) -> tuple[Float[Array, ""], Weights]:
    loss_and_gradient = jax.value_and_grad(partial(method.objective.loss, precision=method.precision))
    if method.parts == 1:
        return loss_and_gradient(network, batch)
    n_devices = jax.lax.axis_size(PARTS_AXIS)
    shape = method.parts // n_devices, n_devices, -1
    cut = jax.tree.map(lambda a: a.reshape(*shape, a.shape[-1]), batch)
    device = jax.lax.axis_index(PARTS_AXIS)
    parts = jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, device, 1, keepdims=False), cut)

    def add_next(i: Array, total: tuple[Float[Array, ""], Weights]) -> tuple[Float[Array, ""], Weights]:
        # Parts are added in the order of the batch, whatever the number of devices.
        gathered = jax.lax.all_gather(loss_and_gradient(network, pick(parts, i)), PARTS_AXIS)
        for device in range(n_devices):
            total = jax.tree.map(lambda a, each, device=device: a + each[device], total, gathered)
        return total

    zeros = jnp.zeros(()), jax.tree.map(jnp.zeros_like, network)
    total = jax.lax.fori_loop(0, shape[0], add_next, zeros)
    return jax.tree.map(lambda a: a / method.parts, total)


def clipped(gradient: Weights, largest: Float[AnyArray, ""] | float) -> Weights:
    """Scale a gradient to at most the largest norm (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1)."""
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    return jax.tree.map(lambda g: g * jnp.minimum(1.0, largest / jnp.maximum(norm, 1e-12)), gradient)
