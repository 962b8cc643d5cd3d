"""The training loss of rows that training does not see."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import Objective, denoising_loss
from pointillist.diffusion.networks import Network
from pointillist.diffusion.schedules import Schedule
from pointillist.engine.recipes import Architecture

DRAWS = 4
"""Of a noise level and of noise, for each row."""


def held_out_loss(
    network: Network,
    architecture: Architecture,
    objective: Objective,
    schedule: Schedule,
    spread: Float[np.ndarray, " d"],
    rows: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"] | None,
    seed: int,
) -> float:
    """The objective's mean over rows, at `DRAWS` noise levels each, which are spread evenly over their distribution.

    Noise levels and noise depend on the seed alone, so that losses of a model at different epochs can be compared.

    Args:
        network: The network.
        architecture: Its own.
        objective: The one it is trained for.
        schedule: The one it is trained with.
        spread: Root mean square of each column in training.
        rows: Shape (n, d), scaled.
        labels: Indices of classes, shape (n,), of a model with classes; each row is shown with its own.
        seed: 0 … 2³² - 1.
    """
    key = jax.random.fold_in(jax.random.key(seed), 3)
    return float(_loss(key, network, schedule, spread, rows, labels, architecture=architecture, objective=objective))


@partial(jax.jit, static_argnames=("architecture", "objective"))
def _loss(
    key: PRNGKeyArray,
    network: Network,
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
