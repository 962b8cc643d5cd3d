"""Class log-likelihoods from a conditional denoiser, which give a classifier without further training."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import ConditionalDenoiser, Row, UnobservedColumns
from pointillist.diffusion.likelihood import hutchinson_probes, log_density
from pointillist.diffusion.schedules import LOWEST_LAMBDA, alpha_sigma, lambda_range, time_at

N_TIMES = 128
"""Default number of values of λ for `class_elbos`."""


def class_elbos(
    key: PRNGKeyArray, denoiser: ConditionalDenoiser, x: Row, *, n_classes: int, n_times: int
) -> Float[Array, " classes"]:
    """Compute lower bounds of log p(x | y) in nats, up to a constant shared by all classes, shape (n_classes,).

    Minus L_y = ½ ∫ ‖x - x̂_0‖² dSNR = ∫ ‖ε - ε̂‖² dλ, λ = log(alpha/sigma) (Kingma et al. 2021, arXiv 2107.00630,
    equation 17), from the λ of t = T (or `LOWEST_LAMBDA`, if higher) to the λ of t = 1. The integral is estimated at
    `n_times` evenly spaced λ with one draw of ε each. All classes share the draws, so that the noise cancels in
    differences between classes (Li et al. 2023, arXiv 2303.16203, section 3.2).

    The row is scaled as the model sees it.
    """
    schedule = denoiser.schedule
    lowest, highest = lambda_range(schedule)
    # Antithetic pairs cancel odd terms in ε.
    half = jax.random.normal(key, ((n_times + 1) // 2, *x.shape))
    eps = jnp.stack([half, -half], axis=1).reshape(-1, *x.shape)
    conditions = jax.vmap(denoiser.condition)(jnp.arange(n_classes))

    def add(i: Array, total: Float[Array, " classes"]) -> Float[Array, " classes"]:
        fraction = (i.astype(jnp.float32) + 0.5) / n_times
        t = time_at(schedule, lowest + fraction * (highest - lowest))
        alpha_t, sigma_t = alpha_sigma(schedule, t)
        x_t = alpha_t * x + sigma_t * eps[i]
        x0 = jax.vmap(lambda condition: denoiser.under(condition)(x_t, t))(conditions)
        return total + (alpha_t / sigma_t) ** 2 * ((x[None] - x0) ** 2).sum(axis=-1)

    total = jax.lax.fori_loop(0, n_times, add, jnp.zeros(n_classes))
    return -(highest - lowest) * total / n_times


def class_log_densities(
    key: PRNGKeyArray,
    denoiser: ConditionalDenoiser,
    x: Row,
    *,
    n_classes: int,
    steps: int | None = None,
) -> Float[Array, " classes"]:
    """Compute log p(x | y) in nats of one row for every class, shape (n_classes,), by the probability-flow ODE.

    The key determines the probes of Hutchinson's estimate, which is used beyond 64 columns; all classes share them.
    The class mean is subtracted, so that noised rows are N(0, I) where solvers start; see `log_density`.
    """
    probes = hutchinson_probes(key, len(x))

    def for_class(label: Array) -> Float[Array, ""]:
        centred = UnobservedColumns.of(denoiser.given(label), tuple(range(len(x))), len(x))
        return log_density(centred, x - centred.centre, probes=probes, steps=steps, lowest=LOWEST_LAMBDA)

    return jax.vmap(for_class)(jnp.arange(n_classes))


def posterior(
    log_likelihoods: Float[np.ndarray, "n classes"], class_sizes: Int[np.ndarray, " classes"]
) -> Float[np.ndarray, "n classes"]:
    """Compute the posterior p(y | x) ∝ p(y) p(x | y), shape (n, classes), in float64.

    Log-likelihoods may be lower bounds, up to a constant per row; p(y) is proportional to the sizes of the classes.
    """
    log_joint = log_likelihoods.astype(np.float64) + np.log(class_sizes)
    joint = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
    return joint / joint.sum(axis=1, keepdims=True)
