"""Rows of numbers of which some are given, and distributions of one number given the others."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from pointillist.diffusion.denoisers import ConditionalDenoiser, Denoiser, UnobservedColumns
from pointillist.diffusion.likelihood import hutchinson_probes, log_density, n_tangents
from pointillist.diffusion.samplers import RowSampler, Sampler
from pointillist.diffusion.schedules import LOWEST_LAMBDA, AnyArray, at_lambda, time_at
from pointillist.diffusion.trajectories import TrajectorySampler


class CentredSampler(Sampler):
    """Draws rows whose mean need not be near 0: those of one class, or with given values.

    A sampler starts from N(0, I), and noised rows have some of their mean left there: it is added to the start.

    Attributes:
        sampler: The sampler of one row, or of its walk.
    """

    sampler: RowSampler | TrajectorySampler

    @property
    def rows_per_draw(self) -> int:
        """The sampler's."""
        return self.sampler.rows_per_draw

    @property
    def width(self) -> int:
        """The sampler's."""
        return self.sampler.width

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " d"]:
        """The sampler's, of rows with mean 0."""
        return self.sampler.start(key, columns)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, " d"]) -> Float[Array, "rows d"]:
        """Draws a row, with one evaluation more than the sampler.

        Args:
            key: The draw's own key.
            denoiser: The denoiser of the class, or of rows with given values.
            x_T: The start of rows with mean 0.
        """
        sampler = self.sampler.sampler if isinstance(self.sampler, TrajectorySampler) else self.sampler
        lambda_T = sampler.log_snr(jnp.zeros((), jnp.int32))
        mean = denoiser(jnp.zeros_like(x_T), time_at(sampler.schedule, lambda_T))
        return self.sampler.draw(key, denoiser, x_T + at_lambda(lambda_T)[0] * mean)


class ObservedSampler(Sampler):
    """Draws rows of which some values are given, by another sampler, with a denoiser that knows them.

    A draw starts from the given values, NaN where none is given, and not from x_T, which it draws as the other does.

    Attributes:
        sampler: The other sampler, of rows or of populations.
    """

    sampler: Sampler

    @property
    def n_diagnostics(self) -> int:
        """The other sampler's."""
        return self.sampler.n_diagnostics

    @property
    def rows_per_draw(self) -> int:
        """The other sampler's."""
        return self.sampler.rows_per_draw

    @property
    def width(self) -> int:
        """The other sampler's."""
        return self.sampler.width

    def start(self, key: PRNGKeyArray, columns: int) -> Float[Array, " d"]:
        """No given value."""
        return jnp.full(columns - self.n_diagnostics, jnp.nan)

    def draw(self, key: PRNGKeyArray, denoiser: Denoiser, x_T: Float[Array, " d"]) -> Float[Array, "rows d_and_notes"]:
        """Draws rows in which the given values are as they were given.

        Args:
            key: The draw's own key.
            denoiser: The denoiser.
            x_T: The given values, NaN where none is given.
        """
        columns = len(x_T)
        start = self.sampler.start(key, columns + self.n_diagnostics)
        known = denoiser.condition_on(x_T)
        if isinstance(self.sampler, RowSampler):
            rows = CentredSampler(self.sampler).draw(key, known, start)
        else:
            # Populations are drawn with noise, which forgets where they started.
            rows = self.sampler.draw(key, known, start)
        drawn = jnp.where(jnp.isnan(x_T)[None], rows[:, :columns], x_T[None])
        return jnp.concatenate([drawn, rows[:, columns:]], axis=1)


class Completions(eqx.Module):
    """Draws of a row of which some cells are known, with noise of the row's own key alone.

    Attributes:
        denoiser: What the sampler draws with.
        sampler: A sampler of single rows that starts from what is known.
        n_draws: Number of draws.
        has_label: Whether a row ends with the index of its class.
    """

    denoiser: Any
    sampler: Sampler
    n_draws: int = eqx.field(static=True)
    has_label: bool = eqx.field(static=True, default=False)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " d"]) -> Float[Array, "draws width"]:
        """Draws the row."""
        denoiser, x = _of_label(self.denoiser, x, self.has_label)
        return jax.vmap(lambda own: self.sampler.draw(own, denoiser, x)[0])(jax.random.split(key, self.n_draws))

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return self.n_draws


class ColumnQuantiles(eqx.Module):
    """Quantiles of one column of a row given the others: a sampler without noise takes there those of N(0, 1).

    In one dimension the probability-flow ODE keeps the order of its starts, so quantiles go to quantiles.

    Attributes:
        denoiser: The denoiser of all columns.
        sampler: A sampler without noise.
        column: The column's position.
        starts: Quantiles of N(0, 1), shape (levels,).
        has_label: Whether a row ends with the index of its class.
    """

    denoiser: Denoiser
    sampler: Sampler
    column: int = eqx.field(static=True)
    starts: Float[AnyArray, " levels"]
    has_label: bool = eqx.field(static=True, default=False)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " d"]) -> Float[Array, " levels"]:
        """Computes the quantiles; the row's own value of the column does not matter."""
        denoiser, x = _of_label(self.denoiser, x, self.has_label)
        known = denoiser.condition_on(x.at[self.column].set(jnp.nan))
        own = UnobservedColumns.of(known, (self.column,), len(x))
        drawn = jax.vmap(lambda start: self.sampler.draw(key, own, start[None])[0, 0])(jnp.asarray(self.starts))
        return drawn + own.centre[0]

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel."""
        return len(self.starts)


class ColumnDensity(eqx.Module):
    """Log-density of some columns of a row given the others, in nats, by the probability-flow ODE of these columns.

    Attributes:
        denoiser: The denoiser of all columns.
        columns: The columns' positions.
        has_label: Whether a row ends with the index of its class.
    """

    denoiser: Denoiser
    columns: tuple[int, ...] = eqx.field(static=True)
    has_label: bool = eqx.field(static=True, default=False)

    def __call__(self, key: PRNGKeyArray, x: Float[Array, " d"]) -> Float[Array, ""]:
        """Computes the log-density; the key decides the probes of Hutchinson's estimate, beyond 64 columns."""
        own = jnp.asarray(self.columns, int)
        of_class, x = _of_label(self.denoiser, x, self.has_label)
        denoiser = UnobservedColumns.of(of_class.condition_on(x.at[own].set(jnp.nan)), self.columns, len(x))
        probes = hutchinson_probes(key, len(self.columns))
        return log_density(denoiser, x[own] - denoiser.centre, probes=probes, lowest=LOWEST_LAMBDA)

    def width(self, columns: int) -> int:
        """Number of network evaluations in parallel: the row's and its tangents'."""
        return n_tangents(len(self.columns)) + 1


def _of_label(denoiser: Any, x: Float[Array, " d_and_label"], has_label: bool) -> tuple[Any, Array]:
    """The denoiser of the class that ends a row, and the row without it."""
    if not has_label:
        return denoiser, x
    assert isinstance(denoiser, ConditionalDenoiser)
    return denoiser.given(x[-1].astype(jnp.int32)), x[:-1]
