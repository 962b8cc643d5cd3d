"""Draws rows on axes, as dots or as a histogram of one column, coloured by class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pointillist.estimators.asking import Fitted
from pointillist.foreign_text import legend_text

DATA = "0.5"
ROWS = "#1f5fa8"
SIZE = 5.0
"""Size of a dot, in square points."""

MOST_IN_LEGEND = 12
"""Most classes in a legend; a longer one would hide the rows."""

MOST_VALUES = 60
"""Most integers for which a histogram has one bin each."""


@dataclass(frozen=True)
class Groups:
    """Groups of rows, each with a colour.

    Attributes:
        names: Names of the groups: the classes, or "rows" alone.
        colours: Colour of each group.
        of_row: Index of each row's group, shape (n,).
    """

    names: list[str]
    colours: list[Any]
    of_row: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, model: Fitted, labels: np.ndarray | None, n: int) -> "Groups":
        """Returns the groups of n rows, with or without labels."""
        if labels is None:
            return cls(["rows"], [ROWS], np.zeros(n, np.int64))
        from matplotlib import colormaps

        k = len(model.classes_)
        colours = colormaps["tab10"](range(k)) if k <= 10 else colormaps["turbo"](np.linspace(0.05, 0.95, k))
        return cls([str(name) for name in model.classes_], list(colours), np.searchsorted(model.classes_, labels))

    @property
    def row_colors(self) -> np.ndarray:
        """Colour of each row."""
        from matplotlib.colors import to_rgba_array

        return to_rgba_array(self.colours)[self.of_row]


def draw_dots(ax: Any, shown: Float[np.ndarray, "n dimensions"], colours: Any, size: float = SIZE) -> list[Any]:
    """Draws rows as dots in two or three dimensions, and returns what it drew."""
    options: dict[str, Any] = {"depthshade": False} if shown.shape[1] == 3 else {}
    # Above lines.
    return [ax.scatter(*shown.T, s=size, c=colours, alpha=0.7, linewidths=0, zorder=3, **options)]


def draw_histogram(
    ax: Any, shown: Float[np.ndarray, "n 1"], groups: Groups, edges: Float[np.ndarray, " bins"]
) -> list[Any]:
    """Draws a histogram of one column, with the groups stacked, and returns what it drew."""
    drawn, base = [], np.zeros(len(edges) - 1)
    for i, colour in enumerate(groups.colours):
        counts, _ = np.histogram(shown[groups.of_row == i, 0], edges)
        top = base + counts / (len(shown) * np.diff(edges))
        drawn.append(ax.stairs(top, edges, baseline=base, fill=True, color=colour, alpha=0.7))
        base = top
    return drawn


def bins(values: np.ndarray, is_whole: bool) -> Float[np.ndarray, " bins"]:
    """Returns the edges of a histogram's bins: one bin for each integer, if there are not too many."""
    low, high = float(values.min()), float(values.max())
    if is_whole and high - low < MOST_VALUES:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(np.clip(2 * values.size ** (1 / 3), 10, 40)) + 1)


def add_legend(ax: Any, groups: Groups, *, has_data: bool) -> None:
    """Adds a legend of the classes and the data, if there is more than one of them."""
    from matplotlib.lines import Line2D

    names, colours = (groups.names, groups.colours) if len(groups.names) <= MOST_IN_LEGEND else ([], [])
    if has_data:
        names, colours = ["data", *names], [DATA, *colours]
    if len(names) > 1:
        marker: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5}
        handles = [
            Line2D([], [], color=colour, label=legend_text(name), **marker)
            for name, colour in zip(names, colours, strict=True)
        ]
        ax.legend(handles=handles, loc="upper right", fontsize="small")
