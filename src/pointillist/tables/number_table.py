"""The columns of a file: their names, the label column, and errors about their values."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pointillist.arguments import LARGEST_INTEGER

_SHOWN = 10
_LONGEST_SHOWN = 40


class NotNumbers(ValueError):
    """Error about a well-formed table that does not hold numbers alone."""


@dataclass(frozen=True)
class LabelColumn:
    """The column of a file that holds labels.

    Attributes:
        name: Its name, or its number where the file has no names.
        position: Its place among all columns of the file, from 0.
        values: Shape (n,); int64, bool, float64 (finite) or text.
    """

    name: str
    position: int
    values: np.ndarray


@dataclass(frozen=True)
class Table:
    """Rows of numbers, with the names and types that the file gives them.

    Attributes:
        rows: Shape (n, d), float64, finite, read-only, n and d at least 1; without the label column. A large table is
            mapped from a file.
        names: Names of the d columns; None if the file has none.
        types: Types of the d columns, by NumPy's names: "int64", "uint8", "float32", "bool", …
        label: The label column, if one was asked for.
    """

    rows: Float[np.ndarray, "n d"]
    names: tuple[str, ...] | None
    types: tuple[str, ...]
    label: LabelColumn | None


def shown(text: str) -> str:
    """Quotes text from a file for use in a message: on one line, shortened if it is long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…")


def listed(names: Sequence[str]) -> str:
    """Lists the first few names, and says how many more there are."""
    first = ", ".join(shown(name)[1:-1] for name in names[:_SHOWN])
    return first if len(names) <= _SHOWN else f"{first} and {len(names) - _SHOWN} more"


def check_distinct(names: Sequence[str], path: Path) -> None:
    """Raises a ValueError if two columns have the same name."""
    for name, times in Counter(names).items():
        if times > 1:
            raise ValueError(f"{path}: {times} columns are named {shown(name)}; names must differ")


def check_enough(n: int, path: Path, min_rows: int) -> None:
    """Raises a ValueError if a file of `n` rows has too few."""
    if n < min_rows:
        needed = "1 is" if min_rows == 1 else f"{min_rows} are"
        raise ValueError(f"{path}: has {n} row{'' if n == 1 else 's'}; at least {needed} needed")


@dataclass(frozen=True)
class Columns:
    """The columns of one file.

    Attributes:
        path: The file.
        names: Names of all its columns; their numbers where the file has no names.
        label: Position of the label column; None if there is none.
    """

    path: Path
    names: tuple[str, ...]
    label: int | None

    @classmethod
    def of(cls, path: Path, names: Sequence[str], label: str | None) -> "Columns":
        """Finds the label column.

        Raises:
            ValueError: If there are no columns, if two have the same name, if none is named `label`, or if no other
                column is left.
        """
        if not names:
            raise ValueError(f"{path}: has no columns")
        check_distinct(names, path)
        if label is not None and label not in names:
            raise ValueError(f"{path}: there is no column {shown(label)}; the columns are {listed(names)}")
        if label is not None and len(names) == 1:
            raise ValueError(f"{path}: has no column besides the label {shown(label)}")
        return cls(path, tuple(names), None if label is None else names.index(label))

    @property
    def kept(self) -> tuple[int, ...]:
        """Positions of all columns but the label's."""
        return tuple(position for position in range(len(self.names)) if position != self.label)

    @property
    def kept_names(self) -> tuple[str, ...]:
        """Names of all columns but the label's."""
        return tuple(self.names[position] for position in self.kept)

    def error(self, complaint: str) -> ValueError:
        """An error about the file."""
        return ValueError(f"{self.path}: {complaint}")

    def bad_value(self, what: str, row: int, position: int) -> ValueError:
        """An error about one value that no row may have.

        Args:
            what: The value.
            row: Its row, from 1.
            position: Its column.
        """
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

    def check_finite(
        self,
        block: Float[np.ndarray, "m d"],
        start: int,
        nan: Callable[[int, int], ValueError],
    ) -> None:
        """Raises a ValueError about the first NaN, or else about the first value that is not finite.

        Args:
            block: Shape (m, d): consecutive rows, without the label column.
            start: Number of its first row, from 1.
            nan: Makes the error about a NaN from its row and column in the block, both from 0.
        """
        finite = np.isfinite(block)
        if finite.all():
            return
        is_nan = np.isnan(block)
        # Texts may read "Infinity" in a column of which other cells are no numbers.
        row, column = (int(i) for i in np.unravel_index(np.argmax(is_nan if is_nan.any() else ~finite), finite.shape))
        if is_nan.any():
            raise nan(row, column)
        raise self.bad_value("an infinite value", start + row, self.kept[column])

    def label_column(self, blocks: Sequence[np.ndarray]) -> LabelColumn | None:
        """Joins consecutive blocks of labels to the label column; None if the file has none."""
        if self.label is None:
            return None
        return LabelColumn(self.names[self.label], self.label, np.concatenate(blocks))
