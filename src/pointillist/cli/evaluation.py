"""`pointillist evaluate`: compares generated rows with real ones."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointillist.cli import options
from pointillist.cli.options import FILES
from pointillist.files.csv_format import CsvForm

if TYPE_CHECKING:
    from pointillist.evaluation import Calibration
    from pointillist.privacy import Audit


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
    from pointillist.cli.comparing import audited, calibrated, model_and_tables, read_like
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
    model, tables = model_and_tables(data, rows, holdout, target, form, seed)
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
        others = read_like(model, holdout, None, 1, form)
        attacked = audited(model, real, others, seed)
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
