"""Tables of numbers."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LONGEST_LABEL = 200
"""Largest number of characters of a label; in a NumPy array, every label takes the space of the longest."""


@dataclass(frozen=True)
class LabelColumn:
    """The column of a table that holds labels.

    Attributes:
        name: Name of the column, or its index if the table has no names.
        position: Its index among all columns of the table, from 0.
        values: int64, bool, finite float64 or text, shape (n,).
    """

    name: str
    position: int
    values: np.ndarray


@dataclass(frozen=True)
class Numbers:
    """Rows of numbers, with the names and types of their columns in the file.

    Attributes:
        rows: Rows without the label column, shape (n, d) with n and d at least 1; float64, finite, read-only. A large
            table is mapped from a file.
        names: Names of the d columns; None if the file has none.
        types: NumPy's names of the types of the d columns: "int64", "uint8", "float32", "bool", …
        label: The label column, if there is one.
    """

    rows: Float[np.ndarray, "n d"]
    names: tuple[str, ...] | None
    types: tuple[str, ...]
    label: LabelColumn | None = None
