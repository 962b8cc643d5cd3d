"""Columns that are to be written, NumPy's or Arrow's, in the types of an Arrow schema."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


def schema_of(names: Sequence[str], types: Sequence[Any], *, has_categories: bool = True) -> "pa.Schema":
    """The schema of columns.

    Args:
        names: Names of the columns.
        types: Their types, by NumPy's names, "str", or Arrow's types.
        has_categories: Whether the file may hold categories; if not, they become what they stand for.
    """
    import pyarrow as pa

    def kind(type_: Any) -> "pa.DataType":
        if isinstance(type_, str):
            return pa.string() if type_ == "str" else pa.from_numpy_dtype(np.dtype(type_))
        if has_categories:
            return type_
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        # Arrow writes no views of text to CSV.
        return pa.large_string() if pa.types.is_string_view(plain) else plain

    return pa.schema(list(zip(names, map(kind, types), strict=True)))


def batch_of(columns: Sequence[Any], schema: "pa.Schema") -> "pa.RecordBatch":
    """Columns of one length, NumPy arrays or Arrow's, as a batch of a schema."""
    import pyarrow as pa

    def array(column: Any, kind: "pa.DataType") -> "pa.Array":
        if isinstance(column, np.ndarray):
            return pa.array(column, kind)
        whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        return whole.cast(kind)

    arrays = [array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
    return pa.record_batch(arrays, schema=schema)
