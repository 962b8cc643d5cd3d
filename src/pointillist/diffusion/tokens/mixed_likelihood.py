"""Log-probabilities of tokens, log-densities of numbers given tokens, and conditional quantiles of a number.

The log-probability of a row is the sum of the log-probabilities of its tokens, in any order (Hoogeboom et al. 2021,
arXiv 2110.02037, section 3), and the log-density of its numbers by the probability-flow ODE. The classes are functions
of a row, all tokens and then all numbers, for `map_rows`.
"""

import math
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.likelihood import RowFunction, hutchinson_probes, n_tangents
from pointillist.diffusion.schedules import Schedule, alpha_sigma, at_lambda, lambda_range, time_at
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.mixed_sampling import MixedDenoiser, NumberDenoiser
from pointillist.diffusion.tokens.token_sampling import HIDDEN, TokenDenoiser

STEPS = 24
"""Number of steps of the density solver, even; each step takes three evaluations and one trace."""

FINE = 0.01
"""The σ below which solver steps become longer in log σ. It is small: where numbers determine each other, the flow
bends at low noise."""

FLOW_POINTS = 30
"""Number of points of the solver that maps quantiles of N(0, 1) to quantiles of a number."""

OBSERVED = 0
"""Step of tokens that are observed or not evaluated."""

LEVELS = np.linspace(-3.0, 6.0, 16, dtype=np.float32)
"""Noise levels log(alpha_t / sigma_t) of `NumberError`: almost no signal is left at the first, almost no noise at the
last."""


def solve_flow(
    denoiser: NumberDenoiser,
    numbers: Float[Array, " k"],
    tangents: Float[Array, "m k"] | None = None,
    weight: float = 1.0,
) -> tuple[Float[Array, " k"], Float[Array, ""]]:
    """Solve the probability-flow ODE dy/dlog σ = y - D(y), y = x_t / alpha_t, from numbers to N(0, I).

    Bogacki and Shampine's third-order method takes `STEPS` steps of equal length in u = log(σ + `FINE`), from the
    lowest noise to `LOWEST_LAMBDA`, where the `noised_mean` is subtracted. Simpson's rule integrates the divergence
    over the steps, so that the trace, which costs one Jacobian-vector product per number, is not needed at intermediate
    stages. See `likelihood.log_density`.

    Args:
        denoiser: E[x_0 | x_t] of the numbers.
        numbers: The numbers; those that are not noised are ignored.
        tangents: Unit vectors of all numbers that may be noised, for the exact trace; or rows of independent ±1, for
            Hutchinson's estimate of the trace; None for no log-density.
        weight: Factor of the sum of vᵀ (∂D/∂y) v over the tangents: 1, or 1 / m.

    Returns:
        The values of N(0, I), and the log-density of the noised numbers in nats; 0 without tangents.
    """
    schedule, size = denoiser.schedule, denoiser.is_noised.sum().astype(jnp.float32)
    lambda_T, lambda_1 = lambda_range(schedule)
    begin, end = (jnp.log(jnp.exp(-lambda_t) + FINE) for lambda_t in (lambda_1, lambda_T))
    h = (end - begin) / STEPS

    def drift(u: Array, y: Array, *, with_change: bool = False) -> tuple[Array, Array]:
        """Compute the drift dy/du and, on request, -d log p/du."""
        sigma = jnp.maximum(jnp.exp(u) - FINE, jnp.exp(-lambda_1))
        t = time_at(schedule, -jnp.log(sigma))
        alpha_t, rate = alpha_sigma(schedule, t)[0], 1 + FINE / sigma

        def predicted(y: Array) -> Array:
            return replace(denoiser, largest=math.inf)(alpha_t * y, t)

        if tangents is None or not with_change:
            return rate * (y - predicted(y)), jnp.zeros(())
        x0, push = jax.linearize(predicted, y)
        trace = weight * jnp.sum(tangents * jax.vmap(push)(tangents))
        return rate * (y - x0), rate * (size - trace)

    def step(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        y, total = state
        u = begin + i.astype(jnp.float32) * h
        first, change = drift(u, y, with_change=True)
        second, _ = drift(u + h / 2, y + h / 2 * first)
        third, _ = drift(u + 3 * h / 4, y + 3 * h / 4 * second)
        simpson = jnp.where(i == 0, 1.0, jnp.where(i % 2 == 1, 4.0, 2.0))
        return y + h / 9 * (2 * first + 3 * second + 4 * third), total + simpson * change

    start = jnp.where(denoiser.is_noised, numbers, 0.0), jnp.zeros(())
    y, total = jax.lax.fori_loop(0, STEPS, step, start)
    alpha_T = alpha_sigma(schedule, time_at(schedule, lambda_T))[0]
    x_T = alpha_T * y - noised_mean(denoiser)
    if tangents is None:
        return x_T, total
    total = h / 3 * (total + drift(begin + jnp.float32(STEPS) * h, y, with_change=True)[1])
    return x_T, total - 0.5 * (x_T @ x_T + size * jnp.log(2 * jnp.pi)) + size * jnp.log(alpha_T)


def noised_mean(denoiser: NumberDenoiser) -> Float[Array, " k"]:
    """Compute the mean of the numbers at the highest noise level, alpha_T E[x_0 | x_T = 0].

    The conditional mean of numbers may be far from 0, and at σ = 10 a tenth of the mean is left.
    """
    t = time_at(denoiser.schedule, lambda_range(denoiser.schedule)[0])
    return alpha_sigma(denoiser.schedule, t)[0] * denoiser(jnp.zeros(denoiser.is_noised.shape), t)


class TokenLogProbability(RowFunction):
    """Log-probability, in nats, of the tokens of steps 1 … n_steps given those of step 0, in each of several orders.

    Attributes:
        steps: Step of each token in each order: it is conditioned on all tokens of earlier steps; or `OBSERVED`.
            `HIDDEN` tokens are marginalized out.
        is_target: Which numbers are not observed; all other finite numbers are.
    """

    denoiser: TokenDenoiser
    steps: Int[Array | np.ndarray, "orders T"]
    is_target: Bool[Array | np.ndarray, " k"]
    n_steps: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " orders"]:
        tokens = self.denoiser.tokens
        row, denoiser = x[: len(tokens.sizes)], _with_shown_numbers(self.denoiser, x, self.is_target)
        token_of_slot, n_tokens = jnp.asarray(tokens.token_of_slot), len(tokens.sizes)
        slots = jnp.asarray(tokens.starts) + jnp.maximum(row, 0.0).astype(jnp.int32)

        def in_order(steps: Array) -> Array:
            def step(i: Array, total: Array) -> Array:
                logits = denoiser.logits(jnp.where(steps < i, row, HIDDEN))
                largest = jax.ops.segment_max(logits, token_of_slot, n_tokens, indices_are_sorted=True)
                scaled = jnp.exp(logits - largest[token_of_slot])
                sums = jax.ops.segment_sum(scaled, token_of_slot, n_tokens, indices_are_sorted=True)
                log_p = logits[slots] - (largest + jnp.log(sums))
                return total + jnp.sum(jnp.where((steps == i) & (row >= 0), log_p, 0.0))

            return jax.lax.fori_loop(1, self.n_steps + 1, step, jnp.zeros(()))

        return jax.vmap(in_order)(jnp.asarray(self.steps))

    def width(self, columns: int) -> int:
        return len(self.steps)


class TokenProbabilities(RowFunction):
    """Log-probabilities of all values of a hidden token given the rest of the row.

    Attributes:
        is_target: Which numbers are not observed; all other finite numbers are.
    """

    denoiser: TokenDenoiser
    is_target: Bool[Array | np.ndarray, " k"]
    index: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " values"]:
        tokens = self.denoiser.tokens
        logits = _with_shown_numbers(self.denoiser, x, self.is_target).logits(x[: len(tokens.sizes)])
        return jax.nn.log_softmax(jnp.split(logits, tokens.starts[1:])[self.index])


class NumberLogDensity(RowFunction):
    """Log-density, in nats, of the target numbers of a row given all tokens and other numbers.

    It is the density of rows drawn by a deterministic solver, with the noise of t = 1 added.
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    targets: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, ""]:
        """Compute the log-density; beyond 64 numbers the key determines the probes of Hutchinson's estimate."""
        n, targets = len(self.denoiser.tokens.with_number), np.asarray(self.targets, int)
        denoiser, numbers = _target_denoiser(self.denoiser, self.schedule, x, np.isin(np.arange(n), targets))
        probes = hutchinson_probes(key, len(targets))
        # The predictions of other numbers are 0, so their tangents are not needed.
        tangents = jnp.eye(n)[targets] if probes is None else jnp.zeros((len(probes), n)).at[:, targets].set(probes)
        return solve_flow(denoiser, numbers, tangents, 1.0 if probes is None else 1 / len(probes))[1]

    def width(self, columns: int) -> int:
        return n_tangents(len(self.targets)) + 1


class NumberQuantiles(RowFunction):
    """Quantiles of one target number of a row given all tokens and other numbers.

    In one dimension the probability-flow ODE preserves order, so it maps quantiles of N(0, 1) to quantiles of the
    number.
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    is_target: Bool[Array | np.ndarray, " k"]
    starts: Float[Array | np.ndarray, " levels"]

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " levels"]:
        denoiser, _ = _target_denoiser(self.denoiser, self.schedule, x, self.is_target)
        is_target = jnp.asarray(self.is_target)
        solver, mean = DPMSolver2M(self.schedule, FLOW_POINTS), noised_mean(denoiser)

        def quantile(start: Array) -> Array:
            drawn = solver.draw(key, denoiser, jnp.where(is_target, start + mean, 0.0))[0]
            return jnp.sum(jnp.where(is_target, drawn, 0.0))

        return jax.vmap(quantile)(jnp.asarray(self.starts))

    def width(self, columns: int) -> int:
        return len(self.starts)


class NumberError(RowFunction):
    """Mean squared error of the noise predicted in all numbers of a row jointly.

    At evenly spaced log(alpha_t / sigma_t) it estimates, up to a factor and a constant, the variational bound of the
    negative log-likelihood of the numbers given the tokens (Kingma et al. 2021, arXiv 2107.00630, equation 17), and is
    comparable between choices of axes.
    """

    denoiser: MixedDenoiser
    schedule: Schedule

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, ""]:
        n_numbers = len(self.denoiser.tokens.with_number)
        denoiser, numbers = _target_denoiser(self.denoiser, self.schedule, x, np.ones(n_numbers, bool))

        def at_level(lambda_t: Array, eps: Array) -> Array:
            alpha_t, sigma_t = at_lambda(lambda_t)
            x0 = denoiser(alpha_t * numbers + sigma_t * eps, time_at(self.schedule, lambda_t))
            return jnp.mean(denoiser.is_noised.astype(jnp.float32) * (alpha_t / sigma_t * (x0 - numbers)) ** 2)

        eps = jax.random.normal(key, (len(LEVELS), n_numbers))
        return jnp.mean(jax.vmap(at_level)(jnp.asarray(LEVELS), eps))

    def width(self, columns: int) -> int:
        return len(LEVELS)


def _with_shown_numbers(
    denoiser: TokenDenoiser, x: Float[Array, " width"], is_target: Bool[Array | np.ndarray, " k"]
) -> TokenDenoiser:
    """Condition a denoiser of tokens on the finite numbers of a row that are not targets."""
    row, numbers = jnp.split(x, [len(denoiser.tokens.sizes)])
    return denoiser.with_observed_numbers(row, jnp.where(jnp.asarray(is_target), jnp.nan, numbers))


def _target_denoiser(
    denoiser: MixedDenoiser, schedule: Schedule, x: Float[Array, " width"], is_target: Bool[Array | np.ndarray, " k"]
) -> tuple[NumberDenoiser, Float[Array, " k"]]:
    """Return the denoiser of the target numbers that exist in a row, and all numbers of the row."""
    row, numbers = jnp.split(x, [len(denoiser.tokens.sizes)])
    is_observed = denoiser.tokens.has_number(row) & ~jnp.asarray(is_target)
    return denoiser.number_denoiser(row, numbers, is_observed, schedule), numbers
