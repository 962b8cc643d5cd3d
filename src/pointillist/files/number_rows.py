"""Rows of numbers from a file, read in blocks, with a label column, and errors about single values."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import LARGEST_INTEGER
from pointillist.files.formats import ReadOptions
from pointillist.foreign_text import listed, shown
from pointillist.lazy import pa, pc
from pointillist.tables.numbers import LONGEST_LABEL, LabelColumn, Numbers, Spool
from pointillist.tables.table import Table


class NotNumbers(ValueError):
    """Error about a well-formed table that holds more than numbers."""


def check_names(path: Path, names: Sequence[str], required: Sequence[str] = ()) -> None:
    """Raises a ValueError if there are no columns, two have the same name, or a required one is absent."""
    if not names:
        raise ValueError(f"{path}: has no columns")
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{path}: {times} columns are named {shown(name)}; names must differ")
    for name in required:
        if name not in names:
            raise ValueError(f"{path}: there is no column {shown(name)}; the columns are {listed(names)}")


def check_enough(n: int, path: Path, min_rows: int) -> None:
    """Raises a ValueError if a file of `n` rows has too few."""
    if n < min_rows:
        needed = "1 is" if min_rows == 1 else f"{min_rows} are"
        raise ValueError(f"{path}: has {n} row{'' if n == 1 else 's'}; at least {needed} needed")


class NumberRows:
    """Gathers rows of numbers block by block, with their labels.

    Args:
        path: The file.
        names: Names of all its columns; their indices if the file has no names.
        label: Name of the label column; None without labels.
        missing: Description of a NaN, for messages.

    Attributes:
        label: Index of the label column; None without labels.
        kept: Indices of all other columns.
        n: Number of rows so far.
        spool: The rows so far.
    """

    def __init__(
        self, path: Path, names: Sequence[str], label: str | None, missing: str = "has a missing value"
    ) -> None:
        check_names(path, names, [] if label is None else [label])
        if label is not None and len(names) == 1:
            raise ValueError(f"{path}: has no column except the label {shown(label)}")
        self.path, self.names, self._missing = path, tuple(names), missing
        self.label = None if label is None else names.index(label)
        self.kept = tuple(index for index in range(len(names)) if index != self.label)
        self.n = 0
        self.spool = Spool(len(self.kept))
        self._labels: list[pa.DictionaryArray] = []

    def append(
        self,
        block: Float[np.ndarray, "m d"],
        labels: "pa.Array | None" = None,
        *,
        nan: Callable[[int, int], ValueError] | None = None,
        is_kept: bool = True,
    ) -> None:
        """Adds rows.

        Args:
            block: Rows without the label column, shape (m, d). The caller must not change it afterwards.
            labels: Arrow array of int64, bool, float64 or text, null where a label is missing; None without labels.
            nan: Makes the error about a NaN from its row and column in the block, both from 0.
            is_kept: Whether the rows are gathered, rather than only checked.

        Raises:
            ValueError: If a value is NaN or infinite, or if a label is missing, infinite, or too long.
        """
        is_finite = np.isfinite(block)
        if not is_finite.all():
            is_nan = np.isnan(block)
            # A text may read "Infinity" in a column whose other cells are not numbers.
            row, column = np.argwhere(is_nan if is_nan.any() else ~is_finite)[0].tolist()
            if not is_nan.any():
                raise self.bad_value("an infinite value", row, self.kept[column])
            raise nan(row, column) if nan else NotNumbers(self.bad_value(self._missing, row, self.kept[column]))
        if is_kept:
            self.spool.append(block)
        if labels is not None:
            self._append_labels(labels)
        self.n += len(block)

    def _append_labels(self, values: "pa.Array") -> None:
        assert self.label is not None, "only a file with a label column has labels"
        is_missing = values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        is_infinite = np.zeros(len(values), bool)
        if pa.types.is_floating(values.type):
            is_infinite = np.isinf(values.to_numpy(zero_copy_only=False))
        for what, is_bad in (("an infinite value", is_infinite), ("has a missing value", is_missing)):
            if is_bad.any():
                raise self.bad_value(what, int(is_bad.argmax()), self.label)
        if pa.types.is_string(values.type):
            longest = pc.max(pc.utf8_length(values)).as_py() or 0
            if longest > LONGEST_LABEL:
                raise self.error(
                    f"the label column {shown(self.names[self.label])} holds a text of {longest} characters; labels "
                    f"have at most {LONGEST_LABEL}"
                )
        self._labels.append(values.dictionary_encode())

    def numbers(self, types: Sequence[str], convert: Callable[[list[Any]], np.ndarray] = np.array) -> Numbers:
        """Returns all rows, at least one, with the types of their columns, and labels as `convert` makes them."""
        label = None
        if self.label is not None:
            chunks = pa.chunked_array(self._labels).unify_dictionaries().chunks
            values = convert(chunks[0].dictionary.to_pylist())
            indices = np.concatenate([chunk.indices.to_numpy() for chunk in chunks])
            label = LabelColumn(self.names[self.label], self.label, values[indices])
        return Numbers(self.spool.rows(), tuple(self.names[i] for i in self.kept), tuple(types), label)

    def error(self, complaint: str) -> ValueError:
        """Makes an error about the file."""
        return ValueError(f"{self.path}: {complaint}")

    def bad_value(self, what: str, row: int, column: int) -> ValueError:
        """Makes an error about a value, from its row in the next block, from 0, and the index of its column."""
        row += self.n + 1
        return self.error(f"{what} in row {row}, column {shown(self.names[column])}; drop or fill such rows first")

    def check_size(self, integers: np.ndarray, column: int) -> None:
        """Raises `NotNumbers` if float64 cannot hold every integer of a column exactly."""
        if np.any((integers > LARGEST_INTEGER) | (integers < -LARGEST_INTEGER)):
            raise self.too_large(column)

    def too_large(self, column: int) -> ValueError:
        """Makes an error about a column of integers that float64 cannot hold exactly."""
        # The table may still be read as a mixed one without this column.
        return NotNumbers(
            self.error(
                f"column {shown(self.names[column])} holds integers beyond 2**53, which a float64 cannot hold: "
                "drop the column or divide it"
            )
        )


def read_columns(
    path: Path,
    names: Sequence[str],
    options: ReadOptions,
    numbers: Callable[[], Numbers],
    columns: "Callable[[list[str]], pa.Table]",
) -> Table:
    """Reads rows of numbers if all columns hold them, and otherwise columns of any kind.

    `numbers` reads rows of numbers, or raises `NotNumbers`; `columns` reads the columns with some names into memory.
    """
    if options.kind != "mixed" and not options.drop and not options.types:
        try:
            return Table(numbers())
        except NotNumbers:
            if options.kind == "numbers":
                raise
    label = [] if options.label is None else [options.label]
    check_names(path, names, [*options.drop, *options.types, *label])
    kept = [name for name in names if name not in options.drop]
    if not kept:
        raise ValueError(f"{path}: has no column left")
    table = columns(kept)
    check_enough(table.num_rows, path, options.min_rows)
    return Table(table, options.label)
