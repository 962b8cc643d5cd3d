"""Given columns of models of numbers: values as the network sees them, and tables with gaps."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.arguments import is_missing, is_number
from pointillist.models.number_codec import NumberCodec
from pointillist.tables.frames import matched
from pointillist.tables.table import Column, Table, cells_in


def column_values(codec: NumberCodec, name: Any, value: Any) -> Column:
    """Returns what is given of a column, one value for all rows or one per row, as cells.

    Raises:
        ValueError: In one line, if there is no such column, or a value cannot be one of its numbers.
    """
    place = codec.place(name)
    if np.ndim(value) > 1:
        raise ValueError(f"column {name!r} takes one value, or one value per row, not shape {np.shape(value)}")
    values = [value] if isinstance(value, str) or np.ndim(value) == 0 else list(value)
    for each in values:
        if is_missing(each):
            raise ValueError(f"column {name!r} has no missing cells in the model: give a value")
        if not (isinstance(each, bool | np.bool_) or is_number(each)) or not np.isfinite(each):
            raise ValueError(f"column {name!r} holds numbers, and {each!r} is none")
    cells = np.array(values, np.float64)
    scaling = codec.scaling
    if scaling.is_whole[place] and (cells != np.round(cells)).any():
        wrong = cells[cells != np.round(cells)][0]
        raise ValueError(f"column {name!r} holds whole numbers, and {wrong:g} is none")
    if not scaling.varies[place] and (cells != scaling.minimum[place]).any():
        raise ValueError(
            f"column {name!r} is {scaling.minimum[place]:g} in all training rows: give that, or leave it out"
        )
    _check_held(name, cells, codec.types[place])
    low, high = scaling.minimum[place], scaling.maximum[place]
    if (beyond := cells[(cells < low) | (cells > high)]).size:
        raise ValueError(f"column {name!r}: no training row is {beyond[0]:g}; its values go from {low:g} to {high:g}")
    return Column(cells, np.zeros(len(cells), bool))


def known_of(codec: NumberCodec, given: Mapping[Any, Column]) -> Float[np.ndarray, "n k"]:
    """Returns given cells as the network sees them, in one row if they are the same for all rows; NaN elsewhere."""
    n_rows = max(len(cells.values) for cells in given.values())
    rows = np.full((n_rows, codec.n_columns), np.nan)
    for name, cells in given.items():
        rows[:, codec.place(name)] = cells.values
    return known_numbers(codec, rows)


def known_numbers(codec: NumberCodec, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
    """Returns rows with gaps as the network sees them, float32: near its own range, and NaN in the gaps."""
    is_gap = np.isnan(rows)
    scaling = codec.scaling
    seen = np.clip(np.where(is_gap, scaling.minimum, rows), scaling.minimum - 1e30, scaling.maximum + 1e30)
    scaled = np.clip(codec.encode(seen), *scaling.bounds)
    return np.where(is_gap[:, scaling.varies], np.float32(np.nan), scaled).astype(np.float32)


def rows_with_gaps(
    codec: NumberCodec, X: Any, absent: Collection[Any] = (), unread: Collection[Any] = ()
) -> Float[np.ndarray, "n d"]:
    """Reads a table with the model's columns, with NaN where a cell is missing.

    Args:
        codec: The model's codec.
        X: The table, in any container; a frame may have its columns in any order.
        absent: Names of columns that X may lack, whose cells are then missing. An array lacks all of them or none.
        unread: Names of those of them whose cells count as missing even if X has them.

    Raises:
        ValueError: In one line, if X lacks another column, or holds something that is no number.
    """
    known = tuple(range(codec.n_columns)) if codec.names is None else codec.names
    table, _, indices = matched(X, known, absent, unread, has_names=codec.names is not None)
    rows = np.full((len(table), len(known)), np.nan)
    for place, (name, index) in enumerate(zip(known, indices, strict=True)):
        if index is not None:
            rows[:, place] = _numbers(name, table, index)
            _check_held(name, rows[~np.isnan(rows[:, place]), place], codec.types[place])
    if np.isinf(rows).any():
        row, place = np.argwhere(np.isinf(rows))[0]
        raise ValueError(f"X has an infinite value in row {row}, column {known[place]!r}: give a number, or a gap")
    return rows


def _check_held(name: Any, values: Float[np.ndarray, " n"], kind: str) -> None:
    """Raises an error if a column of whole numbers or booleans cannot hold one of some values as it is."""
    with np.errstate(invalid="ignore"):
        is_held = values.astype(kind) == values
    if np.dtype(kind).kind in "biu" and not is_held.all():
        raise ValueError(f"column {name!r} holds {kind}, and {values[~is_held][0]:g} is not that")


def _numbers(name: Any, table: Table, place: int) -> Float[np.ndarray, " n"]:
    import pyarrow as pa

    # Not the cells of columns that the model lacks, which may hold anything.
    column = table.arrow.column(place)
    if pa.types.is_null(column.type):
        return np.full(len(table), np.nan)
    cells = cells_in(name, column)
    if cells.is_date or any(isinstance(each, str) for each in cells.categories or ()):
        raise ValueError(f"column {name!r} holds numbers in the model, and something else in X: give numbers")
    return np.where(cells.is_missing, np.nan, cells.numbers)
