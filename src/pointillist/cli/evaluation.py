"""`pointillist evaluate`: compares generated rows with real ones."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointillist.cli import options
from pointillist.cli.options import FILES
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import READABLE, format_of

if TYPE_CHECKING:
    from pointillist.evaluation import Calibration
    from pointillist.models.row_model import RowModel
    from pointillist.privacy import Audit
    from pointillist.tables.table import Table

_AUDITED_ROWS = 2000
"""Most members, and most non-members, in the audit of an evaluation; `audit` uses more and detects smaller effects."""


@options.of_csv("DATA and --holdout")
def evaluate(
    *,
    data: Annotated[Path, typer.Argument(metavar="DATA", help=f"Real rows to compare with ({FILES}).")],
    rows: Annotated[
        Path,
        typer.Argument(metavar="ROWS", help="Generated rows, or a model file that draws as many rows as DATA has."),
    ],
    target: Annotated[str | None, options.target("A column to predict in the held-out rows")] = None,
    holdout: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="Real rows that the model was not fitted to.")
    ] = None,
    as_json: options.Json = False,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the columns that differ most, singly and in pairs."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Exit with status 1 if the rows are distinguishable from the data, or look copied."
        ),
    ] = False,
    form: CsvForm,
    seed: Annotated[int, options.seed("Seed of subsamples, folds, permutations, and rows drawn from a model.")] = 0,
) -> None:
    """Compares generated rows with real ones; real rows and independent columns are scored too, as baselines."""
    from rich.console import Console

    from pointillist.atomic_files import check_place
    from pointillist.cli.calibrating import calibrated
    from pointillist.evaluation import draw_evaluation, evaluate, print_evaluation
    from pointillist.evaluation.evaluation import MIN_ROWS, is_of_numbers
    from pointillist.evaluation.inputs import as_columns
    from pointillist.evaluation.json_values import json_value
    from pointillist.foreign_text import terminal_text
    from pointillist.metrics.mixed_tables import check_tables

    if figure is not None:
        if figure.suffix.lower() != ".png":
            raise ValueError(f"{figure}: the name of --figure must end in .png")
        check_place(figure)
    model, tables = _model_and_tables(data, rows, holdout, target, form, seed)
    real = tables[str(data)]
    name = target if real.label is None else str(real.label)
    columns = as_columns(tables)
    # Here rather than below, where the sides are not called by their files' names.
    check_tables(MIN_ROWS, **columns)
    evaluation = evaluate(
        columns[str(data)],
        columns[str(rows)],
        holdout=None if holdout is None else columns[str(holdout)],
        target=name,
        random_state=seed,
    )
    attacked: Audit | str | None = None
    predicted: Calibration | str | None = None
    if model is not None and holdout is not None:
        others = _read_like(model, holdout, None, 1, form)
        attacked = _audited(model, real, others, seed)
        if name is not None and is_of_numbers(columns[str(data)][name]):
            predicted = calibrated(model, real, others, name, seed)
    if as_json:
        found = evaluation.to_json()
        if attacked is not None:
            found["audit"] = attacked if isinstance(attacked, str) else attacked.to_json()
        if predicted is not None:
            found["calibration"] = json_value(predicted)
        print(json.dumps(found, indent=1, allow_nan=False))
    else:
        console = Console()
        if predicted is not None:
            console.print(terminal_text(predicted) if isinstance(predicted, str) else predicted.table())
        said = attacked if attacked is None or isinstance(attacked, str) else attacked.verdict
        print_evaluation(evaluation, console, said, (str(data), str(rows)))
    if figure is not None:
        draw_evaluation(columns[str(data)], columns[str(rows)], figure)
    if check and (evaluation.is_distinguishable or evaluation.looks_copied):
        raise typer.Exit(1)


def _model_and_tables(
    data: Path, rows: Path, holdout: Path | None, target: str | None, form: CsvForm, seed: int
) -> "tuple[RowModel | None, dict[str, Table]]":
    """The model, if ROWS is one, and the tables by their files' names, the rows that it draws among them."""
    from pointillist.atomic_files import check_regular
    from pointillist.evaluation.evaluation import MIN_ROWS
    from pointillist.models.saving import load_model

    if not data.name.endswith(READABLE) and rows.name.endswith(READABLE):
        raise ValueError(f"{data} is not a table ({FILES}): give the real rows first, then the model or its rows")
    check_regular(rows)
    others = [] if holdout is None else [holdout]
    if rows.name.endswith(READABLE):
        forms = {data: form, rows: form if rows == data else CsvForm()} | dict.fromkeys(others, form)
        return None, _alike(forms, target, MIN_ROWS)
    model = load_model(rows)
    tables = {str(path): _read_like(model, path, target, MIN_ROWS, form) for path in (data, *others)}
    return model, tables | {str(rows): _drawn(model, len(tables[str(data)]), seed)}


def _audited(model: "RowModel", data: "Table", others: "Table", seed: int) -> "Audit | str | None":
    """The audit of a model, or why there is none; None of too few rows."""
    from pointillist.privacy import MIN_ROWS, audit

    if min(len(data), len(others)) < MIN_ROWS:
        return None
    try:
        return audit(model, data, others, max_rows=_AUDITED_ROWS, random_state=seed)
    except ValueError as error:
        return f"No audit: {error}"


def _read_like(model: "RowModel", path: Path, target: str | None, min_rows: int, form: CsvForm) -> "Table":
    """A table as the model has its columns; of arrays, with its labels apart if they are the target."""
    from pointillist.cli.table_options import read_for
    from pointillist.files.number_rows import check_enough
    from pointillist.files.reading import read_table

    if not format_of(path).holds_text:
        return read_table(path, target, min_rows=min_rows)
    table = read_for(model, path, form)
    check_enough(len(table), path, min_rows)
    return table


def _alike(forms: dict[Path, CsvForm], target: str | None, min_rows: int) -> "dict[str, Table]":
    """The tables of files by their names; a column of text in one is text in all, where codes may look like numbers."""
    from pointillist.files.reading import read_table

    def read(path: Path, types: dict[str, str]) -> "Table":
        return read_table(path, target, types=types, kind="mixed", min_rows=min_rows, form=forms[path])

    tables = {path: read(path, {}) for path in forms}
    texts: dict[str, set[str]] = {}
    mixed = {path: dict(zip(each.names, each.cells, strict=True)) for path, each in tables.items() if not each.is_rows}
    for columns in mixed.values():
        for name, cells in columns.items():
            if any(isinstance(category, str) for category in cells.categories or ()):
                texts.setdefault(name, set()).update(map(str, cells.categories or ()))
    for path, columns in mixed.items():
        others = [n for n in columns if n in texts and not any(isinstance(c, str) for c in columns[n].categories or ())]
        if not others or format_of(path).has_types:
            continue
        as_text = read(path, dict.fromkeys(others, "text"))
        for name in others:
            found = {*map(str, as_text.column(name).categories or ())}
            # Numbers among which a few texts strayed stay numbers, and are refused.
            if 2 * len(found & texts[name]) >= len(found):
                tables[path] = tables[path].with_column(name, as_text.arrow[name])
    return {str(path): table for path, table in tables.items()}


def _drawn(model: "RowModel", n: int, seed: int) -> "Table":
    """Draws rows of a model, as many as asked for, with its labels."""
    from rich.console import Console

    from pointillist.models.request import Request
    from pointillist.progress import Bar
    from pointillist.queries.sampling import SamplingRun
    from pointillist.tables.numbers import LabelColumn

    codec, classes = model.codec, model.classes
    request = Request(n, return_labels=classes is not None, variance=model.asked["variance"], random_state=seed)
    with Bar(Console(stderr=True), n) as bar:
        drawn, labels = SamplingRun(model, request).rows(bar.advance)
    name, place = (None if classes is None else classes.column) or ("label", codec.n_columns)
    label = None if labels is None or model.label_place is None else LabelColumn(str(name), place, labels)
    return codec.layout.with_labels(drawn, label)
