"""Sampling rows of tokens and numbers under conditions: sets of values, ranges and cells that must be present.

Restricted tokens are drawn first, one at a time, each from its distribution restricted to the allowed values. The
weight of a row is the product of the probabilities of the allowed values; with a single restricted token all weights
are equal. Ranges of numbers guide the trajectories of the numbers (`twisting`).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.conditioning.populations import (
    N_DIAGNOSTICS,
    ParticleWeights,
    PopulationSampler,
    resample,
    select_rows,
    systematic_resampling,
)
from pointillist.diffusion.conditioning.twisting import Ranges, smc_sweep
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.tokens.mixed_sampling import (
    POINTS,
    MixedDenoiser,
    NumberDenoiser,
    assemble_row,
    axes_and_scales,
)
from pointillist.diffusion.tokens.token_sampling import (
    HIDDEN,
    LARGEST_POSITION,
    TokenDenoiser,
    draw_tokens,
    reveal_single_values,
)


class Restriction(eqx.Module):
    """The allowed values of c tokens, in at most p pieces each.

    A piece is a value of a token, or part of the interval that the value stands for.

    Attributes:
        indices: Indices of the restricted tokens.
        slots: Value of each piece, shape (c, p).
        log_fractions: Log of the fraction of the value's probability that falls into the piece, shape (c, p); -inf for
            padding.
        low: Lower end of the piece within the interval, shape (c, p).
        high: Upper end of the piece within the interval, shape (c, p).
        ranges: Ranges of numbers; None for none.
    """

    indices: tuple[int, ...] = eqx.field(static=True)
    slots: Int[Any, "c p"]
    log_fractions: Float[Any, "c p"]
    low: Float[Any, "c p"]
    high: Float[Any, "c p"]
    ranges: Ranges | None = None


class RestrictedSampler(PopulationSampler):
    """A sampler of rows of tokens and numbers under a `Restriction`.

    Attributes:
        n_tokens: Number of tokens of a row.
        restriction: The allowed values and ranges.
        schedule: The noise schedule of the numbers; None without numbers.
        points: Number of points of the solver of the numbers.
    """

    n_tokens: int = eqx.field(static=True)
    restriction: Restriction
    schedule: Schedule | None = None
    points: int = eqx.field(static=True, default=POINTS)

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " n"]:
        """Return a row with all tokens hidden and no number observed."""
        n_numbers = columns - N_DIAGNOSTICS - self.n_tokens
        return jnp.concatenate([jnp.full(self.n_tokens, HIDDEN), jnp.full(n_numbers, jnp.nan)])

    def draw(self, key: PRNGKeyArray, denoiser: Any, x_T: Float[Array, " n"]) -> Float[Array, "rows n_and_diagnostics"]:
        """Draw rows, shape (kept, n + `N_DIAGNOSTICS`).

        Args:
            key: Key of the draw.
            denoiser: A `TokenDenoiser`, or a `MixedDenoiser`.
            x_T: Observed tokens, `HIDDEN` where unobserved, then observed numbers, NaN where unobserved.
        """
        token_denoiser = denoiser.token_denoiser if isinstance(denoiser, MixedDenoiser) else denoiser
        first_key, token_key, number_key, choice_key = (jax.random.fold_in(key, i) for i in range(4))
        row, numbers = reveal_single_values(token_denoiser.tokens, x_T[: self.n_tokens]), x_T[self.n_tokens :]
        rows, numbers = (jnp.tile(part, (self.population, 1)) for part in (row, numbers))
        rows, numbers, weights = self._restricted(first_key, token_denoiser, rows, numbers)
        if self.restriction.ranges is None and self.population > self.kept:
            # No later step changes the weights.
            indices = systematic_resampling(jax.random.uniform(choice_key), weights.log_weights, self.kept)
            rows, numbers, weights = rows[indices], numbers[indices], weights.after_resampling(indices)
        keys = jax.random.split(token_key, len(rows))

        def draw_unrestricted(key: PRNGKeyArray, row: Array, numbers: Array) -> Array:
            return draw_tokens(key, token_denoiser.with_observed_numbers(row, numbers), row)

        rows = jax.vmap(draw_unrestricted)(keys, rows, numbers)
        if isinstance(denoiser, MixedDenoiser):
            rows, weights = self._with_numbers(number_key, denoiser, rows, numbers, weights)
        is_lost = jnp.isnan(rows).any(axis=1) & (weights.log_mass > -jnp.inf)
        weights = weights.multiplied(jnp.where(is_lost, jnp.nan, 0.0))
        return select_rows(choice_key, weights, rows, self.kept)

    def _restricted(
        self, key: PRNGKeyArray, token_denoiser: TokenDenoiser, rows: Float[Array, "n T"], numbers: Float[Array, "n k"]
    ) -> tuple[Float[Array, "n T"], Float[Array, "n k"], ParticleWeights]:
        """Draw the restricted tokens, in a random order that all candidates share."""
        restriction, tokens = self.restriction, token_denoiser.tokens
        order = jnp.argsort(jax.random.uniform(key, (len(restriction.indices),)))
        longest = max(tokens.sizes)
        sizes, starts = jnp.asarray(tokens.sizes), jnp.asarray(tokens.starts)
        is_interval = jnp.asarray([index in tokens.with_intervals for index in range(len(tokens.sizes))])

        def step(i: Array, carry: tuple[Array, Array, ParticleWeights]) -> tuple[Array, Array, ParticleWeights]:
            rows, numbers, weights = carry
            which = order[i]
            index = jnp.asarray(restriction.indices)[which]
            # One draw for everything, because programs with several draws compile more slowly.
            drawn = jax.random.uniform(jax.random.fold_in(key, i), (2 * len(rows) + 1,))
            piece_u, u = drawn[:-1].reshape(2, -1)

            def log_p(row: Array, numbers: Array) -> Array:
                padded = jnp.pad(token_denoiser.with_observed_numbers(row, numbers).logits(row), (0, longest))
                part = jax.lax.dynamic_slice(padded, (starts[index],), (longest,))
                return jax.nn.log_softmax(jnp.where(jnp.arange(longest) < sizes[index], part, -jnp.inf))

            pieces = jnp.asarray(restriction.slots)[which]
            scores = jax.vmap(log_p)(rows, numbers)[:, pieces] + jnp.asarray(restriction.log_fractions)[which][None]
            cumulative = jnp.cumsum(jax.nn.softmax(scores, axis=1), axis=1)
            piece = jnp.argmax(cumulative > piece_u[:, None] * cumulative[:, -1:], axis=1)
            low, high = jnp.asarray(restriction.low)[which][piece], jnp.asarray(restriction.high)[which][piece]
            value = pieces[piece].astype(rows.dtype)
            inside = jnp.minimum(low + u * (high - low), LARGEST_POSITION)
            rows = rows.at[:, index].set(value + jnp.where(is_interval[index] & (high > low), inside, 0.0))
            weights = weights.multiplied(jax.nn.logsumexp(scores, axis=1))
            weights, (rows, numbers) = resample(drawn[-1], weights, (rows, numbers))
            return rows, numbers, weights

        return jax.lax.fori_loop(
            0, len(restriction.indices), step, (rows, numbers, ParticleWeights.of(self.population))
        )

    def _with_numbers(
        self,
        key: PRNGKeyArray,
        denoiser: MixedDenoiser,
        rows: Float[Array, "n T"],
        numbers: Float[Array, "n k"],
        weights: ParticleWeights,
    ) -> tuple[Float[Array, "n T_and_k"], ParticleWeights]:
        assert self.schedule is not None
        schedule, ranges = self.schedule, self.restriction.ranges
        axes = None if denoiser.basis is None else axes_and_scales(denoiser.basis, numbers.shape[1])[0]
        tokens = denoiser.tokens
        is_observed = jnp.isfinite(numbers) & tokens.has_number(rows)

        def context_of(row: Array, numbers: Array, is_observed: Array) -> tuple[Any, ...]:
            one = denoiser.number_denoiser(row, numbers, is_observed, schedule)
            unguided = None if one.unguided is None else one.unguided[0]
            return one.is_noised, one.context, unguided, one.centre, one.sigma_data

        def denoise(context: tuple[Any, ...], x_t: Array, t: Array) -> Array:
            is_noised, number_context, unguided, centre, sigma_data = context[0]
            number_denoiser = NumberDenoiser(
                network=denoiser.number_network,
                schedule=schedule,
                is_noised=is_noised,
                context=number_context,
                unguided=None if unguided is None else (unguided, denoiser.guidance),
                centre=centre,
                sigma_data=sigma_data,
                axes=axes,
            )
            return number_denoiser(x_t, t)

        start_key, sweep_key = jax.random.split(key)
        x_T = jax.random.normal(start_key, numbers.shape)
        contexts = jax.vmap(context_of)(rows, numbers, is_observed), rows, numbers, is_observed
        # Without ranges, the sweep leaves the weights unchanged.
        sweep_ranges = Ranges((), np.empty((0, 1)), np.empty((0, 1))) if ranges is None else ranges
        is_constrained = contexts[0][0][:, np.asarray(sweep_ranges.columns, int)]
        drawn, (_, rows, numbers, is_observed), weights = smc_sweep(
            sweep_key, denoise, contexts, x_T, is_constrained, sweep_ranges, weights, schedule, self.points
        )
        return jax.vmap(lambda *row: assemble_row(tokens, *row))(rows, numbers, is_observed, drawn), weights
