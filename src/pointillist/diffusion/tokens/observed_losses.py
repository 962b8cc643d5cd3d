"""The loss of numbers given tokens and observed numbers."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditional_normal import conditional_normal
from pointillist.diffusion.losses import CleanRows, Noised, Objective, in_precision, repeat_shuffled
from pointillist.diffusion.random_numbers import uniform
from pointillist.diffusion.schedules import Schedule, at_lambda
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.mixed_networks import NumberNetwork
from pointillist.diffusion.tokens.token_losses import mean_in_batches
from pointillist.diffusion.tokens.token_sampling import HIDDEN, reveal_single_values

LOG_NORMAL = (-1.7, 1.8)
"""Mean and standard deviation of log σ. Low noise levels are emphasized: only they show how numbers determine each
other, and at high noise the tokens carry most of the information."""

NUMBER_OBJECTIVE = Objective("edm", "uniform", "log-normal", log_normal=LOG_NORMAL)
"""The training objective of numbers."""

HIDDEN_CONTEXT = 0.3
"""Probability of hiding a token of a small table from the number networks at the lowest noise.

The tokens of a row often identify it, and a network that sees all of them in every epoch memorizes its numbers. The
probability at alpha_t is `HIDDEN_CONTEXT` alpha_t², so few tokens are hidden at high noise, where only tokens carry
information. In tables of more than 2,000 rows, numbers are more precise if no token is hidden."""

_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class ObservedObjective:
    """The training objective of the network of numbers given tokens and observed numbers, without other networks."""

    tokens: Tokens
    guided: int | None = None
    p_uncond: float = 0.0
    hidden_context: float = 0.0

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Build the training examples of an epoch: the arguments of `_loss` except the network, each (m, …)."""
        schedule, covariance = clean.schedule, clean.sigma_data
        assert schedule is not None and covariance is not None
        n = len(self.tokens.sizes)
        tokens, numbers = clean.x0[:, :n], clean.x0[:, n:]
        has_number, rows = self.tokens.has_number(tokens), reveal_single_values(self.tokens, tokens)
        k, ends = numbers.shape[1], (1, 2, 2 + numbers.shape[1])
        drawn = uniform(jax.random.fold_in(keys[0], 1), (len(rows), 2 + k + n))
        u, label_u, number_u, context_u = jnp.split(drawn, ends, axis=1)
        is_observed = some_observed(u, number_u, has_number)
        level, eps = NUMBER_OBJECTIVE.noise(*keys, len(rows) // batch_size, batch_size, k)
        noised, x_t, alpha_t = noised_given(numbers, is_observed, eps, level, schedule, covariance)
        is_hidden = context_u < self.hidden_context * alpha_t**2
        shown_tokens = with_hidden(self.tokens, rows, is_hidden, self.guided, label_u[:, 0] < self.p_uncond)
        of_noise = noised.inside, noised.lambda_t[:, None], x_t, noised.target
        return shown_tokens, numbers, is_observed, has_number, *of_noise

    def held_out_loss(self, key: PRNGKeyArray, network: NumberNetwork, clean: CleanRows) -> Float[Array, ""]:
        """Compute the mean loss of held-out rows, with `HELD_OUT_DRAWS` random draws each, without hidden tokens."""
        *keys, row_key = jax.random.split(key, 3)
        x0 = repeat_shuffled(row_key, jnp.asarray(clean.x0))
        unhidden = replace(self, hidden_context=0.0)
        examples = unhidden.examples((keys[0], keys[1]), clean._replace(x0=x0), len(x0))
        return mean_in_batches(partial(self._loss, network.smoothed(self.tokens)), examples)

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Compute the loss of a batch, with matrix products in the given precision."""
        return self._loss(in_precision(network.smoothed(self.tokens), precision), *batch)

    def _loss(
        self,
        network: NumberNetwork,
        shown_tokens: Array,
        numbers: Array,
        is_observed: Array,
        has_number: Array,
        *noised: Array,
    ) -> Float[Array, ""]:
        """Compute the mean per row of the numbers' squared error."""
        dtype = network.output.bias.dtype
        observed = number_features(numbers, is_observed).astype(dtype)
        context = jax.vmap(network.embed_context)(self.tokens.one_hot(shown_tokens).astype(dtype), observed)
        return number_error(network, context, has_number & ~is_observed, *noised)


def some_observed(
    u: Float[Array, "m 1"], number_u: Float[Array, "m k"], has_number: Bool[Array, "m k"]
) -> Bool[Array, "m k"]:
    """Choose the observed numbers of each row: a uniform fraction, by uniform random numbers.

    At least one number stays noised, because there is nothing to learn from a row with all numbers observed.
    """
    largest = jnp.max(jnp.where(has_number, number_u, 0.0), axis=1, keepdims=True)
    return has_number & (number_u < jnp.minimum(1 - u, largest))


def noised_given(
    numbers: Float[Array, "m k"],
    is_observed: Bool[Array, "m k"],
    eps: Float[Array, "m k"],
    level: Array,
    schedule: Schedule,
    covariance: Float[Array, "c d"],
) -> tuple[Noised, Float[Array, "m k"], Float[Array, "m 1"]]:
    """Add noise to numbers, relative to their conditional mean given the observed ones.

    Returns:
        The noised differences, x_t, and alpha_t.
    """
    center, sigma_data = _conditional_normals(covariance, numbers, is_observed)
    conditional = NUMBER_OBJECTIVE.noised(numbers - center, eps, level, schedule, sigma_data)
    alpha_t, sigma_t = at_lambda(conditional.lambda_t[:, None])
    return conditional, alpha_t * numbers + sigma_t * eps, alpha_t


def with_hidden(
    tokens: Tokens,
    rows: Float[Array, "m T"],
    is_hidden: Bool[Array, "m T"],
    guided: int | None,
    is_dropped: Bool[Array, " m"],
) -> Float[Array, "m T"]:
    """Hide tokens from the number networks, and the guiding token, if there is one, where it is dropped."""
    # In sampling the network always sees tokens with a single value.
    is_hidden &= ~tokens.is_single[None]
    if guided is not None:
        is_hidden = is_hidden.at[:, guided].set(is_dropped)
    return jnp.where(is_hidden, HIDDEN, rows)


def number_error(
    network: NumberNetwork,
    context: Float[Array, "m width"],
    is_noised: Bool[Array, "m k"],
    inside: Float[Array, "m k"],
    lambda_t: Float[Array, "m 1"],
    x_t: Float[Array, "m k"],
    target: Float[Array, "m k"],
) -> Float[Array, ""]:
    """Compute the mean per row of the squared error of the noised numbers."""
    output = jax.vmap(network)(inside, is_noised, context, lambda_t[:, 0], x_t).astype(jnp.float32)
    return jnp.sum(is_noised.astype(jnp.float32) * (output - target) ** 2) / len(inside)


def _conditional_normals(
    covariance: Float[Array, "c d"], numbers: Float[Array, "m k"], is_observed: Bool[Array, "m k"]
) -> tuple[Float[Array, "m k"], Float[Array, "m k"]]:
    """Apply `conditional_normal` to rows, a few at a time to bound memory: each row needs a matrix."""
    padding = (0, -len(numbers) % _ROWS_AT_ONCE), (0, 0)
    parts = [jnp.pad(array, padding).reshape(-1, _ROWS_AT_ONCE, numbers.shape[1]) for array in (numbers, is_observed)]
    conditional_normals = jax.vmap(partial(conditional_normal, covariance))
    moments = jax.lax.map(lambda part: conditional_normals(*part), tuple(parts))
    mean, std = (moment.reshape(-1, numbers.shape[1])[: len(numbers)] for moment in moments)
    return mean, std
