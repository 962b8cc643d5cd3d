"""Converts tables to compare, in any container, to columns of the same kinds."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from pointillist.metrics.checks import check_rows
from pointillist.metrics.mixed_tables import Table as Columns
from pointillist.points import MixedTable, Table
from pointillist.points.frames import mixed_table, table_of
from pointillist.points.headings import is_frame
from pointillist.points.keys import without_keys
from pointillist.points.mixed import kind_of


def columns_of(sides: Mapping[str, Any], target: Any = None) -> dict[str, Columns]:
    """Convert arrays or data frames to columns by name.

    Args:
        sides: Tables by the names that messages give them, the real one first.
        target: A column that all of them must have.

    Raises:
        ValueError: In one line, if they cannot be compared.
    """
    return as_columns({name: _table(side, name, target) for name, side in sides.items()})


def as_columns(sides: Mapping[str, MixedTable | Table]) -> dict[str, Columns]:
    """Convert tables to columns by name, of the same kinds on all sides.

    Args:
        sides: Tables by the names that messages give them, the real one first. Columns without names are matched by
            their order, and others by name.

    Raises:
        ValueError: If columns without names cannot be matched.

    Warns:
        UserWarning: If columns of names or keys are left out, which generated rows have not.
    """
    sides = _with_times_of_one_unit(_without_keys(sides))
    mixed = [side for side in sides.values() if isinstance(side, MixedTable)]
    if not all(side.is_plain for side in mixed):
        return {name: mixed_table(side).arrays() for name, side in sides.items()}
    plain = {name: side.plain() if isinstance(side, MixedTable) else side for name, side in sides.items()}
    first, real = next(iter(plain.items()))
    names = next((each.names for each in plain.values() if each.names is not None), None)
    names = tuple(str(i) for i in range(real.rows.shape[1])) if names is None else names
    columns: dict[str, Columns] = {}
    for name, table in plain.items():
        if table.names is None and table.rows.shape[1] != len(names):
            raise ValueError(f"{name} has {table.rows.shape[1]} column(s) and {first} has {len(names)}: give the same")
        own = dict(zip(table.names or names, table.rows.T, strict=True))
        if table.label is not None:
            own[str(table.label.name)] = _label_texts(table.label.values)
        columns[name] = {
            key: np.array(values, object if values.dtype == object else float) for key, values in own.items()
        }
    return columns


def _without_keys(sides: Mapping[str, MixedTable | Table]) -> dict[str, MixedTable | Table]:
    """The tables without columns that no model learns, if one of the others lacks them as well."""
    (first, real), *others = sides.items()
    names = [side.names for _, side in others if side.names is not None]
    if not isinstance(real, MixedTable) or not names:
        return dict(sides)
    shared = [name for name in real.names if all(name in own for own in names)]
    left, reasons = without_keys(real, shared)
    for reason in reasons:
        warnings.warn(f"{first}: {reason}, and is left out", UserWarning, stacklevel=4)
    gone = {*real.names} - {*left.names}
    found: dict[str, MixedTable | Table] = {first: left}
    for name, side in others:
        if isinstance(side, MixedTable) and gone & {*side.names}:
            side = MixedTable(side.arrow.drop_columns([each for each in side.names if each in gone]), side.label)
        found[name] = side
    return found


def _with_times_of_one_unit(sides: Mapping[str, MixedTable | Table]) -> dict[str, MixedTable | Table]:
    """The tables with dates, times and durations in microseconds where their units differ, and in one time zone."""
    found = dict(sides)
    mixed = {side: table for side, table in sides.items() if isinstance(table, MixedTable)}
    for column in dict.fromkeys(name for table in mixed.values() for name in table.names):
        types = [table.arrow.schema.field(column).type for table in mixed.values() if column in table.names]
        if len(set(types)) == 1 or not all(kind_of(kind) == "date" for kind in types):
            continue
        zone = next((kind.tz for kind in types if getattr(kind, "tz", None) is not None), None)
        for side in mixed:
            table = found[side]
            if isinstance(table, MixedTable) and column in table.names:
                place = table.names.index(column)
                cells = _in_microseconds(table.arrow.column(place), zone)
                found[side] = MixedTable(table.arrow.set_column(place, column, cells), table.label)
    return found


def _in_microseconds(column: Any, zone: str | None) -> Any:
    """Dates and times as timestamps without a time zone, in that zone if they have one; others in their own type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_duration(kind):
        return column.cast(pa.duration("us"), safe=False)
    if pa.types.is_time(kind):
        return column.cast(pa.time64("us"), safe=False)
    if getattr(kind, "tz", None) is not None:
        column = pc.local_timestamp(column.cast(pa.timestamp(kind.unit, zone)))
    return column.cast(pa.timestamp("us"), safe=False)


def _label_texts(values: np.ndarray) -> np.ndarray:
    """Labels as categories: 1 and 1.0 are the same."""
    texts = [f"{label:.16g}" if isinstance(label, int | float) else str(label) for label in values.tolist()]
    return np.array(texts, object)


def _table(side: Any, name: str, target: Any) -> MixedTable | Table:
    if not is_frame(side):
        if target is not None:
            raise ValueError("target names a column of data frames, and these are arrays: leave it out, or give frames")
        array = np.asarray(side)
        if not np.ma.is_masked(side) and array.dtype.kind in "biuf" and not np.isnan(array).any():
            rows = check_rows(side, name)
            return Table(rows, None, ("float64",) * rows.shape[1], None)
    found = table_of(side)
    if found is None:
        raise ValueError("a data frame is of an unsupported kind, or two of its columns have the same name")
    table, _, headings = found
    texts = list(map(str, table.names if headings is None else headings.names))
    if target is not None and str(target) not in texts:
        raise ValueError(f"target={target!r} is not a column of every table")
    return MixedTable(table.arrow.rename_columns(texts))
