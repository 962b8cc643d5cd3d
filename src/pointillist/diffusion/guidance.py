"""Guidance: denoisers that extrapolate from a second denoiser through a first one.

Throughout, w = 0 means no guidance: the first denoiser alone. A guided denoiser is not the denoiser of any
distribution: for w above 0 its samples do not follow p(x) p(y | x)^(1 + w).
"""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pointillist.diffusion.denoisers import ConditionalDenoiser, Denoiser, Label, Row, has_classes
from pointillist.diffusion.schedules import Schedule, Time, alpha_sigma

Scalar = Float[Array | np.ndarray, ""] | float


class SigmaInterval(eqx.Module):
    """Noise levels at which guidance acts: low < σ <= high (Kynkäänniemi et al. 2024, arXiv 2404.07724, equation 6).

    σ = sigma_t / alpha_t, from 0 to infinity, is the standard deviation of the noise on the scale of the data.
    """

    low: Scalar = 0.0
    high: Scalar = np.inf

    def scale(self, guidance: Scalar, schedule: Schedule, t: Time) -> Float[Array, ""]:
        """Return the guidance scale at time t: `guidance` inside the interval, 0 outside."""
        alpha_t, sigma_t = alpha_sigma(schedule, t)
        sigma = sigma_t / alpha_t
        return jnp.where((sigma > self.low) & (sigma <= self.high), jnp.asarray(guidance, jnp.float32), 0.0)


class ClassifierFree(ConditionalDenoiser):
    """Classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598, equation 6): (1 + w) ε(x, y) - w ε(x, ∅).

    The code combines the two predicted x̂_0 in the same way, which is equivalent because x̂_0 is affine in ε. One call
    of the denoiser on a doubled batch computes both.

    Attributes:
        guidance: w, at least 0: **0 is plain conditional sampling**.
        interval: Noise levels at which w applies; all by default.
        pair: The denoiser's conditions for the class and for no class, stacked; None for no class, which disables
            guidance.
    """

    denoiser: ConditionalDenoiser
    guidance: Scalar = 0.0
    interval: SigmaInterval = SigmaInterval()
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
        w = self.interval.scale(self.guidance, self.schedule, t)
        return conditional + w * (conditional - unconditional)


class Autoguided(ConditionalDenoiser):
    """Autoguidance (Karras et al. 2024, arXiv 2406.02507, equation 3): D_good + w (D_good - D_bad).

    The scale in the paper, where 1 means no guidance, is 1 + w.

    Attributes:
        good: The better denoiser, with or without classes.
        bad: A denoiser of the same distribution with larger errors of the same kind: smaller or less trained.
        guidance: w, at least 0: **0 is the good denoiser alone**.
        interval: Noise levels at which w applies; all by default.
    """

    good: Denoiser
    bad: Denoiser
    guidance: Scalar
    interval: SigmaInterval = SigmaInterval()

    @property
    def schedule(self) -> Schedule:
        """The good denoiser's schedule."""
        return self.good.schedule

    @property
    def n_classes(self) -> Label | None:
        """The good denoiser's number of classes; None if it has none."""
        return self.good.n_classes if isinstance(self.good, ConditionalDenoiser) else None

    def condition(self, label: Label) -> tuple[Array, Array]:
        if not has_classes(self.good) or not has_classes(self.bad):
            raise ValueError("a label needs two models with classes; one of the guided pair was fitted without labels")
        return self.good.condition(label), self.bad.condition(label)

    def under(self, condition: tuple[Array, Array]) -> "Autoguided":
        assert has_classes(self.good) and has_classes(self.bad)
        return replace(self, good=self.good.under(condition[0]), bad=self.bad.under(condition[1]))

    def condition_on(self, values: Row) -> "Autoguided":
        return replace(self, good=self.good.condition_on(values), bad=self.bad.condition_on(values))

    def __call__(self, x_t: Row, t: Time) -> Row:
        good = self.good(x_t, t)
        return good + self.interval.scale(self.guidance, self.schedule, t) * (good - self.bad(x_t, t))
