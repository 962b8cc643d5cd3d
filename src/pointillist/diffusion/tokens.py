"""Masked diffusion of rows of tokens: columns are hidden, and drawn one after another from what is seen.

A token is a whole number from 0 to below its column's size. Noise hides tokens (Austin et al. 2021, arXiv 2107.03006,
section 3.1, "absorbing"); a network gives, for every hidden token, its distribution given all that are seen. Drawn one
at a time in a random order, that is sampling of the reverse process without an error of discretisation, and a model
of every order at once (Hoogeboom et al. 2021, arXiv 2110.02037, section 3). Hence any tokens can be given, and the
others drawn from their law given these.
"""

from collections.abc import Callable
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

N_WAVES = 8
"""Smooth functions of an ordered token's values that a network begins with."""

HIDDEN = -1.0
"""Where a token stands that is not given."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a row.

    Attributes:
        sizes: How many values each has.
        parents: Of each, the place of the token that is always drawn before it; -1 for none.
        ranks: Of each value of each token, its place in (0, 1) among those of a token whose values have an order; -1
            for those that have none. Empty if no token's have one.
    """

    sizes: tuple[int, ...]
    parents: tuple[int, ...]
    ranks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.ranks) not in (0, sum(self.sizes)):
            raise ValueError("each value of each token has a rank, or none has one")
        if not self.sizes or len(self.sizes) != len(self.parents) or min(self.sizes) < 1:
            raise ValueError("a row has at least one token, and each a size from 1 on and a parent or -1")
        if any(parent >= place for place, parent in enumerate(self.parents)) or min(self.parents) < -1:
            raise ValueError("a token's parent stands before it")

    @property
    def n_slots(self) -> int:
        """Values of all tokens together."""
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
    def splits(self) -> Int[np.ndarray, " tokens_less_one"]:
        """Where the slots of one token end and those of the next begin."""
        return np.cumsum(self.sizes)[:-1]

    @cached_property
    def waves(self) -> Float[np.ndarray, "slots waves"]:
        """Smooth functions of values that have an order: cos(π k rank), k = 1 … `N_WAVES`; of each token its own."""
        ranks = np.asarray(self.ranks or (-1.0,) * self.n_slots)
        owners = np.unique(self.owner[ranks >= 0])
        waves = np.cos(np.pi * ranks[:, None] * np.arange(1, N_WAVES + 1)) * (ranks >= 0)[:, None]
        by_owner = (self.owner[:, None] == owners)[:, :, None] * waves[:, None]
        return by_owner.reshape(self.n_slots, -1).astype(np.float32)

    def one_hot(self, tokens: Float[Array, "*rows T"]) -> Float[Array, "*rows slots"]:
        """1 in the slot of each token's value, 0 elsewhere, and for hidden tokens everywhere."""
        value = jnp.asarray(self.value, tokens.dtype).reshape((1,) * (tokens.ndim - 1) + (-1,))
        return (tokens[..., self.owner] == value).astype(jnp.float32)

    def ordered(self, scores: Float[Array, "*rows T"]) -> Float[Array, "*rows T"]:
        """Random numbers in [0, 1) as an order in which parents come before their tokens."""
        columns = list(jnp.moveaxis(scores, -1, 0))
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                columns[place] = columns[parent] + (1 - columns[parent]) * columns[place]
        return jnp.stack(columns, axis=-1)


class TokenNetwork(eqx.Module):
    """Residual blocks over the one-hot tokens that are seen; a logit for every value of every token.

    What the values of an ordered token have in common is learned of all of them together: to the weights of the first
    and the last layer come those of smooth functions of a value's rank. `folded` has both in one.

    Attributes:
        input: slots → width.
        inner: `depth` layers width → width.
        outer: `depth` layers width → width.
        output: width → slots, which begins at 0.
        input_waves: waves → width.
        output_waves: width → waves.
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
        slots, seen, waves = tokens.n_slots, len(tokens.sizes), tokens.waves.shape[1]
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
        """Args: one-hot tokens, shape (slots,), zeros where hidden. Returns logits, shape (slots,)."""
        own = self.folded() if self.input_waves.shape[-2] else self
        h = own.input(seen)
        for inner, outer in zip(own.inner, own.outer, strict=True):
            h = h + outer(jax.nn.silu(inner(_normalised(h))))
        return own.output(_normalised(h))

    def folded(self) -> "TokenNetwork":
        """The same function with the weights of the waves added to the others."""
        waves = jnp.asarray(self.tokens.waves, self.input.weight.dtype)
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


def _normalised(h: Float[Array, " width"]) -> Float[Array, " width"]:
    return h * jax.lax.rsqrt(jnp.mean(h**2) + 1e-6)


def hiding(
    tokens: Tokens, order: Float[Array, "m T"], share: Float[Array, " m"]
) -> tuple[Bool[Array, "m T"], Float[Array, "m T"]]:
    """Which tokens of some rows are seen, and what the loss of each other one weighs.

    The first v tokens of a row's order are seen, v = 0 … T - 1; the next one is any of those whose parents are seen.
    With weights T / (number of these) the loss is, on average over v and the order, the mean negative log-likelihood
    of a row (Hoogeboom et al. 2021, equation 5); exactly so where no token has a parent.

    Args:
        tokens: The tokens.
        order: Of `Tokens.ordered`, shape (m, T).
        share: v / T, in [0, 1), shape (m,).

    Returns:
        Whether a token is seen, and the weights, both of shape (m, T).
    """
    n = len(tokens.sizes)
    n_seen = jnp.floor(share * float(n)).astype(jnp.int32)[:, None]
    is_seen: Array = order < jnp.take_along_axis(jnp.sort(order, axis=1), n_seen, axis=1)
    has_parent = np.asarray(tokens.parents) >= 0
    parent_seen = jnp.where(has_parent[None], is_seen[:, np.maximum(tokens.parents, 0)], True)
    is_next = ~is_seen & parent_seen
    n_next = is_next.sum(axis=1, keepdims=True).astype(jnp.float32)
    return is_seen, is_next.astype(jnp.float32) * (n / jnp.maximum(1.0, n_next))


def token_loss(
    network: TokenNetwork, tokens: Tokens, rows: Float[Array, "m T"], is_seen: Bool[Array, "m T"], weight: Array
) -> Float[Array, ""]:
    """Weighted sum over tokens, and mean over rows, of minus the log-probability of what is hidden, in nats.

    Args:
        network: Gives logits.
        tokens: The tokens.
        rows: Shape (m, T).
        is_seen: What the network sees of them.
        weight: Shape (m, T).
    """
    wanted = tokens.one_hot(rows)
    seen = wanted * is_seen[:, tokens.owner].astype(jnp.float32)
    logits = jax.vmap(network)(seen.astype(network.output.bias.dtype)).astype(jnp.float32)
    of_token = jnp.split(logits, tokens.splits, axis=1)
    totals = jnp.stack([jax.nn.logsumexp(part, axis=1) for part in of_token], axis=1)
    return (jnp.sum(weight * totals) - jnp.sum(logits * wanted * weight[:, tokens.owner])) / len(rows)


@dataclass(frozen=True)
class TokenObjective:
    """What models of tokens are trained for: as `losses.Objective` is for rows of numbers.

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
        """Rows, what is seen of them, and the weights of what is not; all of shape (m, T)."""
        share = stratified(keys[0], len(x0) // batch_size, batch_size)
        order = self.tokens.ordered(jax.random.uniform(keys[1], x0.shape))
        return x0, *hiding(self.tokens, order, share)

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """`token_loss` of a batch, the network's products in a precision."""
        if precision != "float32":
            network = jax.tree.map(lambda leaf: leaf.astype(precision), network)
        return token_loss(network, self.tokens, *batch)


class TokenDenoiser(eqx.Module):
    """A network of tokens, and the tokens it knows.

    Attributes:
        network: One-hot tokens that are seen → logits.
        tokens: Its tokens.
        guided: The place of a token whose value others are guided to; None for none.
        guidance: w, at least 0, of log-probabilities (1 + w) log p(token | seen) - w log p(token | seen but for it).
        forbidden: Slots of values that are never drawn; None for none.
    """

    network: Callable[[Array], Array]
    tokens: Tokens = eqx.field(static=True)
    guided: int | None = eqx.field(static=True, default=None)
    guidance: Float[Array | np.ndarray, ""] | float = 0.0
    forbidden: Bool[Array | np.ndarray, " slots"] | None = None

    def logits(self, row: Float[Array, " T"]) -> Float[Array, " slots"]:
        """Of every value of every token, given those that are not `HIDDEN`; shape (slots,)."""
        seen = self.tokens.one_hot(row)
        logits = self.network(seen)
        if self.forbidden is not None:
            logits = jnp.where(jnp.asarray(self.forbidden), -jnp.inf, logits)
        if self.guided is None:
            return logits
        without = self.network(jnp.where(jnp.asarray(self.tokens.owner == self.guided), 0.0, seen))
        return logits + self.guidance * (logits - without)


class TokenSampler(Sampler):
    """Draws the hidden tokens of a row one by one, in an order that its key decides."""

    @property
    def rows_per_draw(self) -> int:
        """One."""
        return 1

    @property
    def width(self) -> int:
        """One."""
        return 1

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " T"]:
        """Everything hidden."""
        return jnp.full(columns, HIDDEN)

    def draw(self, key: PRNGKeyArray, denoiser: TokenDenoiser, x_T: Float[Array, " T"]) -> Float[Array, "1 T"]:
        """Draws a row, shape (1, T).

        Args:
            key: The draw's own.
            denoiser: Gives logits.
            x_T: Tokens, `HIDDEN` where they are to be drawn.

        Returns:
            All tokens; to each that was drawn a number in [0, 1) is added, for what the token leaves open.
        """
        tokens, n = denoiser.tokens, len(denoiser.tokens.sizes)
        order = tokens.ordered(jax.random.uniform(jax.random.fold_in(key, n), (n,)))
        # The given ones last, where there is nothing left to draw.
        turns = jnp.argsort(jnp.where(x_T == HIDDEN, order, 2.0))

        sizes = jnp.asarray(tokens.sizes)
        starts = jnp.cumsum(sizes) - sizes
        longest = max(tokens.sizes)

        def step(i: Array, row: Array) -> Array:
            place = turns[i]
            padded = jnp.pad(denoiser.logits(row), (0, longest))
            own = jax.lax.dynamic_slice(padded, (starts[place],), (longest,))
            # The largest of logits with Gumbel noise is a draw from their softmax.
            noise = jax.random.gumbel(jax.random.fold_in(key, i), (longest,))
            scores = jnp.where(jnp.arange(longest) < sizes[place], own + noise, -jnp.inf)
            drawn = jnp.argmax(scores).astype(jnp.float32)
            return row.at[place].set(jnp.where(row[place] == HIDDEN, drawn, row[place]))

        row = jax.lax.fori_loop(0, n, step, x_T)
        # The largest is far enough from 1 for the sum to stay below the next token.
        rest = 0.999 * jax.random.uniform(jax.random.fold_in(key, n + 1), (n,))
        return (row + jnp.where(x_T == HIDDEN, rest, 0.0))[None]
