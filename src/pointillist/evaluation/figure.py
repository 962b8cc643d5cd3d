"""Columns of rows and data, alone and in pairs, drawn over one another."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.files import write_whole
from pointillist.metrics import ColumnDifference, column_differences
from pointillist.metrics.checks import check_pair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 110
DATA = "0.35"
ROWS = "#1f5fa8"
MAX_COLUMNS = 5
MAX_POINTS = 1500
"""Rows of each side that a panel of a pair shows at most."""

MAX_BINS = 40
MARGIN = 0.06

# Percent of a side beyond either limit of a panel, so that a long tail leaves room for the rest.
OUTSIDE = 0.2

Rows = NDArray[np.float64]


def draw_evaluation(rows: ArrayLike, data: ArrayLike, path: str | Path, names: Sequence[str] | None = None) -> None:
    """Draws histograms of columns, and their pairs as points, data in grey and rows in blue.

    Of more than five columns the five that differ most are shown, in the table's order. A panel's limits leave out the
    outermost 0.2 % of rows and data, and rows farther out than the data's range is wide; pairs show at most 1,500 rows
    of each side, those of discrete columns moved a little at random to be seen.

    Args:
        rows: Shape `(m, d)`.
        data: Shape `(n, d)`.
        path: A PNG file, written whole or not at all.
        names: d names of columns; their numbers if None.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or there are not d names.
        OSError: If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, data = check_pair(rows, data, ("rows", "data"))
    columns = column_differences(rows, data, names=names)
    order = sorted(range(len(columns)), key=lambda i: (columns[i].p_value, -columns[i].value))
    shown = sorted(order[:MAX_COLUMNS])
    k = len(shown)
    side = 1.9 if k > 2 else 2.6
    size = (k * side + 0.9, k * side + 1.1)
    figure = Figure(figsize=(max(size[0], 3.6), size[1]), dpi=DPI)
    FigureCanvasAgg(figure)
    grid = figure.subplots(k, k, squeeze=False)
    width, height = figure.get_size_inches()
    figure.subplots_adjust(0.65 / width, 0.55 / height, 1 - 0.2 / width, 1 - 0.65 / height, 0.12, 0.12)

    sample, colours = _shuffled_points(rows, data, [columns[i].kind == "discrete" for i in range(len(columns))])
    limits = [_limits(rows[:, i], data[:, i], columns[i].kind == "discrete") for i in shown]
    dot = 3 if len(sample) > 1000 else 9
    for (i, j), axes in np.ndenumerate(grid):
        if j > i:
            axes.remove()
            continue
        axes.set_xlim(limits[j])
        if i == j:
            _draw_marginal(axes, rows[:, shown[i]], data[:, shown[i]], columns[shown[i]], limits[i])
        else:
            axes.set_ylim(limits[i])
            axes.scatter(sample[:, shown[j]], sample[:, shown[i]], s=dot, c=colours, alpha=0.5, linewidths=0)
        _frame(axes, columns[shown[j]].name, columns[shown[i]].name, is_left=j == 0 and i > 0, is_bottom=i == k - 1)
    _write_legend(figure, len(rows), len(data), k, len(columns))
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    write_whole(Path(path), buffer.getvalue())


def _shuffled_points(rows: Rows, data: Rows, is_discrete: list[bool]) -> tuple[Rows, NDArray[Any]]:
    """As many points of both sides in a random order, so that neither covers the other, and their colours."""
    rng = np.random.default_rng(0)
    size = min(len(rows), len(data), MAX_POINTS)
    points = np.concatenate([each[rng.permutation(len(each))[:size]] for each in (data, rows)])
    points = points + np.where(is_discrete, rng.uniform(-0.2, 0.2, points.shape), 0.0)
    order = rng.permutation(len(points))
    return points[order], np.repeat([DATA, ROWS], size)[order]


def _limits(rows: Rows, data: Rows, is_discrete: bool) -> tuple[float, float]:
    if is_discrete:
        return min(rows.min(), data.min()) - 0.5, max(rows.max(), data.max()) + 0.5
    (low, high), (rows_low, rows_high) = (np.percentile(side, [OUTSIDE, 100 - OUTSIDE]) for side in (data, rows))
    reach = high - low or 1.0
    low, high = max(min(low, rows_low), low - reach), min(max(high, rows_high), high + reach)
    margin = MARGIN * (high - low)
    return low - margin, high + margin


def _draw_marginal(axes: Axes, rows: Rows, data: Rows, column: ColumnDifference, limits: tuple[float, float]) -> None:
    if column.kind == "discrete":
        values = np.unique(np.concatenate([rows, data]))
        for side, colour, shift in ((data, DATA, -0.2), (rows, ROWS, 0.2)):
            shares = [float(np.mean(side == value)) for value in values]
            axes.bar(values + shift, shares, 0.4, color=colour, alpha=0.45 if colour == DATA else 0.9)
    else:
        n_bins = int(np.clip(2 * min(len(rows), len(data)) ** (1 / 3), 10, MAX_BINS))
        edges = np.linspace(*limits, n_bins + 1)
        of_data, of_rows = (np.histogram(side, edges)[0] / len(side) for side in (data, rows))
        axes.stairs(of_data, edges, color=DATA, alpha=0.35, fill=True)
        axes.stairs(of_rows, edges, color=ROWS, linewidth=1.3)
    axes.set_ylim(bottom=0)
    statistic = "KS" if column.kind == "continuous" else "TV"
    axes.set_title(f"{statistic} {column.value:.2f}", fontsize=7, color="0.3", pad=3)


def _frame(axes: Axes, x: str, y: str, *, is_left: bool, is_bottom: bool) -> None:
    axes.tick_params(labelsize=7, labelleft=is_left, labelbottom=is_bottom)
    axes.locator_params(nbins=4)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
    if not is_left:
        axes.tick_params(left=False)
    if is_bottom:
        axes.set_xlabel(_plain(x), fontsize=8)
    if is_left:
        axes.set_ylabel(_plain(y), fontsize=8)


def _write_legend(figure: Figure, m: int, n: int, shown: int, of: int) -> None:
    """In the free upper right, or above a single panel."""
    from matplotlib.patches import Patch

    handles = [Patch(color=DATA, alpha=0.6, label=f"data ({n:,})"), Patch(color=ROWS, label=f"rows ({m:,})")]
    few = f"the {shown} of {of:,} columns that differ most" if shown < of else None
    options: dict[str, Any] = {"fontsize": 9, "title_fontsize": 8, "frameon": False, "alignment": "left"}
    figure.legend(handles=handles, title=few, loc="upper right", ncols=2 if shown == 1 else 1, **options)


def _plain(text: str) -> str:
    """A name cut to what fits, and its dollars, which would start a formula, escaped."""
    return (text if len(text) <= 24 else f"{text[:23]}…").replace("$", r"\$")
