"""Chooses the kind of process for a table from the contents of its columns."""

from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from pointillist.arguments import is_missing
from pointillist.columns.grids import has_repeats
from pointillist.tables.calendar_dates import has_dates
from pointillist.tables.names import as_array, is_frame
from pointillist.tables.numbers import SPOOL_ABOVE, blocks, rows_at, spread_indices
from pointillist.tables.table import Table

_ROWS_FOR_KIND = 20_000


def masked_table(
    process: str, X: Any, categorical: Sequence[str | int] = (), *, prefers_gaussian: bool = False
) -> "tuple[Table, str, tuple[Any, ...] | None] | None":
    """Returns what `table_of` does for masked diffusion; None for Gaussian diffusion.

    The process "auto" decides by the contents of the columns, not by their container. With `prefers_gaussian`, it
    chooses Gaussian diffusion for numeric tables even if values repeat.
    """
    if process == "gaussian":
        if len(categorical):
            raise ValueError("categorical columns are for process='masked': leave one of them out")
        return None
    is_requested = process == "masked" or len(categorical) > 0
    is_array = X.is_rows if isinstance(X, Table) else not is_frame(X)
    if not is_requested and is_array and not _is_mixed_array(X):
        # Arrow is not loaded for arrays of numbers.
        return None
    from pointillist.tables.frames import table_of

    found = table_of(X)
    if found is None or not found[0].names:
        return None
    if is_requested or not found[0].is_plain:
        return found
    table = found[0]
    cells = [cells for name, cells in zip(table.names, table.cells, strict=True) if name != table.label]
    if not cells:
        raise ValueError(f"the table has no column except the labels in {table.label!r}: give one")
    indices = spread_indices(len(table), _ROWS_FOR_KIND)
    numbers = np.stack([each.values[indices] for each in cells], axis=1).astype(np.float64)
    return found if has_dates(numbers) or (not prefers_gaussian and has_repeats(numbers)) else None


def _is_mixed_array(X: Any) -> bool:
    """Whether an array, or the table of a file of numbers, holds more than continuous numbers.

    Dates written as integers, such as 20240320, do not count as continuous.
    """
    try:
        rows = X.numbers.rows if isinstance(X, Table) else X if np.ma.is_masked(X) else as_array(X)
    except ValueError:
        # Rows of different lengths; a later check refuses them.
        return False
    if rows.ndim != 2 or not rows.size or rows.dtype.kind not in "biufO":
        return False
    if np.ma.is_masked(rows):
        return True
    if rows.dtype == object:
        kinds = Real | Decimal | str | date | time | timedelta
        are_cells = all(isinstance(cell, kinds) or is_missing(cell) for cell in rows.ravel())
        if not are_cells or not all(isinstance(cell, Real) and cell == cell for cell in rows.ravel()):
            return are_cells
    if rows.dtype.kind == "f" and any(np.isnan(block).any() for block in blocks(rows)):
        return True
    try:
        # Encoded tokens are held in memory; larger tables stay in files, with Gaussian diffusion.
        sample = rows_at(rows, spread_indices(len(rows), _ROWS_FOR_KIND)).astype(np.float64)
        return rows.nbytes <= SPOOL_ABOVE and (has_dates(sample) or has_repeats(sample))
    except OverflowError:
        # Integers beyond the range of floats; a later check refuses them.
        return False
