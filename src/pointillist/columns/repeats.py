"""Whether numbers repeat: counts, ratings, and values that many rows share have no density to model."""

import numpy as np
from jaxtyping import Float

MAX_ATOMS = 256
"""A column of at most so many values, each of four rows on average, has a token for each value."""

SPIKE_FRACTION = 0.01
"""A value that so many of the rows share has a token of its own."""

FEWEST_ROWS = 200
REPEATED_FRACTION = 0.05


def has_few_values(values: np.ndarray, n: int) -> bool:
    """Whether a column of n cells takes few different values."""
    return len(values) <= MAX_ATOMS and 4 * len(values) <= n


def is_spike(counts: np.ndarray, n: int) -> np.ndarray:
    """Which values of a column of n cells are shared by many, given how many cells have each."""
    return counts >= max(4, SPIKE_FRACTION * n)


def has_repeats(rows: Float[np.ndarray, "n d"]) -> bool:
    """Whether a table of numbers has a column whose values repeat so often that it is no continuous one."""
    n = len(rows)
    return n >= FEWEST_ROWS and any(repeated_fraction(column) > REPEATED_FRACTION for column in rows.T)


def repeated_fraction(column: Float[np.ndarray, " n"]) -> float:
    """The share of cells whose value many cells have; 0 of a constant column, which no model has to learn."""
    values, counts = np.unique(column, return_counts=True)
    if len(values) == 1:
        return 0.0
    if has_few_values(values, len(column)):
        return 1.0
    return float(counts[is_spike(counts, len(column))].sum() / len(column))
