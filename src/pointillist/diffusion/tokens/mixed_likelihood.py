"""Log-probabilities of tokens, log-densities of numbers given tokens, and conditional quantiles of a number.

Masked diffusion models every order of the tokens (Hoogeboom et al. 2021, arXiv 2110.02037, section 3): in any order,
the log-probability of a row is the sum of the log-probabilities of its tokens, each given the preceding ones. The
density of the numbers given all tokens comes from the probability-flow ODE.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.likelihood import hutchinson_probes, n_tangents
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule, alpha_sigma, lambda_range, time_at
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


def token_log_probability(
    denoiser: TokenDenoiser, row: Float[Array, " T"], steps: Int[Array, " T"], n_steps: int
) -> Float[Array, ""]:
    """Compute the log-probability, in nats, of the tokens of steps 1 … n_steps given those of step 0.

    Args:
        denoiser: The denoiser, conditioned on the observed numbers.
        row: The tokens; `HIDDEN` tokens are marginalized out.
        steps: Step of each token, which is conditioned on all tokens of earlier steps; or `OBSERVED`.
        n_steps: Number of steps.
    """
    tokens = denoiser.tokens
    token_of_slot, starts = jnp.asarray(tokens.token_of_slot), jnp.asarray(tokens.starts)
    slots = starts + jnp.maximum(row, 0.0).astype(jnp.int32)

    def step(i: Array, total: Array) -> Array:
        logits = denoiser.logits(jnp.where(steps < i, row, HIDDEN))
        largest = jax.ops.segment_max(logits, token_of_slot, len(tokens.sizes), indices_are_sorted=True)
        scaled = jnp.exp(logits - largest[token_of_slot])
        totals = largest + jnp.log(
            jax.ops.segment_sum(scaled, token_of_slot, len(tokens.sizes), indices_are_sorted=True)
        )
        return total + jnp.sum(jnp.where((steps == i) & (row >= 0), logits[slots] - totals, 0.0))

    return jax.lax.fori_loop(1, n_steps + 1, step, jnp.zeros(()))


def token_log_probabilities(
    denoiser: TokenDenoiser, row: Float[Array, " T"], indices: Int[np.ndarray, " targets"]
) -> Float[Array, " values"]:
    """Compute the log-probabilities of all values of several tokens, concatenated, given the tokens not `HIDDEN`."""
    logits = denoiser.logits(row)
    parts = jnp.split(logits, denoiser.tokens.splits)
    return jnp.concatenate([jax.nn.log_softmax(parts[index]) for index in indices])


def number_log_density(
    denoiser: NumberDenoiser,
    numbers: Float[Array, " k"],
    tangents: Float[Array, "m k"],
    weight: float = 1.0,
) -> Float[Array, ""]:
    """Compute the log-density, in nats, of the noised numbers of a row; see `likelihood.log_density`.

    The flow is solved by Bogacki and Shampine's third-order method in `STEPS` steps of equal length in log(σ + `FINE`),
    from the lowest noise to `LOWEST_LAMBDA`. Simpson's rule integrates the divergence over the steps, so that the
    trace, which costs one Jacobian-vector product per number, is not needed at intermediate stages.

    Args:
        denoiser: E[x_0 | x_t] of the numbers.
        numbers: The numbers, 0 for those that are not noised.
        tangents: Unit vectors of all numbers that may be noised, for the exact trace; or rows of independent ±1, for
            Hutchinson's estimate of the trace.
        weight: Factor of the sum of vᵀ (∂D/∂y) v over the tangents: 1, or 1 / m.
    """
    size = denoiser.is_noised.sum().astype(jnp.float32)
    flow = _Flow.of(denoiser)

    def node(u: Array, y: Array) -> tuple[Array, Array]:
        """Compute the drift dy/du and -d log p/du."""
        rate, predicted = flow.at(u)
        x0, push = jax.linearize(predicted, y)
        trace = weight * jnp.sum(tangents * jax.vmap(push)(tangents))
        return rate * (y - x0), rate * (size - trace)

    def step(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        y, total = state
        first, change = node(flow.u(i), y)
        simpson = jnp.where(i == 0, 1.0, jnp.where(i % 2 == 1, 4.0, 2.0))
        return flow.step(i, y, first), total + simpson * change

    y, total = jax.lax.fori_loop(0, STEPS, step, (jnp.where(denoiser.is_noised, numbers, 0.0), jnp.zeros(())))
    total = flow.h / 3 * (total + node(flow.u(jnp.asarray(STEPS)), y)[1])
    x_T = flow.alpha_T * y - noised_mean(denoiser)
    return total - 0.5 * (x_T @ x_T + size * jnp.log(2 * jnp.pi)) + size * jnp.log(flow.alpha_T)


@dataclass(frozen=True)
class _Flow:
    """The probability-flow ODE of y = x_t / alpha_t in u = log(σ + `FINE`): dy/dlog σ = y - D(y).

    Attributes:
        denoiser: The denoiser.
        begin: First u.
        h: Step length.
        alpha_T: alpha at the last u.
    """

    denoiser: NumberDenoiser
    begin: Array
    h: Array
    alpha_T: Array

    @classmethod
    def of(cls, denoiser: NumberDenoiser) -> "_Flow":
        lambda_T, lambda_1 = lambda_range(denoiser.schedule)
        lambda_T = jnp.maximum(lambda_T, LOWEST_LAMBDA)
        begin, end = (jnp.log(jnp.exp(-lambda_t) + FINE) for lambda_t in (lambda_1, lambda_T))
        alpha_T = alpha_sigma(denoiser.schedule, time_at(denoiser.schedule, lambda_T))[0]
        return cls(denoiser, begin, (end - begin) / STEPS, alpha_T)

    def u(self, i: Array) -> Array:
        return self.begin + i.astype(jnp.float32) * self.h

    def at(self, u: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Return dlog σ/du, and the function D at this noise level."""
        schedule = self.denoiser.schedule
        sigma = jnp.maximum(jnp.exp(u) - FINE, jnp.exp(-lambda_range(schedule)[1]))
        t = time_at(schedule, -jnp.log(sigma))
        alpha_t = alpha_sigma(schedule, t)[0]
        return 1 + FINE / sigma, lambda y: self.denoiser.unbounded(alpha_t * y, t)

    def drift(self, u: Array, y: Array) -> Array:
        rate, predicted = self.at(u)
        return rate * (y - predicted(y))

    def step(self, i: Array, y: Array, first: Array) -> Array:
        """Take a step of Bogacki and Shampine's method, given the drift at its start."""
        u, h = self.u(i), self.h
        second = self.drift(u + h / 2, y + h / 2 * first)
        third = self.drift(u + 3 * h / 4, y + 3 * h / 4 * second)
        return y + h / 9 * (2 * first + 3 * second + 4 * third)


def flow_to_prior(denoiser: NumberDenoiser, numbers: Float[Array, " k"]) -> Float[Array, " k"]:
    """Map the noised numbers of a row by the probability-flow ODE to values of N(0, I) at `LOWEST_LAMBDA`.

    The `noised_mean` is subtracted. The steps are those of `number_log_density`.

    Args:
        denoiser: E[x_0 | x_t] of the numbers.
        numbers: The numbers, 0 for those that are not noised.
    """
    flow = _Flow.of(denoiser)
    last = jax.lax.fori_loop(0, STEPS, lambda i, y: flow.step(i, y, flow.drift(flow.u(i), y)), numbers)
    return flow.alpha_T * last - noised_mean(denoiser)


def noised_mean(denoiser: NumberDenoiser) -> Float[Array, " k"]:
    """Compute the mean of the numbers at the highest noise level, alpha_T E[x_0 | x_T = 0].

    The conditional mean of numbers may be far from 0, and at σ = 10 a tenth of the mean is left.
    """
    lambda_T = jnp.maximum(lambda_range(denoiser.schedule)[0], LOWEST_LAMBDA)
    t = time_at(denoiser.schedule, lambda_T)
    return alpha_sigma(denoiser.schedule, t)[0] * denoiser(jnp.zeros(denoiser.is_noised.shape), t)


class TokenLogProbability(eqx.Module):
    """Log-probability of the tokens of a row in each of several orders; a function of rows, for `map_rows`.

    A row holds all tokens and numbers; finite numbers that are not targets are observed.

    Attributes:
        denoiser: Denoiser of the tokens.
        steps: Step of each token in each order; see `token_log_probability`.
        is_target: Which numbers are not observed.
        n_steps: Number of steps.
    """

    denoiser: TokenDenoiser
    steps: Int[Array | np.ndarray, "orders T"]
    is_target: Bool[Array | np.ndarray, " k"]
    n_steps: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " orders"]:
        """Compute the log-probabilities; the key is unused."""
        n = len(self.denoiser.tokens.sizes)
        denoiser = with_shown_numbers(self.denoiser, x, self.is_target)
        return jax.vmap(lambda steps: token_log_probability(denoiser, x[:n], steps, self.n_steps))(
            jnp.asarray(self.steps)
        )

    def width(self, columns: int) -> int:
        """Number of parallel network evaluations."""
        return len(self.steps)


class TokenProbabilities(eqx.Module):
    """Log-probabilities of all values of several hidden tokens given the rest of the row; a function of rows.

    Attributes:
        denoiser: Denoiser of the tokens.
        is_target: Which numbers are not observed.
        indices: Indices of the hidden tokens.
    """

    denoiser: TokenDenoiser
    is_target: Bool[Array | np.ndarray, " k"]
    indices: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " values"]:
        """Compute the log-probabilities; the key is unused."""
        denoiser = with_shown_numbers(self.denoiser, x, self.is_target)
        return token_log_probabilities(denoiser, x[: len(denoiser.tokens.sizes)], np.asarray(self.indices))

    def width(self, columns: int) -> int:
        """Number of parallel network evaluations: 1."""
        return 1


class NumberLogDensity(eqx.Module):
    """Log-density, in nats, of the target numbers of a row given all tokens and other numbers; a function of rows.

    It is the density of rows drawn by a deterministic solver, with the noise of t = 1 added.

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
        targets: Indices of the target numbers.
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    targets: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, ""]:
        """Compute the log-density; beyond 64 numbers the key determines the probes of Hutchinson's estimate."""
        n, targets = len(self.denoiser.tokens.with_number), np.asarray(self.targets, int)
        denoiser, numbers = target_denoiser(self.denoiser, self.schedule, x, np.isin(np.arange(n), targets))
        probes = hutchinson_probes(key, len(targets))
        # The predictions of other numbers are 0, so their tangents are not needed.
        tangents = jnp.eye(n)[targets] if probes is None else jnp.zeros((len(probes), n)).at[:, targets].set(probes)
        weight = 1.0 if probes is None else 1 / len(probes)
        return number_log_density(denoiser, numbers, tangents, weight)

    def width(self, columns: int) -> int:
        """Number of parallel network evaluations: the row and its tangents."""
        return n_tangents(len(self.targets)) + 1


class NumberQuantiles(eqx.Module):
    """Quantiles of one target number of a row given all tokens and other numbers; a function of rows.

    In one dimension the probability-flow ODE preserves order, so it maps quantiles of N(0, 1) to quantiles of the
    number.

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
        is_target: Which number is the target.
        starts: Quantiles of N(0, 1).
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    is_target: Bool[Array | np.ndarray, " k"]
    starts: Float[Array | np.ndarray, " levels"]

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " levels"]:
        """Compute the quantiles; the key is unused."""
        denoiser, _ = target_denoiser(self.denoiser, self.schedule, x, self.is_target)
        is_target = jnp.asarray(self.is_target)
        solver, mean = DPMSolver2M(self.schedule, FLOW_POINTS), noised_mean(denoiser)

        def quantile(start: Array) -> Array:
            drawn = solver.draw(key, denoiser, jnp.where(is_target, start + mean, 0.0))[0]
            return jnp.sum(jnp.where(is_target, drawn, 0.0))

        return jax.vmap(quantile)(jnp.asarray(self.starts))

    def width(self, columns: int) -> int:
        """Number of parallel network evaluations."""
        return len(self.starts)


def with_shown_numbers(
    denoiser: TokenDenoiser, x: Float[Array, " width"], is_target: Bool[Array | np.ndarray, " k"]
) -> TokenDenoiser:
    """Condition a denoiser of tokens on the finite numbers of a row that are not targets."""
    tokens = denoiser.tokens
    row, numbers = x[: len(tokens.sizes)], x[len(tokens.sizes) :]
    return denoiser.with_observed_numbers(row, jnp.where(jnp.asarray(is_target), jnp.nan, numbers))


def target_denoiser(
    denoiser: MixedDenoiser, schedule: Schedule, x: Float[Array, " width"], is_target: Bool[Array | np.ndarray, " k"]
) -> tuple[NumberDenoiser, Float[Array, " k"]]:
    """Return the denoiser of the target numbers that exist in a row, and all numbers of the row."""
    tokens = denoiser.tokens
    row, numbers = x[: len(tokens.sizes)], x[len(tokens.sizes) :]
    return denoiser.number_denoiser(row, numbers, tokens.has_number(row) & ~jnp.asarray(is_target), schedule), numbers
