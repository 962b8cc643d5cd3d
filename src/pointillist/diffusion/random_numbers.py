"""Random numbers of any shape, drawn as one long vector.

A few columns alone would not fill a processor's vectors, and take long to compile. The numbers are those that
`jax.random` draws in that shape, whose bits do not depend on it.
"""

import math

import jax
from jaxtyping import Array, Float, PRNGKeyArray


def normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """Draws from N(0, I)."""
    return jax.random.normal(key, (math.prod(shape),)).reshape(shape)


def uniform(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """Draws from the uniform distribution on [0, 1)."""
    return jax.random.uniform(key, (math.prod(shape),)).reshape(shape)
