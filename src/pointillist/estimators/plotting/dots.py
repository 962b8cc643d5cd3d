"""Rows on axes: as dots, or as a histogram of one column; coloured by class."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel

DATA = "0.5"
ROWS = "#1f5fa8"
SIZE = 5.0
"""Of a dot, in square points."""

MOST_IN_LEGEND = 12
"""Classes; a legend of more would hide the rows."""

MOST_VALUES = 60
"""Whole numbers that a histogram has a bin for each."""


@dataclass(frozen=True)
class Groups:
    """Which rows have which colour.

    Attributes:
        names: Of the groups: the classes, or "rows" alone.
        colours: One a group.
        of_row: Index of each row's group, shape (n,).
    """

    names: list[str]
    colours: list[Any]
    of_row: Int[np.ndarray, " n"]

    @classmethod
    def of(cls, model: "DiffusionModel", labels: np.ndarray | None, n: int) -> "Groups":
        """Those of n rows with labels, or without."""
        if labels is None:
            return cls(["rows"], [ROWS], np.zeros(n, np.int64))
        from matplotlib import colormaps

        k = len(model.classes_)
        colours = colormaps["tab10"](range(k)) if k <= 10 else colormaps["turbo"](np.linspace(0.05, 0.95, k))
        return cls([str(name) for name in model.classes_], list(colours), np.searchsorted(model.classes_, labels))

    @property
    def row_colours(self) -> np.ndarray:
        """One a row."""
        from matplotlib.colors import to_rgba_array

        return to_rgba_array(self.colours)[self.of_row]


def draw_dots(ax: Any, shown: Float[np.ndarray, "n dimensions"], colours: Any, size: float = SIZE) -> list[Any]:
    """Draws rows as dots in two or three dimensions, and gives what it drew."""
    options: dict[str, Any] = {"depthshade": False} if shown.shape[1] == 3 else {}
    # Above lines.
    return [ax.scatter(*shown.T, s=size, c=colours, alpha=0.7, linewidths=0, zorder=3, **options)]


def draw_histogram(
    ax: Any, shown: Float[np.ndarray, "n 1"], groups: Groups, edges: Float[np.ndarray, " bins"]
) -> list[Any]:
    """Draws the density of one column, the groups one on top of another, and gives what it drew."""
    drawn, base = [], np.zeros(len(edges) - 1)
    for i, colour in enumerate(groups.colours):
        counts, _ = np.histogram(shown[groups.of_row == i, 0], edges)
        top = base + counts / (len(shown) * np.diff(edges))
        drawn.append(ax.stairs(top, edges, baseline=base, fill=True, color=colour, alpha=0.7))
        base = top
    return drawn


def bins(values: np.ndarray, is_whole: bool) -> Float[np.ndarray, " bins"]:
    """Edges of a histogram's bins: one for each whole number, if they are not too many."""
    low, high = float(values.min()), float(values.max())
    if is_whole and high - low < MOST_VALUES:
        return np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, int(np.clip(2 * values.size ** (1 / 3), 10, 40)) + 1)


def add_legend(ax: Any, groups: Groups, *, has_data: bool) -> None:
    """Writes the classes' names, and which dots are data; nothing where there is nothing to tell apart."""
    from matplotlib.lines import Line2D

    names, colours = (groups.names, groups.colours) if len(groups.names) <= MOST_IN_LEGEND else ([], [])
    if has_data:
        names, colours = ["data", *names], [DATA, *colours]
    if len(names) > 1:
        marker: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5}
        handles = [
            Line2D([], [], color=colour, label=name.replace("$", r"\$"), **marker)
            for name, colour in zip(names, colours, strict=True)
        ]
        ax.legend(handles=handles, loc="upper right", fontsize="small")
