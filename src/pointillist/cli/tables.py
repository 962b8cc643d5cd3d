"""Tables for commands: of numbers alone where they are that, else of mixed columns."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pointillist.points import Table, read_table
from pointillist.points.columns import NotNumbers, shown
from pointillist.points.mixed import MixedTable, kind_of
from pointillist.points.mixed_files import read_mixed

if TYPE_CHECKING:
    from rich.console import Console

    from pointillist.estimators.model import DiffusionModel


def read_any(
    path: Path,
    label: str | None,
    *,
    drop: Sequence[str] = (),
    integer: Sequence[str] = (),
    is_mixed: bool = False,
    min_rows: int = 2,
) -> Table | MixedTable:
    """A table of numbers, or of mixed columns if it is not that, or if columns are dropped or made whole numbers."""
    if not drop and not integer and not is_mixed:
        try:
            return read_table(path, label, min_rows=min_rows)
        except NotNumbers:
            pass
    table = read_mixed(path, label, drop=drop, min_rows=min_rows)
    for name in integer:
        table = _with_integers(table, name, path)
    return table


def _with_integers(table: MixedTable, name: str, path: Path) -> MixedTable:
    import pyarrow as pa

    if name not in table.names:
        raise ValueError(f"{path}: there is no column {shown(name)}; the columns are {table.listed()}")
    place = table.names.index(name)
    try:
        column = table.arrow[name].cast(pa.int64())
    except pa.ArrowException as error:
        raise ValueError(f"{path}: column {shown(name)} cannot be whole numbers ({error})") from error
    return MixedTable(table.arrow.set_column(place, name, column), table.label)


def print_types(table: MixedTable, categorical: Sequence[str], console: "Console") -> None:
    """What each column of a table is taken for."""
    from rich.table import Table as Grid

    from pointillist.points.encoding import TableEncoding

    grid = Grid("column", "kind", "values", "missing", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for code, cells, field in zip(
        TableEncoding.fit(table, categorical).columns, table.cells, table.arrow.schema, strict=True
    ):
        kind = {"whole": "integer", "truth": "true or false", "category": "categories"}.get(kind_of(field.type))
        kind = "categories" if field.name in categorical else kind or kind_of(field.type)
        if code.categories is not None:
            seen = f"{len(code.categories)}: " + ", ".join(map(str, code.categories[:4]))
            seen += ", …" if len(code.categories) > 4 else ""
        else:
            given = cells.values[~cells.is_missing]
            low, high = (_shown(value, field.type) for value in (given.min(), given.max()))
            seen = f"{low} to {high}"
            seen += f", {len(code.atoms)} different" if not len(code.knots) else ""
            if len(code.knots) and len(code.atoms):
                seen += f", often {', '.join(f'{value:g}' for value in code.atoms[:3])}"
        share = cells.is_missing.mean()
        kind += " (label)" if field.name == table.label else ""
        grid.add_row(field.name, kind, seen, f"{share:.1%}" if share else "")
    console.print(grid)


def _shown(value: float, kind: Any) -> str:
    import pyarrow as pa

    from pointillist.points.mixed import Cells, to_arrow

    if kind_of(kind) != "date":
        return f"{value:g}"
    cells = Cells(np.array([value]), np.array([False]))
    return str(to_arrow([cells], pa.schema([("x", kind)]))[0][0].as_py())


def where_of(model: "DiffusionModel", given: Sequence[str]) -> dict[str, Any] | None:
    """COLUMN=VALUE, as values of the model's columns.

    Raises:
        ValueError: If one is not so written, or the model has no such column.
    """
    import pyarrow as pa

    where: dict[str, Any] = {}
    for text in given:
        name, is_pair, value = text.partition("=")
        if not is_pair:
            raise ValueError(f"--where takes COLUMN=VALUE, not {shown(text)}")
        if not model._is_mixed:
            raise ValueError("--where gives cells of tables of mixed columns, and this model is of numbers")
        code = model.encoding_.code(name)
        if code.categories is not None:
            where[name] = next((each for each in code.categories if str(each).lower() == value.lower()), value)
            continue
        kind = model.layout_.schema.field(name).type
        try:
            where[name] = float(value) if kind_of(kind) in ("whole", "number") else pa.scalar(value).cast(kind).as_py()
        except (ValueError, pa.ArrowException) as error:
            raise ValueError(f"--where {shown(text)}: column {shown(name)} holds {kind}") from error
    return where or None


def arrays_of(table: MixedTable) -> Mapping[str, np.ndarray]:
    """Each column of a table: numbers as float64 with NaN, categories and labels as text with None, where missing."""
    arrays = {}
    for name, cells in zip(table.names, table.cells, strict=True):
        if cells.categories is None and name != table.label:
            arrays[name] = np.where(cells.is_missing, np.nan, cells.values)
            continue
        known = cells.categories
        values = cells.values if known is None else np.array(known or ("",), object)[cells.values.astype(np.int64)]
        arrays[name] = np.array([str(value) for value in values.tolist()], object)
        arrays[name][cells.is_missing] = None
    return arrays
