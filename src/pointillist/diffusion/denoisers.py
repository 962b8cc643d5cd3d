"""Denoisers: E[x_0 | x_t], from a network or exactly, and the conversions between what networks predict.

Whatever stands here as a `Denoiser` can stand where another stands: samplers ask for nothing else.
"""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float, Int

from pointillist.diffusion.networks import MLP, sinusoidal_embedding
from pointillist.diffusion.schedules import Schedule, at


def x0_from_eps(
    x_t: Float[Array, " d"], eps: Float[Array, " d"], alpha_t: Float[Array, ""], sigma_t: Float[Array, ""]
) -> Float[Array, " d"]:
    """x_0 = (x_t - sigma_t ε) / alpha_t (Ho et al. 2020, equation 9 solved for x_0)."""
    return (x_t - sigma_t * eps) / alpha_t


def eps_from_x0(
    x_t: Float[Array, " d"], x0: Float[Array, " d"], alpha_t: Float[Array, ""], sigma_t: Float[Array, ""]
) -> Float[Array, " d"]:
    """ε = (x_t - alpha_t x_0) / sigma_t, the inverse of `x0_from_eps`; sigma_t above 0."""
    return (x_t - alpha_t * x0) / sigma_t


class Denoiser(eqx.Module):
    """Maps a noised row to the mean of the data rows it can have come from."""

    @abstractmethod
    def __call__(self, x_t: Float[Array, " d"], t: Int[Array, ""]) -> Float[Array, " d"]:
        """E[x_0 | x_t] for one row of shape (d,) at the integer time t, 1 … T."""


class NetworkDenoiser(Denoiser):
    """A network that predicts ε, read as a denoiser.

    Attributes:
        network: Predicts ε from (x_t, embedding of t).
        schedule: The one that the network was trained with.
    """

    network: MLP
    schedule: Schedule

    def __call__(self, x_t: Float[Array, " d"], t: Int[Array, ""]) -> Float[Array, " d"]:
        """E[x_0 | x_t] by the network's ε."""
        eps = self.network(x_t, sinusoidal_embedding(t, self.network.features))
        return x0_from_eps(x_t, eps, at(self.schedule.alpha, t), at(self.schedule.sigma, t))
