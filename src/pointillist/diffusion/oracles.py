"""Exact denoisers: laws of x_0 for which E[x_0 | x_t] has a closed form. Tests stand on them."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.schedules import Schedule, at


class GaussianDenoiser(Denoiser):
    """x_0 ~ N(m, C): E[x_0 | x_t] = m + alpha_t C (alpha_t² C + sigma_t² I)⁻¹ (x_t - alpha_t m).

    Attributes:
        mean: m, shape (d,).
        covariance: C, shape (d, d), positive semi-definite.
        schedule: Gives alpha_t and sigma_t.
    """

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    schedule: Schedule

    def __call__(self, x_t: Float[Array, " d"], t: Int[Array, ""]) -> Float[Array, " d"]:
        """The conditional mean of a jointly normal pair."""
        alpha, sigma = at(self.schedule.alpha, t), at(self.schedule.sigma, t)
        noised = alpha**2 * self.covariance + sigma**2 * jnp.eye(len(self.mean), dtype=x_t.dtype)
        return self.mean + alpha * self.covariance @ jnp.linalg.solve(noised, x_t - alpha * self.mean)
