"""Shared parts of the figures: panels, titles, legends, colours."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.foreign_text import figure_text, legend_text
from pointillist.study.settings import label
from pointillist.study.spec import Column, Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
REAL = "0.35"
GENERATED = "#1f5fa8"
FLOOR = "0.55"
REPORTED = "#d1600a"
DIVERGED = "#b2182b"
SHORT = {"timesteps": "T", "beta_range": "beta", "guidance": "w"}


def column_title(section: Section, column: Column) -> str:
    """A column's label with the names of the settings that vary."""
    titles = []
    for key in section.varied:
        value = getattr(column.settings, key)
        name = SHORT.get(key, key.replace("_", " "))
        heads = {"schedule": "", "method": "", "classifier": "", "beta_range": "beta "}
        if value is not None:
            titles.append(f"{heads.get(key, f'{name} = ')}{label(key, value)}")
    return ", ".join(titles) or column.label


def panels(
    n_panels: int,
    n_columns: int,
    *,
    size: tuple[float, float],
    gaps: tuple[float, float],
    margins: tuple[float, float, float, float],
    projection: str | None = None,
) -> "tuple[Figure, list[Any]]":
    """Makes a figure with a grid of axes, all lengths in inches; margins are left, right, bottom, top."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_rows = -(-n_panels // n_columns)
    left, right, bottom, top = margins
    width = left + n_columns * size[0] + (n_columns - 1) * gaps[0] + right
    height = bottom + n_rows * size[1] + (n_rows - 1) * gaps[1] + top
    figure = Figure(figsize=(width, height), dpi=DPI)
    FigureCanvasAgg(figure)
    edges = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height}
    grid = figure.add_gridspec(n_rows, n_columns, **edges, wspace=gaps[0] / size[0], hspace=gaps[1] / size[1])
    made: list[Any] = [figure.add_subplot(grid[divmod(i, n_columns)], projection=projection) for i in range(n_panels)]
    for axes in made:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)
    return figure, made


def headline(figure: "Figure", text: str) -> None:
    """Adds one line above all panels."""
    width, height = figure.get_size_inches()
    text = figure_text(text)
    figure.text(0.5, 1 - 0.2 / height, text, ha="center", va="top", fontsize=fitting(text, width - 0.2, 11))


def title(axes: "Axes", title: str, detail: str | None = None) -> None:
    """Adds a title above the axes, and a smaller line between them; an empty detail leaves room for it."""
    inches = axes.bbox.width / DPI
    title = figure_text(title)
    axes.set_title(title, fontsize=fitting(title, inches, 9), y=1, pad=5 if detail is None else 14)
    axes.title.set_y(1)  # three axes put it lower
    if detail:
        style: dict[str, Any] = {"ha": "center", "fontsize": 7, "color": "0.3"}
        axes.annotate(detail, (0.5, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", **style)


def say(axes: "Axes", text: str) -> None:
    """Puts a remark into the middle of a panel that has nothing to show."""
    axes.annotate(text, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=8, color=DIVERGED)


def line(colour: Any, text: str) -> Any:
    """Makes a legend's entry for a line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linewidth=1.5, label=legend_text(text))


def legend(figure: "Figure", handles: list[Any], n_columns: int) -> None:
    """Adds one legend below all panels."""
    figure.legend(handles=handles, loc="lower center", ncols=n_columns, fontsize=8, frameon=False)


def log_if_wide(axes: "Axes", *values: np.ndarray) -> None:
    """Makes the y axis logarithmic if the values are positive and span more than a factor of 10."""
    known = np.concatenate([np.empty(0), *values])
    finite = known[np.isfinite(known)]
    if finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")


def fitting(text: str, inches: float, size: float) -> float:
    """The font size, reduced if the text would be wider than the given inches."""
    return min(size, max(inches * 72 / (0.56 * max(len(text), 1)), 4.0))
