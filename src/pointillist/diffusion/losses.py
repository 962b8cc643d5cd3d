"""The denoising loss, and the distribution and weighting of its noise levels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from pointillist.diffusion.parameterizations import coefficients, loss_weight, target
from pointillist.diffusion.random_numbers import normal, uniform
from pointillist.diffusion.schedules import Schedule, alpha_sigma, at_lambda, lambda_range, time_at

LOG_NORMAL = (-0.5, 1.4)
"""Mean and standard deviation of log(σ / σ_d), σ = sigma_t / alpha_t; Karras et al. 2022 use -0.5 and 1.2."""

FRACTION_GIVEN = 0.9
"""Fraction of rows in which exactly the columns of `Objective.given` are observed, if there are any."""


class Noised(NamedTuple):
    """Inputs c_in x_t, (m, d), times and log(alpha_t / sigma_t), (m,), targets, and weights, (m, 1) or (m, d)."""

    inside: Float[Array, "m d"]
    t: Int[Array, " m"] | Float[Array, " m"]
    lambda_t: Float[Array, " m"]
    target: Float[Array, "m d"]
    weight: Float[Array, "m k"]


class CleanRows(NamedTuple):
    """Clean rows, and everything needed to turn them into training examples.

    Attributes:
        x0: Rows as the network sees them, shape (m, d), batch after batch.
        labels: Class indices, shape (m,); None without classes.
        schedule: The noise schedule; None for tokens, which are masked instead.
        sigma_data: Root mean square of each column, shape (d,); for rows of tokens and numbers, the covariance of the
            numbers, shape (k, k); None for tokens.
        features: Function of (times, log(alpha_t / sigma_t), labels) that returns the conditioning features; None for
            tokens, where the masked tokens reveal the noise level.
    """

    x0: Float[Array, "m d"]
    labels: Int[Array, " m"] | None = None
    schedule: Schedule | None = None
    sigma_data: Float[Array, "..."] | None = None
    features: Callable[[Array, Array, Array | None], Array] | None = None


HELD_OUT_DRAWS = 4
"""Number of noise levels drawn for each held-out row."""


@dataclass(frozen=True)
class Objective:
    """The training objective of rows of numbers.

    Attributes:
        prediction: What the network predicts, one of `parameterizations.PREDICTIONS`.
        weighting: Weighting of the loss, one of `parameterizations.WEIGHTINGS`.
        noise_levels: "uniform": t uniform on 1 … T (Ho et al. 2020, algorithm 1); "log-normal": log σ normal (Karras
            et al. 2022, section 5), between the schedule's lowest and highest σ.
        log_normal: Mean and standard deviation of log(σ / σ_d) of "log-normal".
        p_given: Fraction of rows with some columns observed without noise. The fraction of observed columns per row is
            uniform, and the loss covers the unobserved ones.
        given: Indices of columns that are all observed, and no others, in a fraction `FRACTION_GIVEN` of the rows;
            `p_given` applies to the other rows. The held-out loss covers the other columns, given these.
    """

    prediction: str = "eps"
    weighting: str = "uniform"
    noise_levels: str = "uniform"
    log_normal: tuple[float, float] = LOG_NORMAL
    p_given: float = 0.0
    given: tuple[int, ...] = ()

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Build the training examples of an epoch: the arguments of `denoising_loss` except the network, (m, …) each.

        `keys` are the keys of the noise levels and of the noise; `clean` holds whole batches.
        """
        quantile, eps = self.noise(*keys, len(clean.x0) // batch_size, batch_size, clean.x0.shape[1])
        examples = self._examples(clean, eps, quantile)
        if self.p_given == 0:
            return examples
        row_key, column_key = jax.random.split(jax.random.fold_in(keys[0], 1))
        u = jax.random.uniform(row_key, (len(eps), 1))
        if self.given:
            is_as_given = u < FRACTION_GIVEN
            u = (u - FRACTION_GIVEN) / (1 - FRACTION_GIVEN)
        is_observed = uniform(column_key, eps.shape) < 1 - u / self.p_given
        if self.given:
            is_observed = jnp.where(is_as_given, self._is_given(eps.shape), is_observed)
        return _with_observed(is_observed, clean.x0, examples)

    def _is_given(self, shape: tuple[int, ...]) -> Bool[Array, "m d"]:
        return jnp.broadcast_to(np.isin(np.arange(shape[1]), self.given), shape)

    def _examples(self, clean: CleanRows, eps: Float[Array, "m d"], quantile: Float[Array, " m"]) -> tuple[Array, ...]:
        assert clean.schedule is not None and clean.sigma_data is not None and clean.features is not None
        noised = self.noised(clean.x0, eps, quantile, clean.schedule, clean.sigma_data)
        features = clean.features(noised.t, noised.lambda_t, clean.labels)
        return noised.inside, features, noised.target, noised.weight

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Compute the mean loss of held-out rows at `HELD_OUT_DRAWS` stratified noise levels each."""
        level_key, noise_key = jax.random.split(key)
        x0 = jnp.repeat(clean.x0, HELD_OUT_DRAWS, axis=0)
        labels = None if clean.labels is None else jnp.repeat(clean.labels, HELD_OUT_DRAWS)
        # Stratified noise levels in random order have less variance than independent ones.
        quantile = (jax.random.permutation(level_key, len(x0)) + 0.5) / len(x0)
        eps = normal(noise_key, x0.shape)
        examples = self._examples(clean._replace(x0=x0, labels=labels), eps, quantile)
        if self.given:
            examples = _with_observed(self._is_given(x0.shape), x0, examples)
        return denoising_loss(network, *examples)

    def noise(
        self, level_key: PRNGKeyArray, noise_key: PRNGKeyArray, steps: int, batch_size: int, columns: int
    ) -> tuple[Float[Array, " m"], Float[Array, "m d"]]:
        """Draw the quantile of each row's noise level, in [0, 1), and its noise."""
        if self.noise_levels == "uniform":
            quantile = jax.random.uniform(level_key, (steps, batch_size)).ravel()
            # `random_numbers.normal` would compile differently and change the last bits of published studies.
            return quantile, jax.random.normal(noise_key, (steps * batch_size, columns))
        # Two ways to reduce the variance of the gradient, as rows are in random order: noise levels are stratified, and
        # neighbors have antithetic noise, which cancels odd terms.
        half = normal(noise_key, (steps, (batch_size + 1) // 2, columns))
        eps = jnp.stack([half, -half], axis=2).reshape(steps, -1, columns)[:, :batch_size]
        return stratified(level_key, steps, batch_size), eps.reshape(-1, columns)

    @staticmethod
    def loss(network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Compute `denoising_loss` of a batch, with matrix products in the given precision."""
        return denoising_loss(*in_precision((network, *batch[:2]), precision), *batch[2:])

    def noised(
        self,
        x0: Float[Array, "m d"],
        eps: Float[Array, "m d"],
        quantile: Float[Array, " m"],
        schedule: Schedule,
        sigma_data: Float[Array, " d"] | Float[Array, "m d"],
    ) -> Noised:
        """Add noise to rows, and compute targets and weights.

        `quantile` is the quantile of each row's noise level in the distribution of noise levels, in [0, 1), and
        `sigma_data` the root mean square of each column, shape (d,), or of each cell, shape (m, d); for cells,
        "log-normal" levels take σ_d to be 1.
        """
        t: Array
        if self.noise_levels == "uniform":
            timesteps = jnp.asarray(schedule.timesteps)
            t = 1 + jnp.floor(quantile * timesteps.astype(jnp.float32)).astype(jnp.int32)
            alpha_t, sigma_t = alpha_sigma(schedule, t)
            lambda_t = jnp.log(alpha_t / sigma_t)
        else:
            mean, std = self.log_normal
            log_sigma_data = 0.5 * jnp.log(jnp.mean(sigma_data**2)) if sigma_data.ndim == 1 else 0.0
            # ndtri is infinite at 0 and 1.
            z = jax.scipy.special.ndtri(jnp.clip(quantile, 1e-6, 1 - 1e-6))
            lambda_t = jnp.clip(-(log_sigma_data + mean + std * z), *lambda_range(schedule, -jnp.inf))
            t = time_at(schedule, lambda_t)
            alpha_t, sigma_t = at_lambda(lambda_t)
        alpha_t, sigma_t = alpha_t[:, None], sigma_t[:, None]
        x_t = alpha_t * x0 + sigma_t * eps
        sigma_data = jnp.atleast_2d(sigma_data)
        levels = self.prediction, alpha_t, sigma_t, sigma_data
        return Noised(
            inside=coefficients(*levels).inside * x_t,
            t=t,
            lambda_t=lambda_t,
            target=target(self.prediction, x0, eps, alpha_t, sigma_t, sigma_data),
            weight=loss_weight(self.weighting, *levels) * jnp.ones_like(alpha_t),
        )


def _with_observed(
    is_observed: Bool[Array, "m d"], x0: Float[Array, "m d"], examples: tuple[Array, ...]
) -> tuple[Array, ...]:
    """Reveal cells of training examples: their noised values are hidden and excluded from the loss."""
    inside, features, target, weight = examples
    is_shown = is_observed.astype(inside.dtype)
    features = jnp.concatenate([features, is_shown * x0, is_shown], axis=1)
    return inside * (1 - is_shown), features, target, weight * (1 - is_shown)


def in_precision(tree: Any, precision: str) -> Any:
    """Convert arrays of float32 to a lower precision."""
    return tree if precision == "float32" else jax.tree.map(lambda leaf: leaf.astype(precision), tree)


def stratified(key: PRNGKeyArray, steps: int, batch_size: int) -> Float[Array, " m"]:
    """Draw numbers in [0, 1) for the rows of several batches, one in each of batch_size equal strata."""
    shift = jax.random.uniform(key, (steps, 1))
    drawn = (jnp.arange(batch_size, dtype=jnp.float32)[None] + shift) / batch_size
    # Rounding may give 1.
    return jnp.minimum(drawn, 1 - 2.0**-24).ravel()


def denoising_loss(
    network: Callable[[Array, Array], Array],
    inside: Float[Array, "batch d"],
    features: Float[Array, "batch f"],
    target: Float[Array, "batch d"],
    weight: Float[Array, "batch k"],
) -> Float[Array, ""]:
    """Compute the weighted mean over rows and columns of (F - target)².

    With weight 1 and target ε this is the "simple" loss (Ho et al. 2020, equation 14).

    The network is a function (c_in x_t, features) → F of one row, (d,), (f,) → (d,); the weight has shape (batch, 1) or
    (batch, d).
    """
    return jnp.mean(weight * (jax.vmap(network)(inside, features) - target) ** 2)
