"""Samplers: from x_T ~ N(0, I) to x_0 with a denoiser.

A sampler of one row exposes its steps; those in the schedule's own times, ancestral sampling and DDIM, also expose each
step's transition: the mean and standard deviation of x_s given x_t. `draw` takes all steps. Samplers that wrap another
stop between its steps (`trajectories`), or draw from its transitions (`steering`).
"""

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser
from pointillist.diffusion.schedules import Schedule, alpha_sigma, at

VARIANCES = ("posterior", "beta")
"""Variances of the ancestral sampler's noise, by name; see `Ancestral`."""


class Sampler(eqx.Module):
    """A sampler draws rows: one, or several that belong together."""

    @property
    def n_diagnostics(self) -> int:
        """Number of columns beside those of a row, which say how its draw went."""
        return 0

    @property
    def rows_per_draw(self) -> int:
        """Number of rows that one draw makes together."""
        return 1

    @property
    def width(self) -> int:
        """Number of network evaluations that a step of one draw makes in parallel."""
        return 1

    @abstractmethod
    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, "*walks d"]:
        """Start of a draw: x_T ~ N(0, I), shape (columns,), or (its size, columns) for a population."""

    @abstractmethod
    def draw(self, key: PRNGKeyArray, denoiser: Any, x_T: Float[Array, "*walks d"]) -> Float[Array, "rows d"]:
        """Draws x_0, shape (rows_per_draw, d).

        Args:
            key: The draw's own key, the same as for `start`.
            denoiser: A `Denoiser` for E[x_0 | x_t]; samplers of tokens take another kind.
            x_T: The start that `start` returns.
        """


class RowSampler(Sampler):
    """A sampler of one row by one walk: from x_T through one point x_t per step to x_0, which the last step returns.

    It carries a state from point to point, which holds x_t and whatever else the next step needs.

    Attributes:
        schedule: The noise schedule, alpha_t and sigma_t; its T may be traced.
        order: Order of the method: how the error of a walk without noise falls with the length of its steps.
        evaluations_per_step: Number of evaluations of the denoiser per step.
        is_stochastic: Whether steps add noise; if not, x_T decides the row.
    """

    if TYPE_CHECKING:
        # An attribute or a property, which a type checker would not let stand for an attribute.
        @property
        def schedule(self) -> Schedule: ...  # noqa: D102

        @property
        def is_stochastic(self) -> bool: ...  # noqa: D102
    else:
        schedule: eqx.AbstractVar[Schedule]
        is_stochastic: eqx.AbstractVar[bool]

    order: ClassVar[int] = 1
    evaluations_per_step: ClassVar[int] = 1

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " d"]:
        """Draws x_T with `fold_in(key, 0)`."""
        return jax.random.normal(jax.random.fold_in(key, 0), (columns,))

    @property
    @abstractmethod
    def n_steps(self) -> Int[Array, ""]:
        """Number of steps of a walk: step i, 0 … n_steps - 1, begins at point i."""

    @abstractmethod
    def log_snr(self, i: Int[Array, ""]) -> Float[Array, ""]:
        """Half the log-SNR, λ = log(alpha_t / sigma_t), at point i."""

    @abstractmethod
    def begin(self, x_T: Float[Array, " d"]) -> Any:
        """The state at point 0."""

    @abstractmethod
    def step(self, key: PRNGKeyArray, denoiser: Denoiser, i: Int[Array, ""], state: Any) -> Any:
        """Takes step i, not the last: from the state at point i to that at the next."""

    @abstractmethod
    def x_t(self, i: Int[Array, ""], state: Any) -> Float[Array, " d"]:
        """Point i, x_t, from its state."""

    @abstractmethod
    def end(self, key: PRNGKeyArray, denoiser: Denoiser, i: Int[Array, ""] | int, state: Any) -> Float[Array, " d"]:
        """Takes all steps from point i on, and returns x_0."""

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, " d"]) -> Float[Array, "1 d"]:
        """Draws one row, by the whole walk."""
        return self.end(key, denoiser, 0, self.begin(x_T))[None]


class TransitionSampler(RowSampler):
    """A sampler of one row by steps from T down to 0, each from the denoiser's x̂_0 at its beginning.

    Attributes:
        steps: K, at most T: steps between times T · (K - i) / K, rounded down; None for all T of them.
    """

    if TYPE_CHECKING:

        @property
        def steps(self) -> int | None: ...  # noqa: D102
    else:
        steps: eqx.AbstractVar[int | None]

    @property
    def n_steps(self) -> Int[Array, ""]:
        """Number of steps: K, or T."""
        return jnp.asarray(self.schedule.timesteps if self.steps is None else self.steps, jnp.int32)

    def time(self, i: Int[Array, ""]) -> Int[Array, ""]:
        """The time at which step i, 0 … n_steps - 1, begins; 0 for i = n_steps."""
        timesteps = jnp.asarray(self.schedule.timesteps)
        if self.steps is None:
            return timesteps - i
        # T · (K - i) itself might not fit into 32 bits; the rest of T times K does, without a sign.
        whole, rest = jnp.divmod(timesteps, self.steps)
        left = jnp.asarray(self.steps - i)
        parts = rest.astype(jnp.uint32) * left.astype(jnp.uint32) // jnp.uint32(self.steps)
        return whole * left + parts.astype(left.dtype)

    def log_snr(self, i: Int[Array, ""]) -> Float[Array, ""]:
        """The λ of the time at which step i begins."""
        alpha_t, sigma_t = alpha_sigma(self.schedule, self.time(i))
        return jnp.log(alpha_t / sigma_t)

    @abstractmethod
    def transition_from_x0(
        self, x0: Float[Array, " d"], x_t: Float[Array, " d"], t: Int[Array, ""], s: Int[Array, ""]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """Mean, shape (d,), and standard deviation of x_s given x_t and the predicted x̂_0, s < t; 0 at s = 0."""

    def transition(
        self, denoiser: Denoiser, x_t: Float[Array, " d"], t: Int[Array, ""], s: Int[Array, ""]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """Mean, shape (d,), and standard deviation of x_s given x_t."""
        return self.transition_from_x0(denoiser(x_t, t), x_t, t, s)

    def begin(self, x_T: Float[Array, " d"]) -> Float[Array, " d"]:
        """The state at x_T, which is x_T itself."""
        return x_T

    def step(
        self, key: PRNGKeyArray, denoiser: Denoiser, i: Int[Array, ""], state: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        """Draws x_s; the step from t uses `fold_in(key, t)`."""
        t = self.time(i)
        mean, std = self.transition(denoiser, state, t, self.time(i + 1))
        if not self.is_stochastic:
            return mean
        return mean + std * jax.random.normal(jax.random.fold_in(key, t), state.shape)

    def x_t(self, i: Int[Array, ""], state: Float[Array, " d"]) -> Float[Array, " d"]:
        """The state, which is x_t itself."""
        return state

    def end(
        self, key: PRNGKeyArray, denoiser: Denoiser, i: Int[Array, ""] | int, state: Float[Array, " d"]
    ) -> Float[Array, " d"]:
        """Takes the remaining steps, and returns x_0; the last step is like the others."""
        return jax.lax.fori_loop(i, self.n_steps, partial(self.step, key, denoiser), state)


class Ancestral(TransitionSampler):
    """The DDPM sampler (Ho et al. 2020, algorithm 2), between any two times s < t.

    With alpha_{t|s} = alpha_t / alpha_s and beta_{t|s} = sigma_t² - alpha_{t|s}² sigma_s² (for s = t - 1: beta_t), the
    mean is that of q(x_s | x_t, x_0) at the predicted x_0 (equation 7); written with ε it is
    (x_t - beta_t / sigma_t ε) / √(1 - beta_t). No noise is added on a step to s = 0.

    Attributes:
        schedule: The noise schedule: alpha_t and sigma_t.
        variance: "beta": beta_{t|s}, the larger choice (section 3.2); "posterior": beta_{t|s} sigma_s² / sigma_t²;
            "zero": no noise is added, so x_T decides the row, which is then not a sample of the model's distribution.
        steps: See `TransitionSampler`.
    """

    schedule: Schedule
    variance: str = eqx.field(static=True)
    steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.variance not in (*VARIANCES, "zero"):
            raise ValueError(f"variance must be 'beta', 'posterior' or 'zero', not {self.variance!r}")

    @property
    def is_stochastic(self) -> bool:
        """Whether steps add noise: not for variance "zero"."""
        return self.variance != "zero"

    def transition_from_x0(
        self, x0: Float[Array, " d"], x_t: Float[Array, " d"], t: Int[Array, ""], s: Int[Array, ""]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """Mean and standard deviation of x_s."""
        alpha_t, alpha_s = at(self.schedule.alpha, t), at(self.schedule.alpha, s)
        sigma_t, sigma_s = at(self.schedule.sigma, t), at(self.schedule.sigma, s)
        ratio = alpha_t / alpha_s
        beta = sigma_t**2 - ratio**2 * sigma_s**2
        mean = (alpha_s * beta / sigma_t**2) * x0 + (ratio * sigma_s**2 / sigma_t**2) * x_t
        shares: dict[str, Array | float] = {"beta": 1.0, "posterior": sigma_s**2 / sigma_t**2, "zero": 0.0}
        return mean, jnp.where(s == 0, 0.0, jnp.sqrt(beta * shares[self.variance]))


class DDIM(TransitionSampler):
    """DDIM (Song et al. 2020, arXiv 2010.02502, equation 12): x_s = alpha_s x̂_0 + √(sigma_s² - ς²) ε̂ + ς z.

    ς² = eta² (sigma_s² / sigma_t²)(1 - alpha_t² / alpha_s²) (equation 16): eta = 1 is the ancestral sampler with the
    posterior variance, eta = 0 adds no noise at all, so x_T decides the row.

    Attributes:
        schedule: The noise schedule: alpha_t and sigma_t.
        eta: Amount of noise, in [0, 1].
        steps: See `TransitionSampler`.
    """

    schedule: Schedule
    eta: float = eqx.field(static=True, default=0.0)
    steps: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie between 0 and 1, not {self.eta:g}")

    @property
    def is_stochastic(self) -> bool:
        """Whether steps add noise: for eta above 0."""
        return self.eta > 0

    def transition_from_x0(
        self, x0: Float[Array, " d"], x_t: Float[Array, " d"], t: Int[Array, ""], s: Int[Array, ""]
    ) -> tuple[Float[Array, " d"], Float[Array, ""]]:
        """Mean and standard deviation of x_s."""
        alpha_t, alpha_s = at(self.schedule.alpha, t), at(self.schedule.alpha, s)
        sigma_t, sigma_s = at(self.schedule.sigma, t), at(self.schedule.sigma, s)
        # As the ancestral beta_{t|s}, which keeps its digits where 1 - (alpha_t / alpha_s)² would not.
        beta = sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2
        variance = self.eta**2 * beta * sigma_s**2 / sigma_t**2
        eps = (x_t - alpha_t * x0) / sigma_t
        return alpha_s * x0 + jnp.sqrt(jnp.maximum(sigma_s**2 - variance, 0.0)) * eps, jnp.sqrt(variance)
