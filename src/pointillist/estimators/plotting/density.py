"""Plots the density of a model of two columns."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pointillist.arguments import is_whole
from pointillist.columns.table_scaling import TableScaling
from pointillist.estimators.asking import Fitted, fitted_model
from pointillist.estimators.inputs import checked_rows
from pointillist.estimators.plotting.views import axes_or_new, check_axes, column_names, name_axes
from pointillist.models.gaussian import gaussian_of
from pointillist.queries.density import log_density
from pointillist.tables.table import columns_of

MARGIN = 0.05
"""Margin on each side of the training rows, as a share of their range, if no range is given."""

_LOG_RANGE = 15.0


def plot_density(  # noqa: D417
    model: Fitted,
    ax: Any = None,
    *,
    rows: Any = None,
    bounds: ArrayLike | None = None,
    n_grid: int = 150,
    log: bool = False,
) -> Any:
    """Draws the density p(x) of a model of two columns on a grid; see `score_samples`.

    Args:
        ax: Matplotlib axes to draw on; by default those of a new figure.
        rows: Rows like those of `fit`, shape (m, 2), to draw as dots.
        bounds: Ranges of the columns, ((low, high), (low, high)); by default the range of the training rows and a
            little more.
        n_grid: Number of grid points in each column, at least 2.
        log: Whether to draw log p(x), down to 15 nats below its highest value.

    Returns:
        The axes.

    Raises:
        ValueError: If the model does not have exactly two columns that vary, or an argument cannot be used.
    """
    codec = fitted_model(model).codec
    gaussian_of(fitted_model(model), "a density is")
    varies = codec.scaling.varies
    if codec.n_columns != 2 or not varies.all():
        constant = int((~varies).sum())
        raise ValueError(
            "plot_density needs a model of two columns that vary, and this one has "
            f"{model.n_features_in_}{f', {constant} of them constant' if constant else ''}"
        )
    check_axes(ax, is_3d=False)
    if not is_whole(n_grid, 2):
        raise ValueError(f"n_grid must be an integer of at least 2, not {n_grid!r}")
    points = None if rows is None else checked_rows(model, rows)[1]
    x, y = (np.linspace(low, high, n_grid) for low, high in _ranges(codec.scaling, bounds))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    found = log_density(fitted_model(model), columns_of(grid.reshape(-1, 2))).reshape(n_grid, n_grid)
    ax = axes_or_new(ax, is_3d=False)
    # Below the least density of any use the colours of a log density would all be spent on empty space.
    shown = np.maximum(found, np.nanmax(found) - _LOG_RANGE) if log else np.exp(found)
    mesh = ax.pcolormesh(x, y, shown, shading="gouraud", rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label="log p(x) (nats)" if log else "p(x)")
    if points is not None:
        ax.scatter(points[:, 0], points[:, 1], s=2, color="white", alpha=0.5, linewidths=0)
    name_axes(ax, column_names(model))
    return ax


def _ranges(scaling: TableScaling, bounds: ArrayLike | None) -> list[tuple[float, float]]:
    if bounds is None:
        low, high = scaling.minimum, scaling.maximum
        return list(zip(low - MARGIN * (high - low), high + MARGIN * (high - low), strict=True))
    given = np.asarray(bounds, np.float64)
    if given.shape != (2, 2) or not np.isfinite(given).all() or (given[:, 0] >= given[:, 1]).any():
        raise ValueError(f"bounds must be ((low, high), (low, high)) with low < high for each column, not {bounds!r}")
    return [(float(low), float(high)) for low, high in given]
