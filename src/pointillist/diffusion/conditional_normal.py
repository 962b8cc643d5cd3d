"""Numbers given others, as if all were jointly normal: what a network of numbers begins from."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

MAX_NUMBERS = 128
"""Most numbers of a row of which this is computed; it takes the cube of their number. Of more, none says anything."""

NOISE = 1e-5
"""Variance of the noise that a number is given with, and smallest variance of one that is not."""

_AT_ONCE = 8
"""Numbers that are conditioned on together: a product of small matrices takes less long than as many of vectors."""


def conditional_normal(
    covariance: Float[Array | np.ndarray, "c c"], numbers: Float[Array, " k"], is_observed: Bool[Array, " k"]
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Mean and standard deviation of each number of x ~ N(0, C), given some of them.

    They are conditioned on one after another, each by equation A.6 of Rasmussen & Williams (2006, Gaussian Processes
    for Machine Learning). A Cholesky factor would be faster, but XLA's calls of LAPACK share the threads that programs
    run in and wait for them, so that two programs at once can wait forever.

    Args:
        covariance: C, shape (k, k); not looked at if there are more than `MAX_NUMBERS`.
        numbers: The numbers, anything where none is given, shape (k,).
        is_observed: Which are given.
    """
    k = len(numbers)
    if k > MAX_NUMBERS:
        return jnp.zeros(k), jnp.ones(k)
    padding = (0, -k % _AT_ONCE)
    values, given = jnp.pad(jnp.where(is_observed, numbers, 0.0), padding), jnp.pad(is_observed, padding)

    def condition(block: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        mean, left = state
        first = block * _AT_ONCE

        def own(of: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(of, first, _AT_ONCE)

        rows, gains, columns = own(left), [], []
        for i in range(_AT_ONCE):
            column = rows[i]
            gain = jnp.where(own(given)[i], column / (own(column)[i] + NOISE), 0.0)
            mean = mean + gain * (own(values)[i] - own(mean)[i])
            rows = rows - jnp.outer(own(gain), column)
            gains.append(gain)
            columns.append(column)
        # What is left is small: some GPUs would round the factors to 11 bits.
        return mean, left - jnp.matmul(jnp.stack(gains).T, jnp.stack(columns), precision="highest")

    start = jnp.zeros(len(values)), jnp.pad(jnp.asarray(covariance), padding)
    mean, left = jax.lax.fori_loop(0, len(values) // _AT_ONCE, condition, start)
    return mean[:k], jnp.sqrt(jnp.maximum(jnp.diag(left)[:k], NOISE))
