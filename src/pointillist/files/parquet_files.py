"""Reads tables from `.parquet` files, rows of numbers batch by batch, and writes them."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointillist.atomic_files import check_regular
from pointillist.files.arrow_columns import (
    in_schema,
    in_types,
    numbers_of,
    read_columns,
    reading,
    schema_of,
    without_index,
)
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import Asked, Format, Write, check_expansion
from pointillist.lazy import pa, pc
from pointillist.tables.table import Table

if TYPE_CHECKING:
    from pyarrow import parquet

_BATCH_VALUES = 2**20
_ROW_GROUP = 2**16


class ParquetFormat(Format):
    """Columns of Arrow's types."""

    def names(self, path: Path, form: CsvForm) -> list[str]:
        """Names of the columns of a file; none of one that cannot be read."""
        from pyarrow import parquet

        check_regular(path)
        try:
            with reading(path, ".parquet"):
                return list(parquet.read_schema(path).names)
        except ValueError:
            # Whoever reads the rows says why.
            return []

    def read(self, path: Path, asked: Asked) -> Table:
        """Reads rows of numbers if all columns hold them, and otherwise columns of any kind; see `read_table`."""
        from pyarrow import parquet

        with reading(path, ".parquet"):
            metadata = parquet.read_metadata(path)
            schema = metadata.schema.to_arrow_schema()
            # A text that a file holds once may stand in all of its rows: it is counted before it is repeated.
            texts = [field.name for field in schema if _is_text(field.type)]
            # Without a buffer, a whole row group, which may be the whole file, would be read at once.
            options = {"read_dictionary": texts, "buffer_size": 2**18, "pre_buffer": False}
            file = parquet.ParquetFile(path, metadata=metadata, **options)
        with file:
            cells = 8 * metadata.num_rows * metadata.num_columns
            pages = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
            _check_unpacked(path, max(cells, pages))
            asked = without_index(schema.names, asked)

            def columns(kept: list[str]) -> "pa.Table":
                with reading(path, ".parquet"):
                    table = file.read(kept)
                    table = _with_texts(path, table, schema, [name for name in texts if name in kept])
                return in_types(path, table, asked.types)

            numbers = partial(numbers_of, path, schema, _batches(path, file, len(schema.names)), asked)
            return read_columns(path, schema.names, asked, numbers, columns)

    @contextmanager
    def writing(
        self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int
    ) -> Iterator[Write]:
        """Begins a file; memory holds no more than the rows of a row group, as small ones are slow to read."""
        from pyarrow import parquet

        schema = schema_of(names, types)
        held = [schema.empty_table()]
        with parquet.ParquetWriter(file, schema) as writer:

            def write(columns: Sequence[Any]) -> None:
                held.append(in_schema(columns, schema))
                if sum(map(len, held)) >= _ROW_GROUP:
                    writer.write_table(pa.concat_tables(held))
                    held.clear()

            yield write
            writer.write_table(pa.concat_tables([schema.empty_table(), *held]))


FORMAT = ParquetFormat()


def _check_unpacked(path: Path, size: int) -> None:
    check_expansion(path, size, path.stat().st_size, "write it as CSV first if it is one")


def _batches(path: Path, file: "parquet.ParquetFile", width: int) -> "Iterator[pa.RecordBatch]":
    with reading(path, ".parquet"):
        yield from file.iter_batches(_BATCH_VALUES // width or 1)


def _is_text(kind: "pa.DataType") -> bool:
    tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary
    return any(test(kind) for test in tests)


def _with_texts(path: Path, table: "pa.Table", schema: "pa.Schema", texts: Sequence[str]) -> "pa.Table":
    """The table with its columns of text, which were read as dictionaries, written out, if they are not too long."""
    _check_unpacked(path, sum(_size(table[name]) for name in texts))
    for name in texts:
        column = table[name]
        # Not every type of text can be made of a dictionary in one step.
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        table = table.set_column(table.column_names.index(name), name, plain.cast(schema.field(name).type))
    return table


def _size(texts: "pa.ChunkedArray") -> int:
    """Number of bytes of a column of texts, which may be read as a dictionary, once all are written out."""
    if not pa.types.is_dictionary(texts.type):
        return int(texts.nbytes)
    size = 0
    for chunk in texts.chunks:
        size += pc.sum(pc.binary_length(chunk.dictionary).take(chunk.indices)).as_py() or 0
    return size
