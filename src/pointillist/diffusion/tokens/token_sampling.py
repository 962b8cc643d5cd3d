"""Sampling rows of tokens: one token at a time given the visible ones, or several at a time in wide rows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.samplers import RowSampler, Sampler
from pointillist.diffusion.tokens.masking import WIDE, Tokens, number_features
from pointillist.diffusion.tokens.token_networks import TokenNetwork

STEP_FRACTIONS = 1 - np.cos(np.pi / 2 * np.arange(1, WIDE + 1) / WIDE)
"""Cumulative fraction of the hidden tokens of a wide row that is drawn after each evaluation."""

HIDDEN = -1.0
"""Marks a hidden token."""

LARGEST_POSITION = 1 - 2.0**-12
"""Largest position in an interval: below 1 in float32 even when added to a token of up to four digits."""


class TokenDenoiser(eqx.Module):
    """A network of tokens used as a denoiser: it returns logits of the hidden tokens.

    Classifier-free guidance by one token, the class, gives the logits (1 + w) log p(token | visible) -
    w log p(token | visible except the class).

    Attributes:
        forbidden: Slots of values that are never drawn; None for none.
        observed: Features of observed numbers; None if rows have no numbers.
        guided: Index of the guiding (class) token; None without guidance.
        guidance: w, at least 0: **0 is plain conditional sampling**.
    """

    network: Callable[[Array], Array]
    tokens: Tokens = eqx.field(static=True)
    forbidden: Bool[Array | np.ndarray, " slots"] | None = None
    observed: Float[Array, " f"] | None = None
    guided: int | None = eqx.field(static=True, default=None)
    guidance: Float[Array | np.ndarray, ""] | float = 0.0

    @property
    def token_denoiser(self) -> "TokenDenoiser":
        """The denoiser itself, as in a `MixedDenoiser`."""
        return self

    def with_observed_numbers(self, row: Float[Array, " T"], numbers: Float[Array, " k"]) -> "TokenDenoiser":
        """Return the denoiser conditioned on the finite numbers that exist in a row; unchanged if no token has one."""
        if not self.tokens.with_number:
            return self
        is_observed = jnp.isfinite(numbers) & self.tokens.has_number(row)
        return replace(self, observed=number_features(numbers, is_observed))

    def logits(self, row: Float[Array, " T"]) -> Float[Array, " slots"]:
        """Compute the logit of every value of every token given the tokens that are not `HIDDEN`, shape (slots,).

        Forbidden values have logits of -inf. If the network returns any logit that is not finite, all are NaN.
        """
        logits = self.combined([self.network(view) for view in self.views(self.seen(row))])
        logits = jnp.where(jnp.isfinite(logits).all(), logits, jnp.nan)
        return logits if self.forbidden is None else jnp.where(jnp.asarray(self.forbidden), -jnp.inf, logits)

    def seen(self, row: Float[Array, " T"]) -> Float[Array, " inputs"]:
        """Compute the input of the network: visible tokens and observed numbers."""
        one_hot = self.tokens.one_hot(row)
        return one_hot if self.observed is None else jnp.concatenate([one_hot, self.observed])

    def views(self, seen: Float[Array, " inputs"]) -> list[Float[Array, " inputs"]]:
        """Return the inputs on which the network is evaluated; with guidance, also without the guiding token."""
        if self.guided is None:
            return [seen]
        is_guided = np.pad(self.tokens.token_of_slot == self.guided, (0, len(seen) - self.tokens.n_slots))
        return [seen, jnp.where(jnp.asarray(is_guided), 0.0, seen)]

    def combined(self, logits: Sequence[Float[Array, " some"]]) -> Float[Array, " some"]:
        """Combine the logits of the `views`."""
        if self.guided is None:
            return logits[0]
        conditional, unconditional = logits
        return conditional + self.guidance * (conditional - unconditional)


class TokenSampler(Sampler):
    """A sampler of the hidden tokens of a row, then of its numbers, if any, given all tokens.

    Tokens are drawn one at a time, in column order or in a random order (`Tokens.in_column_order`). A row with more
    than `WIDE` hidden tokens takes `WIDE` evaluations of the network: each step draws several tokens independently,
    given the earlier ones. This ignores their dependence within a step. The first steps, which see few tokens, draw one
    token each; the last steps draw the most.

    Attributes:
        n_tokens: Number of tokens of a row; None for all columns.
    """

    n_tokens: int | None = eqx.field(static=True, default=None)
    number_sampler: RowSampler | None = None

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " n"]:
        n_tokens = columns if self.n_tokens is None else self.n_tokens
        return jnp.concatenate([jnp.full(n_tokens, HIDDEN), jnp.full(columns - n_tokens, jnp.nan)])

    def draw(self, key: PRNGKeyArray, denoiser: Any, x_T: Float[Array, " n"]) -> Float[Array, "1 n"]:
        """Draw a row by a `TokenDenoiser`, or a `MixedDenoiser` if there are numbers, shape (1, n).

        `x_T` holds observed tokens, `HIDDEN` where unobserved, then observed numbers, NaN where unobserved. Drawn
        tokens have positions in their intervals. Numbers that do not exist are 0. A row is NaN if any logit is NaN.
        """
        row, numbers = jnp.split(x_T, [len(denoiser.tokens.sizes)])
        is_observed = jnp.isfinite(numbers) & denoiser.tokens.has_number(row)
        row = draw_tokens(key, denoiser.token_denoiser.with_observed_numbers(row, numbers), row)
        if self.number_sampler is None:
            return row[None]
        number_denoiser = denoiser.number_denoiser(row, numbers, is_observed, self.number_sampler.schedule)
        noise_key = jax.random.fold_in(key, len(row) + 1)
        drawn = self.number_sampler.draw(noise_key, number_denoiser, jax.random.normal(noise_key, numbers.shape))[0]
        return assemble_row(denoiser.tokens, row, numbers, is_observed, drawn)[None]


def assemble_row(
    tokens: Tokens,
    row: Float[Array, " n"],
    numbers: Float[Array, " k"],
    is_observed: Bool[Array, " k"],
    drawn: Float[Array, " k"],
) -> Float[Array, " n_and_k"]:
    """Concatenate tokens and numbers: observed ones, drawn ones, and 0 where a number does not exist."""
    numbers = jnp.where(is_observed, numbers, jnp.where(tokens.has_number(row), drawn, 0.0))
    numbers = jnp.where(jnp.isnan(row).any(), jnp.nan, numbers)
    return jnp.concatenate([row, numbers])


def draw_tokens(key: PRNGKeyArray, denoiser: TokenDenoiser, x_T: Float[Array, " T"]) -> Float[Array, " T"]:
    """Draw the hidden tokens of a row, with positions in their intervals; see `TokenSampler`."""
    tokens, n = denoiser.tokens, len(denoiser.tokens.sizes)
    x_T = reveal_single_values(tokens, x_T)
    if tokens.in_column_order and isinstance(denoiser.network, TokenNetwork):
        row = _in_column_order(key, denoiser, x_T)
    else:
        order = jnp.zeros(n) if tokens.in_column_order else jax.random.uniform(jax.random.fold_in(key, n), (n,))
        # Observed tokens come last, where drawing leaves them unchanged.
        turns = jnp.argsort(jnp.where(x_T == HIDDEN, order, 2.0))[: sum(size > 1 for size in tokens.sizes)]
        row = _in_steps(key, denoiser, turns, x_T) if len(turns) else x_T
    if tokens.with_intervals:
        intervals = np.asarray(tokens.with_intervals)
        positions = jax.random.uniform(jax.random.fold_in(key, n + 2), intervals.shape, maxval=LARGEST_POSITION)
        row = row.at[intervals].add(jnp.where(x_T[intervals] == HIDDEN, positions, 0.0))
    return jnp.where(jnp.isnan(row).any(), jnp.nan, row)


def reveal_single_values(tokens: Tokens, rows: Float[Array, "*rows T"]) -> Float[Array, "*rows T"]:
    """Replace hidden tokens that have a single value by this value, 0."""
    is_single = tokens.is_single.reshape((1,) * (rows.ndim - 1) + (-1,))
    return jnp.where((rows == HIDDEN) & is_single, 0.0, rows)


def _in_column_order(key: PRNGKeyArray, denoiser: TokenDenoiser, row: Float[Array, " T"]) -> Float[Array, " T"]:
    """Draw the same tokens as `_in_steps` in column order, at a lower cost.

    Only the logits of one token are computed at a time, and each drawn token is added to the output of the first layer,
    which is not recomputed.
    """
    tokens, network, longest = denoiser.tokens, denoiser.network, max(denoiser.tokens.sizes)
    assert isinstance(network, TokenNetwork) and not network.input_waves.shape[-2], "the network is not folded"
    indices = np.flatnonzero(~tokens.is_single)
    if not len(indices):
        return row
    sizes = np.asarray(tokens.sizes)[indices]
    # Sizes are rounded up to few lengths, because each is compiled.
    lengths = np.minimum(4 ** np.ceil(np.log2(sizes) / 2).astype(int), longest)
    distinct_lengths = sorted(set(lengths.tolist()))
    weight, bias = jnp.pad(network.output.weight, ((0, 0), (0, longest))), jnp.pad(network.output.bias, (0, longest))
    forbidden = None if denoiser.forbidden is None else jnp.pad(jnp.asarray(denoiser.forbidden), (0, longest))
    turns = jnp.cumsum(row[indices] == HIDDEN) - 1

    def drawn(length: int, hidden: list[Array], i: Array) -> Array:
        def token_slice(array: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, jnp.asarray(tokens.starts[indices])[i], length, axis=-1)

        logits = denoiser.combined([network.through(h) @ token_slice(weight) + token_slice(bias) for h in hidden])
        if forbidden is not None:
            logits = jnp.where(token_slice(forbidden), -jnp.inf, logits)
        return _draw_value(jax.random.fold_in(key, turns[i]), logits, jnp.asarray(sizes)[i])

    branches = [partial(drawn, length) for length in distinct_lengths]
    seen = denoiser.seen(row)
    view_masks = denoiser.views(jnp.ones_like(seen))

    def step(i: Array, carry: tuple[Array, list[Array]]) -> tuple[Array, list[Array]]:
        row, hidden = carry
        index = jnp.asarray(indices)[i]
        value = jax.lax.switch(jnp.asarray(np.searchsorted(distinct_lengths, lengths))[i], branches, hidden, i)
        slot = jnp.asarray(tokens.starts)[index] + jnp.nan_to_num(value).astype(jnp.int32)
        is_drawn = row[index] == HIDDEN
        new = jnp.where(is_drawn, jnp.asarray(network.input.weight)[slot], 0.0)
        hidden = [h + mask[slot] * new for h, mask in zip(hidden, view_masks, strict=True)]
        return row.at[index].set(jnp.where(is_drawn, value, row[index])), hidden

    hidden = [network.input(view) for view in denoiser.views(seen)]
    return jax.lax.fori_loop(0, len(indices), step, (row, hidden))[0]


def _in_steps(
    key: PRNGKeyArray, denoiser: TokenDenoiser, turns: Int[Array, " hidden"], row: Float[Array, " T"]
) -> Float[Array, " T"]:
    """Draw the hidden tokens of a row in steps, of one token in narrow rows, each given the tokens of earlier steps."""
    tokens, last, longest = denoiser.tokens, len(turns) - 1, max(denoiser.tokens.sizes)
    sizes, starts = jnp.asarray(tokens.sizes), jnp.asarray(tokens.starts)
    ends = step_ends((row == HIDDEN).sum())[: len(turns)]
    offsets = jnp.arange(max_tokens_per_step(tokens))

    def step(i: Array, row: Array) -> Array:
        # Padded, so that a slice of the largest size fits at every token.
        logits = jnp.pad(denoiser.logits(row), (0, longest))

        def draw(turn: Array) -> Array:
            index = turns[jnp.minimum(turn, last)]
            of_token = jax.lax.dynamic_slice(logits, (starts[index],), (longest,))
            return _draw_value(jax.random.fold_in(key, turn), of_token, sizes[index])

        step_turns = offsets + jnp.where(i > 0, ends[i - 1], 0)
        indices = turns[jnp.minimum(step_turns, last)]
        # One at a time, to save the memory of their noise.
        drawn = jax.lax.map(draw, step_turns)
        return row.at[jnp.where(step_turns < ends[i], indices, len(row))].set(drawn, mode="drop")

    return jax.lax.fori_loop(0, len(ends), step, row)


def _draw_value(key: PRNGKeyArray, logits: Float[Array, " padded"], size: Int[Array, ""]) -> Float[Array, ""]:
    """Draw one of the first `size` values by the Gumbel trick; return NaN if logits are NaN."""
    scores = jnp.where(jnp.arange(len(logits)) < size, logits + jax.random.gumbel(key, logits.shape), -jnp.inf)
    return jnp.where(jnp.isfinite(scores.max()), jnp.argmax(scores).astype(jnp.float32), jnp.nan)


def step_ends(n_hidden: Int[Array, ""]) -> Int[Array, " steps"]:
    """Compute how many hidden tokens of a wide row are drawn by the end of each step.

    After step i = 1 … `WIDE`, a fraction 1 - cos(π i / (2 `WIDE`)) is drawn (Chang et al. 2022, arXiv
    2202.04200, section 3.3). Each step draws at least one, so up to `WIDE` tokens are drawn one by one.
    """
    by_fraction = jnp.round(n_hidden.astype(jnp.float32) * jnp.asarray(STEP_FRACTIONS, jnp.float32)).astype(jnp.int32)
    return jnp.minimum(jnp.maximum(by_fraction, jnp.arange(1, WIDE + 1)), n_hidden)


def max_tokens_per_step(tokens: Tokens) -> int:
    """Return the largest number of tokens in one step of `step_ends`."""
    return math.ceil(len(tokens.sizes) * np.diff(STEP_FRACTIONS).max()) + 1 if tokens.is_wide else 1
