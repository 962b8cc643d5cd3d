"""The values of a label column, gathered block by block: integers, booleans or text."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from pointillist.tables.number_table import Columns, LabelColumn, shown

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_LABEL = 200
"""Most characters that a label may have; NumPy gives every label the space of the longest."""


class Labels:
    """Gathers labels; each distinct label is held once per block.

    Args:
        columns: The columns of the file, one of which holds labels.
        convert: Makes an array of the distinct labels, once all are seen.
    """

    def __init__(self, columns: Columns, convert: Callable[[list], np.ndarray]) -> None:
        assert columns.label is not None, "only a file with a label column has labels"
        self._columns = columns
        self.position = columns.label
        self._convert = convert
        self._chunks: list[pa.DictionaryArray] = []

    def append(self, values: "pa.Array", start: int) -> None:
        """Adds labels.

        Args:
            values: An Arrow array of int64, bool, float64 or text; null where a label is missing.
            start: Number of the row of the first, from 1.

        Raises:
            ValueError: If a label is missing, infinite, or too long.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_floating(values.type):
            infinite = np.flatnonzero(np.isinf(values.to_numpy(zero_copy_only=False)))
            if len(infinite):
                raise self._columns.bad_value("an infinite value", start + int(infinite[0]), self.position)
        missing = np.flatnonzero(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False))
        if len(missing):
            raise self._columns.bad_value("has a missing value", start + int(missing[0]), self.position)
        if pa.types.is_string(values.type):
            longest = pc.max(pc.utf8_length(values)).as_py() or 0
            if longest > LONGEST_LABEL:
                raise self._columns.error(
                    f"the label column {shown(self._columns.names[self.position])} holds a text of {longest} "
                    f"characters; labels have at most {LONGEST_LABEL}"
                )
        self._chunks.append(values.dictionary_encode())

    def column(self) -> LabelColumn:
        """The label column; at least one block must have been added."""
        import pyarrow as pa

        chunks = pa.chunked_array(self._chunks).unify_dictionaries().chunks
        distinct = chunks[0].dictionary
        values = self._convert(distinct.to_pylist())
        places = np.concatenate([chunk.indices.to_numpy() for chunk in chunks])
        return LabelColumn(self._columns.names[self.position], self.position, values[places])
