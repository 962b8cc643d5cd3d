"""Reads tables from `.parquet` files, rows of numbers batch by batch, and writes them."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pointillist.atomic_files import check_regular
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import Format, ReadOptions, Write, check_expansion, parts_of
from pointillist.files.number_rows import NotNumbers, NumberRows, check_enough, read_columns
from pointillist.files.texts import typed
from pointillist.files.writing import in_schema, schema_of
from pointillist.foreign_text import shown
from pointillist.lazy import pa, parquet, pc
from pointillist.tables.numbers import Numbers
from pointillist.tables.row_sampling import sample_rows
from pointillist.tables.table import Table, is_numeric, kind_of, refusal

_BATCH_VALUES = 2**20
_ROW_GROUP = 2**16

_SMALLER = "write it as CSV first if it is one"


class ParquetFormat(Format):
    """Columns of Arrow types."""

    def names(self, path: Path, form: CsvForm) -> list[str]:
        first = parts_of(path)[0]
        check_regular(first)
        try:
            with reading(first, ".parquet"):
                return list(parquet.read_schema(first).names)
        except ValueError:
            # Reading the rows raises the error.
            return []

    def read(self, path: Path, options: ReadOptions) -> Table:
        parts = [_Part(part) for part in parts_of(path)]
        schema = parts[0].schema
        for part in parts:
            if part.schema != schema:
                raise ValueError(f"{part.path}: has other columns or types than {parts[0].path}")
        options = _without_index(schema.names, options)

        def columns(kept: list[str]) -> "pa.Table":
            rows = (batch for part in parts for batch in part.batches(kept, has_dictionaries=True))
            read = sample_rows(rows, path, options.limit) or schema.empty_table().select(kept)
            return in_types(path, _with_texts(path, read, schema), options.types)

        batches = (batch for part in parts for batch in part.batches(schema.names))
        return read_columns(path, schema.names, options, partial(numbers_of, path, schema, batches, options), columns)

    @contextmanager
    def writing(
        self, path: Path, file: io.BufferedIOBase, names: Sequence[str], types: Sequence[Any], n: int
    ) -> Iterator[Write]:
        """Starts a file; rows are held until they fill a row group, because small row groups are slow to read."""
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
    """Turns Arrow's errors about a file into one clear line."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: is not a whole {ending} file (truncated, or of another format): {shown(str(error))}"
        ) from error


class _Part:
    """A file of the table, opened for each reading, because a folder may hold more files than can be open at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path, ".parquet"):
            self._metadata = parquet.read_metadata(path)
            self.schema = self._metadata.schema.to_arrow_schema()
        groups = (self._metadata.row_group(i).total_byte_size for i in range(self._metadata.num_row_groups))
        check_expansion(path, max(8 * self._metadata.num_rows * self._metadata.num_columns, sum(groups)), _SMALLER)

    def batches(self, names: Sequence[str], *, has_dictionaries: bool = False) -> "Iterator[pa.RecordBatch]":
        """Yields the rows of some columns; with `has_dictionaries`, texts as dictionaries.

        A small file may repeat a long text in every row, so texts are measured before they are decoded.
        """
        texts = [name for name in _texts(self.schema) if has_dictionaries and name in names]
        with reading(self.path, ".parquet"):
            # Without a buffer, a whole row group, perhaps the whole file, would be read at once.
            file = parquet.ParquetFile(
                self.path, metadata=self._metadata, read_dictionary=texts, buffer_size=2**18, pre_buffer=False
            )
            with file:
                yield from file.iter_batches(_BATCH_VALUES // len(self.schema) or 1, columns=list(names))


def _texts(schema: "pa.Schema") -> list[str]:
    tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary
    return [field.name for field in schema if any(test(field.type) for test in tests)]


def _without_index(names: Sequence[str], options: ReadOptions) -> ReadOptions:
    """Drops the unnamed index of a pandas frame, which is not a column."""
    found = [name for name in names if re.fullmatch(r"__index_level_\d+__", name)]
    if options.kind == "numbers" or len(found) == len(names):
        return options
    dropped = [name for name in found if name not in (options.label, *options.types)]
    return replace(options, drop=(*options.drop, *dropped))


def numbers_of(path: Path, schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]", options: ReadOptions) -> Numbers:
    """Gathers rows of numbers from batches; raises `NotNumbers` if float64 cannot hold all their cells."""
    gathered = NumberRows(path, schema.names, options.label)
    label, types = gathered.label, []
    for column in gathered.kept:
        kind = schema.types[column]
        if not is_numeric(kind):
            raise NotNumbers(
                gathered.error(
                    f"column {shown(schema.names[column])} holds {kind}, not numbers; drop or encode the column first"
                )
            )
        types.append(np.dtype(kind.to_pandas_dtype()).name)
    for batch in batches:
        block = np.empty((batch.num_rows, len(types)))
        for i, column in enumerate(gathered.kept):
            values = batch.column(column)
            if pa.types.is_integer(values.type):
                gathered.check_size(values.drop_null().to_numpy(), column)
            block[:, i] = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        gathered.append(block, None if label is None else _labels(gathered, label, batch.column(label)))
    check_enough(gathered.n, path, options.min_rows)
    return gathered.numbers(types)


def _labels(gathered: NumberRows, column: int, values: "pa.Array") -> "pa.Array":
    """Converts labels to int64, float64, booleans or text."""
    values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    known = {"boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64(), "category": pa.string()}
    kind, name = known.get(kind_of(values.type)), f"the label column {shown(gathered.names[column])}"
    if kind is None:
        raise gathered.error(f"{name} holds {values.type}; labels must be numbers, booleans or text")
    try:
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        raise gathered.error(f"{name} is not {kind}: {shown(str(error))}") from error


def in_types(path: Path, table: "pa.Table", types: Mapping[str, str]) -> "pa.Table":
    """Casts columns to the declared types; raises a ValueError about a column that no model can learn."""
    for i, field in enumerate(table.schema):
        column = table.column(i)
        if field.name in types:
            column = _as_type(path, field.name, column, types[field.name])
        if pa.types.is_null(column.type):
            # A column without any value may be of any type.
            column = column.cast(pa.string())
        if not kind_of(column.type):
            raise ValueError(f"{path}: column {shown(field.name)} {refusal(column.type)}")
        if column.type != field.type:
            table = table.set_column(i, field.name, column)
    return table


def _as_type(path: Path, name: str, column: Any, kind: str) -> Any:
    try:
        if kind_of(column.type) != "category" and kind in ("integer", "number"):
            return column.cast(pa.int64() if kind == "integer" else pa.float64())
        text = column.cast(pa.string())
        return text if kind == "text" else typed(name, text, kind)
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(f"{path}: column {shown(name)} cannot be read as {kind}: {shown(str(error))}") from error


def _with_texts(path: Path, table: "pa.Table", schema: "pa.Schema") -> "pa.Table":
    """Decodes the columns of text, which were read as dictionaries, unless they would take too much memory."""
    size, texts = 0, [name for name in _texts(schema) if name in table.column_names]
    for name in texts:
        for chunk in table[name].chunks:
            is_packed = pa.types.is_dictionary(chunk.type)
            lengths = pc.binary_length(chunk.dictionary).take(chunk.indices) if is_packed else pc.binary_length(chunk)
            size += pc.sum(lengths).as_py() or 0
    check_expansion(path, size, _SMALLER)
    for name in texts:
        column = table[name]
        # Arrow cannot convert a dictionary to every type of text in one step.
        plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        table = table.set_column(table.column_names.index(name), name, plain.cast(schema.field(name).type))
    return table
