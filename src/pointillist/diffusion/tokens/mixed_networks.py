"""Networks of rows of tokens and numbers: of the tokens, given some numbers; and of the numbers, given all tokens."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.networks import Dense, apply_blocks, noise_level_embedding, normal_layers
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.token_networks import FactoredNetwork, TokenNetwork

LEVEL_FEATURES = 32
"""Number of features of the noise level."""


class NumberNetwork(eqx.Module):
    """Residual blocks over noised numbers, which the noise level modulates, given tokens and other numbers.

    A block is that of `networks.ResidualMLP`. The output layer begins at 0.

    The network of numbers given others sees noised ones twice: relative to their mean given the others, which is
    precise, and as they are, by the weights of given numbers. What it learns about a given number thus also helps where
    that number is noised, and the other way round.

    Attributes:
        input: Layer features of noised numbers → width.
        context: Layer one-hot tokens and, if numbers can be given, features of these → width. In training, it may
            take the features of the tokens in a `FactoredNetwork` in place of these.
        modulation: Layer from features of the noise level to the scale and the shift of every block.
        inner: The `depth` layers width → width.
        outer: The `depth` layers width → width.
        output: Layer width → numbers.
        frequencies: Number of frequencies of the Fourier features of noised numbers.
        sees_x_t: Whether it sees noised numbers as they are, too.
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
        """A fresh network, to which numbers can be given or not."""
        n_inputs = tokens.n_features if is_factored else tokens.n_slots
        numbers, n_context = len(tokens.with_number), n_inputs + (tokens.n_number_features if has_observed else 0)
        # A row has one value of each token, whatever their number.
        shapes = [
            ((2 + 2 * frequencies) * numbers, width, 1.0),
            (n_context, width, (n_inputs / len(tokens.sizes)) ** 0.5),
        ]
        shapes += [(LEVEL_FEATURES, depth * 2 * width, 0.1), *depth * [(width, width, 1.0)]]
        first, context, modulation, *middle = normal_layers(key, shapes + depth * [(width, width, 0.3)])
        output = Dense(jnp.zeros((width, numbers)), jnp.zeros(numbers))
        inner, outer = tuple(middle[:depth]), tuple(middle[depth:])
        return cls(first, context, modulation, inner, outer, output, frequencies, sees_x_t)

    def smoothed(self, tokens: Tokens) -> "NumberNetwork":
        """Returns the network with token weights that are smooth functions of the rank of ordered values.

        The intervals of two or three columns together identify a single training row. A network with a free weight for
        each interval memorizes the training rows by their tokens, and the numbers of new rows get too little noise.
        """
        return replace(self, context=Dense(tokens.smoothed(self.context.weight), self.context.bias))

    def known(self, one_hot: Float[Array, " slots"], shown: Float[Array, " f"] | None = None) -> Float[Array, " width"]:
        """What the tokens and the given numbers contribute, the same at every noise level."""
        return self.context(one_hot if shown is None else jnp.concatenate([one_hot, shown]))

    def __call__(
        self,
        inside: Float[Array, " k"],
        is_noised: Bool[Array, " k"],
        known: Float[Array, " width"],
        lambda_t: Array,
        x_t: Float[Array, " k"],
    ) -> Float[Array, " k"]:
        """Applies the network.

        Args:
            inside: c_in times the difference of x_t from its mean given the other numbers, shape (k,).
            is_noised: Which numbers are noised, shape (k,).
            known: What `known` returned.
            lambda_t: log(alpha_t / sigma_t), a scalar.
            x_t: The noised numbers as they are, shape (k,); ignored without `sees_x_t`.
        """
        waves = [2.0**i for i in range(self.frequencies)]
        # Of the numbers as they are: waves of rounded ones would be others.
        seen = number_features(inside, is_noised, waves).astype(self.output.bias.dtype)
        h = self.input(seen) + known
        if self.sees_x_t:
            shown = number_features(x_t, is_noised).astype(seen.dtype)
            h = h + shown @ jnp.asarray(self.context.weight)[-len(shown) :]
        level = noise_level_embedding(lambda_t, LEVEL_FEATURES).astype(seen.dtype)
        return self.output(apply_blocks(h, self.modulation(level), self.inner, self.outer))


class MixedNetwork(eqx.Module):
    """The networks of tokens and of numbers.

    Attributes:
        token_network: The network of tokens.
        number_network: The network of numbers given others.
        joint_network: The network that draws all numbers jointly, with none observed; None if `number_network` does
            that too. One network for both tasks is less precise at both.
    """

    token_network: TokenNetwork | FactoredNetwork
    number_network: NumberNetwork
    joint_network: NumberNetwork | None = None

    def folded(self) -> "MixedNetwork":
        """The same networks, with the two kinds of weights of the one of tokens merged, or factors multiplied out."""
        token_network, joint_network = self.token_network, self.joint_network
        folded = replace(self.smoothed(), token_network=token_network.folded())
        if not isinstance(token_network, FactoredNetwork):
            return folded
        return replace(
            folded,
            number_network=replace(self.number_network, context=token_network.unfactored(self.number_network.context)),
            joint_network=None
            if joint_network is None
            else replace(joint_network, context=token_network.unfactored(joint_network.context)),
        )

    def smoothed(self) -> "MixedNetwork":
        """Returns the same networks, with those of numbers smoothed by `NumberNetwork.smoothed`.

        With a `FactoredNetwork`, the networks of numbers see a few features of the tokens and stay as they are.
        """
        if isinstance(self.token_network, FactoredNetwork):
            return self
        joint_network = None if self.joint_network is None else self.joint_network.smoothed(self.tokens)
        return replace(self, number_network=self.number_network.smoothed(self.tokens), joint_network=joint_network)

    @property
    def tokens(self) -> Tokens:
        """The tokens."""
        return self.token_network.tokens
