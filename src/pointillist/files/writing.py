"""Writes tables to files of every format, row by row; a file is written completely or not at all."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np

from pointillist.atomic_files import check_writable, naming, whole_file
from pointillist.files.formats import READABLE, format_of
from pointillist.files.number_rows import check_names
from pointillist.foreign_text import shown
from pointillist.lazy import pa
from pointillist.tables.table import is_numeric, kind_of
from pointillist.tables.text_formats import written

_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_TYPES = ("bool", *_INTEGERS, "float16", "float32", "float64", "str")


class TableWriter:
    """Writes rows as they come; the file appears once the block has ended without an error.

    The constructor checks that the file can be written, before there are any rows. Memory holds the rows of one
    `write` and, for `.parquet`, the 65,536 of a row group.

    Args:
        path: The file; its ending decides the format, and its folder is made if needed.
        names: Names of the d columns; None for their indices. A `.npy` file holds no names.
        types: Types of the d columns: NumPy's names ("int64", "uint8", "float32", "bool", …) or "str" for columns that
            are NumPy arrays, and Arrow types for columns that are Arrow arrays. A `.npy` file holds numbers alone, in
            the one type that holds them all. A `.csv` file holds the values of categories, and floats without a
            fractional part are written without a point, so that a column of only these reads back as integers.
        n_rows: Number of rows that will be written; None if it is not known, which a `.npy` file needs.
        forms: Formats of numbers, dates and times in a `.csv` file, by column; see `tables.text_formats`.

    Raises:
        ValueError: If the format or a type is unknown, if the format cannot hold the type, or if names are wrong.
        OSError: If the file cannot be written; the message is one line that starts with its name.
    """

    def __init__(
        self,
        path: str | Path,
        names: Sequence[str] | None,
        types: Sequence[Any],
        n_rows: int | None = None,
        forms: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._path = Path(path)
        self._format = format_of(self._path)
        self._types = tuple(types)
        self._names = tuple(str(column) for column in range(len(types))) if names is None else tuple(names)
        self._n_rows = n_rows
        self._n_written = 0
        self._check_columns()
        check_writable(self._path)
        self._forms = {} if self._format.has_types else forms
        if self._forms:
            named = zip(self._names, self._types, strict=True)
            self._types = tuple(pa.string() if name in self._forms else kind for name, kind in named)

    def _check_columns(self) -> None:
        if not self._types:
            raise ValueError(f"{self._path}: a table needs at least one column")
        if len(self._names) != len(self._types):
            raise ValueError(f"{self._path}: {len(self._names)} names do not fit {len(self._types)} columns")
        if self._n_rows is None and not self._format.holds_text:
            raise ValueError(f"{self._path}: the number of rows is not known before all are drawn: name a .csv file")
        check_names(self._path, self._names)
        for name, type_ in zip(self._names, self._types, strict=True):
            if isinstance(type_, str) and type_ not in _TYPES:
                raise ValueError(
                    f"{self._path}: column {shown(name)} cannot be of {type_}: types are {', '.join(_TYPES)}"
                )
            is_number = type_ != "str" if isinstance(type_, str) else is_numeric(type_)
            if not self._format.holds_text and not is_number:
                what = "text" if type_ == "str" or kind_of(type_) == "category" else f"of {type_}"
                raise ValueError(f"{self._path}: column {shown(name)} is {what}, which needs a .csv or .parquet file")

    @contextmanager
    def _opened(self) -> Iterator["TableWriter"]:
        types = self._types if self._format.holds_text else tuple(map(_numpy_name, self._types))
        with (
            naming(self._path),
            whole_file(self._path) as part,
            part.open("wb") as file,
            self._format.writing(self._path, file, self._names, types, self._n_rows or 0) as self._write,
        ):
            yield self
            if self._n_rows is not None and self._n_written < self._n_rows:
                raise ValueError(f"{self._path}: {self._n_written} rows were written of the {self._n_rows} promised")

    def __enter__(self) -> "TableWriter":
        self._context = self._opened()
        return self._context.__enter__()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._context.__exit__(None, None, None)
        else:
            # The error of the block is raised, not that its file cannot be closed properly.
            with suppress(Exception):
                self._context.__exit__(kind, error, trace)

    def write(self, columns: Sequence[Any]) -> None:
        """Adds rows.

        Args:
            columns: The d columns, each with m cells.

        Raises:
            ValueError: If the columns do not fit each other or their types, or if there are more rows than promised.
            OSError: If the rows cannot be written, for example because the disk is full.
        """
        if len(columns) != len(self._types) or len({len(column) for column in columns}) > 1:
            raise ValueError(f"{self._path}: {len(self._types)} columns of one length are needed")
        self._n_written += len(columns[0])
        if self._n_rows is not None and self._n_written > self._n_rows:
            raise ValueError(f"{self._path}: more rows were written than the {self._n_rows} promised")
        converted = [self._converted(*column) for column in zip(self._names, self._types, columns, strict=True)]
        with naming(self._path):
            self._write(converted)

    def _converted(self, name: str, type_: Any, values: Any) -> Any:
        if not isinstance(type_, str):
            if self._format.holds_text:
                return written(values, self._forms[name]) if name in self._forms else values
            type_, values = _numpy_name(type_), values.to_numpy()
        with np.errstate(invalid="ignore", over="ignore"):
            converted = np.asarray(values).astype(type_)
        if type_ in ("bool", *_INTEGERS) and not np.array_equal(converted, values):
            value = values[np.argmax(converted != values)]
            raise ValueError(f"{self._path}: column {shown(name)} is of {type_}, which cannot hold {value}")
        return converted


class FolderWriter:
    """Writes rows to Parquet files of a folder, `part-0.parquet` and so on, each written completely or not at all.

    Args:
        folder: The folder; it is made if needed, and must be empty.
        names: Names of the columns, as for `TableWriter`.
        types: Types of the columns, as for `TableWriter`.
        n_rows: Number of rows that will be written.
        rows_per_file: Number of rows of each file; the last one may have fewer.
    """

    def __init__(
        self, folder: Path, names: Sequence[str] | None, types: Sequence[Any], n_rows: int, rows_per_file: int
    ) -> None:
        if folder.name.endswith(READABLE):
            raise ValueError(f"{folder}: is the name of a file, but the rows go to a folder: leave the ending out")
        with naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ValueError(f"{folder}: holds files already: empty it, or name another folder")
        sizes = [min(rows_per_file, n_rows - first) for first in range(0, n_rows, rows_per_file)]
        digits = len(str(len(sizes) - 1))
        self._writers = iter(
            TableWriter(folder / f"part-{i:0{digits}}.parquet", names, types, size) for i, size in enumerate(sizes)
        )
        self._left, self._rows_per_file = 0, rows_per_file

    def __enter__(self) -> "FolderWriter":
        self._open = ExitStack()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.__exit__(kind, error, trace)

    def write(self, columns: Sequence[Any]) -> None:
        """Adds rows, given as columns of one length; see `TableWriter.write`."""
        first, n = 0, len(columns[0])
        while first < n:
            if not self._left:
                self._open.close()
                self._writer, self._left = self._open.enter_context(next(self._writers)), self._rows_per_file
            last = min(n, first + self._left)
            self._writer.write([column[first:last] for column in columns])
            self._left -= last - first
            first = last


def _numpy_name(kind: Any) -> str:
    """Returns NumPy's name of a type, which may be an Arrow type."""
    return kind if isinstance(kind, str) else np.dtype(kind.to_pandas_dtype()).name


def schema_of(names: Sequence[str], types: Sequence[Any], *, has_categories: bool = True) -> "pa.Schema":
    """Returns the schema of columns, from NumPy's names of their types, "str", or Arrow types."""

    def kind(type_: Any) -> "pa.DataType":
        if isinstance(type_, str):
            return pa.string() if type_ == "str" else pa.from_numpy_dtype(np.dtype(type_))
        if has_categories:
            return type_
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        # Arrow does not write views of text to CSV.
        return pa.large_string() if pa.types.is_string_view(plain) else plain

    return pa.schema(list(zip(names, map(kind, types), strict=True)))


def in_schema(columns: Sequence[Any], schema: "pa.Schema") -> "pa.Table":
    """Makes a table of a schema from NumPy or Arrow columns of one length."""
    cast = [
        pa.array(column, kind) if isinstance(column, np.ndarray) else column.cast(kind)
        for column, kind in zip(columns, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(cast, schema=schema)
