"""Reads tables from `.npy` files, which are memory-mapped."""

import math
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pointillist.tables.number_table import Columns, Table, check_enough
from pointillist.tables.spool import Spool

_BLOCK_VALUES = 2**20


def read_npy(path: Path, label: str | None, min_rows: int) -> Table:
    """Reads an array of two dimensions, or of three, which are flattened to two; see `read_table`."""
    array = _mapped(path)
    n, width = len(array), math.prod(array.shape[1:])
    # First, as an array without rows may claim any width.
    check_enough(n, path, min_rows)
    columns = Columns.of(path, [str(column) for column in range(width)], _column_name(label, width))
    # Such a mapping is the table already.
    whole = array.dtype == np.float64 and array.flags.c_contiguous and array.flags.aligned and columns.label is None
    spool = Spool(len(columns.kept))
    labels = []
    step = max(1, _BLOCK_VALUES // width)
    for first in range(0, n, step):
        block = array[first : first + step].reshape(-1, width)
        if columns.label is not None:
            labels.append(_checked_labels(block[:, columns.label], first + 1, columns))
            block = np.delete(block, columns.label, axis=1)
        rows = _floats(block, columns)
        columns.check_finite(rows, first + 1, partial(_nan, columns, first + 1))
        if not whole:
            spool.append(rows)
    types = (_type_name(array.dtype),) * len(columns.kept)
    return Table(array.reshape(n, width) if whole else spool.rows(), None, types, columns.label_column(labels))


def _mapped(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:
        # Of many kinds, as NumPy parses the header as Python: a thousand minus signs end in a MemoryError.
        if "Python objects" in str(error):
            raise ValueError(f"{path}: holds Python objects, not numbers; save a numeric array instead") from error
        raise ValueError(f"{path}: is not a whole .npy file (truncated, or of another format)") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError(f"{path}: is an archive of arrays, not a .npy file; save one array")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{path}: holds {array.dtype}, not real numbers")
    if array.ndim not in (2, 3):
        raise ValueError(f"{path}: has {array.ndim} dimensions; rows need 2, or 3 to be flattened")
    return array


def _column_name(label: str | None, width: int) -> str | None:
    """The name of the column that `label` asks for, which may count from the end."""
    if label is None:
        return None
    try:
        position = int(label)
    except ValueError:
        return label
    return str(position + width if -width <= position < 0 else position)


def _type_name(dtype: np.dtype) -> str:
    # `longdouble` is named after a size that differs between machines.
    return "float64" if dtype.itemsize > 8 else dtype.name


def _floats(block: np.ndarray, columns: Columns) -> Float[np.ndarray, "m d"]:
    if block.dtype.kind in "iu":
        for place, position in enumerate(columns.kept):
            columns.check_size(block[:, place], position)
    # What is beyond float64 becomes infinite, which is refused later.
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(block, np.float64)


def _checked_labels(values: np.ndarray, start: int, columns: Columns) -> np.ndarray:
    assert columns.label is not None, "only a file with a label column has labels"
    if values.dtype.kind == "b":
        return values.copy()
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            what = "NaN" if np.isnan(values[np.argmin(finite)]) else "an infinite value"
            raise columns.bad_value(what, start + int(np.argmin(finite)), columns.label)
        return values.astype(np.float64)
    if values.max() > np.iinfo(np.int64).max:
        raise columns.error(f"the label column {columns.names[columns.label]!r} holds integers beyond int64")
    return values.astype(np.int64)


def _nan(columns: Columns, start: int, row: int, place: int) -> ValueError:
    return columns.bad_value("NaN", start + row, columns.kept[place])
