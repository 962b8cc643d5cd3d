"""The norm of the gradient of a single row's loss, without that gradient.

The gradient of a dense layer's weights is the outer product of the layer's input and of the loss's derivative by its
output, so its norm is the product of their norms (Goodfellow 2015, arXiv 1510.01799). A tap on each layer collects that
during the backward pass; only parameters without a tap need gradients of their own for each row.
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
    """A dense layer with a tap, a number without effect, by which the derivative is the weights' squared norm.

    The derivative by the weights is 0 in its place.

    Attributes:
        tap: The tap.
    """

    tap: Float[Array, ""]

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """Applies the layer: shape (n,) → shape (m,)."""
        return _tapped(x, self.weight, self.bias, self.tap)

    @property
    def square(self) -> Float[Array, ""]:
        """Squared norm of the gradient, if this is the derivative of a loss by the layer."""
        return self.tap + jnp.sum(self.bias**2)


class Unfolded(eqx.Module):
    """The first or the last layer of a network of tokens, with the weights of the waves in a layer of their own.

    Attributes:
        layer: The layer.
        of_waves: The weights of the waves.
        waves: The waves of all values, which are not learned.
        is_first: Whether it is the first layer.
    """

    layer: Tapped
    of_waves: Tapped
    waves: Float[Array, "slots all_waves"]
    is_first: bool = eqx.field(static=True)

    @property
    def bias(self) -> Float[Array, " m"]:
        """Bias of the layer."""
        return self.layer.bias

    def __call__(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """Applies both: shape (n,) → shape (m,)."""
        if self.is_first:
            return self.layer(x) + self.of_waves(x[: len(self.waves)] @ self.waves)
        return self.layer(x) + self.waves @ self.of_waves(x)


def with_taps(network: Any) -> Any:
    """Returns the same function with taps on its dense layers, as far as they are known; the rest stays as it is."""
    if not isinstance(network, TokenNetwork | ResidualMLP):
        return network

    def tapped(layers: tuple[Dense, ...]) -> tuple[Tapped, ...]:
        return tuple(Tapped(layer.weight, layer.bias, jnp.zeros(())) for layer in layers)

    def of_waves(weight: Array) -> Tapped:
        return Tapped(weight, jnp.zeros(weight.shape[-1]), jnp.zeros(()))

    first, last = tapped((network.input, network.output))
    middle = tapped(network.inner), tapped(network.outer)
    if isinstance(network, ResidualMLP) or not network.input_waves.shape[-2]:
        return eqx.tree_at(_layers, network, (first, last, *middle))
    waves, width = jnp.asarray(network.tokens.own_waves), network.input_waves.shape[-1]
    unfolded = (
        Unfolded(first, of_waves(network.input_waves), waves, is_first=True),
        Unfolded(last, of_waves(network.output_waves), waves, is_first=False),
    )
    network = replace(network, input_waves=jnp.zeros((0, width)), output_waves=jnp.zeros((width, 0)))
    return eqx.tree_at(_layers, network, (*unfolded, *middle))


def _layers(network: Any) -> tuple[Any, ...]:
    return network.input, network.output, network.inner, network.outer


def squared_norm(slopes: Any) -> Float[Array, ""]:
    """Computes the squared norm of a gradient from the derivative by a network with taps."""

    def square(part: Any) -> Array:
        if isinstance(part, Unfolded):
            # The waves' own bias is not there.
            return part.layer.square + part.of_waves.tap
        return part.square if isinstance(part, Tapped) else jnp.sum(part**2)

    parts = jax.tree.leaves(slopes, is_leaf=lambda part: isinstance(part, Tapped | Unfolded))
    return jnp.asarray(sum(square(part) for part in parts))
