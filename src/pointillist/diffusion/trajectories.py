"""Trajectories from noise to data: a sampler that also returns intermediate points x_t."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.samplers import RowSampler, Sampler


class TrajectorySampler(Sampler):
    """A sampler that returns points x_t of the trajectory of another sampler, followed by x_0.

    Attributes:
        sampler: The wrapped sampler.
        indices: Indices of the points, shape (points,), increasing, each in 0 … n_steps - 1.
    """

    sampler: RowSampler
    indices: Int[Array | np.ndarray, " points"]

    @property
    def rows_per_draw(self) -> int:
        """Number of rows per draw: the points, and x_0."""
        return len(self.indices) + 1

    @property
    def width(self) -> int:
        """Number of parallel network evaluations of the wrapped sampler."""
        return self.sampler.width

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " d"]:
        """Draw x_T as the wrapped sampler does."""
        return self.sampler.start(key, columns)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, " d"]) -> Float[Array, "rows d"]:
        """Draw the points from noise to data, followed by the x_0 that the wrapped sampler draws with this key."""
        step = partial(self.sampler.step, key, denoiser)

        def advance(at: tuple[Array, Any], index: Array) -> tuple[tuple[Array, Any], Array]:
            i, state = at
            state = jax.lax.fori_loop(i, index, step, state)
            return (index, state), self.sampler.x_t(index, state)

        start = jnp.zeros((), jnp.int32), self.sampler.begin(x_T)
        (i, state), points = jax.lax.scan(advance, start, jnp.asarray(self.indices, jnp.int32))
        return jnp.concatenate([points, self.sampler.end(key, denoiser, i, state)[None]])
