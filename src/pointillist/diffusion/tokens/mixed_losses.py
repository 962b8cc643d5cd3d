"""The loss of mixed rows: of tokens given observed numbers, and of numbers given all tokens."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.losses import CleanRows, in_precision, repeat_shuffled
from pointillist.diffusion.random_numbers import uniform
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork
from pointillist.diffusion.tokens.mixed_sampling import axes_and_scales
from pointillist.diffusion.tokens.observed_losses import (
    NUMBER_OBJECTIVE,
    noised_given,
    number_error,
    some_observed,
    with_hidden,
)
from pointillist.diffusion.tokens.token_losses import TokenObjective, mean_in_batches, token_loss
from pointillist.diffusion.tokens.token_networks import FactoredNetwork
from pointillist.diffusion.tokens.token_sampling import HIDDEN

FRACTION_OBSERVED, FRACTION_OBSERVED_IF_MISSING = 0.25, 0.9
"""Fraction of rows with some observed numbers, in tables without and with missing cells. With a joint network, the
other number network sees observed numbers in every row."""

ROWS_PER_TOKEN_ROW = 2
"""The token loss uses one of this many rows of a batch, because tokens are learned in fewer steps than numbers."""


@dataclass(frozen=True)
class MixedObjective:
    """The training objective of mixed rows.

    Attributes:
        guided: Index of the guiding token; None for none.
        p_uncond: Fraction of rows in which the guiding token is hidden from the number networks.
        has_missing: Whether tokens, and the numbers that they carry, may be missing.
        has_joint_network: Whether a separate network draws all numbers jointly; see `MixedNetwork`.
        hidden_context: Probability of hiding a token from the number networks at the lowest noise.
        given: Indices of the tokens that are visible in every row, with their numbers; only without a joint network.
    """

    tokens: Tokens
    guided: int | None = None
    p_uncond: float = 0.0
    has_missing: bool = False
    has_joint_network: bool = False
    hidden_context: float = 0.0
    given: tuple[int, ...] = ()

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Build the training examples of an epoch: the arguments of `_loss` except the network, each (m, …)."""
        covariance, schedule = clean.sigma_data, clean.schedule
        assert schedule is not None and covariance is not None
        n = len(self.tokens.sizes)
        tokens, numbers = clean.x0[:, :n], clean.x0[:, n:]
        token_objective = TokenObjective(self.tokens, self.guided, self.given)
        rows, is_seen, weight = token_objective.examples(keys, CleanRows(tokens), batch_size, ROWS_PER_TOKEN_ROW)
        level_key, noise_key, uniform_key = jax.random.split(jax.random.fold_in(keys[0], 1), 3)
        # One draw for everything: every call of the generator is compiled separately.
        k, ends = numbers.shape[1], (1, 2, 2 + numbers.shape[1])
        u, label_u, number_u, context_u = jnp.split(uniform(uniform_key, (len(rows), 2 + k + n)), ends, axis=1)
        fraction = FRACTION_OBSERVED_IF_MISSING if self.has_missing else FRACTION_OBSERVED
        has_number = self.tokens.has_number(tokens)
        # A fraction of the rows has a uniform fraction of its cells chosen. Cells without a number are chosen too;
        # otherwise the network could infer from a hidden cell whether it has a number.
        is_chosen = number_u < 1 - u / fraction
        is_chosen |= np.isin(self.tokens.with_number, self.given)[None]
        is_shown = has_number & is_chosen
        is_observed = some_observed(u, number_u, has_number) if self.has_joint_network else is_shown
        indices = np.asarray(self.tokens.with_number)
        is_seen = is_seen.at[:, indices].set(is_seen[:, indices] | (is_chosen & (rows[:, indices] != HIDDEN)))
        n_batches = len(rows) // batch_size
        level, eps = NUMBER_OBJECTIVE.noise(level_key, noise_key, n_batches, batch_size, k)

        of_numbers = covariance[0] if self.has_joint_network else covariance
        conditional, x_t, alpha_t = noised_given(numbers, is_observed, eps, level, schedule, of_numbers)
        is_hidden = context_u < self.hidden_context * alpha_t**2
        shown_tokens = with_hidden(self.tokens, rows, is_hidden, self.guided, label_u[:, 0] < self.p_uncond)
        weight, lambda_t = jnp.where(is_seen, 0.0, weight), conditional.lambda_t[:, None]
        of_tokens = rows, is_seen, weight, numbers, is_shown, shown_tokens, x_t
        examples = *of_tokens, conditional.inside, has_number, is_observed, lambda_t, conditional.target
        if not self.has_joint_network:
            return examples
        axes, sigma_data = axes_and_scales(covariance[1], k)
        # The same noise serves along the axes, because isotropic noise is invariant under rotation.
        along = numbers if axes is None else numbers @ axes
        sigma_data = jnp.broadcast_to(sigma_data[None], along.shape)
        joint = NUMBER_OBJECTIVE.noised(along, eps, level, schedule, sigma_data)
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

        if isinstance(network.token_network, FactoredNetwork):
            token_inputs = network.token_network.features(shown_tokens, shown_tokens != HIDDEN)
        else:
            token_inputs = self.tokens.one_hot(shown_tokens).astype(dtype)
        observed = number_features(numbers, is_observed).astype(dtype)
        context = jax.vmap(network.number_network.embed_context)(token_inputs, observed)
        is_noised = has_number & ~is_observed
        total += number_error(network.number_network, context, is_noised, inside, lambda_t, x_t, target)
        if network.joint_network is not None:
            context = jax.vmap(network.joint_network.embed_context)(token_inputs)
            total += number_error(network.joint_network, context, has_number, joint[0], lambda_t, x_t, joint[1])
        return total
