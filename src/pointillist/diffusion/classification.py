"""Class log-likelihoods of a row from a conditional denoiser, which make a classifier without further training."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import ConditionalDenoiser, UnobservedColumns
from pointillist.diffusion.likelihood import hutchinson_probes, log_density
from pointillist.diffusion.schedules import LOWEST_LAMBDA, alpha_sigma, lambda_range, time_at

N_TIMES = 128
"""Default number of values of λ for `class_elbos`."""


def class_elbos(
    key: PRNGKeyArray, denoiser: ConditionalDenoiser, x: Float[Array, " d"], *, n_classes: int, n_times: int
) -> Float[Array, " classes"]:
    """Lower bounds of log p(x | y) in nats, up to one constant for all classes, shape (n_classes,).

    Minus L_y = ½ ∫ ‖x - x̂_0‖² dSNR = ∫ ‖ε - ε̂‖² dλ, λ = log(alpha/sigma) (Kingma et al. 2021, arXiv 2107.00630,
    equation 17), from the λ of t = T, or `LOWEST_LAMBDA`, to that of t = 1. The integral is the mean over `n_times`
    evenly spaced λ with one draw of ε at each, the same for every class (Li et al. 2023, arXiv 2303.16203, section
    3.2), so that the common noise cancels in differences between classes.

    Args:
        key: The row's own key.
        denoiser: E[x_0 | x_t, y], at times between integers too.
        x: The row, scaled as the model sees it.
        n_classes: Number of classes.
        n_times: Number of values of λ.
    """
    schedule = denoiser.schedule
    lambda_T, lambda_1 = lambda_range(schedule)
    lowest = jnp.maximum(lambda_T, LOWEST_LAMBDA)
    # Antithetic pairs: what is odd in ε falls out of the mean.
    half = jax.random.normal(key, ((n_times + 1) // 2, *x.shape))
    eps = jnp.stack([half, -half], axis=1).reshape(-1, *x.shape)
    conditions = jax.vmap(denoiser.condition)(jnp.arange(n_classes))

    def add(i: Array, total: Float[Array, " classes"]) -> Float[Array, " classes"]:
        share = (i.astype(jnp.float32) + 0.5) / n_times
        t = time_at(schedule, lowest + share * (lambda_1 - lowest))
        alpha_t, sigma_t = alpha_sigma(schedule, t)
        x_t = alpha_t * x + sigma_t * eps[i]
        x0 = jax.vmap(lambda condition: denoiser.under(condition)(x_t, t))(conditions)
        return total + (alpha_t / sigma_t) ** 2 * ((x[None] - x0) ** 2).sum(axis=-1)

    total = jax.lax.fori_loop(0, n_times, add, jnp.zeros(n_classes))
    return -(lambda_1 - lowest) * total / n_times


def class_log_densities(
    key: PRNGKeyArray,
    denoiser: ConditionalDenoiser,
    x: Float[Array, " d"],
    *,
    n_classes: int,
    steps: int | None = None,
    lowest: float = LOWEST_LAMBDA,
) -> Float[Array, " classes"]:
    """Log p(x | y) in nats of one row for every class, shape (n_classes,), by the probability-flow ODE.

    The key decides the probes of Hutchinson's estimate, which is used beyond 64 columns; they are the same for every
    class. Rows less their class's mean are N(0, I) where deterministic solvers begin; see `log_density`.
    """
    probes = hutchinson_probes(key, len(x))

    def one(label: Array) -> Float[Array, ""]:
        own = UnobservedColumns.of(denoiser.given(label), tuple(range(len(x))), len(x))
        return log_density(own, x - own.centre, probes=probes, steps=steps, lowest=lowest)

    return jax.vmap(one)(jnp.arange(n_classes))


def posterior(
    log_likelihoods: Float[np.ndarray, "n classes"], class_sizes: Int[np.ndarray, " classes"]
) -> Float[np.ndarray, "n classes"]:
    """Posterior p(y | x) ∝ p(y) p(x | y), shape (n, classes), in float64.

    Args:
        log_likelihoods: log p(x | y), or lower bounds of it, up to a constant for each row.
        class_sizes: Number of rows of each class; p(y) is proportional to it.
    """
    log_joint = log_likelihoods.astype(np.float64) + np.log(class_sizes)
    joint = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
    return joint / joint.sum(axis=1, keepdims=True)
