"""The loss of masked diffusion: masking tokens, and the cross-entropy of their prediction."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.losses import HELD_OUT_DRAWS, CleanRows, in_precision, stratified
from pointillist.diffusion.random_numbers import uniform
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.token_networks import FactoredNetwork
from pointillist.diffusion.tokens.token_sampling import HIDDEN, reveal_single_values

FRACTION_IN_COLUMN_ORDER = 0.5
"""Fraction of training rows masked in column order, for sampling; the others, in random order, are for conditions."""

ROWS_AT_ONCE = 512
"""Maximum number of rows per batch in evaluations of the loss without gradients."""


def mask_tokens(
    order: Float[Array, "m T"],
    fraction: Float[Array, " m"],
    is_present: Bool[Array, "m T"],
    is_in_column_order: Bool[Array, "m 1"] | None = None,
) -> tuple[Bool[Array, "m T"], Float[Array, "m T"]]:
    """Mask tokens, and compute the loss weights of the masked ones.

    The first v tokens in the order of a row are visible, v = 0 … T - 1. In a random order, every masked token may be
    the next one: with weights T / (T - v), the expected loss over v and orders is the negative log-likelihood of a row
    (Hoogeboom et al. 2021, equation 5). In a fixed order, the same holds if only the next token has a weight, T.

    `order` has numbers in [0, 1) whose increasing order is the order of the tokens, and `fraction` is v / T, in [0, 1).
    Tokens that are not present are never visible and have no weight; T is the number of present tokens.
    `is_in_column_order` says which rows have a fixed order, by default none. Returns whether each token is visible, and
    its weight.
    """
    n_present = is_present.sum(axis=1, keepdims=True)
    # Missing tokens come last in the order.
    order = jnp.where(is_present, order, 1.0)
    n_seen = jnp.floor(fraction[:, None] * n_present.astype(jnp.float32)).astype(jnp.int32)
    next_one = _smallest(order, n_seen)
    is_seen = order < next_one
    weight = n_present.astype(jnp.float32) / jnp.maximum(n_present - n_seen, 1).astype(jnp.float32)
    weights = (is_present & ~is_seen).astype(jnp.float32) * weight
    if is_in_column_order is not None:
        next_weight = (is_present & (order == next_one)).astype(jnp.float32) * n_present.astype(jnp.float32)
        weights = jnp.where(is_in_column_order, next_weight, weights)
    return is_seen, weights


def _smallest(order: Float[Array, "m T"], n: Int[Array, "m 1"]) -> Float[Array, "m 1"]:
    """Find the number in [0, 1] with exactly n smaller ones, bit by bit, which is faster than sorting.

    Floats in [0, 1] are ordered like their bit patterns.
    """
    bits = jax.lax.bitcast_convert_type(order, jnp.int32)

    def step(i: Array, found: Array) -> Array:
        higher = found | (1 << (29 - i))
        return jnp.where((bits < higher).sum(axis=1, keepdims=True) <= n, higher, found)

    return jax.lax.bitcast_convert_type(jax.lax.fori_loop(0, 30, step, jnp.zeros_like(n)), jnp.float32)


def token_loss(
    network: Any,
    tokens: Tokens,
    rows: Float[Array, "m T"],
    is_seen: Bool[Array, "m T"],
    weight: Float[Array, "m T"],
    observed: Float[Array, "m f"] | None = None,
) -> Float[Array, ""]:
    """Compute the weighted cross-entropy of masked tokens in nats, summed over tokens and averaged over rows.

    Rows, visible tokens and weights have shape (m, T); the features of observed numbers, if any, (m, f).
    """
    dtype = jax.tree.leaves(network)[0].dtype
    if observed is None:
        observed = jnp.zeros((len(rows), 0), dtype)
    if isinstance(network, FactoredNetwork):
        return network.loss(rows, is_seen, weight, observed) / len(rows)
    one_hot = tokens.one_hot(rows)
    seen = one_hot * is_seen[:, tokens.token_of_slot].astype(jnp.float32)
    seen = jnp.concatenate([seen.astype(dtype), observed], axis=1)
    logits = jax.vmap(network)(seen).astype(jnp.float32)
    by_token = jnp.split(logits, tokens.starts[1:], axis=1)
    totals = jnp.stack([jax.nn.logsumexp(part, axis=1) for part in by_token], axis=1)
    return (jnp.sum(weight * totals) - jnp.sum(logits * one_hot * weight[:, tokens.token_of_slot])) / len(rows)


def mean_in_batches(loss: Callable[..., Float[Array, ""]], examples: tuple[Array, ...]) -> Float[Array, ""]:
    """Compute the mean loss of examples in batches of at most `ROWS_AT_ONCE`, as rows may have thousands of logits.

    The loss of examples of zeros must be 0.
    """
    n = len(examples[0])
    n_batches = -(-n // ROWS_AT_ONCE)
    # All batches have one size, so that one program serves all.
    size = -(-n // n_batches)
    padded = (jnp.pad(part, ((0, n_batches * size - n), (0, 0))).reshape(n_batches, size, -1) for part in examples)
    return jax.lax.map(lambda batch: loss(*batch), tuple(padded)).sum() * (size / n)


def held_out_examples(
    examples: Callable[..., tuple[Array, ...]], key: PRNGKeyArray, clean: CleanRows
) -> tuple[Array, ...]:
    """Build examples of held-out rows, each repeated `HELD_OUT_DRAWS` times, by the `examples` of an objective.

    The strata of random numbers are in increasing order, and so may the rows be (by class, for example); rows are
    shuffled, so that strata cover each row's draws evenly.
    """
    level_key, noise_key, row_key = jax.random.split(key, 3)
    rows = jnp.asarray(clean.x0)
    x0 = jnp.tile(rows[jax.random.permutation(row_key, len(rows))], (HELD_OUT_DRAWS, 1))
    return examples((level_key, noise_key), clean._replace(x0=x0), len(x0))


@dataclass(frozen=True)
class TokenObjective:
    """The training objective of rows of tokens. Missing tokens, marked as `HIDDEN`, are never visible and have no loss.

    Attributes:
        guided: Index of the class token; None for none. It is often observed in sampling, so it comes first in half of
            the rows in column order.
        given: Indices of the tokens that are visible in every row, in training as in sampling, and have no loss.
    """

    tokens: Tokens
    guided: int | None = None
    given: tuple[int, ...] = ()

    def examples(
        self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int, rows_per_fraction: int = 1
    ) -> tuple[Array, ...]:
        """Build rows, the mask of visible tokens, and the loss weights of masked ones, all of shape (m, T).

        The same fraction of tokens is visible in `rows_per_fraction` consecutive rows.
        """
        steps = len(clean.x0) // batch_size
        fraction = stratified(keys[0], steps, -(-batch_size // rows_per_fraction))
        fraction = jnp.repeat(fraction.reshape(steps, -1), rows_per_fraction, axis=1)[:, :batch_size].ravel()
        order, is_in_column_order = self._orders(keys[1], clean.x0.shape)
        # Tokens with a single value are always visible, as in sampling.
        is_shown = self.tokens.is_single | np.isin(np.arange(len(self.tokens.sizes)), self.given)
        is_present = (clean.x0 != HIDDEN) & ~is_shown[None]
        is_seen, weight = mask_tokens(order, fraction, is_present, is_in_column_order)
        return reveal_single_values(self.tokens, clean.x0), is_seen | is_shown[None], weight

    def _orders(
        self, key: PRNGKeyArray, shape: tuple[int, ...]
    ) -> tuple[Float[Array, "m T"], Bool[Array, "m 1"] | None]:
        """Draw the order of the tokens of each row, and return which rows are in column order (None if no row is)."""
        m, n = shape
        if not self.tokens.in_column_order:
            return uniform(key, shape), None
        # One draw for everything: every call of the generator is compiled separately.
        order, row_u, guided_u = jnp.split(uniform(key, (m, n + 2)), (n, n + 1), axis=1)
        is_in_column_order = row_u < FRACTION_IN_COLUMN_ORDER
        indices = jnp.arange(n)[None]
        is_guided = indices == (-1 if self.guided is None else self.guided)
        column_order = jnp.where((guided_u < 0.5) & is_guided, 0.0, (indices + 1) / (n + 1))
        return jnp.where(is_in_column_order, column_order, order), is_in_column_order

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Compute the mean loss of held-out rows, each masked in `HELD_OUT_DRAWS` random ways."""
        return mean_in_batches(partial(token_loss, network, self.tokens), held_out_examples(self.examples, key, clean))

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Compute `token_loss` of a batch, with matrix products in the given precision."""
        return token_loss(in_precision(network, precision), self.tokens, *batch)
