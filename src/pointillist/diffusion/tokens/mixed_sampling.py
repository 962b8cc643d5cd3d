"""Sampling mixed rows: first the tokens, one after another, then all numbers jointly given the tokens."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pointillist.diffusion.conditional_normal import conditional_normal
from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.parameterizations import SigmaData, coefficients
from pointillist.diffusion.schedules import Schedule, Time, alpha_sigma
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.token_sampling import TokenDenoiser

_ALPHA_BAR = 1 / (1 + np.exp(-2 * np.linspace(6.2, -4.4, 100))), 1 / (1 + np.exp(2 * np.linspace(6.2, -4.4, 100)))
SCHEDULE = Schedule(
    alpha=np.sqrt([1.0, *_ALPHA_BAR[0]]).astype(np.float32),
    sigma=np.sqrt([0.0, *_ALPHA_BAR[1]]).astype(np.float32),
    timesteps=np.asarray(100, np.int32),
)
"""Noise schedule of the numbers, evenly spaced in λ = log(alpha / sigma): σ = sigma / alpha from 80 to 0.002."""

POINTS = 60
"""Number of points of the stochastic solver, whose noise corrects errors of earlier steps."""

LARGEST_SCORE = 5.5
"""Upper bound of the absolute normal scores of training rows."""


class NumberDenoiser(Denoiser):
    """E[x_0 | x_t] of the numbers of a row, given its tokens and observed numbers, with or without guidance.

    Attributes:
        network: A `NumberNetwork`, or an object with its methods.
        context: The result of `NumberNetwork.embed_context`.
        unguided: The context without the guiding token; None without guidance.
        center: Conditional mean of the numbers given the observed ones.
        sigma_data: σ_d of the residual of each number, or along each axis.
        axes: Orthonormal axes along which the network sees the numbers, as columns; None for the coordinate axes.
        guidance: w, at least 0; **0 is plain conditional sampling**.
        largest: Absolute value to which predictions are clipped; densities require infinity.
    """

    network: Any
    schedule: Schedule
    is_noised: Bool[Array, " k"]
    context: Float[Array, " width"]
    unguided: Float[Array, " width"] | None = None
    center: Float[Array, "..."] | float = 0.0
    sigma_data: SigmaData = 1.0
    axes: Float[Array, "k k"] | None = None
    guidance: Float[Array | np.ndarray, ""] | float = 0.0
    largest: float = eqx.field(static=True, default=LARGEST_SCORE)

    def __call__(self, x_t: Float[Array, " k"], t: Time) -> Float[Array, " k"]:
        """Compute E[x_0 | x_t]; 0 for numbers that are not drawn."""
        alpha_t, sigma_t = alpha_sigma(self.schedule, t)
        inside, skip, out = coefficients("edm", alpha_t, sigma_t, self.sigma_data)
        centered = x_t - alpha_t * self.center
        rotated = centered if self.axes is None else centered @ self.axes

        def predicted(context: Float[Array, " width"]) -> Float[Array, " k"]:
            output = self.network(inside * rotated, self.is_noised, context, jnp.log(alpha_t / sigma_t), x_t)
            residual = skip * rotated + out * output
            x0 = self.center + (residual if self.axes is None else self.axes @ residual)
            return jnp.clip(x0, -self.largest, self.largest)

        x0 = predicted(self.context)
        if self.unguided is not None:
            x0 = x0 + self.guidance * (x0 - predicted(self.unguided))
        return jnp.where(self.is_noised, x0, 0.0)


class MixedDenoiser(eqx.Module):
    """The denoisers of mixed rows.

    Attributes:
        covariance: Covariance of the numbers, as `conditional_normal` takes it; (0, 0) if there are more than
            `MAX_NUMBERS`.
        basis: Axes along which a joint network sees the numbers, as `axes_and_scales` takes them; None for other
            networks.
    """

    token_denoiser: TokenDenoiser
    number_network: Any
    covariance: Float[Array | np.ndarray, "c d"]
    basis: Float[Array | np.ndarray, "c c"] | None = None

    @property
    def tokens(self) -> Tokens:
        """Layout of the tokens."""
        return self.token_denoiser.tokens

    def number_denoiser(
        self, row: Float[Array, " n"], numbers: Float[Array, " k"], is_observed: Bool[Array, " k"], schedule: Schedule
    ) -> NumberDenoiser:
        """Return the denoiser of the numbers of a row, given all its tokens and the observed numbers."""
        one_hot = self.tokens.one_hot(row)
        axes = observed = unguided = None
        if self.basis is None:
            observed = number_features(numbers, is_observed)
            center, sigma_data = conditional_normal(self.covariance, numbers, is_observed)
        else:
            axes, sigma_data = axes_and_scales(self.basis, len(numbers))
            center = jnp.zeros(len(numbers))
        if self.token_denoiser.guided is not None:
            _, hidden = self.token_denoiser.views(one_hot)
            unguided = self.number_network.embed_context(hidden, observed)
        return NumberDenoiser(
            network=self.number_network,
            schedule=schedule,
            is_noised=self.tokens.has_number(row) & ~is_observed,
            context=self.number_network.embed_context(one_hot, observed),
            unguided=unguided,
            center=center,
            sigma_data=sigma_data,
            axes=axes,
            guidance=self.token_denoiser.guidance,
        )


def axes_and_scales(
    basis: Float[Array | np.ndarray, "c c"], n_numbers: int
) -> tuple[Float[Array, "c c"] | None, Float[Array, " k"]]:
    """Split a basis into orthonormal axes (None for the coordinate axes) and σ_d along each.

    The basis has orthogonal axes as columns whose lengths are σ_d; shape (0, 0) means the coordinate axes with σ_d = 1.
    """
    if not len(basis):
        return None, jnp.ones(n_numbers)
    sigma_data = jnp.linalg.norm(jnp.asarray(basis), axis=0)
    return jnp.asarray(basis) / sigma_data[None], sigma_data
