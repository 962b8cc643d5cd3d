"""A picture of a model's rows, with Matplotlib: `plot` is a method of `Diffusion`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.arguments import check_integer
from pointillist.estimators.inputs import checked_rows, fitted_model, sampling_run
from pointillist.foreign_text import figure_text, legend_text
from pointillist.models.gaussian import gaussian_of
from pointillist.models.row_model import RowModel
from pointillist.tables.numbers import spread_indices

ROWS, DATA = "#1f5fa8", "0.5"
"""Colors of generated rows without classes, and of given rows."""

N_SAMPLES = 2000
"""Number of generated rows by default."""

MOST_DATA = 5000
"""Most given rows that are shown."""

MOST_IN_LEGEND = 12
"""Most classes in a legend; a longer one would hide the rows."""

MOST_VALUES = 60
"""Widest range of integers whose histogram has one bin per integer."""


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
    from matplotlib.axes import Axes

    fitted = fitted_model(model)
    is_spatial = fitted.codec.n_columns == 3
    if ax is not None and not isinstance(ax, Axes):
        raise ValueError(f"ax must be Matplotlib axes, not {type(ax).__name__}")
    if ax is not None and (ax.name == "3d") != is_spatial:
        which = "axes in three dimensions (projection='3d')" if is_spatial else "axes in two dimensions"
        raise ValueError(f"this plot needs {which}: pass others as ax, or leave it out")
    data = None if X is None else checked_rows(model, X)[1]
    if data is not None:
        data = data[spread_indices(len(data), MOST_DATA)]
    default = N_SAMPLES if data is None else min(len(data), N_SAMPLES)
    rows, row_labels = _drawn(model, n_samples, default, labels=labels, **options)
    classes, colors, class_indices = _palette(fitted, row_labels, len(rows))
    names, project = _projection(fitted, *((rows, "the rows") if data is None else (data, "the data")))
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained", subplot_kw={"projection": "3d" if is_spatial else None})[1]
    for axis, name in zip("xyz", names, strict=False):
        getattr(ax, f"set_{axis}label")(name)
    if len(names) == 1:
        edges = _histogram_edges(fitted, rows if data is None else np.concatenate([rows, data]))
        by_class = [rows[class_indices == i, 0] for i in range(len(classes))]
        ax.hist(by_class, edges, density=True, stacked=True, histtype="stepfilled", color=list(colors), alpha=0.7)
        if data is not None:
            ax.hist(data[:, 0], edges, density=True, histtype="step", color=DATA, linewidth=1.5)
        ax.set_ylabel("density")
    else:
        dots: dict[str, Any] = {"s": 5, "alpha": 0.7, "linewidths": 0, "zorder": 3}
        dots |= {"depthshade": False} if is_spatial else {}
        if data is not None:
            ax.scatter(*project(data).T, c=DATA, **dots)
        ax.scatter(*project(rows).T, c=colors[class_indices], **dots)
    _add_legend(ax, classes, colors, has_data=data is not None)
    return ax


def _drawn(
    model: Any, n_samples: int | None, default: int, *, labels: Any, **options: Any
) -> tuple[Float[np.ndarray, "n d"], np.ndarray | None]:
    """Draw the rows of a picture, with their labels if the model has classes."""
    fitted = fitted_model(model)
    gaussian_of(fitted, "pictures of rows are")
    if n_samples is None and np.ndim(labels) == 0 and options.get("prior") is None:
        n_samples = default
    if n_samples is not None:
        check_integer("n_samples", n_samples)
    run = sampling_run(model, n_samples, labels=labels, return_labels=fitted.classes is not None, **options)
    if not run.n_rows:
        raise ValueError("there are no rows to show: give labels or a prior of at least one row")
    drawn, row_labels = run.rows()
    return fitted.codec.layout.numbers(drawn), row_labels


def _projection(
    model: RowModel, rows: Float[np.ndarray, "n d"], name: str
) -> tuple[list[str], Callable[[np.ndarray], np.ndarray]]:
    """Return labels of axes and a function from rows to coordinates: columns, or two principal axes of over three."""
    if model.codec.n_columns <= 3:
        names = model.codec.names or [f"column {i}" for i in range(model.codec.n_columns)]
        return [figure_text(str(name)) for name in names], lambda rows: rows
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
    labels = [f"principal axis {i} of {name} ({fraction:.0%})" for i, fraction in fractions]
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
