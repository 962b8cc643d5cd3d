"""The norm of the gradient of a single row's loss, without that gradient.

The gradient of a dense layer's weights is the outer product of the layer's input and the loss's derivative by its
output (Goodfellow 2015, arXiv 1510.01799). A tap on each layer collects the product of their norms.
"""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pointillist.diffusion.networks import Dense, ResidualMLP
from pointillist.diffusion.tokens.token_networks import TokenNetwork


@jax.custom_vjp
def _tapped(x: Array, weight: Array, bias: Array, tap: Array) -> Array:
    return x @ weight + bias


def _forward(x: Array, weight: Array, bias: Array, tap: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ weight + bias, (x, weight)


def _backward(kept: tuple[Array, Array], slope: Array) -> tuple[Array, None, Array, Array]:
    x, weight = kept
    return slope @ weight.T, None, slope, jnp.sum(x**2) * jnp.sum(slope**2)


_tapped.defvjp(_forward, _backward)


class Tapped(Dense):
    """A dense layer with a tap: an input without effect, whose derivative is the squared norm of the weights' gradient.

    The derivative by the weights is replaced by 0.
    """

    tap: Float[Array, ""]

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        return _tapped(x, self.weight, self.bias, self.tap)

    @property
    def square(self) -> Float[Array, ""]:
        """Squared norm of a gradient that has the form of this layer."""
        return self.tap + jnp.sum(self.bias**2)


class Unfolded(eqx.Module):
    """The first or last layer of a token network, with the weights of the Fourier features in a second layer."""

    layer: Tapped
    wave_layer: Tapped
    waves: Float[Array, "slots all_waves"]
    is_first: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        if self.is_first:
            return self.layer(x) + self.wave_layer(x[: len(self.waves)] @ self.waves)
        return self.layer(x) + self.waves @ self.wave_layer(x)


def with_taps(network: Any) -> Any:
    """Put taps on the dense layers of a `TokenNetwork` or `ResidualMLP`; return other networks unchanged."""
    if not isinstance(network, TokenNetwork | ResidualMLP):
        return network

    def tapped(layers: tuple[Dense, ...]) -> tuple[Tapped, ...]:
        return tuple(Tapped(layer.weight, layer.bias, jnp.zeros(())) for layer in layers)

    def wave_layer(weight: Array) -> Tapped:
        return Tapped(weight, jnp.zeros(weight.shape[-1]), jnp.zeros(()))

    first, last = tapped((network.input, network.output))
    middle = tapped(network.inner), tapped(network.outer)
    if isinstance(network, ResidualMLP) or not network.input_waves.shape[-2]:
        return eqx.tree_at(_layers, network, (first, last, *middle))
    waves, width = jnp.asarray(network.tokens.wave_matrix), network.input_waves.shape[-1]
    unfolded = (
        Unfolded(first, wave_layer(network.input_waves), waves, is_first=True),
        Unfolded(last, wave_layer(network.output_waves), waves, is_first=False),
    )
    network = replace(network, input_waves=jnp.zeros((0, width)), output_waves=jnp.zeros((width, 0)))
    return eqx.tree_at(_layers, network, (*unfolded, *middle))


def _layers(network: Any) -> tuple[Any, ...]:
    return network.input, network.output, network.inner, network.outer


def squared_norm(slopes: Any) -> Float[Array, ""]:
    """Compute the squared norm of the gradient of a loss from its derivative by a network with taps."""

    def square(part: Any) -> Array:
        if isinstance(part, Unfolded):
            # The second layer has no bias.
            return part.layer.square + part.wave_layer.tap
        return part.square if isinstance(part, Tapped) else jnp.sum(part**2)

    parts = jax.tree.leaves(slopes, is_leaf=lambda part: isinstance(part, Tapped | Unfolded))
    return jnp.asarray(sum(square(part) for part in parts))
