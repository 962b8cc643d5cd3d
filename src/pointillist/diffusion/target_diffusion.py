"""Diffusion of one number given others: p(y | x), by a network that is given x and noised y.

The network is that of the numbers of mixed tables (`mixed_networks.NumberNetwork`), with the one number noised and all
others given. In one dimension the probability-flow ODE (Song et al. 2021, arXiv 2011.13456, section 4.3) is a monotone
map between N(0, 1) and the distribution of y: it gives quantiles, draws and probabilities of intervals, and with the
divergence of the flow the density.
"""

from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.losses import HELD_OUT_DRAWS, CleanRows, Objective
from pointillist.diffusion.mixed_likelihood import FLOW_POINTS, STEPS, flow_to_prior, noised_mean, number_log_density
from pointillist.diffusion.mixed_losses import LOG_NORMAL
from pointillist.diffusion.mixed_networks import NumberNetwork
from pointillist.diffusion.mixed_sampling import SCHEDULE, NumberDenoiser
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens import Tokens, number_features


def target_tokens(n_inputs: int) -> Tokens:
    """Tokens without a choice, beside which the number and the others stand, in this order."""
    n = 1 + n_inputs
    return Tokens((1,) * n, (), tuple(range(n)), (0,) * n)


@dataclass(frozen=True)
class TargetObjective:
    """The objective of models of one number given others: EDM's loss of the number, in standard units.

    Attributes:
        n_inputs: Number of the others.
        of_number: The objective of the number.
    """

    n_inputs: int
    of_number: Objective = field(
        default_factory=lambda: Objective("edm", "uniform", "log-normal", log_normal=LOG_NORMAL)
    )

    def examples(self, keys: tuple[PRNGKeyArray, PRNGKeyArray], clean: CleanRows, batch_size: int) -> tuple[Array, ...]:
        """Makes the examples of an epoch, row by row: the rows, c_in y_t, λ and the target."""
        share, eps = self.of_number.noise(*keys, len(clean.x0) // batch_size, batch_size, 1)
        return self._examples(clean, eps, share)

    def _examples(self, clean: CleanRows, eps: Float[Array, "m 1"], share: Float[Array, " m"]) -> tuple[Array, ...]:
        assert clean.schedule is not None
        noised = self.of_number.noised(clean.x0[:, :1], eps, share, clean.schedule, jnp.ones(1))
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
        n = 1 + self.n_inputs
        is_open = jnp.arange(n) == 0

        def found(row: Array, inside: Array, lambda_t: Array) -> Array:
            known = _known(network, row[1:])
            padded = jnp.concatenate([inside, jnp.zeros(n - 1, dtype)])
            return network(padded, is_open, known, lambda_t)[0]

        predicted = jax.vmap(found)(rows.astype(dtype), inside.astype(dtype), lambda_t[:, 0])
        return jnp.mean((predicted.astype(jnp.float32) - target[:, 0]) ** 2)


class TargetDistribution(eqx.Module):
    """The distribution of the number given others, by one network or by several, of which it is the mixture.

    Attributes:
        networks: The networks, stacked.
        n_inputs: Number of the others.
    """

    networks: NumberNetwork
    n_inputs: int = eqx.field(static=True)

    def denoiser(self, network: NumberNetwork, x: Float[Array, " k"]) -> NumberDenoiser:
        """E[y_0 | y_t, x] of a network, in the first of 1 + k places."""
        return NumberDenoiser(network, SCHEDULE, jnp.arange(1 + self.n_inputs) == 0, _known(network, x))

    @property
    def n_networks(self) -> int:
        """Number of networks."""
        return int(self.networks.output.bias.shape[0])


class TargetLogDensity(eqx.Module):
    """Log-density of y given x, in nats, under the mixture; a function of rows (x, y), as `map_rows` takes them."""

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, ""]:
        """Computes the log-density; the key decides nothing."""

        def of_one(network: NumberNetwork) -> Array:
            own = self.target.denoiser(network, x[:-1])
            return number_log_density(
                own, _first(x[-1], self.target), jnp.eye(1 + self.target.n_inputs)[:1], steps=STEPS
            )

        return jax.nn.logsumexp(jax.vmap(of_one)(self.target.networks)) - jnp.log(self.target.n_networks)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return 2 * self.target.n_networks


class TargetShares(eqx.Module):
    """Shares of the mixture below some values of y given x; a function of rows (x, values)."""

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, " values"]:
        """Computes the shares; the key decides nothing."""
        k = self.target.n_inputs

        def of_one(network: NumberNetwork) -> Array:
            own = self.target.denoiser(network, x[:k])
            ends = jax.vmap(lambda y: flow_to_prior(own, _first(y, self.target))[0])(x[k:])
            return jax.scipy.special.ndtr(ends)

        return jnp.mean(jax.vmap(of_one)(self.target.networks), axis=0)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return self.target.n_networks * max(1, columns - self.target.n_inputs)


class TargetFlow(eqx.Module):
    """What the flows of each network take its values of N(0, 1) to, given x; a function of rows (x, values).

    The values of one network come after those of another.
    """

    target: TargetDistribution

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " row"]) -> Float[Array, "networks values"]:
        """Computes the values of y, by `FLOW_POINTS` evaluations each; the key decides nothing."""
        k = self.target.n_inputs
        solver = DPMSolver2M(SCHEDULE, FLOW_POINTS)

        def of_one(network: NumberNetwork, starts: Array) -> Array:
            own = self.target.denoiser(network, x[:k])
            mean = noised_mean(own)[0]
            return jax.vmap(lambda start: solver.draw(key, own, _first(start + mean, self.target))[0, 0])(starts)

        return jax.vmap(of_one)(self.target.networks, x[k:].reshape(self.target.n_networks, -1))

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return max(1, columns - self.target.n_inputs)


def _known(network: NumberNetwork, x: Float[Array, " k"]) -> Float[Array, " width"]:
    """What the given numbers contribute."""
    numbers = jnp.concatenate([jnp.zeros(1, x.dtype), x])
    shown = number_features(numbers, jnp.arange(len(numbers)) > 0)
    return network.known(jnp.ones(len(numbers), x.dtype), shown)


def _first(y: Float[Array, ""], target: TargetDistribution) -> Float[Array, " n"]:
    return jnp.zeros(1 + target.n_inputs).at[0].set(y)
