"""Reads rows of numbers from containers of any kind: arrays, data frames, and the tables of files."""

from typing import Any

import numpy as np

from pointillist.arguments import LARGEST_INTEGER
from pointillist.lazy import pa
from pointillist.tables.frames import table_of
from pointillist.tables.headings import is_frame
from pointillist.tables.layout import Layout
from pointillist.tables.row_blocks import blocks
from pointillist.tables.table import Table, is_numeric


def read_numbers(X: Any) -> tuple[Layout, Any]:
    """Returns the layout of a user's rows, and the rows: an array of shape (n, d), or an object that NumPy converts.

    Args:
        X: A `Table`, a data frame of pandas, Polars or PyArrow, or anything that NumPy reads.

    Raises:
        ValueError: If a data frame has a column that does not hold numbers, a missing value, or two equal names.
    """
    if isinstance(X, Table):
        return Layout("array", X.numbers.types, X.numbers.names), X.numbers.rows
    if not is_frame(X):
        return _layout_of_array(X), X
    found = table_of(X)
    if found is None:
        raise ValueError("X cannot be read: give an array, or a data frame of pandas, polars or pyarrow")
    table, kind, headings = found
    columns = []
    for name, column in zip(table.names, table.arrow.columns, strict=True):
        if not is_numeric(column.type):
            raise ValueError(f"column {name!r} holds {column.type}, not numbers: drop or encode it first")
        if column.null_count:
            raise ValueError(f"column {name!r} has {column.null_count} missing values: drop or fill them first")
        values = column.to_numpy()
        if pa.types.is_integer(column.type):
            check_whole(values, str(name))
        columns.append(values.astype(np.float64))
    rows = np.stack(columns, axis=1) if columns else np.empty((len(X), 0))
    return Layout.of_schema(kind, table.arrow.schema, headings), rows


def _layout_of_array(X: Any) -> Layout:
    try:
        array = np.asarray(X) if not hasattr(X, "dtype") or not hasattr(X, "shape") else X
    except ValueError as error:
        raise ValueError("X holds rows of different lengths: give each row the same number of values") from error
    if len(array.shape) < 2:
        # These are scikit-learn's words, on one line.
        found = f"{len(array.shape)}D" if array.shape else "scalar"
        raise ValueError(
            f"Expected 2D array, got {found} array instead. Reshape your data: X.reshape(-1, 1) is one column, "
            "X.reshape(1, -1) is one row"
        )
    width = array.shape[1] if len(array.shape) == 2 else 0
    kind = getattr(array.dtype, "kind", "O")
    if kind in "Mm":
        raise ValueError(f"X holds {array.dtype}, not numbers: give a data frame, whose columns may be dates")
    if np.ma.is_masked(X):
        row, column = np.argwhere(np.ma.getmaskarray(X))[0]
        raise ValueError(f"X has a masked value in row {row}, column {column}: drop or fill such rows first")
    if kind == "c":
        raise ValueError("Complex data not supported: give X's real and imaginary parts as columns of their own")
    if kind in "iu":
        check_whole(np.asarray(array), None)
    elif kind == "O":
        check_whole(np.array([each for each in np.asarray(array).ravel() if isinstance(each, int)], object), None)
    if kind == "O":
        return Layout("array", tuple(_type_of_objects(column) for column in np.asarray(array).T))
    name = np.dtype(array.dtype).name if kind in "biuf" else "float64"
    return Layout("array", (name,) * width)


def _type_of_objects(cells: np.ndarray) -> str:
    """NumPy's name of the type of a column of Python objects."""
    if len(cells) and all(isinstance(cell, bool | np.bool_) for cell in cells):
        return "bool"
    is_whole = len(cells) and all(isinstance(cell, int | np.integer | np.bool_) for cell in cells)
    return "int64" if is_whole else "float64"


def check_whole(values: np.ndarray, name: str | None) -> None:
    """Raises an error if float64 cannot hold all integers of a column, or of X if `name` is None."""
    # The absolute value of the lowest int64 is negative.
    if values.size and (values.max() > LARGEST_INTEGER or values.min() < -LARGEST_INTEGER):
        where = "X" if name is None else f"column {name!r}"
        raise ValueError(f"{where} holds integers beyond 2**53, which float64 cannot hold: drop or divide them")


def check_finite(
    rows: np.ndarray,
    what: str,
    names: tuple[Any, ...] | None,
    dtype: type[np.floating] = np.float64,
    first: int = 0,
) -> None:
    """Raises a ValueError that names the first value that is NaN or infinite as `dtype`.

    Args:
        rows: The rows.
        what: Their name in the message.
        names: Names of the columns; None for their indices.
        dtype: The type.
        first: Index of the first row.
    """
    for block in blocks(rows):
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(block.astype(dtype, copy=False))
        if not is_finite.all():
            row, column = np.argwhere(~is_finite)[0]
            value = "NaN" if np.isnan(block[row, column]) else "inf"
            where = f"column {column if names is None else repr(names[column])}"
            raise ValueError(f"{what} has {value} in row {first + row}, {where}: drop or fill such rows first")
        first += len(block)
