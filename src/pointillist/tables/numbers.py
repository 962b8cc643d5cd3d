"""Rows of numbers, with the names and types of their columns."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LONGEST_LABEL = 200
"""Most characters that a label may have; NumPy gives every label the space of the longest."""


@dataclass(frozen=True)
class LabelColumn:
    """The column of a table that holds labels.

    Attributes:
        name: Its name, or its number where the table has no names.
        position: Its index among all columns of the table, from 0.
        values: Shape (n,); int64, bool, float64 (finite) or text.
    """

    name: str
    position: int
    values: np.ndarray


@dataclass(frozen=True)
class Numbers:
    """Rows of numbers, with the names and types that their file gives them.

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
    label: LabelColumn | None = None
