"""Converts tables in any container to columns of the same kinds, which can be compared."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from pointillist.columns.unlearned import separated
from pointillist.lazy import pa, pc
from pointillist.metrics.checks import Table as Columns
from pointillist.metrics.checks import check_rows
from pointillist.tables.frames import table_of
from pointillist.tables.names import check_container, is_frame
from pointillist.tables.numbers import Numbers
from pointillist.tables.row_sampling import in_memory
from pointillist.tables.table import Table, kind_of

PER_DAY = {"D": 1, "s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000}
"""Length of a day in the numbers of dates, by their unit; nanoseconds become microseconds."""


def columns_of(sides: Mapping[str, Any]) -> dict[str, Columns]:
    """Convert arrays or data frames, by their names in messages, the real one first, to columns by name."""
    return as_columns({name: _table(side, name) for name, side in sides.items()})


def as_columns(sides: Mapping[str, Table]) -> dict[str, Columns]:
    """Convert tables, by their names in messages, the real one first, to columns by name, of the same kinds.

    Columns without names are matched by their order, or refused with a ValueError, and others by name. Keys and
    personal columns are left out, with a warning, and so are names or text that generated rows lack.
    """
    # Labels become a column like the others.
    sides = {name: side if side.label is None else Table(side.arrow) for name, side in sides.items()}
    sides = _of_one_kind(_without_keys(sides))
    if not all(side.is_plain for side in sides.values()):
        return {name: _arrays(side) for name, side in sides.items()}
    # Frames are compared by their numbers as written, and arrays of one type by their bits.
    has_frame = not all(side.is_rows for side in sides.values())
    plain = {name: side.numbers for name, side in sides.items()}
    first, real = next(iter(plain.items()))
    unnamed = tuple(map(str, range(real.rows.shape[1])))
    names = next((each.names for each in plain.values() if each.names is not None), unnamed)
    types: dict[str, set[str]] = {}
    for name, table in plain.items():
        if table.names is None and table.rows.shape[1] != len(names):
            raise ValueError(f"{name} has {table.rows.shape[1]} column(s) and {first} has {len(names)}: give the same")
        for key, kind in zip(table.names or names, table.types, strict=True):
            types.setdefault(key, set()).add(kind)
    return {
        name: {
            key: _as_written(values, types[key]) if has_frame or len(types[key]) > 1 else np.array(values, float)
            for key, values in zip(table.names or names, table.rows.T, strict=True)
        }
        for name, table in plain.items()
    }


def _arrays(side: Table) -> Columns:
    """Return the columns of a table; the metadata of the NumPy type of dates have the length of a day."""
    arrays = side.arrays()
    for name, kind in zip(side.names, side.arrow.schema.types, strict=True):
        if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            unit = "D" if pa.types.is_date32(kind) else getattr(kind, "unit", "ms")
            arrays[name] = arrays[name].astype(np.dtype(float, metadata={"per_day": PER_DAY[unit]}))
    return arrays


def _as_written(values: np.ndarray, types: set[str]) -> np.ndarray:
    """Round numbers to the digits of the narrowest type of float: 0.1 in float32 becomes 0.1 in float64."""
    narrow = next((kind for kind in ("float16", "float32") if kind in types), None)
    if narrow is None or np.abs(values).max(initial=0) > np.finfo(narrow).max:
        return np.array(values, float)
    return values.astype(narrow).astype(str).astype(float)


def _without_keys(sides: Mapping[str, Table]) -> dict[str, Table]:
    """Leave out keys and personal columns, and names or text that one of the other tables lacks as well."""
    (first, real), *others = sides.items()
    named = [side for _, side in others if side.has_names]
    if real.is_rows or not named:
        return dict(sides)
    separate = separated(real)
    shared = [name for name in separate.reasons if all(name in side.names for side in named)]
    separate = separated(real, [name for name in shared if name not in separate.names])
    for reason in separate.reasons.values():
        warnings.warn(f"{first}: {reason}, and is left out", UserWarning, stacklevel=6)
    kept = separate.X
    dropped = {*real.names} - {*kept.names}
    return {first: kept} | {
        name: side if side.is_rows else side.select([each for each in side.names if each not in dropped])
        for name, side in others
    }


def _of_one_kind(sides: Mapping[str, Table]) -> dict[str, Table]:
    """Convert dates, times and durations to microseconds where their units differ, and to one time zone.

    Columns without any cells get the type of the other tables' columns.
    """
    mixed = {side: table for side, table in sides.items() if not table.is_rows}
    for column in dict.fromkeys(name for table in mixed.values() for name in table.names):
        found = {side: table.arrow.column(column) for side, table in mixed.items() if column in table.names}
        types = [cells.type for cells in found.values() if cells.null_count < len(cells)]
        if len({cells.type for cells in found.values()}) == 1 or not types:
            continue
        first = next((kind for kind in types if kind_of(kind) == "date"), types[0])
        found = {side: _as_type(cells, first, f"column {column!r} of {side}") for side, cells in found.items()}
        if all(kind_of(cells.type) == "date" for cells in found.values()):
            zone = next((kind.tz for kind in types if getattr(kind, "tz", None) is not None), None)
            found = {side: _in_microseconds(cells, zone) for side, cells in found.items()}
        for side, cells in found.items():
            mixed[side] = mixed[side].with_column(column, cells)
    return {**sides, **mixed}


def _as_type(column: Any, kind: Any, what: str) -> Any:
    """Convert a column without cells, or of durations that a CSV file holds as integers; return others unchanged."""
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    if pa.types.is_duration(kind) and pa.types.is_integer(column.type):
        return column.cast(pa.int64()).cast(kind)
    if kind_of(kind) == "date" and kind_of(column.type) in ("number", "integer"):
        raise ValueError(f"{what} holds numbers, and another table has dates there: make them of one kind")
    return column


def _in_microseconds(column: Any, zone: str | None) -> Any:
    """Convert times and durations to microseconds, and dates to timestamps in a zone if they have one."""
    kind = column.type
    if pa.types.is_duration(kind) or pa.types.is_time(kind):
        return column.cast(pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us"), safe=False)
    if getattr(kind, "tz", None) is not None:
        column = pc.local_timestamp(column.cast(pa.timestamp(kind.unit, zone)))
    return column.cast(pa.timestamp("us"), safe=False)


def _table(side: Any, name: str) -> Table:
    """Read an array or a data frame as a table."""
    check_container(side, name)
    side = in_memory(side, name)
    if not is_frame(side):
        array = np.asarray(side)
        if not np.ma.is_masked(side) and array.dtype.kind in "biuf" and not np.isnan(array).any():
            rows = check_rows(side, name)
            kind = array.dtype.name if array.dtype.itemsize <= 8 else "float64"
            return Table(Numbers(rows, None, (kind,) * rows.shape[1]))
    found = table_of(side)
    if found is None:
        raise ValueError("a data frame is of an unsupported kind, or two of its columns have the same name")
    table, _, headings = found
    texts = list(map(str, table.names if headings is None else headings))
    if not texts:
        raise ValueError(f"{name} has no columns: give at least one")
    if len({*texts}) < len(texts):
        twice = next(text for text in texts if texts.count(text) > 1)
        raise ValueError(f"{name} has two columns whose names read {twice!r}: rename one")
    return Table(table.arrow.rename_columns(texts))
