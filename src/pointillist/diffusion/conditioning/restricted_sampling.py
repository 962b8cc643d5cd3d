"""Sampling rows of tokens and numbers under conditions: sets of values, ranges and cells that must be present.

Restricted tokens are drawn first, and the weight of a row is the product of the probabilities of the allowed values.
Ranges of numbers then guide the trajectories of the numbers (`twisting`).
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.conditioning.populations import (
    N_DIAGNOSTICS,
    PopulationSampler,
    log_mean,
    resample,
    select_rows,
    systematic_resampling,
)
from pointillist.diffusion.conditioning.twisting import Ranges, smc_sweep
from pointillist.diffusion.schedules import Schedule
from pointillist.diffusion.tokens.mixed_sampling import POINTS, MixedDenoiser, NumberDenoiser, axes_and_scales
from pointillist.diffusion.tokens.token_sampling import (
    HIDDEN,
    LARGEST_POSITION,
    TokenDenoiser,
    assemble_row,
    draw_tokens,
    reveal_single_values,
)


class Restriction(eqx.Module):
    """The allowed values of c tokens, in at most p pieces each.

    A piece is a value of a token, or part of the interval that the value stands for.

    Attributes:
        slots: Value of each piece, shape (c, p).
        log_fractions: Log of the fraction of the value's probability that falls into the piece, shape (c, p); -inf for
            padding.
        low: Lower end of the piece within the interval, shape (c, p).
        high: Upper end of the piece within the interval, shape (c, p).
    """

    indices: tuple[int, ...] = eqx.field(static=True)
    slots: Int[Any, "c p"]
    log_fractions: Float[Any, "c p"]
    low: Float[Any, "c p"]
    high: Float[Any, "c p"]
    ranges: Ranges | None = None


class RestrictedSampler(PopulationSampler):
    """A sampler of rows of tokens and numbers under a `Restriction`."""

    n_tokens: int = eqx.field(static=True)
    restriction: Restriction
    schedule: Schedule | None = None
    points: int = eqx.field(static=True, default=POINTS)

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " n"]:
        n_numbers = columns - N_DIAGNOSTICS - self.n_tokens
        return jnp.concatenate([jnp.full(self.n_tokens, HIDDEN), jnp.full(n_numbers, jnp.nan)])

    def draw(self, key: PRNGKeyArray, denoiser: Any, x_T: Float[Array, " n"]) -> Float[Array, "rows n_and_diagnostics"]:
        token_denoiser = denoiser.token_denoiser
        first_key, token_key, number_key, choice_key = (jax.random.fold_in(key, i) for i in range(4))
        row, numbers = reveal_single_values(token_denoiser.tokens, x_T[: self.n_tokens]), x_T[self.n_tokens :]
        rows, numbers = (jnp.tile(part, (self.population, 1)) for part in (row, numbers))
        log_weights, candidates = self._restricted(first_key, token_denoiser, rows, numbers)
        if self.restriction.ranges is None and self.population > self.kept:
            # No later step changes the weights.
            indices = systematic_resampling(jax.random.uniform(choice_key), log_weights, self.kept)
            log_weights = jnp.broadcast_to(log_mean(log_weights), indices.shape)
            candidates = jax.tree.map(lambda each: each[indices], candidates)
        rows, numbers, ancestors = candidates
        keys = jax.random.split(token_key, len(rows))

        def draw_unrestricted(key: PRNGKeyArray, row: Array, numbers: Array) -> Array:
            return draw_tokens(key, token_denoiser.with_observed_numbers(row, numbers), row)

        rows = jax.vmap(draw_unrestricted)(keys, rows, numbers)
        if self.schedule is not None:
            candidates = rows, numbers, ancestors
            rows, ancestors, log_weights = self._with_numbers(number_key, denoiser, log_weights, candidates)
        is_lost = jnp.isnan(rows).any(axis=1) & (log_mean(log_weights) > -jnp.inf)
        return select_rows(choice_key, log_weights + jnp.where(is_lost, jnp.nan, 0.0), rows, ancestors, self.kept)

    def _restricted(
        self, key: PRNGKeyArray, token_denoiser: TokenDenoiser, rows: Float[Array, "n T"], numbers: Float[Array, "n k"]
    ) -> tuple[Float[Array, " n"], tuple[Array, Array, Array]]:
        """Draw the restricted tokens in a random order; return log-weights, and rows, numbers and ancestors."""
        restriction, tokens = self.restriction, token_denoiser.tokens
        order = jnp.argsort(jax.random.uniform(key, (len(restriction.indices),)))
        longest = max(tokens.sizes)
        sizes, starts = jnp.asarray(tokens.sizes), jnp.asarray(tokens.starts)
        is_interval = jnp.asarray([index in tokens.with_intervals for index in range(len(tokens.sizes))])

        def step(i: Array, carry: tuple[Array, tuple[Array, ...]]) -> tuple[Array, tuple[Array, ...]]:
            log_weights, (rows, numbers, ancestors) = carry
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
            return resample(drawn[-1], log_weights + jax.nn.logsumexp(scores, axis=1), (rows, numbers, ancestors))

        start = jnp.zeros(self.population), (rows, numbers, jnp.arange(self.population))
        return jax.lax.fori_loop(0, len(restriction.indices), step, start)

    def _with_numbers(
        self,
        key: PRNGKeyArray,
        denoiser: MixedDenoiser,
        log_weights: Float[Array, " n"],
        candidates: tuple[Float[Array, "n T"], Float[Array, "n k"], Int[Array, " n"]],
    ) -> tuple[Float[Array, "n T_and_k"], Int[Array, " n"], Float[Array, " n"]]:
        """Draw the numbers of candidates; return whole rows, ancestors and log-weights."""
        assert self.schedule is not None
        rows, numbers, ancestors = candidates
        schedule, ranges, tokens = self.schedule, self.restriction.ranges, denoiser.tokens
        axes = None if denoiser.basis is None else axes_and_scales(denoiser.basis, numbers.shape[1])[0]
        is_observed = jnp.isfinite(numbers) & tokens.has_number(rows)

        def context_of(row: Array, numbers: Array, is_observed: Array) -> dict[str, Any]:
            one = denoiser.number_denoiser(row, numbers, is_observed, schedule)
            varying = "is_noised", "context", "unguided", "center", "sigma_data"
            return {name: getattr(one, name) for name in varying}

        shared = {"network": denoiser.number_network, "schedule": schedule, "axes": axes}
        shared["guidance"] = denoiser.token_denoiser.guidance

        def denoise(contexts: tuple[Any, ...], x_t: Array, t: Array) -> Array:
            return NumberDenoiser(**shared, **contexts[0])(x_t, t)

        start_key, sweep_key = jax.random.split(key)
        x_T = jax.random.normal(start_key, numbers.shape)
        contexts = jax.vmap(context_of)(rows, numbers, is_observed), rows, numbers, is_observed, ancestors
        # Without ranges, the sweep leaves the weights unchanged.
        sweep_ranges = Ranges((), np.empty((0, 1)), np.empty((0, 1))) if ranges is None else ranges
        is_constrained = contexts[0]["is_noised"][:, np.asarray(sweep_ranges.columns, int)]
        drawn, (_, rows, numbers, is_observed, ancestors), log_weights = smc_sweep(
            sweep_key, denoise, contexts, x_T, is_constrained, sweep_ranges, log_weights, schedule, self.points
        )
        rows = jax.vmap(partial(assemble_row, tokens))(rows, numbers, is_observed, drawn)
        return rows, ancestors, log_weights
