"""Reads tables from `.parquet` files, rows of numbers batch by batch, and writes them."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.atomic_files import check_regular
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import Asked, Format, Write, check_expansion
from pointillist.files.number_rows import NotNumbers, NumberRows, check_enough, read_columns
from pointillist.files.texts import typed
from pointillist.files.writing import in_schema, schema_of
from pointillist.foreign_text import shown
from pointillist.lazy import pa, pc
from pointillist.tables.numbers import Numbers
from pointillist.tables.table import Table, is_numeric, kind_of, refusal

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
            tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary
            texts = [field.name for field in schema if any(test(field.type) for test in tests)]
            # Without a buffer, a whole row group, which may be the whole file, would be read at once.
            options = {"read_dictionary": texts, "buffer_size": 2**18, "pre_buffer": False}
            file = parquet.ParquetFile(path, metadata=metadata, **options)
        with file:
            cells = 8 * metadata.num_rows * metadata.num_columns
            pages = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
            _check_unpacked(path, max(cells, pages))
            asked = _without_index(schema.names, asked)

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


@contextmanager
def reading(path: Path, ending: str) -> Iterator[None]:
    """Makes errors of Arrow's about a file clear, in one line."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: is not a whole {ending} file (truncated, or of another format): {shown(str(error))}"
        ) from error


def _without_index(names: Sequence[str], asked: Asked) -> Asked:
    """What is asked of a file, without the index of a pandas frame that has no name, which is no column."""
    found = [name for name in names if re.fullmatch(r"__index_level_\d+__", name)]
    if asked.kind == "numbers" or len(found) == len(names):
        return asked
    unasked = [name for name in found if name not in (asked.label, *asked.types)]
    return replace(asked, drop=(*asked.drop, *unasked))


def numbers_of(path: Path, schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]", asked: Asked) -> Numbers:
    """Rows of numbers from batches of Arrow columns; raises `NotNumbers` if float64 cannot hold all their cells."""
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
    for batch in batches:
        block = np.empty((batch.num_rows, len(types)))
        for i, position in enumerate(gathered.kept):
            values = batch.column(position)
            if pa.types.is_integer(values.type):
                gathered.check_size(values.drop_null().to_numpy(), position)
            block[:, i] = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        gathered.append(block, None if label is None else _labels(gathered, label, batch.column(label)))
    check_enough(gathered.n, path, asked.min_rows)
    return gathered.numbers(types)


def _labels(gathered: NumberRows, position: int, values: "pa.Array") -> "pa.Array":
    """Labels as integers of 64 bits, float64, booleans or text."""
    values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    known = {"truth": pa.bool_(), "whole": pa.int64(), "number": pa.float64(), "category": pa.string()}
    kind, name = known.get(kind_of(values.type)), f"the label column {shown(gathered.names[position])}"
    if kind is None:
        raise gathered.error(f"{name} holds {values.type}; labels must be numbers, booleans or text")
    try:
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        raise gathered.error(f"{name} is not {kind}: {shown(str(error))}") from error


def in_types(path: Path, table: "pa.Table", types: Mapping[str, str]) -> "pa.Table":
    """The table with columns of the declared types; raises a ValueError about a column that no model can learn."""
    for i, field in enumerate(table.schema):
        column = table.column(i)
        if field.name in types:
            column = _as_type(path, field.name, column, types[field.name])
        if pa.types.is_null(column.type):
            # Without a cell, it may be anything.
            column = column.cast(pa.string())
        if not kind_of(column.type):
            raise ValueError(f"{path}: column {shown(field.name)} {refusal(column.type)}")
        if column.type != field.type:
            table = table.set_column(i, field.name, column)
    return table


def _as_type(path: Path, name: str, column: Any, kind: str) -> Any:
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


def _check_unpacked(path: Path, size: int) -> None:
    check_expansion(path, size, path.stat().st_size, "write it as CSV first if it is one")


def _batches(path: Path, file: "parquet.ParquetFile", width: int) -> "Iterator[pa.RecordBatch]":
    with reading(path, ".parquet"):
        yield from file.iter_batches(_BATCH_VALUES // width or 1)


def _with_texts(path: Path, table: "pa.Table", schema: "pa.Schema", texts: Sequence[str]) -> "pa.Table":
    """The table with its columns of text, which were read as dictionaries, written out, if they are not too long."""
    size = 0
    for name in texts:
        for chunk in table[name].chunks:
            is_packed = pa.types.is_dictionary(chunk.type)
            lengths = pc.binary_length(chunk.dictionary).take(chunk.indices) if is_packed else pc.binary_length(chunk)
            size += pc.sum(lengths).as_py() or 0
    _check_unpacked(path, size)
    for name in texts:
        column = table[name]
        # Not every type of text can be made of a dictionary in one step.
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        table = table.set_column(table.column_names.index(name), name, plain.cast(schema.field(name).type))
    return table
