"""The loss of rows of tokens and numbers: of the tokens given some numbers, and of the numbers given all tokens."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditional_normal import conditional_normal
from pointillist.diffusion.losses import CleanRows, Noised, Objective, repeat_shuffled
from pointillist.diffusion.random_numbers import uniform
from pointillist.diffusion.schedules import at_lambda
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork, NumberNetwork
from pointillist.diffusion.tokens.mixed_sampling import axes_and_scales
from pointillist.diffusion.tokens.token_losses import TokenObjective, mean_in_batches, token_loss
from pointillist.diffusion.tokens.token_networks import FactoredNetwork
from pointillist.diffusion.tokens.token_sampling import HIDDEN

SHARE_GIVEN, SHARE_GIVEN_WITH_GAPS = 0.25, 0.9
"""Share of the rows of which some numbers are given, so that any can be; and that in tables with gaps to fill. To a
network of numbers that does not draw all of them together, some of every row are given."""

ROWS_PER_TOKENS = 2
"""Number of rows of a batch for each from which tokens are learned: they take fewer steps to learn than numbers."""

LOG_NORMAL = (-1.7, 1.8)
"""Mean and standard deviation of log σ. Rows of a table lie close to where numbers determine each other, which only low
noise shows; at high noise, the tokens decide."""

HIDDEN_CONTEXT = 0.3
"""Probability of hiding a token of a training row from the networks of numbers, at little noise.

The tokens of a row together often identify it, and a network that always sees all of them memorizes the numbers of
the row. At alpha_t the probability is `HIDDEN_CONTEXT` alpha_t², so that with much noise, where only the tokens carry
information, hardly any token is hidden."""

_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class MixedObjective:
    """The objective of models of tokens and numbers, as `losses.Objective` is that of models of rows of numbers.

    Attributes:
        tokens: The tokens of a row, and which of them numbers stand beside.
        guided: Token that guidance leaves out; None for none.
        p_uncond: Share of the rows in which the network of numbers is not shown that token.
        number_objective: The objective of the numbers.
        has_missing: Whether tokens of the rows may be unknown; see `TokenObjective`. So are the numbers beside them.
        has_joint_network: Whether all numbers together have a network of their own; see `MixedNetwork`.
        hidden_context: See `HIDDEN_CONTEXT`.
    """

    tokens: Tokens
    guided: int | None = None
    p_uncond: float = 0.0
    number_objective: Objective = field(
        default_factory=lambda: Objective("edm", "uniform", "log-normal", log_normal=LOG_NORMAL)
    )
    has_missing: bool = False
    has_joint_network: bool = False
    hidden_context: float = HIDDEN_CONTEXT

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Makes the examples of an epoch, row by row: the arguments of `_loss` except the network, each (m, …)."""
        spread, schedule = clean.sigma_data, clean.schedule
        assert schedule is not None and spread is not None
        n = len(self.tokens.sizes)
        tokens, numbers = clean.x0[:, :n], clean.x0[:, n:]
        token_objective = TokenObjective(self.tokens, self.has_missing, self.guided)
        rows, is_seen, weight = token_objective.examples(keys, CleanRows(tokens), batch_size, ROWS_PER_TOKENS)
        level_key, noise_key, row_key, number_key, label_key, context_key = jax.random.split(
            jax.random.fold_in(keys[0], 1), 6
        )
        share = jax.random.uniform(row_key, (len(rows), 1))
        # Of these rows a share of the numbers, which is uniform too.
        most = SHARE_GIVEN_WITH_GAPS if self.has_missing else SHARE_GIVEN
        place = uniform(number_key, numbers.shape)
        is_there = self.tokens.has_number(tokens)
        # Whether there is a number or not: else a cell that is not shown would be one without, by that alone.
        is_chosen = place < 1 - share / most
        is_shown = is_there & is_chosen
        is_observed = is_shown
        if self.has_joint_network:
            # One is left at least: of rows whose numbers are all given, nothing would be learned.
            largest = jnp.max(jnp.where(is_there, place, 0.0), axis=1, keepdims=True)
            is_observed = is_there & (place < jnp.minimum(1 - share, largest))
        places = np.asarray(self.tokens.with_number)
        is_seen = is_seen.at[:, places].set(is_seen[:, places] | (is_chosen & (rows[:, places] != HIDDEN)))
        level, eps = self.number_objective.noise(
            level_key, noise_key, len(rows) // batch_size, batch_size, numbers.shape[1]
        )

        def noised(numbers: Array, sigma_data: Array) -> Noised:
            return self.number_objective.noised(numbers, eps, level, schedule, sigma_data)

        centre, sigma_data = _in_turns(spread[0] if self.has_joint_network else spread, numbers, is_observed)
        own = noised(numbers - centre, sigma_data)
        alpha_t, sigma_t = at_lambda(own.lambda_t[:, None])
        x_t = alpha_t * numbers + sigma_t * eps
        is_hidden = uniform(context_key, rows.shape) < self.hidden_context * alpha_t**2
        # The finished network always sees a token of a single value.
        is_hidden &= ~self.tokens.is_single[None]
        if self.guided is not None:
            is_dropped = jax.random.bernoulli(label_key, self.p_uncond, (len(rows),))
            is_hidden = is_hidden.at[:, self.guided].set(is_dropped)
        shown_tokens = jnp.where(is_hidden, HIDDEN, rows)
        shown = rows, is_seen, jnp.where(is_seen, 0.0, weight), numbers, is_shown
        examples = *shown, shown_tokens, x_t, own.inside, is_there, is_observed, own.lambda_t[:, None], own.target
        if not self.has_joint_network:
            return examples
        axes, sigma_data = axes_and_scales(spread[1], numbers.shape[1])
        # Noise that is the same in all directions is the same along all axes.
        along = numbers if axes is None else numbers @ axes
        joint = noised(along, jnp.broadcast_to(sigma_data[None], along.shape))
        return *examples, joint.inside, joint.target

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Computes the mean loss of rows, with no token hidden from the networks of numbers, as in sampling.

        Each row has `HELD_OUT_DRAWS` draws of all that is random.

        Args:
            key: Key of what is random.
            network: The network.
            clean: The rows.
        """
        *keys, row_key = jax.random.split(key, 3)
        x0 = repeat_shuffled(row_key, jnp.asarray(clean.x0))
        shown = replace(self, hidden_context=0.0)
        examples = shown.examples((keys[0], keys[1]), clean._replace(x0=x0), len(x0))
        return mean_in_batches(partial(self._loss, network.smoothed(), rows_per_tokens=1), examples)

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Computes the loss of a batch, with the networks' products in a given precision."""
        network = network.smoothed()
        if precision != "float32":
            network = jax.tree.map(lambda leaf: leaf.astype(precision), network)
        return self._loss(network, *batch)

    def _loss(
        self, network: MixedNetwork, *examples: Array, rows_per_tokens: int = ROWS_PER_TOKENS
    ) -> Float[Array, ""]:
        """Negative log-probability of hidden tokens in nats, and squared error of the numbers' prediction, per row.

        Tokens are learned from one of so many neighbors, of which as many tokens are seen.

        Args:
            network: The network.
            examples: What `examples` returned.
            rows_per_tokens: Number of such neighbors.
        """
        rows, is_seen, weight, numbers, is_shown, shown_tokens, x_t = examples[:7]
        inside, is_there, is_observed, lambda_t, target, *joint = examples[7:]
        dtype = network.number_network.output.bias.dtype
        seen, own_weight, own_numbers, is_own = (of[::rows_per_tokens] for of in (is_seen, weight, numbers, is_shown))
        shown = number_features(own_numbers, is_own).astype(dtype)
        total = token_loss(network.token_network, self.tokens, rows[::rows_per_tokens], seen, own_weight, shown)

        def error(own: NumberNetwork, known: Array, inside: Array, is_noised: Array, target: Array) -> Array:
            found = jax.vmap(own)(inside, is_noised, known, lambda_t[:, 0], x_t).astype(jnp.float32)
            return jnp.sum(is_noised.astype(jnp.float32) * (found - target) ** 2) / len(rows)

        of_shown = (
            network.token_network.features(shown_tokens, shown_tokens != HIDDEN)
            if isinstance(network.token_network, FactoredNetwork)
            else self.tokens.one_hot(shown_tokens).astype(dtype)
        )
        known = jax.vmap(network.number_network.known)(of_shown, number_features(numbers, is_observed).astype(dtype))
        total += error(network.number_network, known, inside, is_there & ~is_observed, target)
        if network.joint_network is not None:
            known = jax.vmap(network.joint_network.known)(of_shown)
            total += error(network.joint_network, known, joint[0], is_there, joint[1])
        return total


def _in_turns(
    covariance: Float[Array, "k k"], numbers: Float[Array, "m k"], is_observed: Bool[Array, "m k"]
) -> tuple[Float[Array, "m k"], Float[Array, "m k"]]:
    """`conditional_normal` of rows, a few at a time: each takes a matrix."""
    padding = (0, -len(numbers) % _ROWS_AT_ONCE), (0, 0)
    parts = [jnp.pad(of, padding).reshape(-1, _ROWS_AT_ONCE, numbers.shape[1]) for of in (numbers, is_observed)]
    of_rows = jax.vmap(partial(conditional_normal, covariance))
    found = jax.lax.map(lambda part: of_rows(*part), tuple(parts))
    mean, deviation = (of.reshape(-1, numbers.shape[1])[: len(numbers)] for of in found)
    return mean, deviation
