"""The loss of mixed rows: of tokens given observed numbers, and of numbers given all tokens."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditional_normal import conditional_normal
from pointillist.diffusion.losses import CleanRows, Noised, Objective, in_precision, repeat_shuffled
from pointillist.diffusion.random_numbers import uniform
from pointillist.diffusion.schedules import at_lambda
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork, NumberNetwork
from pointillist.diffusion.tokens.mixed_sampling import axes_and_scales
from pointillist.diffusion.tokens.token_losses import TokenObjective, mean_in_batches, token_loss
from pointillist.diffusion.tokens.token_networks import FactoredNetwork
from pointillist.diffusion.tokens.token_sampling import HIDDEN

FRACTION_OBSERVED, FRACTION_OBSERVED_IF_MISSING = 0.25, 0.9
"""Fraction of rows with some observed numbers, in tables without and with missing cells. With a joint network, the
other number network sees observed numbers in every row."""

ROWS_PER_TOKEN_ROW = 2
"""The token loss uses one of this many rows of a batch, because tokens are learned in fewer steps than numbers."""

LOG_NORMAL = (-1.7, 1.8)
"""Mean and standard deviation of log σ. Low noise levels are emphasized: only they show how numbers determine each
other, and at high noise the tokens carry most of the information."""

NUMBER_OBJECTIVE = Objective("edm", "uniform", "log-normal", log_normal=LOG_NORMAL)
"""The training objective of numbers."""

HIDDEN_CONTEXT = 0.3
"""Probability of hiding a token of a training row from the number networks at the lowest noise.

The tokens of a row often identify it, and a network that always sees all of them memorizes its numbers. The probability
at alpha_t is `HIDDEN_CONTEXT` alpha_t², so few tokens are hidden at high noise, where only tokens carry information."""

_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class MixedObjective:
    """The training objective of mixed rows.

    Attributes:
        tokens: Layout of the tokens and of the numbers that some of them carry.
        guided: Index of the guiding token; None for none.
        p_uncond: Fraction of rows in which the guiding token is hidden from the number networks.
        has_missing: Whether tokens, and the numbers that they carry, may be missing.
        has_joint_network: Whether a separate network draws all numbers jointly; see `MixedNetwork`.
        hidden_context: See `HIDDEN_CONTEXT`.
        given: Indices of the tokens that are visible in every row, with their numbers; only without a joint network.
    """

    tokens: Tokens
    guided: int | None = None
    p_uncond: float = 0.0
    has_missing: bool = False
    has_joint_network: bool = False
    hidden_context: float = HIDDEN_CONTEXT
    given: tuple[int, ...] = ()

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Build the training examples of an epoch: the arguments of `_loss` except the network, each (m, …)."""
        covariance, schedule = clean.sigma_data, clean.schedule
        assert schedule is not None and covariance is not None
        n = len(self.tokens.sizes)
        tokens, numbers = clean.x0[:, :n], clean.x0[:, n:]
        token_objective = TokenObjective(self.tokens, self.guided, self.given)
        rows, is_seen, weight = token_objective.examples(keys, CleanRows(tokens), batch_size, ROWS_PER_TOKEN_ROW)
        more_keys = jax.random.split(jax.random.fold_in(keys[0], 1), 6)
        level_key, noise_key, row_key, number_key, label_key, context_key = more_keys
        u = jax.random.uniform(row_key, (len(rows), 1))
        fraction = FRACTION_OBSERVED_IF_MISSING if self.has_missing else FRACTION_OBSERVED
        number_u = uniform(number_key, numbers.shape)
        has_number = self.tokens.has_number(tokens)
        # A fraction of the rows has a uniform fraction of its cells chosen. Cells without a number are chosen too;
        # otherwise the network could infer from a hidden cell whether it has a number.
        is_chosen = number_u < 1 - u / fraction
        is_chosen |= np.isin(self.tokens.with_number, self.given)[None]
        is_shown = has_number & is_chosen
        is_observed = is_shown
        if self.has_joint_network:
            # At least one number stays noised, because there is nothing to learn from a row with all numbers observed.
            largest = jnp.max(jnp.where(has_number, number_u, 0.0), axis=1, keepdims=True)
            is_observed = has_number & (number_u < jnp.minimum(1 - u, largest))
        indices = np.asarray(self.tokens.with_number)
        is_seen = is_seen.at[:, indices].set(is_seen[:, indices] | (is_chosen & (rows[:, indices] != HIDDEN)))
        n_batches = len(rows) // batch_size
        level, eps = NUMBER_OBJECTIVE.noise(level_key, noise_key, n_batches, batch_size, numbers.shape[1])

        def noised(numbers: Array, sigma_data: Array) -> Noised:
            return NUMBER_OBJECTIVE.noised(numbers, eps, level, schedule, sigma_data)

        of_numbers = covariance[0] if self.has_joint_network else covariance
        center, sigma_data = _conditional_normals(of_numbers, numbers, is_observed)
        conditional = noised(numbers - center, sigma_data)
        alpha_t, sigma_t = at_lambda(conditional.lambda_t[:, None])
        x_t = alpha_t * numbers + sigma_t * eps
        is_hidden = uniform(context_key, rows.shape) < self.hidden_context * alpha_t**2
        # In sampling the network always sees tokens with a single value.
        is_hidden &= ~self.tokens.is_single[None]
        if self.guided is not None:
            is_dropped = jax.random.bernoulli(label_key, self.p_uncond, (len(rows),))
            is_hidden = is_hidden.at[:, self.guided].set(is_dropped)
        shown_tokens = jnp.where(is_hidden, HIDDEN, rows)
        weight, lambda_t = jnp.where(is_seen, 0.0, weight), conditional.lambda_t[:, None]
        of_tokens = rows, is_seen, weight, numbers, is_shown, shown_tokens, x_t
        examples = *of_tokens, conditional.inside, has_number, is_observed, lambda_t, conditional.target
        if not self.has_joint_network:
            return examples
        axes, sigma_data = axes_and_scales(covariance[1], numbers.shape[1])
        # The same noise serves along the axes, because isotropic noise is invariant under rotation.
        along = numbers if axes is None else numbers @ axes
        joint = noised(along, jnp.broadcast_to(sigma_data[None], along.shape))
        return *examples, joint.inside, joint.target

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Compute the mean loss of held-out rows, with `HELD_OUT_DRAWS` random draws each.

        No token is hidden from the number networks, as in sampling.
        """
        *keys, row_key = jax.random.split(key, 3)
        x0 = repeat_shuffled(row_key, jnp.asarray(clean.x0))
        unhidden = replace(self, hidden_context=0.0)
        examples = unhidden.examples((keys[0], keys[1]), clean._replace(x0=x0), len(x0))
        return mean_in_batches(partial(self._loss, network.smoothed(), rows_per_token_row=1), examples)

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Compute the loss of a batch, with matrix products in the given precision."""
        return self._loss(in_precision(network.smoothed(), precision), *batch)

    def _loss(
        self, network: MixedNetwork, *examples: Array, rows_per_token_row: int = ROWS_PER_TOKEN_ROW
    ) -> Float[Array, ""]:
        """Compute the mean per row of the tokens' negative log-likelihood in nats and the numbers' squared error.

        The token loss uses one of `rows_per_token_row` rows, which have the same number of visible tokens.
        """
        rows, is_seen, weight, numbers, is_shown, shown_tokens, x_t = examples[:7]
        inside, has_number, is_observed, lambda_t, target, *joint = examples[7:]
        dtype = network.number_network.output.bias.dtype
        shown = number_features(numbers[::rows_per_token_row], is_shown[::rows_per_token_row]).astype(dtype)
        token_rows, seen, token_weight = (array[::rows_per_token_row] for array in (rows, is_seen, weight))
        total = token_loss(network.token_network, self.tokens, token_rows, seen, token_weight, shown)

        def error(
            number_network: NumberNetwork, context: Array, inside: Array, is_noised: Array, target: Array
        ) -> Array:
            output = jax.vmap(number_network)(inside, is_noised, context, lambda_t[:, 0], x_t).astype(jnp.float32)
            return jnp.sum(is_noised.astype(jnp.float32) * (output - target) ** 2) / len(rows)

        if isinstance(network.token_network, FactoredNetwork):
            token_inputs = network.token_network.features(shown_tokens, shown_tokens != HIDDEN)
        else:
            token_inputs = self.tokens.one_hot(shown_tokens).astype(dtype)
        observed = number_features(numbers, is_observed).astype(dtype)
        context = jax.vmap(network.number_network.embed_context)(token_inputs, observed)
        total += error(network.number_network, context, inside, has_number & ~is_observed, target)
        if network.joint_network is not None:
            context = jax.vmap(network.joint_network.embed_context)(token_inputs)
            total += error(network.joint_network, context, joint[0], has_number, joint[1])
        return total


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
