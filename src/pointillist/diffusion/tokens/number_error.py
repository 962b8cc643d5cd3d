"""Denoising error of a number network on held-out rows, comparable between choices of axes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.schedules import Schedule, at_lambda, time_at
from pointillist.diffusion.tokens.mixed_sampling import MixedDenoiser

LEVELS = np.linspace(-3.0, 6.0, 16, dtype=np.float32)
"""Noise levels log(alpha_t / sigma_t): almost no signal is left at the first, almost no noise at the last."""


class NumberError(eqx.Module):
    """Mean squared error of the noise predicted in all numbers of a row jointly; a function of rows.

    At evenly spaced log(alpha_t / sigma_t) it estimates, up to a factor and a constant, the variational bound of the
    negative log-likelihood of the numbers given the tokens (Kingma et al. 2021, arXiv 2107.00630, equation 17).

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
    """

    denoiser: MixedDenoiser
    schedule: Schedule

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, ""]:
        """Compute the error; the key determines the noise."""
        n = len(self.denoiser.tokens.sizes)
        row, numbers = x[:n], x[n:]
        denoiser = self.denoiser.number_denoiser(row, numbers, jnp.zeros(numbers.shape, bool), self.schedule)

        def at_level(lambda_t: Array, eps: Array) -> Array:
            alpha_t, sigma_t = at_lambda(lambda_t)
            x0 = denoiser(alpha_t * numbers + sigma_t * eps, time_at(self.schedule, lambda_t))
            return jnp.mean(denoiser.is_noised.astype(jnp.float32) * (alpha_t / sigma_t * (x0 - numbers)) ** 2)

        eps = jax.random.normal(key, (len(LEVELS), len(numbers)))
        return jnp.mean(jax.vmap(at_level)(jnp.asarray(LEVELS), eps))

    def width(self, columns: int) -> int:
        """Number of parallel network evaluations."""
        return len(LEVELS)
