"""Turns a user's reward, a function of rows in the units of the table, into one of scaled rows."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from pointillist.points import AffineScaling, QuantileScaling, TableScaling

Values = np.ndarray | Array


class InUnits(eqx.Module):
    """A reward of scaled rows, shape (m, k), made from one of rows in the units of the table, shape (m, d).

    The rows are not rounded: while they are drawn, a column of integers holds other numbers too.

    Attributes:
        function: The reward of rows in the units of the table, (m, d) → (m,).
        minimum: Smallest value of each column, shape (d,), which is that of constant columns.
        places: Index of each varying column, shape (k,).
        centre: Center of an affine scaling, shape (k,); None for one by quantiles.
        unit: Unit of an affine scaling, shape (k,); None for one by quantiles.
        quantiles: Quantiles of a scaling by quantiles, shape (points, k); None for an affine one.
    """

    function: Callable[[Any], Any] = eqx.field(static=True)
    minimum: Float[Values, " d"]
    places: Values
    centre: Float[Values, " k"] | None = None
    unit: Float[Values, " k"] | None = None
    quantiles: Float[Values, "points k"] | None = None

    @classmethod
    def of(cls, function: Callable[[Any], Any], scaling: TableScaling) -> "InUnits":
        """Makes the reward under a scaling."""
        places: Bool[np.ndarray, " d"] = scaling.varies
        common = function, scaling.minimum, np.flatnonzero(places)
        if isinstance(scaling.varying, QuantileScaling):
            return cls(*common, quantiles=scaling.varying.quantiles)
        assert isinstance(scaling.varying, AffineScaling)
        return cls(*common, centre=scaling.varying.centre, unit=scaling.varying.unit)

    def __call__(self, x0: Any) -> Any:
        """Computes the reward of NumPy or JAX rows, (m, k) → (m,)."""
        if isinstance(x0, np.ndarray):
            rows = np.repeat(np.asarray(self.minimum)[None], len(x0), axis=0)
            rows[:, np.asarray(self.places)] = self._scaling().inverse(x0)
            return self.function(rows)
        minimum = jnp.asarray(self.minimum, jnp.float32)
        constants = jnp.broadcast_to(minimum, (len(x0), len(minimum)))
        return self.function(constants.at[:, self.places].set(self._traced(x0)))

    def _scaling(self) -> AffineScaling | QuantileScaling:
        if self.quantiles is not None:
            return QuantileScaling(np.asarray(self.quantiles))
        return AffineScaling(np.asarray(self.centre), np.asarray(self.unit))

    def _traced(self, x0: Array) -> Array:
        if self.quantiles is None:
            centre, unit = (jnp.asarray(each, jnp.float32) for each in (self.centre, self.unit))
            return x0 * unit[None] + centre[None]
        quantiles = jnp.asarray(self.quantiles, jnp.float32)
        levels = jnp.linspace(0, 1, len(quantiles))
        shares = jax.scipy.special.ndtr(x0)
        return jax.vmap(jnp.interp, (1, None, 1), 1)(shares, levels, quantiles)
