"""The training loss on held-out rows."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import Objective, denoising_loss
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.token_losses import TokenObjective, token_loss
from pointillist.diffusion.token_networks import TokenNetwork
from pointillist.engine.keys import Stream, key_of
from pointillist.engine.recipes import AnyArchitecture, Architecture, Weights

DRAWS = 4
"""Number of draws of a noise level and of noise for each row."""


def held_out_loss(
    network: Weights,
    architecture: AnyArchitecture,
    objective: Objective | TokenObjective,
    schedule: Schedule,
    spread: Float[np.ndarray, " d"],
    rows: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"] | None,
    seed: int,
) -> float:
    """Computes the mean loss over rows, at `DRAWS` noise levels each, spread evenly over their distribution.

    Noise levels and noise depend on the seed alone, so losses of a model at different epochs can be compared.

    Args:
        network: The network.
        architecture: Its architecture.
        objective: The objective that it is trained for.
        schedule: The schedule that it is trained with.
        spread: Root mean square of each column in training.
        rows: Rows, shape (n, d), scaled.
        labels: Indices of classes, shape (n,), for a model with classes; each row is shown with its own label.
        seed: Seed, 0 … 2³² - 1.
    """
    key = key_of(seed, Stream.HELD_OUT_LOSS)
    if isinstance(objective, TokenObjective):
        return float(_token_loss(key, network, rows, objective=objective))
    return float(_loss(key, network, schedule, spread, rows, labels, architecture=architecture, objective=objective))


@partial(jax.jit, static_argnames=("architecture", "objective"))
def _loss(
    key: PRNGKeyArray,
    network: Any,
    schedule: Schedule,
    spread: Float[Array, " d"],
    rows: Float[Array, "n d"],
    labels: Int[Array, " n"] | None,
    *,
    architecture: Architecture,
    objective: Objective,
) -> Float[Array, ""]:
    level_key, noise_key = jax.random.split(key)
    x0 = jnp.repeat(rows, DRAWS, axis=0)
    n = len(x0)
    # Strata of equal size, in random order: less noise than independent levels.
    share = (jax.random.permutation(level_key, n) + 0.5) / n
    noised = objective.noised(x0, jax.random.normal(noise_key, x0.shape), share, schedule, spread)
    features = architecture.features(noised.t, noised.lambda_t, None if labels is None else jnp.repeat(labels, DRAWS))
    return denoising_loss(network, noised.inside, features, noised.target, noised.weight)


@partial(jax.jit, static_argnames="objective")
def _token_loss(
    key: PRNGKeyArray, network: TokenNetwork, rows: Float[Array, "n T"], *, objective: TokenObjective
) -> Float[Array, ""]:
    x0 = jnp.repeat(jnp.asarray(rows), DRAWS, axis=0)
    keys = jax.random.split(key)
    examples = objective.examples((keys[0], keys[1]), x0, None, len(x0), None, None, None)

    def of_row(row: tuple[Array, Array, Array]) -> Array:
        return token_loss(network, objective.tokens, *(part[None] for part in row))

    # Not all at once: there may be thousands of logits a row.
    return jax.lax.map(of_row, examples, batch_size=512).mean()
