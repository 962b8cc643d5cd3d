"""Plots generated rows, and their paths from noise to data."""

from typing import Any

import numpy as np

from pointillist.arguments import is_whole
from pointillist.estimators.inputs import checked_rows, draw_of, fitted_model
from pointillist.estimators.plotting.drawing import (
    DATA,
    Groups,
    View,
    add_legend,
    axes_or_new,
    check_axes,
    draw_dots,
    draw_histogram,
    histogram_edges,
)
from pointillist.models.gaussian import gaussian_of
from pointillist.queries.sampling import SamplingRun

N_SAMPLES, N_TRAJECTORIES = 2000, 100
"""Number of generated rows, and of paths, by default."""

MOST_DATA = 5000
"""Most given rows that are shown."""

MOST_TIMES = 200
"""Most points of a path."""


def plot(  # noqa: D417
    model: Any, X: Any = None, *, ax: Any = None, n_samples: int | None = None, labels: Any = None, **options: Any
) -> Any:
    """Draws new rows, colored by class, over given rows in gray.

    Two columns are shown as a scatter plot, three as one in three dimensions, and a single column as a histogram. If
    there are more, each column is scaled to mean 0 and standard deviation 1, and the first two principal axes of X are
    shown, or of the new rows without X.

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
    check_axes(ax, is_3d=fitted.codec.n_columns == 3)
    data = None if X is None else checked_rows(model, X)[1]
    if data is not None:
        data = data[np.linspace(0, len(data) - 1, min(len(data), MOST_DATA)).astype(np.int64)]
    default = N_SAMPLES if data is None else min(len(data), N_SAMPLES)
    drawn, row_labels = _requested(model, n_samples, default, labels=labels, **options).rows()
    rows = fitted.codec.layout.numbers(drawn)
    view = View.of(fitted, rows if data is None else data, "the rows" if data is None else "the data")
    ax = axes_or_new(ax, view.labels)
    groups = Groups.of(fitted, row_labels, len(rows))
    if len(view.labels) == 1:
        edges = histogram_edges(fitted, rows if data is None else np.concatenate([rows, data]))
        draw_histogram(ax, view(rows), groups, edges)
        if data is not None:
            counts, _ = np.histogram(data, edges)
            ax.stairs(counts / (len(data) * np.diff(edges)), edges, color=DATA, linewidth=1.5)
        ax.set_ylabel("density")
    else:
        if data is not None:
            draw_dots(ax, view(data), DATA)
        draw_dots(ax, view(rows), groups.row_colors)
    add_legend(ax, groups, has_data=data is not None)
    return ax


def plot_trajectory(  # noqa: D417
    model: Any, *, ax: Any = None, n_samples: int | None = None, labels: Any = None, **options: Any
) -> Any:
    """Draws the paths of new rows from noise to data: thin lines from a gray dot to a dot in the color of the class.

    A line goes through every x_t at which the sampler stops, from x_T ~ N(0, I) to the row; of more than 199 steps, it
    shows 200 points, spread evenly. The points are x_t as the model sees it, alpha_t x_0 + sigma_t ε, which has about
    the spread of the data at every noise level. Only the scaling is undone, so that they are in the units of the data:
    they are not divided by alpha_t, and no value on the way is rounded.

    Columns are shown as in `plot`; if there are more than three, the new rows decide the principal axes. A single
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
    check_axes(ax, is_3d=fitted.codec.n_columns == 3)
    paths = _requested(model, n_samples, N_TRAJECTORIES, labels=labels, **options).trajectories(MOST_TIMES)
    view = View.of(fitted, paths.points[-1], "the rows")
    shown, names = view(paths.points), view.labels
    if len(names) == 1:
        over_steps = np.broadcast_to(paths.steps[:, None, None].astype(np.float64), shown.shape)
        shown, names = np.concatenate([over_steps, shown], axis=2), ("step", *names)
    ax = axes_or_new(ax, names)
    groups = Groups.of(fitted, paths.labels, shown.shape[1])
    for line, color in zip(shown.swapaxes(0, 1), groups.row_colors, strict=True):
        ax.plot(*line.T, color=color, linewidth=0.5, alpha=0.5)
    draw_dots(ax, shown[0], DATA)
    draw_dots(ax, shown[-1], groups.row_colors, size=12)
    add_legend(ax, groups, has_data=False)
    return ax


def _requested(model: Any, n_samples: int | None, default: int, *, labels: Any, **options: Any) -> SamplingRun:
    """Check a request for the rows of a picture, with their labels if the model has classes."""
    fitted = fitted_model(model)
    gaussian_of(fitted, "pictures of rows are")
    if n_samples is None and np.ndim(labels) == 0 and options.get("prior") is None:
        n_samples = default
    if n_samples is not None and not is_whole(n_samples, 1):
        raise ValueError(f"n_samples must be an integer of at least 1, not {n_samples!r}")
    draw = draw_of(model, n_samples, labels=labels, return_labels=fitted.classes is not None, **options)
    if not draw.n_rows:
        raise ValueError("there are no rows to show: give labels or a prior of at least one")
    return draw
