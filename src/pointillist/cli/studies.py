"""`pointillist study` and `pointillist report`."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pointillist.atomic_files import checking
from pointillist.cli import options
from pointillist.cli.locks import alone


def study(
    spec: Annotated[str, Argument(help="A TOML file, or the name of a built-in spec.")] = "report",
    out: Annotated[
        Path | None, Option("--out", "-o", metavar="DIR", help="Folder for the results.", show_default="results/NAME")
    ] = None,
    seeds: Annotated[int | None, Option(help="Number of seeds; from 3 on, error bars include training.")] = None,
    only: Annotated[options.Columns, options.columns("A section to run", "SECTION")] = None,
    epochs: Annotated[int | None, Option(help="Number of epochs, instead of the spec's.")] = None,
    engine: Annotated[options.Engine, options.engine("models are trained")] = "local",
    address: options.Address = None,
    resume: Annotated[bool, options.resume("the folder's results")] = True,
) -> None:
    """Trains a grid of models side by side; writes tables, figures and a database."""
    from rich.console import Console

    from pointillist.engine.cluster import check_engine
    from pointillist.study.spec_files import load_spec

    check_engine(engine, address)
    plan = load_spec(spec)
    plan = plan.only(only) if only else plan
    plan = plan if epochs is None else plan.with_epochs(epochs)
    plan = plan if seeds is None else plan.with_seeds(seeds)

    from pointillist.study.outputs import STORE, check_folder, write_outputs
    from pointillist.study.results import Results
    from pointillist.study.runner import run_study, run_study_on_ray
    from pointillist.study.store import Store

    folder, console = out or Path("results") / plan.name, Console()
    folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)
    with _alone(folder):
        if not resume:
            _remove_results(folder)
        with Store(folder / STORE) as store:
            try:
                if engine == "ray":
                    run_study_on_ray(plan, store, console, address)
                else:
                    run_study(plan, store, console)
            except (KeyboardInterrupt, SystemExit):
                is_empty = store.fact("spec") is None
                finished, missing = (0, 0) if is_empty else Results(store).finished_and_missing()
                progress = f"Stopped with {finished} of {finished + missing} cells finished."
                console.print(f"{progress} {options.again(is_resumed=resume)}", highlight=False)
                raise
            write_outputs(store, folder, console)


def report(folder: Annotated[Path, Argument(metavar="DIR", help="A study's folder.")]) -> None:
    """Rebuilds tables and figures from a study's database."""
    from rich.console import Console

    from pointillist.study.outputs import STORE, check_folder, write_outputs
    from pointillist.study.store import Store, StoreError

    if not (folder / STORE).is_file():
        raise FileNotFoundError(f"{folder}: holds no {STORE}: give a folder that pointillist study has written")
    check_folder(folder)
    # The store may come from elsewhere.
    with _alone(folder), Store(folder / STORE) as store, checking(store.path, StoreError):
        write_outputs(store, folder, Console())


def _alone(folder: Path) -> AbstractContextManager[None]:
    return alone(folder / ".study.lock", folder, "running this study, or writing its report")


def _remove_results(folder: Path) -> None:
    """Remove a store and the files that it lists, or the store alone if it is damaged."""
    from pointillist.study.outputs import STORE, written_by
    from pointillist.study.store import Store, StoreError

    if not (folder / STORE).exists():
        return
    try:
        with Store(folder / STORE) as store:
            written = written_by(store, folder)
    except (StoreError, OSError):
        written = []
    for path in (folder / STORE, folder / f"{STORE}-journal", *written):
        path.unlink(missing_ok=True)
