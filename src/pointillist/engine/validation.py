"""The training loss of rows that training does not see."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import noise_prediction_loss
from pointillist.diffusion.networks import MLP, sinusoidal_embedding
from pointillist.diffusion.schedules import Schedule, at
from pointillist.engine.training import Architecture

DRAWS = 4
"""Of a time and of noise, for each row."""


def held_out_loss(
    network: MLP,
    architecture: Architecture,
    schedule: Schedule,
    rows: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"] | None,
    seed: int,
) -> float:
    """Mean of (ε̂ - ε)² over rows, at `DRAWS` times each, which are spread evenly over 1 … T.

    Times and noise depend on the seed alone, so that losses of a model at different epochs can be compared.

    Args:
        network: Predicts ε.
        architecture: Its own.
        schedule: The one it is trained with.
        rows: Shape (n, d), scaled.
        labels: Indices of classes, shape (n,), of a model with classes; each row is shown with its own.
        seed: 0 … 2³² - 1.
    """
    key = jax.random.fold_in(jax.random.key(seed), 3)
    return float(_loss(key, network, schedule, rows, labels, architecture=architecture))


@partial(jax.jit, static_argnames="architecture")
def _loss(
    key: PRNGKeyArray,
    network: MLP,
    schedule: Schedule,
    rows: Float[Array, "n d"],
    labels: Int[Array, " n"] | None,
    *,
    architecture: Architecture,
) -> Float[Array, ""]:
    time_key, noise_key = jax.random.split(key)
    x0 = jnp.repeat(rows, DRAWS, axis=0)
    n = len(x0)
    # Strata of equal size, in random order: less noise than independent times.
    share = (jax.random.permutation(time_key, n) + 0.5) / n
    t = 1 + jnp.floor(share * jnp.asarray(schedule.timesteps).astype(jnp.float32)).astype(jnp.int32)
    t = jnp.minimum(t, jnp.asarray(schedule.timesteps))
    eps = jax.random.normal(noise_key, x0.shape)
    x_t = at(schedule.alpha, t)[:, None] * x0 + at(schedule.sigma, t)[:, None] * eps
    features = sinusoidal_embedding(t, architecture.time_embedding)
    if labels is not None:
        of_class = sinusoidal_embedding(jnp.repeat(labels, DRAWS), architecture.class_embedding)
        features = jnp.concatenate([features, of_class], axis=-1)
    return noise_prediction_loss(network, x_t, features, eps)
