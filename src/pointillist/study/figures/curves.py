"""Curves: training loss by epoch, and metric against setting."""

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.foreign_text import figure_text
from pointillist.study.figures import parts
from pointillist.study.quantities import QUANTITIES
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HALF_LENGTH = 1.96
"""Half length of error bars, in standard errors, and of the floor's band, in standard deviations: 95 % if normal."""


def losses_figure(results: Results, section: Section) -> "Figure":
    """Draws the training loss by epoch: a panel for each data set, a line for each setting.

    With more than one seed, the line is their mean, and a band goes from the lowest to the highest.
    """
    import matplotlib

    n_panels = len(section.datasets)
    n_columns = min(n_panels, 3)
    titles = [parts.column_title(section, column) for column in section.columns]
    fitting = int(n_columns * 3.4 / (0.55 + 0.08 * max(map(len, titles))))
    n_legend_rows = -(-len(titles) // max(fitting, 1))
    margins = (0.65, 0.15, 0.6 + 0.2 * n_legend_rows, 0.8)
    figure, panels = parts.panels(n_panels, n_columns, size=(2.8, 2.1), gaps=(0.6, 0.6), margins=margins)
    parts.headline(figure, f"Training loss: {section.title}")
    # They differ in lightness too.
    colours = list(matplotlib.colormaps["viridis"](np.linspace(0, 0.87, len(titles))))
    for i, (axes, name) in enumerate(zip(panels, section.datasets, strict=True)):
        parts.title(axes, short_name(name))
        values = []
        for column, colour in zip(section.columns, colours, strict=True):
            losses = [np.asarray(one, dtype=np.float64) for one in results.losses(name, column.settings)]
            if losses:
                _draw_losses(axes, np.stack(losses), colour)
                values += losses
        if not values:
            parts.say(axes, "not finished")
        parts.log_if_wide(axes, *values)
        axes.set_ylabel("mean loss" if i % n_columns == 0 else "")
        axes.set_xlabel("epoch" if i + n_columns >= n_panels else "")
    lines = [parts.line(colour, title) for colour, title in zip(colours, titles, strict=True)]
    parts.legend(figure, lines, -(-len(titles) // n_legend_rows))
    return figure


def _draw_losses(axes: "Axes", losses: np.ndarray, colour: Any) -> None:
    """Draws curves of shape (seeds, epochs)."""
    epochs = np.arange(1, losses.shape[1] + 1)
    marker = "." if len(epochs) == 1 else ""
    axes.plot(epochs, losses.mean(axis=0), color=colour, linewidth=1, marker=marker)
    if len(losses) > 1:
        axes.fill_between(epochs, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.2, linewidth=0)


def metrics_figure(results: Results, section: Section, table: Sequence[Row]) -> "Figure":
    """Draws metric against setting: a row of panels for each data set, a column for each metric."""
    titles = {row.metric: row.title for row in table}
    metrics = [name for name in QUANTITIES[section.kind] if name in titles]
    labels = [figure_text(column.label) for column in section.columns]
    width = max(2.2, 0.25 * len(labels))
    x, limits, is_number, closest = _positions(section, width)
    turn, height = _turn(labels, closest)
    names = [short_name(name) for name in section.datasets]
    n_panels, margins = len(names) * len(metrics), (0.85, 0.15, 0.95 + height, 0.8)
    figure, panels = parts.panels(n_panels, len(metrics), size=(width, 1.35), gaps=(0.65, 0.18), margins=margins)
    parts.headline(figure, section.title)
    by_panel = {(row.dataset, row.metric): row for row in table}
    for axes, panel in zip(panels, product(names, metrics), strict=True):
        if panel in by_panel:
            _draw_metric(axes, by_panel[panel], x)
        else:
            parts.say(axes, "no fresh rows")
        axes.set_xscale("log" if is_number else "linear")
        axes.set_xticks(x, [], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlim(*limits)
    for axes, metric in zip(panels, metrics, strict=False):
        parts.title(axes, titles[metric])
    left = panels[:: len(metrics)]
    for axes, name in zip(left, names, strict=True):
        axes.set_ylabel(figure_text(name), fontsize=9, fontweight="bold")
    figure.align_ylabels(left)
    for axes in panels[-len(metrics) :]:
        axes.set_xticks(x, labels, **turn)
        axes.set_xlabel(", ".join(parts.SHORT.get(key, key.replace("_", " ")) for key in section.varied))
    parts.legend(figure, _metrics_handles(results, section, table), n_columns=3)
    return figure


def _draw_metric(axes: "Axes", row: Row, x: np.ndarray) -> None:
    floors = np.array([np.nan if cell.floor is None else cell.floor.value for cell in row.cells])
    halves = HALF_LENGTH * np.array([np.nan if cell.floor is None else cell.floor.spread for cell in row.cells])
    band: dict[str, Any] = {"color": parts.FLOOR, "alpha": 0.25, "linewidth": 0}
    if row.floor is not None:
        axes.axhspan(floors[0] - halves[0], floors[0] + halves[0], **band)
        axes.axhline(floors[0], color=parts.FLOOR, linewidth=1)
    elif np.isfinite(floors).any():
        axes.fill_between(x, floors - halves, floors + halves, **band)
        axes.plot(x, floors, color=parts.FLOOR, linewidth=1)

    values = np.array([cell.value for cell in row.cells])
    errors = HALF_LENGTH * np.array([0 if cell.summary is None else cell.summary.standard_error for cell in row.cells])
    errors[~np.isfinite(errors)] = 0
    axes.errorbar(x, values, yerr=errors, linestyle="", color=parts.GENERATED, linewidth=1, capsize=2)
    is_best = np.array([cell.is_best for cell in row.cells])
    marked = [(is_best, _BEST), (~is_best, _WORSE)] if row.is_ranked else [(~is_best, _UNRANKED)]
    for chosen, style in marked:
        axes.plot(x[chosen], values[chosen], **style)
    reported = np.array([np.nan if cell.reference is None else cell.reference.value for cell in row.cells])
    axes.plot(x, reported, **_REPORTED)
    diverged = np.array([cell.is_diverged for cell in row.cells])
    if diverged.any():
        axes.plot(x[diverged], np.full(diverged.sum(), 0.08), transform=axes.get_xaxis_transform(), **_DIVERGED)
    if not np.isfinite(values).any() and not diverged.any():
        parts.say(axes, "not finished")
    axes.margins(y=0.12)
    parts.log_if_wide(axes, values, floors - halves)


def _marker(marker: str, size: float, colour: str, **style: Any) -> dict[str, Any]:
    return {"linestyle": "", "marker": marker, "markersize": size, "color": colour, **style}


_BEST = _marker("o", 4.5, parts.GENERATED, markerfacecolor=parts.GENERATED)
_WORSE = _marker("o", 4.5, parts.GENERATED, markerfacecolor="white")
_UNRANKED = _marker("o", 4.5, parts.GENERATED, fillstyle="bottom", markerfacecoloralt="white")
_REPORTED = _marker("D", 6, parts.REPORTED, markerfacecolor="none")
_DIVERGED = _marker("x", 6, parts.DIVERGED)

_OF_HALVES = f"data against data, ± {HALF_LENGTH} standard deviations"
_OF_TRUTH = f"true class probabilities, ± {HALF_LENGTH} standard errors"
_FLOORS = {
    ("rows", "nll"): f"held-out NLL: true density, ± {HALF_LENGTH} standard errors",
    ("classes", "accuracy"): f"accuracy: classifier on the data, ± {HALF_LENGTH} standard errors",
    **dict.fromkeys((("classifier", name) for name in QUANTITIES["classifier"]), _OF_TRUTH),
}
"""What the floors are, by kind and metric; `_OF_HALVES` for others."""


def _metrics_handles(results: Results, section: Section, table: Sequence[Row]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    covers = "training and drawing of rows" if results.covers_training else "drawing of rows only"
    handles: list[Any] = [
        Line2D([], [], label="measured, not distinguished from the best", **_BEST),
        Line2D([], [], label="measured, worse than the best", **_WORSE),
        parts.line(parts.GENERATED, f"± {HALF_LENGTH} standard errors ({covers})"),
    ]
    if not all(row.is_ranked for row in table):
        handles.insert(2, Line2D([], [], label="measured, not ranked", **_UNRANKED))
    cells = [cell for row in table for cell in row.cells]
    metrics = [row.metric for row in table if any(cell.floor is not None for cell in row.cells)]
    floors = [_FLOORS.get((section.kind, metric), _OF_HALVES) for metric in metrics]
    handles += [Patch(facecolor=parts.FLOOR, alpha=0.5, label=text) for text in dict.fromkeys(floors)]
    if any(cell.reference is not None for cell in cells):
        handles.append(Line2D([], [], label="reported", **_REPORTED))
    if any(cell.is_diverged for cell in cells):
        handles.append(Line2D([], [], label="diverged", **_DIVERGED))
    return handles


def _positions(section: Section, width: float) -> tuple[np.ndarray, tuple[float, float], bool, float]:
    """Positions of the columns on an x axis of a given width in inches, its limits, and whether it is logarithmic.

    It is logarithmic if a single number above 0 is varied, and no two of its values come too close to be distinguished.
    The last is the smallest distance between two positions in inches.
    """

    def closest(x: np.ndarray, low: float, high: float) -> float:
        return float(np.diff(np.sort(x), append=np.inf).min() / (high - low) * width)

    values = [getattr(column.settings, key) for key in section.varied for column in section.columns]
    if len(section.varied) == 1 < len(values) and all(isinstance(v, int | float) and v > 0 for v in values):
        x = np.array(values, dtype=np.float64)
        margin = (x.max() / x.min()) ** 0.08
        limits = float(x.min() / margin), float(x.max() * margin)
        if (inches := closest(np.log(x), *np.log(limits))) > 0.12:
            return x, limits, True, inches
    x, limits = np.arange(len(section.columns), dtype=np.float64), (-0.5, len(section.columns) - 0.5)
    return x, limits, False, closest(x, *limits)


def _turn(labels: Sequence[str], closest: float) -> tuple[dict[str, Any], float]:
    """Decides how to turn tick labels so that they do not overlap, and the inches that they take below the axes."""
    longest = 0.065 * max(map(len, labels))
    if closest > longest + 0.05:
        return {}, 0.1
    if closest > 0.18 and longest < 1.2:
        return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}, 0.75 * longest + 0.1
    return {"rotation": 90}, longest
