"""Samplers: from x_T ~ N(0, I) to x_0 with a denoiser.

Samplers that step in the times of the schedule, ancestral sampling and DDIM, expose the transition of each step, the
mean and standard deviation of x_s given x_t, from which `steering` draws.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser, Row
from pointillist.diffusion.schedules import Schedule, alpha_sigma

Index = Int[Array, ""]
"""An integer, which may be traced: a time, or the index of a step or point."""

Moments = tuple[Row, Float[Array, ""]]
"""Mean, shape (d,), and standard deviation of a row."""


class Sampler(eqx.Module):
    """A sampler of one row, or of several dependent rows, per draw."""

    @property
    def n_diagnostics(self) -> int:
        """Number of diagnostic columns that follow those of a row."""
        return 0

    @property
    def rows_per_draw(self) -> int:
        """Number of rows per draw."""
        return 1

    @property
    def width(self) -> int:
        """Number of parallel network evaluations per step of a draw."""
        return 1

    @abstractmethod
    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, "*particles d"]:
        """Draw x_T ~ N(0, I), shape (columns,), or (particles, columns) for a population."""

    @abstractmethod
    def draw(self, key: PRNGKeyArray, denoiser: Any, x_T: Float[Array, "*particles d"]) -> Float[Array, "rows d"]:
        """Draw x_0, shape (rows_per_draw, d), from the x_T of `start`, with the same key.

        Samplers of rows take a `Denoiser`; samplers of tokens take a `TokenDenoiser` or `MixedDenoiser`.
        """


class RowSampler(Sampler):
    """A sampler of one row by one trajectory: from x_T through one point x_t per step to x_0.

    Attributes:
        order: Order of convergence of the deterministic method in the length of its steps.
        is_stochastic: Whether steps add noise; if not, x_T determines the row.
    """

    schedule: eqx.AbstractVar[Schedule]
    if TYPE_CHECKING:
        # A property, because type checkers reject a property that implements an abstract attribute.
        @property
        def is_stochastic(self) -> bool: ...

    order: ClassVar[int] = 1

    def start(self, key: PRNGKeyArray, columns: int) -> Row:
        """Draw x_T with `fold_in(key, 0)`."""
        return jax.random.normal(jax.random.fold_in(key, 0), (columns,))

    @abstractmethod
    def log_snr(self, i: Index) -> Float[Array, ""]:
        """Compute half the log-SNR, λ = log(alpha_t / sigma_t), at point i, where step i starts."""


class TransitionSampler(RowSampler):
    """A sampler of one row by steps from T down to 0, each based on the x̂_0 predicted where it starts.

    Attributes:
        steps: K, at most T: the steps run between times T · (K - i) / K, rounded down; None for T steps.
    """

    if TYPE_CHECKING:

        @property
        def steps(self) -> int | None: ...

    @property
    def n_steps(self) -> Index:
        """Number of steps."""
        return jnp.asarray(self.schedule.timesteps if self.steps is None else self.steps, jnp.int32)

    def time(self, i: Index) -> Index:
        """Return the time at which step i, 0 … n_steps - 1, starts; 0 for i = n_steps."""
        timesteps = jnp.asarray(self.schedule.timesteps)
        if self.steps is None:
            return timesteps - i
        # T · (K - i) might overflow 32 bits; (T mod K) · (K - i) fits into an unsigned integer.
        whole, rest = jnp.divmod(timesteps, self.steps)
        left = jnp.asarray(self.steps - i)
        parts = rest.astype(jnp.uint32) * left.astype(jnp.uint32) // jnp.uint32(self.steps)
        return whole * left + parts.astype(left.dtype)

    def log_snr(self, i: Index) -> Float[Array, ""]:
        alpha_t, sigma_t = alpha_sigma(self.schedule, self.time(i))
        return jnp.log(alpha_t / sigma_t)

    @abstractmethod
    def transition_from_x0(self, x0: Row, x_t: Row, t: Index, s: Index) -> Moments:
        """Compute the mean, shape (d,), and standard deviation (0 at s = 0) of x_s given x_t and x̂_0, s < t."""

    def transition(self, denoiser: Denoiser, x_t: Row, t: Index, s: Index) -> Moments:
        """Compute mean, shape (d,), and standard deviation of x_s given x_t."""
        return self.transition_from_x0(denoiser(x_t, t), x_t, t, s)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Row) -> Float[Array, "1 d"]:
        """Draw x_0, shape (1, d); the step from t uses `fold_in(key, t)`."""

        def step(i: Index, x_t: Row) -> Row:
            t = self.time(i)
            mean, std = self.transition(denoiser, x_t, t, self.time(i + 1))
            if not self.is_stochastic:
                return mean
            return mean + std * jax.random.normal(jax.random.fold_in(key, t), x_t.shape)

        return jax.lax.fori_loop(0, self.n_steps, step, x_T)[None]


class Ancestral(TransitionSampler):
    """The DDPM sampler (Ho et al. 2020, algorithm 2), between any two times s < t.

    With alpha_{t|s} = alpha_t / alpha_s and beta_{t|s} = sigma_t² - alpha_{t|s}² sigma_s² (for s = t - 1: beta_t), the
    mean is the mean of q(x_s | x_t, x_0) at the predicted x_0 (equation 7); in terms of ε it is
    (x_t - beta_t / sigma_t ε) / √(1 - beta_t). The step to s = 0 adds no noise.

    Attributes:
        variance: "beta": beta_{t|s}, the larger choice (section 3.2); "posterior": beta_{t|s} sigma_s² / sigma_t²;
            "zero": no noise, so x_T determines the row, which is then not a sample of the model's distribution.
    """

    schedule: Schedule
    variance: str = eqx.field(static=True)
    steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.variance not in ("beta", "posterior", "zero"):
            raise ValueError(f"variance must be 'beta', 'posterior' or 'zero', not {self.variance!r}")

    @property
    def is_stochastic(self) -> bool:
        """Whether the steps add noise (False if variance is "zero")."""
        return self.variance != "zero"

    def transition_from_x0(self, x0: Row, x_t: Row, t: Index, s: Index) -> Moments:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = (alpha_sigma(self.schedule, time) for time in (t, s))
        ratio = alpha_t / alpha_s
        beta = sigma_t**2 - ratio**2 * sigma_s**2
        mean = (alpha_s * beta / sigma_t**2) * x0 + (ratio * sigma_s**2 / sigma_t**2) * x_t
        factors: dict[str, Array | float] = {"beta": 1.0, "posterior": sigma_s**2 / sigma_t**2, "zero": 0.0}
        return mean, jnp.where(s == 0, 0.0, jnp.sqrt(beta * factors[self.variance]))


class DDIM(TransitionSampler):
    """DDIM (Song et al. 2020, arXiv 2010.02502, equation 12): x_s = alpha_s x̂_0 + √(sigma_s² - ς²) ε̂ + ς z.

    ς² = eta² (sigma_s² / sigma_t²)(1 - alpha_t² / alpha_s²) (equation 16): eta = 1 is the ancestral sampler with the
    posterior variance; eta = 0 adds no noise, so x_T determines the row.

    Attributes:
        eta: Amount of noise, in [0, 1].
    """

    schedule: Schedule
    eta: float = eqx.field(static=True, default=0.0)
    steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie between 0 and 1, not {self.eta:g}")

    @property
    def is_stochastic(self) -> bool:
        """Whether the steps add noise (eta above 0)."""
        return self.eta > 0

    def transition_from_x0(self, x0: Row, x_t: Row, t: Index, s: Index) -> Moments:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = (alpha_sigma(self.schedule, time) for time in (t, s))
        # The ancestral beta_{t|s}, because 1 - (alpha_t / alpha_s)² would cancel.
        beta = sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2
        variance = self.eta**2 * beta * sigma_s**2 / sigma_t**2
        eps = (x_t - alpha_t * x0) / sigma_t
        return alpha_s * x0 + jnp.sqrt(jnp.maximum(sigma_s**2 - variance, 0.0)) * eps, jnp.sqrt(variance)
