"""Reads tables from `.parquet` files, batch by batch."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from pointillist.atomic_files import check_regular
from pointillist.files.limits import check_parquet
from pointillist.tables.labels import Labels
from pointillist.tables.number_table import Columns, NotNumbers, Table, check_enough, shown
from pointillist.tables.spool import Spool

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_BATCH_VALUES = 2**20


def read_parquet(path: Path, label: str | None, min_rows: int) -> Table:
    """Reads a file of number columns; see `read_table`."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        # Else a whole row group, which may be the whole file, would be read at once.
        file = parquet.ParquetFile(path, buffer_size=2**18, pre_buffer=False)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(error, path) from error
    with file:
        check_parquet(path, file.metadata)
        columns = Columns.of(path, schema.names, label)
        types = tuple(_type_name(columns, position, schema.types[position]) for position in columns.kept)
        labels = None if columns.label is None else Labels(columns, np.array)
        label_type = None if columns.label is None else _label_type(columns, columns.label, schema.types[columns.label])
        spool = Spool(len(types))
        start = 1
        for batch in _batches(file, columns):
            block = np.empty((batch.num_rows, len(types)))
            for place, position in enumerate(columns.kept):
                block[:, place] = _floats(columns, position, batch.column(position))
            columns.check_finite(block, start, partial(_missing, columns, start))
            spool.append(block)
            if labels is not None:
                labels.append(_cast(columns, labels.position, batch.column(labels.position), label_type), start)
            start += batch.num_rows
    check_enough(start - 1, path, min_rows)
    return Table(spool.rows(), columns.kept_names, types, None if labels is None else labels.column())


def names_in_file(path: Path) -> list[str]:
    """Names of the columns of a file; none of one that cannot be read."""
    import pyarrow as pa
    from pyarrow import parquet

    check_regular(path)
    try:
        return list(parquet.read_schema(path).names)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        # Whoever reads the rows says why.
        return []


def unnamed_index(path: Path) -> list[str]:
    """Names of the columns of a file that are no columns, but an index of pandas that has no name."""
    names = names_in_file(path)
    found = [name for name in names if re.fullmatch(r"__index_level_\d+__", name)]
    return found if len(found) < len(names) else []


def _type_name(columns: Columns, position: int, kind: "pa.DataType") -> str:
    from pyarrow import types

    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        return np.dtype(kind.to_pandas_dtype()).name
    raise NotNumbers(
        columns.error(
            f"column {shown(columns.names[position])} holds {kind}, not numbers; drop or encode the column first"
        )
    )


def _label_type(columns: Columns, position: int, kind: "pa.DataType") -> "pa.DataType":
    """The type, one of four, that labels of type `kind` are cast to."""
    import pyarrow as pa
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_boolean(kind):
        return kind
    if types.is_integer(kind):
        return pa.int64()
    if types.is_floating(kind) or types.is_decimal(kind):
        return pa.float64()
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    raise columns.error(
        f"the label column {shown(columns.names[position])} holds {kind}; labels must be numbers, booleans or text"
    )


def _floats(columns: Columns, position: int, values: "pa.Array") -> Float[np.ndarray, " m"]:
    """The values of a column of numbers; NaN where they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(values.type):
        columns.check_size(values.drop_null().to_numpy(), position)
    return pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _cast(columns: Columns, position: int, values: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        return values.cast(kind)
    except pa.ArrowInvalid as error:
        reason = shown(str(error))
        raise columns.error(f"the label column {shown(columns.names[position])} is not {kind}: {reason}") from error


def _missing(columns: Columns, start: int, row: int, place: int) -> ValueError:
    return NotNumbers(columns.bad_value("has a missing value", start + row, columns.kept[place]))


def _batches(file: "parquet.ParquetFile", columns: Columns) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    batches = file.iter_batches(max(1, _BATCH_VALUES // len(columns.names)))
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _unreadable(error, columns.path) from error
        yield batch


def _unreadable(error: Exception, path: Path) -> ValueError:
    return ValueError(f"{path}: is not a whole .parquet file (truncated, or of another format): {shown(str(error))}")
