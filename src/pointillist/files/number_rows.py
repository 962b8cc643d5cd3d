"""Rows of numbers that come from a file in blocks, with a label column, and errors about single values."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import LARGEST_INTEGER
from pointillist.files.formats import Asked
from pointillist.foreign_text import listed, shown
from pointillist.lazy import pa, pc
from pointillist.tables.numbers import LONGEST_LABEL, LabelColumn, Numbers
from pointillist.tables.spool import Spool
from pointillist.tables.table import Table


class NotNumbers(ValueError):
    """Error about a well-formed table that does not hold numbers alone."""


def check_names(path: Path, names: Sequence[str], asked: Sequence[str] = ()) -> None:
    """Raises a ValueError if there are no columns, two have the same name, or one that is asked for is not there."""
    if not names:
        raise ValueError(f"{path}: has no columns")
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{path}: {times} columns are named {shown(name)}; names must differ")
    for name in asked:
        if name not in names:
            raise ValueError(f"{path}: there is no column {shown(name)}; the columns are {listed(names)}")


def check_enough(n: int, path: Path, min_rows: int) -> None:
    """Raises a ValueError if a file of `n` rows has too few."""
    if n < min_rows:
        needed = "1 is" if min_rows == 1 else f"{min_rows} are"
        raise ValueError(f"{path}: has {n} row{'' if n == 1 else 's'}; at least {needed} needed")


class NumberRows:
    """Gathers rows of numbers block by block, and their labels, each distinct one once per block.

    Args:
        path: The file.
        names: Names of all its columns; their numbers where the file has no names.
        label: Name of the label column; None without labels.
        missing: What a message calls a value that is NaN.

    Attributes:
        label: Position of the label column; None without labels.
        kept: Positions of all other columns.
        n: Number of rows so far.
        spool: The rows so far.
    """

    def __init__(
        self, path: Path, names: Sequence[str], label: str | None, missing: str = "has a missing value"
    ) -> None:
        check_names(path, names, [] if label is None else [label])
        if label is not None and len(names) == 1:
            raise ValueError(f"{path}: has no column besides the label {shown(label)}")
        self.path, self.names, self._missing = path, tuple(names), missing
        self.label = None if label is None else names.index(label)
        self.kept = tuple(position for position in range(len(names)) if position != self.label)
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
            block: Shape (m, d): rows without the label column. The caller must not change it afterwards.
            labels: Arrow array of int64, bool, float64 or text, null where a label is missing; None without labels.
            nan: Makes the error about a NaN from its row and column in the block, both from 0.
            is_kept: Whether the rows are gathered, rather than only checked.

        Raises:
            ValueError: If a value is NaN or infinite, or if a label is missing, infinite, or too long.
        """
        finite = np.isfinite(block)
        if not finite.all():
            is_nan = np.isnan(block)
            # A text may read "Infinity" in a column whose other cells are not numbers.
            first = np.argmax(is_nan if is_nan.any() else ~finite)
            row, column = (int(i) for i in np.unravel_index(first, finite.shape))
            if is_nan.any() and nan is not None:
                raise nan(row, column)
            what = self._missing if is_nan.any() else "an infinite value"
            error = self.bad_value(what, row, self.kept[column])
            raise NotNumbers(error) if is_nan.any() else error
        if is_kept:
            self.spool.append(block)
        if labels is not None:
            self._append_labels(labels)
        self.n += len(block)

    def _append_labels(self, values: "pa.Array") -> None:
        assert self.label is not None, "only a file with a label column has labels"
        if pa.types.is_floating(values.type):
            infinite = np.flatnonzero(np.isinf(values.to_numpy(zero_copy_only=False)))
            if len(infinite):
                raise self.bad_value("an infinite value", int(infinite[0]), self.label)
        missing = np.flatnonzero(values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False))
        if len(missing):
            raise self.bad_value("has a missing value", int(missing[0]), self.label)
        if pa.types.is_string(values.type):
            longest = pc.max(pc.utf8_length(values)).as_py() or 0
            if longest > LONGEST_LABEL:
                raise self.error(
                    f"the label column {shown(self.names[self.label])} holds a text of {longest} characters; labels "
                    f"have at most {LONGEST_LABEL}"
                )
        self._labels.append(values.dictionary_encode())

    def numbers(self, types: Sequence[str], convert: Callable[[list[Any]], np.ndarray] = np.array) -> Numbers:
        """All rows, at least one, of columns of some types, with their labels, which `convert` makes an array of."""
        label = None
        if self.label is not None:
            chunks = pa.chunked_array(self._labels).unify_dictionaries().chunks
            values = convert(chunks[0].dictionary.to_pylist())
            indices = np.concatenate([chunk.indices.to_numpy() for chunk in chunks])
            label = LabelColumn(self.names[self.label], self.label, values[indices])
        return Numbers(self.spool.rows(), tuple(self.names[i] for i in self.kept), tuple(types), label)

    def error(self, complaint: str) -> ValueError:
        """An error about the file."""
        return ValueError(f"{self.path}: {complaint}")

    def bad_value(self, what: str, row: int, position: int) -> ValueError:
        """An error about a value that no row may have; `row` is its row in the next block, from 0."""
        row += self.n + 1
        return self.error(f"{what} in row {row}, column {shown(self.names[position])}; drop or fill such rows first")

    def check_size(self, integers: np.ndarray, position: int) -> None:
        """Raises a ValueError if float64 cannot hold every integer of a column exactly."""
        if np.any((integers > LARGEST_INTEGER) | (integers < -LARGEST_INTEGER)):
            raise self.too_large(position)

    def too_large(self, position: int) -> ValueError:
        """An error about a column of integers that float64 cannot hold exactly."""
        # A table of mixed columns may do without it.
        return NotNumbers(
            self.error(
                f"column {shown(self.names[position])} holds integers beyond 2**53, which a float64 cannot hold: "
                "drop the column or divide it"
            )
        )


def read_columns(
    path: Path,
    names: Sequence[str],
    asked: Asked,
    numbers: Callable[[], Numbers],
    columns: "Callable[[list[str]], pa.Table]",
) -> Table:
    """Reads rows of numbers if all columns hold them, and otherwise columns of any kind.

    Args:
        path: The file.
        names: Names of its columns.
        asked: What is asked of it.
        numbers: Reads it as rows of numbers; raises `NotNumbers` if it holds anything else.
        columns: Reads the columns of some names into memory.

    Raises:
        ValueError: See `read_table`.
    """
    if asked.tries_numbers:
        try:
            return Table(numbers())
        except NotNumbers:
            if asked.kind == "numbers":
                raise
    check_names(path, names, asked.names)
    kept = [name for name in names if name not in asked.drop]
    if not kept:
        raise ValueError(f"{path}: has no column left")
    table = columns(kept)
    check_enough(table.num_rows, path, asked.min_rows)
    return Table(table, asked.label)
