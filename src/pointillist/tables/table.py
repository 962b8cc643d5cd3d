"""Tables of columns of any kind: integers, other numbers, booleans, text, categories and dates, with missing cells.

They are passed around as Arrow tables, whose schema gives each column's type.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import LARGEST_INTEGER
from pointillist.foreign_text import listed
from pointillist.lazy import pa, pc
from pointillist.tables.numbers import LabelColumn, Numbers, Spool, blocks

_DIGITS, _MOST_DIGITS = 17, 76
"""Number of decimal digits that identify a float64, and largest number of digits of an Arrow decimal."""

UNITS: dict[str, Any] = {"d": "D", "h": "h", "min": "m", "s": "s", "ms": "ms", "us": "us", "ns": "ns"}
"""NumPy's name of each unit of a duration."""


@dataclass(frozen=True)
class Column:
    """The cells of a column.

    Attributes:
        values: Numbers, or indices of categories, shape (n,); arbitrary where a cell is missing.
        is_missing: Which cells are missing, shape (n,).
        categories: The categories: text, numbers or booleans; None for a column of numbers.
        is_date: Whether the numbers represent dates, times or durations.
    """

    values: np.ndarray
    is_missing: Bool[np.ndarray, " n"]
    categories: tuple[Any, ...] | None = None
    is_date: bool = False

    @property
    def numbers(self) -> np.ndarray:
        """Numbers, or booleans as 0 and 1, as float64, shape (n,)."""
        if self.categories is None:
            return self.values.astype(np.float64)
        return np.array(self.categories or [0], np.float64)[self.values.astype(np.int64)]

    @property
    def or_nan(self) -> np.ndarray:
        """The values, and NaN where a cell is missing, shape (n,)."""
        return np.where(self.is_missing, np.nan, self.values)

    def part(self, rows: slice, n: int) -> "Column":
        """Returns the cells of n rows; a single cell is repeated for all of them."""
        if len(self.values) == 1:
            return Column(np.repeat(self.values, n), np.repeat(self.is_missing, n), self.categories)
        return Column(self.values[rows], self.is_missing[rows], self.categories)

    def take(self, indices: Int[np.ndarray, " n"] | Bool[np.ndarray, " m"]) -> "Column":
        """Returns the cells at some indices, or where a mask is true."""
        return replace(self, values=self.values[indices], is_missing=self.is_missing[indices])

    def looked_up(self, indices: Int[np.ndarray, " n"]) -> "Column":
        """Returns the cells at some indices; index -1 gives a missing cell."""
        if not len(self.values):
            return Column(np.zeros(len(indices)), np.ones(len(indices), bool), self.categories, self.is_date)
        found = self.take(np.maximum(indices, 0))
        return replace(found, is_missing=found.is_missing | (indices < 0))

    @classmethod
    def joined(cls, parts: "Sequence[Column]") -> "Column":
        """Concatenates parts of a column."""
        parts = with_common_categories(parts)
        values = np.concatenate([each.values for each in parts])
        return replace(parts[0], values=values, is_missing=np.concatenate([each.is_missing for each in parts]))


def with_common_categories(columns: Sequence[Column]) -> Sequence[Column]:
    """Returns columns whose indices mean the same categories: those of the first, then those that others add."""
    first = columns[0].categories
    if all(each.categories == first for each in columns):
        return columns
    categories = tuple(dict.fromkeys(category for each in columns for category in each.categories or ()))
    index_of = {category: index for index, category in enumerate(categories)}
    recoded = []
    for each in columns:
        indices = np.array([index_of[category] for category in each.categories or ()] or [0])
        known = np.where(each.is_missing, 0, each.values).astype(np.int64)
        recoded.append(replace(each, values=indices[known], categories=categories))
    return recoded


def columns_of(rows: Float[np.ndarray, "n d"]) -> tuple[Column, ...]:
    """Returns the columns of rows of numbers without missing cells."""
    return tuple(Column(column, np.zeros(len(rows), bool)) for column in rows.T)


def number_column(values: Float[np.ndarray, " n"]) -> Column:
    """Returns a column of numbers; NaN is missing."""
    is_missing = np.isnan(values)
    return Column(np.where(is_missing, 0.0, values), is_missing)


def medians(draws: Sequence[Column]) -> Column:
    """Returns the median of each cell over draws of numbers without missing cells."""
    return replace(draws[0], values=np.median([each.values for each in draws], axis=0))


def modes(draws: Sequence[Column]) -> Column:
    """Returns the most frequent value of each cell over draws without missing cells; the lowest one for ties."""
    draws = with_common_categories(draws)
    values = np.sort([each.values for each in draws], axis=0)
    runs = np.ones(values.shape, np.int64)
    for i in range(1, len(values)):
        runs[i] += np.where(values[i] == values[i - 1], runs[i - 1], 0)
    return replace(draws[0], values=np.take_along_axis(values, runs.argmax(axis=0)[None], axis=0)[0])


class Table:
    """A table of columns of any kind, which holds an Arrow table, or rows of numbers.

    Args:
        columns: An Arrow table, or rows of numbers.
        label: Name of the column of an Arrow table that holds labels; None if there is none.
        names: Names of the columns if some are not text; Arrow supports only text.

    Attributes:
        label: Name of the column that holds labels; None if there is none.
        is_rows: Whether the table holds rows of numbers, which may be mapped from a file.
    """

    def __init__(self, columns: "pa.Table | Numbers", label: Any = None, names: tuple[Any, ...] | None = None) -> None:
        self.is_rows = isinstance(columns, Numbers)
        self._names = names
        if isinstance(columns, Numbers):
            self.numbers = columns
            self.label = None if columns.label is None else columns.label.name
        else:
            self.arrow, self.label = columns, label

    @cached_property
    def names(self) -> tuple[Any, ...]:
        """Names of the columns, including the label column; their indices if they have none."""
        if not self.is_rows:
            return tuple(self.arrow.column_names) if self._names is None else self._names
        d, label = len(self.numbers.types), self.numbers.label
        names = list(self.numbers.names or [str(i) for i in range(d + 1) if label is None or i != label.position][:d])
        if label is not None:
            names.insert(label.position, label.name)
        return tuple(names)

    @property
    def has_names(self) -> bool:
        """Whether the columns have names; columns of an array have none."""
        return not self.is_rows or self.numbers.names is not None

    def listed(self) -> str:
        """The names as text for a message."""
        return listed([str(name) for name in self.names])

    def __len__(self) -> int:
        return len(self.numbers.rows) if self.is_rows else self.arrow.num_rows

    @cached_property
    def arrow(self) -> "pa.Table":
        """The table as an Arrow table."""
        numbers = self.numbers
        columns = [pa.array(column.astype(kind)) for column, kind in zip(numbers.rows.T, numbers.types, strict=True)]
        if numbers.label is not None:
            columns.insert(numbers.label.position, pa.array(numbers.label.values))
        return pa.table(columns, names=self.names)

    @property
    def schema(self) -> "pa.Schema":
        """Names and types of the columns; a table of numbers stays as it is."""
        if not self.is_rows:
            return self.arrow.schema
        numbers = self.numbers
        kinds = [pa.from_numpy_dtype(np.dtype(kind)) for kind in numbers.types]
        if numbers.label is not None:
            kinds.insert(numbers.label.position, pa.array(numbers.label.values[:1]).type)
        return pa.schema(list(zip(map(str, self.names), kinds, strict=True)))

    def select(self, names: Sequence[Any]) -> "Table":
        """Returns the table with some of its columns, in the given order."""
        if not self.is_rows:
            indices = [self.names.index(name) for name in names]
            return Table(self.arrow.select(indices), self.label, None if self._names is None else tuple(names))
        numbers, label = self.numbers, self.numbers.label
        known = [name for name in self.names if name != self.label]
        indices = [known.index(name) for name in names if name != self.label]
        spool = Spool(len(indices))
        for block in blocks(numbers.rows):
            spool.append(np.take(block, indices, axis=1))
        label = replace(label, position=list(names).index(label.name)) if label and label.name in names else None
        types = tuple(numbers.types[i] for i in indices)
        return Table(Numbers(spool.rows(), tuple(known[i] for i in indices), types, label))

    def filtered(self, is_kept: Bool[np.ndarray, " n"]) -> "Table":
        """Returns the table with some of its rows."""
        return Table(self.arrow.filter(pa.array(is_kept)), self.label, self._names)

    def with_column(self, name: Any, cells: "pa.ChunkedArray") -> "Table":
        """Returns the table with other cells in one column."""
        i = self.names.index(name)
        return Table(self.arrow.set_column(i, self.arrow.field(i).name, cells), self.label, self._names)

    @cached_property
    def cells(self) -> tuple[Column, ...]:
        """The cells of each column; see `cells_in`."""
        return tuple(cells_in(name, column) for name, column in zip(self.names, self.arrow.columns, strict=True))

    def column(self, name: Any) -> Column:
        """Returns the cells of one column; other columns may be of any type."""
        return cells_in(name, self.arrow.column(self.names.index(name)))

    @cached_property
    def is_plain(self) -> bool:
        """Whether all columns except the label are numbers or booleans, and no cell is missing."""
        return self.is_rows or (
            all(
                is_numeric(column.type)
                for name, column in zip(self.names, self.arrow.columns, strict=True)
                # The labels may be text.
                if name != self.label or kind_of(column.type) == "date"
            )
            and not any(cells.is_missing.any() for cells in self.cells)
        )

    @cached_property
    def numbers(self) -> Numbers:
        """The rows of a table that `is_plain`."""
        kept = [name for name in self.names if name != self.label]
        cells = dict(zip(self.names, self.cells, strict=True))
        rows = np.stack([cells[name].numbers for name in kept], axis=1)
        kinds = dict(zip(self.names, self.arrow.schema.types, strict=True))
        types = tuple(np.dtype(kinds[name].to_pandas_dtype()).name for name in kept)
        if self.label is None:
            return Numbers(rows, tuple(kept), types)
        labels, kind = cells[self.label], kind_of(kinds[self.label])
        if kind == "date":
            raise ValueError(f"labels must be numbers, booleans or text, and column {self.label!r} holds dates")
        values = labels.values.astype(np.int64) if kind == "integer" else labels.values
        values = values if labels.categories is None else np.array(labels.categories)[values.astype(np.int64)]
        return Numbers(rows, tuple(kept), types, LabelColumn(self.label, self.names.index(self.label), values))

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns each column: numbers as float64, NaN where missing; categories as text, None where missing."""
        arrays = {}
        for name, cells in zip(self.names, self.cells, strict=True):
            if cells.categories is None:
                arrays[name] = cells.or_nan
                continue
            texts = np.array([str(category) for category in cells.categories] or [""], object)
            arrays[name] = texts[cells.values.astype(np.int64)]
            arrays[name][cells.is_missing] = None
        return arrays


_KINDS = {
    "boolean": ("boolean",),
    "integer": ("integer",),
    "number": ("floating", "decimal"),
    "date": ("date", "timestamp", "time", "duration"),
    "category": ("string", "large_string", "string_view"),
}
"""Arrow's tests of types for each kind."""


def kind_of(kind: "pa.DataType") -> str:
    """Returns the kind of an Arrow type, one of `_KINDS`; "" for other types."""
    if pa.types.is_dictionary(kind):
        of = kind.value_type
        return "category" if pa.types.is_floating(of) or kind_of(of) in ("category", "integer", "boolean") else ""
    return next((name for name, tests in _KINDS.items() for test in tests if getattr(pa.types, f"is_{test}")(kind)), "")


def is_numeric(kind: "pa.DataType") -> bool:
    """Whether an Arrow type is one of NumPy's types of numbers, or boolean."""
    return kind_of(kind) in ("integer", "boolean") or pa.types.is_floating(kind)


def plain_column(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Returns a column with values instead of categories, and null instead of NaN."""
    if pa.types.is_dictionary(column.type) and not isinstance(column.type.value_type, pa.BaseExtensionType):
        column = column.cast(column.type.value_type)
    if column.type in (pa.float32(), pa.float64()):
        column = pc.if_else(pc.is_nan(column), None, column)
    return column.cast(pa.large_string()) if pa.types.is_string_view(column.type) else column


def cells_in(name: Any, column: "pa.ChunkedArray") -> Column:
    """Returns the cells of a column; raises a ValueError if it holds neither numbers, categories nor dates."""
    kind = kind_of(column.type)
    if not kind:
        raise ValueError(f"column {name!r} {refusal(column.type)}")
    array = _one_chunk(column)
    if kind in ("category", "boolean"):
        return _category_cells(name, _with_categories(array), is_ordered=getattr(column.type, "ordered", False))
    if kind == "date":
        # Days begin at midnight of the local time.
        array = array if getattr(array.type, "tz", None) is None else pc.local_timestamp(array)
        array = pc.divide(pc.cast(array, _storage_type(array.type), safe=False), _fineness(array.type))
    is_missing = np.asarray(array.is_null(nan_is_null=True))
    array = pc.fill_null(array, 0)
    # Casting through text keeps the digits that numbers are written with.
    if pa.types.is_decimal(array.type) or pa.types.is_float32(array.type):
        array = pc.cast(array, pa.string())
    elif pa.types.is_float16(array.type):
        array = pa.array(np.asarray(array).astype(str))
    values = np.asarray(pc.cast(array, pa.float64(), safe=False))
    is_exact = kind in ("integer", "date") or pa.types.is_decimal(column.type)
    is_beyond = is_exact and (np.abs(values) > LARGEST_INTEGER).any()
    if pa.types.is_integer(array.type) and len(array):
        # A larger integer may round to one within the limit.
        ends = pc.min_max(array).as_py()
        is_beyond = is_beyond or max(-ends["min"], ends["max"]) > LARGEST_INTEGER
    if is_beyond and kind == "date":
        raise ValueError(
            f"column {name!r} holds {column.type} too far from 0 for float64: convert it to seconds or days, or make "
            "such cells missing"
        )
    if is_beyond:
        raise ValueError(f"column {name!r} holds integers beyond 2**53, which float64 cannot hold: drop or divide them")
    if not np.isfinite(values[~is_missing]).all():
        raise _infinite(name)
    return Column(np.where(is_missing, 0.0, values), is_missing, is_date=kind == "date")


def _category_cells(name: Any, array: "pa.DictionaryArray", *, is_ordered: bool) -> Column:
    known = array.dictionary.to_pylist()
    if any(isinstance(category, float) and abs(category) == np.inf for category in known):
        raise _infinite(name)
    # Sorting unordered categories gives the same tokens for every container.
    order = range(len(known)) if is_ordered else np.argsort(np.array(known, object))
    indices = np.asarray(pc.fill_null(array.indices, 0))
    values = np.argsort(order)[indices] if known else np.zeros(len(array), np.int64)
    return Column(values, np.asarray(array.is_null()), tuple(known[i] for i in order))


def _infinite(name: Any) -> ValueError:
    return ValueError(f"column {name!r} holds an infinite value: drop or clip such rows first")


def listed_categories(column: "pa.ChunkedArray") -> tuple[Any, ...] | None:
    """Returns the categories that the type of a column lists, in its order; None if it lists none."""
    if not pa.types.is_dictionary(column.type):
        return None
    return tuple(_with_categories(_one_chunk(column)).dictionary.to_pylist())


def _one_chunk(column: "pa.ChunkedArray") -> "pa.Array":
    array = column.combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def refusal(kind: "pa.DataType") -> str:
    """Describes a type that no model can learn, and the way out, as the end of a message."""
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    name = str(getattr(value_type, "extension_name", ""))
    if name in ("pandas.interval", "pandas.period"):
        return f"holds {name.removeprefix('pandas.')}s: make them text, or drop it"
    if value_type is not kind:
        return f"holds categories of {value_type}: make them text, or plain values, or drop it"
    return f"holds {kind}, which is not a number, category or date: drop it"


def _with_categories(array: "pa.Array") -> "pa.DictionaryArray":
    """Encodes an array as indices of categories that are distinct and not missing."""
    if pa.types.is_dictionary(array.type):
        known = array.dictionary
        is_clean = known.null_count == 0 and len(known.unique()) == len(known)
        if is_clean and not pa.types.is_floating(known.type):
            return array
        array = array.dictionary_decode()
        if pa.types.is_floating(array.type):
            # Adding 0 merges 0 and -0 into one category.
            array = pc.add(pc.if_else(pc.is_nan(array), None, array), pa.scalar(0, array.type))
        if is_clean and pa.types.is_floating(known.type):
            # Keep the listed order, and categories without rows.
            known = pc.unique(pc.add(known.filter(pc.invert(pc.is_nan(known))), pa.scalar(0, known.type)))
            return pa.DictionaryArray.from_arrays(pc.index_in(array, known), known)
    return (array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array).dictionary_encode()


def _storage_type(kind: "pa.DataType") -> "pa.DataType":
    """The integer type that stores a type of dates."""
    return pa.int64() if kind.bit_width == 64 else pa.int32()


def _fineness(kind: "pa.DataType") -> int:
    """Divisor that turns nanoseconds into microseconds, which float64 holds exactly."""
    return 1000 if getattr(kind, "unit", "") == "ns" else 1


def seconds_per_unit(kind: "pa.DataType") -> float:
    """Returns the number of seconds of one unit of the numbers by which `Column` represents a type of dates."""
    if pa.types.is_date(kind):
        return 86_400.0 if pa.types.is_date32(kind) else 1e-3
    return {"s": 1.0, "ms": 1e-3}.get(kind.unit, 1e-6)


def to_arrow(
    cells: Sequence[Column], schema: "pa.Schema", *, nan_is_missing: Sequence[bool] | None = None
) -> "pa.Table":
    """Makes an Arrow table from the cells of each column of a schema.

    `nan_is_missing` says for each column whether a missing number is written as NaN; it is null by default.
    """
    flags = [False] * len(cells) if nan_is_missing is None else nan_is_missing
    columns = [_array(each, field.type, flag) for each, field, flag in zip(cells, schema, flags, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _array(cells: Column, kind: "pa.DataType", is_nan: bool) -> "pa.Array":
    mask = None if is_nan or not cells.is_missing.any() else cells.is_missing
    if cells.categories is not None:
        value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
        indices = pa.array(np.where(cells.is_missing, 0, cells.values).astype(np.int32), mask=mask)
        if pa.types.is_string_view(kind):
            # `take` does not support views.
            return pa.array(cells.categories, pa.large_string()).take(indices).cast(kind)
        if not pa.types.is_dictionary(kind):
            return pa.array(cells.categories, value_type).take(indices)
        # Casting the encoded array would lose categories without rows.
        indices, categories = indices.cast(kind.index_type), pa.array(cells.categories, value_type)
        return pa.DictionaryArray.from_arrays(indices, categories, ordered=kind.ordered)
    values = np.where(cells.is_missing, np.nan if is_nan else 0.0, cells.values)
    kind_ = kind_of(kind)
    if kind_ in ("integer", "date"):
        # A sum that a rule restores may lie beyond the type.
        integers = pa.array(np.clip(np.round(values), *_ends(kind)).astype(np.int64), mask=mask)
        if kind_ == "integer":
            return pc.cast(integers, kind)
        integers = pc.cast(pc.multiply(integers, _fineness(kind)), _storage_type(kind))
        if getattr(kind, "tz", None) is None:
            return pc.cast(integers, kind)
        return in_zone(pc.cast(integers, pa.timestamp(kind.unit)), kind.tz)
    if kind_ == "boolean":
        return pa.array(values > 0.5, mask=mask)
    array = pa.array(values, mask=mask)
    return array.cast(kind, safe=False) if pa.types.is_floating(kind) else _decimal(array, kind)


def in_zone(local: Any, zone: str) -> Any:
    """Returns times in a time zone: the earlier one of a repeated hour, and the end of a skipped hour."""
    return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest")


def _ends(kind: "pa.DataType") -> tuple[int, int]:
    """The lowest and highest number of a type of integers or dates that float64 holds exactly."""
    if pa.types.is_time(kind):
        return 0, 86_400 * {"s": 1, "ms": 10**3}.get(kind.unit, 10**6) - 1
    known = np.iinfo(kind.to_pandas_dtype() if pa.types.is_integer(kind) else f"int{kind.bit_width}")
    return max(known.min, -LARGEST_INTEGER), min(known.max, LARGEST_INTEGER)


def _decimal(array: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    # A sum that a rule restores may lie beyond the type.
    end = 10.0 ** (kind.precision - kind.scale)
    most = min(end - 10.0**-kind.scale, float(np.nextafter(end, 0)))
    inside = pc.min_element_wise(pc.max_element_wise(array, -most, skip_nulls=False), most, skip_nulls=False)
    rounded = pc.round(inside, kind.scale)
    if kind.precision + _DIGITS > _MOST_DIGITS:
        return rounded.cast(kind, safe=False)
    # Casting through text keeps the digits; a direct cast would show the rounding of float64.
    digits = rounded.cast(pa.string()).cast(pa.decimal256(_MOST_DIGITS, max(kind.scale, 0) + _DIGITS))
    return pc.round(digits, kind.scale).cast(kind)


def cells_of(name: Any, values: Any, kind: "pa.DataType") -> Column:
    """Converts Python values, None where one is missing, to the cells of a column.

    In a column of times, a date means its midnight, and a time without a zone is in the column's zone. Dates, times and
    durations may be text.

    Raises:
        ValueError: If a value is not of the column's type, or the column cannot hold it exactly.
    """
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_boolean(value_type):
        values = [bool(value) if type(value) is int and value in (0, 1) else value for value in values]
    try:
        array = _of_python(values, value_type)
    except (pa.ArrowException, TypeError, ValueError, LookupError, OverflowError) as error:
        wrong = values[0] if len(values) == 1 else values
        raise ValueError(f"column {name!r} holds {value_type}, not {wrong!r:.60}") from error
    array = array.dictionary_encode() if pa.types.is_dictionary(kind) else array
    cells = cells_in(name, pa.chunked_array([array]))
    is_decimal = pa.types.is_decimal(value_type)
    if (kind_of(value_type) == "date" or is_decimal) and not _array(cells, value_type, False).equals(array):
        digits = "numbers of at most 15 digits" if is_decimal else "times to the microsecond"
        raise ValueError(f"column {name!r} holds {digits}, and {values!r:.60} is finer: round it")
    return cells


def _of_python(values: Sequence[Any], kind: "pa.DataType") -> "pa.Array":
    """Makes an array of a type; raises an Arrow error or a ValueError if a value does not fit the type."""
    if pa.types.is_decimal(kind):
        is_number = [isinstance(v, int | float | np.number) and not isinstance(v, bool) and v == v for v in values]
        values = [Decimal(str(v)) if number else v for v, number in zip(values, is_number, strict=True)]
    if kind_of(kind) in ("integer", "number"):
        # With the type given at once, Arrow would cut fractions off to make integers.
        return pa.array(values, from_pandas=True).cast(kind)
    if kind_of(kind) != "date":
        return pa.array(values, kind, from_pandas=True).cast(kind)
    values = [_moment(value, kind) for value in values]
    # Arrow cuts digits of Python's times that a type cannot hold, but refuses to cast without loss.
    exact = kind
    if pa.types.is_time32(kind):
        exact = pa.time64("us")
    elif getattr(kind, "unit", None) in ("s", "ms"):
        exact = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")
    zone = getattr(kind, "tz", None)
    if zone is None or any(getattr(value, "tzinfo", None) is not None for value in values):
        return pa.array(values, exact, from_pandas=True).cast(kind)
    return in_zone(pa.array(values, pa.timestamp(exact.unit), from_pandas=True), zone).cast(kind)


def _moment(value: Any, kind: "pa.DataType") -> Any:
    """Converts a date, a time or a duration of any precision, or its text, to what Arrow accepts."""
    if isinstance(value, str):
        value = moment_of(value.strip(), kind)
    if isinstance(value, np.datetime64 | np.timedelta64):
        if np.isnat(value):
            return None
        exact = value.astype(f"{value.dtype.kind}8[us]")
        if exact != value:
            raise ValueError(f"{value} is finer than a microsecond")
        value = exact.item()
    if isinstance(value, datetime):
        if pa.types.is_date(kind) and value.time() != time():
            raise ValueError(f"{value} is no whole day")
        return value
    return datetime.combine(value, time()) if isinstance(value, date) and pa.types.is_timestamp(kind) else value


def moment_of(text: str, kind: "pa.DataType") -> Any:
    """Parses a date, a time or a duration of a type; times without an offset are in the zone of the type."""
    if pa.types.is_duration(kind):
        number, unit = re.findall(rf"^([+-]?\d+) *({'|'.join(UNITS)}|)$", text)[0]
        return np.timedelta64(int(number), UNITS[unit or kind.unit])
    zone, value = getattr(kind, "tz", None), pa.scalar(text)
    if zone is None or re.search(r"(Z|[+-]\d\d(:?\d\d)?)$", text[10:]):
        return value.cast(kind).as_py()
    return in_zone(value.cast(pa.timestamp(kind.unit)), zone).as_py()
