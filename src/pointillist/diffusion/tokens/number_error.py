"""The error of a network of numbers on rows that it has not seen, whatever the axes that it sees them along."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.schedules import Schedule, at_lambda, time_at
from pointillist.diffusion.tokens.mixed_sampling import MixedDenoiser

LEVELS = np.linspace(-3.0, 6.0, 16, dtype=np.float32)
"""The noise levels log(alpha_t / sigma_t): at higher noise nothing of a row is left, at lower noise all of it."""


class NumberError(eqx.Module):
    """Mean squared error of the noise that a denoiser finds in all numbers of a row together; a function of rows.

    Over evenly spaced log(alpha_t / sigma_t) it is, up to a factor and a constant, the bound of the numbers' negative
    log-likelihood given the tokens (Kingma et al. 2021, arXiv 2107.00630, equation 17).

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
    """

    denoiser: MixedDenoiser
    schedule: Schedule

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, ""]:
        """Computes the error; the key decides the noise."""
        n = len(self.denoiser.tokens.sizes)
        row, numbers = x[:n], x[n:]
        own = self.denoiser.number_denoiser(row, numbers, jnp.zeros(numbers.shape, bool), self.schedule)

        def at_level(lambda_t: Array, eps: Array) -> Array:
            alpha_t, sigma_t = at_lambda(lambda_t)
            x0 = own(alpha_t * numbers + sigma_t * eps, time_at(self.schedule, lambda_t))
            return jnp.mean(own.is_noised.astype(jnp.float32) * (alpha_t / sigma_t * (x0 - numbers)) ** 2)

        eps = jax.random.normal(key, (len(LEVELS), len(numbers)))
        return jnp.mean(jax.vmap(at_level)(jnp.asarray(LEVELS), eps))

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return len(LEVELS)
