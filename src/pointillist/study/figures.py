"""A study's figures: pure functions of the store, drawn by Matplotlib's objects without its global state."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pointillist.atomic_files import write_whole
from pointillist.foreign_text import figure_text, legend_text
from pointillist.study.quantities import QUANTITIES
from pointillist.study.results import Results, Row
from pointillist.study.settings import symbol
from pointillist.study.spec import Section, short_name
from pointillist.study.window import Window

MAX_SETTINGS, MAX_ROWS = 100, 5000
"""Most settings of a section (each has a panel, and a picture has to fit into memory), and most rows of a panel."""

HALF_LENGTH = 1.96
"""Half length of error bars, in standard errors, and of the baseline's band, in standard deviations: 95 % if normal."""

DPI = 110
REAL = "0.35"
GENERATED = "#1f5fa8"
BASELINE = "0.55"
REPORTED = "#d1600a"
DIVERGED = "#b2182b"

_LEGEND: dict[str, Any] = {"loc": "outside lower center", "fontsize": 8, "frameon": False}
_BINS = 60
_FREE_CORNER = {1: (0.02, 0.94), 2: (0.02, 0.02), 3: (0.0, -0.08)}


def write_figures(results: Results, folder: Path) -> list[Path]:
    """Draws all figures of a study as PNG files.

    Each section gets `{section}_metrics.png`. Unless it measures classifiers, it also gets `{section}_losses.png`, and
    `{section}_{dataset}_rows.png` for each data set. A figure shows at most `MAX_SETTINGS` settings. A file is
    written whole or not at all.
    """
    paths = []
    for name, figure in _figures(results):
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        write_whole(folder / name, buffer.getvalue())
        paths.append(folder / name)
    return paths


def _figures(results: Results) -> Iterator[tuple[str, Figure]]:
    for section in results.spec.sections:
        table, n = results.rows(section), len(section.columns)
        if n > MAX_SETTINGS:
            title = f"{section.title} (the first {MAX_SETTINGS} of {n:,} settings)"
            section = replace(section, title=title, columns=section.columns[:MAX_SETTINGS])
            table = [replace(row, cells=row.cells[:MAX_SETTINGS]) for row in table]
        for name in section.drawn:
            yield f"{section.name}_{short_name(name)}_rows.png", rows_figure(results, section, name, table)
        if section.drawn:
            yield f"{section.name}_losses.png", losses_figure(results, section)
        yield f"{section.name}_metrics.png", metrics_figure(results, section, table)


def rows_figure(results: Results, section: Section, name: str, table: Sequence[Row]) -> Figure:
    """Draws the real rows, and next to them the rows of every setting's model of seed 0.

    All panels have the limits of the real rows with a margin; a panel says how many rows lie outside them. Rows with
    classes have their class's color; generated ones have the color of the class they were drawn for.
    """
    dataset = results.dataset(name)
    window, n = Window.around(dataset.rows), len(dataset.rows)
    n_panels = 1 + len(section.columns)
    n_columns = min(n_panels, 4)
    note = "" if results.spec.seeds == 1 else " (rows of the models of seed 0, EMD of all seeds)"
    title = f"{short_name(name)}: {section.title}{note}"
    figure, panels = _panels(n_panels, n_columns, (2.4, 2.8), title, "3d" if window.dimensions == 3 else None)
    for i, axes in enumerate(panels):
        _frame(axes, window, is_left=i % n_columns == 0, is_bottom=i + n_columns >= n_panels)

    is_whole = n <= MAX_ROWS or window.dimensions == 1
    _title(panels[0], "data", f"{'' if is_whole else f'{MAX_ROWS:,} of '}{n:,} rows")
    has_classes = section.kind == "classes"
    _draw_rows(panels[0], window, dataset.rows, REAL, dataset.labels if has_classes else None)
    (emds,) = (row.entries for row in table if (row.name, row.metric) == (name, "emd"))
    for axes, column, emd in zip(panels[1:], section.columns, emds, strict=True):
        generated = results.generated(name, column.settings)
        _title(axes, section.title_of(column), "" if emd.number is None else f"EMD {emd.measured}")
        if generated is None:
            _say(axes, "not finished")
        elif n_lost := int((~np.isfinite(generated).all(axis=1)).sum()):
            _say(axes, f"diverged:\n{n_lost:,} of {len(generated):,} rows\nare not finite")
        else:
            labels = dataset.labels_to_draw(len(generated)) if has_classes else None
            _draw_rows(axes, window, generated, GENERATED, labels)
    if window.dimensions == 1:
        top = max(axes.dataLim.y1 for axes in panels)
        for axes in panels:
            axes.set_ylim(0, 1.05 * top)
    return figure


def _frame(axes: Any, window: Window, is_left: bool, is_bottom: bool) -> None:
    axes.set(**{f"{axis}lim": limits for axis, *limits in zip("xyz", window.low, window.high, strict=False)})
    if window.dimensions == 3:
        for axis, text in zip("xyz", window.labels, strict=True):
            axes.tick_params(axis, pad=-4)
            getattr(axes, f"set_{axis}label")(text, labelpad=-11, fontsize=7)
        axes.locator_params(nbins=3)
        axes.set_box_aspect((1, 1, 1), zoom=0.9)
        axes.view_init(elev=25, azim=-60)
        return
    axes.tick_params(labelleft=is_left, labelbottom=is_bottom)
    axes.locator_params(nbins=5)
    if is_bottom:
        axes.set_xlabel(window.labels[0])
    if is_left:
        axes.set_ylabel(window.labels[1] if window.dimensions == 2 else "share of rows")
    if window.dimensions == 2:
        axes.set_aspect("equal", adjustable="box")


def _draw_rows(axes: Any, window: Window, rows: np.ndarray, color: str, labels: np.ndarray | None) -> None:
    shown, is_inside = window.split(rows)
    n = len(rows)
    if window.dimensions == 1:
        counts, edges = np.histogram(shown, _BINS, (window.low[0], window.high[0]))
        axes.stairs(counts / n, edges, fill=True, color=color)
    else:
        # Drawn at random if there are too many, because a file may be sorted.
        chosen = np.arange(n) if n <= MAX_ROWS else np.random.default_rng(0).choice(n, MAX_ROWS, replace=False)
        # Three axes do not clip, so that rows outside must not reach them.
        chosen = chosen[is_inside[chosen]]
        size = np.clip(1.5 * (2000 / max(len(chosen), 1)) ** 0.25, 1.5, 3)
        style = {"linestyle": "", "marker": "o", "markersize": size, "markeredgewidth": 0, "alpha": 0.45}
        classes = np.zeros(n, int) if labels is None else labels
        for label in range(int(classes.max()) + 1):
            fill = color if labels is None else colormaps["tab10"](label % 10)
            axes.plot(*shown[chosen[classes[chosen] == label]].T, color=fill, **style)
    if n_outside := n - int(is_inside.sum()):
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
        style = {"xycoords": "axes fraction", "fontsize": 7, "color": DIVERGED, "bbox": box}
        axes.annotate(f"{n_outside:,} of {n:,} rows outside", _FREE_CORNER[window.dimensions], **style)


def losses_figure(results: Results, section: Section) -> Figure:
    """Draws the training loss by epoch: a panel for each data set, a line for each setting.

    With more than one seed, the line is their mean, and a band goes from the lowest to the highest.
    """
    n_panels = len(section.datasets)
    n_columns = min(n_panels, 3)
    titles = [section.title_of(column) for column in section.columns]
    figure, panels = _panels(n_panels, n_columns, (3.4, 2.7), f"Training loss: {section.title}")
    # They differ in lightness too.
    colors = list(colormaps["viridis"](np.linspace(0, 0.87, len(titles))))
    for i, (axes, name) in enumerate(zip(panels, section.datasets, strict=True)):
        _title(axes, short_name(name))
        values = []
        for column, color in zip(section.columns, colors, strict=True):
            losses = [np.asarray(one, dtype=np.float64) for one in results.losses(name, column.settings)]
            if losses:
                epochs, stacked = np.arange(1, len(losses[0]) + 1), np.stack(losses)
                marker = "." if len(epochs) == 1 else ""
                axes.plot(epochs, stacked.mean(axis=0), color=color, linewidth=1, marker=marker)
                if len(losses) > 1:
                    band = stacked.min(axis=0), stacked.max(axis=0)
                    axes.fill_between(epochs, *band, color=color, alpha=0.2, linewidth=0)
                values += losses
        if not values:
            _say(axes, "not finished")
        _log_if_wide(axes, *values)
        axes.set_ylabel("mean loss" if i % n_columns == 0 else "")
        axes.set_xlabel("epoch" if i + n_columns >= n_panels else "")
    lines = [_line(color, title) for color, title in zip(colors, titles, strict=True)]
    n_beside = int(3.4 * n_columns / (0.55 + 0.08 * max(map(len, titles))))
    figure.legend(handles=lines, ncols=max(n_beside, 1), **_LEGEND)
    return figure


def metrics_figure(results: Results, section: Section, table: Sequence[Row]) -> Figure:
    """Draws metric against setting: a row of panels for each data set, a column for each metric."""
    titles = {row.metric: row.title for row in table}
    metrics = [name for name in QUANTITIES[section.kind] if name in titles]
    labels = [figure_text(column.label) for column in section.columns]
    x, limits, is_number = _positions(section)
    names = [short_name(name) for name in section.datasets]
    # The legend needs 8.5 inches.
    size = max(2.8, 0.25 * len(labels), 8.6 / len(metrics)), 1.55
    figure, panels = _panels(len(names) * len(metrics), len(metrics), size, section.title)
    by_panel = {(row.dataset, row.metric): row for row in table}
    for axes, panel in zip(panels, product(names, metrics), strict=True):
        if panel in by_panel:
            _draw_metric(axes, by_panel[panel], x)
        else:
            _say(axes, "no fresh rows")
        axes.set_xscale("log" if is_number else "linear")
        axes.set_xticks(x, [], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xlim(*limits)
    for axes, metric in zip(panels, metrics, strict=False):
        _title(axes, titles[metric])
    left = panels[:: len(metrics)]
    for axes, name in zip(left, names, strict=True):
        axes.set_ylabel(figure_text(name), fontsize=9, fontweight="bold")
    figure.align_ylabels(left)
    for axes in panels[-len(metrics) :]:
        axes.set_xticks(x, labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_xlabel(", ".join(map(symbol, section.varied)))
    figure.legend(handles=_metrics_handles(results, section, table), ncols=3, **_LEGEND)
    return figure


def _draw_metric(axes: Axes, row: Row, x: np.ndarray) -> None:
    baselines = np.array([np.nan if cell.baseline is None else cell.baseline.value for cell in row.cells])
    halves = HALF_LENGTH * np.array([np.nan if cell.baseline is None else cell.baseline.spread for cell in row.cells])
    band: dict[str, Any] = {"color": BASELINE, "alpha": 0.25, "linewidth": 0}
    if row.baseline is not None:
        axes.axhspan(baselines[0] - halves[0], baselines[0] + halves[0], **band)
        axes.axhline(baselines[0], color=BASELINE, linewidth=1)
    elif np.isfinite(baselines).any():
        axes.fill_between(x, baselines - halves, baselines + halves, **band)
        axes.plot(x, baselines, color=BASELINE, linewidth=1)

    values = np.array([cell.value for cell in row.cells])
    errors = HALF_LENGTH * np.array([0 if cell.summary is None else cell.summary.standard_error for cell in row.cells])
    errors[~np.isfinite(errors)] = 0
    axes.errorbar(x, values, yerr=errors, linestyle="", color=GENERATED, linewidth=1, capsize=2)
    is_best = np.array([cell.is_best for cell in row.cells])
    marked = [(is_best, _BEST), (~is_best, _WORSE)] if row.is_ranked else [(~is_best, _UNRANKED)]
    for chosen, style in marked:
        axes.plot(x[chosen], values[chosen], **style)
    reported = np.array([np.nan if cell.reference is None else cell.reference.value for cell in row.cells])
    axes.plot(x, reported, **_REPORTED)
    diverged = np.array([cell.is_diverged for cell in row.cells])
    if diverged.any():
        axes.plot(x[diverged], np.full(diverged.sum(), 0.08), transform=axes.get_xaxis_transform(), **_DIVERGED)
    elif not np.isfinite(values).any():
        _say(axes, "not finished")
    axes.margins(y=0.12)
    _log_if_wide(axes, values, baselines - halves)


def _marker(label: str, marker: str, size: float, color: str, **style: Any) -> dict[str, Any]:
    return {"label": label, "linestyle": "", "marker": marker, "markersize": size, "color": color, **style}


_BEST = _marker("measured, not distinguished from the best", "o", 4.5, GENERATED, markerfacecolor=GENERATED)
_WORSE = _marker("measured, worse than the best", "o", 4.5, GENERATED, markerfacecolor="white")
_UNRANKED = _marker("measured, not ranked", "o", 4.5, GENERATED, fillstyle="bottom", markerfacecoloralt="white")
_REPORTED = _marker("reported", "D", 6, REPORTED, markerfacecolor="none")
_DIVERGED = _marker("diverged", "x", 6, DIVERGED)

_OF_HALVES = f"data against data, ± {HALF_LENGTH} standard deviations"
_OF_TRUTH = f"true class probabilities, ± {HALF_LENGTH} standard errors"
_BASELINES = {
    ("rows", "nll"): f"held-out NLL: true density, ± {HALF_LENGTH} standard errors",
    ("classes", "accuracy"): f"accuracy: classifier on the data, ± {HALF_LENGTH} standard errors",
    **dict.fromkeys((("classifier", name) for name in QUANTITIES["classifier"]), _OF_TRUTH),
}
"""What the baselines are, by kind and metric; `_OF_HALVES` for others."""


def _metrics_handles(results: Results, section: Section, table: Sequence[Row]) -> list[Any]:
    covers = "training and sampling" if results.covers_training else "sampling only"
    cells = [cell for row in table for cell in row.cells]
    metrics = [row.metric for row in table if any(cell.baseline is not None for cell in row.cells)]
    baselines = [_BASELINES.get((section.kind, metric), _OF_HALVES) for metric in metrics]
    measured = [_BEST, _WORSE] if all(row.is_ranked for row in table) else [_BEST, _WORSE, _UNRANKED]
    others = [_REPORTED] if any(cell.reference is not None for cell in cells) else []
    others += [_DIVERGED] if any(cell.is_diverged for cell in cells) else []
    return [
        *(Line2D([], [], **style) for style in measured),
        _line(GENERATED, f"± {HALF_LENGTH} standard errors ({covers})"),
        *(Patch(facecolor=BASELINE, alpha=0.5, label=text) for text in dict.fromkeys(baselines)),
        *(Line2D([], [], **style) for style in others),
    ]


def _positions(section: Section) -> tuple[np.ndarray, tuple[float, float], bool]:
    """Returns positions of the columns on an x axis, its limits, and whether it is logarithmic.

    It is if a single number above 0 is varied, and no two values come too close to be distinguished.
    """
    values = [getattr(column.settings, key) for key in section.varied for column in section.columns]
    if len(section.varied) == 1 < len(values) and all(isinstance(v, int | float) and v > 0 for v in values):
        distances, margin = np.diff(np.log(np.sort(values))), (max(values) / min(values)) ** 0.08
        if distances.min() > 0.04 * distances.sum():
            return np.array(values, dtype=np.float64), (min(values) / margin, max(values) * margin), True
    return np.arange(len(section.columns), dtype=np.float64), (-0.5, len(section.columns) - 0.5), False


def _panels(
    n_panels: int, n_columns: int, size: tuple[float, float], title: str, projection: str | None = None
) -> tuple[Figure, list[Any]]:
    """Makes a figure with a title above a grid of axes; the size of a panel, with its labels, is in inches."""
    n_rows = -(-n_panels // n_columns)
    figure = Figure((n_columns * size[0], n_rows * size[1] + 0.8), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    title = figure_text(title)
    figure.suptitle(title, fontsize=_font_size(title, n_columns * size[0] - 0.2, 11))
    grid = figure.add_gridspec(n_rows, n_columns)
    made: list[Any] = [figure.add_subplot(grid[divmod(i, n_columns)], projection=projection) for i in range(n_panels)]
    for axes in made:
        axes.tick_params(labelsize=7)
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)
    return figure, made


def _title(axes: Axes, title: str, detail: str = "") -> None:
    """Adds a title, and perhaps a detail below it, above the axes."""
    title = figure_text(title)
    size = _font_size(title, axes.bbox.width / DPI, 9)
    axes.set_title(f"{title}\n{detail}" if detail else title, fontsize=size)


def _font_size(text: str, inches: float, size: float) -> float:
    """Returns the font size, reduced if the text would be wider than the given inches."""
    return min(size, max(inches * 72 / (0.56 * max(len(text), 1)), 4.0))


def _say(axes: Axes, text: str) -> None:
    """Puts a remark into the middle of a panel that has nothing to show."""
    axes.annotate(text, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=8, color=DIVERGED)


def _line(color: Any, text: str) -> Any:
    """Makes a legend's entry for a line."""
    return Line2D([], [], color=color, linewidth=1.5, label=legend_text(text))


def _log_if_wide(axes: Axes, *values: np.ndarray) -> None:
    """Makes the y axis logarithmic if the values are positive and span more than a factor of 10."""
    known = np.concatenate([np.empty(0), *values])
    finite = known[np.isfinite(known)]
    if finite.size and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
