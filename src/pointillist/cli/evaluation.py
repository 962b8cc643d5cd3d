"""`pointillist evaluate` and `pointillist audit`."""

import json
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option

from pointillist.cli import options
from pointillist.cli.options import FILES, TABLES
from pointillist.files.csv_format import CsvForm


@options.csv_options("DATA and --holdout")
def evaluate(
    *,
    data: Annotated[
        Path, Argument(metavar="DATA", help=f"Real rows to compare with ({TABLES}), or a folder of related tables.")
    ],
    rows: Annotated[
        Path, Argument(metavar="ROWS", help="Generated rows, or a model file, from which as many rows are drawn.")
    ],
    target: Annotated[str | None, options.target("--target", "A column to predict in the held-out rows")] = None,
    holdout: Annotated[Path | None, Option(metavar="TABLE", help="Real rows that the model was not fitted to.")] = None,
    as_json: options.Json = False,
    figure: Annotated[
        Path | None, Option(metavar="FILE.png", help="Draw the columns and pairs of columns that differ most.")
    ] = None,
    html: Annotated[Path | None, Option(metavar="FILE.html", help="Write a report as one page for a browser.")] = None,
    check: Annotated[
        bool, Option("--check", help="Exit with status 1 if the rows are distinguishable, or look copied.")
    ] = False,
    engine: Annotated[options.Engine, options.engine("the rows of a model are drawn")] = "local",
    address: options.Address = None,
    form: CsvForm,
    seed: Annotated[int, options.seed("Seed of subsamples, folds, permutations, and rows drawn from a model.")] = 0,
) -> None:
    """Compares generated rows with real ones; real rows and independent columns are scored too, as baselines."""
    from pointillist.engine.cluster import check_engine
    from pointillist.files.folders import holds_related_tables

    check_engine(engine, address)
    if holds_related_tables(data, form):
        from pointillist.cli.relational import compare_folders

        given = {"--target": target, "--holdout": holdout, "--figure": figure, "--html": html}
        options.refuse(f"{data}: is a folder", given | {"--engine": None if engine == "local" else engine})
        found = compare_folders(data, rows, form, seed)
        _show(found, as_json=as_json)
        is_suspicious = found.is_distinguishable
    else:
        from pointillist.cli.comparing import Reports, compare

        reports = Reports(as_json, figure, html)
        is_suspicious = compare(data, rows, holdout, target, form, seed, reports, engine, address)
    if check and is_suspicious:
        raise Exit(1)


@options.csv_options("TRAIN and HELDOUT")
def audit(
    *,
    model: options.Model,
    members: Annotated[Path, Option(metavar="TRAIN", help=f"Rows that the model was fitted to ({FILES}).")],
    non_members: Annotated[
        Path, Option(metavar="HELDOUT", help="Rows of the same population that it was not fitted to.")
    ],
    as_json: options.Json = False,
    n: Annotated[
        int | None, Option("--rows", "-n", help="Number of rows to draw.", show_default="4 per member, 2,000 to 20,000")
    ] = None,
    delta: Annotated[
        float | None, Option(help="δ of the lower bounds of ε.", show_default="the model's δ, or 0")
    ] = None,
    form: CsvForm,
    seed: Annotated[int, options.seed("Seed of generated rows, noise and subsamples.")] = 0,
) -> None:
    """Attacks a model: can its training rows be distinguished from other rows of the same population?"""
    from pointillist.cli.table_options import read_for
    from pointillist.models.saving import is_relational, load_model
    from pointillist.privacy.auditing import audit as attack

    fitted: Any
    if is_relational(model):
        from pointillist.relational.model import load_relational

        fitted = load_relational(model)
        inside, outside = (_related(path, form, fitted.subjects is not None) for path in (members, non_members))
    else:
        fitted = load_model(model)
        inside, outside = (read_for(fitted, path, form) for path in (members, non_members))
    _show(attack(fitted, inside, outside, n_drawn=n, delta=delta, random_state=seed), as_json=as_json)


def _show(found: Any, *, as_json: bool) -> None:
    from rich.console import Console

    if as_json:
        print(json.dumps(found.to_json(), indent=1, allow_nan=False))
    else:
        found.print_on(Console())


def _related(path: Path, form: CsvForm, is_one_table: bool) -> Any:
    """Reads the tables of a folder, or the table of a folder or a file with several rows per subject."""
    from pointillist.files.folders import Folder
    from pointillist.files.reading import read_table

    tables = Folder.read(path, form).tables if path.is_dir() else {path.stem: read_table(path, kind="mixed", form=form)}
    return next(iter(tables.values())) if is_one_table and len(tables) == 1 else tables
