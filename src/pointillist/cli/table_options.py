"""The tables of commands: how models read them, and what options say about their columns."""

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from rich.console import Console

from pointillist.atomic_files import check_regular, naming
from pointillist.files.csv_format import DEFAULT_FORM, CsvForm
from pointillist.files.formats import format_of
from pointillist.files.reading import read_table
from pointillist.files.texts import TYPES, is_type
from pointillist.foreign_text import shown, terminal_text
from pointillist.lazy import pa
from pointillist.models.codec import Codec
from pointillist.models.row_model import RowModel
from pointillist.rules.declared import Declared
from pointillist.tables.row_sampling import RowLimit
from pointillist.tables.table import Table, kind_of

T = TypeVar("T")


def parse_types(texts: Sequence[str]) -> dict[str, str]:
    """Parses COLUMN=TYPE options; returns types by column."""
    types = {}
    for text in texts:
        name, is_pair, kind = text.rpartition("=")
        if not is_pair or not is_type(kind):
            raise ValueError(
                f"--type takes COLUMN=TYPE, where TYPE is {', '.join(TYPES)} or date:FORMAT, for example "
                f"date:%d/%m/%Y, not {shown(text)}"
            )
        types[name] = kind
    return types


def read_for(
    model: RowModel,
    path: Path,
    form: CsvForm = DEFAULT_FORM,
    *,
    others: Literal["out", "typed", "text"] = "out",
    unread: str | None = None,
    limit: RowLimit | None = None,
) -> Table:
    """Reads a table for a model: columns of text, such as codes made of digits, are read as text.

    `others` says whether columns that the model lacks are left out, get detected types, or are kept as text. The column
    `unread` is left out.
    """
    model_names, model_types = model.file_columns()
    has_types = format_of(path).has_types
    with naming(path):
        names = format_of(path).names(path, form)
    # CSV files are read without white space around names.
    original = {name if has_types else name.strip(): name for name in model_names or ()}
    # Columns without names are matched by position.
    type_of = dict(zip(original or names, model_types, strict=False))
    drop = [name for name in names if name == unread or (name not in type_of and others == "out")]
    # If all would be left out, a later check reports missing columns.
    drop = [] if model_names is None or len(drop) == len(names) else drop
    types = {}
    if not has_types:
        is_text = {name: _is_text(type_of[name]) if name in type_of else others == "text" for name in names}
        types = {name: "text" for name in names if is_text[name] and name not in drop}
        label = None if model.label_index is None or model_names is None else model_names[model.label_index].strip()
        if form.has_names is None and original and original.keys() - {unread, label} <= {*names}:
            form = replace(form, has_names=True)
    usual = {name.strip(): each for name, each in model.codec.layout.forms.items()}
    table = read_table(path, drop=drop, types=types, kind="mixed", min_rows=1, form=form, usual=usual, limit=limit)
    if all(name == full for name, full in original.items()):
        return table
    return Table(table.arrow.rename_columns([original.get(name, name) for name in table.names]))


def read_keys(model: RowModel, path: Path) -> Table:
    """Reads the keys of a table, and the other columns of composite keys, in the types of a model's columns."""
    kinds: dict[str, Any] = {}
    for each in model.generated.columns if model.generated is not None else ():
        if each.is_key:
            kinds |= {str(name): model.layout.type_of(name) for name in (*each.within, each.name)}
    form = format_of(path)
    with naming(path):
        names = form.names(path, DEFAULT_FORM)
    types = {} if form.has_types else {name: "text" for name in names if name in kinds and _is_text(kinds[name])}
    drop = [name for name in names if name not in kinds]
    return read_table(path, drop=[] if len(drop) == len(names) else drop, types=types, kind="mixed", min_rows=1)


def _is_text(kind: Any) -> bool:
    """Whether a column holds text, by its type as `RowModel.file_columns` returns it."""
    if isinstance(kind, str):
        return kind == "str"
    return kind_of(kind.value_type if pa.types.is_dictionary(kind) else kind) == "category"


def file_names(model: RowModel) -> list[str]:
    """Returns the names of a model's columns in files, where columns without names have their positions."""
    names, kinds = model.file_columns()
    names = [str(i) for i in range(len(kinds))] if names is None else list(names)
    if model.label_index is not None:
        del names[model.label_index]
    return names


def columns_by_text(model: RowModel) -> dict[str, Any]:
    """Maps text to the names of a model's columns and labels, which need not be text."""
    codec, classes = model.codec, model.classes
    texts = file_names(model) if codec.names is None else map(str, codec.column_names)
    label = [] if classes is None else [classes.label_name(codec.names or ())]
    return dict(zip(texts, codec.column_names, strict=True)) | {str(name): name for name in label}


def names_in(model: RowModel, names: Sequence[str]) -> list[str]:
    """Returns the names of a model's columns in a table: by name, or else by position."""
    expected = file_names(model)
    if model.codec.names is not None or {*expected} & {*names}:
        return expected
    others = [name for i, name in enumerate(names) if len(names) == len(expected) or i != model.label_index]
    return others if len(others) == len(expected) else expected


def only_columns_of(model: RowModel, table: Table) -> Table:
    """Returns the table; for a model without column names, only the model's columns, in its order."""
    if model.codec.names is not None:
        return table
    return table.select([name for name in names_in(model, table.names) if name in table.names])


def labels_in(model: RowModel, table: Table, unread: str | None = None) -> list[Any] | None:
    """Returns the labels of a table, None where missing, if the model keeps them apart from its columns."""
    classes = model.classes
    if classes is None or classes.column is None or model.label_index is None:
        return None
    name = str(classes.column[0])
    if name not in table.names or name in (*(model.codec.names or ()), unread):
        return None
    return classes.labels_in(table.column(name))


def json_in(path: Path, convert: Callable[[Any], T], parse: Callable[[str], Any] = json.loads) -> T:
    """Reads and converts a file of JSON, or of TOML by its parser; an error is one line that starts with the path."""
    check_regular(path)
    try:
        return convert(parse(path.read_text("utf-8")))
    except RecursionError as error:
        raise ValueError(f"{path}: its lists or objects are nested too deeply") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is not {'JSON' if parse is json.loads else 'TOML'}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_domains(content: Any) -> dict[str, Any]:
    """Returns the public range, {"low": …, "high": …, "missing": true}, or list of values of each column."""
    if not isinstance(content, dict):
        raise ValueError("must hold a JSON object of columns")
    found = dict(content)
    for name, domain in content.items():
        if isinstance(domain, dict) and {"low", "high"} <= domain.keys() <= {"low", "high", "missing"}:
            found[name] = (domain["low"], domain["high"], *([None] if domain.get("missing") else []))
        elif not isinstance(domain, list):
            raise ValueError(
                f'column {shown(name)} needs {{"low": …, "high": …}}, with "missing": true if cells may be '
                "missing, or a list of values, with null for missing cells"
            )
    return found


def read_rules(content: Any) -> list[Declared]:
    """Returns the rules in the content of a TOML file; raises a ValueError in one line if they are not valid."""
    from pointillist.rules.declarations import declared_from_json

    if content.keys() != {"rules"} or not isinstance(content["rules"], list):
        raise ValueError("must hold tables that begin with [[rules]], and nothing else")
    return [declared_from_json(each) for each in content["rules"]]


def print_types(table: Table, codec: Codec, categorical: Sequence[str], console: Console) -> None:
    """Prints the kind and the values of each column of a table, and the rules that rows obey."""
    from rich.table import Table as Grid

    grid = Grid("column", "kind", "values", "missing", box=None, header_style="bold", padding=(0, 2, 0, 0))
    columns = zip(codec.encoding.columns, table.cells, table.arrow.columns, table.arrow.schema, strict=True)
    for encoder, cells, column, field in columns:
        kind = "category" if field.name in categorical else kind_of(field.type)
        kind = "date" if encoder.grid.is_calendar else "categories" if kind == "category" else kind
        if encoder.categories is not None:
            values = f"{len(encoder.categories)}: {', '.join(map(str, encoder.categories[:4]))}"
            values += ", …" if len(encoder.categories) > 4 else ""
        else:
            numbers = cells.or_nan
            low, high = (column[int(index)] for index in (np.nanargmin(numbers), np.nanargmax(numbers)))
            values = f"{_shown(low)} to {_shown(high)}"
            if encoder.scores is None:
                values += f", {len(encoder.atoms)} different"
            elif len(encoder.atoms):
                values += f", often {', '.join(f'{value:g}' for value in encoder.atoms[:3])}"
        missing = cells.is_missing.mean()
        kind += " (label)" if field.name == table.label else ""
        grid.add_row(*map(terminal_text, (field.name, kind, values, f"{missing:.1%}" if missing else "")))
    console.print(grid)
    for rule in codec.rules:
        where = "declared" if rule.is_declared else "in nearly every row" if rule.has_exceptions else "in every row"
        console.print(terminal_text(f"{where}: {rule.text(codec.names)}"))


def _shown(value: Any) -> str:
    if kind_of(value.type) == "number":
        return f"{value.as_py():g}"
    try:
        return str(value.as_py())
    except (OverflowError, ValueError):
        # Beyond Python's years, or finer than its microseconds.
        return f"{value.value} {value.type.unit}" if pa.types.is_duration(value.type) else str(value.cast(pa.string()))
