"""Denoisers: E[x_0 | x_t], from a network or exactly.

Samplers need only a `Denoiser`, so denoisers are interchangeable. A `ConditionalDenoiser` covers all classes until
`given` binds it to one class.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from pointillist.diffusion.networks import Network, ResidualMLP, sinusoidal_embedding
from pointillist.diffusion.parameterizations import SigmaData, coefficients
from pointillist.diffusion.schedules import Schedule, Time, alpha_sigma, lambda_range, time_at

Row = Float[Array, " d"]
"""One row, shape (d,)."""

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
        def schedule(self) -> Schedule: ...

    @abstractmethod
    def __call__(self, x_t: Row, t: Time) -> Row:
        """Compute E[x_0 | x_t] for one row of shape (d,) at a time t in [1, T], integer or not."""

    def condition_on(self, values: Row) -> "Denoiser":
        """Return the denoiser E[x_0 | x_t, values] of observed values, NaN where unobserved.

        It ignores x_t in the observed columns.
        """
        raise ValueError("this denoiser was not trained with observed columns, so it cannot condition on values")


class ConditionalDenoiser(Denoiser):
    """A denoiser of data with classes: E[x_0 | x_t, y], or E[x_0 | x_t] before it is bound to a class.

    Attributes:
        n_classes: Number of classes, a scalar; None if the data has no classes.
    """

    if TYPE_CHECKING:
        # As in `Denoiser`.
        @property
        def n_classes(self) -> Label | None: ...

    @abstractmethod
    def condition(self, label: Label) -> Any:
        """Compute the representation of a class that `under` takes; label = n_classes means "no class"."""

    @abstractmethod
    def under(self, condition: Any) -> "ConditionalDenoiser":
        """Return the denoiser bound to a class, as represented by `condition`."""

    def given(self, label: Label) -> "ConditionalDenoiser":
        """Return the denoiser of one class; label = n_classes means "no class"."""
        return self.under(self.condition(label))


def has_classes(denoiser: Any) -> TypeGuard[ConditionalDenoiser]:
    """Return whether a denoiser can be bound to a class."""
    return isinstance(denoiser, ConditionalDenoiser) and denoiser.n_classes is not None


class ObservedColumns(NamedTuple):
    """The observed values of a row, 0 elsewhere, and their contribution to the output of the network's input layer."""

    values: Row
    is_observed: Bool[Array, " d"]
    contribution: Float[Array, " width"]


class NetworkDenoiser(ConditionalDenoiser):
    """A network of a row, the noise level and, with classes, the class, used as a denoiser.

    Attributes:
        network: F(c_in x_t, features of the noise level and the embedding of the class).
        schedule: The schedule that the network was trained with.
        sigma_data: Root mean square of each column, shape (d,); only "edm" uses it.
        prediction: What F predicts, one of `parameterizations.PREDICTIONS`.
        bounds: Lowest and highest x_0 in each column, shape (2, d), to which predictions are clipped unless the noise
            is below `UNCLIPPED`; None for no clipping. E[x_0 | x_t] never leaves the range of the data, but where
            alpha_t is near 0 a small error in ε moves a network's x_0 far outside. Where sigma_t is near 0, clipping
            is unnecessary and would make rows pile up at the bounds.
        n_classes: Number of classes, also the index that meant "no class" in training; None without classes.
        class_embedding: Number of features that embed the class, the last ones.
        class_contribution: Contribution of the class inside the network; None for no class.
        observed: Observed columns; None for none.
    """

    network: Network
    schedule: Schedule
    sigma_data: SigmaData = 1.0
    prediction: str = eqx.field(static=True, default="eps")
    bounds: Bounds | None = None
    n_classes: Label | None = None
    class_embedding: int = eqx.field(static=True, default=0)
    class_contribution: Float[Array, " m"] | None = None
    observed: ObservedColumns | None = None

    def condition_on(self, values: Row) -> "NetworkDenoiser":
        assert isinstance(self.network, ResidualMLP)
        is_observed = ~jnp.isnan(values)
        values = jnp.where(is_observed, values, 0.0)
        contribution = self.network.observed_contribution(values, is_observed.astype(values.dtype))
        return replace(self, observed=ObservedColumns(values, is_observed, contribution))

    def condition(self, label: Label) -> Float[Array, " m"]:
        """Compute the contribution of the class inside the network, which is the same at every step."""
        if self.n_classes is None:
            raise ValueError("a label needs a model with classes; this one was fitted without labels")
        embedding = sinusoidal_embedding(jnp.asarray(label), self.class_embedding)
        return self.network.contribution(embedding, self.network.features - self.class_embedding)

    def under(self, condition: Float[Array, " m"]) -> "NetworkDenoiser":
        return replace(self, class_contribution=condition)

    def __call__(self, x_t: Row, t: Time) -> Row:
        network, observed = self.network, self.observed
        of_class: Array | float = 0.0
        if self.n_classes is not None:
            of_class = self.condition(self.n_classes) if self.class_contribution is None else self.class_contribution
        alpha_t, sigma_t = alpha_sigma(self.schedule, t)
        n_features = network.features - self.class_embedding
        level_features = network.noise_level_features(t, jnp.log(alpha_t / sigma_t), n_features)
        inside, skip, out = coefficients(self.prediction, alpha_t, sigma_t, self.sigma_data)
        contribution = network.contribution(level_features) + of_class
        if observed is None:
            x0 = skip * x_t + out * network.from_contributions(inside * x_t, contribution)
        else:
            assert isinstance(network, ResidualMLP)
            noised = jnp.where(observed.is_observed, 0.0, inside * x_t)
            x0 = skip * x_t + out * network.from_contributions(noised, contribution, observed.contribution)
        if self.bounds is not None:
            low, high = jnp.asarray(self.bounds)
            slack = jnp.where(sigma_t < UNCLIPPED * alpha_t * self.sigma_data, jnp.inf, 0.0)
            x0 = jnp.clip(x0, low - slack, high + slack)
        return x0 if observed is None else jnp.where(observed.is_observed, observed.values, x0)


class UnobservedColumns(Denoiser):
    """A denoiser of the unobserved columns alone, shifted to mean 0.

    A deterministic solver starts from N(0, I), which approximates the distribution of noised rows only if their mean
    is near 0. The conditional mean given the observed columns need not be, so it is subtracted.

    Attributes:
        denoiser: The denoiser of all `n_columns` columns, conditioned on the observed ones.
        columns: Indices of the unobserved columns.
        center: The mean that is subtracted.
    """

    denoiser: Denoiser
    columns: tuple[int, ...] = eqx.field(static=True)
    center: Row
    n_columns: int = eqx.field(static=True)

    @classmethod
    def of(cls, denoiser: Denoiser, columns: tuple[int, ...], n_columns: int) -> "UnobservedColumns":
        """Center the columns at the denoiser's prediction at the highest noise level."""
        mean = denoiser(jnp.zeros(n_columns), time_at(denoiser.schedule, lambda_range(denoiser.schedule)[0]))
        return cls(denoiser, columns, mean[jnp.asarray(columns, int)], n_columns)

    @property
    def schedule(self) -> Schedule:
        """The denoiser's schedule."""
        return self.denoiser.schedule

    def __call__(self, x_t: Row, t: Time) -> Row:
        """Compute E[x_0 | x_t, observed] - center, shape (columns,)."""
        indices = jnp.asarray(self.columns, int)
        noised = x_t + alpha_sigma(self.schedule, t)[0] * self.center
        return self.denoiser(jnp.zeros(self.n_columns).at[indices].set(noised), t)[indices] - self.center
