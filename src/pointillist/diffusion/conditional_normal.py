"""Numbers given others, as if all were jointly normal: what a network of numbers begins from."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

MOST_NUMBERS = 128
"""Most numbers of a row of which this is computed; it takes the cube of their number. Of more, none says anything."""

NOISE = 1e-5
"""Variance of the noise that a number is given with, and smallest variance of one that is not."""


def conditional_normal(
    covariance: Float[Array | np.ndarray, "c c"], numbers: Float[Array, " k"], is_given: Bool[Array, " k"]
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Mean and standard deviation of each number of x ~ N(0, C), given some of them.

    It is equation A.6 of Rasmussen & Williams (2006, Gaussian Processes for Machine Learning), by a Cholesky factor.

    Args:
        covariance: C, shape (k, k); not looked at if there are more than `MOST_NUMBERS`.
        numbers: The numbers, anything where none is given, shape (k,).
        is_given: Which are given.
    """
    k = len(numbers)
    if k > MOST_NUMBERS:
        return jnp.zeros(k), jnp.ones(k)
    covariance = jnp.asarray(covariance)
    given = is_given.astype(covariance.dtype)
    of_given = covariance * given[:, None]
    # Of numbers that are not given, the rows are those of the identity.
    factor = jnp.linalg.cholesky(of_given * given[None] + jnp.diag(1 - given + NOISE))
    values = jnp.where(is_given, numbers, 0.0)
    solved = jax.scipy.linalg.solve_triangular(factor, jnp.column_stack([values, of_given]), lower=True)
    variance = jnp.diag(covariance) - jnp.sum(solved[:, 1:] ** 2, axis=0)
    return solved[:, 1:].T @ solved[:, 0], jnp.sqrt(jnp.maximum(variance, NOISE))
