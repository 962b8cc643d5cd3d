"""Detects repeated numbers, such as counts, ratings and point masses, which have no density."""

import numpy as np
from jaxtyping import Float

MAX_ATOMS = 256
"""Largest number of distinct values of a discrete column, in which each value has at least four rows on average."""

SPIKE_FRACTION = 0.01
"""Smallest fraction of the rows at which a value counts as a point mass."""

FEWEST_ROWS = 200
REPEATED_FRACTION = 0.05


def has_few_values(values: np.ndarray, n: int) -> bool:
    """Whether a column of n cells has few distinct values."""
    return len(values) <= MAX_ATOMS and 4 * len(values) <= n


def is_spike(counts: np.ndarray, n: int) -> np.ndarray:
    """Which values of a column of n cells are point masses, by their counts."""
    return counts >= max(4, SPIKE_FRACTION * n)


def has_repeats(rows: Float[np.ndarray, "n d"]) -> bool:
    """Whether a numeric table has a column in which values repeat too often for a continuous distribution."""
    n = len(rows)
    return n >= FEWEST_ROWS and any(repeated_fraction(column) > REPEATED_FRACTION for column in rows.T)


def repeated_fraction(column: Float[np.ndarray, " n"]) -> float:
    """The fraction of cells with a repeated value; 0 for constant columns, which need no model."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) == 1:
        return 0.0
    if has_few_values(values, len(column)):
        return 1.0
    return float(counts[is_spike(counts, len(column))].sum() / len(column))
