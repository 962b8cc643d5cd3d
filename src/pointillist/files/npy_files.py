"""Reads tables from `.npy` files, which are memory-mapped, and writes them."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import Format, ReadOptions, Write
from pointillist.files.number_rows import NumberRows, check_enough
from pointillist.tables.numbers import LabelColumn, Numbers
from pointillist.tables.table import Table

_BLOCK_VALUES = 2**20


class NpyFormat(Format):
    """Arrays of numbers with two dimensions, or three, which are flattened to two."""

    holds_text = False

    def names(self, path: Path, form: CsvForm) -> list[str]:
        return []

    def read(self, path: Path, options: ReadOptions) -> Table:
        if options.drop or options.types:
            raise ValueError(f"{path}: an .npy file holds numbers alone: give a .csv or .parquet file")
        array = _mapped(path)
        n, width = len(array), math.prod(array.shape[1:])
        # An array without rows may declare any width.
        check_enough(n, path, options.min_rows)
        names = [str(column) for column in range(width)]
        gathered = NumberRows(path, names, _label_name(options.label, width), "NaN")
        label = gathered.label
        is_table = array.dtype == np.float64 and array.flags.c_contiguous and array.flags.aligned and label is None
        labels = []
        step = max(1, _BLOCK_VALUES // width)
        for first in range(0, n, step):
            block = array[first : first + step].reshape(-1, width)
            if label is not None:
                labels.append(_checked_labels(block[:, label], gathered, label))
                block = np.delete(block, label, axis=1)
            if block.dtype.kind in "iu":
                for i, column in enumerate(gathered.kept):
                    gathered.check_size(block[:, i], column)
            # Numbers beyond float64 become infinite, which `append` refuses.
            with np.errstate(over="ignore"):
                block = np.ascontiguousarray(block, np.float64)
            gathered.append(block, is_kept=not is_table)
        rows = array.reshape(n, width) if is_table else gathered.spool.rows()
        # The name of `longdouble` contains its size, which differs between machines.
        types = ("float64" if array.dtype.itemsize > 8 else array.dtype.name,) * rows.shape[1]
        label_column = None if label is None else LabelColumn(names[label], label, np.concatenate(labels))
        return Table(Numbers(rows, None, types, label_column))

    @contextmanager
    def writing(
        self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int
    ) -> Iterator[Write]:
        """Starts an array of the one type that holds all columns."""
        dtype = np.result_type(*types)
        descr = np.lib.format.dtype_to_descr(dtype)
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": (n, len(types))})
        yield lambda columns: file.write(np.stack(columns, axis=1, dtype=dtype).data)


FORMAT = NpyFormat()


def _mapped(path: Path) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:
        # NumPy parses the header as Python, so errors are of many kinds: 1,000 minus signs raise a MemoryError.
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


def _label_name(label: str | None, width: int) -> str | None:
    """Returns the name of the label column, whose index may count from the end."""
    try:
        index = int(label or "")
    except ValueError:
        return label
    return str(index + width if -width <= index < 0 else index)


def _checked_labels(values: np.ndarray, gathered: NumberRows, label: int) -> np.ndarray:
    if values.dtype.kind == "b":
        return values.copy()
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            row = int(np.argmin(finite))
            raise gathered.bad_value("NaN" if np.isnan(values[row]) else "an infinite value", row, label)
        return values.astype(np.float64)
    if values.max() > np.iinfo(np.int64).max:
        raise gathered.error(f"the label column {gathered.names[label]!r} holds integers beyond int64")
    return values.astype(np.int64)
