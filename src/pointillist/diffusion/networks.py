"""Networks of one row: a multi-layer perceptron, and residual blocks modulated by the noise level.

Both are conditioned on features of the noise level and, with classes, of the class. The contribution of a feature
inside a network is linear, so the part that rows or steps have in common is computed once (`contribution`).
"""

from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

NOISE_LEVEL_FREQUENCIES = (0.25, 8.0)
"""Lowest and highest frequency. λ runs from about -5 to 5: the slowest sine differs between the two ends, and the
fastest completes a dozen periods."""

ROW_FREQUENCIES = (1.0, 2.0)
"""Frequencies of the Fourier features of rows whose columns have a root mean square of about 1."""


def sinusoidal_embedding(position: Int[Array, "*rows"] | Float[Array, "*rows"], width: int) -> Float[Array, "*rows f"]:
    """Embed a position p: sin(p f_i), then cos(p f_i), f_i = 10000^(-i / (width/2 - 1)), i = 0 … width/2 - 1.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5, with the frequencies as Ho et al. 2020 space them. The
    position is a time t or the index of a class; the width is even and at least 4.
    """
    half = width // 2
    frequency = jnp.exp(-jnp.log(10000.0) * jnp.arange(half, dtype=jnp.float32) / (half - 1))
    return _sine_and_cosine(position.astype(jnp.float32), frequency)


def noise_level_embedding(lambda_t: Float[Array, "*rows"], width: int) -> Float[Array, "*rows f"]:
    """Embed λ = log(alpha_t / sigma_t): sin(λ f_i), then cos(λ f_i), f_i = 1/4 … 8 in a geometric sequence.

    The width is even and at least 4.
    """
    return _sine_and_cosine(lambda_t, np.geomspace(*NOISE_LEVEL_FREQUENCIES, width // 2, dtype=np.float32))


def _sine_and_cosine(x: Float[Array, "*rows"], frequency: Float[Array | np.ndarray, " n"]) -> Float[Array, "*rows f"]:
    angle = x[..., None] * frequency.reshape((1,) * x.ndim + (-1,))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


class MLP(eqx.Module):
    """A perceptron: a linear layer on (row, features), `depth` linear layers with ReLU, and a linear output layer.

    The input layer has no activation. The conditioning features of the noise level are the embedding of t.
    """

    input: eqx.nn.Linear
    hidden: tuple[eqx.nn.Linear, ...]
    output: eqx.nn.Linear

    def __init__(self, key: PRNGKeyArray, *, columns: int, features: int, width: int, depth: int) -> None:
        first, last, *middle = jax.random.split(key, depth + 2)
        self.input = eqx.nn.Linear(columns + features, width, key=first)
        self.hidden = tuple(eqx.nn.Linear(width, width, key=k) for k in middle)
        self.output = eqx.nn.Linear(width, columns, key=last)

    @staticmethod
    def noise_level_features(t: Array, lambda_t: Array, width: int) -> Float[Array, "*rows f"]:
        """Compute the conditioning features of the noise level: the embedding of t."""
        return sinusoidal_embedding(t, width)

    @property
    def columns(self) -> int:
        """Number of columns d of the rows."""
        return int(self.output.weight.shape[-2])

    @property
    def features(self) -> int:
        """Width of the conditioning vector."""
        return int(self.input.weight.shape[-1]) - self.columns

    def __call__(self, x_t: Float[Array, " d"], features: Float[Array, " f"]) -> Float[Array, " d"]:
        weight, bias = self._folded()
        return self._above(jnp.concatenate([x_t, features]) @ weight.T + bias)

    def contribution(self, features: Float[Array, " f"], first: int = 0) -> Float[Array, " width"]:
        """Compute what the features from index `first` on add to the first hidden layer before its ReLU."""
        start = self.columns + first
        return features @ self._folded()[0][:, start : start + len(features)].T

    def from_contributions(self, x_t: Float[Array, " d"], contribution: Float[Array, " width"]) -> Float[Array, " d"]:
        """Apply the network, given the contribution of all features."""
        weight, bias = self._folded()
        return self._above(x_t @ weight[:, : self.columns].T + (bias + contribution))

    def _folded(self) -> tuple[Float[Array, "width n"], Float[Array, " width"]]:
        """Merge the input layer and the first hidden layer, which no ReLU separates, into one weight and bias.

        The product of the two weights costs a fraction of one hidden layer on a batch of rows.
        """
        outer, inner = self.hidden[0], self.input
        weight = jnp.asarray(outer.weight)
        return weight @ jnp.asarray(inner.weight), weight @ jnp.asarray(inner.bias) + jnp.asarray(outer.bias)

    def _above(self, h: Float[Array, " width"]) -> Float[Array, " d"]:
        h = jax.nn.relu(h)
        for layer in self.hidden[1:]:
            h = jax.nn.relu(_linear(layer, h))
        return _linear(self.output, h)


class Dense(eqx.Module):
    """A linear layer x W + b with weights of shape (inputs, outputs), which makes products with batches fast."""

    weight: Float[Array, "*stack n m"]
    bias: Float[Array, "*stack m"]

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        return x @ jnp.asarray(self.weight) + jnp.asarray(self.bias)


class ResidualMLP(eqx.Module):
    """A linear input layer on a row's Fourier features, `depth` residual blocks, and a linear output layer.

    The Fourier features of x are x, sin x, cos x, sin 2x and cos 2x, column by column (Tancik et al. 2020, arXiv
    2006.10739). The network learns detail faster from them, and they tell the normalized blocks how far out a row is.
    The output layer is initialized to 0.

    A block adds W₂ silu(W₁ u + b₁) + b₂ to h, where u = (1 + a) h / rms(h) + b. The scale a and shift b differ between
    blocks and are linear in the conditioning features (adaptive normalization: Perez et al. 2018, arXiv 1709.07871;
    Peebles & Xie 2023, arXiv 2212.09748, section 3.2).

    Attributes:
        modulation: Layer from features to the scale and shift of every block.
        inner: The `depth` layers W₁, b₁.
        outer: The `depth` layers W₂, b₂.
        observed: Weights 6 · columns → width of observed columns, which contribute 0 where none is observed; None for a
            network that cannot condition on columns.
    """

    input: Dense
    modulation: Dense
    inner: tuple[Dense, ...]
    outer: tuple[Dense, ...]
    output: Dense
    observed: Float[Array, "*stack n width"] | None

    def __init__(
        self, key: PRNGKeyArray, *, columns: int, features: int, width: int, depth: int, has_observed: bool = False
    ) -> None:
        seen = columns * (1 + 2 * len(ROW_FREQUENCIES))
        shapes = [(seen, width, 1.0), (features, depth * 2 * width, 0.1)]
        (self.input, self.modulation), self.inner, self.outer = residual_layers(key, shapes, width, depth)
        self.output = Dense(jnp.zeros((width, columns)), jnp.zeros(columns))
        self.observed = None
        if has_observed:
            self.observed = normal_layers(jax.random.fold_in(key, 1), [(seen + columns, width, 1.0)])[0].weight

    @staticmethod
    def noise_level_features(t: Array, lambda_t: Array, width: int) -> Float[Array, "*rows f"]:
        """Compute the conditioning features of the noise level: the embedding of λ."""
        return noise_level_embedding(lambda_t, width)

    @property
    def features(self) -> int:
        """Width of the conditioning vector."""
        return int(self.modulation.weight.shape[-2])

    def __call__(self, x_t: Float[Array, " d"], features: Float[Array, " f"]) -> Float[Array, " d"]:
        """Apply the network to a row c_in x_t and conditioning features.

        The features may be followed by d observed values (0 where unobserved) and d indicators of observed columns.
        """
        n = self.features
        observed = self.observed_contribution(*jnp.split(features[n:], 2)) if len(features) > n else 0.0
        return self.from_contributions(x_t, self.contribution(features[:n]), observed)

    def observed_contribution(
        self, values: Float[Array, " d"], is_observed: Float[Array, " d"]
    ) -> Float[Array, " width"]:
        """Compute what observed columns (`is_observed` 1, otherwise 0) add to the output of the input layer."""
        assert self.observed is not None
        return jnp.concatenate([_row_features(values, is_observed), is_observed]) @ jnp.asarray(self.observed)

    def contribution(self, features: Float[Array, " f"], first: int = 0) -> Float[Array, " m"]:
        """Compute what the features from index `first` on add to the scales and shifts of all blocks."""
        return features @ jnp.asarray(self.modulation.weight)[first : first + len(features)]

    def from_contributions(
        self, x_t: Float[Array, " d"], contribution: Float[Array, " m"], observed: Float[Array, " width"] | float = 0.0
    ) -> Float[Array, " d"]:
        """Apply the network, given the contributions of all features and of observed columns."""
        h = self.input(_row_features(x_t))
        if not isinstance(observed, float):
            h = h + observed
        return self.output(apply_blocks(h, jnp.asarray(self.modulation.bias) + contribution, self.inner, self.outer))


def apply_blocks(
    h: Float[Array, " width"], modulation: Float[Array, " m"], inners: tuple[Dense, ...], outers: tuple[Dense, ...]
) -> Float[Array, " width"]:
    """Apply residual blocks; `modulation` holds the scales and shifts of one block after another."""
    # Splitting is faster than slicing: the gradient of slices is a sum of arrays that are mostly 0.
    parts = jnp.split(modulation, 2 * len(inners))
    for inner, outer, scale, shift in zip(inners, outers, parts[::2], parts[1::2], strict=True):
        u = (1 + scale) * (h * jax.lax.rsqrt(jnp.mean(h**2) + 1e-6)) + shift
        h = h + outer(jax.nn.silu(inner(u)))
    return h


def waves(x: Float[Array, "*rows k"], frequencies: Sequence[float]) -> list[Float[Array, "*rows k"]]:
    """Compute the sine and cosine of x at each frequency, which is twice the one before.

    Most follow from the frequency before by the double-angle formulas. Each use multiplies the rounding error by at
    most 4, so every sixth frequency starts anew.
    """
    assert all(2 * low == high for low, high in pairwise(frequencies)), frequencies
    parts: list[Array] = []
    for i, frequency in enumerate(frequencies):
        if i % 6 == 0:
            sine, cosine = jnp.sin(frequency * x), jnp.cos(frequency * x)
        else:
            sine, cosine = 2 * sine * cosine, 1 - 2 * sine**2
        parts += [sine, cosine]
    return parts


def _row_features(x: Float[Array, " d"], weight: Float[Array, " d"] | None = None) -> Float[Array, " n"]:
    """Compute the Fourier features of a row, multiplied by one weight per column."""
    parts = [x, *waves(x, ROW_FREQUENCIES)]
    return jnp.concatenate(parts if weight is None else [weight * part for part in parts])


Network = MLP | ResidualMLP


def normal_layers(key: PRNGKeyArray, shapes: list[tuple[int, int, float]]) -> list[Dense]:
    """Initialize layers from (inputs, outputs, scale): weights from N(0, scale² / inputs), biases 0."""
    # One draw for all layers: a program with many draws takes a second longer to compile.
    sizes = [inputs * outputs for inputs, outputs, _ in shapes]
    parts = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    return [
        Dense(part.reshape(inputs, outputs) * (scale / inputs**0.5), jnp.zeros(outputs))
        for part, (inputs, outputs, scale) in zip(parts, shapes, strict=True)
    ]


def residual_layers(
    key: PRNGKeyArray, shapes: list[tuple[int, int, float]], width: int, depth: int
) -> tuple[list[Dense], tuple[Dense, ...], tuple[Dense, ...]]:
    """Initialize layers of the given shapes, and the inner and outer layers of `depth` residual blocks."""
    # Small outer layers, so that initially the blocks together add about as much as they are added to.
    layers = normal_layers(key, shapes + depth * [(width, width, 1.0)] + depth * [(width, width, 0.3)])
    first, outer = len(shapes), len(shapes) + depth
    return layers[:first], tuple(layers[first:outer]), tuple(layers[outer:])


def _linear(layer: eqx.nn.Linear, x: Float[Array, " n"]) -> Float[Array, " m"]:
    # The row comes first, so that mapping over rows, pairs or candidates gives one matrix product without copies.
    return x @ jnp.asarray(layer.weight).T + jnp.asarray(layer.bias)
