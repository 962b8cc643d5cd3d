"""The loss of masked diffusion: which tokens are hidden, and how well they are predicted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import CleanRows, repeat_shuffled, stratified
from pointillist.diffusion.random_numbers import uniform
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.token_networks import FactoredNetwork, TokenNetwork
from pointillist.diffusion.tokens.token_sampling import HIDDEN, reveal_single_values

FRACTION_IN_COLUMN_ORDER = 0.5
"""Share of the training rows whose tokens come in the order in which rows are drawn. The others are for conditions."""

ROWS_AT_ONCE = 512
"""Most rows whose losses are computed together where no gradient is wanted."""


def mask_tokens(
    tokens: Tokens,
    order: Float[Array, "m T"],
    share: Float[Array, " m"],
    is_known: Bool[Array, "m T"] | None = None,
    is_in_turn: Bool[Array, "m 1"] | None = None,
) -> tuple[Bool[Array, "m T"], Float[Array, "m T"]]:
    """Decides which tokens of some rows are seen, and weights the losses of the others.

    The first v tokens of a row's order are seen, v = 0 … T - 1. In a random order, any other may be the next: with
    weights T / (T - v) the loss is, on average over v and the order, the mean negative log-likelihood of a row
    (Hoogeboom et al. 2021, equation 5). In a given order it is that if the next one alone has a weight, T.

    Args:
        tokens: The tokens.
        order: Numbers below 1, in whose order the tokens come, shape (m, T).
        share: v / T, in [0, 1), shape (m,).
        is_known: Which tokens of each row are known, shape (m, T); all by default. The others are never seen, and T is
            the number of those that are known.
        is_in_turn: Which rows' order is not random but given, shape (m, 1); none by default.

    Returns:
        Whether a token is seen, and the weights, both of shape (m, T).
    """
    smallest = _smallest if tokens.is_wide else _smallest_by_sorting
    if is_known is None:
        known: Array = jnp.full((len(order), 1), len(tokens.sizes))
        is_learned = jnp.ones(order.shape, bool)
    else:
        known = is_known.sum(axis=1, keepdims=True)
        is_learned = is_known
        # After all others, so that the first tokens are known ones.
        order = jnp.where(is_known, order, 1.0)
    n_seen = jnp.floor(share[:, None] * known.astype(jnp.float32)).astype(jnp.int32)
    next_one = smallest(order, n_seen)
    is_seen = order < next_one
    weight = known.astype(jnp.float32) / jnp.maximum(known - n_seen, 1).astype(jnp.float32)
    weights = (is_learned & ~is_seen).astype(jnp.float32) * weight
    if is_in_turn is not None:
        of_next = (is_learned & (order == next_one)).astype(jnp.float32) * known.astype(jnp.float32)
        weights = jnp.where(is_in_turn, of_next, weights)
    return is_seen, weights


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
    shown: Float[Array, "m f"] | None = None,
) -> Float[Array, ""]:
    """Negative log-probability of hidden tokens in nats, summed over tokens with weights and averaged over rows.

    Args:
        network: The network, which returns logits.
        tokens: The tokens.
        rows: Rows of tokens, shape (m, T).
        is_seen: Which tokens the network sees, shape (m, T).
        weight: Weight of each token, shape (m, T).
        shown: Features of the numbers that the network is shown, shape (m, f).
    """
    if shown is None:
        shown = jnp.zeros((len(rows), 0), network.input.bias.dtype)
    if isinstance(network, FactoredNetwork):
        return network.loss(rows, is_seen, weight, shown) / len(rows)
    wanted = tokens.one_hot(rows)
    seen = wanted * is_seen[:, tokens.token_of_slot].astype(jnp.float32)
    seen = jnp.concatenate([seen.astype(network.output.bias.dtype), shown], axis=1)
    logits = jax.vmap(network)(seen).astype(jnp.float32)
    of_token = jnp.split(logits, tokens.splits, axis=1)
    totals = jnp.stack([jax.nn.logsumexp(part, axis=1) for part in of_token], axis=1)
    return (jnp.sum(weight * totals) - jnp.sum(logits * wanted * weight[:, tokens.token_of_slot])) / len(rows)


def mean_in_batches(loss: Callable[..., Float[Array, ""]], examples: tuple[Array, ...]) -> Float[Array, ""]:
    """Mean loss of examples, at most `ROWS_AT_ONCE` of them at a time: there may be thousands of logits a row.

    Args:
        loss: Function of some examples that returns their mean loss, in which one of zeros has none.
        examples: Arrays of one length.
    """
    n = len(examples[0])
    turns = -(-n // ROWS_AT_ONCE)
    # All of one size: a shorter last part would be compiled once more.
    size = -(-n // turns)
    padded = (jnp.pad(part, ((0, turns * size - n), (0, 0))).reshape(turns, size, -1) for part in examples)
    return jax.lax.map(lambda batch: loss(*batch), tuple(padded)).sum() * (size / n)


@dataclass(frozen=True)
class TokenObjective:
    """The objective of models of tokens, as `losses.Objective` is that of models of rows of numbers.

    Attributes:
        tokens: The tokens of a row.
        has_missing: Whether tokens of the rows may be unknown, which are `HIDDEN`: they are never seen, nor learned.
        guided: Token of the classes, which is often given: it comes first in half of the rows whose tokens are in the
            order of drawing. None for none.
    """

    tokens: Tokens
    has_missing: bool = False
    guided: int | None = None

    def examples(
        self,
        keys: tuple[PRNGKeyArray, PRNGKeyArray],
        clean: CleanRows,
        batch_size: int,
        rows_per_share: int = 1,
    ) -> tuple[Array, ...]:
        """Makes rows, which of their tokens are seen, and the weights of the others; all of shape (m, T).

        Of `rows_per_share` neighbors, as large a share is seen.
        """
        steps = len(clean.x0) // batch_size
        share = stratified(keys[0], steps, -(-batch_size // rows_per_share))
        share = jnp.repeat(share.reshape(steps, -1), rows_per_share, axis=1)[:, :batch_size].ravel()
        order, is_in_turn = self._orders(keys[1], clean.x0.shape)
        # As in drawing, where a token of a single value is known from the start.
        is_single, is_known = self.tokens.is_single, None
        if self.has_missing or is_single.any():
            is_known = (clean.x0 != HIDDEN) & ~is_single[None]
        is_seen, weight = mask_tokens(self.tokens, order, share, is_known, is_in_turn)
        return reveal_single_values(self.tokens, clean.x0), is_seen | is_single[None], weight

    def _orders(
        self, key: PRNGKeyArray, shape: tuple[int, ...]
    ) -> tuple[Float[Array, "m T"], Bool[Array, "m 1"] | None]:
        """Orders of the tokens of some rows, and of which rows it is the one that they are drawn in."""
        order = uniform(key, shape)
        if not self.tokens.in_column_order:
            return order, None
        is_in_turn, is_first = (
            jax.random.bernoulli(jax.random.fold_in(key, i), share, (shape[0], 1))
            for i, share in ((1, FRACTION_IN_COLUMN_ORDER), (2, 0.5))
        )
        indices = jnp.arange(shape[1])[None]
        is_guided = indices == (-1 if self.guided is None else self.guided)
        in_turn = jnp.where(is_first & is_guided, -1.0, indices / shape[1])
        return jnp.where(is_in_turn, in_turn, order), is_in_turn

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Computes the mean loss of rows, each with `HELD_OUT_DRAWS` orders of its tokens and numbers of hidden ones.

        Args:
            key: Key of orders and numbers.
            network: The network.
            clean: The rows.
        """
        *keys, row_key = jax.random.split(key, 3)
        x0 = repeat_shuffled(row_key, jnp.asarray(clean.x0))
        examples = self.examples((keys[0], keys[1]), CleanRows(x0), len(x0))

        return mean_in_batches(partial(token_loss, network, self.tokens), examples)

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Computes `token_loss` of a batch, with the network's products in a given precision."""
        if precision != "float32":
            network = jax.tree.map(lambda leaf: leaf.astype(precision), network)
        return token_loss(network, self.tokens, *batch)
