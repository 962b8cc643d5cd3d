"""Sampling rows with numbers in ranges, by populations of candidates that are guided towards the ranges."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.conditioning.populations import (
    N_DIAGNOSTICS,
    ParticleWeights,
    PopulationSampler,
    select_rows,
)
from pointillist.diffusion.conditioning.twisting import Ranges, smc_sweep
from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.schedules import Schedule

POINTS = 60
"""Default number of points of the stochastic solver."""


class RangedSampler(PopulationSampler):
    """A sampler of rows whose numbers lie in ranges, by `twisting.smc_sweep`.

    Attributes:
        ranges: The ranges.
        schedule: The noise schedule.
        points: Number of points of the solver, at least 2.
    """

    ranges: Ranges
    schedule: Schedule
    points: int = eqx.field(static=True, default=POINTS)

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, "n k"]:
        """Draw x_T of each candidate with `fold_in(key, 0)`."""
        return jax.random.normal(jax.random.fold_in(key, 0), (self.population, columns - N_DIAGNOSTICS))

    def draw(
        self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, "n k"]
    ) -> Float[Array, "rows k_and_diagnostics"]:
        """Draw rows, shape (kept, k + `N_DIAGNOSTICS`).

        Args:
            key: Key of the draw.
            denoiser: The denoiser.
            x_T: x_T of each candidate, shape (population, k).
        """

        def denoise(context: Any, x_t: Array, t: Array) -> Array:
            return denoiser(x_t, t)

        is_constrained = jnp.ones((self.population, len(self.ranges.columns)), bool)
        start = ParticleWeights.of(self.population)
        sweep_key, choice_key = jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)
        rows, _, weights = smc_sweep(
            sweep_key, denoise, None, x_T, is_constrained, self.ranges, start, self.schedule, self.points
        )
        return select_rows(choice_key, weights, rows, self.kept)
