"""Reads tables from `.parquet` files, rows of numbers batch by batch, and writes them."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pointillist.atomic_files import check_regular
from pointillist.files.arrow_columns import batch_of, schema_of
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import Asked, Format, Sink
from pointillist.files.limits import check_expansion
from pointillist.files.number_rows import NotNumbers, NumberRows, check_enough, check_names
from pointillist.files.texts import typed
from pointillist.foreign_text import shown
from pointillist.tables.numbers import Numbers
from pointillist.tables.table import Table, is_numeric, kind_of, refusal

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_BATCH_VALUES = 2**20
_ROW_GROUP = 2**16


class _ParquetSink(Sink):
    def __init__(self, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any]) -> None:
        from pyarrow import parquet

        self._schema = schema_of(names, types)
        self._writer = parquet.ParquetWriter(file, self._schema)
        self._held: list[pa.RecordBatch] = []

    def write(self, columns: Sequence[Any]) -> None:
        self._held.append(batch_of(columns, self._schema))
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


class ParquetFormat(Format):
    """Columns of Arrow's types."""

    def names(self, path: Path, form: CsvForm) -> list[str]:
        """Names of the columns of a file; none of one that cannot be read."""
        import pyarrow as pa
        from pyarrow import parquet

        check_regular(path)
        try:
            return list(parquet.read_schema(path).names)
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            # Whoever reads the rows says why.
            return []

    def read(self, path: Path, asked: Asked) -> Table:
        """Reads rows of numbers if all columns hold them, and otherwise columns of any kind; see `read_table`."""
        import pyarrow as pa
        from pyarrow import parquet

        try:
            metadata = parquet.read_metadata(path)
            schema = metadata.schema.to_arrow_schema()
            # A text that a file holds once may stand in all of its rows: it is counted before it is repeated. Without
            # the buffer, a whole row group, which may be the whole file, would be read at once.
            texts = [field.name for field in schema if _is_text(field.type)]
            file = parquet.ParquetFile(
                path, metadata=metadata, read_dictionary=texts, buffer_size=2**18, pre_buffer=False
            )
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(error, path) from error
        with file:
            cells = 8 * metadata.num_rows * metadata.num_columns
            pages = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
            _check_unpacked(path, max(cells, pages))
            unnamed = [] if asked.kind == "numbers" else _unnamed_index(schema.names, asked)
            if asked.tries_numbers and not unnamed:
                try:
                    return Table(_numbers(path, file, schema, asked))
                except NotNumbers:
                    if asked.kind == "numbers":
                        raise
            check_names(path, schema.names, asked.names)
            kept = [name for name in schema.names if name not in (*asked.drop, *unnamed)]
            if not kept:
                raise ValueError(f"{path}: has no column left")
            try:
                table = file.read(kept)
                table = _with_texts(path, table, schema, [name for name in texts if name in kept])
            except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
                raise _unreadable(error, path) from error
        check_enough(table.num_rows, path, asked.min_rows)
        return Table(_of_known_kinds(path, table, asked.types), asked.label)

    def sink(self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int) -> Sink:
        """Begins a file; memory holds no more than the rows of a row group."""
        return _ParquetSink(file, names, types)


FORMAT = ParquetFormat()


def _unnamed_index(names: Sequence[str], asked: Asked) -> list[str]:
    """Names of columns that are no columns, but an index of pandas that has no name."""
    found = [name for name in names if re.fullmatch(r"__index_level_\d+__", name)]
    return [] if len(found) == len(names) else [name for name in found if name not in (asked.label, *asked.types)]


def _check_unpacked(path: Path, size: int) -> None:
    check_expansion(path, size, path.stat().st_size, "write it as CSV first if it is one")


def _numbers(path: Path, file: "parquet.ParquetFile", schema: "pa.Schema", asked: Asked) -> Numbers:
    gathered = NumberRows(path, schema.names, asked.label)
    label, types = gathered.label, []
    for position in gathered.kept:
        kind = schema.types[position]
        if not is_numeric(kind):
            raise NotNumbers(
                gathered.error(
                    f"column {shown(schema.names[position])} holds {kind}, not numbers; drop or encode the column first"
                )
            )
        types.append(np.dtype(kind.to_pandas_dtype()).name)
    label_type = None if label is None else _label_type(gathered, label, schema.types[label])
    for batch in _batches(path, file, len(schema.names)):
        block = np.empty((batch.num_rows, len(types)))
        for place, position in enumerate(gathered.kept):
            block[:, place] = _floats(gathered, position, batch.column(position))
        labels = None if label is None else _cast(gathered, label, batch.column(label), label_type)
        gathered.append(block, partial(_missing, gathered), labels)
    check_enough(gathered.n, path, asked.min_rows)
    return gathered.numbers(types)


def _label_type(gathered: NumberRows, position: int, kind: "pa.DataType") -> "pa.DataType":
    """The type, one of four, that labels of type `kind` are cast to."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    found = {"truth": kind, "whole": pa.int64(), "number": pa.float64(), "category": pa.string()}.get(kind_of(kind))
    if found is None:
        raise gathered.error(
            f"the label column {shown(gathered.names[position])} holds {kind}; labels must be numbers, booleans or text"
        )
    return found


def _floats(gathered: NumberRows, position: int, values: "pa.Array") -> Float[np.ndarray, " m"]:
    """The values of a column of numbers; NaN where they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(values.type):
        gathered.check_size(values.drop_null().to_numpy(), position)
    return pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _cast(gathered: NumberRows, position: int, values: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        reason = shown(str(error))
        raise gathered.error(f"the label column {shown(gathered.names[position])} is not {kind}: {reason}") from error


def _missing(gathered: NumberRows, row: int, place: int) -> ValueError:
    return NotNumbers(gathered.bad_value("has a missing value", row, gathered.kept[place]))


def _batches(path: Path, file: "parquet.ParquetFile", width: int) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    try:
        yield from file.iter_batches(max(1, _BATCH_VALUES // width))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(error, path) from error


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary
    return any(test(kind) for test in tests)


def _with_texts(path: Path, table: "pa.Table", schema: "pa.Schema", texts: Sequence[str]) -> "pa.Table":
    """The table with its columns of text, which were read as dictionaries, written out, if they are not too long."""
    import pyarrow as pa

    _check_unpacked(path, sum(_size(table[name]) for name in texts))
    for name in texts:
        column = table[name]
        # Not every type of text can be made of a dictionary in one step.
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        table = table.set_column(table.column_names.index(name), name, plain.cast(schema.field(name).type))
    return table


def _size(texts: "pa.ChunkedArray") -> int:
    """Number of bytes of a column of texts, which may be read as a dictionary, once all are written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(texts.type):
        return int(texts.nbytes)
    size = 0
    for chunk in texts.chunks:
        size += pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
    return size


def _of_known_kinds(path: Path, table: "pa.Table", types: Mapping[str, str]) -> "pa.Table":
    """The table with its columns in the types that are asked for.

    Raises:
        ValueError: If a column cannot be read so, or holds neither numbers, categories nor dates.
    """
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        column = table.column(place)
        if field.name in types:
            column = _as_type(path, field.name, column, types[field.name])
        if pa.types.is_null(column.type):
            # Without a cell, it may be anything.
            column = column.cast(pa.string())
        if not kind_of(column.type):
            raise ValueError(f"{path}: column {shown(field.name)} {refusal(column.type)}")
        if column.type != field.type:
            table = table.set_column(place, field.name, column)
    return table


def _as_type(path: Path, name: str, column: Any, kind: str) -> Any:
    import pyarrow as pa

    try:
        if kind_of(column.type) != "category":
            if kind == "integer":
                return column.cast(pa.int64())
            if kind == "number":
                return column.cast(pa.float64())
        text = column.cast(pa.string())
        return text if kind == "text" else typed(name, text, kind)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: column {shown(name)} cannot be read as {kind}: {shown(str(error))}") from error


def _unreadable(error: Exception, path: Path) -> ValueError:
    return ValueError(f"{path}: is not a whole .parquet file (truncated, or of another format): {shown(str(error))}")
