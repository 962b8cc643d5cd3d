"""Populations of candidates: log-weights, systematic resampling and diagnostics.

Sequential importance sampling with resampling (Doucet & Johansen 2009, "A tutorial on particle filtering and
smoothing", algorithm of section 3.5): each candidate is weighted by the probability that it meets the conditions, which
the mean weight estimates. The population is resampled when a few candidates carry most of the weight.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.samplers import Sampler

THRESHOLD = 0.5
"""A population is resampled when its effective sample size falls below this fraction of its size."""

N_DIAGNOSTICS = 2
"""Number of columns appended to a conditioned row: the log-probability of the conditions, and its ancestor's index."""


class PopulationSampler(Sampler):
    """A sampler under conditions: it draws a population of candidates and keeps some of them by their weights.

    The rows of one draw share ancestors, so they are not independent. `N_DIAGNOSTICS` columns follow each row; a
    log-probability of -inf means that no candidate met the conditions.
    """

    population: int = eqx.field(static=True)
    kept: int = eqx.field(static=True)

    @property
    def n_diagnostics(self) -> int:
        return N_DIAGNOSTICS

    @property
    def rows_per_draw(self) -> int:
        return self.kept

    @property
    def width(self) -> int:
        return self.population


def normalized(log_weights: Float[Array, " n"]) -> Float[Array, " n"]:
    """Normalize weights to sum to 1; return equal weights if all are 0."""
    return jax.nn.softmax(jnp.where(log_weights.max() == -jnp.inf, 0.0, log_weights))


def log_mean(log_weights: Float[Array, " n"]) -> Float[Array, ""]:
    """Compute the log of the mean weight."""
    return jax.nn.logsumexp(log_weights) - jnp.log(float(len(log_weights)))


def effective_sample_size(log_weights: Float[Array, " n"]) -> Float[Array, ""]:
    """Compute the effective sample size, (Σ w)² / Σ w²; 0 if all weights are 0."""
    return jnp.where(log_weights.max() == -jnp.inf, 0.0, 1 / (normalized(log_weights) ** 2).sum())


def systematic_resampling(u: Float[Array, ""], log_weights: Float[Array, " k"], n: int) -> Int[Array, " n"]:
    """Draw the indices of n candidates by systematic resampling, from one uniform number u."""
    cumulative = jnp.cumsum(normalized(log_weights))
    points = (u + jnp.arange(n, dtype=jnp.float32)) / n
    # Rounding may leave the last sum below 1.
    return jnp.minimum(jnp.searchsorted(cumulative / cumulative[-1], points), len(log_weights) - 1)


def resample(u: Float[Array, ""], log_weights: Float[Array, " n"], candidates: Any) -> tuple[Float[Array, " n"], Any]:
    """Resample candidates if their effective sample size is below `THRESHOLD` times their number.

    `u` is a uniform random number, and the leaves of `candidates` have candidates as first axis. After resampling,
    weights are equal and have the same mean.
    """
    n = len(log_weights)
    if n == 1:
        return log_weights, candidates
    is_due = effective_sample_size(log_weights) < THRESHOLD * n
    parents = jnp.where(is_due, systematic_resampling(u, log_weights, n), jnp.arange(n))
    equal = jnp.broadcast_to(log_mean(log_weights), parents.shape)
    return jnp.where(is_due, equal, log_weights), jax.tree.map(lambda leaf: leaf[parents], candidates)


def select_rows(
    key: PRNGKeyArray,
    log_weights: Float[Array, " n"],
    rows: Float[Array, "n d"],
    ancestors: Int[Array, " n"],
    kept: int,
) -> Float[Array, "kept d_and_diagnostics"]:
    """Draw rows by their final weights, in random order, and append `N_DIAGNOSTICS` columns."""
    drawn = jax.random.uniform(key, (kept + 1,))
    # Shuffled, because a caller may use only the first rows of a draw.
    indices = systematic_resampling(drawn[0], log_weights, kept)[jnp.argsort(drawn[1:])]
    log_masses = jnp.broadcast_to(log_mean(log_weights), indices.shape)
    diagnostics = jnp.stack([log_masses, ancestors[indices].astype(rows.dtype)], axis=1)
    return jnp.concatenate([rows[indices], diagnostics], axis=1)
