"""Tables of columns of any kind: integers, other numbers, booleans, text, categories and dates, with missing cells.

They are passed around as Arrow tables, whose schema gives each column's type.
"""

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
from pointillist.tables.numbers import LabelColumn, Numbers
from pointillist.tables.row_blocks import blocks
from pointillist.tables.spool import Spool

_DIGITS, _MOST_DIGITS = 17, 76
"""Most digits that distinguish numbers of float64, and that are in Arrow's decimals."""


@dataclass(frozen=True)
class Column:
    """The cells of a column.

    Attributes:
        values: Shape (n,): numbers, or indices of categories; arbitrary where a cell is missing.
        is_missing: Shape (n,): which cells are missing.
        categories: What the indices stand for: text, numbers or booleans; None for a column of numbers.
        is_date: Whether the numbers stand for dates, times or durations.
    """

    values: np.ndarray
    is_missing: Bool[np.ndarray, " n"]
    categories: tuple[Any, ...] | None = None
    is_date: bool = False

    @property
    def numbers(self) -> np.ndarray:
        """Numbers or truth values as float64, shape (n,): of the latter 0 and 1, whichever of them there are."""
        if self.categories is None:
            return self.values.astype(np.float64)
        return np.array(self.categories or [0], np.float64)[self.values.astype(np.int64)]

    def part(self, rows: slice, n: int) -> "Column":
        """The cells of n rows; a single cell is repeated for all of them."""
        if len(self.values) == 1:
            return Column(np.repeat(self.values, n), np.repeat(self.is_missing, n), self.categories)
        return Column(self.values[rows], self.is_missing[rows], self.categories)

    def take(self, places: Int[np.ndarray, " n"]) -> "Column":
        """The cells at some places."""
        return replace(self, values=self.values[places], is_missing=self.is_missing[places])

    @classmethod
    def joined(cls, parts: "Sequence[Column]") -> "Column":
        """The cells of several parts of a column, one after another."""
        values = np.concatenate([each.values for each in parts])
        return replace(parts[0], values=values, is_missing=np.concatenate([each.is_missing for each in parts]))


def columns_of(rows: Float[np.ndarray, "n d"]) -> tuple[Column, ...]:
    """Returns the columns of rows of numbers without missing cells."""
    return tuple(Column(column, np.zeros(len(rows), bool)) for column in rows.T)


def medians(draws: Sequence[Column]) -> Column:
    """The medians of draws of numbers; none of them is missing."""
    return replace(draws[0], values=np.median([each.values for each in draws], axis=0))


def modes(draws: Sequence[Column]) -> Column:
    """The most frequent values of draws of cells, the first in order of equally frequent ones; none is missing."""
    values = np.sort([each.values for each in draws], axis=0)
    runs = np.ones(values.shape, np.int64)
    for i in range(1, len(values)):
        runs[i] += np.where(values[i] == values[i - 1], runs[i - 1], 0)
    return replace(draws[0], values=np.take_along_axis(values, runs.argmax(axis=0)[None], axis=0)[0])


class Table:
    """A table of columns of any kind.

    Args:
        columns: The columns as Arrow holds them, or rows of numbers.
        label: Name of the column that holds labels, if Arrow holds the columns; None if there is none.
        own_names: The columns' names if they are not all text, which is all that Arrow supports.

    Attributes:
        label: Name of the column that holds labels; None if there is none.
        own_names: The columns' names if they are not all text.
        is_rows: Whether the table is held as rows of numbers, which may be mapped from a file.
    """

    def __init__(
        self, columns: "pa.Table | Numbers", label: Any = None, own_names: tuple[Any, ...] | None = None
    ) -> None:
        self.is_rows = isinstance(columns, Numbers)
        self.own_names = own_names
        if isinstance(columns, Numbers):
            self.numbers = columns
            self.label = None if columns.label is None else columns.label.name
        else:
            self.arrow, self.label = columns, label

    @cached_property
    def names(self) -> tuple[Any, ...]:
        """Names of the columns, the label's included; their indices if they have none."""
        if not self.is_rows:
            return tuple(self.arrow.column_names) if self.own_names is None else self.own_names
        d, label = len(self.numbers.types), self.numbers.label
        names = list(self.numbers.names or [str(i) for i in range(d + 1) if label is None or i != label.position][:d])
        if label is not None:
            names.insert(label.position, label.name)
        return tuple(names)

    @property
    def has_names(self) -> bool:
        """Whether the columns have names, as those of an array have not."""
        return not self.is_rows or self.numbers.names is not None

    def listed(self) -> str:
        """The names, for use in a message."""
        return listed([str(name) for name in self.names])

    def __len__(self) -> int:
        return len(self.numbers.rows) if self.is_rows else self.arrow.num_rows

    @cached_property
    def arrow(self) -> "pa.Table":
        """The table as Arrow holds it."""
        numbers = self.numbers
        columns = [pa.array(column.astype(kind)) for column, kind in zip(numbers.rows.T, numbers.types, strict=True)]
        if numbers.label is not None:
            columns.insert(numbers.label.position, pa.array(numbers.label.values))
        return pa.table(columns, names=self.names)

    def select(self, names: Sequence[Any]) -> "Table":
        """The table with some of its columns, in the order of the names."""
        if not self.is_rows:
            indices = [self.names.index(name) for name in names]
            return Table(self.arrow.select(indices), self.label, None if self.own_names is None else tuple(names))
        numbers, label = self.numbers, self.numbers.label
        known = [name for name in self.names if name != self.label]
        indices = [known.index(name) for name in names if name != self.label]
        spool = Spool(len(indices))
        for block in blocks(numbers.rows):
            spool.append(np.take(block, indices, axis=1))
        label = replace(label, position=list(names).index(label.name)) if label and label.name in names else None
        types = tuple(numbers.types[i] for i in indices)
        return Table(Numbers(spool.rows(), tuple(known[i] for i in indices), types, label))

    def with_column(self, name: Any, cells: "pa.ChunkedArray") -> "Table":
        """The table with other cells in one of its columns."""
        i = self.names.index(name)
        return Table(self.arrow.set_column(i, self.arrow.field(i).name, cells), self.label, self.own_names)

    @cached_property
    def cells(self) -> tuple[Column, ...]:
        """The cells of each column; raises a ValueError if one holds neither numbers, categories nor dates."""
        return tuple(cells_in(name, column) for name, column in zip(self.names, self.arrow.columns, strict=True))

    def column(self, name: Any) -> Column:
        """The cells of one column; the others may hold anything."""
        return cells_in(name, self.arrow.column(self.names.index(name)))

    @cached_property
    def is_plain(self) -> bool:
        """Whether all columns but the label's are numbers or booleans, and no cell is missing."""
        return self.is_rows or (
            all(
                is_numeric(column.type)
                for name, column in zip(self.names, self.arrow.columns, strict=True)
                # Labels of a table of numbers are numbers too, or text.
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
        label = None
        if self.label is not None:
            own = cells[self.label]
            kind = kind_of(kinds[self.label])
            if kind == "date":
                raise ValueError(f"labels must be numbers, booleans or text, and column {self.label!r} holds dates")
            values = own.values if own.categories is None else np.array(own.categories)[own.values.astype(np.int64)]
            values = values.astype(np.int64) if kind == "integer" else values
            label = LabelColumn(self.label, self.names.index(self.label), values)
        return Numbers(rows, tuple(kept), types, label)

    def arrays(self) -> dict[str, np.ndarray]:
        """Each column: numbers as float64, NaN where missing; categories as text, None where missing."""
        arrays = {}
        for name, cells in zip(self.names, self.cells, strict=True):
            if cells.categories is None:
                arrays[name] = np.where(cells.is_missing, np.nan, cells.values)
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
"""Arrow's tests of types, by kind."""


def kind_of(kind: "pa.DataType") -> str:
    """Kind of an Arrow type: "number", "integer", "date", "boolean" or "category"; "" if it is none of them."""
    if pa.types.is_dictionary(kind):
        is_known = pa.types.is_floating(kind.value_type) or kind_of(kind.value_type) in (
            "category",
            "integer",
            "boolean",
        )
        return "category" if is_known else ""
    return next((own for own, tests in _KINDS.items() for test in tests if getattr(pa.types, f"is_{test}")(kind)), "")


def is_numeric(kind: "pa.DataType") -> bool:
    """Whether a column of an Arrow type holds numbers of NumPy's types, or booleans."""
    return kind_of(kind) in ("integer", "boolean") or pa.types.is_floating(kind)


def cells_in(name: Any, column: "pa.ChunkedArray") -> Column:
    """Returns the cells of a column; raises a ValueError if it holds neither numbers, categories nor dates."""
    kind = kind_of(column.type)
    if not kind:
        raise ValueError(f"column {name!r} {refusal(column.type)}")
    array = _whole(column)
    if kind in ("category", "boolean"):
        array = _with_categories(array)
        is_missing = np.asarray(array.is_null())
        order = array.dictionary.to_pylist()
        if any(isinstance(category, float) and abs(category) == np.inf for category in order):
            raise ValueError(f"column {name!r} holds an infinite value: drop or clip such rows first")
        # Unordered types list their categories in different orders: sorted, every container gives the same tokens.
        is_ordered = getattr(column.type, "ordered", False)
        ranks = range(len(order)) if is_ordered else np.argsort(np.argsort(np.array(order, object)))
        categories = [None] * len(order)
        for rank, category in zip(ranks, order, strict=True):
            categories[rank] = category
        indices = np.asarray(pc.fill_null(array.indices, 0))
        values = np.asarray(ranks)[indices] if len(order) else np.zeros(len(array), np.int64)
        return Column(values, is_missing, tuple(categories))
    if kind == "date":
        # Days begin at midnight of the local time.
        array = array if getattr(array.type, "tz", None) is None else pc.local_timestamp(array)
        array = pc.divide(pc.cast(array, _whole_type(array.type), safe=False), _fineness(array.type))
    is_missing = np.asarray(array.is_null(nan_is_null=True))
    array = pc.fill_null(array, 0)
    # As they are written: a cast takes them to other numbers than those with their digits.
    if pa.types.is_decimal(array.type) or pa.types.is_float32(array.type):
        array = pc.cast(array, pa.string())
    elif pa.types.is_float16(array.type):
        array = pa.array(np.asarray(array).astype(str))
    values = np.asarray(pc.cast(array, pa.float64(), safe=False))
    is_exact = kind in ("integer", "date") or pa.types.is_decimal(column.type)
    is_beyond = is_exact and (np.abs(values) > LARGEST_INTEGER).any()
    if pa.types.is_integer(array.type) and len(array):
        # As float64, an integer beyond may look like one that is not.
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
        raise ValueError(f"column {name!r} holds an infinite value: drop or clip such rows first")
    return Column(np.where(is_missing, 0.0, values), is_missing, is_date=kind == "date")


def listed_categories(column: "pa.ChunkedArray") -> tuple[Any, ...] | None:
    """Returns the categories that the type of a column lists, in its order; None if it lists none."""
    if not pa.types.is_dictionary(column.type):
        return None
    return tuple(_with_categories(_whole(column)).dictionary.to_pylist())


def _whole(column: "pa.ChunkedArray") -> "pa.Array":
    """Joins the chunks of a column."""
    array = column.combine_chunks()
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def refusal(kind: "pa.DataType") -> str:
    """Says what a column holds that is no column for a model, and the way out."""
    of_values = kind.value_type if pa.types.is_dictionary(kind) else kind
    name = str(getattr(of_values, "extension_name", ""))
    if name in ("pandas.interval", "pandas.period"):
        return f"holds {name.removeprefix('pandas.')}s: make them text, or drop it"
    if of_values is not kind:
        return f"holds categories of {of_values}: make them text, or plain values, or drop it"
    return f"holds {kind}, which is not a number, category or date: drop it"


def _with_categories(array: "pa.Array") -> "pa.DictionaryArray":
    """An array as indices of categories, which are distinct and not missing."""
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    if pa.types.is_dictionary(array.type):
        known = array.dictionary
        is_clean = known.null_count == 0 and len(known.unique()) == len(known)
        if is_clean and not pa.types.is_floating(known.type):
            return array
        array = array.dictionary_decode()
        if pa.types.is_floating(array.type):
            # Zero has two signs, and is one category.
            array = pc.add(pc.if_else(pc.is_nan(array), None, array), pa.scalar(0, array.type))
        elif pa.types.is_string_view(array.type):
            array = array.cast(pa.large_string())
        if is_clean and pa.types.is_floating(known.type):
            # In their own order, also those that no row has.
            known = pc.unique(pc.add(known.filter(pc.invert(pc.is_nan(known))), pa.scalar(0, known.type)))
            return pa.DictionaryArray.from_arrays(pc.index_in(array, known), known)
    return array.dictionary_encode()


def _whole_type(kind: "pa.DataType") -> "pa.DataType":
    """The integer type that stores a type of dates."""
    return pa.int64() if kind.bit_width == 64 else pa.int32()


def _fineness(kind: "pa.DataType") -> int:
    """Divisor that makes times integers that float64 holds exactly: nanoseconds become microseconds."""
    return 1000 if getattr(kind, "unit", "") == "ns" else 1


def to_arrow(
    cells: Sequence[Column], schema: "pa.Schema", *, nan_is_missing: Sequence[bool] | None = None
) -> "pa.Table":
    """Makes an Arrow table.

    Args:
        cells: Cells of each column of the schema.
        schema: Names and types of the columns.
        nan_is_missing: For each column, whether a missing number is written as NaN; null by default.
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
            # Arrow cannot take views.
            return pa.array(cells.categories, pa.large_string()).take(indices).cast(kind)
        if not pa.types.is_dictionary(kind):
            return pa.array(cells.categories, value_type).take(indices)
        # To cast the whole would lose the categories of no rows.
        indices, categories = indices.cast(kind.index_type), pa.array(cells.categories, value_type)
        return pa.DictionaryArray.from_arrays(indices, categories, ordered=kind.ordered)
    values = np.where(cells.is_missing, np.nan if is_nan else 0.0, cells.values)
    kind_ = kind_of(kind)
    if kind_ in ("integer", "date"):
        # A sum that is restored may lie beyond the type.
        whole = pa.array(np.clip(np.round(values), *_ends(kind)).astype(np.int64), mask=mask)
        if kind_ == "integer":
            return pc.cast(whole, kind)
        whole = pc.cast(pc.multiply(whole, _fineness(kind)), _whole_type(kind))
        if getattr(kind, "tz", None) is None:
            return pc.cast(whole, kind)
        local = pc.cast(whole, pa.timestamp(kind.unit))
        return pc.assume_timezone(local, kind.tz, ambiguous="earliest", nonexistent="latest")
    if kind_ == "boolean":
        return pa.array(values > 0.5, mask=mask)
    array = pa.array(values, mask=mask)
    return array.cast(kind, safe=False) if pa.types.is_floating(kind) else _decimal(array, kind)


def _ends(kind: "pa.DataType") -> tuple[int, int]:
    """The least and the greatest number that a type of integers or dates holds, of those that float64 holds exactly."""
    if pa.types.is_time(kind):
        return 0, 86_400 * {"s": 1, "ms": 10**3}.get(kind.unit, 10**6) - 1
    known = np.iinfo(kind.to_pandas_dtype() if pa.types.is_integer(kind) else f"int{kind.bit_width}")
    return max(known.min, -LARGEST_INTEGER), min(known.max, LARGEST_INTEGER)


def _decimal(array: "pa.Array", kind: "pa.DataType") -> "pa.Array":
    # A sum that is restored may lie beyond the type.
    end = 10.0 ** (kind.precision - kind.scale)
    most = min(end - 10.0**-kind.scale, float(np.nextafter(end, 0)))
    inside = pc.min_element_wise(pc.max_element_wise(array, -most, skip_nulls=False), most, skip_nulls=False)
    rounded = pc.round(inside, kind.scale)
    if kind.precision + _DIGITS > _MOST_DIGITS:
        return rounded.cast(kind, safe=False)
    # By their digits: a cast takes them to what float64 holds in their place.
    digits = rounded.cast(pa.string()).cast(pa.decimal256(_MOST_DIGITS, max(kind.scale, 0) + _DIGITS))
    return pc.round(digits, kind.scale).cast(kind)


def cells_of(name: Any, values: Any, kind: "pa.DataType") -> Column:
    """Converts Python values, None where one is missing, to the cells of a column.

    A day is its midnight in a column of times, and midnight a day in one of days; a time without a time zone is in that
    of its column.

    Raises:
        ValueError: If a value is not of the column's type, or the column cannot hold it exactly.
    """
    of_values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_boolean(of_values):
        values = [bool(value) if type(value) is int and value in (0, 1) else value for value in values]
    try:
        array = _of_python(values, of_values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        wrong = values[0] if len(values) == 1 else values
        raise ValueError(f"column {name!r} holds {of_values}, and {wrong!r:.60} is not that") from error
    array = array.dictionary_encode() if pa.types.is_dictionary(kind) else array
    cells = cells_in(name, pa.chunked_array([array]))
    is_decimal = pa.types.is_decimal(of_values)
    if (kind_of(of_values) == "date" or is_decimal) and not _array(cells, of_values, False).equals(array):
        digits = "numbers of at most 15 digits" if is_decimal else "times to the microsecond"
        raise ValueError(f"column {name!r} holds {digits}, and {values!r:.60} is finer: round it")
    return cells


def _of_python(values: Sequence[Any], kind: "pa.DataType") -> "pa.Array":
    """An array of a type of Python values; an error of Arrow's or a ValueError if one is not of it."""
    if pa.types.is_decimal(kind):
        kinds = int | float | np.number
        are_numbers = [isinstance(v, kinds) and not isinstance(v, bool) and v == v for v in values]
        values = [Decimal(str(v)) if is_number else v for v, is_number in zip(values, are_numbers, strict=True)]
    if kind_of(kind) in ("integer", "number"):
        # First without a type, as Arrow would cut fractions to fit one of integers.
        return pa.array(values, from_pandas=True).cast(kind)
    if kind_of(kind) != "date":
        return pa.array(values, kind, from_pandas=True).cast(kind)
    values = [_moment(value, kind) for value in values]
    zone, exact = getattr(kind, "tz", None), _to_the_microsecond(kind)
    if zone is None or any(getattr(value, "tzinfo", None) is not None for value in values):
        return pa.array(values, exact, from_pandas=True).cast(kind)
    local = pa.array(values, pa.timestamp(exact.unit), from_pandas=True)
    return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest").cast(kind)


def _to_the_microsecond(kind: "pa.DataType") -> "pa.DataType":
    """The type that holds what Python's values say: Arrow would cut their digits, but casts to a type without loss."""
    if pa.types.is_time32(kind):
        return pa.time64("us")
    if getattr(kind, "unit", None) not in ("s", "ms"):
        return kind
    return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")


def _moment(value: Any, kind: "pa.DataType") -> Any:
    """A date, a time or a duration as Arrow takes it, whatever its precision."""
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
