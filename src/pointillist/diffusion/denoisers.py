"""Denoisers: E[x_0 | x_t], from a network or exactly.

Samplers need only a `Denoiser`, so denoisers are interchangeable. A `ConditionalDenoiser` covers all classes until
`given` binds it to one class.
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
"""Predictions are not clipped where sigma_t / alpha_t is below this fraction of the column's sigma_data."""


class Denoiser(eqx.Module):
    """A function from a noised row to the expected data row: E[x_0 | x_t].

    Attributes:
        schedule: The noise schedule: alpha_t and sigma_t.
    """

    if TYPE_CHECKING:
        # A property, because type checkers reject a property that implements an abstract attribute.
        @property
        def schedule(self) -> Schedule: ...  # noqa: D102
    else:
        schedule: eqx.AbstractVar[Schedule]

    @abstractmethod
    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """Compute E[x_0 | x_t] for one row of shape (d,) at a time t in [1, T], integer or not."""

    def condition_on(self, values: Float[Array, " d"]) -> "Denoiser":
        """Return the denoiser E[x_0 | x_t, observed values], which ignores x_t in the observed columns.

        Args:
            values: Observed values, shape (d,), NaN where unobserved.
        """
        raise ValueError("this denoiser was not trained with observed columns, so it cannot condition on values")


class ObservedColumns(NamedTuple):
    """The observed columns of a row.

    Attributes:
        values: Observed values, shape (d,); 0 elsewhere.
        is_observed: Which columns are observed, shape (d,).
        contribution: Their contribution to the output of the network's input layer.
    """

    values: Float[Array, " d"]
    is_observed: Bool[Array, " d"]
    contribution: Float[Array, " width"]


def _observed(network: Network, values: Float[Array, " d"]) -> ObservedColumns:
    assert isinstance(network, ResidualMLP)
    is_observed = ~jnp.isnan(values)
    values = jnp.where(is_observed, values, 0.0)
    return ObservedColumns(values, is_observed, network.observed_contribution(values, is_observed.astype(values.dtype)))


class ConditionalDenoiser(Denoiser):
    """A denoiser of data with classes: E[x_0 | x_t, y], or E[x_0 | x_t] before it is bound to a class.

    Attributes:
        n_classes: Number of classes, a scalar; None if the data has no classes.
    """

    if TYPE_CHECKING:
        # A property, because type checkers reject a property that implements an abstract attribute.
        @property
        def n_classes(self) -> Label | None: ...  # noqa: D102
    else:
        n_classes: eqx.AbstractVar[Label | None]

    @abstractmethod
    def condition(self, label: Label) -> Any:
        """Compute the representation of a class that `under` takes; label = n_classes means "no class"."""

    @abstractmethod
    def under(self, condition: Any) -> "ConditionalDenoiser":
        """Return the denoiser bound to a class, as represented by `condition`."""

    def given(self, label: Label) -> "ConditionalDenoiser":
        """Return the denoiser of one class; label = n_classes means "no class"."""
        return self.under(self.condition(label))


class NetworkDenoiser(Denoiser):
    """A network used as a denoiser.

    Attributes:
        network: F(c_in x_t, features of the noise level).
        schedule: The schedule that the network was trained with.
        sigma_data: Root mean square of each column, shape (d,); only "edm" uses it.
        prediction: What F predicts, one of `parameterisations.PREDICTIONS`.
        bounds: Lowest and highest x_0 in each column, shape (2, d), to which predictions are clipped unless the noise
            is below `UNCLIPPED`; None for no clipping. E[x_0 | x_t] never leaves the range of the data, but where
            alpha_t is near 0 a small error in ε moves a network's x_0 far outside. Where sigma_t is near 0, clipping
            is unnecessary and would make rows pile up at the bounds.
        observed: Observed columns; None for none.
    """

    network: Network
    schedule: Schedule
    sigma_data: SigmaData = 1.0
    prediction: str = eqx.field(static=True, default="eps")
    bounds: Bounds | None = None
    observed: ObservedColumns | None = None

    def condition_on(self, values: Float[Array, " d"]) -> "NetworkDenoiser":
        """Return the denoiser E[x_0 | x_t, observed values]."""
        return replace(self, observed=_observed(self.network, values))

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """Predict E[x_0 | x_t] with the network."""
        return _predicted(self, x_t, t, self.network.features, 0.0)


class ConditionalNetworkDenoiser(ConditionalDenoiser):
    """A network of the row, the noise level and a class, used as a denoiser.

    Attributes:
        network: F(c_in x_t, features of the noise level and the embedding of the class).
        schedule: The schedule that the network was trained with.
        n_classes: Number of classes; also the index that meant "no class" in training.
        time_embedding: Number of features of the noise level; the remaining features embed the class.
        sigma_data: See `NetworkDenoiser`.
        prediction: See `NetworkDenoiser`.
        bounds: See `NetworkDenoiser`.
        class_contribution: Contribution of the class inside the network; None for no class.
        observed: See `NetworkDenoiser`.
    """

    network: Network
    schedule: Schedule
    n_classes: Label
    time_embedding: int = eqx.field(static=True)
    sigma_data: SigmaData = 1.0
    prediction: str = eqx.field(static=True, default="eps")
    bounds: Bounds | None = None
    class_contribution: Float[Array, " m"] | None = None
    observed: ObservedColumns | None = None

    def condition_on(self, values: Float[Array, " d"]) -> "ConditionalNetworkDenoiser":
        """Return the denoiser E[x_0 | x_t, observed values]."""
        return replace(self, observed=_observed(self.network, values))

    def condition(self, label: Label) -> Float[Array, " m"]:
        """Compute the contribution of the class inside the network, which is the same at every step."""
        embedding = sinusoidal_embedding(jnp.asarray(label), self.network.features - self.time_embedding)
        return self.network.contribution(embedding, self.time_embedding)

    def under(self, condition: Float[Array, " m"]) -> "ConditionalNetworkDenoiser":
        """Return the denoiser E[x_0 | x_t, y]."""
        return replace(self, class_contribution=condition)

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """Predict E[x_0 | x_t, y] with the network."""
        class_contribution = (
            self.condition(self.n_classes) if self.class_contribution is None else self.class_contribution
        )
        return _predicted(self, x_t, t, self.time_embedding, class_contribution)


def _predicted(
    denoiser: NetworkDenoiser | ConditionalNetworkDenoiser,
    x_t: Float[Array, " d"],
    t: Time,
    time_embedding: int,
    class_contribution: Float[Array, " m"] | float,
) -> Float[Array, " d"]:
    network, schedule = denoiser.network, denoiser.schedule
    alpha_t, sigma_t = alpha_sigma(schedule, t)
    level_features = network.noise_level_features(t, jnp.log(alpha_t / sigma_t), time_embedding)
    inside, skip, out = coefficients(denoiser.prediction, alpha_t, sigma_t, denoiser.sigma_data)
    contribution, observed = network.contribution(level_features) + class_contribution, denoiser.observed
    if observed is None:
        x0 = skip * x_t + out * network.from_contributions(inside * x_t, contribution)
    else:
        assert isinstance(network, ResidualMLP)
        noised = jnp.where(observed.is_observed, 0.0, inside * x_t)
        x0 = skip * x_t + out * network.from_contributions(noised, contribution, observed.contribution)
    if denoiser.bounds is not None:
        low, high = jnp.asarray(denoiser.bounds)
        slack = jnp.where(sigma_t < UNCLIPPED * alpha_t * denoiser.sigma_data, jnp.inf, 0.0)
        x0 = jnp.clip(x0, low - slack, high + slack)
    return x0 if observed is None else jnp.where(observed.is_observed, observed.values, x0)


class UnobservedColumns(Denoiser):
    """A denoiser of the unobserved columns alone, shifted to mean 0.

    A deterministic solver starts from N(0, I), which approximates the distribution of noised rows only if their mean
    is near 0. The conditional mean given the observed columns need not be, so it is subtracted.

    Attributes:
        denoiser: The denoiser of all columns, conditioned on the observed ones.
        columns: Indices of the unobserved columns.
        centre: The mean that is subtracted, shape (columns,).
        n_columns: Number of all columns.
    """

    denoiser: Denoiser
    columns: tuple[int, ...] = eqx.field(static=True)
    centre: Float[Array, " d"]
    n_columns: int = eqx.field(static=True)

    @classmethod
    def of(cls, denoiser: Denoiser, columns: tuple[int, ...], n_columns: int) -> "UnobservedColumns":
        """Centre the columns at the denoiser's prediction at the highest noise level."""
        lowest = jnp.maximum(lambda_range(denoiser.schedule)[0], LOWEST_LAMBDA)
        mean = denoiser(jnp.zeros(n_columns), time_at(denoiser.schedule, lowest))
        return cls(denoiser, columns, mean[jnp.asarray(columns, int)], n_columns)

    @property
    def schedule(self) -> Schedule:
        """The denoiser's schedule."""
        return self.denoiser.schedule

    def __call__(self, x_t: Float[Array, " d"], t: Time) -> Float[Array, " d"]:
        """Compute E[x_0 | x_t, observed] - centre, shape (columns,)."""
        indices = jnp.asarray(self.columns, int)
        noised = x_t + alpha_sigma(self.schedule, t)[0] * self.centre
        return self.denoiser(jnp.zeros(self.n_columns).at[indices].set(noised), t)[indices] - self.centre
