"""Plots the density of a model of two columns."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pointillist.arguments import is_whole
from pointillist.estimators.inputs import checked_rows, fitted_model
from pointillist.estimators.plotting.drawing import axes_or_new, check_axes, column_names
from pointillist.models.gaussian import gaussian_of
from pointillist.queries.density import log_density
from pointillist.tables.table import columns_of

MARGIN = 0.05
"""Margin on each side of the training rows, as a fraction of their range, if no range is given."""

LOG_RANGE = 15.0
"""Nats below the highest log-density beyond which all is drawn alike: else empty space would use up the colors."""


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
    codec = fitted.codec
    varies = codec.scaling.varies
    if codec.n_columns != 2 or not varies.all():
        constant = int((~varies).sum())
        raise ValueError(
            "plot_density needs a model of two columns that vary, and this one has "
            f"{codec.n_columns}{f', {constant} of them constant' if constant else ''}"
        )
    check_axes(ax)
    if not is_whole(n_grid, 2):
        raise ValueError(f"n_grid must be an integer of at least 2, not {n_grid!r}")
    points = None if rows is None else checked_rows(model, rows)[1]
    if bounds is None:
        low, high = codec.scaling.minimum, codec.scaling.maximum
        ranges = np.stack([low - MARGIN * (high - low), high + MARGIN * (high - low)], axis=1)
    else:
        ranges = np.asarray(bounds, np.float64)
        if ranges.shape != (2, 2) or not np.isfinite(ranges).all() or (ranges[:, 0] >= ranges[:, 1]).any():
            raise ValueError(
                f"bounds must be ((low, high), (low, high)) with low < high for each column, not {bounds!r}"
            )
    x, y = (np.linspace(low, high, n_grid) for low, high in ranges)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    found = log_density(fitted, columns_of(grid.reshape(-1, 2))).reshape(n_grid, n_grid)
    ax = axes_or_new(ax, column_names(fitted))
    shown = np.maximum(found, np.nanmax(found) - LOG_RANGE) if log else np.exp(found)
    mesh = ax.pcolormesh(x, y, shown, shading="gouraud", rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label="log p(x) (nats)" if log else "p(x)")
    if points is not None:
        ax.scatter(points[:, 0], points[:, 1], s=2, color="white", alpha=0.5, linewidths=0)
    return ax
