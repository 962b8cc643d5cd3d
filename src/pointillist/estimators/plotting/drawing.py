"""Rows on Matplotlib axes: their coordinates, the colors of their classes, dots, histograms and legends."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.foreign_text import figure_text, legend_text
from pointillist.models.gaussian import gaussian_of
from pointillist.models.row_model import RowModel

DATA = "0.5"
ROWS = "#1f5fa8"

MOST_COLUMNS = 3
"""Most columns that are shown as they are, rather than by two principal axes."""

MOST_IN_LEGEND = 12
"""Most classes in a legend; a longer one would hide the rows."""

MOST_VALUES = 60
"""Most integers for which a histogram has one bin each."""


@dataclass(frozen=True)
class View:
    """Coordinates of rows, (row - origin) @ directions.

    Attributes:
        labels: Labels of the coordinates.
        origin: Origin of the coordinates, shape (d,).
        directions: Directions of the coordinates, shape (d, dimensions).
    """

    labels: tuple[str, ...]
    origin: Float[np.ndarray, " d"]
    directions: Float[np.ndarray, "d dimensions"]

    @classmethod
    def of(cls, model: RowModel, rows: Float[np.ndarray, "n d"], name: str) -> "View":
        """Show up to three columns as they are, and more by the first two principal axes of `rows`, called `name`.

        Raises:
            ValueError: If principal axes are needed and there is only one row, which has none.
        """
        d = model.codec.n_columns
        if d <= MOST_COLUMNS:
            return cls(column_names(model), np.zeros(d), np.eye(d))
        from sklearn.decomposition import PCA

        if len(rows) < 2:
            raise ValueError(f"a plot of {d} columns shows principal axes, and one row has none: give more rows")
        origin, unit = rows.mean(axis=0), rows.std(axis=0)
        unit = np.where(unit > 0, unit, 1.0)
        found = PCA(2).fit((rows - origin) / unit)
        fractions = enumerate(found.explained_variance_ratio_, 1)
        labels = tuple(f"principal axis {i} of {name} ({fraction:.0%})" for i, fraction in fractions)
        return cls(labels, origin, found.components_.T / unit[:, None])

    def __call__(self, rows: Float[np.ndarray, "*times n d"]) -> Float[np.ndarray, "*times n dimensions"]:
        """Compute the coordinates of rows."""
        return (rows - self.origin) @ self.directions


@dataclass(frozen=True)
class Groups:
    """Groups of rows: the names and colors of the classes, or "rows" alone, and the group index of each row."""

    names: list[str]
    colors: list[Any]
    group_index: np.ndarray

    @classmethod
    def of(cls, model: RowModel, labels: np.ndarray | None, n: int) -> "Groups":
        """Group n rows by their labels."""
        if labels is None or model.classes is None:
            return cls(["rows"], [ROWS], np.zeros(n, np.int64))
        from matplotlib import colormaps

        known = model.classes.labels
        k = len(known)
        colors = colormaps["tab10"](range(k)) if k <= 10 else colormaps["turbo"](np.linspace(0.05, 0.95, k))
        return cls([str(name) for name in known], list(colors), np.searchsorted(known, labels))

    @property
    def row_colors(self) -> np.ndarray:
        """RGBA color of each row."""
        from matplotlib.colors import to_rgba_array

        return to_rgba_array(self.colors)[self.group_index]


def draw_dots(ax: Any, shown: Float[np.ndarray, "n dimensions"], colors: Any, size: float = 5.0) -> list[Any]:
    """Draw rows as dots in two or three dimensions, above lines, and return what was drawn."""
    options: dict[str, Any] = {"depthshade": False} if shown.shape[1] == 3 else {}
    return [ax.scatter(*shown.T, s=size, c=colors, alpha=0.7, linewidths=0, zorder=3, **options)]


def draw_histogram(ax: Any, shown: Float[np.ndarray, "n 1"], groups: Groups, edges: np.ndarray) -> list[Any]:
    """Draw a histogram of one column, with the groups stacked, and return what was drawn."""
    drawn, base = [], np.zeros(len(edges) - 1)
    for i, color in enumerate(groups.colors):
        counts, _ = np.histogram(shown[groups.group_index == i, 0], edges)
        top = base + counts / (len(shown) * np.diff(edges))
        drawn.append(ax.stairs(top, edges, baseline=base, fill=True, color=color, alpha=0.7))
        base = top
    return drawn


def histogram_edges(model: RowModel, values: np.ndarray) -> Float[np.ndarray, " edges"]:
    """Choose the bins of the only column's histogram: one per integer, if it holds integers and they are few."""
    low, high = float(values.min()), float(values.max())
    gaussian_of(model, "pictures of rows are")
    codec = model.codec
    if codec.scaling.is_whole[0] and high - low < MOST_VALUES:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(np.clip(2 * values.size ** (1 / 3), 10, 40)) + 1)


def add_legend(ax: Any, groups: Groups, *, has_data: bool) -> None:
    """Add a legend of the data and the classes, if there are several entries."""
    from matplotlib.lines import Line2D

    entries = [("data", DATA)] if has_data else []
    if len(groups.names) <= MOST_IN_LEGEND:
        entries += zip(groups.names, groups.colors, strict=True)
    if len(entries) > 1:
        marker: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5}
        handles = [Line2D([], [], color=color, label=legend_text(name), **marker) for name, color in entries]
        ax.legend(handles=handles, loc="upper right", fontsize="small")


def column_names(model: RowModel) -> tuple[str, ...]:
    """Return the names of the columns, or their numbers, escaped for Matplotlib."""
    names = model.codec.names or [f"column {i}" for i in range(model.codec.n_columns)]
    return tuple(figure_text(str(name)) for name in names)


def check_axes(ax: Any, *, is_3d: bool = False) -> None:
    """Raise a ValueError if `ax` is neither None nor axes with the wanted number of dimensions."""
    from matplotlib.axes import Axes

    if ax is None:
        return
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be Matplotlib axes, not {type(ax).__name__}")
    if is_3d and ax.name != "3d":
        raise ValueError("three columns need axes in three dimensions: make them with projection='3d', or leave ax out")
    if not is_3d and ax.name == "3d":
        raise ValueError("ax has three dimensions, and the plot has fewer: make ax without projection='3d'")


def axes_or_new(ax: Any, labels: tuple[str, ...]) -> Any:
    """Label axes, new ones for None, with the names of the coordinates; three need three dimensions."""
    if ax is None:
        from matplotlib import pyplot

        options = {"projection": "3d" if len(labels) == 3 else None}
        ax = pyplot.subplots(layout="constrained", subplot_kw=options)[1]
    for axis, label in zip("xyz", labels, strict=False):
        getattr(ax, f"set_{axis}label")(label)
    return ax
