"""Writes tables to `.npy`, `.csv`, `.csv.gz` and `.parquet` files, row by row, and yet whole or not at all."""

import csv as text_csv
import gzip
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.atomic_files import check_place, naming, whole_file
from pointillist.files.endings import ending_of
from pointillist.tables.number_table import check_distinct, shown
from pointillist.tables.table import kind_of
from pointillist.tables.time_formats import written

if TYPE_CHECKING:
    import pyarrow as pa

_INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_TYPES = ("bool", *_INTEGERS, "float16", "float32", "float64", "str")
_ROW_GROUP = 2**16


class TableWriter:
    """Writes rows as they come; the whole file appears when the block ends without an error, else none does.

    The writer checks that the file can be written as soon as it is made, before there are any rows. Memory holds
    no more than the rows of one `write` and, for `.parquet`, the 65,536 of a row group.

    Args:
        path: The file; its ending decides the format, and its folder is made if needed.
        names: Names of the d columns; None for their numbers. A `.npy` file holds no names.
        types: Types of the d columns: NumPy's names ("int64", "uint8", "float32", "bool", …) or "str" for columns that
            are NumPy arrays, and Arrow's types for columns that are Arrow arrays. A `.npy` file holds numbers alone and
            has the one type that holds them all; in `.csv`, categories become what they stand for. Floats without a
            fractional part are written to `.csv` without a point, so that a column of nothing else reads back as
            integers.
        n_rows: Number of rows that will be written.
        forms: `strftime` formats of dates and times in a `.csv` file, by column.

    Raises:
        ValueError: If there is no such format or type, if the format cannot hold the type, or if names are wrong.
        OSError: If the file cannot be written; the message is one line that starts with its name.
    """

    def __init__(
        self,
        path: str | Path,
        names: Sequence[str] | None,
        types: Sequence[Any],
        n_rows: int,
        forms: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._path = Path(path)
        self._ending = ending_of(self._path)
        self._types = tuple(types)
        self._names = tuple(str(column) for column in range(len(types))) if names is None else tuple(names)
        self._n_rows = n_rows
        self._written = 0
        self._check_columns()
        check_place(self._path)
        self._forms = forms if self._ending.startswith(".csv") else {}
        if self._forms:
            import pyarrow as pa

            named = zip(self._names, self._types, strict=True)
            self._types = tuple(pa.string() if name in self._forms else kind for name, kind in named)

    def _check_columns(self) -> None:
        if not self._types:
            raise ValueError(f"{self._path}: a table needs at least one column")
        if len(self._names) != len(self._types):
            raise ValueError(f"{self._path}: {len(self._names)} names do not fit {len(self._types)} columns")
        check_distinct(self._names, self._path)
        for name, type_ in zip(self._names, self._types, strict=True):
            if not isinstance(type_, str):
                if self._ending == ".npy" and not _is_of_numbers(type_):
                    raise ValueError(f"{self._path}: an .npy file holds numbers alone: give a .csv or .parquet file")
                continue
            if type_ not in _TYPES:
                raise ValueError(
                    f"{self._path}: column {shown(name)} cannot be of {type_}: types are {', '.join(_TYPES)}"
                )
            if type_ == "str" and self._ending == ".npy":
                raise ValueError(f"{self._path}: column {shown(name)} is text, which needs a .csv or .parquet file")

    def __enter__(self) -> "TableWriter":
        with naming(self._path), ExitStack() as stack:
            part = stack.enter_context(whole_file(self._path))
            file = stack.enter_context(part.open("wb"))
            sinks: dict[str, Callable[..., _Sink]] = {
                ".npy": _NpySink,
                ".csv": _CsvSink,
                ".csv.gz": _GzipSink,
                ".parquet": _ParquetSink,
            }
            self._sink = sinks[self._ending](file, self._names, self._types, self._n_rows)
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        with naming(self._path):
            self._stack.__exit__(*raised)

    def _finish(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None and self._written == self._n_rows:
            self._sink.close()
            return
        # The first error counts, not that a file given up on has no proper end.
        with suppress(Exception):
            self._sink.close()
        if error is None:
            raise ValueError(f"{self._path}: {self._written} rows were written of the {self._n_rows} promised")

    def write(self, columns: Sequence[Any]) -> None:
        """Adds rows.

        Args:
            columns: The d columns, each of m cells.

        Raises:
            ValueError: If the columns do not fit each other or their types, or if there are more rows than promised.
            OSError: If the rows cannot be written, as when the disk is full.
        """
        if len(columns) != len(self._types) or len({len(column) for column in columns}) > 1:
            raise ValueError(f"{self._path}: {len(self._types)} columns of one length are needed")
        self._written += len(columns[0])
        if self._written > self._n_rows:
            raise ValueError(f"{self._path}: more rows were written than the {self._n_rows} promised")
        converted = [self._converted(*column) for column in zip(self._names, self._types, columns, strict=True)]
        with naming(self._path):
            self._sink.write(converted)

    def _converted(self, name: str, type_: Any, values: Any) -> Any:
        if not isinstance(type_, str):
            if self._ending != ".npy":
                return written(values, self._forms[name]) if name in self._forms else values
            type_, values = _numpy_name(type_), values.to_numpy()
        with np.errstate(invalid="ignore", over="ignore"):
            converted = np.asarray(values).astype(type_)
        if type_ in ("bool", *_INTEGERS) and not np.array_equal(converted, values):
            value = values[np.argmax(converted != values)]
            raise ValueError(f"{self._path}: column {shown(name)} is of {type_}, which cannot hold {value}")
        return converted


class _Sink(ABC):
    """A file of one format that is being written; whoever opened it closes it."""

    @abstractmethod
    def write(self, columns: Sequence[Any]) -> None:
        """Adds rows, given as columns of the right types, each of m cells."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is held back."""


class _NpySink(_Sink):
    def __init__(self, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n_rows: int) -> None:
        self._file = file
        self._dtype = np.result_type(*(type_ if isinstance(type_, str) else _numpy_name(type_) for type_ in types))
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (n_rows, len(types)),
        }
        np.lib.format.write_array_header_1_0(file, header)

    def write(self, columns: Sequence[Any]) -> None:
        self._file.write(np.stack(columns, axis=1, dtype=self._dtype).data)

    def close(self) -> None:
        pass


class _CsvSink(_Sink):
    def __init__(self, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n_rows: int) -> None:
        from pyarrow import csv

        header = io.StringIO()
        # Arrow would put all names in quotes.
        text_csv.writer(header, lineterminator="\n").writerow(names)
        file.write(header.getvalue().encode())
        self._schema, self._file = _schema(names, types, has_categories=False), file
        self._writer = csv.CSVWriter(file, self._schema, write_options=csv.WriteOptions(include_header=False))

    def write(self, columns: Sequence[Any]) -> None:
        batch = _batch(columns, self._schema)
        if batch.num_columns > 1 or not batch.column(0).null_count:
            self._writer.write_batch(batch)
            return
        # Of one column, a missing cell would be an empty line, which is no row at all.
        is_text = kind_of(self._schema.types[0]) == "category"
        cells = batch.column(0).cast("string").to_pylist()
        lines = ("NA" if cell is None else _quoted(cell) if is_text else cell for cell in cells)
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        self._writer.close()


class _GzipSink(_Sink):
    def __init__(self, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n_rows: int) -> None:
        # Neither a name nor a time, so that the same rows give the same bytes.
        self._file = gzip.GzipFile("", "wb", 6, file, mtime=0)
        self._csv = _CsvSink(self._file, names, types, n_rows)

    def write(self, columns: Sequence[Any]) -> None:
        self._csv.write(columns)

    def close(self) -> None:
        self._csv.close()
        self._file.close()


class _ParquetSink(_Sink):
    def __init__(self, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n_rows: int) -> None:
        from pyarrow import parquet

        self._schema = _schema(names, types, has_categories=True)
        self._writer = parquet.ParquetWriter(file, self._schema)
        self._held: list[pa.RecordBatch] = []

    def write(self, columns: Sequence[Any]) -> None:
        self._held.append(_batch(columns, self._schema))
        # Small row groups are slow to read.
        if sum(batch.num_rows for batch in self._held) >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        batches, self._held = self._held, []
        self._writer.write_table(pa.Table.from_batches(batches, self._schema))


def _is_of_numbers(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _numpy_name(kind: "pa.DataType") -> str:
    return np.dtype(kind.to_pandas_dtype()).name


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _schema(names: Sequence[str], types: Sequence[Any], *, has_categories: bool) -> "pa.Schema":
    import pyarrow as pa

    def kind(type_: Any) -> "pa.DataType":
        if isinstance(type_, str):
            return pa.string() if type_ == "str" else pa.from_numpy_dtype(np.dtype(type_))
        if has_categories:
            return type_
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        # Arrow writes no views of text to CSV.
        return pa.large_string() if pa.types.is_string_view(plain) else plain

    return pa.schema(list(zip(names, map(kind, types), strict=True)))


def _batch(columns: Sequence[Any], schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    def array(column: Any, kind: "pa.DataType") -> "pa.Array":
        if isinstance(column, np.ndarray):
            return pa.array(column, kind)
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        return whole.cast(kind)

    arrays = [array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.record_batch(arrays, schema=schema)
