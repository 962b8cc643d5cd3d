"""Reads tables of mixed columns from `.csv`, `.csv.gz` and `.parquet` files."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pointillist.atomic_files import check_regular, naming
from pointillist.files.csv_files import CsvFile, check_header, has_number, without_names
from pointillist.files.csv_format import NOTHING_SAID, CsvForm
from pointillist.files.endings import ending_of
from pointillist.files.limits import check_parquet, check_unpacked
from pointillist.files.texts import MISSING, TYPES, Notes, typed
from pointillist.tables import time_formats
from pointillist.tables.number_table import check_distinct, check_enough, listed, shown
from pointillist.tables.table import MixedTable, kind_of, refusal

if TYPE_CHECKING:
    import pyarrow as pa

_NOTED = 5


def read_mixed(
    path: Path,
    label: str | None = None,
    *,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    min_rows: int = 2,
    form: CsvForm = NOTHING_SAID,
) -> MixedTable:
    """Reads a table whose columns may be of any kind, with missing cells, into memory.

    `pointillist.files.texts` has the rules for what the texts of a `.csv` file stand for.

    Args:
        path: A `.csv`, `.csv.gz` or `.parquet` file.
        label: Name of the column that holds labels.
        drop: Names of columns to leave out.
        types: Maps names of columns to "text", "integer", "number" or "date", where a column is not what it looks like.
        min_rows: Fewest rows that the file must have.
        form: What is known of the form of a `.csv` file.

    Raises:
        ValueError: If the file cannot be read as such a table; the message is one line.
        OSError: If it cannot be opened.

    Warns:
        UserWarning: If marks such as a percent sign or a decimal comma are removed from numbers, if a few cells make a
            column text, or if the times of a column have different offsets from UTC.
    """
    import pyarrow as pa

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
        if ending == ".parquet":
            table = _parquet(path, asked, drop, types)
        else:
            table = _csv(path, asked, drop, types, label, form)
    check_enough(table.num_rows, path, min_rows)
    for place, field in enumerate(table.schema):
        if pa.types.is_null(field.type):
            # Without a cell, it may be anything.
            table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
    for field in table.schema:
        if not kind_of(field.type):
            raise ValueError(f"{path}: column {shown(field.name)} {refusal(field.type)}")
    return MixedTable(table, label)


def _check_columns(names: Sequence[str], asked: Sequence[str], drop: Sequence[str], path: Path) -> None:
    check_distinct(names, path)
    for name in asked:
        if name not in names:
            raise ValueError(f"{path}: there is no column {shown(name)}; the columns are {listed(names)}")
    if not {*names} - {*drop}:
        raise ValueError(f"{path}: has no column left")


def _csv(
    path: Path,
    asked: Sequence[str],
    drop: Sequence[str],
    types: Mapping[str, str],
    label: str | None,
    form: CsvForm,
) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc

    file = CsvFile(path, form)
    check_header(file.names, path, form)
    _check_columns(file.names, asked, drop, path)
    kept = [place for place, name in enumerate(file.names) if name not in drop]
    batches = [batch.select(kept) for batch in file.batches()]
    texts = [pa.chunked_array([batch.column(i) for batch in batches], pa.string()) for i in range(len(kept))]
    del batches
    named = {file.names[place]: text for place, text in zip(kept, texts, strict=True)}
    repeated = [name for name, text in named.items() if pc.any(pc.equal(pc.ascii_trim_whitespace(text), name)).as_py()]
    del named
    columns, forms, notes = {}, dict[str, str](), Notes()
    for place in kept:
        name = file.names[place]
        how: dict[str, Any] = {"is_label": name == label, "decimal": form.decimal, "notes": notes}
        try:
            # The text of a column is freed before the next one is converted.
            text = texts.pop(0)
            columns[name] = typed(name, text, types.get(name), **how)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        if kind_of(columns[name].type) == "date":
            given = pc.ascii_trim_whitespace(text).filter(columns[name].is_valid())
            forms |= {name: found} if (found := time_formats.form_of(given)) else {}
    try:
        notes.check()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if form.has_names is None:
        _check_not_a_row(file.names, columns, repeated, path)
    for (what, way_out), examples in notes.said.items():
        _warn(path, what, examples, way_out)
    return time_formats.with_forms(pa.table(columns), forms)


def _warn(path: Path, what: str, examples: Sequence[str], way_out: str) -> None:
    """Warns of columns in one line."""
    more = f" and {len(examples) - _NOTED} more" if len(examples) > _NOTED else ""
    warnings.warn(f"{path}: {what}: {', '.join(examples[:_NOTED])}{more}; {way_out}", UserWarning, stacklevel=6)


def _check_not_a_row(names: Sequence[str], columns: Mapping[str, Any], repeated: Sequence[str], path: Path) -> None:
    """Raises a ValueError if the first line looks like a row.

    It does if it fits every column of numbers, dates or booleans (a value of that kind, or a missing cell) and it also
    holds a date or a boolean, or a text that occurs again in its column. Numbers alone, such as years, may be names.

    Args:
        names: What the first line holds.
        columns: The columns that are kept.
        repeated: Names that occur as a cell of their column.
        path: The file.
    """
    kinds = {name: kind_of(column.type) for name, column in columns.items()}
    of_values = [name for name, kind in kinds.items() if kind != "category" and name.lower() not in MISSING]
    has_dates = any(kinds[name] in ("date", "truth") for name in of_values)
    is_repeated = any(kinds[name] == "category" for name in repeated)
    if of_values and (has_dates or is_repeated) and all(_is_value(name, kinds[name]) for name in of_values):
        raise without_names(names, path, "looks like a row")


def _is_value(text: str, kind: str) -> bool:
    """Returns whether a text can be read as a value of a column of this kind."""
    import pyarrow as pa

    if kind in ("number", "whole"):
        return has_number(text)
    return kind_of(typed("", pa.chunked_array([[text]]), decimal=".").type) == kind


def _parquet(path: Path, asked: Sequence[str], drop: Sequence[str], types: Mapping[str, str]) -> "pa.Table":
    import pyarrow as pa
    from pyarrow import parquet

    try:
        # A text that a file holds once may stand in all of its rows: it is counted before it is repeated.
        schema = parquet.read_schema(path)
        texts = [field.name for field in schema if _is_text(field.type)]
        with parquet.ParquetFile(path, read_dictionary=texts) as file:
            names = schema.names
            _check_columns(names, asked, drop, path)
            check_parquet(path, file.metadata)
            table = file.read([name for name in names if name not in drop])
        kept = [name for name in texts if name not in drop]
        check_unpacked(path, sum(_size(table[name]) for name in kept))
        for name in kept:
            column = table[name]
            # Not every type of text can be made of a dictionary in one step.
            plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            table = table.set_column(table.column_names.index(name), name, plain.cast(schema.field(name).type))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not a whole Parquet file ({shown(' '.join(str(error).split()))})") from error
    for name, kind in types.items():
        if name in drop:
            continue
        place = table.column_names.index(name)
        table = table.set_column(place, name, _as_type(path, name, table.column(place), kind))
    return table


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    tests = pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary
    return any(test(kind) for test in tests)


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
