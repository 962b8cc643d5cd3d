"""Walks from noise to data: a sampler that wraps another and also returns points of its walk."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.samplers import RowSampler, Sampler


class TrajectorySampler(Sampler):
    """A sampler of some of the points x_t that a row passes, and of the row itself, in one draw.

    Attributes:
        sampler: The sampler whose walk it is.
        indices: Indices of the points, shape (points,), increasing, each in 0 … n_steps - 1.
    """

    sampler: RowSampler
    indices: Int[Array | np.ndarray, " points"]

    @property
    def rows_per_draw(self) -> int:
        """Number of rows per draw: the points and x_0."""
        return len(self.indices) + 1

    @property
    def width(self) -> int:
        """Number of network evaluations in parallel, as in the sampler."""
        return self.sampler.width

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " d"]:
        """The sampler's x_T."""
        return self.sampler.start(key, columns)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, " d"]) -> Float[Array, "rows d"]:
        """Draws the points in the order of the walk, and the x_0 that the sampler draws with this key."""
        step = partial(self.sampler.step, key, denoiser)

        def onwards(at: tuple[Array, Any], index: Array) -> tuple[tuple[Array, Any], Array]:
            i, state = at
            state = jax.lax.fori_loop(i, index, step, state)
            return (index, state), self.sampler.x_t(index, state)

        start = jnp.zeros((), jnp.int32), self.sampler.begin(x_T)
        (i, state), points = jax.lax.scan(onwards, start, jnp.asarray(self.indices, jnp.int32))
        return jnp.concatenate([points, self.sampler.end(key, denoiser, i, state)[None]])
