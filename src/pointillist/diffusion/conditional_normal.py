"""Conditional means and standard deviations of a normal distribution, from which the number network starts."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

MAX_NUMBERS = 128
"""Maximum number of numbers per row to condition on: the cost is cubic. With more, none is conditioned on."""

NOISE = 1e-5
"""Variance of the noise added to observed numbers, and smallest conditional variance of the others."""

_AT_ONCE = 4
"""Number of numbers conditioned on per step: one product of small matrices is faster than several of vectors."""


def conditional_normal(
    covariance: Float[Array | np.ndarray, "c d"], numbers: Float[Array, " k"], is_observed: Bool[Array, " k"]
) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Compute the conditional mean and standard deviation of each number of x ~ N(0, C), given observed ones.

    Observed numbers are conditioned on one after another by equation A.6 of Rasmussen & Williams (2006, Gaussian
    Processes for Machine Learning). A Cholesky factor would be faster, but LAPACK calls from XLA wait for the threads
    that run the programs, so that two concurrent programs can deadlock. C is ignored if there are more than
    `MAX_NUMBERS` numbers. If the last numbers are observed in every row, C is the covariance of the other c numbers,
    shape (c, c), followed by the coefficients of the last ones; see `regressed`.
    """
    n = len(numbers)
    k = len(covariance) if covariance.shape[1] > len(covariance) else n
    if k > MAX_NUMBERS:
        return jnp.zeros(n), jnp.ones(n)
    padding = (0, -k % _AT_ONCE)
    known = jnp.where(is_observed, numbers, 0.0)
    if not k:
        return known, jnp.ones(n)
    values, observed = jnp.pad(known[:k], padding), jnp.pad(is_observed[:k], padding)

    def condition(block: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        mean, residual = state
        first = block * _AT_ONCE

        def in_block(array: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(array, first, _AT_ONCE)

        rows, gains, columns = in_block(residual), [], []
        for i in range(_AT_ONCE):
            column = rows[i]
            gain = jnp.where(in_block(observed)[i], column / (in_block(column)[i] + NOISE), 0.0)
            mean = mean + gain * (in_block(values)[i] - in_block(mean)[i])
            rows = rows - jnp.outer(in_block(gain), column)
            gains.append(gain)
            columns.append(column)
        # Full precision, because the residual is small and some GPUs would round the factors to 11 bits.
        return mean, residual - jnp.matmul(jnp.stack(gains).T, jnp.stack(columns), precision="highest")

    start = jnp.zeros(len(values)), jnp.pad(jnp.asarray(covariance)[:, :k], padding)
    if k < n:
        start = jnp.pad(jnp.asarray(covariance)[:, k:] @ known[k:], padding), start[1]
    mean, residual = jax.lax.fori_loop(0, len(values) // _AT_ONCE, condition, start)
    std = jnp.sqrt(jnp.maximum(jnp.diag(residual)[:k], NOISE))
    return jnp.concatenate([mean[:k], known[k:]]), jnp.concatenate([std, jnp.ones(n - k)])
