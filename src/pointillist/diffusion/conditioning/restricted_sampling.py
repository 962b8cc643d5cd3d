"""Rows of tokens and numbers under conditions: sets of values, ranges, and cells that are present.

Restricted tokens are drawn first, one by one, each from its distribution restricted to what is allowed; a row's weight
is the product of the masses that were allowed. With a single restricted token all weights are equal. Ranges of the
numbers beside tokens steer the walk of the numbers (`twisting`).
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
    """What is allowed of some tokens, c of them, in p pieces at most.

    A piece is a value of a token, or a part of an interval.

    Attributes:
        indices: The restricted tokens.
        slots: Value of each piece, shape (c, p).
        log_fractions: Log of the share of the value's mass that the piece has, shape (c, p); -inf for none.
        low: Where an interval's piece begins, shape (c, p).
        high: Where it ends, shape (c, p).
        ranges: Ranges of numbers; None for none.
    """

    indices: tuple[int, ...] = eqx.field(static=True)
    slots: Int[Any, "c p"]
    log_fractions: Float[Any, "c p"]
    low: Float[Any, "c p"]
    high: Float[Any, "c p"]
    ranges: Ranges | None = None


class RestrictedSampler(PopulationSampler):
    """Draws rows of tokens, and of numbers beside them, under a `Restriction`.

    Attributes:
        n_tokens: Number of tokens of a row.
        restriction: The restriction.
        schedule: The noise schedule of the numbers; None without numbers.
        points: Number of points of the numbers' solver.
    """

    n_tokens: int = eqx.field(static=True)
    restriction: Restriction
    schedule: Schedule | None = None
    points: int = eqx.field(static=True, default=POINTS)

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " n"]:
        """Start of a draw, with all tokens hidden and no number known."""
        n_numbers = columns - N_DIAGNOSTICS - self.n_tokens
        return jnp.concatenate([jnp.full(self.n_tokens, HIDDEN), jnp.full(n_numbers, jnp.nan)])

    def draw(self, key: PRNGKeyArray, denoiser: Any, x_T: Float[Array, " n"]) -> Float[Array, "rows n_and_notes"]:
        """Draws rows, shape (kept, n + `N_DIAGNOSTICS`).

        Args:
            key: The draw's own key.
            denoiser: A `TokenDenoiser`, or a `MixedDenoiser`.
            x_T: Tokens, `HIDDEN` where they are to be drawn, and numbers, NaN where they are.
        """
        token_denoiser = denoiser.token_denoiser if isinstance(denoiser, MixedDenoiser) else denoiser
        first_key, token_key, number_key, choice_key = (jax.random.fold_in(key, i) for i in range(4))
        row, numbers = reveal_single_values(token_denoiser.tokens, x_T[: self.n_tokens]), x_T[self.n_tokens :]
        rows, numbers = (jnp.tile(part, (self.population, 1)) for part in (row, numbers))
        rows, numbers, weights = self._restricted(first_key, token_denoiser, rows, numbers)
        if self.restriction.ranges is None and self.population > self.kept:
            # Nothing weighs them any more.
            indices = systematic_resampling(jax.random.uniform(choice_key), weights.log_weights, self.kept)
            rows, numbers, weights = rows[indices], numbers[indices], weights.after_resampling(indices)
        keys = jax.random.split(token_key, len(rows))

        def others(key: PRNGKeyArray, row: Array, numbers: Array) -> Array:
            return draw_tokens(key, _beside(token_denoiser, row, numbers), row)

        rows = jax.vmap(others)(keys, rows, numbers)
        if isinstance(denoiser, MixedDenoiser):
            rows, weights = self._with_numbers(number_key, denoiser, rows, numbers, weights)
        is_lost = jnp.isnan(rows).any(axis=1) & (weights.log_mass > -jnp.inf)
        weights = weights.multiplied(jnp.where(is_lost, jnp.nan, 0.0))
        return select_rows(choice_key, weights, rows, self.kept)

    def _restricted(
        self, key: PRNGKeyArray, token_denoiser: TokenDenoiser, rows: Float[Array, "n T"], numbers: Float[Array, "n k"]
    ) -> tuple[Float[Array, "n T"], Float[Array, "n k"], ParticleWeights]:
        """Draws the restricted tokens, in an order that all candidates share."""
        own, tokens = self.restriction, token_denoiser.tokens
        order = jnp.argsort(jax.random.uniform(key, (len(own.indices),)))
        longest = max(tokens.sizes)
        sizes, starts = jnp.asarray(tokens.sizes), jnp.asarray(tokens.starts)
        has_place = jnp.asarray([index in tokens.with_intervals for index in range(len(tokens.sizes))])

        def step(i: Array, carry: tuple[Array, Array, ParticleWeights]) -> tuple[Array, Array, ParticleWeights]:
            rows, numbers, weights = carry
            which = order[i]
            index = jnp.asarray(own.indices)[which]
            # All in one draw: a program of many takes longer to compile.
            drawn = jax.random.uniform(jax.random.fold_in(key, i), (2 * len(rows) + 1,))
            for_piece, u = drawn[:-1].reshape(2, -1)

            def log_p(row: Array, numbers: Array) -> Array:
                padded = jnp.pad(_beside(token_denoiser, row, numbers).logits(row), (0, longest))
                part = jax.lax.dynamic_slice(padded, (starts[index],), (longest,))
                return jax.nn.log_softmax(jnp.where(jnp.arange(longest) < sizes[index], part, -jnp.inf))

            pieces = jnp.asarray(own.slots)[which]
            scores = jax.vmap(log_p)(rows, numbers)[:, pieces] + jnp.asarray(own.log_fractions)[which][None]
            up_to = jnp.cumsum(jax.nn.softmax(scores, axis=1), axis=1)
            piece = jnp.argmax(up_to > for_piece[:, None] * up_to[:, -1:], axis=1)
            low, high = jnp.asarray(own.low)[which][piece], jnp.asarray(own.high)[which][piece]
            value = pieces[piece].astype(rows.dtype)
            inside = jnp.minimum(low + u * (high - low), LARGEST_POSITION)
            rows = rows.at[:, index].set(value + jnp.where(has_place[index] & (high > low), inside, 0.0))
            weights = weights.multiplied(jax.nn.logsumexp(scores, axis=1))
            weights, (rows, numbers) = resample(drawn[-1], weights, (rows, numbers))
            return rows, numbers, weights

        return jax.lax.fori_loop(0, len(own.indices), step, (rows, numbers, ParticleWeights.of(self.population)))

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

        def known(row: Array, numbers: Array, is_observed: Array) -> tuple[Any, ...]:
            own = denoiser.number_denoiser(row, numbers, is_observed, schedule)
            return own.is_noised, own.known, None if own.without is None else own.without[0], own.centre, own.sigma_data

        def denoise(context: tuple[Any, ...], x_t: Array, t: Array) -> Array:
            is_noised, known, without, centre, sigma_data = context[0]
            pair = None if without is None else (without, denoiser.guidance)
            return NumberDenoiser(denoiser.number_network, schedule, is_noised, known, pair, centre, sigma_data, axes)(
                x_t, t
            )

        start_key, sweep_key = jax.random.split(key)
        x_T = jax.random.normal(start_key, numbers.shape)
        contexts = jax.vmap(known)(rows, numbers, is_observed), rows, numbers, is_observed
        # Without ranges, all weights stay equal.
        asked = Ranges((), np.empty((0, 1)), np.empty((0, 1))) if ranges is None else ranges
        is_constrained = contexts[0][0][:, np.asarray(asked.columns, int)]
        walked = smc_sweep(sweep_key, denoise, contexts, x_T, is_constrained, asked, weights, schedule, self.points)
        drawn, (_, rows, numbers, is_observed), weights = walked
        return jax.vmap(lambda *row: assemble_row(tokens, *row))(rows, numbers, is_observed, drawn), weights


def _beside(token_denoiser: TokenDenoiser, row: Float[Array, " T"], numbers: Float[Array, " k"]) -> TokenDenoiser:
    """The denoiser of a row's tokens beside the numbers that are known."""
    return token_denoiser.with_observed_numbers(numbers, jnp.isfinite(numbers) & token_denoiser.tokens.has_number(row))
