"""`fit`, `sample`, `evaluate` and `info` for folders of related tables, and their models."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from pointillist.cli.conditions import where_of
from pointillist.evaluation.related_tables import RelationalEvaluation, evaluate_tables
from pointillist.files.csv_format import CsvForm
from pointillist.files.folders import Folder
from pointillist.files.writing import TableWriter
from pointillist.foreign_text import shown, terminal_text
from pointillist.models.configuration import Configuration
from pointillist.progress import Bar
from pointillist.relational.fitting import fit_subjects, fit_tables
from pointillist.relational.model import RelationalModel, load_relational
from pointillist.relational.sampling import Sampler


def fit_folder(
    folder: Path,
    out: Path,
    configuration: Configuration,
    form: CsvForm,
    state: Path | None,
    console: Console,
    *,
    is_resumed: bool,
) -> None:
    """Fits the tables of a folder, and writes a model file; `state` begins the names of the files of training."""
    if state is not None and not is_resumed:
        for file in state.parent.glob(f"{state.name}.*"):
            file.unlink()
    content, started = Folder.read(folder, form), time.monotonic()
    if content.subject is not None:
        (table,) = content.tables.values()
        model = fit_subjects(configuration, table, content.subject, content.order, state)
    else:
        schema = content.schema
        assert schema is not None
        if content.is_proposed:
            console.print("Keys found by name and content (write schema.toml if others are meant):", highlight=False)
        keys = [f"{table}.{'+'.join(columns)}: primary key" for table, columns in schema.primary_keys.items()]
        keys += [f"{key.name}: refers to {key.parent}" for each in schema.foreign_keys.values() for key in each]
        for line in keys:
            console.print(terminal_text(line), soft_wrap=True)
        model = fit_tables(configuration, content.tables, schema, state)
    model.save(out)
    # The checkpoints are forgotten only once the file has proved readable.
    load_relational(out)
    for each in model.tables:
        if state is not None:
            state.with_name(f"{state.name}.{each.name}").unlink(missing_ok=True)
    rows = ", ".join(f"{each.name} {each.n_rows:,}" for each in model.tables)
    console.print(terminal_text(f"{out}: {rows} rows; {time.monotonic() - started:.0f} s"), soft_wrap=True)


def sample_tables(path: Path, out: Path, n: int | None, scale: float | None, where: Sequence[str], seed: int) -> None:
    """Draws related tables into a folder, or one table with several rows per subject into a file."""
    if None not in (n, scale):
        raise ValueError("-n and --scale both say how many rows are drawn: leave one of them out")
    model = load_relational(path)
    n_rows = {each.name: max(1, round((scale or 1.0) * each.n_rows)) for each in model.tables}
    if n is not None:
        if len(model.roots) != 1:
            raise ValueError(f"{len(model.roots)} tables have no parent, so -n could mean any of them: give --scale")
        n_rows[model.roots[0]] = n
    if model.subjects is None and out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file, and {len(model.tables)} tables need a folder: give another name")
    total = sum(n_rows[root] for root in model.roots)
    with ExitStack() as files, Bar(Console(stderr=True), total) as bar:
        writers: dict[str, TableWriter] = {}
        bar.say("sampling")
        for part in Sampler(model, _where(model, where), {}, seed).parts(n_rows):
            tables = part if model.subjects is None else {"": model.subjects.join(part)}
            for name, table in tables.items():
                if name not in writers:
                    path = out / f"{name}.csv" if name else out
                    writers[name] = files.enter_context(TableWriter(path, table.column_names, table.schema.types))
                writers[name].write(table.columns)
            bar.advance(sum(len(part[root]) for root in model.roots if root in part))


def _where(model: RelationalModel, texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    models = {each.name: each.drawer.model for each in model.tables}
    for text in texts:
        full = text if model.subjects is None else model.subjects.where(text)
        table, rest = model.schema.table_and_column(full)
        for column, value in (where_of(models[table], [rest]) or {}).items():
            if f"{table}.{column}" in found:
                raise ValueError(f"--where gives column {shown(column)} twice: leave one of them out")
            found[f"{table}.{column}"] = value
    return found


def compare_folders(data: Path, rows: Path, form: CsvForm, seed: int) -> RelationalEvaluation:
    """Compares the tables of a folder, or those that a model draws, with the real ones of a folder with the schema."""
    content = Folder.read(data, form)
    if content.schema is None:
        raise ValueError(f"{data}: has one table: evaluate its file")
    drawn: Mapping[str, Any]
    if rows.is_dir():
        drawn = Folder.read(rows).tables
    else:
        model = load_relational(rows)
        if absent := set(model.roots) - set(content.tables):
            raise ValueError(f"{data}: has no table {min(absent)!r}, but {rows} draws one")
        drawn = model.sample({name: len(content.tables[name]) for name in model.roots}, {}, {}, seed)
    for name in content.schema.tables:
        if name not in drawn:
            raise ValueError(f"{rows}: has no table {name!r}")
    return evaluate_tables(content.tables, drawn, content.schema, random_state=seed)


def relational_facts(path: Path) -> dict[str, str]:
    """Returns what a model file of related tables holds."""
    model = load_relational(path)
    facts = {"kind": "related tables" if model.subjects is None else "a table with several rows per subject"}
    for each in model.tables:
        columns = map(str, each.layout.column_names)
        order = "" if each.order is None else f", in the order of {each.order.column}"
        facts[each.name] = f"{each.n_rows:,} training rows{order}; columns {', '.join(columns)}"
    if model.subjects is None:
        for keys in model.schema.foreign_keys.values():
            facts |= {key.name: f"refers to {key.parent}" for key in keys}
    return facts
