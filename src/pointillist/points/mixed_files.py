"""Reads tables of mixed columns from `.csv`, `.csv.gz` and `.parquet` files, and writes them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.files import check_place, check_regular, naming, whole_file
from pointillist.points.columns import check_distinct, check_enough, listed, shown
from pointillist.points.csv_files import CsvFile
from pointillist.points.limits import check_parquet
from pointillist.points.mixed import MixedTable, kind_of
from pointillist.points.tables import ending_of
from pointillist.points.texts import TYPES, typed
from pointillist.points.writing import TableWriter

if TYPE_CHECKING:
    import pyarrow as pa


def read_mixed(
    path: Path,
    label: str | None = None,
    *,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    min_rows: int = 2,
) -> MixedTable:
    """Reads a table whose columns may be of any kind, with missing cells, into memory.

    `pointillist.points.texts` has the rules for what the texts of a `.csv` file stand for.

    Args:
        path: A `.csv`, `.csv.gz` or `.parquet` file.
        label: Name of the column that holds labels.
        drop: Names of columns to leave out.
        types: Maps names of columns to "text", "integer", "number" or "date", where a column is not what it looks like.
        min_rows: Fewest rows that the file must have.

    Raises:
        ValueError: If the file cannot be read as such a table; the message is one line.
        OSError: If it cannot be opened.
    """
    ending, types = ending_of(path), dict(types or {})
    if ending == ".npy":
        raise ValueError(f"{path}: an .npy file holds numbers alone: give a .csv or .parquet file")
    for name, kind in types.items():
        if kind not in TYPES:
            raise ValueError(f"column {shown(name)} cannot be read as {kind!r}: types are {', '.join(TYPES)}")
    if label is not None and label in drop:
        raise ValueError(f"{path}: the label column {shown(label)} cannot be dropped too")
    check_regular(path)
    asked = [*drop, *types, *([] if label is None else [label])]
    with naming(path):
        table = (_parquet if ending == ".parquet" else _csv)(path, asked, drop, types, label)
    check_enough(table.num_rows, path, min_rows)
    for field in table.schema:
        if not kind_of(field.type):
            raise ValueError(
                f"{path}: column {shown(field.name)} holds {field.type}, which is not a number, category or date: "
                "drop it"
            )
    return MixedTable(table, label)


def _check_columns(names: Sequence[str], asked: Sequence[str], drop: Sequence[str], path: Path) -> None:
    check_distinct(names, path)
    for name in asked:
        if name not in names:
            raise ValueError(f"{path}: there is no column {shown(name)}; the columns are {listed(names)}")
    if not {*names} - {*drop}:
        raise ValueError(f"{path}: has no column left")


def _csv(
    path: Path, asked: Sequence[str], drop: Sequence[str], types: Mapping[str, str], label: str | None
) -> "pa.Table":
    import pyarrow as pa

    file = CsvFile(path)
    _check_columns(file.names, asked, drop, path)
    kept = [place for place, name in enumerate(file.names) if name not in drop]
    batches = [batch.select(kept) for batch in file.batches()]
    texts = [pa.chunked_array([batch.column(i) for batch in batches], pa.string()) for i in range(len(kept))]
    del batches
    columns = {}
    for place in kept:
        name = file.names[place]
        try:
            # What was read of a column goes before the next one is converted.
            columns[name] = typed(name, texts.pop(0), types.get(name), is_label=name == label)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return pa.table(columns)


def _parquet(
    path: Path, asked: Sequence[str], drop: Sequence[str], types: Mapping[str, str], label: str | None
) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_columns(names, asked, drop, path)
            check_parquet(path, file.metadata)
            table = file.read([name for name in names if name not in drop])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not a whole Parquet file ({shown(' '.join(str(error).split()))})") from error
    for name, kind in types.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, _as_type(path, name, table.column(place), kind))
    return table


def _as_type(path: Path, name: str, column: Any, kind: str) -> Any:
    import pyarrow as pa

    try:
        if kind == "integer":
            return column.cast(pa.int64())
        if kind == "number":
            return column.cast(pa.float64())
        text = column.cast(pa.string())
        return text if kind == "text" else typed(name, text, kind)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: column {shown(name)} cannot be read as {kind}: {shown(str(error))}") from error


class MixedWriter:
    """Writes Arrow tables as they come; the whole file appears when the block ends without an error, else none does.

    Args:
        path: The file; a `.npy` file holds numbers alone.
        schema: Schema of the tables.
        n_rows: Number of rows that will be written, which a `.npy` file begins with.

    Raises:
        ValueError: If the format cannot hold the schema.
        OSError: If the file cannot be written.
    """

    def __init__(self, path: Path, schema: "pa.Schema", n_rows: int) -> None:
        self._path, self._ending, self._n_rows = path, ending_of(path), n_rows
        if self._ending == ".npy" and not all(_is_of_numbers(field.type) for field in schema):
            raise ValueError(f"{path}: an .npy file holds numbers alone: give a .csv or .parquet file")
        self.names: list[str] = schema.names
        check_distinct(self.names, path)
        self._schema = schema if self._ending == ".parquet" else _as_text(schema)
        check_place(path)

    def __enter__(self) -> "MixedWriter":
        import pyarrow as pa
        from pyarrow import csv, parquet

        with naming(self._path), ExitStack() as stack:
            writer: Any
            if self._ending == ".npy":
                self._writer = stack.enter_context(_Npy(self._path, self._schema, self._n_rows))
                self._stack = stack.pop_all()
                return self
            part = stack.enter_context(whole_file(self._path))
            if self._ending == ".parquet":
                writer = parquet.ParquetWriter(part, self._schema)
            else:
                compression = "gzip" if self._ending == ".csv.gz" else None
                sink = stack.enter_context(pa.output_stream(str(part), compression=compression))
                if len(self._schema) == 1:
                    writer = _OneColumn(sink, self._schema)
                else:
                    options = csv.WriteOptions(quoting_style="needed")
                    writer = csv.CSVWriter(sink, self._schema, write_options=options)
            self._writer = stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        with naming(self._path):
            self._stack.__exit__(*raised)

    def write(self, table: "pa.Table") -> None:
        """Adds rows."""
        self._writer.write_table(table.cast(self._schema))


class _Npy(AbstractContextManager):
    """Writes numbers; a missing cell is NaN, and makes its column one of floats."""

    def __init__(self, path: Path, schema: "pa.Schema", n_rows: int) -> None:
        types = [np.dtype(field.type.to_pandas_dtype()).name for field in schema]
        self._writer = TableWriter(path, None, types, n_rows)

    def __enter__(self) -> "_Npy":
        self._writer.__enter__()
        return self

    def write_table(self, table: "pa.Table") -> None:
        """Adds rows."""
        self._writer.write([column.to_numpy() for column in table.columns])

    def __exit__(self, *raised: Any) -> None:
        self._writer.__exit__(*raised)


class _OneColumn(AbstractContextManager):
    """Writes a CSV file of one column, with NA for a missing cell: an empty line would be no row at all."""

    def __init__(self, sink: Any, schema: "pa.Schema") -> None:
        self._sink = sink
        sink.write(f"{_quoted(schema.names[0])}\n".encode())

    def write_table(self, table: "pa.Table") -> None:
        """Adds rows."""
        import pyarrow as pa

        column = table.column(0)
        cells = column.cast(pa.string()).to_pylist()
        quote = _quoted if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else str
        self._sink.write("".join(f"{'NA' if cell is None else quote(cell)}\n" for cell in cells).encode())

    def __exit__(self, *_: object) -> None:
        """Leaves the sink to whoever opened it."""


def _is_of_numbers(kind: "pa.DataType") -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _as_text(schema: "pa.Schema") -> "pa.Schema":
    """Replaces types that CSV cannot hold: categories become what they stand for."""
    import pyarrow as pa

    fields = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in schema]
    return pa.schema(fields)
