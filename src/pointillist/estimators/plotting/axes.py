"""Matplotlib axes, and the names of columns on them."""

from typing import Any

from pointillist.foreign_text import figure_text
from pointillist.models.row_model import RowModel

ROWS = "#1f5fa8"
"""Color of generated rows and of predictions."""


def column_names(model: RowModel) -> tuple[str, ...]:
    """Return the names of the columns, or their numbers, escaped for Matplotlib."""
    names = model.codec.names or [f"column {i}" for i in range(model.codec.n_columns)]
    return tuple(figure_text(str(name)) for name in names)


def check_axes(ax: Any, n_columns: int = 2) -> None:
    """Raise a ValueError if `ax` is neither None nor axes on which that many columns can be drawn."""
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        raise ValueError(f"ax must be Matplotlib axes, not {type(ax).__name__}")
    if ax is not None and (ax.name == "3d") != (n_columns == 3):
        which = "axes in three dimensions (projection='3d')" if n_columns == 3 else "axes in two dimensions"
        raise ValueError(f"this plot needs {which}: pass others as ax, or leave it out")


def labelled_axes(ax: Any, labels: tuple[str, ...]) -> Any:
    """Label axes, or new ones if `ax` is None."""
    if ax is None:
        from matplotlib import pyplot

        options = {"projection": "3d" if len(labels) == 3 else None}
        ax = pyplot.subplots(layout="constrained", subplot_kw=options)[1]
    for axis, label in zip("xyz", labels, strict=False):
        getattr(ax, f"set_{axis}label")(label)
    return ax
