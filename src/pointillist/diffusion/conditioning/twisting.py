"""Twisted sequential Monte Carlo: sampling numbers in ranges by guided, weighted particles.

A denoiser gives E[x_0 | x_t], and its derivative gives Cov[x_0 | x_t] = (σ² / α) ∂E[x_0 | x_t] / ∂x_t (second-order
Tweedie formula: Efron 2011, "Tweedie's formula and selection bias"). A normal distribution with these moments gives
the probability ψ(x_t) that x_0 lies in the ranges, and the mean of x_0 in the ranges. Steps move towards that mean, and
particles are weighted by p(x_s | x_t) ψ(x_s) / (q(x_s | x_t) ψ(x_t)) (Wu et al. 2023, arXiv 2306.17775, algorithm 1).
At the end ψ is 1 in the ranges and 0 outside, so the target is exact however rough the approximation was.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditioning.populations import N_DIAGNOSTICS, PopulationSampler, resample, select_rows
from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.schedules import Schedule, at_lambda, time_at
from pointillist.diffusion.solvers import DPMSolver2M

POINTS = 60
"""Default number of points of the stochastic solver."""

SMALLEST_VARIANCE = 0.1
"""Smallest variance of x_0 given x_t, as a fraction of its value for normal data. The largest is that of the data.

At high noise, the derivative of a network has large errors. If the variance is too small, these errors dominate the
weights; a variance that is too large costs little."""

MAX_GUIDED_SIGMA = 4.0
"""Largest noise level sigma / alpha at the end of a step that is guided towards the ranges.

At higher noise, x_t carries little information about x_0, and errors in the derivative of the network would determine
which candidates survive."""


class Ranges(eqx.Module):
    """Allowed ranges of s of the k numbers of a row; each of the s numbers must lie in one of its ranges.

    Attributes:
        columns: Indices of the s numbers among the k numbers of a row.
        low: Lowest value of each range, shape (s, r); infinity for an empty range.
        high: Highest value of each range, shape (s, r).
        scale: Root mean square of the numbers: one value, or one per number.
    """

    columns: tuple[int, ...] = eqx.field(static=True)
    low: Float[Any, "s r"]
    high: Float[Any, "s r"]
    scale: Float[Any, "*k"] | float = 1.0

    @property
    def variance(self) -> Float[Array, "*k"]:
        """Mean square of the numbers."""
        return jnp.asarray(self.scale, jnp.float32) ** 2

    def contains(self, x0: Float[Array, " k"]) -> Bool[Array, " s"]:
        """Return which of the s numbers lie in one of their ranges."""
        values = x0[jnp.asarray(self.columns, int)][:, None]
        return ((values >= jnp.asarray(self.low)) & (values <= jnp.asarray(self.high))).any(axis=1)


def log_interval(a: Float[Array, "*n"], b: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Compute log(Φ(b) - Φ(a)), a <= b, precisely in the tails too; Φ is the standard normal distribution function."""
    is_above = a > 0
    low, high = jnp.where(is_above, -b, a), jnp.where(is_above, -a, b)
    log_low, log_high = jax.scipy.special.log_ndtr(low), jax.scipy.special.log_ndtr(high)
    return log_high + jnp.log1p(-jnp.exp(jnp.minimum(log_low - log_high, 0.0)))


def truncated_moments(
    mean: Float[Array, ""], variance: Float[Array, ""], low: Float[Array, " r"], high: Float[Array, " r"]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Compute the log-probability, mean and variance of a normal distribution truncated to ranges.

    The variance before truncation is positive, and the ranges must not overlap.
    """
    std = jnp.sqrt(variance)
    a, b = (low - mean) / std, (high - mean) / std
    log_z = jnp.where(low < high, log_interval(a, b), -jnp.inf)
    total = jax.nn.logsumexp(log_z)

    def edge(x: Array) -> tuple[Array, Array]:
        """Compute φ(x) / z and x φ(x) / z."""
        ratio = jnp.exp(jnp.clip(-0.5 * x**2 - 0.5 * jnp.log(2 * jnp.pi) - log_z, -80.0, 80.0))
        is_finite = jnp.isfinite(x) & jnp.isfinite(log_z)
        return jnp.where(is_finite, ratio, 0.0), jnp.where(is_finite, jnp.where(is_finite, x, 0.0) * ratio, 0.0)

    (at_a, first_a), (at_b, first_b) = edge(a), edge(b)
    # Rounding may push the mean out of a narrow range in the tails.
    means = jnp.clip(at_a - at_b, jnp.minimum(a, 1e6), jnp.maximum(b, -1e6))
    seconds = jnp.clip(1 + first_a - first_b - means**2, 0.0, 1.0) + means**2
    fraction = jnp.where(jnp.isfinite(total), jnp.exp(log_z - total), 0.0)
    first = jnp.sum(jnp.where(fraction > 0, fraction * means, 0.0))
    second = jnp.sum(jnp.where(fraction > 0, fraction * seconds, 0.0))
    return total, mean + std * first, variance * jnp.maximum(second - first**2, 0.0)


def moments_in_ranges(
    ranges: Ranges,
    x0: Float[Array, " k"],
    covariance: Float[Array, "s k"],
    is_constrained: Bool[Array, " s"],
    smallest: Float[Array, "*k"],
) -> tuple[Float[Array, ""], Float[Array, " k"]]:
    """Compute log ψ, the log-probability that x_0 lies in the ranges, and the mean of x_0 in the ranges.

    x_0 is approximated as normal. The ranges are conditioned on one after another, with a new normal approximation
    after each (assumed-density filtering: Minka 2001, arXiv 1301.2294, section 3). x0 is E[x_0 | x_t], `covariance` is
    that of each number in the ranges with all numbers, `is_constrained` says which of the s numbers the row has, and
    `smallest` is the smallest variance of each number.
    """
    smallest, largest = (jnp.broadcast_to(jnp.asarray(each), x0.shape) for each in (smallest, ranges.variance))
    log_psi = jnp.zeros(())
    for j, column in enumerate(ranges.columns):
        row = covariance[j]
        variance = jnp.clip(row[column], smallest[column], largest[column])
        low, high = jnp.asarray(ranges.low)[j], jnp.asarray(ranges.high)[j]
        log_z, mean, remaining = truncated_moments(x0[column], variance, low, high)
        max_gain = jnp.sqrt(largest / variance)
        gain = jnp.clip(row / variance, -max_gain, max_gain).at[column].set(1.0)
        x0 = x0 + jnp.where(is_constrained[j], gain * (mean - x0[column]), 0.0)
        removed = jnp.where(is_constrained[j], 1 - remaining / variance, 0.0)
        covariance = covariance - removed / variance * covariance[:, column][:, None] * row[None]
        log_psi = log_psi + jnp.where(is_constrained[j], log_z, 0.0)
    return log_psi, x0


def smc_sweep(
    key: PRNGKeyArray,
    denoise: Callable[[Any, Float[Array, " k"], Array], Float[Array, " k"]],
    contexts: Any,
    x_T: Float[Array, "n k"],
    is_constrained: Bool[Array, "n s"],
    ranges: Ranges,
    log_weights: Float[Array, " n"],
    schedule: Schedule,
    points: int,
) -> tuple[Float[Array, "n k"], Any, Float[Array, " n"]]:
    """Move a population of candidates from x_T to numbers in ranges, by the stochastic `DPMSolver2M`.

    `denoise` is a function of (context of a candidate, x_t, t) that returns E[x_0 | x_t]. `contexts` is a pytree with
    one entry per candidate, resampled with them: what `denoise` needs, and other data, such as the index of each
    candidate's first ancestor. `is_constrained` says which ranges apply to each candidate. Returns numbers, contexts
    and log-weights, which are -inf for numbers outside the ranges.
    """
    solver = DPMSolver2M(schedule, points, is_stochastic=True)
    n, k = x_T.shape

    def at(i: Array, context: Any, x_t: Array, is_constrained: Array) -> tuple[Array, Array, Array]:
        """Compute E[x_0 | x_t], log ψ and the mean of x_0 in the ranges, of one candidate."""
        lambda_t = solver.log_snr(i)
        alpha_t, sigma_t = at_lambda(lambda_t)
        t = time_at(schedule, lambda_t)
        # Central differences with steps of one noise standard deviation, which smooth over the ripples of a network.
        steps = sigma_t * jax.nn.one_hot(jnp.asarray(ranges.columns, int), k)
        around = jnp.concatenate([x_t[None], x_t[None] + steps, x_t[None] - steps])
        x0, above, below = jnp.split(jax.vmap(lambda x: denoise(context, x, t))(around), [1, 1 + len(steps)])
        x0, covariance = x0[0], sigma_t / (2 * alpha_t) * (above - below)
        variance = ranges.variance
        smallest = SMALLEST_VARIANCE * variance * sigma_t**2 / (alpha_t**2 * variance + sigma_t**2)
        return x0, *moments_in_ranges(ranges, x0, covariance, is_constrained, smallest)

    def step(i: Array, carry: Any) -> Any:
        log_weights, (contexts, x_t, previous, is_constrained) = carry
        x0, log_psi, mean = jax.vmap(at, (None, 0, 0, 0))(i, contexts, x_t, is_constrained)
        lambda_t, lambda_s = solver.log_snr(i), solver.log_snr(i + 1)
        # Steps at high noise are unguided, and so are steps where ψ is 0 for all candidates.
        is_unguided = (lambda_s < -jnp.log(MAX_GUIDED_SIGMA)) | (log_psi.max() == -jnp.inf)
        log_psi, mean = jnp.where(is_unguided, 0.0, log_psi), jnp.where(is_unguided, x0, mean)
        # One draw for everything, because programs with several draws compile more slowly.
        drawn = jax.random.normal(jax.random.fold_in(key, i), (n * k + 1,))
        noise = drawn[:-1].reshape(n, k)
        # The weights include ψ(x_t) here, so that resampling looks ahead; it is divided out again below.
        log_weights, (contexts, x_t, previous, is_constrained, x0, log_psi, mean) = resample(
            jax.scipy.special.ndtr(drawn[-1]),
            log_weights + log_psi,
            (contexts, x_t, previous, is_constrained, x0, log_psi, mean),
        )
        h = lambda_s - lambda_t
        sigma_t, (alpha_s, sigma_s) = at_lambda(lambda_t)[1], at_lambda(lambda_s)
        D = jnp.where(i == 0, x0, 1.5 * x0 - 0.5 * previous)
        gain = -alpha_s * jnp.expm1(-2 * h)
        std = sigma_s * jnp.sqrt(-jnp.expm1(-2 * h))
        shift = gain * (mean - x0)
        x_s = sigma_s / sigma_t * jnp.exp(-h) * x_t + gain * D + shift + std * noise
        shift_in_stds = shift / std
        log_ratio = -jnp.sum(shift_in_stds * noise + 0.5 * shift_in_stds**2, axis=1)
        # A candidate of weight 0 keeps it, because -inf - -inf would be NaN.
        log_ratio -= jnp.where(jnp.isneginf(log_psi), 0.0, log_psi)
        return log_weights + log_ratio, (contexts, x_s, x0, is_constrained)

    start = log_weights, (contexts, x_T, jnp.zeros_like(x_T), is_constrained)
    log_weights, (contexts, x_t, _, is_constrained) = jax.lax.fori_loop(0, points - 1, step, start)
    t = time_at(schedule, solver.log_snr(jnp.asarray(points - 1)))
    x0 = jax.vmap(denoise, (0, 0, None))(contexts, x_t, t)
    is_inside = (jax.vmap(ranges.contains)(x0) | ~is_constrained).all(axis=1)
    return x0, contexts, log_weights + jnp.where(is_inside, 0.0, -jnp.inf)


class RangedSampler(PopulationSampler):
    """A sampler of rows whose numbers lie in ranges, by `smc_sweep` with at least 2 points."""

    ranges: Ranges
    schedule: Schedule
    points: int = eqx.field(static=True, default=POINTS)

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, "n k"]:
        return jax.random.normal(jax.random.fold_in(key, 0), (self.population, columns - N_DIAGNOSTICS))

    def draw(
        self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, "n k"]
    ) -> Float[Array, "rows k_and_diagnostics"]:
        def denoise(ancestor: Array, x_t: Array, t: Array) -> Array:
            return denoiser(x_t, t)

        n = self.population
        ancestors, is_constrained = jnp.arange(n), jnp.ones((n, len(self.ranges.columns)), bool)
        sweep_key, choice_key = jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)
        rows, ancestors, log_weights = smc_sweep(
            sweep_key, denoise, ancestors, x_T, is_constrained, self.ranges, jnp.zeros(n), self.schedule, self.points
        )
        return select_rows(choice_key, log_weights, rows, ancestors, self.kept)
