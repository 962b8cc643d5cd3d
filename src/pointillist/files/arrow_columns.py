"""Columns of Arrow's types: read as rows of numbers or as they are, and put into the types of a file to be written."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.files.formats import Asked
from pointillist.files.number_rows import NotNumbers, NumberRows, check_enough, check_names
from pointillist.files.texts import typed
from pointillist.foreign_text import shown
from pointillist.lazy import pa, pc
from pointillist.tables.numbers import Numbers
from pointillist.tables.table import Table, is_numeric, kind_of, refusal


@contextmanager
def reading(path: Path, ending: str) -> Iterator[None]:
    """Makes errors of Arrow's about a file clear, in one line."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: is not a whole {ending} file (truncated, or of another format): {shown(str(error))}"
        ) from error


def read_columns(
    path: Path,
    names: Sequence[str],
    asked: Asked,
    numbers: Callable[[], Numbers],
    columns: "Callable[[list[str]], pa.Table]",
) -> Table:
    """Reads rows of numbers if all columns hold them, and otherwise columns of any kind.

    Args:
        path: The file.
        names: Names of its columns.
        asked: What is asked of it.
        numbers: Reads it as rows of numbers; raises `NotNumbers` if it holds anything else.
        columns: Reads the columns of some names into memory.

    Raises:
        ValueError: See `read_table`.
    """
    if asked.tries_numbers:
        try:
            return Table(numbers())
        except NotNumbers:
            if asked.kind == "numbers":
                raise
    check_names(path, names, asked.names)
    kept = [name for name in names if name not in asked.drop]
    if not kept:
        raise ValueError(f"{path}: has no column left")
    table = columns(kept)
    check_enough(table.num_rows, path, asked.min_rows)
    return Table(table, asked.label)


def without_index(names: Sequence[str], asked: Asked) -> Asked:
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
            block[:, i] = _floats(gathered, position, batch.column(position))
        gathered.append(block, None if label is None else _labels(gathered, label, batch.column(label)))
    check_enough(gathered.n, path, asked.min_rows)
    return gathered.numbers(types)


def _floats(gathered: NumberRows, position: int, values: "pa.Array") -> Float[np.ndarray, " m"]:
    """The values of a column of numbers; NaN where they are missing."""
    if pa.types.is_integer(values.type):
        gathered.check_size(values.drop_null().to_numpy(), position)
    return pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


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


def schema_of(names: Sequence[str], types: Sequence[Any], *, has_categories: bool = True) -> "pa.Schema":
    """The schema of columns of some types, by NumPy's names, "str", or Arrow's types; perhaps without categories."""

    def kind(type_: Any) -> "pa.DataType":
        if isinstance(type_, str):
            return pa.string() if type_ == "str" else pa.from_numpy_dtype(np.dtype(type_))
        if has_categories:
            return type_
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        # Arrow writes no views of text to CSV.
        return pa.large_string() if pa.types.is_string_view(plain) else plain

    return pa.schema(list(zip(names, map(kind, types), strict=True)))


def in_schema(columns: Sequence[Any], schema: "pa.Schema") -> "pa.Table":
    """Columns of one length, NumPy arrays or Arrow's, as a table of a schema."""
    cast = [
        pa.array(column, kind) if isinstance(column, np.ndarray) else column.cast(kind)
        for column, kind in zip(columns, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(cast, schema=schema)
