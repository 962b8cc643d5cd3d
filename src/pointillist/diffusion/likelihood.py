"""Log-density by the probability-flow ODE (Song et al. 2021, arXiv 2011.13456, section 4.3).

With y = x_t / alpha_t and σ = sigma_t / alpha_t the flow is dy/dlog σ = y - D(y), D = E[x_0 | x_t], which is smooth and
the same for every schedule. Along the flow, d log p(y)/dlog σ = -(d - tr ∂D/∂y).
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser, Row
from pointillist.diffusion.schedules import alpha_sigma, lambda_range, time_at

TOLERANCE = 1e-4
"""Relative and absolute tolerance of adaptive steps; the log-density of a mixture is then exact to 0.01 nats."""

MAX_STEPS = 4096
"""Maximum number of solver steps; a row that needs more gets NaN."""

EXACT_COLUMNS = 64
"""Maximum number of columns for the exact trace, which costs one Jacobian-vector product per column and evaluation."""

FINE = 0.08
"""The σ below which fixed steps become longer in log σ: the flow is nearly straight that close to the data, whose
standard deviation is about 1."""

PROBES = 32
"""Number of probes of Hutchinson's estimate of the trace, for more than `EXACT_COLUMNS` columns."""


class RowFunction(eqx.Module):
    """A function of the key of a row and the row, for `map_rows`."""

    def width(self, columns: int) -> int:
        """Number of parallel network evaluations for rows of `columns` columns; 1 by default."""
        return 1


def log_density(
    denoiser: Denoiser,
    x: Row,
    *,
    probes: Float[Array, "m d"] | None = None,
    steps: int | None = None,
    lowest: float = -math.inf,
) -> Float[Array, ""]:
    """Compute log p(x) in nats of one row, shape (d,), under the deterministic sampler that starts from N(0, I).

    This is the density at the cut-off t = 1, that is, of rows with added noise of standard deviation sigma_1 / alpha_1
    (0.01 for a first beta of 1e-4). The trace is exact, from d Jacobian-vector products per evaluation, or Hutchinson's
    estimate from m of them (Grathwohl et al. 2019, arXiv 1810.01367, equation 7). The solver is adaptive (Tsitouras'
    5(4) pair).

    Args:
        denoiser: E[x_0 | x_t], at any real time t.
        x: The row, scaled as the model sees it.
        probes: Rows of independent ±1, shape (m, d), from `hutchinson_probes`: the trace is estimated by the mean of
            vᵀ (∂D/∂y) v over them. The estimate of the log-density is unbiased. None for the exact trace.
        steps: Number of fixed steps, equal in log(σ + `FINE`), of Bogacki and Shampine's third-order method, which
            replaces the adaptive solver. Fixed steps cost less: an adaptive solver spends many steps at the kinks of a
            ReLU network, where a method of higher order gains nothing.
        lowest: The λ at which rows are N(0, I) and solvers start, if above the λ of t = T.
    """
    # Imported here, because the import takes a quarter of a second that most commands do not need.
    import diffrax

    (d,) = x.shape
    schedule = denoiser.schedule
    lambda_T, lambda_1 = lambda_range(schedule, lowest)

    def drift(log_sigma: Any, state: tuple[Array, Array], args: None) -> tuple[Array, Array]:
        y = state[0]
        t = time_at(schedule, -log_sigma)
        alpha_t = alpha_sigma(schedule, t)[0]
        x0, push = jax.linearize(lambda y: denoiser(alpha_t * y, t), y)
        if probes is None:
            trace = jnp.trace(jax.vmap(push)(jnp.eye(d)))
        else:
            trace = jnp.mean(jnp.sum(probes * jax.vmap(push)(probes), axis=1))
        return y - x0, jnp.asarray(d, jnp.float32) - trace

    controller = diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE) if steps is None else diffrax.ConstantStepSize()
    # Fixed steps are equal in u = log(σ + FINE); adaptive steps run in u = log σ.
    fine = 0.0 if steps is None else FINE

    def in_u(u: Any, state: tuple[Array, Array], args: None) -> tuple[Array, Array]:
        sigma = jnp.maximum(jnp.exp(u) - fine, jnp.exp(-lambda_1))  # the difference cancels for a tiny σ
        return jax.tree.map(lambda change: change * (1 + fine / sigma), drift(jnp.log(sigma), state, None))

    begin, end = (-lambda_t if fine == 0 else jnp.log(jnp.exp(-lambda_t) + fine) for lambda_t in (lambda_1, lambda_T))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(drift if steps is None else in_u),
        diffrax.Tsit5() if steps is None else diffrax.Bosh3(),
        begin,
        end,
        dt0=None if steps is None else (end - begin) / steps,
        y0=(x, jnp.zeros(())),
        stepsize_controller=controller,
        max_steps=MAX_STEPS,
        adjoint=diffrax.DirectAdjoint(),
        throw=False,
    )
    y_T, log_change = (leaf[0] for leaf in solution.ys)
    alpha_T, _ = alpha_sigma(schedule, time_at(schedule, lambda_T))
    x_T = alpha_T * y_T
    at_T = -0.5 * (x_T @ x_T + d * jnp.log(2 * jnp.pi)) + d * jnp.log(alpha_T)
    return jnp.where(solution.result == diffrax.RESULTS.successful, at_T + log_change, jnp.nan)


def n_tangents(columns: int) -> int:
    """Return the number of Jacobian-vector products per evaluation for rows of `columns` columns."""
    return columns if columns <= EXACT_COLUMNS else PROBES


def hutchinson_probes(key: PRNGKeyArray, columns: int) -> Float[Array, "m d"] | None:
    """Draw probes of independent ±1 for rows of `columns` columns; return None if the trace is exact."""
    if columns <= EXACT_COLUMNS:
        return None
    return jax.random.rademacher(key, (PROBES, columns), jnp.float32)
