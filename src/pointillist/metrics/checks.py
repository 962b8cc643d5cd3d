"""Checks of the rows that are passed to a metric."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.arguments import LARGEST_INTEGER
from pointillist.tables.names import is_frame

Table = Mapping[str, NDArray[Any]]
"""Columns by name, all of one length: float64 for numbers (NaN if missing), object for categories (str, or None)."""

Seed = int | np.random.Generator | None

LARGEST_VALUE = 1e150
"""Squared distances of larger values would overflow float64."""


def check_rows(rows: ArrayLike, name: str, min_rows: int = 2) -> NDArray[np.float64]:
    """Return `rows`, called `name` in messages, as a contiguous float64 array of shape `(n, d)`, d at least 1.

    A ValueError says if they are not real, finite and two-dimensional, or fewer than `min_rows`.
    """
    array = np.asarray(rows)
    if array.dtype.kind not in "biuf":
        try:
            array = np.asarray(None if array.dtype.kind == "c" else array, dtype=np.float64)
            if array.ndim == 0:
                raise TypeError
        except (TypeError, ValueError):
            raise ValueError(f"{name} is not an array of real numbers: encode or drop other columns") from None
    if array.ndim != 2:
        hint = f"write {name}.reshape(-1, 1) for a single column" if array.ndim == 1 else "flatten each row"
        raise ValueError(f"{name} has {array.ndim} dimension(s) but needs 2, rows and columns: {hint}")
    if array.shape[1] < 1:
        raise ValueError(f"{name} has no columns: pass at least one")
    if array.shape[0] < min_rows:
        raise ValueError(f"{name} has {array.shape[0]} row(s) but needs at least {min_rows}: pass more rows")
    if array.dtype.kind in "iu" and array.size and (array.max() > LARGEST_INTEGER or array.min() < -LARGEST_INTEGER):
        raise ValueError(f"{name} holds integers beyond 2**53, which float64 cannot hold: drop or divide them")
    array = np.ascontiguousarray(array, dtype=np.float64)
    usable = np.abs(array) < LARGEST_VALUE
    if not usable.all():
        row, column = np.argwhere(~usable)[0]
        value, cell = array[row, column], f"in row {row}, column {column}"
        if np.isfinite(value):
            raise ValueError(f"{name} has {value:.3g} {cell}, beyond {LARGEST_VALUE:g}: rescale it")
        kind = "a NaN" if np.isnan(value) else "an infinity"
        raise ValueError(f"{name} has {kind} {cell}: drop or fill such rows first")
    return array


def check_pair(
    real: Any, generated: Any, names: tuple[str, str] = ("real", "generated")
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check both sides of a metric as `check_rows` does, and that they have the same number of columns.

    Columns of two data frames are matched by name; a ValueError says if one lacks a column of the other.
    """
    if is_frame(real) and is_frame(generated):
        frames: list[nw.DataFrame[Any]] = [nw.from_native(side, eager_only=True) for side in (real, generated)]
        columns, others = (frame.columns for frame in frames)
        for lacks, missing in zip(names[::-1], ({*columns} - {*others}, {*others} - {*columns}), strict=True):
            if missing:
                raise ValueError(f"{lacks} has no column {min(missing, key=str)!r}: pass the same columns")
        generated = frames[1].select(columns).to_native()
    one, two = check_rows(real, names[0]), check_rows(generated, names[1])
    if one.shape[1] != two.shape[1]:
        raise ValueError(
            f"{names[1]} has {two.shape[1]} columns but {names[0]} has {one.shape[1]}: "
            "pass the same columns in the same order"
        )
    return one, two
