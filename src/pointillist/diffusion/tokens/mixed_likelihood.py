"""Probabilities of tokens in an order, densities of numbers given tokens, and quantiles of one number.

Masked diffusion is a model of every order at once (Hoogeboom et al. 2021, arXiv 2110.02037, section 3): in a given
order, the log-probability of a row is the sum of those of its tokens, each given all before it. The numbers have the
density of the probability-flow ODE given all tokens.
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
"""Number of steps of the solver of the density, even, with 3 evaluations each and a trace."""

FINE = 0.01
"""The σ below which its steps are longer in log σ: of rows whose numbers determine each other, the flow bends late."""

FLOW_POINTS = 30
"""Number of points of the solver that takes quantiles of the prior to those of a number."""

OBSERVED = 0
"""Step of tokens that are given from the start, or not asked for."""


def token_log_probability(
    denoiser: TokenDenoiser, row: Float[Array, " T"], steps: Int[Array, " T"], n_steps: int
) -> Float[Array, ""]:
    """Log-probability, in nats, of the tokens of a row that come in a step of 1 … n_steps, given those of step 0.

    Args:
        denoiser: The denoiser, beside the numbers that are given.
        row: The tokens, `HIDDEN` where one is neither given nor asked for; such a one is summed over.
        steps: The step in which each token comes, given all of earlier ones; or `OBSERVED`.
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
    denoiser: TokenDenoiser, row: Float[Array, " T"], indices: Int[np.ndarray, " asked"]
) -> Float[Array, " values"]:
    """Log-probabilities of all values of some tokens, one token after another, given those that are not `HIDDEN`."""
    logits = denoiser.logits(row)
    parts = jnp.split(logits, denoiser.tokens.splits)
    return jnp.concatenate([jax.nn.log_softmax(parts[index]) for index in indices])


def number_log_density(
    denoiser: NumberDenoiser,
    numbers: Float[Array, " k"],
    tangents: Float[Array, "m k"],
    weight: float = 1.0,
) -> Float[Array, ""]:
    """Log-density, in nats, of the open numbers of a row by the probability-flow ODE; see `likelihood.log_density`.

    The flow is solved by Bogacki and Shampine's third-order method in `STEPS` steps of equal length in log(σ + `FINE`),
    from the lowest noise to `LOWEST_LAMBDA`, and its divergence is integrated over the steps by Simpson's rule: a trace
    takes as many Jacobian-vector products as there are numbers, which the stages between can do without.

    Args:
        denoiser: E[x_0 | x_t] of the numbers.
        numbers: The numbers, 0 where they are not open.
        tangents: Unit vectors of all numbers that may be open, for the exact trace; or rows of independent ±1 for
            Hutchinson's estimate of it.
        weight: What the sum of vᵀ (∂D/∂y) v over them is multiplied by: 1, or 1 / m.
    """
    size = denoiser.is_noised.sum().astype(jnp.float32)
    flow = _Flow.of(denoiser)

    def node(u: Array, y: Array) -> tuple[Array, Array]:
        """The drift and d log p / du with the opposite sign."""
        rate, predicted = flow.at(u)
        x0, push = jax.linearize(predicted, y)
        trace = weight * jnp.sum(tangents * jax.vmap(push)(tangents))
        return rate * (y - x0), rate * (size - trace)

    def step(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        y, total = state
        first, change = node(flow.place(i), y)
        share = jnp.where(i == 0, 1.0, jnp.where(i % 2 == 1, 4.0, 2.0))
        return flow.step(i, y, first), total + share * change

    y, total = jax.lax.fori_loop(0, STEPS, step, (jnp.where(denoiser.is_noised, numbers, 0.0), jnp.zeros(())))
    total = flow.h / 3 * (total + node(flow.place(jnp.asarray(STEPS)), y)[1])
    x_T = flow.alpha_T * y - noised_mean(denoiser)
    return total - 0.5 * (x_T @ x_T + size * jnp.log(2 * jnp.pi)) + size * jnp.log(flow.alpha_T)


@dataclass(frozen=True)
class _Flow:
    """The probability-flow ODE of y = x_t / alpha_t in u = log(σ + `FINE`): dy/dlog σ = y - D(y).

    Attributes:
        denoiser: The denoiser.
        begin: The first u.
        h: Length of a step.
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

    def place(self, i: Array) -> Array:
        return self.begin + i.astype(jnp.float32) * self.h

    def at(self, u: Array) -> tuple[Array, Callable[[Array], Array]]:
        """What dlog σ / du is, and D at that noise."""
        schedule = self.denoiser.schedule
        sigma = jnp.maximum(jnp.exp(u) - FINE, jnp.exp(-lambda_range(schedule)[1]))
        t = time_at(schedule, -jnp.log(sigma))
        alpha_t = alpha_sigma(schedule, t)[0]
        return 1 + FINE / sigma, lambda y: self.denoiser.unbounded(alpha_t * y, t)

    def drift(self, u: Array, y: Array) -> Array:
        rate, predicted = self.at(u)
        return rate * (y - predicted(y))

    def step(self, i: Array, y: Array, first: Array) -> Array:
        """A step of Bogacki and Shampine's method, whose first drift is known."""
        u, h = self.place(i), self.h
        second = self.drift(u + h / 2, y + h / 2 * first)
        third = self.drift(u + 3 * h / 4, y + 3 * h / 4 * second)
        return y + h / 9 * (2 * first + 3 * second + 4 * third)


def flow_to_prior(denoiser: NumberDenoiser, numbers: Float[Array, " k"]) -> Float[Array, " k"]:
    """What the probability-flow ODE takes the open numbers of a row to, at `LOWEST_LAMBDA`, where they are N(0, I).

    That is, less their `noised_mean`.

    Its steps are those of `number_log_density`.

    Args:
        denoiser: E[x_0 | x_t] of the numbers.
        numbers: The numbers, 0 where they are not open.
    """
    flow = _Flow.of(denoiser)
    last = jax.lax.fori_loop(0, STEPS, lambda i, y: flow.step(i, y, flow.drift(flow.place(i), y)), numbers)
    return flow.alpha_T * last - noised_mean(denoiser)


def noised_mean(denoiser: NumberDenoiser) -> Float[Array, " k"]:
    """The mean of the open numbers with the noise that flows begin and end with: alpha_T E[x_0 | x_T = 0].

    Numbers given others need not have a mean near 0, and at σ = 10 a tenth of it is left.
    """
    lambda_T = jnp.maximum(lambda_range(denoiser.schedule)[0], LOWEST_LAMBDA)
    t = time_at(denoiser.schedule, lambda_T)
    return alpha_sigma(denoiser.schedule, t)[0] * denoiser(jnp.zeros(denoiser.is_noised.shape), t)


class TokenLogProbability(eqx.Module):
    """Log-probability of the tokens of a row, in each of some orders; a function of rows, as `map_rows` takes them.

    A row has all tokens, and numbers, which are shown if they are finite and not asked for.

    Attributes:
        denoiser: Denoiser of the tokens.
        steps: The step in which each token comes, in each order; see `token_log_probability`.
        is_target: Which of the numbers are asked for.
        n_steps: Number of steps.
    """

    denoiser: TokenDenoiser
    steps: Int[Array | np.ndarray, "orders T"]
    is_target: Bool[Array | np.ndarray, " k"]
    n_steps: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " orders"]:
        """Computes the log-probabilities; the key decides nothing."""
        n = len(self.denoiser.tokens.sizes)
        denoiser = with_shown_numbers(self.denoiser, x, self.is_target)
        return jax.vmap(lambda steps: token_log_probability(denoiser, x[:n], steps, self.n_steps))(
            jnp.asarray(self.steps)
        )

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return len(self.steps)


class TokenProbabilities(eqx.Module):
    """Log-probabilities of all values of some tokens of a row, given its others; a function of rows.

    Attributes:
        denoiser: Denoiser of the tokens.
        is_target: Which of the numbers are not shown.
        indices: The tokens, which are hidden in the rows.
    """

    denoiser: TokenDenoiser
    is_target: Bool[Array | np.ndarray, " k"]
    indices: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " values"]:
        """Computes the log-probabilities; the key decides nothing."""
        denoiser = with_shown_numbers(self.denoiser, x, self.is_target)
        return token_log_probabilities(denoiser, x[: len(denoiser.tokens.sizes)], np.asarray(self.indices))

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel: one."""
        return 1


class NumberLogDensity(eqx.Module):
    """Log-density, in nats, of the numbers of a row that are asked for, given all tokens and all other numbers.

    It is that of the rows that a deterministic solver draws, with the noise of t = 1 added, by `STEPS` steps.

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
        asked: Which of the numbers are asked for: their positions.
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    asked: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, ""]:
        """Computes the log-density; the key decides the probes of Hutchinson's estimate, beyond 64 numbers."""
        n, asked = len(self.denoiser.tokens.with_number), np.asarray(self.asked, int)
        own, numbers = target_denoiser(self.denoiser, self.schedule, x, np.isin(np.arange(n), asked))
        probes = hutchinson_probes(key, len(asked))
        # Of the others the predictions are 0, whatever the numbers.
        tangents = jnp.eye(n)[asked] if probes is None else jnp.zeros((len(probes), n)).at[:, asked].set(probes)
        weight = 1.0 if probes is None else 1 / len(probes)
        return number_log_density(own, numbers, tangents, weight)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel: the row's and its tangents'."""
        return n_tangents(len(self.asked)) + 1


class NumberQuantiles(eqx.Module):
    """Quantiles of the one number of a row that is asked for, given all tokens and all other numbers.

    In one dimension the probability-flow ODE keeps order, so that it takes quantiles of N(0, 1) to those of the number.

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
        is_target: Which of the numbers is asked for: one.
        starts: Quantiles of N(0, 1).
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    is_target: Bool[Array | np.ndarray, " k"]
    starts: Float[Array | np.ndarray, " levels"]

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " levels"]:
        """Computes the quantiles; the key decides nothing."""
        own, _ = target_denoiser(self.denoiser, self.schedule, x, self.is_target)
        is_target = jnp.asarray(self.is_target)
        solver, mean = DPMSolver2M(self.schedule, FLOW_POINTS), noised_mean(own)

        def flowed(start: Array) -> Array:
            found = solver.draw(key, own, jnp.where(is_target, start + mean, 0.0))[0]
            return jnp.sum(jnp.where(is_target, found, 0.0))

        return jax.vmap(flowed)(jnp.asarray(self.starts))

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return len(self.starts)


def with_shown_numbers(
    denoiser: TokenDenoiser, x: Float[Array, " width"], is_target: Bool[Array | np.ndarray, " k"]
) -> TokenDenoiser:
    """The denoiser of tokens beside the numbers of a row that are finite and not asked for."""
    tokens = denoiser.tokens
    row, numbers = x[: len(tokens.sizes)], x[len(tokens.sizes) :]
    is_shown = jnp.isfinite(numbers) & ~jnp.asarray(is_target) & tokens.has_number(row)
    return denoiser.with_observed_numbers(numbers, is_shown)


def target_denoiser(
    denoiser: MixedDenoiser, schedule: Schedule, x: Float[Array, " width"], is_target: Bool[Array | np.ndarray, " k"]
) -> tuple[NumberDenoiser, Float[Array, " k"]]:
    """The denoiser of the numbers of a row that are asked for and that there are, and all its numbers."""
    tokens = denoiser.tokens
    row, numbers = x[: len(tokens.sizes)], x[len(tokens.sizes) :]
    return denoiser.number_denoiser(row, numbers, tokens.has_number(row) & ~jnp.asarray(is_target), schedule), numbers
