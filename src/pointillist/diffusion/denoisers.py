"""Denoisers: E[x_0 | x_t], from a network or exactly, and the conversions between what networks predict.

Whatever stands here as a `Denoiser` can stand where another stands: samplers ask for nothing else. A
`ConditionalDenoiser` is one of the whole data until `given` binds it to a class.
"""

from abc import abstractmethod
from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from pointillist.diffusion.networks import MLP, sinusoidal_embedding
from pointillist.diffusion.schedules import Schedule, Time, alpha_sigma

Label = Int[Array | np.ndarray, ""]
"""The index of a class, 0 … n_classes - 1; n_classes itself means "no class"."""


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
    """Maps a noised row to the mean of the data rows it can have come from.

    Attributes:
        schedule: Gives alpha_t and sigma_t.
    """

    schedule: eqx.AbstractVar[Schedule]

    @abstractmethod
    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """E[x_0 | x_t] for one row of shape (d,) at the time t, 1 … T; between integers too."""


class ConditionalDenoiser(Denoiser):
    """A denoiser of data with classes: E[x_0 | x_t, y], or E[x_0 | x_t] while it is bound to no class.

    Attributes:
        n_classes: Number of classes, a scalar; None where the data has no classes after all.
    """

    n_classes: eqx.AbstractVar[Label | None]

    @abstractmethod
    def given(self, label: Label) -> "ConditionalDenoiser":
        """The denoiser of one class; label = n_classes is "no class"."""


class NetworkDenoiser(Denoiser):
    """A network that predicts ε, read as a denoiser.

    Attributes:
        network: Predicts ε from (x_t, embedding of t).
        schedule: The one that the network was trained with.
    """

    network: MLP
    schedule: Schedule

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """E[x_0 | x_t] by the network's ε."""
        eps = self.network(x_t, sinusoidal_embedding(t, self.network.features))
        return x0_from_eps(x_t, eps, *alpha_sigma(self.schedule, t))


class ConditionalNetworkDenoiser(ConditionalDenoiser):
    """A network that predicts ε from the row, the time and a class, read as a denoiser.

    Attributes:
        network: Predicts ε from (x_t, embedding of t beside the embedding of the class).
        schedule: The one that the network was trained with.
        n_classes: Number of classes; also the index that stood for "no class" in training.
        time_embedding: Width of the embedding of t; the rest of the network's features are the class's.
        label: The class; None for no class.
    """

    network: MLP
    schedule: Schedule
    n_classes: Label
    time_embedding: int = eqx.field(static=True)
    label: Label | None = None

    def given(self, label: Label) -> "ConditionalNetworkDenoiser":
        """E[x_0 | x_t, y = label]."""
        return replace(self, label=label)

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """E[x_0 | x_t, y] by the network's ε."""
        label = jnp.asarray(self.n_classes if self.label is None else self.label)
        class_width = self.network.features - self.time_embedding
        embeddings = sinusoidal_embedding(t, self.time_embedding), sinusoidal_embedding(label, class_width)
        eps = self.network(x_t, jnp.concatenate(embeddings))
        return x0_from_eps(x_t, eps, *alpha_sigma(self.schedule, t))
