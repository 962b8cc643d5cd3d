"""Networks of mixed rows: of tokens given observed numbers, and of numbers given all tokens."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.networks import Dense, apply_blocks, noise_level_embedding, residual_layers
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.token_networks import FactoredNetwork

LEVEL_FEATURES = 32
"""Number of features of the noise level."""


class NumberNetwork(eqx.Module):
    """A residual network of noised numbers given tokens and observed numbers, modulated by the noise level.

    The blocks are those of `networks.ResidualMLP`. The output layer is initialized to 0.

    With `sees_x_t`, the network sees noised numbers twice: relative to their conditional mean given the observed ones,
    which is precise, and unshifted through the weights of observed numbers. What it learns about a number when observed
    then also helps when the number is noised, and vice versa.

    Attributes:
        context: Layer one-hot tokens and, if numbers may be observed, their features → width. In training, the features
            of a `FactoredNetwork` may replace the one-hot tokens.
    """

    input: Dense
    context: Dense
    modulation: Dense
    inner: tuple[Dense, ...]
    outer: tuple[Dense, ...]
    output: Dense
    frequencies: int = eqx.field(static=True)
    sees_x_t: bool = eqx.field(static=True)

    @classmethod
    def build(
        cls,
        key: PRNGKeyArray,
        *,
        tokens: Tokens,
        width: int,
        depth: int,
        frequencies: int,
        has_observed: bool = True,
        sees_x_t: bool = False,
        is_factored: bool = False,
    ) -> "NumberNetwork":
        """Initialize a network; with `has_observed`, it can condition on observed numbers."""
        n_inputs = tokens.n_features if is_factored else tokens.n_slots
        numbers, n_context = len(tokens.with_number), n_inputs + (tokens.n_number_features if has_observed else 0)
        # Scaled by the number of active inputs: one per token.
        shapes = [
            ((2 + 2 * frequencies) * numbers, width, 1.0),
            (n_context, width, (n_inputs / len(tokens.sizes)) ** 0.5),
            (LEVEL_FEATURES, depth * 2 * width, 0.1),
        ]
        (first, context, modulation), inner, outer = residual_layers(key, shapes, width, depth)
        output = Dense(jnp.zeros((width, numbers)), jnp.zeros(numbers))
        return cls(first, context, modulation, inner, outer, output, frequencies, sees_x_t)

    def embed_context(
        self, one_hot: Float[Array, " slots"], observed: Float[Array, " f"] | None = None
    ) -> Float[Array, " width"]:
        """Embed tokens and the features of observed numbers; the result is the same at every noise level."""
        return self.context(one_hot if observed is None else jnp.concatenate([one_hot, observed]))

    def smoothed(self, tokens: Tokens) -> "NumberNetwork":
        """Return the network with weights of tokens that are smooth in the rank of ordered values."""
        return replace(self, context=Dense(tokens.smoothed(self.context.weight), self.context.bias))

    def __call__(
        self,
        inside: Float[Array, " k"],
        is_noised: Bool[Array, " k"],
        context: Float[Array, " width"],
        lambda_t: Array,
        x_t: Float[Array, " k"],
    ) -> Float[Array, " k"]:
        """Apply the network to c_in times the difference of x_t from its conditional mean given the observed numbers.

        `context` is the result of `embed_context`, and x_t is ignored without `sees_x_t`.
        """
        waves = [2.0**i for i in range(self.frequencies)]
        # Features are computed before rounding to a lower precision, which would change their phase.
        seen = number_features(inside, is_noised, waves).astype(self.output.bias.dtype)
        h = self.input(seen) + context
        if self.sees_x_t:
            unshifted = number_features(x_t, is_noised).astype(seen.dtype)
            h = h + unshifted @ jnp.asarray(self.context.weight)[-len(unshifted) :]
        level = noise_level_embedding(lambda_t, LEVEL_FEATURES).astype(seen.dtype)
        return self.output(apply_blocks(h, self.modulation(level), self.inner, self.outer))


class MixedNetwork(eqx.Module):
    """The networks of mixed rows: of tokens, and of numbers given observed numbers.

    Attributes:
        token_network: One of `registries.TOKEN_NETWORKS`, or a `FactoredNetwork`.
        joint_network: The network that draws all numbers jointly, with none observed; None if `number_network` does
            that too. One network for both tasks is less precise at both.
    """

    token_network: Any
    number_network: NumberNetwork
    joint_network: NumberNetwork | None = None

    def folded(self) -> "MixedNetwork":
        """Return equivalent networks with the two kinds of token weights merged, or with factors multiplied out."""
        networks, token_network = self.smoothed(self.tokens), self.token_network
        if isinstance(token_network, FactoredNetwork):
            unfactored = token_network.unfactored
            networks = self._with_numbers(lambda network: replace(network, context=unfactored(network.context)))
        return replace(networks, token_network=token_network.folded())

    def smoothed(self, tokens: Tokens) -> "MixedNetwork":
        """Return the networks with weights of tokens in number networks that are smooth in the rank of ordered values.

        The intervals of two or three columns together identify a training row. With a free weight per interval, a
        number network would memorize training rows by their tokens, and the numbers of new rows would vary too little.
        With a `FactoredNetwork` nothing changes, because number networks then see few features of the tokens.
        """
        if isinstance(self.token_network, FactoredNetwork):
            return self
        return self._with_numbers(lambda network: network.smoothed(tokens))

    def _with_numbers(self, change: Callable[[NumberNetwork], NumberNetwork]) -> "MixedNetwork":
        joint_network = None if self.joint_network is None else change(self.joint_network)
        return replace(self, number_network=change(self.number_network), joint_network=joint_network)

    @property
    def tokens(self) -> Tokens:
        """Layout of the tokens."""
        return self.token_network.tokens
