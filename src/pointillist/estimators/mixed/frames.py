"""What a user's table came as, so that new rows can come the same: kind of frame, names, types, categories."""

import base64
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from pointillist.points.mixed import Cells, MixedTable, kind_of, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

KINDS = ("pandas", "polars", "pyarrow", "file")


@dataclass(frozen=True)
class FrameLayout:
    """Kind, names and types of a table.

    Attributes:
        kind: One of `KINDS`.
        schema_bytes: Arrow's schema, as Arrow writes it, in base64.
        categories: Of each column whose type lists its categories, these; else None.
        is_nan: Of each column, whether a missing number is NaN there, not null.
    """

    kind: str
    schema_bytes: str
    categories: tuple[tuple[Any, ...] | None, ...]
    is_nan: tuple[bool, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"rows of kind {self.kind!r} are not known")
        if not len(self.schema.names) == len(self.categories) == len(self.is_nan):
            raise ValueError("the layout's columns are not those of its schema")
        if not all(kind_of(field.type) for field in self.schema):
            raise ValueError("the layout has a column that is no number, category or date")

    @classmethod
    def of(cls, table: MixedTable, kind: str) -> "FrameLayout":
        """The layout of a table that came as a kind of frame."""
        import pyarrow as pa
        import pyarrow.compute as pc

        categories, is_nan = [], []
        for column, cells in zip(table.arrow.columns, table.cells, strict=True):
            categories.append(cells.categories if pa.types.is_dictionary(column.type) else None)
            has_nan = pa.types.is_floating(column.type) and column.null_count == 0
            is_nan.append(bool(has_nan and pc.any(pc.is_nan(column)).as_py()))
        text = base64.b64encode(table.arrow.schema.serialize()).decode()
        return cls(kind, text, tuple(categories), tuple(is_nan))

    @cached_property
    def schema(self) -> "pa.Schema":
        """Names and types, as Arrow has them."""
        import pyarrow as pa

        try:
            return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.schema_bytes, validate=True)))
        except (ValueError, pa.ArrowException, OSError) as error:
            raise ValueError(f"the layout's schema cannot be read: {error}") from error

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(self.schema.names)

    def table(self, cells: tuple[Cells, ...]) -> "pa.Table":
        """Cells as a table of this layout."""
        full = [_with_all(each, known) for each, known in zip(cells, self.categories, strict=True)]
        return to_arrow(full, self.schema, nan_is_missing=self.is_nan)

    def restore(self, table: "pa.Table") -> Any:
        """A table of this layout as the kind of frame that it was taken from."""
        if self.kind == "pandas":
            return table.to_pandas()
        if self.kind == "polars":
            return _to_polars(table, self.categories)
        return table


def _with_all(cells: Cells, known: tuple[Any, ...] | None) -> Cells:
    """Cells whose categories are all that the type lists, also those that no row has."""
    if known is None or cells.categories is None:
        return cells
    places = np.array([known.index(category) for category in cells.categories])
    return Cells(np.where(cells.is_missing, 0, places[cells.values]), cells.is_missing, known)


def _to_polars(table: "pa.Table", categories: tuple[tuple[Any, ...] | None, ...]) -> Any:
    import polars

    frame: Any = polars.from_arrow(table)
    ordered = {
        field.name: polars.Enum(known)
        for field, known in zip(table.schema, categories, strict=True)
        if known is not None and field.metadata and any(b"ENUM" in key.upper() for key in field.metadata)
    }
    return frame.cast(ordered) if ordered else frame


def table_of(X: Any) -> tuple[MixedTable, str] | None:
    """A data frame, an Arrow table or the table of a file, and its kind; None for anything else.

    Raises:
        ValueError: In one line, if a column's values are of several kinds.
    """
    if isinstance(X, MixedTable):
        return X, "file"
    if not nw.dependencies.is_into_dataframe(X):
        return None
    try:
        frame = nw.from_native(X, eager_only=True)
    except nw.exceptions.DuplicateError:
        return None
    kind = frame.implementation.value
    if kind == "pandas":
        return _of_pandas(X), kind
    if kind == "pyarrow":
        return MixedTable(X), kind
    return None if kind != "polars" else _of_polars(X)


def _of_polars(frame: Any) -> tuple[MixedTable, str] | None:
    try:
        return MixedTable(frame.to_arrow()), "polars"
    except ValueError:
        # A type that Arrow has not, which is then no number either.
        return None


def _of_pandas(frame: Any) -> MixedTable:
    import pyarrow as pa

    try:
        return MixedTable(pa.Table.from_pandas(frame, preserve_index=False))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        reason = " ".join(str(part) for part in error.args)
        found = re.search(r"Conversion failed for column (.*) with type", reason)
        if not found:
            raise ValueError(f"X cannot be read ({' '.join(reason.split())}): give columns of one kind") from error
        raise ValueError(f"column {found[1]!r} holds values of several kinds: give it one kind, or drop it") from error
