"""Plots the paths of rows from noise to data."""

from typing import Any

import numpy as np

from pointillist.arguments import RandomState
from pointillist.estimators.asking import Fitted, fitted_model
from pointillist.estimators.plotting.dots import Groups, add_legend, draw_dots
from pointillist.estimators.plotting.rows import requested
from pointillist.estimators.plotting.views import View, axes_or_new, check_axes, name_axes

N_SAMPLES = 100
"""Number of rows by default."""

MOST_TIMES = 200
"""Most points of a line."""

START = "0.5"


def plot_trajectory(  # noqa: D417
    model: Fitted,
    *,
    ax: Any = None,
    n_samples: int | None = None,
    labels: Any = None,
    sampler: str | None = None,
    steps: int | None = None,
    random_state: RandomState = None,
    **options: Any,
) -> Any:
    """Draws the paths of new rows from noise to data: thin lines from a gray dot to a dot in the color of the class.

    A line goes through every x_t at which the sampler stops, from x_T ~ N(0, I) to the row. The points are x_t as the
    model sees it, alpha_t x_0 + sigma_t ε, which has about the spread of the data at every noise level. Only the
    scaling is undone, so that they are in the units of the data: they are not divided by alpha_t, and no value on the
    way is rounded.

    Columns are shown as in `plot`; if there are more than three, the principal axes are those of the new rows. A single
    column is drawn over the steps.

    Args:
        ax: Matplotlib axes to draw on, with projection="3d" for three columns; by default those of a new figure.
        n_samples: Number of rows; by default the length of `labels` or `prior`, or else 100.
        labels: See `plot`.
        sampler: See `sample`.
        steps: See `sample`. If there are more than 199, a line shows 200 points, spread evenly over the steps.
        random_state: Seed; the rows are those that `sample` draws.
        **options: Other arguments of `sample`, except a reward.

    Returns:
        The axes.

    Raises:
        ValueError: In one line, if the axes or an option cannot be used, or if a reward is given.
    """
    fitted_model(model)
    is_3d = model.n_features_in_ == 3
    check_axes(ax, is_3d=is_3d)
    options |= {"labels": labels, "sampler": sampler, "steps": steps, "random_state": random_state}
    walks = requested(model, n_samples, N_SAMPLES, **options).trajectories(MOST_TIMES)
    view = View.of(model, walks.points[-1], "the rows")
    shown, names = view(walks.points), view.labels
    if view.dimensions == 1:
        over_steps = np.broadcast_to(walks.steps[:, None, None].astype(np.float64), shown.shape)
        shown, names = np.concatenate([over_steps, shown], axis=2), ("step", *names)
    ax = axes_or_new(ax, is_3d=is_3d)
    groups = Groups.of(model, walks.labels, shown.shape[1])
    for line, color in zip(shown.swapaxes(0, 1), groups.row_colors, strict=True):
        ax.plot(*line.T, color=color, linewidth=0.5, alpha=0.5)
    draw_dots(ax, shown[0], START)
    draw_dots(ax, shown[-1], groups.row_colors, size=12)
    name_axes(ax, names)
    add_legend(ax, groups, has_data=False)
    return ax
