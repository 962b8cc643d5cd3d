"""Layout of a user's table, in which new rows are returned: container, names, types and categories."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.lazy import pa, pc
from pointillist.tables.names import check_names, name_from_json, name_to_json
from pointillist.tables.numbers import LabelColumn, Numbers
from pointillist.tables.table import Column, Table, is_numeric, kind_of, listed_categories, to_arrow
from pointillist.tables.text_formats import forms_in

KINDS = ("pandas", "polars", "pyarrow", "file", "array")
NUMBERS = ("bool", *(f"{sign}int{8 * n}" for sign in ("", "u") for n in (1, 2, 4, 8)), "float16", "float32", "float64")
"""NumPy's names of the types that columns of numbers may have."""


@dataclass(frozen=True)
class Layout:
    """Container, names and types of a table.

    Attributes:
        kind: Container, one of `KINDS`.
        plain_types: NumPy's names of the types of an array of numbers, or of a file of numbers, which have no schema.
        plain_names: Names of the columns of an array or file of numbers; None if they have none.
        schema_bytes: Arrow schema of any other table, serialized and in base64.
        categories: For each column of the schema, the categories that its type lists; None if the type lists none.
        is_nan: For each column of the schema, whether a missing number is NaN rather than null.
        headings: Column names of a pandas frame. If not all are text, the schema has indices instead.
    """

    kind: str
    plain_types: tuple[str, ...] = ()
    plain_names: tuple[Any, ...] | None = None
    schema_bytes: str | None = None
    categories: tuple[tuple[Any, ...] | None, ...] = ()
    is_nan: tuple[bool, ...] = ()
    headings: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS or (self.schema_bytes is None and self.kind != "array"):
            raise ValueError(f"rows of kind {self.kind!r} are not known, or have no types")
        n = len(self.plain_types) if self.schema_bytes is None else len(self.schema)
        if self.schema_bytes is not None:
            self._check_schema()
        elif any(name not in NUMBERS for name in self.plain_types):
            raise ValueError(f"columns hold types that are not numbers: {', '.join(self.plain_types)}")
        if (self.kind == "pandas") != (self.headings is not None):
            raise ValueError(f"rows of kind {self.kind!r} have the wrong headings")
        if self.names is not None:
            check_names(self.names)
            if len(self.names) != n:
                raise ValueError(f"there are {len(self.names)} names for {n} columns")

    def _check_schema(self) -> None:
        if not len(self.schema) == len(self.categories) == len(self.is_nan):
            raise ValueError("the layout's columns do not match its schema")
        for field, known in zip(self.schema, self.categories, strict=True):
            if not kind_of(field.type):
                raise ValueError("the layout has a column that is not a number, category or date")
            if (known is None) == pa.types.is_dictionary(field.type) or len({*(known or ())}) < len(known or ()):
                raise ValueError(f"column {field.name!r} lists categories twice, or its type has none")
            if known is not None:
                # Raises an error if the type has too few indices.
                pa.array(range(len(known)), field.type.index_type)

    @classmethod
    def from_schema(
        cls,
        kind: str,
        schema: "pa.Schema",
        headings: tuple[Any, ...] | None,
        categories: Sequence[Sequence[Any] | None] | None = None,
        is_nan: Sequence[bool] | None = None,
    ) -> "Layout":
        """Makes the layout of a table with a schema; by default, without listed categories and without NaN."""
        listed = tuple(None if each is None else tuple(each) for each in categories or [None] * len(schema))
        text = base64.b64encode(schema.serialize()).decode()
        flags = tuple(is_nan or [False] * len(schema))
        return cls(kind, schema_bytes=text, categories=listed, is_nan=flags, headings=headings)

    @classmethod
    def of(cls, table: Table, kind: str, headings: tuple[Any, ...] | None) -> "Layout":
        """Makes the layout of a table from its container."""
        categories, is_nan = [], []
        for column, cells in zip(table.arrow.columns, table.cells, strict=True):
            categories.append(None if cells.categories is None else listed_categories(column))
            has_nan = pa.types.is_floating(column.type) and column.null_count == 0
            is_nan.append(bool(has_nan and pc.any(pc.is_nan(column)).as_py()))
        return cls.from_schema(kind, table.arrow.schema, headings, categories, is_nan)

    def to_json(self) -> dict[str, Any]:
        """Converts to JSON values, which `from_json` reads."""
        headings = None if self.headings is None else {"names": [name_to_json(name) for name in self.headings]}
        names = None if self.plain_names is None else [name_to_json(name) for name in self.plain_names]
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"headings": headings, "plain_names": names}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Layout":
        """Rebuilds a layout from the result of `to_json`; raises a ValueError if the content is not valid."""
        names, headings, text = content["plain_names"], content["headings"], content["schema_bytes"]
        return cls(
            str(content["kind"]),
            tuple(map(str, content["plain_types"])),
            None if names is None else tuple(map(name_from_json, names)),
            None if text is None else str(text),
            tuple(None if each is None else tuple(each) for each in content["categories"]),
            tuple(bool(each) for each in content["is_nan"]),
            None if headings is None else tuple(map(name_from_json, headings["names"])),
        )

    @cached_property
    def schema(self) -> "pa.Schema":
        """Names and types, as an Arrow schema."""
        if self.schema_bytes is None:
            types = [pa.from_numpy_dtype(np.dtype(name)) for name in self.plain_types]
            return pa.schema([*zip(map(str, self.column_names), types, strict=True)])
        try:
            return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.schema_bytes, validate=True)))
        except (ValueError, pa.ArrowException, OSError) as error:
            raise ValueError(f"the layout's schema cannot be read: {error}") from error

    @property
    def names(self) -> Any:
        """Names of the columns; None if rows of numbers have none, and indices for an array of other columns."""
        if self.schema_bytes is None:
            return self.plain_names
        if self.kind == "array":
            return tuple(range(len(self.schema)))
        return tuple(self.schema.names) if self.headings is None else self.headings

    @property
    def column_names(self) -> tuple[Any, ...]:
        """Names of the columns; their indices if they have none."""
        return tuple(range(len(self.plain_types))) if self.names is None else self.names

    @property
    def column_types(self) -> tuple[Any, ...]:
        """Types of the columns in the format of `TableWriter`: NumPy's names without a schema, else Arrow types."""
        return self.types if self.schema_bytes is None else tuple(self.schema.types)

    @property
    def types(self) -> tuple[str, ...]:
        """NumPy's names of the columns' types; raises a ValueError if a column does not hold numbers."""
        types = self.plain_types
        if self.schema_bytes is not None:
            if not all(is_numeric(kind) for kind in self.schema.types):
                raise ValueError("columns hold types that are not numbers")
            types = tuple(np.dtype(kind.to_pandas_dtype()).name for kind in self.schema.types)
        if not types:
            raise ValueError("rows have no columns")
        return types

    @property
    def is_whole(self) -> Bool[np.ndarray, " d"]:
        """Whether each column holds integers or booleans."""
        return np.array([np.dtype(name).kind in "biu" for name in self.types])

    def columns(self, rows: Any) -> list[Any]:
        """Splits rows, as `assembled` returns them, into columns with the types of the layout."""
        if self.schema_bytes is not None:
            return rows.columns
        return [column.astype(name) for column, name in zip(rows.T, self.types, strict=True)]

    def numbers(self, rows: Any) -> Float[np.ndarray, "n d"]:
        """Converts rows of numbers, as `assembled` returns them, to a float64 array."""
        return np.stack(self.columns(rows), axis=1).astype(np.float64)

    def joined(self, parts: Sequence[Any]) -> Any:
        """Concatenates rows as `assembled` returns them."""
        if self.schema_bytes is None:
            return np.concatenate(parts)
        return pa.concat_tables(parts).unify_dictionaries()

    def type_of(self, name: Any) -> "pa.DataType | None":
        """Returns the Arrow type of a column; None if no column has this name."""
        names = self.column_names
        return self.schema.field(names.index(name)).type if name in names else None

    @property
    def forms(self) -> dict[str, str]:
        """Formats of columns in a CSV file that differ from the usual ones, by column."""
        return {} if self.schema_bytes is None else forms_in(self.schema)

    def order_of(self, name: Any) -> tuple[Any, ...] | None:
        """Returns all categories of a column in order; None if they have no order, or no column has this name."""
        is_ordered = getattr(self.type_of(name), "ordered", False)
        return self.categories[self.names.index(name)] if is_ordered else None

    def assembled(self, cells: tuple[Column, ...]) -> Any:
        """Makes rows from cells: a float64 array without a schema, and an Arrow table otherwise."""
        if self.schema_bytes is None:
            return np.stack([each.numbers for each in cells], axis=1)
        return self.table(cells)

    def filled(self, table: Table, cells: tuple[Column, ...]) -> Any:
        """Makes rows from a table whose missing cells are filled with drawn cells.

        All other cells stay as in the table, because a `Column` may not hold every digit of a date.
        """
        if self.schema_bytes is None:
            return self.assembled(cells)
        columns, drawn = [], self.table(cells)
        for observed, column, known in zip(table.arrow.columns, drawn.columns, table.cells, strict=True):
            is_kept = known.categories is None and observed.type == column.type
            columns.append(pc.if_else(pa.array(known.is_missing), column, observed) if is_kept else column)
        return pa.Table.from_arrays(columns, schema=drawn.schema)

    def table(self, cells: tuple[Column, ...]) -> "pa.Table":
        """Makes a table from cells."""
        full = [_with_all(each, known) for each, known in zip(cells, self.categories, strict=True)]
        return to_arrow(full, self.schema, nan_is_missing=self.is_nan)

    def with_labels(self, rows: Any, label: LabelColumn | None) -> Table:
        """Makes a table from rows, as `assembled` returns them, and their labels."""
        names = None if self.names is None else tuple(map(str, self.names))
        if self.schema_bytes is None:
            return Table(Numbers(rows, names, self.types, label))
        table = rows.rename_columns(names)
        if label is not None and label.name not in (names or ()):
            table = table.add_column(label.position, label.name, [label.values])
        return Table(table)

    def restore(self, rows: Any, index: Any = None) -> Any:
        """Converts rows, as `assembled` returns them, to the container of the layout, with an index for pandas."""
        if self.schema_bytes is None:
            return np.ascontiguousarray(rows.astype(np.result_type(*self.types)))
        if self.headings is not None:
            return _to_pandas(rows, self.headings, index)
        if self.kind == "polars":
            return _to_polars(rows, self.categories)
        return _to_array(rows) if self.kind == "array" else rows


def _with_all(cells: Column, known: tuple[Any, ...] | None) -> Column:
    """Returns cells with all categories that their type lists, including those without rows."""
    if known is None or cells.categories is None:
        return cells
    index_of = {category: i for i, category in enumerate(known)}
    indices = np.array([index_of[category] for category in cells.categories] or [0])
    return Column(np.where(cells.is_missing, 0, indices[cells.values]), cells.is_missing, known)


def _to_pandas(table: "pa.Table", names: Sequence[Any], index: Any) -> Any:
    """Makes a pandas frame with names and an index (None to number the rows), in the types of the metadata."""
    import pandas

    described = table.schema.pandas_metadata or {"columns": []}
    types = {str(column["field_name"]): str(column["numpy_type"]) for column in described["columns"]}
    # pandas cannot make every Arrow type from its name.
    arrow_names = [name for name in table.column_names if types.get(name, "").endswith("[pyarrow]")]
    table = with_pandas_types(table, dict.fromkeys(arrow_names)) if arrow_names else table
    frame = table.to_pandas()
    for name in table.column_names:
        column = table.column(name)
        if name in arrow_names:
            frame[name] = pandas.array(column, dtype=pandas.ArrowDtype(column.type))
        elif types.get(name) == "object" and frame[name].dtype != object:
            frame[name] = pandas.Series(column.to_pylist(), dtype=object)
    found = pandas.Index(names)
    # pandas converts names of several types to one type if it can, for example None to NaN.
    frame.columns = found if found.tolist() == [*names] else pandas.Index(names, object)
    if index is not None:
        frame.index = index
    return frame


def with_pandas_types(table: "pa.Table", types: Mapping[str, str | None]) -> "pa.Table":
    """Replaces the types of some columns in the metadata for pandas; None removes a column from the metadata."""
    described = table.schema.pandas_metadata
    columns = []
    for column in described["columns"]:
        kind = types.get(str(column["field_name"]), column["numpy_type"])
        columns += [] if kind is None else [{**column, "numpy_type": kind}]
    facts = json.dumps({**described, "columns": columns}).encode()
    return table.replace_schema_metadata({**table.schema.metadata, b"pandas": facts})


def _to_array(table: "pa.Table") -> np.ndarray:
    """Makes an array whose type holds all columns: objects if there is text, or an integer is missing."""
    if all(is_numeric(column.type) and not column.null_count for column in table.columns):
        columns = [column.to_numpy() for column in table.columns]
        return np.stack(columns, axis=1).astype(np.result_type(*(column.dtype for column in columns)))
    array = np.empty(table.shape, object)
    for i, column in enumerate(table.columns):
        array[:, i] = column.to_pylist()
    return array


def _to_polars(table: "pa.Table", categories: tuple[tuple[Any, ...] | None, ...]) -> Any:
    import polars

    frame: Any = polars.from_arrow(table)
    ordered = {
        field.name: polars.Enum(known)
        for field, known in zip(table.schema, categories, strict=True)
        if known is not None and field.metadata and any(b"ENUM" in key.upper() for key in field.metadata)
    }
    return frame.cast(ordered) if ordered else frame
