"""Random numbers of any shape, drawn as one long vector.

Arrays with few columns do not fill the vector registers of a processor and compile slowly. The bits equal those of
`jax.random` with the same shape.
"""

import math

import jax
from jaxtyping import Array, Float, PRNGKeyArray


def normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """Draw from N(0, I)."""
    return jax.random.normal(key, (math.prod(shape),)).reshape(shape)


def uniform(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "*shape"]:
    """Draw from the uniform distribution on [0, 1)."""
    return jax.random.uniform(key, (math.prod(shape),)).reshape(shape)
