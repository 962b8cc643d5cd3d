"""Masked diffusion of rows of tokens: tokens are hidden, and drawn one after another given those that are seen.

A token is an integer from 0 to below its column's size. Noise hides tokens (Austin et al. 2021, arXiv 2107.03006,
section 3.1, "absorbing"); for every hidden token, a network predicts its distribution given all that are seen. Drawing
one token at a time in a random order samples the reverse process without a discretisation error, and is a model
of every order at once (Hoogeboom et al. 2021, arXiv 2110.02037, section 3). So any tokens can be fixed, and the others
drawn from their conditional distribution.

Rows of more than `WIDE` tokens have a network whose first and last layers are factored, and their tokens are drawn
several at a time, so that the cost of fitting and drawing grows no faster than the number of cells.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import stratified
from pointillist.diffusion.networks import Dense, normal_layers
from pointillist.diffusion.samplers import Sampler

WIDE = 128
"""Most tokens of a row that is not wide. Narrow rows are trained and drawn another way, whose cost is quadratic in
the number of tokens; their weights and rows stay the same to the last bit. A wide row is drawn in as many evaluations
of the network."""

SHARES = 1 - np.cos(np.pi / 2 * np.arange(1, WIDE + 1) / WIDE)
"""Fraction of a wide row's hidden tokens that is drawn by the end of each evaluation."""

N_WAVES = 8
"""Number of smooth functions of an ordered token's values that a network begins with."""

RANK = 8
"""Most features of a token's value in the network of a wide row."""

PADDING = 0.25
"""Largest fraction of the values computed in parallel that may be padding."""

HIDDEN = -1.0
"""Stands for a hidden token."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a row.

    Attributes:
        sizes: Number of values of each token.
        parents: For each token, the position of the token that is always drawn before it; -1 for none.
        ranks: Rank in (0, 1) of each value of each token whose values have an order; -1 for values without one. Empty
            if no token's values have an order.
    """

    sizes: tuple[int, ...]
    parents: tuple[int, ...]
    ranks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.ranks) not in (0, sum(self.sizes)):
            raise ValueError("either each value of each token has a rank, or none has one")
        if not self.sizes or len(self.sizes) != len(self.parents) or min(self.sizes) < 1:
            raise ValueError("a row needs at least one token, and each token a size of at least 1 and a parent or -1")
        if any(parent >= place for place, parent in enumerate(self.parents)) or min(self.parents) < -1:
            raise ValueError("a token's parent must come before it")

    @property
    def n_slots(self) -> int:
        """Total number of values of all tokens."""
        return sum(self.sizes)

    @cached_property
    def owner(self) -> Int[np.ndarray, " slots"]:
        """The token that each slot is a value of."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @cached_property
    def value(self) -> Int[np.ndarray, " slots"]:
        """The value that each slot stands for."""
        return np.concatenate([np.arange(size) for size in self.sizes])

    @cached_property
    def starts(self) -> Int[np.ndarray, " tokens"]:
        """The first slot of each token."""
        return np.cumsum(self.sizes) - np.asarray(self.sizes)

    @property
    def is_wide(self) -> bool:
        """Whether a row has more than `WIDE` tokens."""
        return len(self.sizes) > WIDE

    @cached_property
    def levels(self) -> tuple[Int[np.ndarray, " some"], ...]:
        """Tokens with a parent, level by level: those whose parent has none, then the children of these, and so on."""
        depth = np.zeros(len(self.sizes), np.int64)
        for place, parent in enumerate(self.parents):
            depth[place] = 0 if parent < 0 else depth[parent] + 1
        return tuple(np.flatnonzero(depth == level) for level in range(1, depth.max() + 1))

    @cached_property
    def blocks(self) -> tuple[Int[np.ndarray, " some"], ...]:
        """All tokens, grouped by similar size; the number of groups grows with the logarithm of the largest size."""
        left = np.argsort(self.sizes, kind="stable")
        blocks = []
        while len(left):
            sizes = np.asarray(self.sizes)[left]
            first = int(np.searchsorted(sizes, (1 - PADDING) * sizes[-1]))
            blocks.append(left[first:])
            left = left[:first]
        return tuple(blocks)

    @cached_property
    def features(self) -> tuple[int, ...]:
        """Number of features of a value in each block: `RANK`, or the number of values if that is smaller."""
        return tuple(min(RANK, max(self.sizes[place] for place in block)) for block in self.blocks)

    @cached_property
    def splits(self) -> Int[np.ndarray, " tokens_less_one"]:
        """Positions where the slots of one token end and those of the next begin."""
        return np.cumsum(self.sizes)[:-1]

    @cached_property
    def waves(self) -> Float[np.ndarray, "slots waves"]:
        """Smooth functions of values that have an order: cos(π k rank), k = 1 … `N_WAVES`; 0 for other values."""
        ranks = np.asarray(self.ranks or (-1.0,) * self.n_slots)
        waves = np.cos(np.pi * ranks[:, None] * np.arange(1, N_WAVES + 1)) * (ranks >= 0)[:, None]
        return waves.astype(np.float32)

    @cached_property
    def with_order(self) -> Int[np.ndarray, " some"]:
        """The tokens whose values have an order."""
        return np.unique(self.owner[np.asarray(self.ranks or (-1.0,) * self.n_slots) >= 0])

    @cached_property
    def own_waves(self) -> Float[np.ndarray, "slots all_waves"]:
        """The `waves`, in separate columns for each token that has some; their size is quadratic in the tokens."""
        by_owner = (self.owner[:, None] == self.with_order)[:, :, None] * self.waves[:, None]
        return by_owner.reshape(self.n_slots, -1)

    def one_hot(self, tokens: Float[Array, "*rows T"]) -> Float[Array, "*rows slots"]:
        """One-hot encoding: 1 in the slot of each token's value, 0 elsewhere; all 0 for hidden tokens."""
        value = jnp.asarray(self.value, tokens.dtype).reshape((1,) * (tokens.ndim - 1) + (-1,))
        return (tokens[..., self.owner] == value).astype(jnp.float32)

    def ordered(self, scores: Float[Array, "*rows T"]) -> Float[Array, "*rows T"]:
        """Turns random numbers in [0, 1) into an order in which parents come before their tokens."""
        for own in self.levels:
            before = scores[..., np.asarray(self.parents)[own]]
            scores = scores.at[..., own].set(before + (1 - before) * scores[..., own])
        return scores


class TokenNetwork(eqx.Module):
    """Residual blocks over the one-hot tokens that are seen, with a logit for every value of every token.

    The values of an ordered token share what they have in common: the first and the last layer also have weights for
    smooth functions of a value's rank. `folded` merges both kinds of weights.

    Attributes:
        input: Layer slots → width.
        inner: The `depth` layers width → width.
        outer: The `depth` layers width → width.
        output: Layer width → slots, which begins at 0.
        input_waves: Weights waves → width.
        output_waves: Weights width → waves.
        tokens: The tokens.
    """

    input: Dense
    inner: tuple[Dense, ...]
    outer: tuple[Dense, ...]
    output: Dense
    input_waves: Float[Array, "*stack waves width"]
    output_waves: Float[Array, "*stack width waves"]
    tokens: Tokens = eqx.field(static=True)

    @classmethod
    def build(cls, key: PRNGKeyArray, *, tokens: Tokens, width: int, depth: int) -> "TokenNetwork":
        """A fresh network."""
        slots, seen, waves = tokens.n_slots, len(tokens.sizes), N_WAVES * len(tokens.with_order)
        # A row has one value of each token, whatever their number.
        size = (slots / seen) ** 0.5
        shapes = [(slots, width, size), *depth * [(width, width, 1.0)], *depth * [(width, width, 0.3)]]
        first, *middle = normal_layers(key, shapes)
        return cls(
            input=first,
            inner=tuple(middle[:depth]),
            outer=tuple(middle[depth:]),
            output=Dense(jnp.zeros((width, slots)), jnp.zeros(slots)),
            input_waves=jax.random.normal(jax.random.fold_in(key, 1), (waves, width)) / (N_WAVES * seen) ** 0.5,
            output_waves=jnp.zeros((width, waves)),
            tokens=tokens,
        )

    def __call__(self, seen: Float[Array, " slots"]) -> Float[Array, " slots"]:
        """Computes logits, shape (slots,), from one-hot tokens, shape (slots,), zeros where hidden."""
        own = self.folded() if self.input_waves.shape[-2] else self
        return own.output(_through(own.inner, own.outer, own.input(seen)))

    def folded(self) -> "TokenNetwork":
        """The same network with the weights of the waves added to the others."""
        waves = jnp.asarray(self.tokens.own_waves, self.input.weight.dtype)
        weights = self.input.weight + waves @ self.input_waves, self.output.weight + self.output_waves @ waves.T
        width = self.input_waves.shape[-1]
        return replace(
            self,
            input=Dense(weights[0], self.input.bias),
            output=Dense(weights[1], self.output.bias),
            input_waves=jnp.zeros((0, width), weights[0].dtype),
            output_waves=jnp.zeros((width, 0), weights[0].dtype),
            tokens=replace(self.tokens, ranks=()),
        )


class FactoredNetwork(eqx.Module):
    """The network of a wide row in training: a `TokenNetwork` whose first and last layers are products.

    Every value of a token has up to `RANK` features, and every feature of a token has weights to and from the hidden
    layers. The layers, and Adam's moments of them, then grow with the number of tokens and not of their values. Tokens
    of up to `RANK` values begin with a feature for each value, which loses nothing.

    Attributes:
        input: Layer features → width, with tokens in the order of their blocks.
        inner: The `depth` layers width → width.
        outer: The `depth` layers width → width.
        output: Layer features → width, transposed in use, which begins at 0.
        bias: Bias of the logits.
        input_features: Features of every value that is seen.
        output_features: Features of every value that has a logit.
        tokens: The tokens.
    """

    input: Dense
    inner: tuple[Dense, ...]
    outer: tuple[Dense, ...]
    output: Float[Array, "*stack features width"]
    bias: Float[Array, "*stack slots"]
    input_features: Float[Array, "*stack slots rank"]
    output_features: Float[Array, "*stack slots rank"]
    tokens: Tokens = eqx.field(static=True)

    @classmethod
    def build(cls, key: PRNGKeyArray, *, tokens: Tokens, width: int, depth: int) -> "FactoredNetwork":
        """A fresh network."""
        n = sum(len(block) * rank for block, rank in zip(tokens.blocks, tokens.features, strict=True))
        # A value's features have a length of about 1, and a row has one value of each token.
        size = (n / len(tokens.sizes)) ** 0.5
        shapes = [(n, width, size), *depth * [(width, width, 1.0)], *depth * [(width, width, 0.3)]]
        first, *middle = normal_layers(key, shapes)
        of_input, of_output = (_first_features(jax.random.fold_in(key, i), tokens) for i in (1, 2))
        return cls(
            input=first,
            inner=tuple(middle[:depth]),
            outer=tuple(middle[depth:]),
            output=jnp.zeros((n, width)),
            bias=jnp.zeros(tokens.n_slots),
            input_features=of_input,
            output_features=of_output,
            tokens=tokens,
        )

    def loss(
        self, rows: Float[Array, "m T"], is_seen: Bool[Array, "m T"], weight: Float[Array, "m T"]
    ) -> Float[Array, ""]:
        """Sum over rows of the loss that `token_loss` averages; logits are computed a block at a time."""
        slots = jnp.asarray(self.tokens.starts)[None] + rows.astype(jnp.int32)
        shown = [
            self.input_features[slots[:, block], :rank] * is_seen[:, block, None].astype(self.bias.dtype)
            for block, rank in self._blocks
        ]
        features = jnp.concatenate([part.reshape(len(rows), -1) for part in shown], axis=1)
        h = jax.vmap(lambda row: _through(self.inner, self.outer, self.input(row)))(features)
        total = jnp.zeros(())
        for block, rank, asked in self._by_block(self.output @ h.T):
            own = slots[:, block].T
            wanted = jnp.sum(jnp.moveaxis(self.output_features[own, :rank], -1, 1) * asked, axis=1) + self.bias[own]
            lost = self._totals(asked, block) - wanted.astype(jnp.float32)
            total += jnp.sum(weight[:, block].T * lost)
        return total

    @property
    def _blocks(self) -> Iterator[tuple[np.ndarray, int]]:
        return zip(self.tokens.blocks, self.tokens.features, strict=True)

    def _by_block(self, features: Float[Array, "features k"]) -> Iterator[tuple[np.ndarray, int, Array]]:
        """Every block, its number of features, and its part of `features`, shape (tokens, features, k)."""
        first = 0
        for block, rank in self._blocks:
            end = first + len(block) * rank
            yield block, rank, features[first:end].reshape(len(block), rank, -1)
            first = end

    def _totals(self, asked: Float[Array, "n rank m"], block: Int[np.ndarray, " n"]) -> Float[Array, "n m"]:
        """The logarithm of the sum of the exponentials of all logits of a block's tokens."""
        sizes = np.asarray(self.tokens.sizes)[block]
        value = np.arange(sizes.max())
        slots = self.tokens.starts[block][:, None] + np.minimum(value, sizes[:, None] - 1)
        bias = jnp.where(jnp.asarray(value < sizes[:, None]), self.bias[slots], -jnp.inf)
        features = self.output_features[slots, : asked.shape[1]]
        logits = (jnp.einsum("nvk,nkm->nvm", features, asked) + bias[..., None]).astype(jnp.float32)
        # JAX's own, which also takes infinite ones, costs half as much again.
        largest = jax.lax.stop_gradient(logits.max(axis=1))
        return jnp.log(jnp.exp(logits - largest[:, None]).sum(axis=1)) + largest

    def folded(self) -> TokenNetwork:
        """The same function as a `TokenNetwork`, with the products multiplied out."""
        slots, width = self.tokens.n_slots, self.output.shape[-1]
        weights = []
        for features, layer in ((self.input_features, self.input.weight), (self.output_features, self.output)):
            by_token = jnp.zeros((len(self.tokens.sizes), RANK, width), layer.dtype)
            for block, rank, own in self._by_block(layer):
                by_token = by_token.at[block, :rank].set(own)
            products = (features[:, i, None] * by_token[self.tokens.owner, i] for i in range(RANK))
            weights.append(sum(products, start=jnp.zeros((slots, width), layer.dtype)))
        return TokenNetwork(
            input=Dense(weights[0], self.input.bias),
            inner=self.inner,
            outer=self.outer,
            output=Dense(weights[1].T, self.bias),
            input_waves=jnp.zeros((0, width), weights[0].dtype),
            output_waves=jnp.zeros((width, 0), weights[0].dtype),
            tokens=replace(self.tokens, ranks=()),
        )


def _first_features(key: PRNGKeyArray, tokens: Tokens) -> Float[Array, "slots rank"]:
    """Smooth functions of values that have an order; random features of others, or one each if there are few."""
    waves = tokens.waves * (2 / N_WAVES) ** 0.5
    is_few = np.asarray(tokens.sizes)[tokens.owner] <= RANK
    fixed = np.where(is_few[:, None], np.eye(RANK, dtype=np.float32)[np.minimum(tokens.value, RANK - 1)], waves)
    drawn = jax.random.normal(key, fixed.shape) / RANK**0.5
    return jnp.where(jnp.asarray(fixed.any(axis=1))[:, None], jnp.asarray(fixed), drawn)


def _through(inner: tuple[Dense, ...], outer: tuple[Dense, ...], h: Float[Array, " width"]) -> Float[Array, " width"]:
    """The residual blocks."""
    for first, second in zip(inner, outer, strict=True):
        h = h + second(jax.nn.silu(first(_normalised(h))))
    return _normalised(h)


def _normalised(h: Float[Array, " width"]) -> Float[Array, " width"]:
    square = jnp.mean(h**2)
    # Of an infinite one the root would make 0 of everything, which looks like numbers.
    return h * jnp.where(jnp.isinf(square), jnp.nan, jax.lax.rsqrt(square + 1e-6))


def hiding(
    tokens: Tokens, order: Float[Array, "m T"], share: Float[Array, " m"]
) -> tuple[Bool[Array, "m T"], Float[Array, "m T"]]:
    """Decides which tokens of some rows are seen, and weights the losses of the others.

    The first v tokens of a row's order are seen, v = 0 … T - 1; the next one may be any whose parent is seen.
    With weights T / (number of these) the loss is, on average over v and the order, the mean negative log-likelihood
    of a row (Hoogeboom et al. 2021, equation 5), exactly so if no token has a parent.

    Args:
        tokens: The tokens.
        order: Order of the tokens from `Tokens.ordered`, shape (m, T).
        share: v / T, in [0, 1), shape (m,).

    Returns:
        Whether a token is seen, and the weights, both of shape (m, T).
    """
    n = len(tokens.sizes)
    n_seen = jnp.floor(share * float(n)).astype(jnp.int32)[:, None]
    is_seen: Array = order < (_smallest if tokens.is_wide else _smallest_by_sorting)(order, n_seen)
    has_parent = np.asarray(tokens.parents) >= 0
    parent_seen = jnp.where(has_parent[None], is_seen[:, np.maximum(tokens.parents, 0)], True)
    is_next = ~is_seen & parent_seen
    n_next = is_next.sum(axis=1, keepdims=True).astype(jnp.float32)
    return is_seen, is_next.astype(jnp.float32) * (n / jnp.maximum(1.0, n_next))


def _smallest_by_sorting(order: Float[Array, "m T"], n: Int[Array, "m 1"]) -> Float[Array, "m 1"]:
    return jnp.take_along_axis(jnp.sort(order, axis=1), n, axis=1)


def _smallest(order: Float[Array, "m T"], n: Int[Array, "m 1"]) -> Float[Array, "m 1"]:
    """Finds the number in [0, 1] that exactly n others are below; in long rows this is faster than sorting.

    Such numbers have the order of their bits, which are found one after another from the highest.
    """
    bits = jax.lax.bitcast_convert_type(order, jnp.int32)

    def step(i: Array, found: Array) -> Array:
        higher = found | (1 << (29 - i))
        return jnp.where((bits < higher).sum(axis=1, keepdims=True) <= n, higher, found)

    return jax.lax.bitcast_convert_type(jax.lax.fori_loop(0, 30, step, jnp.zeros_like(n)), jnp.float32)


def token_loss(
    network: TokenNetwork | FactoredNetwork,
    tokens: Tokens,
    rows: Float[Array, "m T"],
    is_seen: Bool[Array, "m T"],
    weight: Float[Array, "m T"],
) -> Float[Array, ""]:
    """Negative log-probability of hidden tokens in nats, summed over tokens with weights and averaged over rows.

    Args:
        network: The network, which returns logits.
        tokens: The tokens.
        rows: Rows of tokens, shape (m, T).
        is_seen: Which tokens the network sees, shape (m, T).
        weight: Weight of each token, shape (m, T).
    """
    if isinstance(network, FactoredNetwork):
        return network.loss(rows, is_seen, weight) / len(rows)
    wanted = tokens.one_hot(rows)
    seen = wanted * is_seen[:, tokens.owner].astype(jnp.float32)
    logits = jax.vmap(network)(seen.astype(network.output.bias.dtype)).astype(jnp.float32)
    of_token = jnp.split(logits, tokens.splits, axis=1)
    totals = jnp.stack([jax.nn.logsumexp(part, axis=1) for part in of_token], axis=1)
    return (jnp.sum(weight * totals) - jnp.sum(logits * wanted * weight[:, tokens.owner])) / len(rows)


@dataclass(frozen=True)
class TokenObjective:
    """The objective of models of tokens, as `losses.Objective` is that of models of rows of numbers.

    Attributes:
        tokens: The tokens of a row.
    """

    tokens: Tokens

    def examples(
        self,
        keys: tuple[PRNGKeyArray, PRNGKeyArray],
        x0: Float[Array, "m T"],
        labels: Any,
        batch_size: int,
        schedule: Any,
        spread: Any,
        features: Any,
    ) -> tuple[Array, ...]:
        """Makes rows, which of their tokens are seen, and the weights of the others; all of shape (m, T)."""
        share = stratified(keys[0], len(x0) // batch_size, batch_size)
        order = self.tokens.ordered(jax.random.uniform(keys[1], x0.shape))
        return x0, *hiding(self.tokens, order, share)

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Computes `token_loss` of a batch, with the network's products in a given precision."""
        if precision != "float32":
            network = jax.tree.map(lambda leaf: leaf.astype(precision), network)
        return token_loss(network, self.tokens, *batch)


class TokenDenoiser(eqx.Module):
    """A network of tokens, with its tokens.

    Attributes:
        network: Network from one-hot tokens that are seen to logits.
        tokens: Its tokens.
        guided: Position of the token towards whose value the others are guided; None for none.
        guidance: w, at least 0: log-probabilities are (1 + w) log p(token | seen) - w log p(token | seen without the
            guided one).
        forbidden: Slots of values that are never drawn; None for none.
    """

    network: Callable[[Array], Array]
    tokens: Tokens = eqx.field(static=True)
    guided: int | None = eqx.field(static=True, default=None)
    guidance: Float[Array | np.ndarray, ""] | float = 0.0
    forbidden: Bool[Array | np.ndarray, " slots"] | None = None

    def logits(self, row: Float[Array, " T"]) -> Float[Array, " slots"]:
        """Computes the logit of every value of every token, given those that are not `HIDDEN`; shape (slots,).

        If one of them is NaN, or infinite although its value may be drawn, all are NaN.
        """
        seen = self.tokens.one_hot(row)
        logits = self.network(seen)
        if self.guided is not None:
            without = self.network(jnp.where(jnp.asarray(self.tokens.owner == self.guided), 0.0, seen))
            logits = logits + self.guidance * (logits - without)
        logits = jnp.where(jnp.isfinite(logits).all(), logits, jnp.nan)
        return logits if self.forbidden is None else jnp.where(jnp.asarray(self.forbidden), -jnp.inf, logits)


class TokenSampler(Sampler):
    """Draws the hidden tokens of a row in an order that its key decides: one by one, except in wide rows.

    In a wide row with more than `WIDE` hidden tokens some are drawn together, each from its distribution given those
    drawn before, parents before their tokens. `WIDE` evaluations of the network (and one more if there are parents)
    draw them all. This is the reverse process in as many steps. It leaves out how the tokens of one step depend on each
    other beyond what is seen; steps have one token at first, when little is seen, and most tokens at the end.
    """

    @property
    def rows_per_draw(self) -> int:
        """Number of rows per draw: one."""
        return 1

    @property
    def width(self) -> int:
        """Number of network evaluations in parallel: one."""
        return 1

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
            All tokens. A number in [0, 1) is added to each that was drawn, which places the value within what the token
            stands for. All are NaN if the network's logits are NaN.
        """
        tokens, n = denoiser.tokens, len(denoiser.tokens.sizes)
        order = tokens.ordered(jax.random.uniform(jax.random.fold_in(key, n), (n,)))
        # The given ones last, where there is nothing left to draw.
        turns = jnp.argsort(jnp.where(x_T == HIDDEN, order, 2.0))
        draw_all = _in_steps if tokens.is_wide else _one_by_one
        row = draw_all(key, denoiser, turns, x_T)
        row = jnp.where(jnp.isnan(row).any(), jnp.nan, row)
        # The largest is far enough from 1 for the sum to stay below the next token.
        rest = 0.999 * jax.random.uniform(jax.random.fold_in(key, n + 1), (n,))
        return (row + jnp.where(x_T == HIDDEN, rest, 0.0))[None]


def _one_by_one(
    key: PRNGKeyArray, denoiser: TokenDenoiser, turns: Int[Array, " T"], row: Float[Array, " T"]
) -> Float[Array, " T"]:
    """Draws a row's hidden tokens, each given all before it in their order."""

    def step(i: Array, row: Array) -> Array:
        place = turns[i]
        drawn = _drawn(key, denoiser.tokens, _padded(denoiser, row), place, i)
        return row.at[place].set(jnp.where(row[place] == HIDDEN, drawn, row[place]))

    return jax.lax.fori_loop(0, len(turns), step, row)


def _in_steps(
    key: PRNGKeyArray, denoiser: TokenDenoiser, turns: Int[Array, " T"], row: Float[Array, " T"]
) -> Float[Array, " T"]:
    """Draws a row's hidden tokens, each given those of all earlier steps."""
    tokens, n = denoiser.tokens, len(turns)
    turns, ends = steps_of(tokens, turns, row == HIDDEN)
    numbers = jnp.arange(most_in_a_step(tokens))

    def step(i: Array, row: Array) -> Array:
        logits = _padded(denoiser, row)
        own = numbers + jnp.where(i > 0, ends[i - 1], 0)
        places = turns[jnp.minimum(own, n - 1)]
        # In turn, for the memory of their noise.
        drawn = jax.lax.map(lambda turn: _drawn(key, tokens, logits, turns[jnp.minimum(turn, n - 1)], turn), own)
        return row.at[jnp.where(own < ends[i], places, n)].set(drawn, mode="drop")

    return jax.lax.fori_loop(0, len(ends), step, row)


def _padded(denoiser: TokenDenoiser, row: Float[Array, " T"]) -> Float[Array, " padded"]:
    """Pads logits, so that a slice as long as the longest token's fits wherever it begins."""
    return jnp.pad(denoiser.logits(row), (0, max(denoiser.tokens.sizes)))


def _drawn(
    key: PRNGKeyArray, tokens: Tokens, padded: Float[Array, " padded"], place: Int[Array, ""], turn: Int[Array, ""]
) -> Float[Array, ""]:
    """Draws a token from its logits; NaN if these are NaN."""
    sizes, starts, longest = jnp.asarray(tokens.sizes), jnp.asarray(tokens.starts), max(tokens.sizes)
    own = jax.lax.dynamic_slice(padded, (starts[place],), (longest,))
    # The largest of logits with Gumbel noise is a draw from their softmax.
    noise = jax.random.gumbel(jax.random.fold_in(key, turn), (longest,))
    scores = jnp.where(jnp.arange(longest) < sizes[place], own + noise, -jnp.inf)
    return jnp.where(jnp.isfinite(scores.max()), jnp.argmax(scores).astype(jnp.float32), jnp.nan)


def steps_of(
    tokens: Tokens, turns: Int[Array, " T"], is_hidden: Bool[Array, " T"]
) -> tuple[Int[Array, " T"], Int[Array, " steps"]]:
    """Assigns the tokens of a wide row to the steps in which they are drawn.

    Step i = 1 … `WIDE` ends when a fraction 1 - cos(π i / (2 `WIDE`)) of the hidden tokens is drawn (Chang et al. 2022,
    arXiv 2202.04200, section 3.3). Each step draws at least one, so up to `WIDE` tokens are drawn one by one. A token
    whose parent is not drawn before its step waits for the step after its parent's.

    Args:
        tokens: The tokens.
        turns: Positions of the tokens in the order of drawing, hidden ones first, parents before their tokens.
        is_hidden: Which tokens are to be drawn.

    Returns:
        Turns by steps, and the turn that ends each step; there are `WIDE` + the number of levels steps.
    """
    n_hidden, n = is_hidden.sum(), len(turns)
    by_share = jnp.round(n_hidden.astype(jnp.float32) * jnp.asarray(SHARES, jnp.float32)).astype(jnp.int32)
    ends = jnp.maximum(by_share, jnp.arange(1, WIDE + 1))
    rank = jnp.zeros(n, jnp.int32).at[turns].set(jnp.arange(n))
    step = jnp.searchsorted(ends, rank, side="right").astype(jnp.int32)
    for own in tokens.levels:
        parents = np.asarray(tokens.parents)[own]
        after = jnp.where(is_hidden[parents], step[parents] + 1, 0)
        step = step.at[own].set(jnp.maximum(step[own], after))
    n_steps = WIDE + len(tokens.levels)
    step = jnp.where(is_hidden, step, n_steps)
    turns = jnp.lexsort((rank, step))
    return turns, jnp.searchsorted(step[turns], jnp.arange(n_steps), side="right").astype(jnp.int32)


def most_in_a_step(tokens: Tokens) -> int:
    """Most tokens that a step of `steps_of` can have: those of its share, and those that wait for it."""
    return (math.ceil(len(tokens.sizes) * np.diff(SHARES).max()) + 1) * (1 + len(tokens.levels))
