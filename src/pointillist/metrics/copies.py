"""Exact copies: rows that equal a data row in every cell, compared with duplicates in the data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics.distances import Rows
from pointillist.metrics.mixed_tables import TableLike, check_tables, encode


@dataclass(frozen=True)
class Copies:
    """How many rows equal a data row. See `copies`.

    Attributes:
        count: Number of rows equal to a data row in every cell.
        fraction: The same as a fraction of all rows, in [0, 1].
        duplicates: Fraction of the data rows that equal another data row: the `fraction` to expect of independent rows
            from the data's distribution.
        p_value: p-value of Fisher's one-sided exact test that rows equal data rows more often than data rows equal one
            another.
    """

    count: int
    fraction: float
    duplicates: float
    p_value: float


def copies(real: TableLike, generated: TableLike) -> Copies:
    """Count rows that equal a data row in every cell, where missing cells are equal.

    Args:
        real: n rows: an array, or a table with the same columns.
        generated: m rows.

    Example:
        >>> import numpy as np
        >>> data = {"x": np.arange(100.0)}
        >>> found = copies(data, {"x": np.arange(50.0)})
        >>> found.count, found.duplicates, found.p_value < 1e-6
        (50, 0.0, True)
    """
    from scipy.stats import hypergeom

    (of_data, of_rows), _ = encode(*check_tables(real=real, generated=generated))
    _, index, counts = np.unique(row_keys(of_data), return_inverse=True, return_counts=True)
    count, duplicates = int(equal_rows(of_rows, of_data).sum()), float((counts[index] > 1).mean())
    m = len(of_rows)
    # Data rows are not independent trials. The difference between the probability that a row equals a data row and the
    # fraction p of data rows with a duplicate has a variance of at most (p (1 − p) + p) / n (Esty 1983, with every
    # duplicate one of a pair), which is the variance of n (1 − p) / (2 − p) trials.
    trials = max(1, int(len(of_data) * (1 - duplicates) / (2 - duplicates)))
    p_value = float(hypergeom.sf(count - 1, m + trials, count + round(duplicates * trials), m))
    return Copies(count, count / m, duplicates, p_value)


def equal_rows(rows: Rows, records: Rows) -> NDArray[np.bool_]:
    """Return which rows equal a record in every cell; missing cells are equal."""
    return np.isin(row_keys(rows), row_keys(records))


def row_keys(rows: Rows) -> NDArray[np.void]:
    """Return the bytes of each row as one value, so that equal rows have equal values."""
    plain = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0))  # one NaN, and no −0
    return plain.view(np.dtype((np.void, plain.itemsize * plain.shape[1])))[:, 0]
