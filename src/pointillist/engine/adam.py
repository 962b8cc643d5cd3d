"""Adam (Kingma & Ba 2014, arXiv 1412.6980, algorithm 1), arranged for few passes over the weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pointillist.engine.recipes import Weights

BETA_1, BETA_2 = 0.9, 0.999
EPSILON = 1e-8


class Moments(eqx.Module):
    """Moving averages of the gradient and of its square.

    Attributes:
        steps: Number of updates so far.
        first: Average of the gradient.
        second: Average of its square.
    """

    steps: Int[Array | np.ndarray, "*stack"]
    first: Weights
    second: Weights

    @classmethod
    def of(cls, network: Weights, stack: tuple[int, ...] = ()) -> "Moments":
        """The moments before the first step of a network in NumPy, or of a stack of them: zeros."""
        first, second = (jax.tree.map(np.zeros_like, network) for _ in range(2))
        return cls(np.zeros(stack, np.int32), first, second)


def adam(
    network: Weights, gradient: Weights, moments: Moments, learning_rate: Float[Array, ""]
) -> tuple[Weights, Moments]:
    """Takes a step, and returns the new weights and moments.

    The bias corrections of the two moments are two numbers per step, computed outside the passes over the weights (the
    end of section 2 there).
    """
    steps = moments.steps + 1
    t = steps.astype(jnp.float32)
    correction = jnp.sqrt(1 - BETA_2**t)
    rate, epsilon = learning_rate * correction / (1 - BETA_1**t), EPSILON * correction
    first = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, moments.first, gradient)
    second = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g**2, moments.second, gradient)
    network = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + epsilon), network, first, second)
    return network, Moments(steps, first, second)
