"""Turns a user's reward, a function of rows in the units of the table, into one of scaled rows."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pointillist.columns.scaling import AffineScaling, QuantileScaling, Scaling
from pointillist.columns.table_scaling import TableScaling

Values = np.ndarray | Array

# So that a compiled program takes their numbers as data.
jax.tree_util.register_dataclass(AffineScaling, ["centre", "unit"], [])
jax.tree_util.register_dataclass(QuantileScaling, ["quantiles"], [])


class InUnits(eqx.Module):
    """A reward of scaled rows, shape (m, k), made from one of rows in the units of the table, shape (m, d).

    The rows are not rounded: while they are drawn, a column of integers holds other numbers too.

    Attributes:
        function: The reward of rows in the units of the table, (m, d) → (m,).
        minimum: Smallest value of each column, shape (d,), which is that of constant columns.
        indices: Index of each varying column, shape (k,).
        varying: Scaling of the varying columns.
    """

    function: Callable[[Any], Any] = eqx.field(static=True)
    minimum: Float[Values, " d"]
    indices: Values
    varying: Scaling

    @classmethod
    def of(cls, function: Callable[[Any], Any], scaling: TableScaling) -> "InUnits":
        """Makes the reward under a scaling."""
        return cls(function, scaling.minimum, np.flatnonzero(scaling.varies), scaling.varying)

    def __call__(self, x0: Any) -> Any:
        """Computes the reward of NumPy or JAX rows, (m, k) → (m,)."""
        if isinstance(x0, np.ndarray):
            rows = np.repeat(np.asarray(self.minimum)[None], len(x0), axis=0)
            rows[:, np.asarray(self.indices)] = self.varying.inverse(x0)
            return self.function(rows)
        minimum = jnp.asarray(self.minimum, jnp.float32)
        constants = jnp.broadcast_to(minimum, (len(x0), len(minimum)))
        in_units = self.varying.inverse(x0, jax.scipy.special.ndtr)
        return self.function(constants.at[:, self.indices].set(in_units))
