"""The loss of mixed rows: of tokens given observed numbers, and of numbers given tokens and observed numbers."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditional_normal import conditional_normal
from pointillist.diffusion.losses import CleanRows, Noised, Objective, in_precision
from pointillist.diffusion.random_numbers import uniform
from pointillist.diffusion.schedules import at_lambda
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork, NumberNetwork
from pointillist.diffusion.tokens.mixed_sampling import axes_and_scales
from pointillist.diffusion.tokens.token_losses import TokenObjective, held_out_examples, mean_in_batches, token_loss
from pointillist.diffusion.tokens.token_networks import FactoredNetwork
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

FRACTION_OBSERVED, FRACTION_OBSERVED_IF_MISSING = 0.25, 0.9
"""Fraction of rows with some observed numbers, in tables without and with missing cells. With a joint network, the
other number network sees observed numbers in every row."""

ROWS_PER_TOKEN_ROW = 2
"""The token loss uses one of this many rows of a batch, because tokens are learned in fewer steps than numbers."""

_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class ObservedObjective:
    """The training objective of the network of numbers given tokens and observed numbers, without other networks.

    Attributes:
        guided: Index of the guiding token; None for none.
        p_uncond: Fraction of rows in which the guiding token is hidden from the number networks.
        hidden_context: Probability of hiding a token from the number networks at the lowest noise.
    """

    tokens: Tokens
    guided: int | None = None
    p_uncond: float = 0.0
    hidden_context: float = 0.0

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Build the training examples of an epoch: the arguments of `_loss` except the network, each (m, …)."""
        n = len(self.tokens.sizes)
        tokens, numbers = clean.x0[:, :n], clean.x0[:, n:]
        has_number, rows = self.tokens.has_number(tokens), reveal_single_values(self.tokens, tokens)
        u, label_u, number_u, context_u = self._uniform(jax.random.fold_in(keys[0], 1), len(rows))
        is_observed = some_observed(u, number_u, has_number)
        noise = NUMBER_OBJECTIVE.noise(*keys, len(rows) // batch_size, batch_size, numbers.shape[1])
        noised, x_t, shown_tokens = self._noised(clean, rows, is_observed, noise, label_u, context_u)
        of_noise = noised.inside, noised.lambda_t[:, None], x_t, noised.target
        return shown_tokens, numbers, is_observed, has_number, *of_noise

    def _uniform(self, key: PRNGKeyArray, n_rows: int) -> list[Float[Array, "m some"]]:
        """Draw uniform random numbers per row: two, one per number, and one per token."""
        # One draw for everything: every call of the generator is compiled separately.
        k, n = len(self.tokens.with_number), len(self.tokens.sizes)
        return jnp.split(uniform(key, (n_rows, 2 + k + n)), (1, 2, 2 + k), axis=1)

    def _noised(
        self,
        clean: CleanRows,
        rows: Float[Array, "m T"],
        is_observed: Bool[Array, "m k"],
        noise: tuple[Float[Array, " m"], Float[Array, "m k"]],
        label_u: Float[Array, "m 1"],
        context_u: Float[Array, "m T"],
    ) -> tuple[Noised, Float[Array, "m k"], Float[Array, "m T"]]:
        """Add noise to numbers, relative to their conditional mean given the observed ones, and hide tokens.

        Returns:
            The noised differences, x_t, and the tokens that the number networks see.
        """
        (level, eps), numbers = noise, clean.x0[:, rows.shape[1] :]
        assert clean.schedule is not None and clean.sigma_data is not None
        center, sigma_data = _conditional_normals(clean.sigma_data, numbers, is_observed)
        noised = NUMBER_OBJECTIVE.noised(numbers - center, eps, level, clean.schedule, sigma_data)
        alpha_t, sigma_t = at_lambda(noised.lambda_t[:, None])
        x_t = alpha_t * numbers + sigma_t * eps
        # In sampling the network always sees tokens with a single value.
        is_hidden = (context_u < self.hidden_context * alpha_t**2) & ~self.tokens.is_single[None]
        if self.guided is not None:
            is_hidden = is_hidden.at[:, self.guided].set(label_u[:, 0] < self.p_uncond)
        return noised, x_t, jnp.where(is_hidden, HIDDEN, rows)

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Compute the mean loss of held-out rows, with `HELD_OUT_DRAWS` random draws each.

        No token is hidden from the number networks, as in sampling.
        """
        examples = held_out_examples(replace(self, hidden_context=0.0).examples, key, clean)
        return mean_in_batches(partial(self._loss, network.smoothed(self.tokens), rows_per_token_row=1), examples)

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Compute the loss of a batch, with matrix products in the given precision."""
        return self._loss(in_precision(network.smoothed(self.tokens), precision), *batch)

    def _loss(self, network: Any, *examples: Array, rows_per_token_row: int = ROWS_PER_TOKEN_ROW) -> Float[Array, ""]:
        """Compute the mean per row of the numbers' squared error."""
        shown_tokens, numbers, is_observed, has_number, *noised = examples
        dtype = network.output.bias.dtype
        observed = number_features(numbers, is_observed).astype(dtype)
        context = jax.vmap(network.embed_context)(self.tokens.one_hot(shown_tokens).astype(dtype), observed)
        return _number_error(network, context, has_number & ~is_observed, *noised)


@dataclass(frozen=True)
class MixedObjective(ObservedObjective):
    """The training objective of mixed rows.

    Attributes:
        has_missing: Whether tokens, and the numbers that they carry, may be missing.
        has_joint_network: Whether a separate network draws all numbers jointly; see `MixedNetwork`.
        given: Indices of the tokens that are visible in every row, with their numbers; only without a joint network.
    """

    has_missing: bool = False
    has_joint_network: bool = False
    given: tuple[int, ...] = ()

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Build the training examples of an epoch: the arguments of `_loss` except the network, each (m, …)."""
        n = len(self.tokens.sizes)
        tokens, numbers = clean.x0[:, :n], clean.x0[:, n:]
        covariance, schedule, k = clean.sigma_data, clean.schedule, numbers.shape[1]
        assert schedule is not None and covariance is not None
        token_objective = TokenObjective(self.tokens, self.guided, self.given)
        rows, is_seen, weight = token_objective.examples(keys, CleanRows(tokens), batch_size, ROWS_PER_TOKEN_ROW)
        level_key, noise_key, uniform_key = jax.random.split(jax.random.fold_in(keys[0], 1), 3)
        u, label_u, number_u, context_u = self._uniform(uniform_key, len(rows))
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
        noise = NUMBER_OBJECTIVE.noise(level_key, noise_key, len(rows) // batch_size, batch_size, k)

        of_numbers = clean._replace(sigma_data=covariance[0]) if self.has_joint_network else clean
        noised, x_t, shown_tokens = self._noised(of_numbers, rows, is_observed, noise, label_u, context_u)
        weight, lambda_t = jnp.where(is_seen, 0.0, weight), noised.lambda_t[:, None]
        of_tokens = rows, is_seen, weight, numbers, is_shown, shown_tokens, x_t
        examples = *of_tokens, noised.inside, has_number, is_observed, lambda_t, noised.target
        if not self.has_joint_network:
            return examples
        axes, sigma_data = axes_and_scales(covariance[1], k)
        # The same noise serves along the axes, because isotropic noise is invariant under rotation.
        along = numbers if axes is None else numbers @ axes
        level, eps = noise
        joint = NUMBER_OBJECTIVE.noised(along, eps, level, schedule, jnp.broadcast_to(sigma_data[None], along.shape))
        return *examples, joint.inside, joint.target

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
        total += _number_error(network.number_network, context, is_noised, inside, lambda_t, x_t, target)
        if network.joint_network is not None:
            context = jax.vmap(network.joint_network.embed_context)(token_inputs)
            total += _number_error(network.joint_network, context, has_number, joint[0], lambda_t, x_t, joint[1])
        return total


def some_observed(
    u: Float[Array, "m 1"], number_u: Float[Array, "m k"], has_number: Bool[Array, "m k"]
) -> Bool[Array, "m k"]:
    """Choose the observed numbers of each row: a uniform fraction, by uniform random numbers.

    At least one number stays noised, because there is nothing to learn from a row with all numbers observed.
    """
    largest = jnp.max(jnp.where(has_number, number_u, 0.0), axis=1, keepdims=True)
    return has_number & (number_u < jnp.minimum(1 - u, largest))


def _number_error(
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
