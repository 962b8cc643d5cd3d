"""The networks: a sinusoidal embedding of time and a multi-layer perceptron, for one row."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


def sinusoidal_embedding(position: Int[Array, "*rows"] | Float[Array, "*rows"], width: int) -> Float[Array, "*rows f"]:
    """sin(p f_i) then cos(p f_i), f_i = 10000^(-i / (width/2 - 1)), i = 0 … width/2 - 1.

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.5, with the frequencies as Ho et al. 2020 space them.

    Args:
        position: A time t or the index of a class; any shape.
        width: Even, at least 4.
    """
    half = width // 2
    frequency = jnp.exp(-jnp.log(10000.0) * jnp.arange(half, dtype=jnp.float32) / (half - 1))
    angle = position.astype(jnp.float32)[..., None] * frequency.reshape((1,) * position.ndim + (half,))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)


class MLP(eqx.Module):
    """Input linear layer on (row, features), `depth` blocks of linear and ReLU, output linear layer.

    The features are what the output is conditioned on: the embedding of t.

    Attributes:
        input: columns + features → width, no activation.
        hidden: `depth` layers width → width, each followed by ReLU.
        output: width → columns.
    """

    input: eqx.nn.Linear
    hidden: tuple[eqx.nn.Linear, ...]
    output: eqx.nn.Linear

    def __init__(self, key: PRNGKeyArray, *, columns: int, features: int, width: int, depth: int) -> None:
        first, last, *middle = jax.random.split(key, depth + 2)
        self.input = eqx.nn.Linear(columns + features, width, key=first)
        self.hidden = tuple(eqx.nn.Linear(width, width, key=k) for k in middle)
        self.output = eqx.nn.Linear(width, columns, key=last)

    @property
    def columns(self) -> int:
        """Number of columns d of the rows."""
        return int(self.output.weight.shape[-2])

    @property
    def features(self) -> int:
        """Width of the conditioning vector."""
        return int(self.input.weight.shape[-1]) - self.columns

    def __call__(self, x_t: Float[Array, " d"], features: Float[Array, " f"]) -> Float[Array, " d"]:
        """Args: one row x_t, shape (d,), and its features, shape (f,). Returns shape (d,)."""
        return self._above(_linear(self.input, jnp.concatenate([x_t, features])))

    def share(self, features: Float[Array, " f"], first: int = 0) -> Float[Array, " width"]:
        """What some of the features, from place `first` on, add to the input layer's output, shape (width,)."""
        start = self.columns + first
        return features @ jnp.asarray(self.input.weight)[:, start : start + len(features)].T

    def from_shares(self, x_t: Float[Array, " d"], share: Float[Array, " width"]) -> Float[Array, " d"]:
        """The network's value with all features' shares given: what many rows or steps have in common is done once."""
        weight, bias = jnp.asarray(self.input.weight), jnp.asarray(self.input.bias)
        return self._above(x_t @ weight[:, : self.columns].T + (bias + share))

    def _above(self, h: Float[Array, " width"]) -> Float[Array, " d"]:
        for layer in self.hidden:
            h = jax.nn.relu(_linear(layer, h))
        return _linear(self.output, h)


def _linear(layer: eqx.nn.Linear, x: Float[Array, " n"]) -> Float[Array, " m"]:
    # The row first: mapped over rows, and over pairs or candidates of rows, that is one matrix product without copies.
    return x @ jnp.asarray(layer.weight).T + jnp.asarray(layer.bias)
