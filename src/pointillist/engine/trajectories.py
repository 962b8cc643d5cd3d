"""Draws rows together with their walks from noise to data."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pointillist.diffusion.conditioning.observed_sampling import CentredSampler
from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.trajectories import TrajectorySampler
from pointillist.engine.sampling import sample_rows


def sample_trajectories(
    denoiser: Denoiser,
    walk: TrajectorySampler | CentredSampler,
    *,
    columns: int,
    n_rows: int,
    seed: int,
    labels: Int[np.ndarray, " n_rows"] | None = None,
    prior: Float[np.ndarray, "n_rows d"] | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Float[np.ndarray, "times n d"]:
    """Draws the same rows as `sample_rows` with the walk's sampler, up to rounding, and points of their walks.

    Args:
        denoiser: Denoiser for E[x_0 | x_t].
        walk: The points to return, and the sampler.
        columns: Number of columns d.
        n_rows: Number of rows, at least 0.
        seed: Seed, 0 … 2³² - 1.
        labels: Indices of classes, shape (n_rows,); None for no class.
        prior: x_T of every row, shape (n_rows, d); drawn from N(0, I) by default.
        devices: Devices to use, all by default.

    Returns:
        Every row's points x_t and last its x_0, shape (points + 1, n_rows, d), float32, scaled as the model sees them.
    """
    times = walk.rows_per_draw
    points = sample_rows(
        denoiser,
        walk,
        columns=columns,
        n_rows=n_rows * times,
        seed=seed,
        labels=None if labels is None else np.repeat(labels, times),
        prior=prior,
        devices=devices,
    )
    return points.reshape(n_rows, times, columns).swapaxes(0, 1)


@jax.jit
def noise_levels(walk: TrajectorySampler) -> Float[Array, " times"]:
    """Noise levels σ = sigma_t / alpha_t of the points of walks, and 0 for x_0."""
    log_snr = jax.vmap(walk.sampler.log_snr)(jnp.asarray(walk.indices, jnp.int32))
    return jnp.append(jnp.exp(-log_snr), 0.0)
