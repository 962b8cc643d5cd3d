"""Class log-likelihoods of a row from a conditional denoiser: what a classifier without training is made of."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.denoisers import ConditionalDenoiser
from pointillist.diffusion.likelihood import log_density
from pointillist.diffusion.schedules import alpha_sigma, lambda_range, time_at


def class_elbos(
    key: PRNGKeyArray, denoiser: ConditionalDenoiser, x: Float[Array, " d"], *, n_classes: int, n_times: int
) -> Float[Array, " classes"]:
    """Lower bounds of log p(x | y) in nats, up to one constant for all classes, shape (n_classes,).

    Minus L_y = ½ ∫ ‖x - x̂_0‖² dSNR = ∫ ‖ε - ε̂‖² dλ, λ = log(alpha/sigma) (Kingma et al. 2021, arXiv 2107.00630,
    equation 17), from the λ of t = T to that of t = 1. The integral is a stratified mean over `n_times` values of λ
    with one draw of ε at each, and the same λ and ε for every class (Li et al. 2023, arXiv 2303.16203, section 3.2):
    the noise common to the classes falls out of their differences.

    Args:
        key: The row's own.
        denoiser: E[x_0 | x_t, y], at times between integers too.
        x: The row, scaled as the model sees it.
        n_classes: Number of classes.
        n_times: Values of λ.
    """
    lambda_T, lambda_1 = lambda_range(denoiser.schedule)
    offset_key, noise_key = jax.random.split(key)
    # Antithetic pairs: what is odd in ε falls out of the mean.
    half = jax.random.normal(noise_key, ((n_times + 1) // 2, *x.shape))
    eps = jnp.stack([half, -half], axis=1).reshape(-1, *x.shape)[:n_times]
    shares = (jnp.arange(n_times, dtype=jnp.float32) + jax.random.uniform(offset_key, (n_times,))) / n_times

    def error(share: Array, eps: Array, label: Array) -> Array:
        schedule = denoiser.schedule
        t = time_at(schedule, lambda_T + share * (lambda_1 - lambda_T))
        alpha_t, sigma_t = alpha_sigma(schedule, t)
        x0 = denoiser.given(label)(alpha_t * x + sigma_t * eps, t)
        return (alpha_t / sigma_t) ** 2 * ((x - x0) ** 2).sum()

    over_times = jax.vmap(error, (0, 0, None))
    errors = jax.vmap(over_times, (None, None, 0))(shares, eps, jnp.arange(n_classes))
    return -(lambda_1 - lambda_T) * errors.mean(axis=1)


def class_log_densities(
    denoiser: ConditionalDenoiser, x: Float[Array, " d"], *, n_classes: int, tolerance: float = 1e-4
) -> Float[Array, " classes"]:
    """Log p(x | y) in nats of one row for every class, shape (n_classes,), by the probability-flow ODE."""
    one = lambda label: log_density(denoiser.given(label), x, tolerance=tolerance)  # noqa: E731
    return jax.vmap(one)(jnp.arange(n_classes))
