"""Denoisers: E[x_0 | x_t], from a network or exactly.

Samplers need nothing but a `Denoiser`, so any one can take the place of another. A `ConditionalDenoiser` is a denoiser
of all classes together until `given` binds it to one class.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pointillist.diffusion.networks import Network, ResidualMLP, sinusoidal_embedding
from pointillist.diffusion.parameterisations import SigmaData, coefficients
from pointillist.diffusion.schedules import LOWEST_LAMBDA, Schedule, Time, alpha_sigma, lambda_range, time_at

Label = Int[Array | np.ndarray, ""]
"""The index of a class, 0 … n_classes - 1; n_classes itself means "no class"."""

Bounds = Float[Array | np.ndarray, "2 d"]
"""Lowest and highest value of each column."""

UNCLIPPED = 0.1
"""Predictions are not clipped where sigma_t / alpha_t is below this fraction of a column's sigma_data."""


class Denoiser(eqx.Module):
    """Maps a noised row to the mean of the data rows it can have come from.

    Attributes:
        schedule: The noise schedule: alpha_t and sigma_t.
    """

    if TYPE_CHECKING:
        # An attribute or a property, which a type checker would not let stand for an attribute.
        @property
        def schedule(self) -> Schedule: ...  # noqa: D102
    else:
        schedule: eqx.AbstractVar[Schedule]

    @abstractmethod
    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """E[x_0 | x_t] for one row of shape (d,) at the time t, 1 … T; between integers too."""

    def condition_on(self, values: Float[Array, " d"]) -> "Denoiser":
        """The denoiser of the rows that have some values: E[x_0 | x_t, given values], whatever x_t has there.

        Args:
            values: The values, shape (d,), NaN where none is given.
        """
        raise ValueError("this denoiser has not learned from rows with given columns")


class Known(NamedTuple):
    """The columns of a row that are given.

    Attributes:
        values: Their values, shape (d,); 0 elsewhere.
        is_observed: Which columns they are, shape (d,).
        share: What they contribute inside the network.
    """

    values: Float[Array, " d"]
    is_observed: Bool[Array, " d"]
    share: Float[Array, " width"]


def _known(network: Network, values: Float[Array, " d"]) -> Known:
    assert isinstance(network, ResidualMLP)
    is_observed = ~jnp.isnan(values)
    values = jnp.where(is_observed, values, 0.0)
    return Known(values, is_observed, network.known(values, is_observed.astype(values.dtype)))


class ConditionalDenoiser(Denoiser):
    """A denoiser of data with classes: E[x_0 | x_t, y], or E[x_0 | x_t] while it is bound to no class.

    Attributes:
        n_classes: Number of classes, a scalar; None if the data turns out to have no classes.
    """

    if TYPE_CHECKING:
        # An attribute or a property, which a type checker would not let stand for an attribute.
        @property
        def n_classes(self) -> Label | None: ...  # noqa: D102
    else:
        n_classes: eqx.AbstractVar[Label | None]

    @abstractmethod
    def condition(self, label: Label) -> Any:
        """Makes what the denoiser needs to know about a class; label = n_classes is "no class"."""

    @abstractmethod
    def under(self, condition: Any) -> "ConditionalDenoiser":
        """The denoiser bound to a `condition`."""

    def given(self, label: Label) -> "ConditionalDenoiser":
        """The denoiser of one class; label = n_classes is "no class"."""
        return self.under(self.condition(label))


class NetworkDenoiser(Denoiser):
    """A network used as a denoiser.

    Attributes:
        network: F(c_in x_t, features of the noise level).
        schedule: The schedule that the network was trained with.
        sigma_data: Root mean square of each column, shape (d,); only "edm" uses it.
        prediction: What F predicts, one of `parameterisations.PREDICTIONS`.
        bounds: Lowest and highest x_0 in each column, shape (2, d), that a prediction is clipped to unless the noise
            is below `UNCLIPPED`; None for no clipping. E[x_0 | x_t] never leaves the data's range, but where alpha_t is
            near 0 a network's small error in ε moves its x_0 far outside. Where sigma_t is near 0, clipping is not
            needed and would make rows pile up at the bounds.
        known: Columns that are given; None for none.
    """

    network: Network
    schedule: Schedule
    sigma_data: SigmaData = 1.0
    prediction: str = eqx.field(static=True, default="eps")
    bounds: Bounds | None = None
    known: Known | None = None

    def condition_on(self, values: Float[Array, " d"]) -> "NetworkDenoiser":
        """E[x_0 | x_t, given values]."""
        return replace(self, known=_known(self.network, values))

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """E[x_0 | x_t] by the network."""
        return _predicted(self, x_t, t, self.network.features, 0.0)


class ConditionalNetworkDenoiser(ConditionalDenoiser):
    """A network of the row, the noise level and a class, used as a denoiser.

    Attributes:
        network: F(c_in x_t, features of the noise level and the embedding of the class).
        schedule: The schedule that the network was trained with.
        n_classes: Number of classes; also the index that stood for "no class" in training.
        time_embedding: Number of features of the noise level; the network's other features are the class's.
        sigma_data: See `NetworkDenoiser`.
        prediction: See `NetworkDenoiser`.
        bounds: See `NetworkDenoiser`.
        class_share: What the class contributes inside the network; None for no class.
        known: See `NetworkDenoiser`.
    """

    network: Network
    schedule: Schedule
    n_classes: Label
    time_embedding: int = eqx.field(static=True)
    sigma_data: SigmaData = 1.0
    prediction: str = eqx.field(static=True, default="eps")
    bounds: Bounds | None = None
    class_share: Float[Array, " m"] | None = None
    known: Known | None = None

    def condition_on(self, values: Float[Array, " d"]) -> "ConditionalNetworkDenoiser":
        """E[x_0 | x_t, given values]."""
        return replace(self, known=_known(self.network, values))

    def condition(self, label: Label) -> Float[Array, " m"]:
        """Contribution of the class inside the network, the same for every step of a row."""
        embedding = sinusoidal_embedding(jnp.asarray(label), self.network.features - self.time_embedding)
        return self.network.share(embedding, self.time_embedding)

    def under(self, condition: Float[Array, " m"]) -> "ConditionalNetworkDenoiser":
        """E[x_0 | x_t, y]."""
        return replace(self, class_share=condition)

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """E[x_0 | x_t, y] by the network."""
        class_share = self.condition(self.n_classes) if self.class_share is None else self.class_share
        return _predicted(self, x_t, t, self.time_embedding, class_share)


def _predicted(
    denoiser: NetworkDenoiser | ConditionalNetworkDenoiser,
    x_t: Float[Array, " d"],
    t: Time,
    time_embedding: int,
    class_share: Float[Array, " m"] | float,
) -> Float[Array, " d"]:
    network, schedule = denoiser.network, denoiser.schedule
    alpha_t, sigma_t = alpha_sigma(schedule, t)
    of_level = network.noise_level_features(t, jnp.log(alpha_t / sigma_t), time_embedding)
    inside, skip, out = coefficients(denoiser.prediction, alpha_t, sigma_t, denoiser.sigma_data)
    share, known = network.share(of_level) + class_share, denoiser.known
    if known is None:
        x0 = skip * x_t + out * network.from_contributions(inside * x_t, share)
    else:
        assert isinstance(network, ResidualMLP)
        shown = jnp.where(known.is_observed, 0.0, inside * x_t)
        x0 = skip * x_t + out * network.from_contributions(shown, share, known.share)
    if denoiser.bounds is not None:
        low, high = jnp.asarray(denoiser.bounds)
        slack = jnp.where(sigma_t < UNCLIPPED * alpha_t * denoiser.sigma_data, jnp.inf, 0.0)
        x0 = jnp.clip(x0, low - slack, high + slack)
    return x0 if known is None else jnp.where(known.is_observed, known.values, x0)


class UnobservedColumns(Denoiser):
    """A denoiser of some columns alone, less a centre, where all others are given.

    A solver without noise starts from N(0, I), which is near the distribution of noised rows only if their mean is near
    0. That of rows with given values need not be, so that their own mean is taken from them.

    Attributes:
        denoiser: The denoiser of all columns, which knows the others.
        columns: The columns, as positions.
        centre: What is taken from the columns, shape (columns,).
        n_columns: Number of all columns.
    """

    denoiser: Denoiser
    columns: tuple[int, ...] = eqx.field(static=True)
    centre: Float[Array, " d"]
    n_columns: int = eqx.field(static=True)

    @classmethod
    def of(cls, denoiser: Denoiser, columns: tuple[int, ...], n_columns: int) -> "UnobservedColumns":
        """Makes it of columns whose centre is what the denoiser predicts where there is most noise."""
        lowest = jnp.maximum(lambda_range(denoiser.schedule)[0], LOWEST_LAMBDA)
        mean = denoiser(jnp.zeros(n_columns), time_at(denoiser.schedule, lowest))
        return cls(denoiser, columns, mean[jnp.asarray(columns, int)], n_columns)

    @property
    def schedule(self) -> Schedule:
        """The denoiser's schedule."""
        return self.denoiser.schedule

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """E[x_0 | x_t, the others] of the columns less their centre, shape (columns,)."""
        own = jnp.asarray(self.columns, int)
        noised = x_t + alpha_sigma(self.schedule, t)[0] * self.centre
        return self.denoiser(jnp.zeros(self.n_columns).at[own].set(noised), t)[own] - self.centre
