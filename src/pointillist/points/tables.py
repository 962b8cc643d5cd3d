"""Rows from files: `.npy` and `.csv`, checked, with one clear line for whatever is wrong."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

READABLE = (".npy", ".csv")
"""File endings that `read_rows` takes."""


def read_rows(path: str | Path) -> Float[np.ndarray, "n d"]:
    """Reads a table of numbers.

    A `.npy` file holds an array of two dimensions, or of three: (n, tokens, width), which is flattened to
    (n, tokens x width). A `.csv` file has a header line and numbers below it. Nothing in a file is executed:
    arrays of Python objects are refused.

    Args:
        path: The file.

    Returns:
        Shape (n, d), float64, finite, n at least 2, d at least 1.

    Raises:
        ValueError: In one line, if the file cannot be read as such a table.
        OSError: If the file cannot be opened.
    """
    path = Path(path)
    if path.suffix not in READABLE:
        raise ValueError(f"{path}: the file's name must end in one of {', '.join(READABLE)}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a directory, not a file")
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    rows, names = _read_npy(path) if path.suffix == ".npy" else _read_csv(path)
    return _checked(rows, names, path)


def _read_npy(path: Path) -> tuple[np.ndarray, list[str]]:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        if "Object arrays" in str(error):
            raise ValueError(f"{path}: holds Python objects, not numbers; save a numeric array instead") from error
        raise ValueError(f"{path}: is not a whole .npy file (truncated, or of another format)") from error
    if array.ndim == 3:
        array = array.reshape(len(array), -1)
    if array.ndim != 2:
        raise ValueError(f"{path}: has {array.ndim} dimensions; rows need 2, or 3 to be flattened")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{path}: holds {array.dtype}, not real numbers")
    return array, [str(column) for column in range(array.shape[1])]


def _read_csv(path: Path) -> tuple[np.ndarray, list[str]]:
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: cannot be read as CSV: {str(error).splitlines()[0]}") from error
    _check_shape(table.num_rows, table.num_columns, path)
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise ValueError(f"{path}: column {name!r} holds {kind}, not numbers; drop or encode it first")
        if column.null_count:
            raise ValueError(f"{path}: column {name!r} has {column.null_count} missing values; drop or fill them first")
    return np.stack([column.to_numpy().astype(np.float64) for column in table.columns], axis=1), table.column_names


def _check_shape(n_rows: int, n_columns: int, path: Path) -> None:
    if n_columns == 0:
        raise ValueError(f"{path}: has no columns")
    if n_rows < 2:
        raise ValueError(f"{path}: has {n_rows} rows; at least 2 are needed")


def _checked(rows: np.ndarray, names: list[str], path: Path) -> Float[np.ndarray, "n d"]:
    _check_shape(len(rows), rows.shape[1], path)
    rows = rows.astype(np.float64)
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        found = "NaN" if np.isnan(rows[row, column]) else "an infinite value"
        raise ValueError(f"{path}: {found} in row {row}, column {names[column]!r}; drop or fill such rows first")
    return rows
