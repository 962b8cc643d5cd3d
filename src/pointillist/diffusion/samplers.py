"""Samplers: from x_T ~ N(0, I) to x_0 with a denoiser, for one row.

A stochastic sampler exposes its transition, the mean and standard deviation of x_s given x_t; `sample` walks it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.schedules import Schedule, at


class Ancestral(eqx.Module):
    """The DDPM sampler (Ho et al. 2020, algorithm 2), between any two times s < t.

    With alpha_{t|s} = alpha_t / alpha_s and beta_{t|s} = sigma_t² - alpha_{t|s}² sigma_s² (for s = t - 1: beta_t), the
    mean is that of q(x_s | x_t, x_0) at the predicted x_0 (equation 7); written with ε it is
    (x_t - beta_t / sigma_t ε) / √(1 - beta_t). No noise is added on a step to s = 0.

    Attributes:
        schedule: Gives alpha_t and sigma_t.
        variance: "beta": beta_{t|s}, the larger choice (section 3.2); "posterior": beta_{t|s} sigma_s² / sigma_t².
    """

    schedule: Schedule
    variance: str = eqx.field(static=True, default="beta")

    def __check_init__(self) -> None:
        if self.variance not in ("beta", "posterior"):
            raise ValueError(f"variance must be 'beta' or 'posterior', not {self.variance!r}")

    def transition(
        self, denoiser: Denoiser, x_t: Float[Array, " d"], t: Int[Array, ""], s: Int[Array, ""]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """Mean, shape (d,), and standard deviation of x_s given x_t."""
        alpha_t, alpha_s = at(self.schedule.alpha, t), at(self.schedule.alpha, s)
        sigma_t, sigma_s = at(self.schedule.sigma, t), at(self.schedule.sigma, s)
        ratio = alpha_t / alpha_s
        beta = sigma_t**2 - ratio**2 * sigma_s**2
        x0 = denoiser(x_t, t)
        mean = (alpha_s * beta / sigma_t**2) * x0 + (ratio * sigma_s**2 / sigma_t**2) * x_t
        variance = beta if self.variance == "beta" else beta * sigma_s**2 / sigma_t**2
        return mean, jnp.where(s == 0, 0.0, jnp.sqrt(variance))


def sample(key: PRNGKeyArray, sampler: Ancestral, denoiser: Denoiser, columns: int) -> Float[Array, " d"]:
    """Draws one row: x_T ~ N(0, I), then every step T, T - 1, … 0 of the sampler.

    Args:
        key: The row's own key; step t uses `fold_in(key, t)`, and x_T `fold_in(key, 0)`.
        sampler: Its schedule's T may be traced.
        denoiser: E[x_0 | x_t].
        columns: d.
    """
    x_T = jax.random.normal(jax.random.fold_in(key, 0), (columns,))
    timesteps = jnp.asarray(sampler.schedule.timesteps)

    def step(i: Array, x_t: Array) -> Array:
        t = timesteps - i
        mean, std = sampler.transition(denoiser, x_t, t, t - 1)
        return mean + std * jax.random.normal(jax.random.fold_in(key, t), (columns,))

    return jax.lax.fori_loop(0, timesteps, step, x_T)
