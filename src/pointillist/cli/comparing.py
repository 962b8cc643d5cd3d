"""What `pointillist evaluate` does: reads or draws the tables, compares them, and attacks a model."""

import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from pointillist.atomic_files import check_writable, write_whole
from pointillist.cli.options import FILES
from pointillist.cli.table_options import read_for
from pointillist.evaluation import draw_evaluation, evaluate, print_evaluation
from pointillist.evaluation.evaluation import MIN_ROWS
from pointillist.evaluation.html import html_of
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import format_of, is_table
from pointillist.files.number_rows import check_enough
from pointillist.files.reading import read_table
from pointillist.metrics.inputs import as_columns
from pointillist.metrics.mixed_tables import check_tables
from pointillist.models.request import Request
from pointillist.models.row_model import RowModel
from pointillist.models.saving import load_model
from pointillist.privacy.auditing import MIN_ROWS as MIN_AUDITED
from pointillist.privacy.auditing import Audit, audit
from pointillist.progress import Bar
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.numbers import LabelColumn
from pointillist.tables.row_sampling import IN_MEMORY
from pointillist.tables.table import Column, Table
from pointillist.tables.text_formats import forms_in

MOST_ROWS = 2000
"""Most members and non-members of an audit; `audit` uses more."""


@dataclass(frozen=True)
class Reports:
    """How an evaluation is reported: printed, as JSON or for people, and perhaps in files."""

    as_json: bool
    figure: Path | None
    html: Path | None

    def __post_init__(self) -> None:
        for option, ending, file in (("--figure", ".png", self.figure), ("--html", ".html", self.html)):
            if file is not None and file.suffix.lower() != ending:
                raise ValueError(f"{file}: the name of {option} must end in {ending}")
            if file is not None:
                check_writable(file)


def compare(
    data: Path,
    rows: Path,
    holdout: Path | None,
    target: str | None,
    form: CsvForm,
    seed: int,
    reports: Reports,
    engine: str,
    address: str | None,
) -> bool:
    """Prints the evaluation of rows; returns whether they are distinguishable from the data or look copied."""
    model: RowModel | None = None
    paths = (data,) if holdout is None else (data, holdout)
    if is_table(rows):
        if engine == "ray":
            raise ValueError(f"{rows}: is a table, and Ray draws the rows of a model: leave --engine out")
        if not is_table(data):
            raise ValueError(f"{data} is not a table ({FILES}): give the real rows first, then the model or its rows")
        tables = _tables_alike(dict.fromkeys(paths, form) | {rows: form if rows in paths else CsvForm()}, target)
    else:
        model = load_model(rows)
        tables = {path: _read_like(model, path, target, MIN_ROWS, form) for path in paths}
        tables[rows] = _drawn(model, len(tables[data]), seed, engine, address)
    real = tables[data]
    target = target if real.label is None else str(real.label)
    columns = as_columns({str(path): tables[path] for path in dict.fromkeys((*paths, rows))})
    # Checked here, where the names of the files are known.
    check_tables(MIN_ROWS, **columns)
    data_columns, row_columns = columns[str(data)], columns[str(rows)]
    held_out = None if holdout is None else columns[str(holdout)]
    evaluation = evaluate(data_columns, row_columns, holdout=held_out, target=target, random_state=seed)
    attacked: Audit | str | None = None
    if model is not None and holdout is not None:
        attacked = _audited(model, real, _read_like(model, holdout, None, 1, form), seed)
    verdict = attacked.verdict if isinstance(attacked, Audit) else attacked
    if reports.as_json:
        found = evaluation.to_json()
        if attacked is not None:
            found["audit"] = attacked if isinstance(attacked, str) else attacked.to_json()
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        print_evaluation(evaluation, Console(), verdict, (str(data), str(rows)))
    if reports.figure is not None:
        draw_evaluation(data_columns, row_columns, reports.figure)
    if reports.html is not None:
        write_whole(reports.html, html_of(evaluation, verdict, (str(data), str(rows))))
    return evaluation.is_distinguishable or evaluation.looks_copied


def _audited(model: RowModel, data: Table, others: Table, seed: int) -> Audit | str | None:
    """Return the audit of a model, or why it failed; None for too few rows."""
    if min(len(data), len(others)) < MIN_AUDITED:
        return None
    try:
        return audit(model, data, others, max_rows=MOST_ROWS, random_state=seed)
    except ValueError as error:
        return f"No audit: {error}"


def _read_like(model: RowModel, path: Path, target: str | None, min_rows: int, form: CsvForm) -> Table:
    """Read a table with the columns of a model; the target of an array becomes its labels."""
    if not format_of(path).holds_text:
        return read_table(path, target, min_rows=min_rows, form=form)
    table = read_for(model, path, form, limit=IN_MEMORY)
    check_enough(len(table), path, min_rows)
    return table


def _tables_alike(forms: dict[Path, CsvForm], target: str | None) -> dict[Path, Table]:
    """Read tables, the real one first; columns have its formats where their cells fit several.

    A column of text in one is text in all, where codes may look like numbers.
    """
    usual: dict[str, str] = {}

    def read(path: Path, types: dict[str, str]) -> Table:
        return read_table(
            path, target, types=types, kind="mixed", min_rows=MIN_ROWS, form=forms[path], usual=usual, limit=IN_MEMORY
        )

    tables: dict[Path, Table] = {}
    for path in forms:
        tables[path] = read(path, {})
        usual = usual or forms_in(tables[path].arrow.schema)
    mixed = {path: dict(zip(each.names, each.cells, strict=True)) for path, each in tables.items() if not each.is_rows}
    texts: dict[str, set[str]] = {}
    for name, cells in [item for columns in mixed.values() for item in columns.items()]:
        if _holds_text(cells):
            texts.setdefault(name, set()).update(map(str, cells.categories or ()))
    for path, columns in mixed.items():
        names = [name for name, cells in columns.items() if name in texts and not _holds_text(cells)]
        if names and not format_of(path).has_types:
            as_text = read(path, dict.fromkeys(names, "text"))
            for name in names:
                values = {*map(str, as_text.column(name).categories or ())}
                # If most are not among the texts, they are numbers, and a few stray texts are refused later.
                if 2 * len(values & texts[name]) >= len(values):
                    tables[path] = tables[path].with_column(name, as_text.arrow[name])
    return tables


def _holds_text(cells: Column) -> bool:
    return any(isinstance(category, str) for category in cells.categories or ())


def _drawn(model: RowModel, n: int, seed: int, engine: str, address: str | None) -> Table:
    """Draw rows from a model, with their labels if it has classes."""
    codec, classes = model.codec, model.classes
    request = Request(n, return_labels=classes is not None, variance=model.parameters["variance"], random_state=seed)
    with Bar(Console(stderr=True), n) as bar:
        drawn, labels = SamplingRun(model, request).rows(bar.advance, engine, address)
    name, position = (None if classes is None else classes.column) or ("label", codec.n_columns)
    label = None if labels is None or model.label_index is None else LabelColumn(str(name), position, labels)
    return codec.layout.with_labels(drawn, label)
