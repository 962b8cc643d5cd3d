"""Sampling rows with observed columns, and the conditional distribution of a column given the others."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.denoisers import Denoiser, Row, UnobservedColumns, has_classes
from pointillist.diffusion.likelihood import RowFunction, hutchinson_probes, log_density, n_tangents
from pointillist.diffusion.samplers import RowSampler, Sampler
from pointillist.diffusion.schedules import LOWEST_LAMBDA, AnyArray, at_lambda, time_at


class CenteredSampler(Sampler):
    """A sampler of rows whose mean may be far from 0, such as rows of one class or with observed values.

    At the noise level where samplers start, part of the mean of the rows remains; this sampler adds it to the start.
    """

    sampler: RowSampler

    def start(self, key: PRNGKeyArray, columns: int) -> Row:
        return self.sampler.start(key, columns)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Row) -> Float[Array, "1 d"]:
        """Draw a row from x_T of rows with mean 0, by a denoiser that is bound to the class and observed values."""
        lambda_T = self.sampler.log_snr(jnp.zeros((), jnp.int32))
        mean = denoiser(jnp.zeros_like(x_T), time_at(self.sampler.schedule, lambda_T))
        return self.sampler.draw(key, denoiser, x_T + at_lambda(lambda_T)[0] * mean)


class ObservedSampler(Sampler):
    """A sampler of rows with observed values, by another sampler, of rows or populations, and a conditioned denoiser.

    The `x_T` of `draw` holds the observed values, NaN where unobserved; `draw` itself draws the noise at T.
    """

    sampler: Sampler

    @property
    def n_diagnostics(self) -> int:
        return self.sampler.n_diagnostics

    @property
    def rows_per_draw(self) -> int:
        return self.sampler.rows_per_draw

    @property
    def width(self) -> int:
        return self.sampler.width

    def start(self, key: PRNGKeyArray, columns: int) -> Row:
        """Return a row without observed values: all NaN."""
        return jnp.full(columns - self.n_diagnostics, jnp.nan)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Row) -> Float[Array, "rows d_and_diagnostics"]:
        """Draw rows in which observed values are unchanged, with a denoiser that is not yet conditioned."""
        columns = len(x_T)
        start = self.sampler.start(key, columns + self.n_diagnostics)
        conditioned = denoiser.condition_on(x_T)
        # Populations need no centering: their samplers are stochastic, so the start is forgotten.
        sampler = CenteredSampler(self.sampler) if isinstance(self.sampler, RowSampler) else self.sampler
        rows = sampler.draw(key, conditioned, start)
        drawn = jnp.where(jnp.isnan(x_T)[None], rows[:, :columns], x_T[None])
        return jnp.concatenate([drawn, rows[:, columns:]], axis=1)


class Completions(RowFunction):
    """Draws of the unobserved cells of a row; a function of rows, for `map_rows`.

    The start of `sampler`, a sampler of single rows, holds the observed cells. With `has_label`, a row ends with the
    index of its class.
    """

    denoiser: Any
    sampler: Sampler
    n_draws: int = eqx.field(static=True)
    has_label: bool = eqx.field(static=True, default=False)

    def __call__(self, key: PRNGKeyArray, x: Row) -> Float[Array, "draws width"]:
        denoiser, x = _split_label(self.denoiser, x, self.has_label)
        keys = jax.random.split(key, self.n_draws)
        return jax.vmap(lambda key: self.sampler.draw(key, denoiser, x)[0])(keys)

    def width(self, columns: int) -> int:
        return self.n_draws


class ColumnQuantiles(RowFunction):
    """Conditional quantiles of one column given the others.

    A deterministic sampler maps `starts`, quantiles of N(0, 1), to these quantiles, because the probability-flow ODE
    preserves order in one dimension.
    """

    denoiser: Denoiser
    sampler: Sampler
    column: int = eqx.field(static=True)
    starts: Float[AnyArray, " levels"]
    has_label: bool = eqx.field(static=True, default=False)

    def __call__(self, key: PRNGKeyArray, x: Row) -> Float[Array, " levels"]:
        """Compute the quantiles; the value of the column in `x` is ignored."""
        denoiser, x = _split_label(self.denoiser, x, self.has_label)
        conditioned = denoiser.condition_on(x.at[self.column].set(jnp.nan))
        centered = UnobservedColumns.of(conditioned, (self.column,), len(x))
        drawn = jax.vmap(lambda start: self.sampler.draw(key, centered, start[None])[0, 0])(jnp.asarray(self.starts))
        return drawn + centered.center[0]

    def width(self, columns: int) -> int:
        return len(self.starts)


class ColumnDensity(RowFunction):
    """Conditional log-density of some columns given the others, in nats, by the probability-flow ODE."""

    denoiser: Denoiser
    columns: tuple[int, ...] = eqx.field(static=True)
    has_label: bool = eqx.field(static=True, default=False)

    def __call__(self, key: PRNGKeyArray, x: Row) -> Float[Array, ""]:
        """Compute the log-density; beyond 64 columns the key determines the probes of Hutchinson's estimate."""
        indices = jnp.asarray(self.columns, int)
        for_class, x = _split_label(self.denoiser, x, self.has_label)
        denoiser = UnobservedColumns.of(for_class.condition_on(x.at[indices].set(jnp.nan)), self.columns, len(x))
        probes = hutchinson_probes(key, len(self.columns))
        return log_density(denoiser, x[indices] - denoiser.center, probes=probes, lowest=LOWEST_LAMBDA)

    def width(self, columns: int) -> int:
        return n_tangents(len(self.columns)) + 1


def _split_label(denoiser: Any, x: Float[Array, " d_and_label"], has_label: bool) -> tuple[Any, Array]:
    """Split a row from its label, and bind the denoiser to that class."""
    if not has_label:
        return denoiser, x
    assert has_classes(denoiser)
    return denoiser.given(x[-1].astype(jnp.int32)), x[:-1]
