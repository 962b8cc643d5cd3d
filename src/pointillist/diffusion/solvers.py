"""Samplers with few evaluations: solvers of the reverse process at evenly spaced λ = log(alpha/sigma).

The N points of a solver run from the λ of t = T (or `LOWEST_LAMBDA`, if higher) to the λ of t = 1. The last step, to
sigma = 0, returns the x̂_0 predicted at the last point.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser, Row
from pointillist.diffusion.registries import DPM_POINTS, HEUN_POINTS
from pointillist.diffusion.samplers import Index, RowSampler
from pointillist.diffusion.schedules import Schedule, at_lambda, lambda_range, time_at


class Solver(RowSampler):
    """A sampler of one row through N points."""

    points: eqx.AbstractVar[int]
    order: ClassVar[int] = 2

    def log_snr(self, i: Index) -> Float[Array, ""]:
        lowest, highest = lambda_range(self.schedule)
        fraction = i.astype(jnp.float32) / (self.points - 1)
        return lowest + fraction * (highest - lowest)

    def _predicted(self, denoiser: Denoiser, x_t: Row, lambda_t: Array) -> Row:
        return denoiser(x_t, time_at(self.schedule, lambda_t))


class DPMSolver2M(Solver):
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2) and, with noise, its SDE version (equation 19).

    With h = λ_s - λ_t and evenly spaced λ, D = x̂_0 + (x̂_0 - previous x̂_0) / 2; D = x̂_0 on the first step.
    Without noise x_s = (sigma_s / sigma_t) x_t - alpha_s (e^-h - 1) D; with it
    x_s = (sigma_s / sigma_t) e^-h x_t + alpha_s (1 - e^-2h) D + sigma_s √(1 - e^-2h) z.

    Attributes:
        points: N, also the number of evaluations.
    """

    schedule: Schedule
    points: int = eqx.field(static=True, default=DPM_POINTS)
    is_stochastic: bool = eqx.field(static=True, default=False)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Row) -> Float[Array, "1 d"]:
        """Draw x_0, shape (1, d); the step to point i uses `fold_in(key, i)`."""

        def step(i: Index, state: tuple[Row, Row]) -> tuple[Row, Row]:
            """Compute x_s and x̂_0 from x_t and the previous x̂_0."""
            x_t, previous = state
            lambda_t, lambda_s = self.log_snr(i), self.log_snr(i + 1)
            x0 = self._predicted(denoiser, x_t, lambda_t)
            D = jnp.where(i == 0, x0, 1.5 * x0 - 0.5 * previous)
            h = lambda_s - lambda_t
            sigma_t = at_lambda(lambda_t)[1]
            alpha_s, sigma_s = at_lambda(lambda_s)
            if not self.is_stochastic:
                return sigma_s / sigma_t * x_t - alpha_s * jnp.expm1(-h) * D, x0
            z = jax.random.normal(jax.random.fold_in(key, i + 1), x_t.shape)
            kept = sigma_s / sigma_t * jnp.exp(-h) * x_t - alpha_s * jnp.expm1(-2 * h) * D
            return kept + sigma_s * jnp.sqrt(-jnp.expm1(-2 * h)) * z, x0

        x_t, _ = jax.lax.fori_loop(0, self.points - 1, step, (x_T, jnp.zeros_like(x_T)))
        return self._predicted(denoiser, x_t, self.log_snr(jnp.asarray(self.points - 1)))[None]


class Heun(Solver):
    """Heun's method for the probability-flow ODE (Karras et al. 2022, arXiv 2206.00364, algorithm 1).

    With y = x_t / alpha_t and σ = sigma_t / alpha_t = e^-λ the flow is dy/dσ = (y - x̂_0) / σ.

    Attributes:
        points: N, for 2 N - 1 evaluations.
    """

    schedule: Schedule
    points: int = eqx.field(static=True, default=HEUN_POINTS)
    is_stochastic: ClassVar[bool] = False

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Row) -> Float[Array, "1 d"]:
        def slope(y: Array, lambda_t: Array) -> Array:
            x0 = self._predicted(denoiser, at_lambda(lambda_t)[0] * y, lambda_t)
            return (y - x0) * jnp.exp(lambda_t)

        def step(i: Index, y: Row) -> Row:
            lambda_t, lambda_s = self.log_snr(i), self.log_snr(i + 1)
            change = jnp.exp(-lambda_s) - jnp.exp(-lambda_t)
            first = slope(y, lambda_t)
            second = slope(y + change * first, lambda_s)
            return y + change * (first + second) / 2

        y = jax.lax.fori_loop(0, self.points - 1, step, x_T / at_lambda(self.log_snr(jnp.asarray(0)))[0])
        lambda_1 = self.log_snr(jnp.asarray(self.points - 1))
        return self._predicted(denoiser, at_lambda(lambda_1)[0] * y, lambda_1)[None]
