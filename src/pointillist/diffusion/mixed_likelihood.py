"""Probabilities of tokens in an order, densities of numbers given tokens, and quantiles of one number.

Masked diffusion is a model of every order at once (Hoogeboom et al. 2021, arXiv 2110.02037, section 3): in a given
order, the log-probability of a row is the sum of those of its tokens, each given all before it. The numbers have the
density of the probability-flow ODE given all tokens.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.likelihood import hutchinson_probes, n_tangents
from pointillist.diffusion.mixed_sampling import MixedDenoiser, NumberDenoiser
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule, alpha_sigma, lambda_range, time_at
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.token_sampling import HIDDEN, TokenDenoiser
from pointillist.diffusion.tokens import number_features

STEPS = 24
"""Number of steps of the solver of the density, even, with 3 evaluations each and a trace."""

FINE = 0.01
"""The σ below which its steps are longer in log σ: of rows whose numbers determine each other, the flow bends late."""

FLOW_POINTS = 30
"""Number of points of the solver that takes quantiles of the prior to those of a number."""

GIVEN = 0
"""Step of tokens that are given from the start, or not asked for."""


def token_log_probability(
    denoiser: TokenDenoiser, row: Float[Array, " T"], steps: Int[Array, " T"], n_steps: int
) -> Float[Array, ""]:
    """Log-probability, in nats, of the tokens of a row that come in a step of 1 … n_steps, given those of step 0.

    Args:
        denoiser: The denoiser, beside the numbers that are given.
        row: The tokens, `HIDDEN` where one is neither given nor asked for.
        steps: The step in which each token comes, given all of earlier ones; or `GIVEN`.
        n_steps: Number of steps.
    """
    tokens = denoiser.tokens
    owner, starts = jnp.asarray(tokens.owner), jnp.asarray(tokens.starts)
    slots = starts + jnp.maximum(row, 0.0).astype(jnp.int32)

    def step(i: Array, total: Array) -> Array:
        logits = denoiser.logits(jnp.where(steps < i, row, HIDDEN))
        largest = jax.ops.segment_max(logits, owner, len(tokens.sizes), indices_are_sorted=True)
        scaled = jnp.exp(logits - largest[owner])
        totals = largest + jnp.log(jax.ops.segment_sum(scaled, owner, len(tokens.sizes), indices_are_sorted=True))
        return total + jnp.sum(jnp.where(steps == i, logits[slots] - totals, 0.0))

    return jax.lax.fori_loop(1, n_steps + 1, step, jnp.zeros(()))


def token_log_probabilities(
    denoiser: TokenDenoiser, row: Float[Array, " T"], places: Int[np.ndarray, " asked"]
) -> Float[Array, " values"]:
    """Log-probabilities of all values of some tokens, one token after another, given those that are not `HIDDEN`."""
    logits = denoiser.logits(row)
    parts = jnp.split(logits, denoiser.tokens.splits)
    return jnp.concatenate([jax.nn.log_softmax(parts[place]) for place in places])


def number_log_density(
    denoiser: NumberDenoiser, numbers: Float[Array, " k"], *, probes: Float[Array, "m k"] | None, steps: int = STEPS
) -> Float[Array, ""]:
    """Log-density, in nats, of the open numbers of a row by the probability-flow ODE; see `likelihood.log_density`.

    The flow is solved by Bogacki and Shampine's third-order method in steps of equal length in log(σ + `FINE`), from
    the lowest noise to `LOWEST_LAMBDA`, and its divergence is integrated over the steps by Simpson's rule: a trace
    takes as many Jacobian-vector products as there are numbers, which the stages between can do without.

    Args:
        denoiser: E[x_0 | x_t] of the numbers.
        numbers: The numbers, 0 where they are not open.
        probes: Rows of independent ±1 for Hutchinson's estimate of the trace; None for the exact trace.
        steps: Number of steps, even.
    """
    schedule = denoiser.schedule
    lambda_T, lambda_1 = lambda_range(schedule)
    lambda_T = jnp.maximum(lambda_T, LOWEST_LAMBDA)
    size = denoiser.is_open.sum().astype(jnp.float32)
    begin, end = (jnp.log(jnp.exp(-lambda_t) + FINE) for lambda_t in (lambda_1, lambda_T))
    h = (end - begin) / steps

    def at(u: Array) -> tuple[Array, Callable[[Array], Array]]:
        """What dy/du is at y, where dy/dlog σ = y - D(y), and D at that noise."""
        sigma = jnp.maximum(jnp.exp(u) - FINE, jnp.exp(-lambda_1))
        t = time_at(schedule, -jnp.log(sigma))
        alpha_t = alpha_sigma(schedule, t)[0]
        return 1 + FINE / sigma, lambda y: denoiser(alpha_t * y, t)

    def drift(u: Array, y: Array) -> Array:
        rate, predicted = at(u)
        return rate * (y - predicted(y))

    def node(u: Array, y: Array) -> tuple[Array, Array]:
        """The drift and d log p / du with the opposite sign."""
        rate, predicted = at(u)
        x0, push = jax.linearize(predicted, y)
        tangents = jnp.eye(len(y)) if probes is None else probes
        trace = jnp.sum(tangents * jax.vmap(push)(tangents)) / (1 if probes is None else len(probes))
        return rate * (y - x0), rate * (size - trace)

    def step(i: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        y, total = state
        u = begin + i.astype(jnp.float32) * h
        first, change = node(u, y)
        second = drift(u + h / 2, y + h / 2 * first)
        third = drift(u + 3 * h / 4, y + 3 * h / 4 * second)
        weight = jnp.where(i == 0, 1.0, jnp.where(i % 2 == 1, 4.0, 2.0))
        return y + h / 9 * (2 * first + 3 * second + 4 * third), total + weight * change

    y, total = jax.lax.fori_loop(0, steps, step, (jnp.where(denoiser.is_open, numbers, 0.0), jnp.zeros(())))
    total = h / 3 * (total + node(end, y)[1])
    alpha_T = alpha_sigma(schedule, time_at(schedule, lambda_T))[0]
    x_T = alpha_T * y
    return total - 0.5 * (x_T @ x_T + size * jnp.log(2 * jnp.pi)) + size * jnp.log(alpha_T)


class TokenLogProbability(eqx.Module):
    """Log-probability of the tokens of a row, in each of some orders; a function of rows, as `map_rows` takes them.

    A row has all tokens, and numbers, which are shown if they are finite and not asked for.

    Attributes:
        denoiser: Denoiser of the tokens.
        steps: The step in which each token comes, in each order; see `token_log_probability`.
        is_asked: Which of the numbers are asked for.
        n_steps: Number of steps.
    """

    denoiser: TokenDenoiser
    steps: Int[Array | np.ndarray, "orders T"]
    is_asked: Bool[Array | np.ndarray, " k"]
    n_steps: int = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " orders"]:
        """Computes the log-probabilities; the key decides nothing."""
        n = len(self.denoiser.tokens.sizes)
        denoiser = beside_given(self.denoiser, x, self.is_asked)
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
        is_asked: Which of the numbers are not shown.
        places: The tokens, which are hidden in the rows.
    """

    denoiser: TokenDenoiser
    is_asked: Bool[Array | np.ndarray, " k"]
    places: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " values"]:
        """Computes the log-probabilities; the key decides nothing."""
        denoiser = beside_given(self.denoiser, x, self.is_asked)
        return token_log_probabilities(denoiser, x[: len(denoiser.tokens.sizes)], np.asarray(self.places))

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel: one."""
        return 1


class NumberLogDensity(eqx.Module):
    """Log-density, in nats, of the numbers of a row that are asked for, given all tokens and all other numbers.

    It is that of the rows that a deterministic solver draws, with the noise of t = 1 added, by `STEPS` steps.

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
        is_asked: Which of the numbers are asked for.
        steps: Number of steps, even.
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    is_asked: Bool[Array | np.ndarray, " k"]
    steps: int = eqx.field(static=True, default=STEPS)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, ""]:
        """Computes the log-density; the key decides the probes of Hutchinson's estimate, beyond 64 numbers."""
        own, numbers = open_numbers(self.denoiser, self.schedule, x, self.is_asked)
        probes = hutchinson_probes(key, len(numbers))
        return number_log_density(own, numbers, probes=probes, steps=self.steps)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel: the row's and its tangents'."""
        return n_tangents(len(self.is_asked)) + 1


class NumberQuantiles(eqx.Module):
    """Quantiles of the one number of a row that is asked for, given all tokens and all other numbers.

    In one dimension the probability-flow ODE keeps order, so that it takes quantiles of N(0, 1) to those of the number.

    Attributes:
        denoiser: The denoiser.
        schedule: The noise schedule of the numbers.
        is_asked: Which of the numbers is asked for: one.
        starts: Quantiles of N(0, 1).
    """

    denoiser: MixedDenoiser
    schedule: Schedule
    is_asked: Bool[Array | np.ndarray, " k"]
    starts: Float[Array | np.ndarray, " levels"]

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " width"]) -> Float[Array, " levels"]:
        """Computes the quantiles; the key decides nothing."""
        own, _ = open_numbers(self.denoiser, self.schedule, x, self.is_asked)
        is_asked = jnp.asarray(self.is_asked)
        solver = DPMSolver2M(self.schedule, FLOW_POINTS)

        def flowed(start: Array) -> Array:
            found = solver.draw(key, own, jnp.where(is_asked, start, 0.0))[0]
            return jnp.sum(jnp.where(is_asked, found, 0.0))

        return jax.vmap(flowed)(jnp.asarray(self.starts))

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return len(self.starts)


def beside_given(
    denoiser: TokenDenoiser, x: Float[Array, " width"], is_asked: Bool[Array | np.ndarray, " k"]
) -> TokenDenoiser:
    """The denoiser of tokens beside the numbers of a row that are finite and not asked for."""
    tokens = denoiser.tokens
    if not tokens.with_number:
        return denoiser
    row, numbers = x[: len(tokens.sizes)], x[len(tokens.sizes) :]
    is_shown = jnp.isfinite(numbers) & ~jnp.asarray(is_asked) & tokens.has_number(row)
    return denoiser.beside(number_features(numbers, is_shown))


def open_numbers(
    denoiser: MixedDenoiser, schedule: Schedule, x: Float[Array, " width"], is_asked: Bool[Array | np.ndarray, " k"]
) -> tuple[NumberDenoiser, Float[Array, " k"]]:
    """The denoiser of the numbers of a row that are asked for and that there are, and all its numbers."""
    tokens = denoiser.tokens
    row, numbers = x[: len(tokens.sizes)], x[len(tokens.sizes) :]
    is_there = tokens.has_number(row)
    shown = number_features(numbers, is_there & ~jnp.asarray(is_asked))
    known = denoiser.of_numbers.known(tokens.one_hot(row), shown)
    return NumberDenoiser(denoiser.of_numbers, schedule, is_there & jnp.asarray(is_asked), known), numbers
