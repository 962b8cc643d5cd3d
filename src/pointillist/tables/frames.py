"""Reads containers of any kind, data frames and arrays, as tables of mixed columns or as rows of numbers."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from numbers import Real
from typing import Any

import narwhals as nw
import numpy as np

from pointillist.arguments import LARGEST_INTEGER, is_missing
from pointillist.lazy import pa, pc
from pointillist.tables.layout import Layout, with_pandas_types
from pointillist.tables.names import are_text, as_array, check_container, is_frame, pandas_names
from pointillist.tables.numbers import blocks
from pointillist.tables.table import Table, in_zone, is_numeric, kind_of
from pointillist.tables.text_formats import forms_in

_NOT_UNICODE = (
    "column {!r} holds text with half a character (a lone surrogate), which no file can hold: clean or drop it"
)
_SEVERAL_KINDS = "column {!r} holds values of several kinds: give it one kind, or drop it"


def table_of(X: Any) -> tuple[Table, str, tuple[Any, ...] | None] | None:
    """Returns X as a mixed table, its kind of container, and the names of a pandas frame; None if X cannot be read.

    A ValueError in one line says if a column mixes values of several kinds, or names cannot be kept.
    """
    if isinstance(X, Table):
        return X, "file", None
    check_container(X)
    frame, names = pandas_names(X)
    if names is not None:
        return _of_pandas(frame, names), "pandas", names
    if not is_frame(X):
        return _of_array(X), "array", None
    try:
        kind = nw.from_native(X, eager_only=True).implementation.value
    except nw.exceptions.DuplicateError:
        return None
    if kind == "pyarrow":
        return Table(X), kind, None
    try:
        return (Table(X.to_arrow()), kind, None) if kind == "polars" else None
    except ValueError as error:
        raise ValueError("X has a column of a type that Arrow lacks, such as Int128: drop or convert it") from error


def _check_times(name: Any, cells: Sequence[Any]) -> None:
    """Raises a ValueError about a column of dates and times, or of times with and without a time zone.

    Arrow would convert all cells to the kind of the first one.
    """
    dates = [cell for cell in cells if isinstance(cell, date) and cell == cell]
    if len({cell.tzinfo is None if isinstance(cell, datetime) else "date" for cell in dates}) > 1:
        raise ValueError(_SEVERAL_KINDS.format(name))


def _of_array(X: Any) -> Table:
    """Converts an array, or what NumPy reads as one: NaN, None and masked cells are missing."""
    if hasattr(X, "toarray"):
        raise ValueError("X is sparse: make it dense (X.toarray())")
    array = as_array(X)
    if np.ma.is_masked(X):
        is_float = array.dtype.kind == "f"
        array = array.astype(array.dtype if is_float else object)
        array[np.ma.getmaskarray(X)] = np.nan if is_float else None
    if array.ndim != 2:
        raise ValueError(f"X has the shape {array.shape}: give rows and columns")
    names = tuple(range(array.shape[1]))
    columns = [
        _of_objects(name, cells) if cells.dtype == object else pa.array(cells) for name, cells in enumerate(array.T)
    ]
    return Table(pa.table(columns, names=[*map(str, names)]), names=names)


def _of_objects(name: int, cells: np.ndarray) -> "pa.Array":
    _check_times(name, cells.tolist())
    present = [cell for cell in cells if not is_missing(cell)]
    has_two_kinds = len({isinstance(cell, bool | np.bool_) for cell in present}) == 2
    if has_two_kinds and all(isinstance(cell, Real) for cell in present):
        # Arrow does not read booleans among numbers.
        cells = np.array([cell if is_missing(cell) else cell + 0 for cell in cells], object)
    try:
        return pa.array(cells.tolist(), from_pandas=True)
    except UnicodeEncodeError as error:
        raise ValueError(_NOT_UNICODE.format(name)) from error
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(_SEVERAL_KINDS.format(name)) from error


def _of_pandas(frame: Any, names: tuple[Any, ...]) -> Table:
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError) as error:
        _check_columns(frame, names)
        reason = " ".join(" ".join(map(str, error.args)).split())
        raise ValueError(f"X cannot be read ({reason}): give columns of one kind") from error
    for index, (name, kind) in enumerate(zip(names, frame.dtypes, strict=True)):
        if str(kind) == "object" and kind_of(table.schema.field(index).type) == "date":
            _check_times(name, frame.iloc[:, index].tolist())
    decimals = {text: str(kind) for text, kind in frame.dtypes.items() if str(kind).startswith("decimal")}
    table = with_pandas_types(table, decimals) if decimals else table
    return Table(table, names=None if are_text(names) else names)


def _check_columns(frame: Any, names: tuple[Any, ...]) -> None:
    """Raises a ValueError that names the first column that Arrow cannot read."""
    for name, text, kind in zip(names, frame.columns, frame.dtypes, strict=True):
        if str(kind).startswith("Sparse["):
            raise ValueError(f"column {name!r} holds {kind}: make it dense (.sparse.to_dense())")
        if str(kind).startswith("complex"):
            raise ValueError(f"column {name!r} holds {kind}: give real and imaginary parts as two columns")
        if str(kind) not in ("object", "category"):
            continue
        values = frame[text].cat.categories if str(kind) == "category" else frame[text]
        try:
            pa.array(values, from_pandas=True)
        except UnicodeEncodeError as error:
            raise ValueError(_NOT_UNICODE.format(name)) from error
        except OverflowError as error:
            raise ValueError(f"column {name!r} holds integers beyond 64 bits: drop or divide them") from error
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise ValueError(_SEVERAL_KINDS.format(name)) from error


def aligned(X: Any, layout: Layout, *, absent: Collection[Any] = (), unread: Collection[Any] = ()) -> Table:
    """Returns X with the columns of a layout, in their order and types; X may hold further columns if it has names.

    Columns of an array are matched by position. An array does not match a mixed table with names, unless `absent` names
    columns that X may lack, whose cells are then missing; an array lacks all of them or none. The cells of the absent
    columns in `unread` count as missing even if X has them. A ValueError in one line says if X cannot be read or lacks
    a column, or a column holds something else.
    """
    check_container(X)
    names, has_names = layout.column_names, layout.names is not None
    found = table_of(with_columns(X, [name for name in names if name not in unread]) if has_names else X)
    if found is None:
        raise ValueError("X cannot be read: give an array or a data frame with the columns of fit")
    table, kind, _ = found
    found_names: Sequence[Any] = table.names
    is_matched_by_name = layout.schema_bytes is not None and not absent and all(isinstance(n, str) for n in names)
    if not has_names or (kind == "array" and not is_matched_by_name):
        kept = [name for name in names if name not in absent]
        fitting = [each for each in (names, kept) if len(each) == len(found_names)]
        if not fitting:
            raise ValueError(
                f"X has {len(found_names)} columns, and the model has {len(names)}: give all columns of fit"
            )
        found_names = fitting[0]
    columns = []
    for name, field in zip(names, layout.schema, strict=True):
        # In files, names that are numbers are text.
        text = name if name in found_names else str(name)
        if text not in found_names and name not in absent:
            raise ValueError(f"X has no column {name!r}: give all columns of fit, with missing cells where unknown")
        if text not in found_names or name in unread:
            columns.append(pa.chunked_array([pa.nulls(len(table), field.type)]))
            continue
        column = table.arrow.column(found_names.index(text))
        if kind == "file" and pa.types.is_duration(field.type) and pa.types.is_integer(column.type):
            # Text files hold durations as integers, in the unit of the column.
            column = column.cast(pa.int64()).cast(field.type)
        columns.append(_as_in_fit(name, column, field.type))
    return Table(pa.table(columns, names=layout.schema.names), names=names)


def with_columns(X: Any, wanted: Sequence[Any]) -> Any:
    """Selects columns of a data frame, before other columns, which may hold anything, are read; returns other X."""
    is_arrow, is_pandas = nw.dependencies.is_pyarrow_table(X), nw.dependencies.is_pandas_dataframe(X)
    if not (is_arrow or is_pandas or nw.dependencies.is_polars_dataframe(X)):
        return X
    names, texts = X.column_names if is_arrow else X.columns, {*map(str, wanted)}
    indices = [i for i, name in enumerate(names) if str(name) in texts]
    if len(indices) == len(names):
        return X
    return X.select(indices) if is_arrow else X.iloc[:, indices] if is_pandas else X[:, indices]


def with_others(filled: Any, X: Any, known: Collection[Any]) -> Any:
    """Appends the columns of X that a frame of its rows lacks, all but the `known` ones, in the order of X."""
    if not is_frame(X) or not is_frame(filled):
        return filled
    wanted = list(nw.from_native(X, eager_only=True).columns)
    if nw.dependencies.is_pandas_dataframe(X):
        others = X.loc[:, [name not in known for name in X.columns.tolist()]]
        if nw.dependencies.is_pandas_dataframe(filled):
            import pandas

            joined = pandas.concat([filled, others], axis=1) if others.shape[1] else filled
            return joined.iloc[:, _order(joined.columns.tolist(), wanted)]
        # Other libraries have only names that are text.
        X, wanted = others.rename(columns=str), [*map(str, wanted)]
    frame, others = (nw.from_native(each, eager_only=True) for each in (filled, X))
    others = others.select([name for name in others.columns if name not in known])
    if others.implementation != frame.implementation:
        converted = {"pandas": others.to_pandas, "polars": others.to_polars, "pyarrow": others.to_arrow}
        others = nw.from_native(converted[frame.implementation.value](), eager_only=True)
    joined = nw.concat([frame, others], how="horizontal") if others.columns else frame
    return joined[:, _order(joined.columns, wanted)].to_native()


def _order(names: Sequence[Any], wanted: Sequence[Any]) -> list[int]:
    """Returns the indices of columns in a wanted order, with all other columns at the end."""
    ranks = {name: rank for rank, name in enumerate(wanted)}
    return sorted(range(len(names)), key=lambda index: ranks.get(names[index], len(ranks)))


def check_room(X: Any, layout: Layout) -> None:
    """Raises a ValueError if X is a frame with more columns than the array that `fit` was given."""
    if layout.names and layout.kind == "array" and is_frame(X):
        columns = X.columns.tolist() if nw.dependencies.is_pandas_dataframe(X) else nw.from_native(X).columns
        others = [name for name in columns if name not in layout.names]
        # `aligned` reports absent columns.
        if others and {*layout.names} <= {*columns}:
            raise ValueError(
                f"fit was given an array, in which there is no room for column {others[0]!r} of X: drop it"
            )


def _as_in_fit(name: Any, column: "pa.ChunkedArray", wanted: "pa.DataType") -> "pa.ChunkedArray":
    """Converts a column to its type in fit, or one that holds its cells; raises a ValueError if that is impossible."""
    is_category = pa.types.is_dictionary(wanted)
    has_categories = pa.types.is_dictionary(column.type) and not pa.types.is_null(column.type.value_type)
    if column.type == wanted or (is_category and has_categories):
        return column
    try:
        found = _converted(column, wanted.value_type if is_category else wanted, may_be_float=not is_category)
        return found.dictionary_encode() if is_category else found
    except pa.ArrowException as error:
        raise ValueError(f"column {name!r} of X holds {column.type}, and it held {wanted} in fit") from error


def _converted(column: "pa.ChunkedArray", kind: "pa.DataType", *, may_be_float: bool) -> "pa.ChunkedArray":
    """Converts a column to another type, or one that holds its cells; raises an Arrow error if a cell would change."""
    if kind_of(kind) == "date" and kind_of(column.type) in ("integer", "number", "boolean"):
        raise pa.ArrowInvalid("a number is no date")
    is_naive = pa.types.is_date(column.type) or (pa.types.is_timestamp(column.type) and column.type.tz is None)
    if pa.types.is_timestamp(kind) and kind.tz is not None and is_naive:
        # As in conditions, a time without a zone is in the zone of the model's column.
        return in_zone(column.cast(pa.timestamp(kind.unit)), kind.tz)
    if getattr(column.type, "tz", None) is not None and getattr(kind, "tz", None) is None:
        column = pc.local_timestamp(column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        # An empty column, or a column of integers with missing cells, has another type.
        floats = column.cast(pa.float64())
        exact = pc.if_else(pc.is_nan(floats), None, floats).cast(kind) if pa.types.is_integer(kind) else floats
        return floats if may_be_float else exact.cast(kind)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_decimal(kind):
        return _decimals(column, kind)
    found = column.cast(kind)
    # Arrow cuts off what a date or a boolean cannot hold.
    is_cut = kind_of(column.type) not in ("category", "") and not found.cast(column.type).equals(column)
    if is_cut and kind_of(kind) != "category":
        raise pa.ArrowInvalid("a cell is cut")
    return found


def _decimals(column: "pa.ChunkedArray", kind: "pa.DataType") -> "pa.ChunkedArray":
    """Converts numbers to decimals of a type, or of a wider one; raises an Arrow error if one has too many digits."""
    if not pa.types.is_decimal(column.type):
        # Casting through text keeps the digits that a number is written with: 0.35 is not the nearest float64.
        column = (column.cast(pa.float64()) if pa.types.is_boolean(column.type) else column).cast(pa.string())
    wide = column.cast(pa.decimal256(76, kind.scale))
    try:
        return wide.cast(kind)
    except pa.ArrowInvalid:
        return wide


def read_numbers(X: Any) -> tuple[Layout, Any]:
    """Returns the layout of a user's rows, and the rows: an array of shape (n, d), or an object that NumPy converts.

    Args:
        X: A `Table`, a data frame of pandas, Polars or PyArrow, or anything that NumPy reads.

    Raises:
        ValueError: If a data frame has a column that does not hold numbers, a missing value, or two equal names.
    """
    if isinstance(X, Table):
        if not X.is_rows and forms_in(X.arrow.schema):
            # A schema keeps the formats.
            return Layout.from_schema("file", X.arrow.select(X.numbers.names).schema, None), X.numbers.rows
        return Layout("array", X.numbers.types, X.numbers.names), X.numbers.rows
    if not is_frame(X):
        return _layout_of_array(X), X
    found = table_of(X)
    if found is None:
        raise ValueError("X cannot be read: give an array, or a data frame of pandas, polars or pyarrow")
    table, kind, frame_names = found
    columns = []
    for name, column in zip(table.names, table.arrow.columns, strict=True):
        if not is_numeric(column.type):
            raise ValueError(f"column {name!r} holds {column.type}, not numbers: drop or encode it first")
        if column.null_count:
            raise ValueError(f"column {name!r} has {column.null_count} missing values: drop or fill them first")
        values = column.to_numpy()
        if pa.types.is_integer(column.type):
            check_whole(values, str(name))
        columns.append(values.astype(np.float64))
    rows = np.stack(columns, axis=1) if columns else np.empty((len(X), 0))
    return Layout.from_schema(kind, table.arrow.schema, frame_names), rows


def _layout_of_array(X: Any) -> Layout:
    try:
        array = X if hasattr(X, "dtype") and hasattr(X, "shape") else np.asarray(X)
    except ValueError as error:
        raise ValueError("X holds rows of different lengths: give each row the same number of values") from error
    if len(array.shape) < 2:
        # These are scikit-learn's words, on one line.
        found = f"{len(array.shape)}D" if array.shape else "scalar"
        raise ValueError(
            f"Expected 2D array, got {found} array instead. Reshape your data: X.reshape(-1, 1) is one column, "
            "X.reshape(1, -1) is one row"
        )
    kind = getattr(array.dtype, "kind", "O")
    if kind in "Mm":
        raise ValueError(f"X holds {array.dtype}, not numbers: give a data frame, whose columns may be dates")
    if np.ma.is_masked(X):
        row, column = np.argwhere(np.ma.getmaskarray(X))[0]
        raise ValueError(f"X has a masked value in row {row}, column {column}: drop or fill such rows first")
    if kind == "c":
        raise ValueError("Complex data not supported: give X's real and imaginary parts as columns")
    if kind == "O":
        cells = np.asarray(array)
        check_whole(np.array([each for each in cells.ravel() if isinstance(each, int)], object), None)
        return Layout("array", tuple(_type_of_objects(column) for column in cells.T))
    if kind in "iu":
        check_whole(np.asarray(array), None)
    name = np.dtype(array.dtype).name if kind in "biuf" else "float64"
    return Layout("array", (name,) * (array.shape[1] if len(array.shape) == 2 else 0))


def _type_of_objects(cells: np.ndarray) -> str:
    """NumPy's name of the type of a column of Python objects."""
    if not len(cells) or not all(isinstance(cell, int | np.integer | np.bool_) for cell in cells):
        return "float64"
    return "bool" if all(isinstance(cell, bool | np.bool_) for cell in cells) else "int64"


def check_whole(values: np.ndarray, name: str | None) -> None:
    """Raises an error if float64 cannot hold all integers of a column, or of X if `name` is None."""
    # The absolute value of the lowest int64 is negative.
    if values.size and (values.max() > LARGEST_INTEGER or values.min() < -LARGEST_INTEGER):
        where = "X" if name is None else f"column {name!r}"
        raise ValueError(f"{where} holds integers beyond 2**53, which float64 cannot hold: drop or divide them")


def check_finite(
    rows: np.ndarray,
    what: str,
    names: tuple[Any, ...] | None,
    dtype: type[np.floating] = np.float64,
) -> None:
    """Raises a ValueError that names the first value that is NaN or infinite as `dtype`; `what` names the rows."""
    first = 0
    for block in blocks(rows):
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(block.astype(dtype, copy=False))
        if not is_finite.all():
            row, column = np.argwhere(~is_finite)[0]
            value = "NaN" if np.isnan(block[row, column]) else "inf"
            where = f"column {column if names is None else repr(names[column])}"
            raise ValueError(f"{what} has {value} in row {first + row}, {where}: drop or fill such rows first")
        first += len(block)
