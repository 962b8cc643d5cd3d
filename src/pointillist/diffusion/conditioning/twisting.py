"""Numbers in ranges: a walk of candidates that is guided towards the ranges, and weights so that it stays exact.

A denoiser gives E[x_0 | x_t], and its derivative the covariance, Cov[x_0 | x_t] = (σ² / α) ∂E[x_0 | x_t] / ∂x_t
(Tweedie's formula of second order: Efron 2011, "Tweedie's formula and selection bias"). A normal distribution with
these moments says how likely x_0 ends in the ranges, ψ(x_t), and what it is on average if it does. Steps are drawn
towards that, and weights by p(x_s | x_t) ψ(x_s) / (q(x_s | x_t) ψ(x_t)) (Wu et al. 2023, arXiv 2306.17775, algorithm
1). At the end ψ is 1 in the ranges and 0 outside, so that the target is exact whatever the approximation on the way.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditioning.populations import ParticleWeights, resample
from pointillist.diffusion.schedules import Schedule, at_lambda, time_at
from pointillist.diffusion.solvers import DPMSolver2M

SMALLEST_VARIANCE = 0.1
"""Smallest variance of x_0 given x_t, as a share of that for normal data; its largest is the variance of the data.

Where there is much noise, the errors of a network's derivative are large, and a variance that is too small weighs
candidates by nothing but them; one that is too large costs little."""

MAX_GUIDED_SIGMA = 4.0
"""Largest noise level sigma / alpha at the end of a step that is steered towards the ranges.

At higher noise, x_t carries little information about x_0, and errors in the network's derivative would decide which
candidates survive."""

Denoise = Callable[[Any, Float[Array, " k"], Array], Float[Array, " k"]]
"""Function of a candidate's own context, x_t and t that returns E[x_0 | x_t]."""


class Ranges(eqx.Module):
    """Ranges of some numbers of a row; each of these numbers has to lie in one of its ranges.

    Attributes:
        columns: The numbers, as positions among the k numbers of a row; s of them.
        low: Lowest value of each range, shape (s, r); one that is empty is from infinity on.
        high: Highest value of each range, shape (s, r).
        scale: Root mean square of each of the k numbers; one number for all.
    """

    columns: tuple[int, ...] = eqx.field(static=True)
    low: Float[Any, "s r"]
    high: Float[Any, "s r"]
    scale: Float[Any, "*k"] | float = 1.0

    def contains(self, x0: Float[Array, " k"]) -> Bool[Array, " s"]:
        """Which of the numbers lie in one of their ranges."""
        own = x0[jnp.asarray(self.columns, int)][:, None]
        return ((own >= jnp.asarray(self.low)) & (own <= jnp.asarray(self.high))).any(axis=1)


def log_interval(a: Float[Array, "*n"], b: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """log(Φ(b) - Φ(a)) of a standard normal distribution, a <= b, also far out."""
    is_above = a > 0
    low, high = jnp.where(is_above, -b, a), jnp.where(is_above, -a, b)
    of_low, of_high = jax.scipy.special.log_ndtr(low), jax.scipy.special.log_ndtr(high)
    return of_high + jnp.log1p(-jnp.exp(jnp.minimum(of_low - of_high, 0.0)))


def truncated_moments(
    mean: Float[Array, ""], variance: Float[Array, ""], low: Float[Array, " r"], high: Float[Array, " r"]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Log-mass, mean and variance of a normal distribution within ranges.

    Args:
        mean: Mean of the whole distribution.
        variance: Its variance, positive.
        low: Lowest value of each range.
        high: Highest value of each range; the ranges do not overlap.
    """
    std = jnp.sqrt(variance)
    a, b = (low - mean) / std, (high - mean) / std
    log_z = jnp.where(low < high, log_interval(a, b), -jnp.inf)
    total = jax.nn.logsumexp(log_z)

    def edge(x: Array) -> tuple[Array, Array]:
        """φ(x) / z and x φ(x) / z."""
        ratio = jnp.exp(jnp.clip(-0.5 * x**2 - 0.5 * jnp.log(2 * jnp.pi) - log_z, -80.0, 80.0))
        is_there = jnp.isfinite(x) & jnp.isfinite(log_z)
        return jnp.where(is_there, ratio, 0.0), jnp.where(is_there, jnp.where(is_there, x, 0.0) * ratio, 0.0)

    (at_a, first_a), (at_b, first_b) = edge(a), edge(b)
    # By rounding, the mean of a narrow range far out may leave it.
    means = jnp.clip(at_a - at_b, jnp.minimum(a, 1e6), jnp.maximum(b, -1e6))
    seconds = jnp.clip(1 + first_a - first_b - means**2, 0.0, 1.0) + means**2
    share = jnp.where(jnp.isfinite(total), jnp.exp(log_z - total), 0.0)
    first = jnp.sum(jnp.where(share > 0, share * means, 0.0))
    second = jnp.sum(jnp.where(share > 0, share * seconds, 0.0))
    return total, mean + std * first, variance * jnp.maximum(second - first**2, 0.0)


def moments_in_ranges(
    ranges: Ranges,
    x0: Float[Array, " k"],
    covariance: Float[Array, "s k"],
    is_constrained: Bool[Array, " s"],
    smallest: Float[Array, "*k"],
) -> tuple[Float[Array, ""], Float[Array, " k"]]:
    """Log-probability that x_0 lies in the ranges, and its mean if it does, by a normal distribution.

    The ranges are taken in one after another; after each, the distribution is taken to be normal again (assumed-density
    filtering: Minka 2001, arXiv 1301.2294, section 3).

    Args:
        ranges: The ranges.
        x0: E[x_0 | x_t].
        covariance: Its covariance with each number that has ranges.
        is_constrained: Which of these numbers the row has.
        smallest: Smallest variance of each number.
    """
    smallest, largest = (jnp.broadcast_to(jnp.asarray(each), x0.shape) for each in (smallest, _variance(ranges)))
    log_psi = jnp.zeros(())
    for j, column in enumerate(ranges.columns):
        own = covariance[j]
        variance = jnp.clip(own[column], smallest[column], largest[column])
        low, high = jnp.asarray(ranges.low)[j], jnp.asarray(ranges.high)[j]
        log_z, mean, left = truncated_moments(x0[column], variance, low, high)
        most = jnp.sqrt(largest / variance)
        gain = jnp.clip(own / variance, -most, most).at[column].set(1.0)
        x0 = x0 + jnp.where(is_constrained[j], gain * (mean - x0[column]), 0.0)
        lost = jnp.where(is_constrained[j], 1 - left / variance, 0.0)
        covariance = covariance - lost / variance * covariance[:, column][:, None] * own[None]
        log_psi = log_psi + jnp.where(is_constrained[j], log_z, 0.0)
    return log_psi, x0


def _variance(ranges: Ranges) -> Float[Array, "*k"]:
    return jnp.asarray(ranges.scale, jnp.float32) ** 2


def smc_sweep(
    key: PRNGKeyArray,
    denoise: Denoise,
    contexts: Any,
    x_T: Float[Array, "n k"],
    is_constrained: Bool[Array, "n s"],
    ranges: Ranges,
    weights: ParticleWeights,
    schedule: Schedule,
    points: int,
) -> tuple[Float[Array, "n k"], Any, ParticleWeights]:
    """Walks a population of candidates from x_T to numbers in ranges, by `DPMSolver2M` with noise.

    Args:
        key: Key of the noise and of resampling.
        denoise: The denoiser.
        contexts: What it needs to know of each candidate, and whatever else belongs to one; resampled with it.
        x_T: Where each candidate starts.
        is_constrained: Which of the ranges apply to each candidate.
        ranges: The ranges.
        weights: The candidates' weights so far.
        schedule: The noise schedule.
        points: Number of points of the solver.

    Returns:
        The numbers, the contexts and the weights, which are 0 for numbers outside of their ranges.
    """
    solver = DPMSolver2M(schedule, points, is_stochastic=True)
    n, k = x_T.shape

    def at(i: Array, context: Any, x_t: Array, asked: Array) -> tuple[Array, Array, Array]:
        """E[x_0 | x_t], log ψ and the mean in the ranges, of one candidate."""
        lambda_t = solver.log_snr(i)
        alpha_t, sigma_t = at_lambda(lambda_t)
        t = time_at(schedule, lambda_t)
        # Differences over the noise's own width, which even out a network's fine ripples as a derivative does not.
        far = sigma_t * jax.nn.one_hot(jnp.asarray(ranges.columns, int), k)
        around = jnp.concatenate([x_t[None], x_t[None] + far, x_t[None] - far])
        x0, *with_observed_numbers = jnp.split(jax.vmap(lambda x: denoise(context, x, t))(around), [1, 1 + len(far)])
        covariance = sigma_t / (2 * alpha_t) * (with_observed_numbers[0] - with_observed_numbers[1])
        x0 = x0[0]
        of_data = _variance(ranges)
        smallest = SMALLEST_VARIANCE * of_data * sigma_t**2 / (alpha_t**2 * of_data + sigma_t**2)
        return x0, *moments_in_ranges(ranges, x0, covariance, asked, smallest)

    def step(i: Array, carry: Any) -> Any:
        weights, (contexts, x_t, before, asked) = carry
        x0, log_psi, wanted = jax.vmap(at, (None, 0, 0, 0))(i, contexts, x_t, asked)
        lambda_t, lambda_s = solver.log_snr(i), solver.log_snr(i + 1)
        # The weight that the next step's ψ completes; where all candidates have a ψ of 0 none is preferred.
        is_free = (lambda_s < -jnp.log(MAX_GUIDED_SIGMA)) | (log_psi.max() == -jnp.inf)
        log_psi, wanted = jnp.where(is_free, 0.0, log_psi), jnp.where(is_free, x0, wanted)
        # All in one draw: a program of many takes longer to compile.
        drawn = jax.random.normal(jax.random.fold_in(key, i), (n * k + 1,))
        noise = drawn[:-1].reshape(n, k)
        twice, (contexts, x_t, before, asked, x0, log_psi, wanted) = resample(
            jax.scipy.special.ndtr(drawn[-1]),
            weights.multiplied(log_psi),
            (contexts, x_t, before, asked, x0, log_psi, wanted),
        )
        h = lambda_s - lambda_t
        sigma_t, (alpha_s, sigma_s) = at_lambda(lambda_t)[1], at_lambda(lambda_s)
        D = jnp.where(i == 0, x0, 1.5 * x0 - 0.5 * before)
        transition_from_x0 = -alpha_s * jnp.expm1(-2 * h)
        std = sigma_s * jnp.sqrt(-jnp.expm1(-2 * h))
        shift = transition_from_x0 * (wanted - x0)
        x_s = sigma_s / sigma_t * jnp.exp(-h) * x_t + transition_from_x0 * D + shift + std * noise
        moved = shift / std
        log_ratio = -jnp.sum(moved * noise + 0.5 * moved**2, axis=1)
        # A candidate of weight 0 keeps it.
        return twice.multiplied(log_ratio - jnp.where(jnp.isneginf(log_psi), 0.0, log_psi)), (contexts, x_s, x0, asked)

    last = points - 1
    start = weights, (contexts, x_T, jnp.zeros_like(x_T), is_constrained)
    weights, (contexts, x_t, _, is_constrained) = jax.lax.fori_loop(0, last, step, start)
    t = time_at(schedule, solver.log_snr(jnp.asarray(last)))
    x0 = jax.vmap(denoise, (0, 0, None))(contexts, x_t, t)
    is_inside = (jax.vmap(ranges.contains)(x0) | ~is_constrained).all(axis=1)
    return x0, contexts, weights.multiplied(jnp.where(is_inside, 0.0, -jnp.inf))
