"""Differentially private training: DP-SGD (Abadi et al. 2016, arXiv 1607.00133, algorithm 1) with Adam and averaging.

Each step draws each row with the same probability (Poisson sampling), clips the gradient of each drawn row, and adds
Gaussian noise to their sum. Each row has a key for its noise level, noise and masked cells, so that the examples of
other rows do not depend on it.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from pointillist.diffusion.losses import CleanRows
from pointillist.diffusion.schedules import AnyArray
from pointillist.diffusion.tokens.token_networks import FactoredNetwork, TokenNetwork
from pointillist.engine.epochs import TrainingState, updated
from pointillist.engine.recipes import AnyObjective, Weights
from pointillist.engine.row_norms import squared_norm, with_taps

ROWS_AT_ONCE = 128
"""Rows whose gradients are computed at once; the size of a batch is a multiple."""

_ROUNDING = 1e-4
"""Fraction of the largest norm that is left unused, so that rounding does not exceed it."""


@dataclass(frozen=True)
class PrivateMethod:
    """How a model is trained privately; compiled into the program.

    Attributes:
        capacity: Most rows of a step: the length of a batch, whose other entries are empty.
    """

    objective: AnyObjective
    capacity: int
    features: Any


class PrivateRecipe(NamedTuple):
    """Numbers of a private training, which its program takes as inputs.

    Attributes:
        sampling: Probability that a step draws a row.
        clip: Largest norm of the gradient of a row.
        noise: Standard deviation of the noise, divided by `clip`.
        expected: Expected number of rows of a step, by which the sum of gradients is divided.
        warmup: Number of steps over which the learning rate rises from 0.
        averaging: Largest decay of the average of the weights per step.
    """

    sampling: float
    clip: float
    noise: float
    expected: float
    steps: int
    learning_rate: float
    warmup: int
    averaging: float


def poisson_batch(
    key: PRNGKeyArray, n: int, sampling: float | Array, capacity: int
) -> tuple[Int[Array, " capacity"], Bool[Array, " capacity"]]:
    """Draw each of n rows with probability `sampling`; those beyond the capacity of the batch are left out.

    Return the indices of the rows, and which entries of the batch hold a row.
    """
    is_drawn = jax.random.uniform(key, (n,)) < sampling
    (indices,) = jnp.nonzero(is_drawn, size=capacity, fill_value=0)
    return indices, jnp.arange(capacity) < is_drawn.sum()


def example_of(key: PRNGKeyArray, x0: Float[Array, " width"], noise: Any, method: PrivateMethod) -> tuple[Array, ...]:
    """Make the training example of one row; the key decides its noise level, noise and masked cells."""
    level_key, noise_key = jax.random.split(key)
    clean = CleanRows(x0[None], None, noise[0], noise[1], method.features)
    return tuple(part[0] for part in method.objective.examples((level_key, noise_key), clean, 1))


def row_norm(network: Weights, example: tuple[Array, ...], method: PrivateMethod) -> Float[Array, ""]:
    """Compute the norm of the gradient of one row's loss."""
    return jnp.sqrt(squared_norm(jax.grad(_loss)(with_taps(network), example, method)))


def _loss(network: Weights, example: tuple[Array, ...], method: PrivateMethod) -> Float[Array, ""]:
    return method.objective.loss(network, tuple(part[None] for part in example), "float32")


def clipped_sum(
    key: PRNGKeyArray,
    network: Weights,
    rows: Float[Array, "n width"],
    indices: Int[Array, " capacity"],
    is_taken: Bool[Array, " capacity"],
    clip: float | Array,
    noise: Any,
    method: PrivateMethod,
) -> Weights:
    """Compute the sum of the gradients of the rows of a batch, each scaled to a norm of at most `clip`.

    It is the gradient of a weighted sum of losses, so that no gradient of a single row has to be kept (Lee and Kifer
    2021, arXiv 2009.03106). Entries that are not taken add nothing.
    """

    def add(total: Weights, some: tuple[Array, Array]) -> tuple[Weights, None]:
        index, taken = some
        # By the row's index in the table and not in the batch, so that other rows keep their keys if it is left out.
        keys = jax.vmap(partial(jax.random.fold_in, key))(index)
        examples = jax.vmap(lambda key, x0: example_of(key, x0, noise, method))(keys, rows[index])
        norms = jax.vmap(lambda one: row_norm(network, one, method))(examples)
        factors = jnp.minimum(1.0, clip * (1 - _ROUNDING) / jnp.maximum(norms, 1e-20))
        is_ok = taken & jnp.isfinite(norms)
        weights = jnp.where(is_ok, factors, 0.0)
        # A weight of 0 does not make NaN 0.
        examples = jax.tree.map(
            lambda each: jnp.where(is_ok.reshape(-1, *[1] * (each.ndim - 1)), each, jnp.zeros_like(each)), examples
        )

        def weighted(network: Weights) -> Float[Array, ""]:
            return jnp.sum(weights * jax.vmap(lambda one: _loss(network, one, method))(examples))

        return jax.tree.map(jnp.add, total, jax.grad(weighted)(network)), None

    zeros = jax.tree.map(jnp.zeros_like, network)
    cut = indices.reshape(-1, ROWS_AT_ONCE), is_taken.reshape(-1, ROWS_AT_ONCE)
    return jax.lax.scan(add, zeros, cut)[0]


def with_noise(key: PRNGKeyArray, total: Any, deviation: float | Array) -> Any:
    """Add independent Gaussian noise to every number of a sum of gradients, a pytree of arrays."""
    leaves, shape = jax.tree.flatten(total)
    keys = jax.random.split(key, len(leaves))
    return jax.tree.unflatten(
        shape, [leaf + deviation * jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    )


def with_bias(network: Weights, logits: Float[AnyArray, " slots"]) -> Weights:
    """Set the biases of the logits of a network of tokens."""
    if isinstance(network, FactoredNetwork):
        return eqx.tree_at(lambda network: network.bias, network, logits)
    if not isinstance(network, TokenNetwork):
        raise ValueError("private fits of tokens need network='residual'")
    return eqx.tree_at(lambda network: network.output.bias, network, logits)


@partial(jax.jit, static_argnames="method")
def run(
    state: TrainingState,
    key: Key[Array, ""],
    rows: Float[Array, "n width"],
    noise: Any,
    first: int | Array,
    todo: int | Array,
    recipe: PrivateRecipe,
    method: PrivateMethod,
) -> TrainingState:
    """Take `todo` steps after the `first` ones, on rows as the network sees them.

    `noise` is the noise schedule and the root mean square of each column.
    """

    def step(i: Array, state: TrainingState) -> TrainingState:
        batch_key, row_key, noise_key = jax.random.split(jax.random.fold_in(key, i), 3)
        indices, is_taken = poisson_batch(batch_key, len(rows), recipe.sampling, method.capacity)
        total = clipped_sum(row_key, state.network, rows, indices, is_taken, recipe.clip, noise, method)
        total = with_noise(noise_key, total, recipe.noise * recipe.clip)
        gradient = jax.tree.map(lambda g: g / recipe.expected, total)
        done = i.astype(jnp.float32)
        # To 0 at the end, so that the noise of the last steps does not remain in the weights.
        fraction = jnp.minimum((done + 1) / jnp.maximum(recipe.warmup, 1.0), 1 - done / recipe.steps)
        return updated(state, gradient, recipe.learning_rate * fraction, recipe.averaging, done)

    return jax.lax.fori_loop(first, first + todo, step, state)
