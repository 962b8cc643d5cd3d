"""Reward guidance: samplers that steer another sampler towards p(x_0) exp(r(x_0) / temperature).

A reward r is a function of rows, (m, d) → (m,). If JAX cannot trace it, the caller evaluates it between `begin`, `step`
and `finish`. A reward of -inf forbids a row. Rows are NaN if any reward was NaN or +inf, or if all final candidates are
forbidden.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.conditioning.populations import THRESHOLD, normalized, systematic_resampling
from pointillist.diffusion.denoisers import Denoiser, Label, Row
from pointillist.diffusion.random_numbers import normal
from pointillist.diffusion.samplers import Index, Sampler, TransitionSampler


@runtime_checkable
class ConditionalReward(Protocol):
    """A reward that depends on the requested class; an equinox module, whose arrays are traced."""

    def given(self, label: Label) -> Callable[[Array], Array]:
        """Return the reward of one class, a function (m, d) → (m,)."""
        ...


def _as_pytree(reward: Any) -> Any:
    # A function becomes a static part of the sampler: equal functions share compiled programs.
    return reward if isinstance(reward, (eqx.Module, jax.tree_util.Partial)) else jax.tree_util.Partial(reward)


class Points(eqx.Module):
    """State of a steered draw.

    Attributes:
        x0: Predicted x̂_0, whose reward the caller may evaluate, shape (width, d).
        resampled_by: Log-potential of each particle that earlier resampling has accounted for, shape (width,); 0 for
            samplers that do not resample.
    """

    x_t: Float[Array, "k d"]
    x0: Float[Array, "k d"]
    resampled_by: Float[Array, " k"]


class Steered(Sampler):
    """A sampler steered by a reward.

    Attributes:
        temperature: Increase of the reward that makes a row e times as likely; of `SVDD`, 0 keeps the best candidate.
        candidates: Number of candidates or particles per row, at least 1.
    """

    sampler: TransitionSampler
    reward: Any = eqx.field(converter=_as_pytree)
    temperature: Float[Array | np.ndarray, ""] | float = 0.1
    candidates: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        if not self.sampler.is_stochastic:
            raise ValueError(
                f"{type(self).__name__} needs a stochastic sampler: with a deterministic one all candidates are equal"
            )

    def given(self, label: Label) -> "Steered":
        """Return the sampler with the reward of one class."""
        return replace(self, reward=self.reward.given(label)) if isinstance(self.reward, ConditionalReward) else self

    def begin(self, denoiser: Denoiser, x_T: Float[Array, "*particles d"]) -> Points:
        """Return the state at T."""
        # All candidates of a row share one x_T. Among independent ones, which lie far apart, a first choice by a rough
        # prediction would outweigh all later choices.
        x_T = jnp.broadcast_to(x_T, (self.width, x_T.shape[-1]))
        x0 = jax.vmap(denoiser, (0, None))(x_T, self.sampler.time(jnp.zeros((), jnp.int32)))
        return Points(x_T, x0, jnp.zeros(self.width))

    @abstractmethod
    def _select(self, key: PRNGKeyArray, points: Points, rewards: Float[Array, " k"]) -> Points:
        """Select the points from which the next x_s are drawn."""

    @abstractmethod
    def finish(self, key: PRNGKeyArray, points: Points, rewards: Float[Array, " k"]) -> Float[Array, "rows d"]:
        """Select x_0 from the x̂_0 before the last step, in which x_0 equals x̂_0."""

    def step(
        self, key: PRNGKeyArray, denoiser: Denoiser, i: Index, points: Points, rewards: Float[Array, " k"]
    ) -> Points:
        """Take step i (not the last) from points and the rewards of their x̂_0 to the next points."""
        t, s = self.sampler.time(i), self.sampler.time(i + 1)
        selection_key, noise_key = jax.random.split(jax.random.fold_in(key, t))
        points = self._select(selection_key, points, rewards)
        mean, std = jax.vmap(self.sampler.transition_from_x0, (0, 0, None, None), (0, None))(
            points.x0, points.x_t, t, s
        )
        x_s = mean + std * normal(noise_key, mean.shape)
        return Points(x_s, jax.vmap(denoiser, (0, None))(x_s, s), points.resampled_by)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, "*particles d"]) -> Float[Array, "rows d"]:
        """Draw by the whole trajectory, with a reward that JAX can trace."""

        def rewards(points: Points) -> Float[Array, " k"]:
            values = self.reward(points.x0)
            return jnp.where(values == jnp.inf, jnp.nan, values)

        def step(i: Array, points: Points) -> Points:
            return self.step(key, denoiser, i, points, rewards(points))

        points = jax.lax.fori_loop(0, self.sampler.n_steps - 1, step, self.begin(denoiser, x_T))
        return self.finish(key, points, rewards(points))


class SVDD(Steered):
    """SVDD-PM (Li et al. 2024, arXiv 2408.08252, algorithm 1 with the posterior mean as value function).

    Each step draws M candidates for x_s from the transition of the sampler, scores each by the reward of its predicted
    x̂_0, and keeps one with probability softmax(r / temperature). The next step reuses the x̂_0 of that candidate, so a
    step takes M network evaluations.

    Even with many candidates, samples follow the target exactly only if r(x̂_0) equals the soft value
    temperature · log E[exp(r(x_0) / temperature) | x_t] up to a constant, as for a linear reward and normal data.
    """

    @property
    def width(self) -> int:
        return self.candidates

    def start(self, key: PRNGKeyArray, columns: int) -> Row:
        return self.sampler.start(key, columns)

    def _select(self, key: PRNGKeyArray, points: Points, rewards: Float[Array, " k"]) -> Points:
        kept, shape = self._kept(key, rewards), points.x_t.shape
        x_t, x0 = (jnp.broadcast_to(kept @ each, shape) for each in (points.x_t, points.x0))
        return Points(x_t, x0, points.resampled_by)

    def finish(self, key: PRNGKeyArray, points: Points, rewards: Float[Array, " k"]) -> Float[Array, "1 d"]:
        row = self._kept(jax.random.fold_in(key, 1), rewards) @ points.x0
        return jnp.where(rewards.max() == -jnp.inf, jnp.nan, row)[None]

    def _kept(self, key: PRNGKeyArray, rewards: Float[Array, " k"]) -> Float[Array, " k"]:
        """Return 1 for the kept candidate and 0 for the others; NaN if any reward is NaN."""
        temperature = jnp.asarray(self.temperature, jnp.float32)
        # Gumbel trick: the argmax of r / temperature + Gumbel noise is a draw from the softmax.
        scaled = rewards / jnp.where(temperature == 0, 1.0, temperature)
        noise = jnp.where(temperature == 0, 0.0, jax.random.gumbel(key, rewards.shape))
        one_hot = jax.nn.one_hot(jnp.argmax(scaled + noise), len(rewards))
        return jnp.where(jnp.isnan(rewards).any(), jnp.nan, one_hot)


class ChainedSVDD(SVDD):
    """SVDD-PM with chained candidates, as a published study implemented it; for comparison with its numbers.

    At time t, candidate i + 1 is drawn from the transition of candidate i at the same t, so the M candidates are M
    consecutive steps of the sampler. One is kept with probability softmax(r / temperature), where r is the reward of
    the mean of one more step rather than of x̂_0. The last step adds no noise. A step takes M + 1 sequential network
    evaluations.

    This differs from the method of the authors of SVDD: a row takes about M / 2 steps at each noise level, which draws
    it towards regions of high density.
    """

    @property
    def width(self) -> int:
        return 1

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Row) -> Float[Array, "1 d"]:
        def step(i: Array, x_t: Array) -> Array:
            t, s = self.sampler.time(i), self.sampler.time(i + 1)
            selection_key, noise_key = jax.random.split(jax.random.fold_in(key, t))

            def link(step: tuple[Array, Array], noise: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
                mean, std = step
                candidate = mean + std * noise
                following = self.sampler.transition(denoiser, candidate, t, s)
                return following, (candidate, following[0])

            noise = normal(noise_key, (self.candidates, *x_t.shape))
            _, (candidates, scored) = jax.lax.scan(link, self.sampler.transition(denoiser, x_t, t, s), noise)
            return self._kept(selection_key, self.reward(scored)) @ candidates

        return jax.lax.fori_loop(0, self.sampler.n_steps, step, x_T)[None]


class FeynmanKac(Steered):
    """Feynman-Kac steering (Singhal et al. 2025, arXiv 2501.06848, algorithm 1).

    A population of particles moves together. A particle's potentials up to time t multiply to exp(r(x̂_0(x_t)) /
    temperature), the "difference" potential of section 3.1. The population is resampled systematically when its
    effective sample size falls below half of its size. The last weight makes the target exact: with many particles the
    rows follow it.

    A draw selects particles / candidates rows by the final weights and returns them in random order, so a row costs
    as much as with `SVDD` and the same number of candidates. The rows of one draw share ancestors, so they are not
    independent.

    Attributes:
        particles: Size of the population, a multiple of `candidates`; near 500 by default.
    """

    particles: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        if self.width % self.candidates:
            raise ValueError(
                f"particles must be a multiple of candidates: {self.width} is not a multiple of {self.candidates}"
            )

    @property
    def rows_per_draw(self) -> int:
        return self.width // self.candidates

    @property
    def width(self) -> int:
        return self.particles or max(1, 500 // self.candidates) * self.candidates

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, "k d"]:
        return jax.random.normal(jax.random.fold_in(key, 0), (self.width, columns))

    def _select(self, key: PRNGKeyArray, points: Points, rewards: Float[Array, " k"]) -> Points:
        score = rewards / self.temperature
        log_weights = score - points.resampled_by
        is_due = 1 / (normalized(log_weights) ** 2).sum() < THRESHOLD * self.width
        resampled = systematic_resampling(jax.random.uniform(key), log_weights, self.width)
        parents = jnp.where(is_due, resampled, jnp.arange(self.width))
        x0 = jnp.where(jnp.isnan(rewards).any(), jnp.nan, points.x0[parents])
        return Points(points.x_t[parents], x0, jnp.where(is_due, score, points.resampled_by)[parents])

    def finish(self, key: PRNGKeyArray, points: Points, rewards: Float[Array, " k"]) -> Float[Array, "rows d"]:
        """Draw rows by the final weights, which replace the potential of each particle by the reward of its x_0."""
        final_key, order_key = jax.random.split(jax.random.fold_in(key, 1))
        log_weights = rewards / self.temperature - points.resampled_by
        kept = systematic_resampling(jax.random.uniform(final_key), log_weights, self.rows_per_draw)
        # Shuffled, because systematic resampling preserves order and a caller may use only the first rows of a draw.
        kept = jax.random.permutation(order_key, kept)
        is_lost = jnp.isnan(rewards).any() | (rewards.max() == -jnp.inf)
        return jnp.where(is_lost, jnp.nan, points.x0[kept])
