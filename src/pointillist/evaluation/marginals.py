"""Compares single columns of any kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics import ColumnDifference, column_differences, label_difference
from pointillist.metrics.mixed_tables import Table

MISSING = ("missing",)
"""A category beside those of the table, which are text."""


def compare_columns(data: Table, rows: Table, random_state: int) -> tuple[ColumnDifference, ...]:
    """Compare each column of two tables.

    In columns of categories, missing cells count as one more category. Columns of numbers with missing cells have two
    tests, of the values and of the shares of missing cells: the one with the smaller p-value counts, with twice that.
    """
    return tuple(_compare(name, column, rows[name], random_state) for name, column in data.items())


def _compare(name: str, data: NDArray[Any], rows: NDArray[Any], random_state: int) -> ColumnDifference:
    if data.dtype == object:
        sides = [[MISSING if cell is None else cell for cell in side.tolist()] for side in (data, rows)]
        return label_difference(*sides, name=name, random_state=random_state)
    is_missing = [np.isnan(side) for side in (data, rows)]
    gaps = label_difference(*is_missing, name=name, random_state=random_state)
    values = [side[~missing][:, None] for side, missing in zip((data, rows), is_missing, strict=True)]
    if min(map(len, values)) < 2:
        return gaps
    (found,) = column_differences(*values, names=[name], random_state=random_state)
    if not any(side.any() for side in is_missing):
        return found
    # The smaller of two p-values.
    smaller = min(gaps, found, key=lambda each: each.p_value)
    return replace(smaller, p_value=min(1.0, 2 * smaller.p_value))
