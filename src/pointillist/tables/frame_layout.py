"""Layout of a user's table, in which new rows are returned: container, names, types and categories."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.tables.headings import Headings
from pointillist.tables.names import check_names
from pointillist.tables.table import Column, MixedTable, kind_of, listed_categories, to_arrow
from pointillist.tables.time_formats import form_in

if TYPE_CHECKING:
    import pyarrow as pa

    from pointillist.columns.encoder import ColumnEncoder

KINDS = ("pandas", "polars", "pyarrow", "file", "array")


@dataclass(frozen=True)
class FrameLayout:
    """Container, names and types of a table.

    Attributes:
        kind: One of `KINDS`.
        schema_bytes: Arrow's schema, as Arrow serializes it, in base64.
        categories: For each column, the categories that its type lists; None if the type lists none.
        is_nan: For each column, whether a missing number is NaN rather than null.
        headings: Headings of a pandas frame. If not all names are text, the schema has numbers in their place.
    """

    kind: str
    schema_bytes: str
    categories: tuple[tuple[Any, ...] | None, ...]
    is_nan: tuple[bool, ...]
    headings: Headings | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"rows of kind {self.kind!r} are not known")
        if not len(self.schema.names) == len(self.categories) == len(self.is_nan) == len(self.names):
            raise ValueError("the layout's columns are not those of its schema")
        if not all(kind_of(field.type) for field in self.schema):
            raise ValueError("the layout has a column that is not a number, category or date")
        if (self.kind == "pandas") != (self.headings is not None):
            raise ValueError(f"rows of kind {self.kind!r} have the wrong headings")
        check_names(self.names)

    @classmethod
    def of(cls, table: MixedTable, kind: str, headings: Headings | None) -> "FrameLayout":
        """Returns the layout of a table that came in a kind of container."""
        import pyarrow as pa
        import pyarrow.compute as pc

        categories, is_nan = [], []
        for column, cells in zip(table.arrow.columns, table.cells, strict=True):
            categories.append(None if cells.categories is None else listed_categories(column))
            has_nan = pa.types.is_floating(column.type) and column.null_count == 0
            is_nan.append(bool(has_nan and pc.any(pc.is_nan(column)).as_py()))
        text = base64.b64encode(table.arrow.schema.serialize()).decode()
        return cls(kind, text, tuple(categories), tuple(is_nan), headings)

    def to_json(self) -> dict[str, Any]:
        """Converts to JSON values, which `from_json` reads."""
        headings = None if self.headings is None else self.headings.to_json()
        return {**{f.name: getattr(self, f.name) for f in fields(self)}, "headings": headings}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "FrameLayout":
        """Reads what `to_json` wrote.

        Raises:
            ValueError: If the values describe no valid layout.
        """
        return cls(
            str(content["kind"]),
            str(content["schema_bytes"]),
            tuple(None if each is None else tuple(each) for each in content["categories"]),
            tuple(bool(each) for each in content["is_nan"]),
            Headings.from_json(content["headings"]),
        )

    @cached_property
    def schema(self) -> "pa.Schema":
        """Names and types, as an Arrow schema."""
        import pyarrow as pa

        try:
            return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.schema_bytes, validate=True)))
        except (ValueError, pa.ArrowException, OSError) as error:
            raise ValueError(f"the layout's schema cannot be read: {error}") from error

    def check_code(self, code: "ColumnEncoder", field: "pa.Field") -> None:
        """Raises an error if a column's code does not fit its type, which only a false claim of a file can cause.

        Raises:
            ValueError: If only one of them has categories, or if the categories do not fit the type.
        """
        import pyarrow as pa

        is_category = kind_of(field.type) in ("category", "truth")
        if is_category != (code.categories is not None):
            raise ValueError(f"column {code.name!r} holds {field.type}, but its code is for another type")
        if is_category:
            of_values = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
            pa.array(code.categories, of_values)
            known = self.categories[self.names.index(code.name)]
            if (known is None) == pa.types.is_dictionary(field.type) or len(set(known or ())) < len(known or ()):
                raise ValueError(f"column {code.name!r} lists categories twice, or its type has none")
            if known is not None:
                pa.array(range(len(known)), field.type.index_type)
                pa.array(known, of_values)
            if known is not None and not {*(code.categories or ())} <= {*known}:
                raise ValueError(f"column {code.name!r} has categories that its type lacks")

    @property
    def names(self) -> tuple[Any, ...]:
        """Names of the columns; in an array, their positions."""
        if self.kind == "array":
            return tuple(range(len(self.schema)))
        return tuple(self.schema.names) if self.headings is None else self.headings.names

    def type_of(self, name: Any) -> "pa.DataType | None":
        """Returns Arrow's type of a column; None if there is no column of that name."""
        return self.schema.field(self.names.index(name)).type if name in self.names else None

    @property
    def forms(self) -> dict[str, str]:
        """Formats of dates and times in a CSV file that differ from the usual one, by column, for `strftime`."""
        found = {field.name: form_in(field) for field in self.schema}
        return {name: form for name, form in found.items() if form is not None}

    def order_of(self, name: Any) -> tuple[Any, ...] | None:
        """Returns all categories of a column in their order; None if they have none, or there is no such column."""
        is_ordered = getattr(self.type_of(name), "ordered", False)
        return self.categories[self.names.index(name)] if is_ordered else None

    def table(self, cells: tuple[Column, ...]) -> "pa.Table":
        """Makes a table of this layout from cells."""
        full = [_with_all(each, known) for each, known in zip(cells, self.categories, strict=True)]
        return to_arrow(full, self.schema, nan_is_missing=self.is_nan)

    def restore(self, table: "pa.Table", index: Any = None) -> Any:
        """Converts a table of this layout to the container that the layout was taken from.

        Args:
            table: The table.
            index: Index for a pandas frame; by default its rows are numbered.
        """
        if self.headings is not None:
            return self.headings.put_on(_to_pandas(table), index)
        if self.kind == "polars":
            return _to_polars(table, self.categories)
        return _to_array(table) if self.kind == "array" else table


def _with_all(cells: Column, known: tuple[Any, ...] | None) -> Column:
    """Cells with all categories that the type lists, also those that no row has."""
    if known is None or cells.categories is None:
        return cells
    places = np.array([known.index(category) for category in cells.categories] or [0])
    return Column(np.where(cells.is_missing, 0, places[cells.values]), cells.is_missing, known)


def _to_pandas(table: "pa.Table") -> Any:
    """A frame of pandas, whose columns have the types that the schema's metadata names."""
    described = table.schema.pandas_metadata or {"columns": []}
    types = {str(column["field_name"]): str(column["numpy_type"]) for column in described["columns"]}
    # pandas cannot make every type of Arrow from its name.
    of_arrow = [name for name in table.column_names if types.get(name, "").endswith("[pyarrow]")]
    table = described_anew(table, dict.fromkeys(of_arrow)) if of_arrow else table
    frame = table.to_pandas()
    import pandas

    for name in of_arrow:
        column = table.column(name)
        frame[name] = pandas.array(column, dtype=pandas.ArrowDtype(column.type))
    for name in table.column_names:
        if types.get(name) == "object" and frame[name].dtype != object:
            frame[name] = pandas.Series(table.column(name).to_pylist(), dtype=object)
    return frame


def described_anew(table: "pa.Table", types: Mapping[str, str | None]) -> "pa.Table":
    """Changes what the metadata for pandas calls the types of some columns; None for nothing."""
    described = table.schema.pandas_metadata
    columns = []
    for column in described["columns"]:
        kind = types.get(str(column["field_name"]), column["numpy_type"])
        columns += [] if kind is None else [{**column, "numpy_type": kind}]
    facts = json.dumps({**described, "columns": columns}).encode()
    return table.replace_schema_metadata({**table.schema.metadata, b"pandas": facts})


def _to_array(table: "pa.Table") -> np.ndarray:
    """An array of a type that holds all columns: Python objects if there is text, or an integer is missing."""
    from pyarrow import types

    is_number = [
        (types.is_integer(column.type) or types.is_boolean(column.type) or types.is_floating(column.type))
        and not column.null_count
        for column in table.columns
    ]
    if all(is_number):
        columns = [column.to_numpy() for column in table.columns]
        return np.stack(columns, axis=1).astype(np.result_type(*(column.dtype for column in columns)))
    array = np.empty(table.shape, object)
    for place, column in enumerate(table.columns):
        array[:, place] = column.to_pylist()
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
