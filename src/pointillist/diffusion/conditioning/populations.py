"""Populations of candidates: weights in log space, systematic resampling, and what a population says of itself.

Sequential importance sampling with resampling (Doucet & Johansen 2009, "A tutorial on particle filtering and
smoothing", algorithm of section 3.5): candidates are weighted by the mass of what a condition allows, and are drawn
anew by their weights when few of them carry most of it.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.samplers import Sampler

THRESHOLD = 0.5
"""Share of a population's size below which its effective size calls for resampling."""

NOTES = 2
"""Number of columns appended to a conditioned row: the log-mass of the condition, and the index of the row's family."""


class PopulationSampler(Sampler):
    """Draws rows under conditions: a draw is a population of candidates, of which some are kept as their weights say.

    Its rows share ancestors: they are not independent. Beside each row are the `NOTES` of its population; a log-mass of
    -inf says that no candidate met the conditions.

    Attributes:
        population: Number of candidates.
        kept: Number of rows that are kept.
    """

    population: int = eqx.field(static=True)
    kept: int = eqx.field(static=True)

    @property
    def n_diagnostics(self) -> int:
        """Number of columns that say how a draw went."""
        return NOTES

    @property
    def rows_per_draw(self) -> int:
        """Number of rows that are kept."""
        return self.kept

    @property
    def width(self) -> int:
        """Number of candidates."""
        return self.population


class Weighted(NamedTuple):
    """Candidates with weights.

    Attributes:
        log_weights: Log-weights, shape (n,); the log of their mean estimates the log of the mass of the condition.
        families: Index of each candidate's first ancestor, shape (n,); candidates of one family are not independent.
    """

    log_weights: Float[Array, " n"]
    families: Int[Array, " n"]

    @classmethod
    def of(cls, n: int) -> "Weighted":
        """Equal weights of n independent candidates."""
        return cls(jnp.zeros(n), jnp.arange(n))

    @property
    def log_mass(self) -> Float[Array, ""]:
        """The log of the mean weight."""
        return jax.nn.logsumexp(self.log_weights) - jnp.log(float(len(self.log_weights)))

    def settled(self, parents: Int[Array, " kept"]) -> "Weighted":
        """Returns equal weights with the same mean for the candidates `parents`, which were drawn by these weights."""
        return Weighted(jnp.broadcast_to(self.log_mass, parents.shape), self.families[parents])

    def times(self, log_factors: Float[Array, " n"]) -> "Weighted":
        """The candidates with their weights multiplied."""
        return Weighted(self.log_weights + log_factors, self.families)


def shares(log_weights: Float[Array, " n"]) -> Float[Array, " n"]:
    """Normalizes weights to sum to 1; makes them equal if all are 0, so that the population walks on."""
    return jax.nn.softmax(jnp.where(log_weights.max() == -jnp.inf, 0.0, log_weights))


def effective_size(log_weights: Float[Array, " n"]) -> Float[Array, ""]:
    """Effective number of candidates, (Σ w)² / Σ w²; 0 if all weights are."""
    return jnp.where(log_weights.max() == -jnp.inf, 0.0, 1 / (shares(log_weights) ** 2).sum())


def systematic(u: Float[Array, ""], log_weights: Float[Array, " k"], n: int) -> Int[Array, " n"]:
    """Draws indices of n candidates by systematic resampling: one uniform number u, n evenly spaced points."""
    cumulative = jnp.cumsum(shares(log_weights))
    points = (u + jnp.arange(n, dtype=jnp.float32)) / n
    # Rounding may leave the last sum below 1.
    return jnp.minimum(jnp.searchsorted(cumulative / cumulative[-1], points), len(log_weights) - 1)


def resampled(u: Float[Array, ""], weighted: Weighted, candidates: Any) -> tuple[Weighted, Any]:
    """Draws candidates anew by their weights, if the effective number is below `THRESHOLD` of all.

    Args:
        u: A uniform number, which decides the draw.
        weighted: The weights.
        candidates: A pytree whose leaves have the candidates as their first axis.
    """
    n = len(weighted.log_weights)
    if n == 1:
        return weighted, candidates
    is_due = effective_size(weighted.log_weights) < THRESHOLD * n
    parents = jnp.where(is_due, systematic(u, weighted.log_weights, n), jnp.arange(n))
    drawn = weighted.settled(parents)
    now = Weighted(jnp.where(is_due, drawn.log_weights, weighted.log_weights), drawn.families)
    return now, jax.tree.map(lambda leaf: leaf[parents], candidates)


def chosen(
    key: PRNGKeyArray, weighted: Weighted, rows: Float[Array, "n d"], kept: int
) -> Float[Array, "kept d_and_notes"]:
    """Draws rows by their final weights, in random order, with the `NOTES` of the population beside each."""
    drawn = jax.random.uniform(key, (kept + 1,))
    # Each place is to have the same distribution, as a draw may be cut short.
    indices = systematic(drawn[0], weighted.log_weights, kept)[jnp.argsort(drawn[1:])]
    last = weighted.settled(indices)
    notes = jnp.stack([last.log_weights, last.families.astype(rows.dtype)], axis=1)
    return jnp.concatenate([rows[indices], notes], axis=1)
