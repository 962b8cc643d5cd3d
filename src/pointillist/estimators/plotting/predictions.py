"""Plots the distribution of a column given the others, row by row."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import is_number
from pointillist.estimators.inputs import fitted_model
from pointillist.estimators.plotting.drawing import ROWS, axes_or_new, check_axes
from pointillist.foreign_text import figure_text
from pointillist.models.row_model import RowModel
from pointillist.queries.label_conditional import conditional_of
from pointillist.tables.frames import aligned


def plot_predictions(  # noqa: D417
    model: Any,
    X: Any,
    target: Any,
    ax: Any = None,
    *,
    by: Any = None,
    levels: Sequence[float] = (0.5, 0.9),
) -> Any:
    """Draws predicted distributions of a column of numbers given the others, as bands, and its values as dots.

    Args:
        X: A table with the columns of `fit`, in any container; it may lack the target.
        target: The column, by name, or by position in an array.
        ax: Matplotlib axes to draw on; a new figure by default.
        by: A column of numbers in whose order rows are drawn; by predicted median by default.
        levels: Levels of the central intervals that are drawn, in (0, 1).

    Returns:
        The axes.

    Raises:
        ValueError: If a column does not hold numbers, or an argument cannot be used.
    """
    fitted = fitted_model(model)
    values = _numbers(fitted, X, target, absent=[target])
    x = None if by is None else _numbers(fitted, X, by, absent=[target])
    names = None if by is None else figure_text(str(by)), figure_text(str(target))
    return draw_bands(partial(conditional_of(fitted, target).quantiles, X), values, x, ax, levels, names)


def draw_bands(
    quantiles_of: Callable[[Sequence[float]], Float[np.ndarray, "n levels"]],
    values: Float[np.ndarray, " n"] | None,
    x: Float[np.ndarray, " n"] | None,
    ax: Any,
    levels: Sequence[float],
    names: tuple[str | None, str],
) -> Any:
    """Draws central intervals of predicted distributions, with their medians, and returns the axes.

    Args:
        quantiles_of: Function that computes quantiles of each row.
        values: Observed values, NaN where unknown; None for none.
        x: Horizontal position of each row; by default rows are side by side, in the order of their medians.
        ax: Matplotlib axes; None for a new figure.
        levels: Levels of the intervals.
        names: Labels of the axes; None for rows in the order of their medians.

    Raises:
        ValueError: If an argument cannot be used.
    """
    check_axes(ax)
    asked = sorted(levels)
    if not asked or not all(is_number(level) and 0 < level < 1 for level in asked):
        raise ValueError(f"levels of intervals must be numbers between 0 and 1, not {levels!r}")
    sides = [(1 - level) / 2 for level in reversed(asked)]
    quantiles = quantiles_of([*sides, 0.5, *(1 - side for side in reversed(sides))])
    middle = quantiles[:, len(asked)]
    order = np.argsort(middle if x is None else x, kind="stable")
    position = np.arange(len(order)) if x is None else x[order]
    ax = axes_or_new(ax, (names[0] or "rows, by predicted median", names[1]))
    for i, level in enumerate(reversed(asked)):
        low, high = quantiles[order, i], quantiles[order, -1 - i]
        ax.fill_between(position, low, high, color=ROWS, alpha=0.25, linewidth=0, label=f"central {level:.0%}")
    ax.plot(position, middle[order], color=ROWS, linewidth=1, label="median")
    if values is not None and not np.isnan(values).all():
        ax.scatter(position, values[order], s=4, color="0.2", linewidths=0, label="values", zorder=3)
    ax.legend()
    return ax


def _numbers(model: RowModel, X: Any, name: Any, absent: list[Any]) -> Float[np.ndarray, " n"]:
    """Return the numbers of a column, NaN where they are missing."""
    codec = model.codec
    index = codec.encoding.index(name)
    cells = aligned(X, codec.layout, absent=absent).cells[index] if index < codec.n_columns else None
    if cells is None or codec.encoding.columns[index].categories is not None or cells.is_date:
        raise ValueError(f"column {name!r} does not hold numbers: take another")
    return np.where(cells.is_missing, np.nan, cells.numbers)
