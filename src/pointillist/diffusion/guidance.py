"""Guidance: a denoiser that extrapolates from the prediction without a class through the prediction of a class.

Throughout, w = 0 means no guidance. A guided denoiser is not the denoiser of any distribution: for w above 0 its
samples do not follow p(x) p(y | x)^(1 + w).
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pointillist.diffusion.denoisers import ConditionalDenoiser, Label, Row
from pointillist.diffusion.schedules import Schedule, Time


class ClassifierFree(ConditionalDenoiser):
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598, equation 6): (1 + w) ε(x, y) - w ε(x, ∅).

    The code combines the two predicted x̂_0 in the same way, which is equivalent because x̂_0 is affine in ε. One call
    of the denoiser on a doubled batch computes both.

    Attributes:
        guidance: w, at least 0: **0 is plain conditional sampling**.
        pair: The denoiser's conditions for the class and for no class, stacked; None for no class, which disables
            guidance.
    """

    denoiser: ConditionalDenoiser
    guidance: Float[Array | np.ndarray, ""] | float = 0.0
    pair: Array | None = None

    @property
    def schedule(self) -> Schedule:
        """The denoiser's schedule."""
        return self.denoiser.schedule

    @property
    def n_classes(self) -> Label | None:
        """The denoiser's number of classes."""
        return self.denoiser.n_classes

    def condition(self, label: Label) -> Array:
        """Stack the denoiser's conditions for the class and for no class."""
        none = jnp.asarray(self.n_classes)
        return jax.vmap(self.denoiser.condition)(jnp.stack([jnp.asarray(label).astype(none.dtype), none]))

    def under(self, condition: Array) -> "ClassifierFree":
        return replace(self, pair=condition)

    def condition_on(self, values: Row) -> "ClassifierFree":
        conditioned = self.denoiser.condition_on(values)
        assert isinstance(conditioned, ConditionalDenoiser)
        return replace(self, denoiser=conditioned)

    def __call__(self, x_t: Row, t: Time) -> Row:
        if self.pair is None:
            return self.denoiser(x_t, t)
        conditional, unconditional = jax.vmap(lambda condition: self.denoiser.under(condition)(x_t, t))(self.pair)
        return conditional + self.guidance * (conditional - unconditional)
