"""Checks whether training of a fitted model can continue with new rows."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.estimators.layout import Layout
from pointillist.points import column_range

if TYPE_CHECKING:
    from pointillist.estimators.model import DiffusionModel


def check_continuing(
    before: "DiffusionModel", layout: Layout, rows: np.ndarray, classes: np.ndarray, asked: dict[str, Any]
) -> None:
    """Raises an error if the weights of a fitted model do not fit new rows or parameters.

    Args:
        before: The fitted model.
        layout: Layout of the new rows.
        rows: The new rows, shape (n, d).
        classes: The classes of the new rows.
        asked: Current values of the parameters that decide the network.

    Raises:
        ValueError: In one line, if the columns, the classes or a parameter differ from those of the fitted model.
    """
    d = rows.shape[1]
    if before.n_features_in_ != d:
        raise ValueError(
            f"warm_start: X has {d} columns but the model has {before.n_features_in_}: give the same columns, or "
            "warm_start=False"
        )
    known = before.layout_.names
    if known is not None and layout.names is not None and known != layout.names:
        place = next(i for i in range(d) if known[i] != layout.names[i])
        raise ValueError(
            f"warm_start: column {place} is {layout.names[place]!r} but the model has {known[place]!r} there: give the "
            "same columns in the same order, or warm_start=False"
        )
    if not np.array_equal(getattr(before, "classes_", ()), classes):
        raise ValueError("warm_start: y and the model have different classes: give the same ones, or warm_start=False")
    changed = [name for name in asked if asked[name] != before.trained_with_[name] and name != "p_uncond"]
    if changed:
        raise ValueError(f"warm_start: {changed[0]} is not what the model was fitted with: set it back")
    low, high = column_range(rows)
    constant = before.scaling_.minimum
    moved = ~before.scaling_.varies & ((low != constant) | (high != constant))
    if moved.any():
        raise ValueError(
            f"warm_start: column {np.flatnonzero(moved)[0]} was constant in the first fit and holds another "
            "value now: give warm_start=False"
        )
