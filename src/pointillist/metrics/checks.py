"""Checks of the rows that are passed to a metric."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.arguments import LARGEST_INTEGER

# Squared distances of larger values would overflow a float64.
LARGEST_VALUE = 1e150


def check_rows(rows: ArrayLike, name: str, min_rows: int = 2) -> NDArray[np.float64]:
    """Return `rows` as a contiguous float64 array of shape `(n, d)`, or raise an error that says what is wrong.

    Args:
        rows: Anything that NumPy reads as a real two-dimensional array, d at least 1.
        name: The caller's name for the argument, for the message.
        min_rows: Fewest rows allowed.

    Raises:
        ValueError: If `rows` is unusable; one line that names the argument, what is wrong with it and the way out.
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
        value = array[row, column]
        if np.isfinite(value):
            raise ValueError(
                f"{name} has {value:.3g} in row {row}, column {column}, beyond {LARGEST_VALUE:g}: rescale it"
            )
        kind = "a NaN" if np.isnan(value) else "an infinity"
        raise ValueError(f"{name} has {kind} in row {row}, column {column}: drop or fill such rows first")
    return array


def check_pair(
    real: ArrayLike, generated: ArrayLike, names: tuple[str, str] = ("real", "generated")
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check both sides of a metric, of shapes `(n, d)` and `(m, d)`, under their names in messages.

    Raises:
        ValueError: As in `check_rows`, or if the numbers of columns differ.
    """
    one, two = check_rows(real, names[0]), check_rows(generated, names[1])
    if one.shape[1] != two.shape[1]:
        raise ValueError(
            f"{names[1]} has {two.shape[1]} columns but {names[0]} has {one.shape[1]}: "
            "pass the same columns in the same order"
        )
    return one, two
