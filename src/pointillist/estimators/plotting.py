"""Pictures of a fitted model and of its rows, with Matplotlib.

`plot`, `plot_trajectory` and `plot_density` are methods of `Diffusion`: their first argument is the model.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pointillist.arguments import is_integer
from pointillist.estimators.inputs import checked_rows, fitted_model, sampling_run
from pointillist.foreign_text import figure_text, legend_text
from pointillist.models.gaussian import gaussian_of
from pointillist.models.row_model import RowModel
from pointillist.queries.density import log_density
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.numbers import spread_indices
from pointillist.tables.table import columns_of

ROWS, DATA = "#1f5fa8", "0.5"
"""Colors of generated rows without classes, and of given rows and the starts of paths."""

N_SAMPLES, N_TRAJECTORIES = 2000, 100
"""Number of generated rows, and of paths, by default."""

MOST_DATA = 5000
"""Most given rows that are shown."""

MOST_TIMES = 200
"""Most points of a path."""

MOST_IN_LEGEND = 12
"""Most classes in a legend; a longer one would hide the rows."""

MOST_VALUES = 60
"""Widest range of integers whose histogram has one bin per integer."""

MARGIN = 0.05
"""Margin on each side of the training rows, as a fraction of their range, if no bounds are given."""

LOG_RANGE = 15.0
"""Range of log-densities that are drawn, in nats below the highest: empty space would use up the colors."""


def plot(  # noqa: D417
    model: Any, X: Any = None, *, ax: Any = None, n_samples: int | None = None, labels: Any = None, **options: Any
) -> Any:
    """Draws new rows, colored by class, over given rows in gray.

    Two columns are shown as a scatter plot, three as one in three dimensions, and a single column as a histogram. More
    columns are scaled to mean 0 and standard deviation 1, and the first two principal axes of X are shown, or of the
    new rows without X.

    Args:
        X: Rows with the columns of `fit`, shape (m, d); none by default. At most 5,000, evenly spaced, are shown.
        ax: Matplotlib axes to draw on, with projection="3d" for three columns; a new figure by default.
        n_samples: Number of new rows; by default the length of `labels` or `prior`, or else of X but at most
            2,000, or else 2,000.
        labels: See `sample`. With None, a model with classes draws each row's label first, as `sample` does for
            `return_labels`. A legend names up to 12 classes.
        **options: Other arguments of `sample`, such as `random_state`; the rows are the same as from `sample`.

    Returns:
        The axes.

    Raises:
        ValueError: In one line, if the rows, the axes or an option cannot be used.
    """
    fitted = fitted_model(model)
    _check_axes(ax, fitted.codec.n_columns)
    data = None if X is None else checked_rows(model, X)[1]
    if data is not None:
        data = data[spread_indices(len(data), MOST_DATA)]
    default = N_SAMPLES if data is None else min(len(data), N_SAMPLES)
    drawn, row_labels = _run(model, n_samples, default, labels=labels, **options).rows()
    rows = fitted.codec.layout.numbers(drawn)
    classes, colors, class_indices = _palette(fitted, row_labels, len(rows))
    if data is None:
        names, project = _projection(fitted, rows, "the rows")
    else:
        names, project = _projection(fitted, data, "the data")
    ax = _labelled_axes(ax, names)
    if len(names) == 1:
        edges = _histogram_edges(fitted, rows if data is None else np.concatenate([rows, data]))
        by_class = [rows[class_indices == i, 0] for i in range(len(classes))]
        ax.hist(by_class, edges, density=True, stacked=True, histtype="stepfilled", color=list(colors), alpha=0.7)
        if data is not None:
            ax.hist(data[:, 0], edges, density=True, histtype="step", color=DATA, linewidth=1.5)
        ax.set_ylabel("density")
    else:
        if data is not None:
            _draw_dots(ax, project(data), DATA)
        _draw_dots(ax, project(rows), colors[class_indices])
    _add_legend(ax, classes, colors, has_data=data is not None)
    return ax


def plot_trajectory(  # noqa: D417
    model: Any, *, ax: Any = None, n_samples: int | None = None, labels: Any = None, **options: Any
) -> Any:
    """Draws the paths of new rows from noise to data: thin lines from a gray dot to a dot in the color of the class.

    A line goes through every x_t at which the sampler stops, from x_T ~ N(0, I) to the row, or through 200 of them,
    spread evenly, if there are more. The points are x_t as the model sees it, alpha_t x_0 + sigma_t ε, which varies
    about as much as the data at every noise level. Only the scaling is undone, so the units are those of the data:
    points are not divided by alpha_t, and intermediate values are not rounded.

    Columns are shown as in `plot`; if there are more than three, the new rows determine the principal axes. A single
    column is drawn over the steps.

    Args:
        ax: Matplotlib axes to draw on, with projection="3d" for three columns; a new figure by default.
        n_samples: Number of rows; by default the length of `labels` or `prior`, or else 100.
        labels: See `plot`.
        **options: Other arguments of `sample`, except a reward; the rows are the same as from `sample`.

    Returns:
        The axes.

    Raises:
        ValueError: In one line, if the axes or an option cannot be used, or if a reward is given.
    """
    fitted = fitted_model(model)
    _check_axes(ax, fitted.codec.n_columns)
    paths = _run(model, n_samples, N_TRAJECTORIES, labels=labels, **options).trajectories(MOST_TIMES)
    names, project = _projection(fitted, paths.points[-1], "the rows")
    shown = project(paths.points)
    if len(names) == 1:
        over_steps = np.broadcast_to(paths.steps[:, None, None].astype(np.float64), shown.shape)
        shown, names = np.concatenate([over_steps, shown], axis=2), ("step", *names)
    ax = _labelled_axes(ax, names)
    classes, colors, class_indices = _palette(fitted, paths.labels, shown.shape[1])
    for line, color in zip(shown.swapaxes(0, 1), colors[class_indices], strict=True):
        ax.plot(*line.T, color=color, linewidth=0.5, alpha=0.5)
    _draw_dots(ax, shown[0], DATA)
    _draw_dots(ax, shown[-1], colors[class_indices], size=12)
    _add_legend(ax, classes, colors, has_data=False)
    return ax


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
    _check_axes(ax)
    if not is_integer(n_grid, 2):
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
    ax = _labelled_axes(ax, _column_names(fitted))
    shown = np.maximum(found, np.nanmax(found) - LOG_RANGE) if log else np.exp(found)
    mesh = ax.pcolormesh(x, y, shown, shading="gouraud", rasterized=True)
    ax.figure.colorbar(mesh, ax=ax, label="log p(x) (nats)" if log else "p(x)")
    if points is not None:
        ax.scatter(points[:, 0], points[:, 1], s=2, color="white", alpha=0.5, linewidths=0)
    return ax


def _check_axes(ax: Any, n_columns: int = 2) -> None:
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        raise ValueError(f"ax must be Matplotlib axes, not {type(ax).__name__}")
    if ax is not None and (ax.name == "3d") != (n_columns == 3):
        which = "axes in three dimensions (projection='3d')" if n_columns == 3 else "axes in two dimensions"
        raise ValueError(f"this plot needs {which}: pass others as ax, or leave it out")


def _labelled_axes(ax: Any, labels: tuple[str, ...]) -> Any:
    if ax is None:
        from matplotlib import pyplot

        options = {"projection": "3d" if len(labels) == 3 else None}
        ax = pyplot.subplots(layout="constrained", subplot_kw=options)[1]
    for axis, label in zip("xyz", labels, strict=False):
        getattr(ax, f"set_{axis}label")(label)
    return ax


def _column_names(model: RowModel) -> tuple[str, ...]:
    """Return the names of the columns, or their numbers, escaped for Matplotlib."""
    names = model.codec.names or [f"column {i}" for i in range(model.codec.n_columns)]
    return tuple(figure_text(str(name)) for name in names)


def _run(model: Any, n_samples: int | None, default: int, *, labels: Any, **options: Any) -> SamplingRun:
    """Check a request for the rows of a picture, with their labels if the model has classes."""
    fitted = fitted_model(model)
    gaussian_of(fitted, "pictures of rows are")
    if n_samples is None and np.ndim(labels) == 0 and options.get("prior") is None:
        n_samples = default
    if n_samples is not None and not is_integer(n_samples, 1):
        raise ValueError(f"n_samples must be an integer of at least 1, not {n_samples!r}")
    run = sampling_run(model, n_samples, labels=labels, return_labels=fitted.classes is not None, **options)
    if not run.n_rows:
        raise ValueError("there are no rows to show: give labels or a prior of at least one row")
    return run


def _projection(
    model: RowModel, rows: Float[np.ndarray, "n d"], name: str
) -> tuple[tuple[str, ...], Callable[[np.ndarray], np.ndarray]]:
    """Return labels of axes and a function from rows to coordinates: columns, or two principal axes of over three."""
    if model.codec.n_columns <= 3:
        return _column_names(model), lambda rows: rows
    from sklearn.decomposition import PCA

    if len(rows) < 2:
        raise ValueError(
            f"a plot of {rows.shape[1]} columns shows principal axes, and one row has none: give more rows"
        )
    origin, unit = rows.mean(axis=0), rows.std(axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    fitted = PCA(2).fit((rows - origin) / unit)
    directions = fitted.components_.T / unit[:, None]
    fractions = enumerate(fitted.explained_variance_ratio_, 1)
    labels = tuple(f"principal axis {i} of {name} ({fraction:.0%})" for i, fraction in fractions)
    return labels, lambda rows: (rows - origin) @ directions


def _palette(
    model: RowModel, labels: np.ndarray | None, n: int
) -> tuple[list[str], Float[np.ndarray, "classes 4"], Int[np.ndarray, " n"]]:
    """Return the names and colors of the classes, or of "rows" without classes, and the class index of each row."""
    from matplotlib import colormaps, colors

    if labels is None or model.classes is None:
        return ["rows"], colors.to_rgba_array(ROWS), np.zeros(n, np.int64)
    classes = model.classes.labels
    k = len(classes)
    palette = colormaps["tab10"](range(k)) if k <= 10 else colormaps["turbo"](np.linspace(0.05, 0.95, k))
    return [str(name) for name in classes], palette, np.searchsorted(classes, labels)


def _draw_dots(ax: Any, shown: Float[np.ndarray, "n dimensions"], colors: Any, size: float = 5.0) -> None:
    options: dict[str, Any] = {"depthshade": False} if shown.shape[1] == 3 else {}
    ax.scatter(*shown.T, s=size, c=colors, alpha=0.7, linewidths=0, zorder=3, **options)


def _histogram_edges(model: RowModel, values: np.ndarray) -> Float[np.ndarray, " edges"]:
    low, high = values.min(), values.max()
    if model.codec.scaling.is_integer[0] and high - low < MOST_VALUES:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    return np.histogram_bin_edges(values, int(np.clip(2 * values.size ** (1 / 3), 10, 40)))


def _add_legend(ax: Any, classes: list[str], colors: np.ndarray, *, has_data: bool) -> None:
    """Add a legend of the data and of the classes, if they are few, unless it has a single entry."""
    from matplotlib.lines import Line2D

    entries: list[tuple[str, Any]] = [("data", DATA)] if has_data else []
    if len(classes) <= MOST_IN_LEGEND:
        entries += zip(classes, colors, strict=True)
    if len(entries) > 1:
        marker: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5}
        handles = [Line2D([], [], color=color, label=legend_text(name), **marker) for name, color in entries]
        ax.legend(handles=handles, loc="upper right", fontsize="small")
