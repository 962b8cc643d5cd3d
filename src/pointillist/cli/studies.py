"""`pointillist study` and `pointillist report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointillist.cli import options
from pointillist.cli.locks import alone

if TYPE_CHECKING:
    from rich.console import Console

    from pointillist.study.store import Store

_LOCK = ".study.lock"


def study(
    spec: Annotated[str, typer.Argument(help="A TOML file, or the name of a built-in spec.")] = "report",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.", show_default="results/NAME"),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds; from 3 on, error bars include training.")] = None,
    only: Annotated[options.Columns, options.columns("A section to run; may be repeated.", "SECTION")] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs, instead of the spec's.")] = None,
    engine: Annotated[options.Engine, options.engine("models are trained")] = "local",
    address: options.Address = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Continue from the folder's results, or delete them first.")
    ] = True,
) -> None:
    """Trains a grid of models side by side; writes tables, figures and a database."""
    from rich.console import Console

    from pointillist.engine.cluster import check_engine
    from pointillist.study.spec_files import load_spec

    check_engine(engine, address)
    plan = load_spec(spec)
    if only:
        plan = plan.only(only)
    if epochs is not None:
        plan = plan.with_epochs(epochs)
    if seeds is not None:
        plan = plan.with_seeds(seeds)
    folder = out or Path("results") / plan.name

    from pointillist.study.outputs import STORE, check_folder, write_outputs
    from pointillist.study.remote import run_study_on_ray
    from pointillist.study.runner import run_study
    from pointillist.study.store import Store

    console = Console()
    folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)
    with alone(folder / _LOCK, folder, "running this study, or writing its report"):
        if not resume:
            _remove_results(folder)
        with Store(folder / STORE) as store:
            try:
                if engine == "ray":
                    run_study_on_ray(plan, store, console, address)
                else:
                    run_study(plan, store, console)
            except (KeyboardInterrupt, SystemExit):
                _print_progress(store, console, is_resumed=resume)
                raise
            write_outputs(store, folder, console)


def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")]) -> None:
    """Rebuilds tables and figures from a study's database."""
    from rich.console import Console

    from pointillist.study.outputs import STORE, check_folder, write_outputs
    from pointillist.study.store import Store

    if not (folder / STORE).is_file():
        raise FileNotFoundError(f"{folder}: holds no {STORE}: give a folder that pointillist study has written")
    check_folder(folder)
    lock = alone(folder / _LOCK, folder, "running this study, or writing its report")
    with lock, Store(folder / STORE) as store:
        write_outputs(store, folder, Console())


def _print_progress(store: "Store", console: "Console", *, is_resumed: bool) -> None:
    from pointillist.study.results import Results

    finished = missing = 0
    if store.fact("spec") is not None:
        finished, missing = Results(store).finished_and_missing()
    done = f"Stopped with {finished} of {finished + missing} cells finished."
    console.print(f"{done} {options.again(is_resumed=is_resumed)}", highlight=False)


def _remove_results(folder: Path) -> None:
    """Removes a store and the files that it lists; if it is damaged, the store alone."""
    from pointillist.study.outputs import STORE, written_by
    from pointillist.study.store import Store, StoreError, remove_journals

    if not (folder / STORE).exists():
        return
    try:
        with Store(folder / STORE) as store:
            written = written_by(store, folder)
    except (StoreError, OSError):
        written = []
    remove_journals(folder / STORE)
    for path in (folder / STORE, *written):
        path.unlink(missing_ok=True)
