"""Diffusion regression: the conditional distribution p(y | x) of one number, from a network of x and noised y.

The network is conditioned on features of x like those of Gorishniy et al. (2022, arXiv 2203.05556). In one dimension
the probability-flow ODE is a monotone map between N(0, 1) and the distribution of y. Some inputs may be out-of-fold
predictions of y by another model, called guesses.
"""

from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditioning.twisting import log_interval
from pointillist.diffusion.likelihood import RowFunction
from pointillist.diffusion.losses import HELD_OUT_DRAWS, CleanRows, in_precision
from pointillist.diffusion.networks import waves
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.mixed_likelihood import FLOW_POINTS, noised_mean, solve_flow
from pointillist.diffusion.tokens.mixed_losses import NUMBER_OBJECTIVE
from pointillist.diffusion.tokens.mixed_networks import NumberNetwork
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE, NumberDenoiser

FREQUENCIES = 1.0, 2.0
"""Frequencies of the Fourier features of x that every network sees."""

MORE_FREQUENCIES = np.pi / 2, np.pi, 2 * np.pi
"""Frequencies of the Fourier features of x that only some networks see."""

MAX_FOURIER_INPUT = 5.0
"""Absolute value, in standard deviations, to which x is clipped for `MORE_FREQUENCIES`."""

PIECES = 12
"""Number of pieces, between quantiles of x, of the piecewise linear features that only some networks see."""

GAIN = 3.0
"""Factor of all features, with which networks learn less smooth functions of x sooner."""

VIEWS = ((1.0, 0.0), (0.0, 0.0), (0.0, 1.0))
"""Views, assigned to networks in turn: weights of `MORE_FREQUENCIES` and of the pieces. No view suits all tables."""


def target_tokens(n_inputs: int) -> Tokens:
    """Return a layout with one single-valued token per feature of x; the first token carries y."""
    return Tokens((1,) * ((1 + 2 * len(FREQUENCIES) + 2 * len(MORE_FREQUENCIES) + PIECES) * n_inputs), (), (0,), (0,))


def features(x: Float[Array, " m"], view: Float[Array, " 2"]) -> Float[Array, " f"]:
    """Compute the features of x in a view; features outside the view are 0.

    Args:
        x: The k inputs in standard units, followed by the k positions among their quantiles: 0 at the minimum, i at the
            ith of the quantiles that delimit the pieces, and linear in between.
        view: One of `VIEWS`.
    """
    numbers, positions = jnp.split(x, 2)
    further = waves(jnp.clip(numbers, -MAX_FOURIER_INPUT, MAX_FOURIER_INPUT), MORE_FREQUENCIES)
    pieces = [2 * jnp.clip(positions - i, 0.0, 1.0) - 1 for i in range(PIECES)]
    parts = [*waves(numbers, FREQUENCIES), *(view[0] * part for part in further), *(view[1] * part for part in pieces)]
    # √2 gives all features a variance near 1, like the inputs.
    return GAIN * jnp.concatenate([numbers, *(2**0.5 * part for part in parts)])


def guess_mask(n_inputs: int, n_guesses: int) -> Bool[np.ndarray, " m"]:
    """Return which arguments of `features` belong to guesses, which are the last inputs."""
    return np.arange(2 * n_inputs) % n_inputs >= n_inputs - n_guesses


@dataclass(frozen=True)
class TargetObjective:
    """The training objective of p(y | x): the EDM loss of y in standard units.

    Rows hold y, x as `features` takes it, and the view.
    """

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Build the training examples of an epoch: rows, c_in y_t, λ and target."""
        return self._examples(clean, *NUMBER_OBJECTIVE.noise(*keys, len(clean.x0) // batch_size, batch_size, 1))

    def _examples(self, clean: CleanRows, quantile: Float[Array, " m"], eps: Float[Array, "m 1"]) -> tuple[Array, ...]:
        assert clean.schedule is not None
        noised = NUMBER_OBJECTIVE.noised(clean.x0[:, :1], eps, quantile, clean.schedule, jnp.ones(1))
        return clean.x0, noised.inside, noised.lambda_t[:, None], noised.target

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Compute the mean loss of held-out rows at `HELD_OUT_DRAWS` stratified noise levels each."""
        level_key, noise_key = jax.random.split(key)
        x0 = jnp.repeat(jnp.asarray(clean.x0), HELD_OUT_DRAWS, axis=0)
        quantile = (jax.random.permutation(level_key, len(x0)) + 0.5) / len(x0)
        eps = jax.random.normal(noise_key, (len(x0), 1))
        return self._loss(network, *self._examples(clean._replace(x0=x0), quantile, eps))

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Compute the loss of a batch, with matrix products in the given precision."""
        return self._loss(in_precision(network, precision), *batch)

    def _loss(self, network: NumberNetwork, rows: Array, inside: Array, lambda_t: Array, target: Array) -> Array:
        dtype = network.output.bias.dtype

        def predict(row: Array, inside: Array, lambda_t: Array) -> Array:
            context = network.context(features(row[1:-2], row[-2:]))
            return network(inside, jnp.ones(1, bool), context, lambda_t, inside)[0]

        predicted = jax.vmap(predict)(rows.astype(dtype), inside.astype(dtype), lambda_t[:, 0])
        return jnp.mean((predicted.astype(jnp.float32) - target[:, 0]) ** 2)


def flow_from_prior(
    denoisers: NumberDenoiser, starts: Float[Array, "networks values"]
) -> Float[Array, "networks values"]:
    """Map values of N(0, 1) to values of y by the probability-flow ODE, one row per stacked denoiser."""
    solver = DPMSolver2M(SCHEDULE, FLOW_POINTS)
    unused = jax.random.key(0)

    def flow(denoiser: NumberDenoiser, starts: Array) -> Array:
        mean = noised_mean(denoiser)
        return jax.vmap(lambda start: solver.draw(unused, denoiser, start + mean)[0, 0])(starts)

    return jax.vmap(flow)(denoisers, starts)


class TargetDistribution(eqx.Module):
    """The conditional distribution p(y | x): the equal mixture of the distributions of one or several networks.

    Attributes:
        n_inputs: Number of inputs, including guesses; `features` takes two numbers for each.
        n_guesses: Number of guesses, which are the last inputs.
        scale: Calibration factor of the distance of y from the mean of the networks' medians.
    """

    networks: NumberNetwork
    views: Float[Array | np.ndarray, "networks 2"]
    sees_guesses: Bool[Array | np.ndarray, " networks"]
    n_inputs: int = eqx.field(static=True)
    n_guesses: int = eqx.field(static=True)
    scale: Float[Array | np.ndarray, ""] = field(default_factory=lambda: np.ones((), np.float32))

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return len(self.views)

    def denoisers(self, x: Float[Array, " m"]) -> NumberDenoiser:
        """Return the stacked denoisers E[y_0 | y_t, x] of the networks."""
        is_guess = jnp.asarray(guess_mask(self.n_inputs, self.n_guesses))

        def denoiser(network: NumberNetwork, view: Array, sees_guesses: Array) -> NumberDenoiser:
            seen = jnp.where(is_guess & ~sees_guesses, 0.0, x)
            return NumberDenoiser(network, SCHEDULE, jnp.ones(1, bool), network.context(features(seen, view)))

        return jax.vmap(denoiser)(self.networks, jnp.asarray(self.views), jnp.asarray(self.sees_guesses))

    def rescale(
        self, denoisers: NumberDenoiser, y: Float[Array, "*n"], factor: Float[Array | np.ndarray, ""]
    ) -> Float[Array, "*n"]:
        """Multiply the distance of y from the mean of the networks' medians by a factor; 1 returns y unchanged."""

        def rescaled() -> Array:
            return y + (factor - 1) * (y - jnp.mean(flow_from_prior(denoisers, jnp.zeros((self.n_networks, 1)))))

        return jax.lax.cond(factor == 1, lambda: y, rescaled)


class TargetLogDensity(RowFunction):
    """Log-density of y given x, in nats; a function of rows (x, y), for `map_rows`."""

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, ""]:
        target = self.target
        denoisers = target.denoisers(x[:-1])
        y = target.rescale(denoisers, x[-1:], 1 / target.scale)
        log_densities = jax.vmap(lambda denoiser: solve_flow(denoiser, y, jnp.eye(1))[1])(denoisers)
        return jax.nn.logsumexp(log_densities) - jnp.log(target.n_networks) - jnp.log(target.scale)

    def width(self, columns: int) -> int:
        return 2 * self.target.n_networks


class TargetLogMass(RowFunction):
    """Log-probability of an interval of y given x, in nats; a function of rows (x, low, high), whose ends may be ±∞."""

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, ""]:
        target = self.target
        denoisers = target.denoisers(x[:-2])
        is_finite = jnp.isfinite(x[-2:])
        ends = jnp.where(is_finite, target.rescale(denoisers, x[-2:], 1 / target.scale), x[-2:])

        def log_mass(denoiser: NumberDenoiser) -> Array:
            flowed = jax.vmap(lambda y: solve_flow(denoiser, y[None])[0][0])(jnp.where(is_finite, ends, 0.0))
            return log_interval(*jnp.where(is_finite, flowed, ends))

        return jax.nn.logsumexp(jax.vmap(log_mass)(denoisers)) - jnp.log(target.n_networks)

    def width(self, columns: int) -> int:
        return 2 * self.target.n_networks


class TargetFlow(RowFunction):
    """Map from values of N(0, 1) to values of y given x, per network; a function of rows (x, values).

    A row concatenates the values of all networks. Each value takes `FLOW_POINTS` network evaluations.
    """

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, "networks values"]:
        target, k = self.target, 2 * self.target.n_inputs
        denoisers = target.denoisers(x[:k])
        y = flow_from_prior(denoisers, x[k:].reshape(target.n_networks, -1))
        return target.rescale(denoisers, y, target.scale)

    def width(self, columns: int) -> int:
        return max(1, columns - 2 * self.target.n_inputs)
