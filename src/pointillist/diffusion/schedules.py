"""Noise schedules: how much of x_t is data and how much is noise.

x_t = alpha_t x_0 + sigma_t ε with ε ~ N(0, I) and alpha_t² + sigma_t² = 1 (variance preserving), for t = 0 … T, where
t = 0 is the data. alpha_t² is written ᾱ_t in the DDPM paper and `alpha_bar` here; beta_t = 1 - ᾱ_t / ᾱ_{t-1} is the
variance that step t adds.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Time = Int[Array, ""] | Float[Array, ""]
"""A time t: an integer, or a real number between two integers."""

AnyArray = Array | np.ndarray
"""An array of a schedule: of NumPy when built, which starts no device; of JAX in compiled code."""

MAX_BETA = 0.999
"""Largest beta of schedules that are defined by ᾱ_t (Nichol & Dhariwal 2021, section 3.2).

It keeps ᾱ_T above 0, where predicted noise still determines x_0, and keeps 1/√(1 - beta) of the last steps below 32.
"""

LOWEST_LAMBDA = -2.3
"""Lowest λ at which solvers, likelihoods and classifiers start; σ = sigma / alpha is 10 there.

Data makes up 1 % of the variance of x_t at this level. If columns have mean 0 and variance 1, x_t has the mean and
variance of N(0, I); for columns within [-1, 1] the error in the mean costs at most 0.005 nats. Starting lower would
spend some of the few evaluations where x_t carries almost no information.
"""


class Schedule(eqx.Module):
    """A table of alpha_t and sigma_t over t = 0 … T; a pytree, so that schedules can be stacked.

    Attributes:
        alpha: alpha_t, shape (L,), L at least T + 1; entries beyond T repeat the last (see `stack`).
        sigma: sigma_t, shape (L,).
        timesteps: T, a scalar.
    """

    alpha: Float[AnyArray, "*stack L"]
    sigma: Float[AnyArray, "*stack L"]
    timesteps: Int[AnyArray, "*stack"]

    @property
    def alpha_bar(self) -> Float[AnyArray, "*stack L"]:
        """ᾱ_t = alpha_t², the fraction of x_t's variance that is signal."""
        return self.alpha**2


def _from_beta(beta: Float[np.ndarray, " T"]) -> Schedule:
    alpha_bar = np.concatenate([[1.0], np.cumprod(1 - beta)])
    if np.sqrt(alpha_bar.min()) < np.finfo(np.float32).tiny:
        raise ValueError(
            "the noise schedule shrinks the data below what float32 can represent: use fewer timesteps or smaller betas"
        )
    # Computed in float64, because 1 - ᾱ_t near t = 0 would cancel in float32.
    return Schedule(
        alpha=np.sqrt(alpha_bar).astype(np.float32),
        sigma=np.sqrt(1 - alpha_bar).astype(np.float32),
        timesteps=np.asarray(len(alpha_bar) - 1, np.int32),
    )


def _clipped(alpha_bar: Float[np.ndarray, " L"]) -> Schedule:
    return _from_beta(np.minimum(1 - alpha_bar[1:] / alpha_bar[:-1], MAX_BETA))


def linear(timesteps: int, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    """Linear schedule: beta_t evenly spaced from `beta_start` to `beta_end` (Ho et al. 2020, arXiv 2006.11239, §4).

    T is at least 1, and 0 < beta_start <= beta_end < 1.
    """
    if not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"need 0 < beta_start <= beta_end < 1, not {beta_start:g} and {beta_end:g}")
    return _from_beta(np.linspace(beta_start, beta_end, _checked(timesteps)))


def cosine(timesteps: int) -> Schedule:
    """Cosine schedule: ᾱ_t = f(t)/f(0), f(t) = cos²((t/T + s)/(1 + s) · π/2), s = 0.008; beta_t at most 0.999.

    Source: Nichol & Dhariwal 2021, arXiv 2102.09672, equation 17. ᾱ_t is recomputed after beta is clipped.
    """
    offset = 0.008
    t = np.linspace(0, 1, _checked(timesteps) + 1)
    f = np.cos((t + offset) / (1 + offset) * np.pi / 2) ** 2
    return _clipped(f / f[0])


def sigmoid(timesteps: int) -> Schedule:
    """Sigmoid schedule: ᾱ_t = (S(3) - S(6 t/T - 3)) / (S(3) - S(-3)), S the logistic function.

    Source: Chen 2023, arXiv 2301.10972, algorithm 1, with start -3, end 3 and τ = 1 (ᾱ_t clipped from below at 1e-9).
    beta_t is at most 0.999, as for `cosine`. Other libraries call a schedule whose *beta* is logistic "sigmoid"; this
    one differs.
    """
    logistic = 1 / (1 + np.exp(3 - 6 * np.linspace(0, 1, _checked(timesteps) + 1)))
    return _clipped(np.clip((logistic[-1] - logistic) / (logistic[-1] - logistic[0]), 1e-9, 1))


def padded(schedule: Schedule, length: int) -> Schedule:
    """Pad the tables of a schedule to `length` entries, so that schedules of any length share compiled programs."""

    def pad(table: AnyArray) -> np.ndarray:
        return np.pad(np.asarray(table), (0, length - len(table)), mode="edge")

    return Schedule(pad(schedule.alpha), pad(schedule.sigma), schedule.timesteps)


def stack(schedules: Sequence[Schedule]) -> Schedule:
    """Stack one or more schedules along a new first axis, padding each to the longest by repeating its last entry."""
    length = max(len(s.alpha) for s in schedules)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(padded(s, length) for s in schedules))


def prior_kl(schedule: Schedule, rows: Float[np.ndarray, "n d"]) -> float:
    """Compute KL(q(x_T | x_0) ‖ N(0, I)) in nats, averaged over rows: the error of starting a sampler from N(0, I).

    It equals ½ (alpha_T² ‖x_0‖² + d (sigma_T² - 1 - ln sigma_T²)), the prior term of the variational bound
    (Ho et al. 2020, equation 5), and an upper bound on KL(q(x_T) ‖ N(0, I)). Rows are scaled as the model sees them.
    """
    alpha_bar = float(schedule.alpha[schedule.timesteps]) ** 2
    rows = np.asarray(rows, dtype=np.float64)
    squared_norm = float((rows**2).sum(axis=1).mean())
    # ᾱ + ln(1 - ᾱ) would cancel without log1p for a small ᾱ; where ᾱ is near 1, sigma is more precise than 1 - ᾱ.
    sigma = float(schedule.sigma[schedule.timesteps])
    log_variance = float(np.log1p(-alpha_bar)) if alpha_bar < 0.5 else 2 * float(np.log(sigma))
    return 0.5 * (alpha_bar * squared_norm + rows.shape[1] * (-alpha_bar - log_variance))


def _checked(timesteps: int) -> int:
    if timesteps < 1:
        raise ValueError(f"timesteps must be at least 1, not {timesteps}")
    return timesteps


def alpha_sigma(
    schedule: Schedule, t: Int[Array, "*rows"] | Float[Array, "*rows"]
) -> tuple[Float[Array, "*rows"], Float[Array, "*rows"]]:
    """Look up alpha_t and sigma_t; between integers, t in [1, T], interpolate linearly in log-SNR."""
    if jnp.issubdtype(t.dtype, jnp.integer):
        return jnp.asarray(schedule.alpha)[t], jnp.asarray(schedule.sigma)[t]
    log_snr = _log_snr(schedule)
    return at_lambda(jnp.interp(t, 1.0 + jnp.arange(len(log_snr), dtype=jnp.float32), log_snr))


def at_lambda(lambda_t: Float[Array, "*rows"]) -> tuple[Float[Array, "*rows"], Float[Array, "*rows"]]:
    """Compute alpha and sigma from λ = log(alpha / sigma), half the log-SNR: alpha² = 1 / (1 + e^-2λ)."""
    return jnp.sqrt(jax.nn.sigmoid(2 * lambda_t)), jnp.sqrt(jax.nn.sigmoid(-2 * lambda_t))


def time_at(schedule: Schedule, lambda_t: Float[Array, "*rows"]) -> Float[Array, "*rows"]:
    """Find the time t, a real number in [1, T], at which log(alpha_t / sigma_t) equals `lambda_t`."""
    log_snr = _log_snr(schedule)
    t = jnp.interp(-lambda_t, -log_snr, 1.0 + jnp.arange(len(log_snr), dtype=jnp.float32))
    # A padded table repeats its last entry beyond T.
    return jnp.minimum(t, jnp.asarray(schedule.timesteps).astype(jnp.float32))


def lambda_range(schedule: Schedule, lowest: float = LOWEST_LAMBDA) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return λ = log(alpha_t / sigma_t) at t = T, or `lowest` if that is higher, and at t = 1."""
    log_snr = _log_snr(schedule)
    return jnp.maximum(log_snr[-1], lowest), log_snr[0]


def _log_snr(schedule: Schedule) -> Float[Array, " T"]:
    return jnp.log(jnp.asarray(schedule.alpha)[1:] / jnp.asarray(schedule.sigma)[1:])
