"""Denoising losses."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def noise_prediction_loss(
    network: Callable[[Array, Array], Array],
    x_t: Float[Array, "batch d"],
    features: Float[Array, "batch f"],
    eps: Float[Array, "batch d"],
) -> Float[Array, ""]:
    """Mean over rows and columns of (ε̂ - ε)², the "simple" loss (Ho et al. 2020, equation 14).

    Args:
        network: `(x_t, features) -> ε̂` for one row.
        x_t: Noised rows, shape (batch, d).
        features: What the network is conditioned on, shape (batch, f).
        eps: The noise in x_t, shape (batch, d).
    """
    return jnp.mean((jax.vmap(network)(x_t, features) - eps) ** 2)
