"""Draws histograms of the columns of rows and data, and scatter plots of their pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pointillist.atomic_files import write_whole
from pointillist.evaluation.report import number_text
from pointillist.foreign_text import figure_text
from pointillist.metrics import ColumnDifference, column_differences
from pointillist.metrics.checks import Table
from pointillist.metrics.distances import Rows
from pointillist.metrics.mixed_tables import check_tables, count_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA, ROWS = "0.35", "#1f5fa8"
MAX_COLUMNS, MAX_CATEGORIES, MAX_BINS = 5, 8, 40
MAX_POINTS, MAX_COUNTED = 1500, 50_000
"""Most rows of each side in a panel of a pair, and most that are counted for a histogram."""

OUTSIDE, MARGIN = 0.2, 0.06
"""Percentage of a side beyond either limit of a panel, and margin on either side as a fraction of the range."""


@dataclass(frozen=True)
class Histogram:
    """The distribution of a column in two tables.

    Attributes:
        column: The difference of the column.
        ends: Least and largest value that the bars show, if the bars are intervals of equal widths.
        labels: The value of each bar, if the bars are not intervals.
        data: Fraction of the data's cells in each bar, among cells that are not missing numbers.
        rows: Fraction of the rows' cells.
        missing: Fraction of missing numbers in the data and in the rows.
        per_day: Length of a day if the numbers are dates, otherwise None.
    """

    column: ColumnDifference
    ends: tuple[float, float] | None
    labels: tuple[str, ...]
    data: tuple[float, ...]
    rows: tuple[float, ...]
    missing: tuple[float, float]
    per_day: int | None


@dataclass(frozen=True)
class _Panel:
    """The numbers of a column in a panel, with tick labels if they represent categories."""

    column: ColumnDifference
    data: Rows
    rows: Rows
    ticks: tuple[str, ...] = ()

    @property
    def is_discrete(self) -> bool:
        return self.column.kind == "discrete" or bool(self.ticks)

    @cached_property
    def limits(self) -> tuple[float, float]:
        if self.ticks:
            return -0.6, len(self.ticks) - 0.4
        low, high = self.range
        margin = 0.5 if self.is_discrete else MARGIN * (high - low)
        return low - margin, high + margin

    @cached_property
    def range(self) -> tuple[float, float]:
        known = (side[~np.isnan(side)] for side in (self.data, self.rows))
        sides = [side for side in known if len(side)] or [np.zeros(1)]
        if self.is_discrete:
            return min(side.min() for side in sides), max(side.max() for side in sides)
        ends = [np.percentile(side, [OUTSIDE, 100 - OUTSIDE]) for side in sides]
        (low, high), (rows_low, rows_high) = ends[0], ends[-1]
        reach = high - low or 1.0
        return max(min(low, rows_low), low - reach), min(max(high, rows_high), high + reach)

    @cached_property
    def bars(self) -> tuple[Rows, tuple[Rows, Rows]]:
        """The values of discrete bars, or the ends of intervals, and the fraction of either side's cells in each."""
        data, rows = (side[~np.isnan(side)] for side in (self.data, self.rows))
        if self.is_discrete:
            values = np.unique(np.concatenate([data, rows]))
            counts = [(side[:, None] == values).sum(axis=0) for side in (data, rows)]
        else:
            n_bins = int(np.clip(2 * min(len(data), len(rows)) ** (1 / 3), 10, MAX_BINS))
            values = np.linspace(*self.range, n_bins + 1)
            counts = [np.histogram(side, values)[0] for side in (data, rows)]
        return values, (counts[0] / max(len(data), 1), counts[1] / max(len(rows), 1))


def histograms(data: Table, rows: Table, columns: Sequence[ColumnDifference]) -> tuple[Histogram, ...]:
    """Count the cells of each column in bars; of large tables, only those of evenly spaced rows."""
    data, rows = ({name: side[name][:: -(-len(side[name]) // MAX_COUNTED)] for name in side} for side in (data, rows))
    found = []
    for column in columns:
        panel = _panel(column, data[column.name], rows[column.name])
        values, (data_bars, row_bars) = panel.bars
        bars = tuple(data_bars.tolist()), tuple(row_bars.tolist())
        missing = float(np.isnan(panel.data).mean()), float(np.isnan(panel.rows).mean())
        ends = None if panel.is_discrete else panel.range
        metadata = data[column.name].dtype.metadata
        per_day = metadata["per_day"] if metadata else None
        labels = tuple(panel.ticks[int(value)] if panel.ticks else number_text(value, per_day) for value in values)
        found.append(Histogram(column, ends, labels if ends is None else (), *bars, missing, per_day))
    return tuple(found)


def draw_evaluation(data: Any, rows: Any, path: str | Path) -> None:
    """Draw histograms of columns, and their pairs as points, data in gray and generated rows in blue.

    If there are more than five columns, the five that differ most are shown, in the table's order. A panel's limits
    leave out the outermost 0.2 % of rows and data, and rows farther out than the data's range is wide. Pairs show at
    most 1,500 rows of each side; the values of discrete columns are moved a little at random so that points do not hide
    one another. If a column has more than eight categories, the seven most frequent are shown, and the others together.

    Args:
        data: Real rows: an array, a data frame, or columns as `evaluate` takes them.
        rows: Generated rows, with the same columns.
        path: A PNG file, written whole or not at all.

    Raises:
        ValueError: If the tables cannot be compared.
        OSError: If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    data, rows = check_tables(data=data, rows=rows)
    panels = _panels(data, rows)
    k, side = len(panels), 1.9 if len(panels) > 2 else 2.6
    figure = Figure(figsize=(k * side + 1.0, k * side + 1.1), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(k, k, squeeze=False)

    sample, colors = _shuffled_points(panels)
    dot = 3 if len(sample) > 1000 else 9
    for (i, j), axes in np.ndenumerate(grid):
        if j > i:
            axes.remove()
            continue
        axes.set_xlim(panels[j].limits)
        if i == j:
            _draw_marginal(axes, panels[i])
        else:
            axes.set_ylim(panels[i].limits)
            axes.scatter(sample[:, j], sample[:, i], s=dot, c=colors, alpha=0.5, linewidths=0)
        _frame(axes, panels[j], panels[i], is_left=j == 0 and i > 0, is_bottom=i == k - 1)
    options: dict[str, Any] = {"fontsize": 9, "title_fontsize": 8, "frameon": False, "alignment": "left"}
    # In the free upper right, or above a single panel.
    options |= {"loc": "outside upper right", "ncols": 2} if k == 1 else {"loc": "upper right"}
    patches = [Patch(color=DATA, alpha=0.6, label=f"data ({count_rows(data):,})")]
    patches.append(Patch(color=ROWS, label=f"rows ({count_rows(rows):,})"))
    title = f"the {k} of {len(data):,} columns that differ most" if k < len(data) else None
    figure.legend(handles=patches, title=title, **options)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_whole(Path(path), buffer.getvalue())


def _panels(data: Table, rows: Table) -> list[_Panel]:
    """Make panels of the columns that differ most, in the order of the table."""
    columns = column_differences(data, rows)
    order = sorted(range(len(columns)), key=lambda i: (columns[i].p_value, -columns[i].value))
    chosen = [columns[i] for i in sorted(order[:MAX_COLUMNS])]
    return [_panel(column, data[column.name], rows[column.name]) for column in chosen]


def _panel(column: ColumnDifference, data: NDArray[Any], rows: NDArray[Any]) -> _Panel:
    """Make a panel; the most frequent categories are numbered, and all others share the last number."""
    if data.dtype != object:
        return _Panel(column, data, rows)
    categories = [category for category, _ in (Counter(data.tolist()) + Counter(rows.tolist())).most_common()]
    shown = categories if len(categories) <= MAX_CATEGORIES else categories[: MAX_CATEGORIES - 1]
    numbers = {category: float(i) for i, category in enumerate(shown)}
    data, rows = (np.array([numbers.get(cell, len(shown)) for cell in side.tolist()]) for side in (data, rows))
    ticks = ["missing" if category is None else category for category in shown]
    return _Panel(column, data, rows, (*ticks, *["others"] * (len(shown) < len(categories))))


def _shuffled_points(panels: list[_Panel]) -> tuple[Rows, NDArray[Any]]:
    """Return an equal number of points per side, in random order so that neither covers the other, and their colors."""
    rng = np.random.default_rng(0)
    data, rows = (np.stack([getattr(panel, side) for panel in panels], axis=1) for side in ("data", "rows"))
    is_discrete = [panel.is_discrete for panel in panels]
    size = min(len(rows), len(data), MAX_POINTS)
    points = np.concatenate([each[rng.permutation(len(each))[:size]] for each in (data, rows)])
    points = points + np.where(is_discrete, rng.uniform(-0.2, 0.2, points.shape), 0.0)
    order = rng.permutation(len(points))
    return points[order], np.repeat([DATA, ROWS], size)[order]


def _draw_marginal(axes: Axes, panel: _Panel) -> None:
    values, (data, rows) = panel.bars
    if panel.is_discrete:
        axes.bar(values - 0.2, data, 0.4, color=DATA, alpha=0.45)
        axes.bar(values + 0.2, rows, 0.4, color=ROWS, alpha=0.9)
    else:
        axes.stairs(data, values, color=DATA, alpha=0.35, fill=True)
        axes.stairs(rows, values, color=ROWS, linewidth=1.3)
    axes.set_ylim(bottom=0)
    axes.set_title(f"{panel.column.statistic} {panel.column.value:.2f}", fontsize=7, color="0.3", pad=3)


def _frame(axes: Axes, x: _Panel, y: _Panel, *, is_left: bool, is_bottom: bool) -> None:
    axes.tick_params(labelsize=7, left=is_left, labelleft=is_left, labelbottom=is_bottom)
    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(nbins=4)
    if x.ticks:
        axes.set_xticks(range(len(x.ticks)), [figure_text(tick, 9) for tick in x.ticks], rotation=90, fontsize=6)
    if y.ticks and is_left:
        axes.set_yticks(range(len(y.ticks)), [figure_text(tick, 9) for tick in y.ticks], fontsize=6)
    if is_bottom:
        axes.set_xlabel(figure_text(x.column.name, 24), fontsize=8)
    if is_left:
        axes.set_ylabel(figure_text(y.column.name, 24), fontsize=8)
