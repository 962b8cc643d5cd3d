"""What commands say of tables, and what their options say of columns."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from pointillist.atomic_files import check_regular, naming
from pointillist.files.csv_format import NOTHING_SAID, CsvForm
from pointillist.files.formats import format_of
from pointillist.files.reading import read_table
from pointillist.files.texts import TYPES
from pointillist.foreign_text import shown, terminal_text
from pointillist.lazy import pa
from pointillist.models.codec import Codec
from pointillist.tables.table import Table, kind_of

if TYPE_CHECKING:
    from rich.console import Console

    from pointillist.models.row_model import RowModel

T = TypeVar("T")


def types_of(given: Sequence[str]) -> dict[str, str]:
    """Parses COLUMN=TYPE options; returns types by column."""
    types = {}
    for text in given:
        name, is_pair, kind = text.rpartition("=")
        if not is_pair or kind not in TYPES:
            raise ValueError(f"--type takes COLUMN=TYPE, where TYPE is {', '.join(TYPES)}, not {shown(text)}")
        types[name] = kind
    return types


def read_for(
    model: "RowModel",
    path: Path,
    form: CsvForm = NOTHING_SAID,
    *,
    others: Literal["out", "typed", "text"] = "out",
    unread: str | None = None,
) -> Table:
    """Reads a table for a model: what is text to it, such as codes that look like numbers, is read as text.

    Args:
        model: The model.
        path: The file.
        form: What is known of its form if it is a CSV file, the only kind whose columns have no types.
        others: What becomes of columns that the model lacks: they are left out, read like any, or kept as text.
        unread: Name of a column that is left out too.
    """
    types = {}
    own, kinds = model.file_columns()
    with naming(path):
        names = format_of(path).names(path, form)
    is_csv = not format_of(path).has_types
    # As a CSV file has them, without white space around them.
    full = {name.strip() if is_csv else name: name for name in own or ()}
    # Without names, by position.
    known = dict(zip(full or names, kinds, strict=False))
    if is_csv:
        is_text = {name: _is_text(known[name]) if name in known else others == "text" for name in names}
        types = {name: "text" for name in names if is_text[name]}
    drop = [name for name in names if name == unread or (name not in known and others == "out")]
    if own is None or len(drop) == len(names):
        # No column would be left: what is missing is said below.
        drop = []
    types = {name: kind for name, kind in types.items() if name not in drop}
    label = None if model.label_index is None or own is None else own[model.label_index].strip()
    if is_csv and form.has_names is None and full and full.keys() - {unread, label} <= {*names}:
        form = replace(form, has_names=True)
    table = read_table(path, drop=drop, types=types, kind="mixed", min_rows=1, form=form)
    if all(name == own for name, own in full.items()):
        return table
    return Table(table.arrow.rename_columns([full.get(name, name) for name in table.names]))


def file_names(model: "RowModel") -> list[str]:
    """Returns the names of a model's columns in files, where columns without names have their positions."""
    names, kinds = model.file_columns()
    names = [str(i) for i in range(len(kinds))] if names is None else list(names)
    if model.label_index is not None:
        del names[model.label_index]
    return names


def columns_by_text(model: "RowModel") -> dict[str, Any]:
    """Returns the names of a model's columns, and of its labels, by their text: names need not be text."""
    codec, classes = model.codec, model.classes
    names = [encoder.name for encoder in codec.encoding.columns]
    label = [] if classes is None else [classes.label_name(codec.names or ())]
    # Columns without names are numbered as in a file, where labels may come before them.
    texts = file_names(model) if codec.names is None else map(str, names)
    return dict(zip(texts, names, strict=True)) | {str(name): name for name in label}


def names_in(model: "RowModel", names: Sequence[str]) -> list[str]:
    """Returns the names of a model's columns among those of a table: its names, or else those at its positions."""
    own = file_names(model)
    if model.codec.names is not None or set(own) & set(names):
        return own
    others = [name for place, name in enumerate(names) if len(names) == len(own) or place != model.label_index]
    return others if len(others) == len(own) else own


def of_model(model: "RowModel", table: Table) -> Table:
    """Returns the columns of a table that a model without names has, in its order; for others, the table as it is."""
    if model.codec.names is not None:
        return table
    return table.select([name for name in names_in(model, table.names) if name in table.names])


def _is_text(kind: Any) -> bool:
    """Whether a column of a type, as `headings` names it, holds text."""
    if isinstance(kind, str):
        return kind == "str"
    return kind_of(kind) == "category" and (not hasattr(kind, "value_type") or kind_of(kind.value_type) == "category")


def json_in(path: Path, convert: Callable[[Any], T]) -> T:
    """Reads and converts a JSON file; raises an OSError, or a ValueError in one line that starts with the path."""
    check_regular(path)
    try:
        return convert(json.loads(path.read_text("utf-8")))
    except RecursionError as error:
        raise ValueError(f"{path}: its lists or objects are nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not JSON: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_domains(content: Any) -> dict[str, Any]:
    """Returns what a JSON file makes public: {"low": …, "high": …, "missing": true} or a list of values, by column."""
    if not isinstance(content, dict):
        raise ValueError("must hold a JSON object of columns")
    found: dict[str, Any] = {}
    for name, given in content.items():
        if isinstance(given, list):
            found[name] = given
        elif isinstance(given, dict) and {"low", "high"} <= given.keys() <= {"low", "high", "missing"}:
            found[name] = (given["low"], given["high"], *([None] if given.get("missing") else []))
        else:
            raise ValueError(
                f'column {shown(name)} needs {{"low": …, "high": …}}, with "missing": true if cells may be '
                "missing, or a list of values, with null for missing cells"
            )
    return found


def print_types(table: Table, codec: Codec, categorical: Sequence[str], console: "Console") -> None:
    """Prints what each column of a table is taken for, and the rules that rows obey."""
    from rich.table import Table as Grid

    grid = Grid("column", "kind", "values", "missing", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for code, cells, field in zip(codec.encoding.columns, table.cells, table.arrow.schema, strict=True):
        kind = {"whole": "integer", "truth": "boolean", "category": "categories"}.get(kind_of(field.type))
        kind = "categories" if field.name in categorical else kind or kind_of(field.type)
        kind = "date" if code.grid.is_calendar else kind
        if code.categories is not None:
            seen = f"{len(code.categories)}: " + ", ".join(map(str, code.categories[:4]))
            seen += ", …" if len(code.categories) > 4 else ""
        else:
            given = cells.values[~cells.is_missing]
            ends = given.min(), given.max()
            low, high = (f"{end:.0f}" if code.grid.is_calendar else _shown(end, field.type) for end in ends)
            seen = f"{low} to {high}"
            seen += f", {len(code.atoms)} different" if code.scores is None else ""
            if code.scores is not None and len(code.atoms):
                seen += f", often {', '.join(f'{value:g}' for value in code.atoms[:3])}"
        share = cells.is_missing.mean()
        kind += " (label)" if field.name == table.label else ""
        grid.add_row(*map(terminal_text, (field.name, kind, seen, f"{share:.1%}" if share else "")))
    console.print(grid)
    for rule in codec.rules:
        where = "in nearly every row" if rule.has_exceptions else "in every row"
        console.print(terminal_text(f"{where}: {rule.text(codec.names)}"))


def _shown(value: float, kind: Any) -> str:
    from pointillist.tables.table import Column, to_arrow

    if kind_of(kind) != "date":
        return f"{value:g}"
    cell = to_arrow([Column(np.array([value]), np.array([False]))], pa.schema([("x", kind)]))[0][0]
    try:
        return str(cell.as_py())
    except (OverflowError, ValueError):
        # Beyond Python's years, or finer than its microseconds.
        return str(cell.cast(pa.string())) if not pa.types.is_duration(kind) else f"{value:g} {kind.unit}"
