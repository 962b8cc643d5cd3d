"""Plots the density of a model of two columns, and predicted distributions of a column."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pointillist.arguments import is_number, is_whole
from pointillist.estimators.inputs import checked_rows, fitted_model
from pointillist.estimators.plotting.axes import ROWS, check_axes, column_names, labelled_axes
from pointillist.foreign_text import figure_text
from pointillist.models.gaussian import gaussian_of
from pointillist.models.row_model import RowModel
from pointillist.queries.density import log_density
from pointillist.queries.label_conditional import conditional_of
from pointillist.tables.frames import aligned
from pointillist.tables.table import columns_of

MARGIN = 0.05
"""Margin on each side of the training rows, as a fraction of their range, if no bounds are given."""

LOG_RANGE = 15.0
"""Range of log-densities that are drawn, in nats below the highest: empty space would use up the colors."""


def plot_density(  # noqa: D417
    model: Any,
    ax: Any = None,
    *,
    rows: Any = None,
    bounds: ArrayLike | None = None,
    n_grid: int = 150,
    log: bool = False,
) -> Any:
    """Draws the density p(x) of a model of two columns on a grid; see `score_samples`.

    Args:
        ax: Matplotlib axes to draw on; a new figure by default.
        rows: Rows with the columns of `fit`, shape (m, 2), to draw as dots.
        bounds: Ranges of the columns, ((low, high), (low, high)); by default the range of the training rows and a
            little more.
        n_grid: Number of grid points in each column, at least 2.
        log: Whether to draw log p(x), down to 15 nats below its highest value.

    Returns:
        The axes.

    Raises:
        ValueError: If the model does not have exactly two columns that vary, or an argument cannot be used.
    """
    fitted = fitted_model(model)
    gaussian_of(fitted, "a density is")
    codec, varies = fitted.codec, fitted.codec.scaling.varies
    if codec.n_columns != 2 or not varies.all():
        constant = "" if varies.all() else f", {(~varies).sum()} of them constant"
        raise ValueError(
            f"plot_density needs a model of two columns that vary, and this one has {codec.n_columns}{constant}"
        )
    check_axes(ax)
    if not is_whole(n_grid, 2):
        raise ValueError(f"n_grid must be an integer of at least 2, not {n_grid!r}")
    points = None if rows is None else checked_rows(model, rows)[1]
    low, high = codec.scaling.minimum, codec.scaling.maximum
    margin = MARGIN * (high - low)
    ranges = np.stack([low - margin, high + margin], axis=1) if bounds is None else np.asarray(bounds, np.float64)
    if ranges.shape != (2, 2) or not np.isfinite(ranges).all() or (ranges[:, 0] >= ranges[:, 1]).any():
        raise ValueError(f"bounds must be ((low, high), (low, high)) with low < high for each column, not {bounds!r}")
    x, y = (np.linspace(low, high, n_grid) for low, high in ranges)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    found = log_density(fitted, columns_of(grid.reshape(-1, 2))).reshape(n_grid, n_grid)
    ax = labelled_axes(ax, column_names(fitted))
    shown = np.maximum(found, np.nanmax(found) - LOG_RANGE) if log else np.exp(found)
    mesh = ax.pcolormesh(x, y, shown, shading="gouraud", rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label="log p(x) (nats)" if log else "p(x)")
    if points is not None:
        ax.scatter(points[:, 0], points[:, 1], s=2, color="white", alpha=0.5, linewidths=0)
    return ax


def plot_predictions(  # noqa: D417
    model: Any,
    X: Any,
    target: Any,
    ax: Any = None,
    *,
    by: Any = None,
    levels: Sequence[float] = (0.5, 0.9),
) -> Any:
    """Draws predicted distributions of a column of numbers given the others, as bands, and its values as dots.

    Args:
        X: A table with the columns of `fit`, in any container; it may lack the target.
        target: The column, by name, or by position in an array.
        ax: Matplotlib axes to draw on; a new figure by default.
        by: A column of numbers by which rows are ordered; predicted medians by default.
        levels: Levels of the central intervals that are drawn, in (0, 1).

    Returns:
        The axes.

    Raises:
        ValueError: If a column does not hold numbers, or an argument cannot be used.
    """
    fitted = fitted_model(model)
    values = _numbers(fitted, X, target, target)
    x = None if by is None else _numbers(fitted, X, by, target)
    name = None if by is None else figure_text(str(by))
    quantiles_of = partial(conditional_of(fitted, target).quantiles, X)
    return draw_bands(quantiles_of, values, x, ax, levels, name, figure_text(str(target)))


def draw_bands(
    quantiles_of: Callable[[Sequence[float]], Float[np.ndarray, "n levels"]],
    values: Float[np.ndarray, " n"] | None,
    x: Float[np.ndarray, " n"] | None,
    ax: Any,
    levels: Sequence[float],
    x_name: str | None,
    y_name: str,
) -> Any:
    """Draw central intervals of predicted distributions, their medians and observed values; return the axes.

    `quantiles_of` computes quantiles of each row. Rows have the horizontal positions `x`, or are ordered by median.
    """
    check_axes(ax)
    levels = sorted(levels, reverse=True)
    if not levels or not all(is_number(level) and 0 < level < 1 for level in levels):
        raise ValueError(f"levels of intervals must be numbers between 0 and 1, not {levels!r}")
    tails = [(1 - level) / 2 for level in levels]
    quantiles = quantiles_of([*tails, 0.5, *(1 - tail for tail in reversed(tails))])
    median = quantiles[:, len(levels)]
    order = np.argsort(median if x is None else x, kind="stable")
    position = np.arange(len(order)) if x is None else x[order]
    ax = labelled_axes(ax, (x_name or "rows, by predicted median", y_name))
    for i, level in enumerate(levels):
        low, high = quantiles[order, i], quantiles[order, -1 - i]
        ax.fill_between(position, low, high, color=ROWS, alpha=0.25, linewidth=0, label=f"central {level:.0%}")
    ax.plot(position, median[order], color=ROWS, linewidth=1, label="median")
    if values is not None and not np.isnan(values).all():
        ax.scatter(position, values[order], s=4, color="0.2", linewidths=0, label="values", zorder=3)
    ax.legend()
    return ax


def _numbers(model: RowModel, X: Any, name: Any, target: Any) -> Float[np.ndarray, " n"]:
    """Return the numbers of a column of X, NaN where they are missing; X may lack the target."""
    codec = model.codec
    index = codec.encoding.index(name)
    cells = aligned(X, codec.layout, absent=[target]).cells[index] if index < codec.n_columns else None
    if cells is None or codec.encoding.columns[index].categories is not None or cells.is_date:
        raise ValueError(f"column {name!r} does not hold numbers: take another")
    return np.where(cells.is_missing, np.nan, cells.numbers)
