"""Drawing rows of tokens: one after another given those that are seen, or several at a time in wide rows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.samplers import Sampler
from pointillist.diffusion.tokens.masking import WIDE, Tokens, number_features
from pointillist.diffusion.tokens.token_networks import TokenNetwork

SHARES = 1 - np.cos(np.pi / 2 * np.arange(1, WIDE + 1) / WIDE)
"""Fraction of a wide row's hidden tokens that is drawn by the end of each evaluation."""

HIDDEN = -1.0
"""Stands for a hidden token."""

LARGEST_POSITION = 1 - 2.0**-12
"""Largest position in an interval: added to a token of up to four digits, it stays below 1."""


class TokenDenoiser(eqx.Module):
    """A network of tokens, with its tokens.

    Attributes:
        network: Network from one-hot tokens that are seen to logits.
        tokens: Its tokens.
        forbidden: Slots of values that are never drawn; None for none.
        shown: Features of the numbers that are given; None if there are no numbers.
    """

    network: Callable[[Array], Array]
    tokens: Tokens = eqx.field(static=True)
    forbidden: Bool[Array | np.ndarray, " slots"] | None = None
    shown: Float[Array, " f"] | None = None

    def with_observed_numbers(self, numbers: Float[Array, " k"], is_observed: Bool[Array, " k"]) -> "TokenDenoiser":
        """The denoiser of tokens beside the numbers that are given, if the tokens have numbers."""
        return replace(self, shown=number_features(numbers, is_observed)) if self.tokens.with_number else self

    def logits(self, row: Float[Array, " T"]) -> Float[Array, " slots"]:
        """Computes the logit of every value of every token, given those that are not `HIDDEN`; shape (slots,).

        If one of them is NaN, or infinite although its value may be drawn, all are NaN.
        """
        logits = self.combined([self.network(view) for view in self.views(self.seen(row))])
        logits = jnp.where(jnp.isfinite(logits).all(), logits, jnp.nan)
        return logits if self.forbidden is None else jnp.where(jnp.asarray(self.forbidden), -jnp.inf, logits)

    def seen(self, row: Float[Array, " T"]) -> Float[Array, " inputs"]:
        """What the network is shown of a row, and of numbers that are given."""
        one_hot = self.tokens.one_hot(row)
        return one_hot if self.shown is None else jnp.concatenate([one_hot, self.shown])

    def views(self, seen: Float[Array, " inputs"]) -> list[Float[Array, " inputs"]]:
        """The parts of it that the network is evaluated on."""
        return [seen]

    def combined(self, logits: Sequence[Float[Array, " some"]]) -> Float[Array, " some"]:
        """The logits of some values, from those that the network gives for each of the `views`."""
        return logits[0]


class GuidedTokenDenoiser(TokenDenoiser):
    """Classifier-free guidance of tokens: (1 + w) log p(token | seen) - w log p(token | seen without the guided one).

    Attributes:
        guided: Position of the token towards whose value the others are guided.
        guidance: w, at least 0: **0 is plain conditional sampling**.
    """

    guided: int = eqx.field(static=True, default=0)
    guidance: Float[Array | np.ndarray, ""] | float = 0.0

    def views(self, seen: Float[Array, " inputs"]) -> list[Float[Array, " inputs"]]:
        """All of it, and all but the guided token."""
        is_guided = np.pad(self.tokens.token_of_slot == self.guided, (0, len(seen) - self.tokens.n_slots))
        return [seen, jnp.where(jnp.asarray(is_guided), 0.0, seen)]

    def combined(self, logits: Sequence[Float[Array, " some"]]) -> Float[Array, " some"]:
        """The guided logits of some values."""
        given, without = logits
        return given + self.guidance * (given - without)


class TokenSampler(Sampler):
    """A sampler of the hidden tokens of a row: one at a time, except in wide rows.

    Tokens are drawn in column order or in a random order; see `Tokens.in_column_order`. A wide row with more than
    `WIDE` hidden tokens is drawn in `WIDE` evaluations of the network: each step draws several tokens independently,
    given those of earlier steps. This ignores their dependence within a step. The first steps, which see few tokens,
    draw one token each; the last steps draw the most.
    """

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " T"]:
        """Start of a draw, with all tokens hidden."""
        return jnp.full(columns, HIDDEN)

    def draw(self, key: PRNGKeyArray, denoiser: TokenDenoiser, x_T: Float[Array, " T"]) -> Float[Array, "1 T"]:
        """Draws a row, shape (1, T).

        Args:
            key: The draw's own key.
            denoiser: The denoiser, which returns logits.
            x_T: Tokens, `HIDDEN` where they are to be drawn.

        Returns:
            All tokens, those of intervals plus the positions in them; NaN if the network's logits are NaN.
        """
        return draw_tokens(key, denoiser, x_T)[None]


def draw_tokens(key: PRNGKeyArray, denoiser: TokenDenoiser, x_T: Float[Array, " T"]) -> Float[Array, " T"]:
    """Draws the hidden tokens of a row; see `TokenSampler.draw`."""
    tokens, n = denoiser.tokens, len(denoiser.tokens.sizes)
    x_T = reveal_single_values(tokens, x_T)
    if tokens.in_column_order and isinstance(denoiser.network, TokenNetwork):
        row = _in_turn(key, denoiser, x_T)
    else:
        order = jnp.zeros(n) if tokens.in_column_order else jax.random.uniform(jax.random.fold_in(key, n), (n,))
        # The given ones last, where there is nothing left to draw.
        turns = jnp.argsort(jnp.where(x_T == HIDDEN, order, 2.0))[: sum(size > 1 for size in tokens.sizes)]
        draw_all = _in_steps if tokens.is_wide else _one_by_one
        row = draw_all(key, denoiser, turns, x_T) if len(turns) else x_T
    if tokens.with_intervals:
        some = np.asarray(tokens.with_intervals)
        indices = jax.random.uniform(jax.random.fold_in(key, n + 2), some.shape, maxval=LARGEST_POSITION)
        row = row.at[some].add(jnp.where(x_T[some] == HIDDEN, indices, 0.0))
    return jnp.where(jnp.isnan(row).any(), jnp.nan, row)


def reveal_single_values(tokens: Tokens, rows: Float[Array, "*rows T"]) -> Float[Array, "*rows T"]:
    """Shows the hidden tokens that have a single value."""
    is_single = tokens.is_single.reshape((1,) * (rows.ndim - 1) + (-1,))
    return jnp.where((rows == HIDDEN) & is_single, 0.0, rows)


def _one_by_one(
    key: PRNGKeyArray, denoiser: TokenDenoiser, turns: Int[Array, " hidden"], row: Float[Array, " T"]
) -> Float[Array, " T"]:
    """Draws a row's hidden tokens, each given all before it in their order."""

    def step(i: Array, row: Array) -> Array:
        index = turns[i]
        drawn = _drawn(key, denoiser.tokens, _padded(denoiser, row), index, i)
        return row.at[index].set(jnp.where(row[index] == HIDDEN, drawn, row[index]))

    return jax.lax.fori_loop(0, len(turns), step, row)


def _in_turn(key: PRNGKeyArray, denoiser: TokenDenoiser, row: Float[Array, " T"]) -> Float[Array, " T"]:
    """Draws the same as `_one_by_one` where tokens have the order of the columns, at a smaller cost.

    Only the logits of one token are computed at a time, and a token that is drawn is added to what the first layer of
    the network has made of those before it.
    """
    tokens, network, longest = denoiser.tokens, denoiser.network, max(denoiser.tokens.sizes)
    assert isinstance(network, TokenNetwork) and not network.input_waves.shape[-2], "the network is not folded"
    indices = np.flatnonzero(~tokens.is_single)
    if not len(indices):
        return row
    sizes = np.asarray(tokens.sizes)[indices]
    # Few lengths: each is compiled.
    lengths = np.minimum(4 ** np.ceil(np.log2(sizes) / 2).astype(int), longest)
    known = sorted(set(lengths.tolist()))
    weight, bias = jnp.pad(network.output.weight, ((0, 0), (0, longest))), jnp.pad(network.output.bias, (0, longest))
    forbidden = None if denoiser.forbidden is None else jnp.pad(jnp.asarray(denoiser.forbidden), (0, longest))
    turns = jnp.cumsum(row[indices] == HIDDEN) - 1

    def drawn(length: int, hidden: list[Array], i: Array) -> Array:
        def own(of: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(of, jnp.asarray(tokens.starts[indices])[i], length, axis=-1)

        logits = denoiser.combined([network.through(h) @ own(weight) + own(bias) for h in hidden])
        if forbidden is not None:
            logits = jnp.where(own(forbidden), -jnp.inf, logits)
        return _with_noise(jax.random.fold_in(key, turns[i]), logits, jnp.asarray(sizes)[i])

    branches = [partial(drawn, length) for length in known]
    seen = denoiser.seen(row)
    shares = denoiser.views(jnp.ones_like(seen))

    def step(i: Array, carry: tuple[Array, list[Array]]) -> tuple[Array, list[Array]]:
        row, hidden = carry
        index = jnp.asarray(indices)[i]
        value = jax.lax.switch(jnp.asarray(np.searchsorted(known, lengths))[i], branches, hidden, i)
        slot = jnp.asarray(tokens.starts)[index] + jnp.nan_to_num(value).astype(jnp.int32)
        is_drawn = row[index] == HIDDEN
        new = jnp.where(is_drawn, jnp.asarray(network.input.weight)[slot], 0.0)
        hidden = [h + share[slot] * new for h, share in zip(hidden, shares, strict=True)]
        return row.at[index].set(jnp.where(is_drawn, value, row[index])), hidden

    hidden = [network.input(view) for view in denoiser.views(seen)]
    return jax.lax.fori_loop(0, len(indices), step, (row, hidden))[0]


def _in_steps(
    key: PRNGKeyArray, denoiser: TokenDenoiser, turns: Int[Array, " hidden"], row: Float[Array, " T"]
) -> Float[Array, " T"]:
    """Draws a row's hidden tokens, each given those of all earlier steps."""
    tokens, last = denoiser.tokens, len(turns) - 1
    ends = step_ends((row == HIDDEN).sum())
    numbers = jnp.arange(max_tokens_per_step(tokens))

    def step(i: Array, row: Array) -> Array:
        logits = _padded(denoiser, row)
        own = numbers + jnp.where(i > 0, ends[i - 1], 0)
        indices = turns[jnp.minimum(own, last)]
        # In turn, for the memory of their noise.
        drawn = jax.lax.map(lambda turn: _drawn(key, tokens, logits, turns[jnp.minimum(turn, last)], turn), own)
        return row.at[jnp.where(own < ends[i], indices, len(row))].set(drawn, mode="drop")

    return jax.lax.fori_loop(0, len(ends), step, row)


def _padded(denoiser: TokenDenoiser, row: Float[Array, " T"]) -> Float[Array, " padded"]:
    """Pads logits, so that a slice as long as the longest token's fits wherever it begins."""
    return jnp.pad(denoiser.logits(row), (0, max(denoiser.tokens.sizes)))


def _drawn(
    key: PRNGKeyArray, tokens: Tokens, padded: Float[Array, " padded"], index: Int[Array, ""], turn: Int[Array, ""]
) -> Float[Array, ""]:
    """Draws a token from its logits; NaN if these are NaN."""
    sizes, starts, longest = jnp.asarray(tokens.sizes), jnp.asarray(tokens.starts), max(tokens.sizes)
    own = jax.lax.dynamic_slice(padded, (starts[index],), (longest,))
    return _with_noise(jax.random.fold_in(key, turn), own, sizes[index])


def _with_noise(key: PRNGKeyArray, logits: Float[Array, " padded"], size: Int[Array, ""]) -> Float[Array, ""]:
    """Draws one of the first `size` values from their logits: the largest with Gumbel noise is a draw from the softmax.

    It is NaN if logits are NaN.
    """
    scores = jnp.where(jnp.arange(len(logits)) < size, logits + jax.random.gumbel(key, logits.shape), -jnp.inf)
    return jnp.where(jnp.isfinite(scores.max()), jnp.argmax(scores).astype(jnp.float32), jnp.nan)


def step_ends(n_hidden: Int[Array, ""]) -> Int[Array, " steps"]:
    """Returns how many of a wide row's hidden tokens are drawn by the end of each step.

    Step i = 1 … `WIDE` ends when a fraction 1 - cos(π i / (2 `WIDE`)) of them is drawn (Chang et al. 2022, arXiv
    2202.04200, section 3.3). Each step draws at least one, so up to `WIDE` tokens are drawn one by one.
    """
    by_share = jnp.round(n_hidden.astype(jnp.float32) * jnp.asarray(SHARES, jnp.float32)).astype(jnp.int32)
    return jnp.minimum(jnp.maximum(by_share, jnp.arange(1, WIDE + 1)), n_hidden)


def max_tokens_per_step(tokens: Tokens) -> int:
    """Most tokens that a step of `step_ends` can have."""
    return math.ceil(len(tokens.sizes) * np.diff(SHARES).max()) + 1
