"""Diffusion of one number given others: p(y | x), by a network that is given x and noised y.

The network is that of the numbers of mixed tables (`mixed_networks.NumberNetwork`), of the one number given features of
x, which are among those of Gorishniy et al. (2022, arXiv 2203.05556). In one dimension the probability-flow ODE (Song
et al. 2021, arXiv 2011.13456, section 4.3) is a monotone map between N(0, 1) and the distribution of y: it gives
quantiles, draws and probabilities of intervals, and with the divergence of the flow the density.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pointillist.diffusion.conditioning.twisting import log_interval
from pointillist.diffusion.losses import HELD_OUT_DRAWS, CleanRows, Objective
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.mixed_likelihood import FLOW_POINTS, flow_to_prior, noised_mean, number_log_density
from pointillist.diffusion.tokens.mixed_losses import LOG_NORMAL
from pointillist.diffusion.tokens.mixed_networks import NumberNetwork
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE, NumberDenoiser

FREQUENCIES = 1.0, 2.0
"""Frequencies of the Fourier features of x that every network sees."""

MORE_FREQUENCIES = np.pi / 2, np.pi, 2 * np.pi
"""Frequencies of those that some networks see."""

LARGEST_IN_WAVES = 5.0
"""Number of standard deviations beyond which x is clipped for them."""

PIECES = 12
"""Number of pieces, between quantiles of x, of the piecewise linear features that other networks see."""

GAIN = 3.0
"""What features are multiplied by, so that networks learn functions of x that are less smooth sooner."""

VIEWS = ((1.0, 0.0), (0.0, 0.0), (0.0, 1.0))
"""What networks see, in turn: whether they see the further frequencies, and the pieces. None suits all tables."""


def target_tokens(n_inputs: int) -> Tokens:
    """Tokens without a choice, one for each feature of x, beside the first of which the number stands."""
    return Tokens((1,) * ((1 + 2 * len(FREQUENCIES) + 2 * len(MORE_FREQUENCIES) + PIECES) * n_inputs), (), (0,), (0,))


def features(x: Float[Array, " m"], view: Float[Array, " 2"]) -> Float[Array, " f"]:
    """Features of x in a view: those that it leaves out are 0.

    Args:
        x: The k numbers in standard units, and then the place of each: 0 at the least, i at the ith of the quantiles
            that divide it into pieces, and linear between.
        view: One of `VIEWS`.
    """
    numbers, places = jnp.split(x, 2)
    plain = _waves(numbers, FREQUENCIES)
    further = _waves(jnp.clip(numbers, -LARGEST_IN_WAVES, LARGEST_IN_WAVES), MORE_FREQUENCIES)
    pieces = [2 * jnp.clip(places - i, 0.0, 1.0) - 1 for i in range(PIECES)]
    parts = [*plain, *(view[0] * part for part in further), *(view[1] * part for part in pieces)]
    # Of a variance near 1, as the numbers have.
    return GAIN * jnp.concatenate([numbers, *(2**0.5 * part for part in parts)])


def guess_mask(n_inputs: int, n_guesses: int) -> Bool[np.ndarray, " m"]:
    """Which of the numbers that `features` takes are of guesses, the last of the inputs."""
    return np.arange(2 * n_inputs) % n_inputs >= n_inputs - n_guesses


def _waves(numbers: Float[Array, " k"], frequencies: Sequence[float]) -> list[Float[Array, " k"]]:
    return [wave(frequency * numbers) for frequency in frequencies for wave in (jnp.sin, jnp.cos)]


@dataclass(frozen=True)
class TargetObjective:
    """The objective of models of one number given others: EDM's loss of the number, in standard units.

    Rows are of the number, of x as `features` takes it, and of the view.

    Attributes:
        number_objective: The objective of the number.
    """

    number_objective: Objective = field(
        default_factory=lambda: Objective("edm", "uniform", "log-normal", log_normal=LOG_NORMAL)
    )

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Makes the examples of an epoch, row by row: the rows, c_in y_t, λ and the target."""
        share, eps = self.number_objective.noise(*keys, len(clean.x0) // batch_size, batch_size, 1)
        return self._examples(clean, eps, share)

    def _examples(self, clean: CleanRows, eps: Float[Array, "m 1"], share: Float[Array, " m"]) -> tuple[Array, ...]:
        assert clean.schedule is not None
        noised = self.number_objective.noised(clean.x0[:, :1], eps, share, clean.schedule, jnp.ones(1))
        return clean.x0, noised.inside, noised.lambda_t[:, None], noised.target

    def held_out_loss(self, key: PRNGKeyArray, network: Any, clean: CleanRows) -> Float[Array, ""]:
        """Computes the mean loss of rows, at `HELD_OUT_DRAWS` noise levels each, spread evenly over their distribution.

        Args:
            key: Key of noise levels and noise.
            network: The network.
            clean: The rows.
        """
        level_key, noise_key = jax.random.split(key)
        x0 = jnp.repeat(jnp.asarray(clean.x0), HELD_OUT_DRAWS, axis=0)
        share = (jax.random.permutation(level_key, len(x0)) + 0.5) / len(x0)
        eps = jax.random.normal(noise_key, (len(x0), 1))
        return self._loss(network, *self._examples(clean._replace(x0=x0), eps, share))

    def loss(self, network: Any, batch: tuple[Array, ...], precision: str) -> Float[Array, ""]:
        """Computes the loss of a batch, with the network's products in a given precision."""
        if precision != "float32":
            network = jax.tree.map(lambda leaf: leaf.astype(precision), network)
        return self._loss(network, *batch)

    def _loss(self, network: NumberNetwork, rows: Array, inside: Array, lambda_t: Array, target: Array) -> Array:
        dtype = network.output.bias.dtype

        def found(row: Array, inside: Array, lambda_t: Array) -> Array:
            known = network.context(features(row[1:-2], row[-2:]))
            return network(inside, jnp.ones(1, bool), known, lambda_t, inside)[0]

        predicted = jax.vmap(found)(rows.astype(dtype), inside.astype(dtype), lambda_t[:, 0])
        return jnp.mean((predicted.astype(jnp.float32) - target[:, 0]) ** 2)


def flow_from_prior(
    denoisers: NumberDenoiser, starts: Float[Array, "networks values"]
) -> Float[Array, "networks values"]:
    """Maps values of N(0, 1) to values of y by the probability-flow ODE, one row per stacked denoiser."""
    solver = DPMSolver2M(SCHEDULE, FLOW_POINTS)
    unused = jax.random.key(0)

    def of_one(denoiser: NumberDenoiser, starts: Array) -> Array:
        mean = noised_mean(denoiser)
        return jax.vmap(lambda start: solver.draw(unused, denoiser, start + mean)[0, 0])(starts)

    return jax.vmap(of_one)(denoisers, starts)


class TargetDistribution(eqx.Module):
    """The distribution of the number given others, by one network or by several, of which it is the mixture.

    Attributes:
        networks: The networks, stacked.
        views: The view of each.
        sees_guesses: Whether each sees the guesses of y.
        n_inputs: Number of the others; `features` takes two numbers for each.
        n_guesses: Number of guesses of y, which are the last of them.
        scale: Calibration factor of the distances of y from the mean of the networks' medians.
    """

    networks: NumberNetwork
    views: Float[Array | np.ndarray, "networks 2"]
    sees_guesses: Bool[Array | np.ndarray, " networks"]
    n_inputs: int = eqx.field(static=True)
    n_guesses: int = eqx.field(static=True)
    scale: Float[Array | np.ndarray, ""] = field(default_factory=lambda: np.ones((), np.float32))

    def denoisers(self, x: Float[Array, " m"]) -> NumberDenoiser:
        """E[y_0 | y_t, x] of the networks, stacked."""
        is_guess = jnp.asarray(guess_mask(self.n_inputs, self.n_guesses))

        def of_one(network: NumberNetwork, view: Array, sees_guesses: Array) -> NumberDenoiser:
            seen = jnp.where(is_guess & ~sees_guesses, 0.0, x)
            return NumberDenoiser(network, SCHEDULE, jnp.ones(1, bool), network.context(features(seen, view)))

        return jax.vmap(of_one)(self.networks, jnp.asarray(self.views), jnp.asarray(self.sees_guesses))

    def stretched(
        self, denoisers: NumberDenoiser, y: Float[Array, "*n"], factor: Float[Array | np.ndarray, ""]
    ) -> Float[Array, "*n"]:
        """Multiplies the distances of y from the mean of the networks' medians by a factor; 1 returns y unchanged."""

        def moved() -> Array:
            return y + (factor - 1) * (y - jnp.mean(flow_from_prior(denoisers, jnp.zeros((self.n_networks, 1)))))

        return jax.lax.cond(factor == 1, lambda: y, moved)

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return len(self.views)


class TargetLogDensity(eqx.Module):
    """Log-density of y given x, in nats, under the mixture; a function of rows (x, y), as `map_rows` takes them."""

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, ""]:
        """Computes the log-density; the key decides nothing."""
        target = self.target
        denoisers = target.denoisers(x[:-1])
        y = target.stretched(denoisers, x[-1:], 1 / target.scale)
        log_densities = jax.vmap(lambda denoiser: number_log_density(denoiser, y, jnp.eye(1)))(denoisers)
        return jax.nn.logsumexp(log_densities) - jnp.log(target.n_networks) - jnp.log(target.scale)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return 2 * self.target.n_networks


class TargetLogMass(eqx.Module):
    """Log-mass of the mixture between two values of y given x, in nats; a function of rows (x, low, high)."""

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, ""]:
        """Computes the log-mass, of values that may be infinite; the key decides nothing."""
        target = self.target
        denoisers = target.denoisers(x[:-2])
        is_finite = jnp.isfinite(x[-2:])
        ends = jnp.where(is_finite, target.stretched(denoisers, x[-2:], 1 / target.scale), x[-2:])

        def of_one(own: NumberDenoiser) -> Array:
            flowed = jax.vmap(lambda y: flow_to_prior(own, y[None])[0])(jnp.where(is_finite, ends, 0.0))
            return log_interval(*jnp.where(is_finite, flowed, ends))

        return jax.nn.logsumexp(jax.vmap(of_one)(denoisers)) - jnp.log(target.n_networks)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return 2 * self.target.n_networks


class TargetFlow(eqx.Module):
    """What the flows of each network take its values of N(0, 1) to, given x; a function of rows (x, values).

    The values of one network come after those of another.
    """

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, "networks values"]:
        """Computes the values of y, by `FLOW_POINTS` evaluations each; the key decides nothing."""
        target, k = self.target, 2 * self.target.n_inputs
        denoisers = target.denoisers(x[:k])
        y = flow_from_prior(denoisers, x[k:].reshape(target.n_networks, -1))
        return target.stretched(denoisers, y, target.scale)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return max(1, columns - 2 * self.target.n_inputs)
