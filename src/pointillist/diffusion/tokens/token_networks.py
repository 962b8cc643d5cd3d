"""Networks of rows of tokens: from visible tokens to a logit for every value of every token."""

from collections.abc import Iterator
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.networks import Dense, residual_layers
from pointillist.diffusion.random_numbers import normal
from pointillist.diffusion.tokens.masking import N_WAVES, Tokens


class TokenNetwork(eqx.Module):
    """A residual network from visible one-hot tokens to a logit for every value of every token.

    The first and last layers also have weights for smooth functions of the rank of ordered values, so that the values
    of an ordered token share statistical strength. `folded` merges both kinds of weights.

    Attributes:
        input: Layer slots → width.
        output: Layer width → slots, initialized to 0.
        input_waves: Weights waves → width.
        output_waves: Weights width → waves.
    """

    input: Dense
    inner: tuple[Dense, ...]
    outer: tuple[Dense, ...]
    output: Dense
    input_waves: Float[Array, "*stack waves width"]
    output_waves: Float[Array, "*stack width waves"]
    tokens: Tokens = eqx.field(static=True)

    @property
    def token_network(self) -> "TokenNetwork":
        """The network itself, as in a `MixedNetwork`."""
        return self

    @classmethod
    def build(cls, key: PRNGKeyArray, *, tokens: Tokens, width: int, depth: int) -> "TokenNetwork":
        """Initialize a network."""
        slots, n_tokens, waves = tokens.n_slots, len(tokens.sizes), N_WAVES * len(tokens.ordered_tokens)
        # Scaled by the number of active inputs: one per token.
        size = ((slots + tokens.n_number_features) / n_tokens) ** 0.5
        (first,), inner, outer = residual_layers(key, [(slots + tokens.n_number_features, width, size)], width, depth)
        output = Dense(jnp.zeros((width, slots)), jnp.zeros(slots))
        input_waves = normal(jax.random.fold_in(key, 1), (waves, width)) / (N_WAVES * n_tokens) ** 0.5
        return cls(first, inner, outer, output, input_waves, jnp.zeros((width, waves)), tokens)

    def __call__(self, seen: Float[Array, " inputs"]) -> Float[Array, " slots"]:
        """Compute logits, shape (slots,), from one-hot tokens (0 where masked) and the features of numbers."""
        folded = self.folded() if self.input_waves.shape[-2] else self
        return folded.output(folded.through(folded.input(seen)))

    def through(self, h: Float[Array, " width"]) -> Float[Array, " width"]:
        """Apply all layers between the input and the output layer."""
        return _through(self.inner, self.outer, h)

    def folded(self) -> "TokenNetwork":
        """Return the equivalent network with the weights of waves merged into the others."""
        waves = jnp.asarray(self.tokens.wave_matrix, self.input.weight.dtype)
        input_weight = jnp.asarray(self.input.weight).at[: self.tokens.n_slots].add(waves @ self.input_waves)
        output_weight = self.output.weight + self.output_waves @ waves.T
        first, output = Dense(input_weight, self.input.bias), Dense(output_weight, self.output.bias)
        return _without_waves(first, self.inner, self.outer, output, self.tokens)


class FactoredNetwork(eqx.Module):
    """A `TokenNetwork` for training on rows of many values, whose first and last layers are low-rank products.

    Every value of a token has up to `Tokens.rank` features, and every feature of a token has weights to and from the
    hidden layers. The size of the layers, and of Adam's moments, is then proportional to the number of tokens rather
    than of values. A token with at most `Tokens.rank` values starts with one feature per value, which loses nothing.

    Attributes:
        input: Layer features → width, with tokens ordered by block.
        output: Weights features → width, used transposed, initialized to 0.
        input_features: Features of every value at the input.
        output_features: Features of every value at the output.
    """

    input: Dense
    inner: tuple[Dense, ...]
    outer: tuple[Dense, ...]
    output: Float[Array, "*stack features width"]
    bias: Float[Array, "*stack slots"]
    input_features: Float[Array, "*stack slots rank"]
    output_features: Float[Array, "*stack slots rank"]
    tokens: Tokens = eqx.field(static=True)

    @classmethod
    def build(cls, key: PRNGKeyArray, *, tokens: Tokens, width: int, depth: int) -> "FactoredNetwork":
        """Initialize a network."""
        n = tokens.n_features
        # Scaled by the number of active inputs: one value per token, whose features have norm 1.
        size = ((n + tokens.n_number_features) / len(tokens.sizes)) ** 0.5
        (first,), inner, outer = residual_layers(key, [(n + tokens.n_number_features, width, size)], width, depth)
        input_features, output_features = (_first_features(jax.random.fold_in(key, i), tokens) for i in (1, 2))
        output, bias = jnp.zeros((n, width)), jnp.zeros(tokens.n_slots)
        return cls(first, inner, outer, output, bias, input_features, output_features, tokens)

    def loss(
        self,
        rows: Float[Array, "m T"],
        is_seen: Bool[Array, "m T"],
        weight: Float[Array, "m T"],
        observed: Float[Array, "m f"],
    ) -> Float[Array, ""]:
        """Compute the sum over rows of the loss that `token_loss` averages, one block of logits at a time."""
        features = jnp.concatenate([self.features(rows, is_seen), observed], axis=1)
        slots = self._slots(rows)
        h = jax.vmap(lambda row: _through(self.inner, self.outer, self.input(row)))(features)
        total = jnp.zeros(())
        for block, rank, hidden in self._by_block(self.output @ h.T):
            block_slots = slots[:, block].T
            features_of_value = jnp.moveaxis(self.output_features[block_slots, :rank], -1, 1)
            logits = jnp.sum(features_of_value * hidden, axis=1) + self.bias[block_slots]
            loss = self._log_normalizers(hidden, block) - logits.astype(jnp.float32)
            total += jnp.sum(weight[:, block].T * loss)
        return total

    def features(self, rows: Float[Array, "m T"], is_seen: Bool[Array, "m T"]) -> Float[Array, "m features"]:
        """Compute the features of the tokens of rows; 0 for tokens that are not visible."""
        slots = self._slots(rows)
        parts = [
            self.input_features[slots[:, block], :rank] * is_seen[:, block, None].astype(self.bias.dtype)
            for block, rank in self.tokens.blocks
        ]
        return jnp.concatenate([part.reshape(len(rows), -1) for part in parts], axis=1)

    def _slots(self, rows: Float[Array, "m T"]) -> Int[Array, "m T"]:
        return jnp.asarray(self.tokens.starts)[None] + rows.astype(jnp.int32)

    def _by_block(self, features: Float[Array, "features k"]) -> Iterator[tuple[np.ndarray, int, Array]]:
        """Yield each block, its features per token, and its part of `features`, shape (tokens, rank, k)."""
        first = 0
        for block, rank in self.tokens.blocks:
            end = first + len(block) * rank
            yield block, rank, features[first:end].reshape(len(block), rank, -1)
            first = end

    def _log_normalizers(self, hidden: Float[Array, "n rank m"], block: Int[np.ndarray, " n"]) -> Float[Array, "n m"]:
        """Compute logsumexp of all logits of each token of a block."""
        sizes = np.asarray(self.tokens.sizes)[block]
        value = np.arange(sizes.max())
        slots = self.tokens.starts[block][:, None] + np.minimum(value, sizes[:, None] - 1)
        bias = jnp.where(jnp.asarray(value < sizes[:, None]), self.bias[slots], -jnp.inf)
        features = self.output_features[slots, : hidden.shape[1]]
        logits = (jnp.einsum("nvk,nkm->nvm", features, hidden) + bias[..., None]).astype(jnp.float32)
        # jax.nn.logsumexp, which also handles infinite logits, takes 1.5 times as long.
        largest = jax.lax.stop_gradient(logits.max(axis=1))
        return jnp.log(jnp.exp(logits - largest[:, None]).sum(axis=1)) + largest

    def folded(self) -> TokenNetwork:
        """Return the equivalent `TokenNetwork`, with the products multiplied out."""
        output = Dense(self._product(self.output_features, self.output).T, self.bias)
        return _without_waves(self.unfactored(self.input), self.inner, self.outer, output, self.tokens)

    def unfactored(self, layer: Dense) -> Dense:
        """Convert a layer of `features`, followed by other inputs, to the equivalent layer of one-hot tokens."""
        weight = self._product(self.input_features, layer.weight)
        return Dense(jnp.concatenate([weight, layer.weight[self.tokens.n_features :]]), layer.bias)

    def _product(
        self, features: Float[Array, "slots rank"], layer: Float[Array, "rows width"]
    ) -> Float[Array, "slots width"]:
        """Multiply the features of every value by the weights of these features."""
        n, rank, width = len(self.tokens.sizes), self.tokens.rank, layer.shape[-1]
        by_token = jnp.zeros((n, rank, width), layer.dtype)
        for block, block_rank, weights in self._by_block(layer):
            by_token = by_token.at[block, :block_rank].set(weights)
        products = (features[:, i, None] * by_token[self.tokens.token_of_slot, i] for i in range(rank))
        return sum(products, start=jnp.zeros((self.tokens.n_slots, width), layer.dtype))


def _without_waves(
    first: Dense, inner: tuple[Dense, ...], outer: tuple[Dense, ...], output: Dense, tokens: Tokens
) -> TokenNetwork:
    width, dtype = first.weight.shape[-1], first.weight.dtype
    waves = jnp.zeros((0, width), dtype), jnp.zeros((width, 0), dtype)
    return TokenNetwork(first, inner, outer, output, *waves, replace(tokens, ranks=()))


def _first_features(key: PRNGKeyArray, tokens: Tokens) -> Float[Array, "slots rank"]:
    """Initialize features: one-hot if a token has few values, smooth functions of ordered values, otherwise random."""
    rank = tokens.rank
    waves = np.pad(tokens.waves * (2 / N_WAVES) ** 0.5, ((0, 0), (0, rank - N_WAVES)))
    is_few = np.asarray(tokens.sizes)[tokens.token_of_slot] <= rank
    fixed = np.where(is_few[:, None], np.eye(rank, dtype=np.float32)[np.minimum(tokens.value, rank - 1)], waves)
    drawn = jax.random.normal(key, fixed.shape) / rank**0.5
    return jnp.where(jnp.asarray(fixed.any(axis=1))[:, None], jnp.asarray(fixed), drawn)


def _through(inner: tuple[Dense, ...], outer: tuple[Dense, ...], h: Float[Array, " width"]) -> Float[Array, " width"]:
    for first, second in zip(inner, outer, strict=True):
        h = h + second(jax.nn.silu(first(_normalized(h))))
    return _normalized(h)


def _normalized(h: Float[Array, " width"]) -> Float[Array, " width"]:
    square = jnp.mean(h**2)
    # An overflow becomes NaN; rsqrt(inf) = 0 would hide it.
    return h * jnp.where(jnp.isinf(square), jnp.nan, jax.lax.rsqrt(square + 1e-6))
