"""Plots generated rows over real ones."""

from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import RandomState, is_whole
from pointillist.estimators.asking import Fitted, draw_of, fitted_model
from pointillist.estimators.inputs import checked_rows
from pointillist.estimators.plotting.dots import DATA, Groups, add_legend, bins, draw_dots, draw_histogram
from pointillist.estimators.plotting.views import View, axes_or_new, check_axes, name_axes
from pointillist.models.gaussian import gaussian_of
from pointillist.queries.sampling import SamplingRun

N_SAMPLES = 2000
"""Most rows that are drawn by default."""

MOST_DATA = 5000
"""Most given rows that are shown."""


def plot(  # noqa: D417
    model: Fitted,
    X: Any = None,
    *,
    ax: Any = None,
    n_samples: int | None = None,
    labels: Any = None,
    random_state: RandomState = None,
    **options: Any,
) -> Any:
    """Draws new rows, colored by class, over given rows in gray.

    Two columns are shown as a scatter plot, three as one in three dimensions, and a single column as a histogram. If
    there are more, each column is scaled to mean 0 and standard deviation 1, and the first two principal axes of X are
    shown, or those of the new rows without X.

    Args:
        X: Rows like those of `fit`, shape (m, d); none by default. If there are more than 5,000, that many are shown,
            evenly spaced.
        ax: Matplotlib axes to draw on, with projection="3d" for three columns; by default those of a new figure.
        n_samples: Number of new rows; by default the length of `labels` or `prior`, or else that of X but at most
            2,000, or else 2,000.
        labels: See `sample`. With None, a model with classes draws each row's label first, as `sample` does for
            `return_labels`. A legend names up to 12 classes.
        random_state: Seed; the rows are those that `sample` draws.
        **options: Other arguments of `sample`.

    Returns:
        The axes.

    Raises:
        ValueError: In one line, if the rows, the axes or an option cannot be used.
    """
    fitted_model(model)
    is_3d = model.n_features_in_ == 3
    check_axes(ax, is_3d=is_3d)
    data = None if X is None else _some(checked_rows(model, X)[1])
    default = N_SAMPLES if data is None else min(len(data), N_SAMPLES)
    draw = requested(model, n_samples, default, labels=labels, random_state=random_state, **options)
    drawn, own_labels = draw.rows()
    rows = fitted_model(model).codec.layout.numbers(drawn)
    view = View.of(model, rows if data is None else data, "the rows" if data is None else "the data")
    ax = axes_or_new(ax, is_3d=is_3d)
    groups = Groups.of(model, own_labels, len(rows))
    if view.dimensions == 1:
        edges = bins(rows if data is None else np.concatenate([rows, data]), holds_integers(model))
        draw_histogram(ax, view(rows), groups, edges)
        if data is not None:
            counts, _ = np.histogram(data, edges)
            ax.stairs(counts / (len(data) * np.diff(edges)), edges, color=DATA, linewidth=1.5)
        ax.set_ylabel("density")
    else:
        if data is not None:
            draw_dots(ax, view(data), DATA)
        draw_dots(ax, view(rows), groups.row_colors)
    name_axes(ax, view.labels)
    add_legend(ax, groups, has_data=data is not None)
    return ax


def requested(model: Fitted, n_samples: int | None, default: int, **options: Any) -> SamplingRun:
    """Returns a request for the rows that a picture shows, with their labels if there are classes.

    Args:
        model: The model.
        n_samples: Number of rows; None for the length of the labels or the prior, or else `default`.
        default: Number of rows if nothing else decides it.
        **options: Arguments of `sample`.

    Raises:
        ValueError: If an option cannot be used, or there would be no rows.
    """
    gaussian_of(fitted_model(model), "pictures of rows are")
    if n_samples is None and np.ndim(options["labels"]) == 0 and options.get("prior") is None:
        n_samples = default
    if n_samples is not None and not is_whole(n_samples, 1):
        raise ValueError(f"n_samples must be an integer of at least 1, not {n_samples!r}")
    draw = draw_of(model, n_samples, return_labels=hasattr(model, "classes_"), **options)
    if not draw.n_rows:
        raise ValueError("there are no rows to show: give labels or a prior of at least one")
    return draw


def holds_integers(model: Fitted) -> bool:
    """Whether the first column of a model of numbers holds integers alone."""
    return bool(model.model_.codec.scaling.is_whole[0])


def _some(rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "k d"]:
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), MOST_DATA)).astype(np.int64)]
