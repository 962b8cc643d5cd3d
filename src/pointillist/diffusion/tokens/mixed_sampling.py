"""Drawing rows of tokens and numbers: first the tokens, one after another; then the numbers at once, given them."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditional_normal import conditional_normal
from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.parameterisations import SigmaData, coefficients
from pointillist.diffusion.samplers import RowSampler
from pointillist.diffusion.schedules import Schedule, Time, alpha_sigma
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.token_sampling import HIDDEN, TokenDenoiser, TokenSampler, draw_tokens

_SHARES = 1 / (1 + np.exp(-2 * np.linspace(6.2, -4.4, 100))), 1 / (1 + np.exp(2 * np.linspace(6.2, -4.4, 100)))
SCHEDULE = Schedule(
    alpha=np.sqrt([1.0, *_SHARES[0]]).astype(np.float32),
    sigma=np.sqrt([0.0, *_SHARES[1]]).astype(np.float32),
    timesteps=np.asarray(100, np.int32),
)
"""The noise schedule of the numbers, even in λ = log(alpha / sigma): σ = sigma / alpha from 80 to 0.002."""

POINTS = 60
"""Number of points of the solver, whose steps add noise: it corrects what the network got wrong in earlier ones."""

LARGEST_SCORE = 5.5
"""No normal score of a training row is larger."""


class NumberDenoiser(Denoiser):
    """E[x_0 | x_t] of the numbers of a row, given its tokens and other numbers, guided or not.

    Attributes:
        network: The network, a `NumberNetwork` or what has its methods.
        schedule: The noise schedule.
        is_noised: Which numbers are drawn.
        known: What is known, as `NumberNetwork.known` returns it.
        without: The same without the token that guidance leaves out, and w; None without guidance.
        centre: What the numbers are near to, by those that are given.
        sigma_data: How near: σ_d of what is left of each number, or along each axis.
        axes: Orthonormal axes along which the network sees the numbers, in columns; None for the numbers themselves.
    """

    network: Any
    schedule: Schedule
    is_noised: Bool[Array, " k"]
    known: Float[Array, " width"]
    without: tuple[Float[Array, " width"], Any] | None = None
    centre: Float[Array, " k"] | float = 0.0
    sigma_data: SigmaData = 1.0
    axes: Float[Array, "k k"] | None = None

    def __call__(self, x_t: Float[Array, " k"], t: Time) -> Float[Array, " k"]:
        """E[x_0 | x_t], at most `LARGEST_SCORE`, and 0 for numbers that are not drawn."""
        return self._predicted(x_t, t, LARGEST_SCORE)

    def unbounded(self, x_t: Float[Array, " k"], t: Time) -> Float[Array, " k"]:
        """The same without a bound, beyond which densities would be nothing."""
        return self._predicted(x_t, t, math.inf)

    def _predicted(self, x_t: Float[Array, " k"], t: Time, largest: float) -> Float[Array, " k"]:
        alpha_t, sigma_t = alpha_sigma(self.schedule, t)
        inside, skip, out = coefficients("edm", alpha_t, sigma_t, self.sigma_data)
        left = x_t - alpha_t * self.centre
        along = left if self.axes is None else left @ self.axes

        def predicted(known: Float[Array, " width"]) -> Float[Array, " k"]:
            found = self.network(inside * along, self.is_noised, known, jnp.log(alpha_t / sigma_t), x_t)
            moved = skip * along + out * found
            x0 = self.centre + (moved if self.axes is None else self.axes @ moved)
            return jnp.clip(x0, -largest, largest)

        x0 = predicted(self.known)
        if self.without is not None:
            known, w = self.without
            x0 = x0 + w * (x0 - predicted(known))
        return jnp.where(self.is_noised, x0, 0.0)


class MixedDenoiser(eqx.Module):
    """What tokens and numbers are drawn with.

    Attributes:
        token_denoiser: Denoiser of the tokens.
        number_network: Network of the numbers, a `NumberNetwork` or what has its methods.
        covariance: Covariance of the numbers, shape (k, k); (0, 0) if there are too many of them.
        basis: Axes along which a joint network sees the numbers, as `axes_and_scales` takes them; None for other
            networks.
        guided: Position of the token towards whose value rows are guided; None without guidance.
        guidance: w, at least 0; **0 is plain conditional sampling**.
    """

    token_denoiser: TokenDenoiser
    number_network: Any
    covariance: Float[Array | np.ndarray, "c c"]
    basis: Float[Array | np.ndarray, "c c"] | None = None
    guided: int | None = eqx.field(static=True, default=None)
    guidance: Float[Array | np.ndarray, ""] | float = 0.0

    @property
    def tokens(self) -> Tokens:
        """The tokens."""
        return self.token_denoiser.tokens

    def number_denoiser(
        self, row: Float[Array, " n"], numbers: Float[Array, " k"], is_observed: Bool[Array, " k"], schedule: Schedule
    ) -> NumberDenoiser:
        """The denoiser of a row's numbers, given all its tokens.

        Args:
            row: The tokens.
            numbers: The numbers that are given, anything elsewhere.
            is_observed: Which of them are given.
            schedule: The noise schedule.
        """
        one_hot = self.tokens.one_hot(row)
        axes = shown = without = None
        if self.basis is None:
            shown = number_features(numbers, is_observed)
            centre, sigma_data = conditional_normal(self.covariance, numbers, is_observed)
        else:
            axes, sigma_data = axes_and_scales(self.basis, len(numbers))
            centre = jnp.zeros(len(numbers))
        if self.guided is not None:
            hidden = jnp.where(jnp.asarray(self.tokens.token_of_slot == self.guided), 0.0, one_hot)
            without = self.number_network.known(hidden, shown), self.guidance
        return NumberDenoiser(
            network=self.number_network,
            schedule=schedule,
            is_noised=self.tokens.has_number(row) & ~is_observed,
            known=self.number_network.known(one_hot, shown),
            without=without,
            centre=centre,
            sigma_data=sigma_data,
            axes=axes,
        )


def axes_and_scales(
    basis: Float[Array | np.ndarray, "c c"], n_numbers: int
) -> tuple[Float[Array, "c c"] | None, Float[Array, " k"]]:
    """Axes along which numbers are seen, and σ_d along each.

    Args:
        basis: The axes in columns, each as long as its σ_d; shape (0, 0) for the numbers themselves.
        n_numbers: k, the number of numbers.
    """
    if not len(basis):
        return None, jnp.ones(n_numbers)
    sigma_data = jnp.linalg.norm(jnp.asarray(basis), axis=0)
    return jnp.asarray(basis) / sigma_data[None], sigma_data


class MixedSampler(TokenSampler):
    """Draws the hidden tokens of a row, then its numbers given them.

    Attributes:
        n_tokens: Number of tokens of a row.
        number_sampler: The sampler of the numbers.
    """

    n_tokens: int = eqx.field(static=True)
    number_sampler: RowSampler

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " n"]:
        """Start of a draw, with all tokens hidden and no number known."""
        return jnp.concatenate([jnp.full(self.n_tokens, HIDDEN), jnp.full(columns - self.n_tokens, jnp.nan)])

    def draw(self, key: PRNGKeyArray, denoiser: Any, x_T: Float[Array, " n"]) -> Float[Array, "1 n"]:
        """Draws a row, shape (1, n).

        Args:
            key: The draw's own key.
            denoiser: A `MixedDenoiser`.
            x_T: Tokens, `HIDDEN` where they are to be drawn, and numbers, NaN where they are.

        Returns:
            All tokens and then all numbers. A number is 0 where a token says that there is none.
        """
        tokens, n = denoiser.tokens, self.n_tokens
        row, numbers = x_T[:n], x_T[n:]
        is_observed = jnp.isfinite(numbers) & tokens.has_number(row)
        row = draw_tokens(key, denoiser.token_denoiser.with_observed_numbers(numbers, is_observed), row)
        number_denoiser = denoiser.number_denoiser(row, numbers, is_observed, self.number_sampler.schedule)
        noise_key = jax.random.fold_in(key, n + 1)
        drawn = self.number_sampler.draw(noise_key, number_denoiser, jax.random.normal(noise_key, numbers.shape))[0]
        return assemble_row(denoiser.tokens, row, numbers, is_observed, drawn)[None]


def assemble_row(
    tokens: Tokens,
    row: Float[Array, " n"],
    numbers: Float[Array, " k"],
    is_observed: Bool[Array, " k"],
    drawn: Float[Array, " k"],
) -> Float[Array, " n_and_k"]:
    """All tokens and then all numbers: those that are given, those that were drawn, and 0 where there is none."""
    numbers = jnp.where(is_observed, numbers, jnp.where(tokens.has_number(row), drawn, 0.0))
    numbers = jnp.where(jnp.isnan(row).any(), jnp.nan, numbers)
    return jnp.concatenate([row, numbers])
