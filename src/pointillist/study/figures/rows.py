"""Generated rows beside real ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.study.figures import parts
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN = 0.12
"""Margin around the rows, as a fraction of half their range."""


@dataclass(frozen=True)
class Window:
    """The view of rows in a figure's panels: up to three coordinates, within limits equally long on each axis.

    The axes go through `origin`, shape (d,), in `directions`, shape (d, dimensions), from `low` to `high`.
    """

    labels: tuple[str, ...]
    origin: np.ndarray
    directions: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def around(cls, rows: np.ndarray) -> "Window":
        """Makes the window that holds all the given rows, shape (n, d), with a margin."""
        rows = rows.astype(np.float64)
        d = rows.shape[1]
        if d <= 3:
            labels = tuple(f"column {i + 1}" for i in range(d))
            origin, directions = np.zeros(d), np.eye(d)
        else:
            labels, origin, directions = _principal_axes(rows)
        shown = (rows - origin) @ directions
        low, high = shown.min(axis=0), shown.max(axis=0)
        half = (high - low).max() / 2 * (1 + MARGIN) or 1.0
        middle = (low + high) / 2
        return cls(labels, origin, directions, middle - half, middle + half)

    @property
    def dimensions(self) -> int:
        """Number of coordinates that are shown, 1 to 3."""
        return len(self.labels)

    def split(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Computes coordinates of rows, shape (n, dimensions), and which rows are inside, shape (n,)."""
        shown = (rows.astype(np.float64) - self.origin) @ self.directions
        return shown, ((shown >= self.low) & (shown <= self.high)).all(axis=1)


def _principal_axes(rows: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    origin = rows.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov(rows, rowvar=False))
    directions = axes[:, [-1, -2]]
    # An eigenvector's sign is arbitrary; a fixed one keeps pictures of two machines alike.
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.where(directions[largest, [0, 1]] < 0, -1.0, 1.0)
    shares = variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)
    labels = tuple(f"principal axis {i} ({share:.0%})" for i, share in enumerate(shares, 1))
    return labels, origin, directions


MAX_ROWS = 5000
"""Most rows that a panel shows."""

_BINS = 60
_FREE_CORNER = {1: (0.02, 0.94), 2: (0.02, 0.02), 3: (0.0, -0.08)}


def rows_figure(results: Results, section: Section, name: str, table: Sequence[Row]) -> "Figure":
    """Draws the real rows, and beside them those of every setting's model of seed 0.

    All panels have the limits of the real rows with a margin; a panel says how many rows lie outside them. Data
    with more than three columns is shown along the first two principal axes of the real rows.

    Rows with classes have their class's colour; generated ones have that of the class they were drawn for.
    """
    dataset = results.dataset(name)
    real = dataset.rows
    window = Window.around(real)
    n_panels = 1 + len(section.columns)
    n_columns = min(n_panels, 4)
    is_3d = window.dimensions == 3
    figure, panels = parts.panels(
        n_panels,
        n_columns,
        size=(2.3, 2.3),
        gaps=(0.1, 0.75 if is_3d else 0.55),
        margins=(0.2, 0.25, 0.3, 0.9) if is_3d else (0.6, 0.15, 0.5, 0.9),
        projection="3d" if is_3d else None,
    )
    note = "" if results.spec.seeds == 1 else " (rows of the models of seed 0, EMD of all seeds)"
    parts.headline(figure, f"{short_name(name)}: {section.title}{note}")
    for i, axes in enumerate(panels):
        _frame(axes, window, is_left=i % n_columns == 0, is_bottom=i + n_columns >= n_panels)

    is_whole = len(real) <= MAX_ROWS or window.dimensions == 1
    parts.title(panels[0], "data", f"{'' if is_whole else f'{MAX_ROWS:,} of '}{len(real):,} rows")
    has_classes = section.kind == "classes"
    _draw(panels[0], window, real, parts.REAL, dataset.labels if has_classes else None)
    (emds,) = (row.entries for row in table if (row.name, row.metric) == (name, "emd"))
    for axes, column, emd in zip(panels[1:], section.columns, emds, strict=True):
        generated = results.generated(name, column.settings)
        parts.title(axes, parts.column_title(section, column), "" if emd.number is None else f"EMD {emd.measured}")
        if generated is None:
            parts.say(axes, "not finished")
        elif not np.isfinite(generated).all():
            lost = int((~np.isfinite(generated).all(axis=1)).sum())
            parts.say(axes, f"diverged:\n{lost:,} of {len(generated):,} rows\nare not finite")
        else:
            labels = dataset.labels_to_draw(len(generated)) if has_classes else None
            _draw(axes, window, generated, parts.GENERATED, labels)
    if window.dimensions == 1:
        top = max(axes.dataLim.y1 for axes in panels)
        for axes in panels:
            axes.set_ylim(0, 1.05 * top)
    return figure


def _frame(axes: Any, window: Window, is_left: bool, is_bottom: bool) -> None:
    limits = zip(window.low, window.high, strict=True)
    axes.set(**{f"{axis}lim": low_high for axis, low_high in zip("xyz", limits, strict=False)})
    if window.dimensions == 3:
        for axis, text in zip("xyz", window.labels, strict=True):
            axes.tick_params(axis, pad=-4)
            axes.set(**{f"{axis}label": text})
        for side in (axes.xaxis, axes.yaxis, axes.zaxis):
            side.labelpad = -11
            side.label.set_size(7)
        axes.locator_params(nbins=3)
        axes.set_box_aspect((1, 1, 1), zoom=1.05)
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


def _draw(axes: Any, window: Window, rows: np.ndarray, colour: str, labels: np.ndarray | None) -> None:
    import matplotlib

    shown, is_inside = window.split(rows)
    n = len(rows)
    if window.dimensions == 1:
        counts, edges = np.histogram(shown, _BINS, (window.low[0], window.high[0]))
        axes.stairs(counts / n, edges, fill=True, color=colour)
    else:
        # Drawn at random if there are too many, because a file may be sorted.
        chosen = np.arange(n) if n <= MAX_ROWS else np.random.default_rng(0).choice(n, MAX_ROWS, replace=False)
        # Three axes do not clip, so that rows outside must not reach them.
        chosen = chosen[is_inside[chosen]]
        size = np.clip(1.5 * (2000 / max(len(chosen), 1)) ** 0.25, 1.5, 3)
        style = {"linestyle": "", "marker": "o", "markersize": size, "markeredgewidth": 0, "alpha": 0.45}
        classes = np.zeros(n, int) if labels is None else labels
        for label in range(int(classes.max()) + 1):
            fill = colour if labels is None else matplotlib.colormaps["tab10"](label % 10)
            axes.plot(*shown[chosen[classes[chosen] == label]].T, color=fill, **style)
    outside = n - int(is_inside.sum())
    if outside:
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
        style = {"xycoords": "axes fraction", "fontsize": 7, "color": parts.DIVERGED, "bbox": box}
        axes.annotate(f"{outside:,} of {n:,} rows outside", _FREE_CORNER[window.dimensions], **style)
