"""Class log-likelihoods from a conditional denoiser, which give a classifier without further training.

The classes are functions of a row, scaled as the model sees it, for `map_rows`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import ConditionalDenoiser, Row, UnobservedColumns
from pointillist.diffusion.likelihood import RowFunction, hutchinson_probes, log_density, n_tangents
from pointillist.diffusion.schedules import LOWEST_LAMBDA, alpha_sigma, lambda_range, time_at

N_TIMES = 128
"""Default number of values of λ for `ClassElbos`."""

CLASS_STEPS = 40
"""Solver steps for comparing classes; an adaptive solver takes several times as long on ReLU networks."""


class ClassElbos(RowFunction):
    """Lower bounds of log p(x | y) in nats, up to a constant shared by all classes, shape (n_classes,).

    Minus L_y = ½ ∫ ‖x - x̂_0‖² dSNR = ∫ ‖ε - ε̂‖² dλ, λ = log(alpha/sigma) (Kingma et al. 2021, arXiv 2107.00630,
    equation 17), from the λ of t = T (or `LOWEST_LAMBDA`, if higher) to the λ of t = 1. The integral is estimated at
    `n_times` evenly spaced λ with one draw of ε each. All classes share the draws, so that the noise cancels in
    differences between classes (Li et al. 2023, arXiv 2303.16203, section 3.2).
    """

    denoiser: ConditionalDenoiser
    n_classes: int = eqx.field(static=True)
    n_times: int = eqx.field(static=True, default=N_TIMES)

    def __call__(self, key: PRNGKeyArray, x: Row) -> Float[Array, " classes"]:
        """Compute the bounds; the key determines ε."""
        schedule = self.denoiser.schedule
        lowest, highest = lambda_range(schedule)
        # Antithetic pairs cancel odd terms in ε.
        half = jax.random.normal(key, ((self.n_times + 1) // 2, *x.shape))
        eps = jnp.stack([half, -half], axis=1).reshape(-1, *x.shape)
        conditions = jax.vmap(self.denoiser.condition)(jnp.arange(self.n_classes))

        def add(i: Array, total: Float[Array, " classes"]) -> Float[Array, " classes"]:
            fraction = (i.astype(jnp.float32) + 0.5) / self.n_times
            t = time_at(schedule, lowest + fraction * (highest - lowest))
            alpha_t, sigma_t = alpha_sigma(schedule, t)
            x_t = alpha_t * x + sigma_t * eps[i]
            x0 = jax.vmap(lambda condition: self.denoiser.under(condition)(x_t, t))(conditions)
            return total + (alpha_t / sigma_t) ** 2 * ((x[None] - x0) ** 2).sum(axis=-1)

        total = jax.lax.fori_loop(0, self.n_times, add, jnp.zeros(self.n_classes))
        return -(highest - lowest) * total / self.n_times

    def width(self, columns: int) -> int:
        return self.n_classes


class ClassLogDensities(RowFunction):
    """Log-densities log p(x | y) in nats for every class, shape (n_classes,), by the probability-flow ODE.

    The class mean is subtracted, so that noised rows are N(0, I) where solvers start; see `log_density`.
    """

    denoiser: ConditionalDenoiser
    n_classes: int = eqx.field(static=True)
    steps: int | None = eqx.field(static=True, default=CLASS_STEPS)

    def __call__(self, key: PRNGKeyArray, x: Row) -> Float[Array, " classes"]:
        """Compute the log-densities; beyond 64 columns the key determines the probes, which all classes share."""
        probes = hutchinson_probes(key, len(x))

        def of_class(label: Array) -> Float[Array, ""]:
            centered = UnobservedColumns.of(self.denoiser.given(label), tuple(range(len(x))), len(x))
            return log_density(centered, x - centered.center, probes=probes, steps=self.steps, lowest=LOWEST_LAMBDA)

        return jax.vmap(of_class)(jnp.arange(self.n_classes))

    def width(self, columns: int) -> int:
        return self.n_classes * (n_tangents(columns) + 1)


def posterior(
    log_likelihoods: Float[np.ndarray, "n classes"], class_sizes: Int[np.ndarray, " classes"]
) -> Float[np.ndarray, "n classes"]:
    """Compute the posterior p(y | x) ∝ p(y) p(x | y), shape (n, classes), in float64.

    Log-likelihoods may be lower bounds, up to a constant per row; p(y) is proportional to the sizes of the classes.
    """
    log_joint = log_likelihoods.astype(np.float64) + np.log(class_sizes)
    joint = np.exp(log_joint - log_joint.max(axis=1, keepdims=True))
    return joint / joint.sum(axis=1, keepdims=True)
