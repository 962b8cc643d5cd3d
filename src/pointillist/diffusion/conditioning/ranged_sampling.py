"""Rows of numbers in ranges, drawn by populations of candidates that are guided towards them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.conditioning.populations import NOTES, PopulationSampler, Weighted, chosen
from pointillist.diffusion.conditioning.twisting import Ranges, walk
from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.schedules import Schedule

POINTS = 60
"""Default number of points of the solver, whose steps add noise and are weighed."""


class RangedSampler(PopulationSampler):
    """Draws rows of which some numbers lie in ranges, by `twisting.walk`.

    Attributes:
        ranges: The ranges.
        schedule: The noise schedule.
        points: Number of points of the solver, at least 2.
    """

    ranges: Ranges
    schedule: Schedule
    points: int = eqx.field(static=True, default=POINTS)

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, "n k"]:
        """Draws x_T of each candidate with `fold_in(key, 0)`."""
        return jax.random.normal(jax.random.fold_in(key, 0), (self.population, columns - NOTES))

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, "n k"]) -> Float[Array, "rows k_and_notes"]:
        """Draws rows, shape (kept, k + `NOTES`).

        Args:
            key: The draw's own key.
            denoiser: The denoiser.
            x_T: Where the candidates start, shape (population, k).
        """

        def denoise(context: Any, x_t: Array, t: Array) -> Array:
            return denoiser(x_t, t)

        is_asked = jnp.ones((self.population, len(self.ranges.columns)), bool)
        start = Weighted.of(self.population)
        walk_key, choice_key = jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)
        rows, _, weighted = walk(walk_key, denoise, None, x_T, is_asked, self.ranges, start, self.schedule, self.points)
        return chosen(choice_key, weighted, rows, self.kept)
