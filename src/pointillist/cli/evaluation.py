"""`pointillist evaluate`: compares generated rows with real ones."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointillist.cli import choices
from pointillist.cli.choices import FILES

if TYPE_CHECKING:
    from pointillist.points import MixedTable, Table


def evaluate(
    rows: Annotated[
        Path,
        typer.Argument(
            metavar="ROWS", help=f"Generated rows ({FILES}), or a model file to draw as many rows from as DATA has."
        ),
    ],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Real rows to compare with.")],
    target: Annotated[str | None, choices.target("A column to predict in the held-out rows")] = None,
    holdout: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="Real rows that the model was not fitted to.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of tables.")] = False,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the columns that differ most, singly and in pairs.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with status 1 if the rows are distinguishable from the data.")
    ] = False,
    seed: Annotated[int, choices.seed("Seed of subsamples, folds and permutations.")] = 0,
) -> None:
    """Compares generated rows with real ones; real rows and independent columns are scored too, as baselines."""
    from rich.console import Console

    from pointillist.evaluation import draw_evaluation, evaluate_tables, print_evaluation
    from pointillist.evaluation.evaluation import MIN_ROWS
    from pointillist.evaluation.sides import as_columns
    from pointillist.files import check_place
    from pointillist.metrics.mixed_tables import check_tables
    from pointillist.points import Table

    if figure is not None:
        if figure.suffix.lower() != ".png":
            raise ValueError(f"{figure}: the name of --figure must end in .png")
        check_place(figure)
    real = _read(data, target, MIN_ROWS)
    n = len(real.rows) if isinstance(real, Table) else len(real)
    tables = {str(data): real, str(rows): _given_or_drawn(rows, n, target, seed, MIN_ROWS)}
    if holdout is not None:
        tables[str(holdout)] = _read(holdout, target, MIN_ROWS)
    name = real.label.name if isinstance(real, Table) and real.label is not None else target
    columns = as_columns(tables)
    # Here rather than below, where the sides are not called by their files' names.
    check_tables(MIN_ROWS, **columns)
    evaluation = evaluate_tables(
        columns[str(data)],
        columns[str(rows)],
        holdout=None if holdout is None else columns[str(holdout)],
        target=name,
        random_state=seed,
    )
    if as_json:
        print(json.dumps(evaluation.to_json(), indent=1, allow_nan=False))
    else:
        print_evaluation(evaluation, Console())
    if figure is not None:
        draw_evaluation(columns[str(data)], columns[str(rows)], figure)
    if check and evaluation.is_distinguishable:
        raise typer.Exit(1)


def _read(path: Path, target: str | None, min_rows: int) -> "MixedTable | Table":
    from pointillist.points import MixedTable, read_table
    from pointillist.points.mixed_files import read_mixed

    if path.suffix == ".npy":
        return read_table(path, target, min_rows=min_rows)
    # As a label the target would be text, whatever it holds.
    return MixedTable(read_mixed(path, target, min_rows=min_rows).arrow)


def _given_or_drawn(rows: Path, n: int, target: str | None, seed: int, min_rows: int) -> "MixedTable | Table":
    """The rows of a file, or n rows drawn from the model that it holds."""
    from pointillist.estimators.drawing import Options
    from pointillist.estimators.model import DiffusionModel
    from pointillist.points import READABLE, LabelColumn, MixedTable, Table

    if rows.name.endswith(READABLE) or not rows.exists():
        return _read(rows, target, min_rows)
    model = DiffusionModel.load(rows)
    if model._is_mixed:
        table, _ = model._mixed_draw(n, Options(random_state=seed), progress=True)
        return MixedTable(table.rename_columns([str(name) for name in model.layout_.names]))
    drawn, labels = model._drawn(n, Options(return_labels=model._n_classes > 0, random_state=seed), progress=True)
    names, types = model.layout_.names, model.layout_.types
    name, place = model.label_column_ or ("label", len(types))
    label = None if labels is None else LabelColumn(str(name), place, labels)
    return Table(drawn, None if names is None else tuple(map(str, names)), types, label)
