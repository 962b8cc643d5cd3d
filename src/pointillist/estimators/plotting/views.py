"""Views of rows, which show their columns if there are few, and otherwise two principal axes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.estimators.asking import Fitted
from pointillist.foreign_text import figure_text

MOST_COLUMNS = 3


@dataclass(frozen=True)
class View:
    """Coordinates of rows, (row - origin) @ directions.

    Attributes:
        labels: Labels of the coordinates.
        origin: Origin of the coordinates, shape (d,).
        directions: Directions of the coordinates, shape (d, dimensions).
    """

    labels: tuple[str, ...]
    origin: Float[np.ndarray, " d"]
    directions: Float[np.ndarray, "d dimensions"]

    @classmethod
    def of(cls, model: Fitted, rows: Float[np.ndarray, "n d"], whose: str) -> "View":
        """Makes a view of the columns of a model, if it has at most three, or else of the principal axes of rows.

        Args:
            model: The model.
            rows: Rows whose principal axes are taken.
            whose: What the labels call the rows.

        Raises:
            ValueError: If principal axes are needed and there is only one row, which has none.
        """
        d = model.n_features_in_
        if d <= MOST_COLUMNS:
            return cls(column_names(model), np.zeros(d), np.eye(d))
        if len(rows) < 2:
            raise ValueError(f"a plot of {d} columns shows principal axes, and one row has none: give more rows")
        origin, unit = rows.mean(axis=0), rows.std(axis=0)
        # Columns of unlike units would else be a matter of the units.
        scaled = (rows - origin) / np.where(unit > 0, unit, 1.0)
        variances, axes = np.linalg.eigh(scaled.T @ scaled / len(rows))
        directions = axes[:, [-1, -2]]
        # An axis may point either way: the same way everywhere.
        largest = np.abs(directions).argmax(axis=0)
        directions = directions * np.where(directions[largest, [0, 1]] < 0, -1.0, 1.0)
        shares = variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)
        labels = tuple(f"principal axis {i} of {whose} ({share:.0%})" for i, share in enumerate(shares, 1))
        return cls(labels, origin, directions / np.where(unit > 0, unit, 1.0)[:, None])

    @property
    def dimensions(self) -> int:
        """Number of coordinates, from 1 to 3."""
        return len(self.labels)

    def __call__(self, rows: Float[np.ndarray, "*times n d"]) -> Float[np.ndarray, "*times n dimensions"]:
        """Returns the coordinates of rows."""
        return (rows - self.origin) @ self.directions


def column_names(model: Fitted) -> tuple[str, ...]:
    """Returns the names of the columns, or their numbers, escaped for Matplotlib."""
    names = model.model_.codec.names or [f"column {i}" for i in range(model.n_features_in_)]
    return tuple(figure_text(str(name)) for name in names)


def check_axes(ax: Any, *, is_3d: bool) -> None:
    """Raises an error if `ax` is not axes, or has the wrong number of dimensions; None stands for new axes.

    Raises:
        ValueError: In one line.
    """
    from matplotlib.axes import Axes

    if ax is None:
        return
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be Matplotlib axes, not {type(ax).__name__}")
    if is_3d and ax.name != "3d":
        raise ValueError("three columns need axes in three dimensions: make them with projection='3d', or leave ax out")
    if not is_3d and ax.name == "3d":
        raise ValueError("ax has three dimensions, and the plot has fewer: make ax without projection='3d'")


def axes_or_new(ax: Any, *, is_3d: bool) -> Any:
    """Returns the axes, or those of a new figure for None."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained", subplot_kw={"projection": "3d" if is_3d else None})[1]


def name_axes(ax: Any, labels: tuple[str, ...]) -> None:
    """Labels the axes with the names of the coordinates, from x on."""
    for axis, label in zip("xyz", labels, strict=False):
        getattr(ax, f"set_{axis}label")(label)
