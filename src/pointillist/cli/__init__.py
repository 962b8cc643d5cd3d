"""The command line. Heavy modules are imported where they are used, so that --help is immediate."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Diffusion models for rows of numbers.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

_STORE = "study.db"


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    pass


@app.command()
def study(
    spec: Annotated[str, typer.Argument(help="A TOML file, or the name of a built-in spec.")] = "report",
    out: Annotated[Path | None, typer.Option(help="Folder for the results [default: results/NAME].")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds; from 3 on error bars cover training too.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="A section to run; may be given again.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs, in place of the spec's.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on from what the folder holds, or throw its results away.")
    ] = True,
) -> None:
    """Trains a grid of models side by side; writes tables, figures and a database."""
    from rich.console import Console

    from pointillist.study.spec import load_spec

    plan = load_spec(spec)
    if only:
        plan = plan.only(only)
    if epochs is not None:
        plan = plan.with_epochs(epochs)
    if seeds is not None:
        plan = plan.with_seeds(seeds)
    folder = out or Path("results") / plan.name

    from pointillist.study.outputs import write_outputs
    from pointillist.study.results import Results
    from pointillist.study.runner import run_study
    from pointillist.study.store import Store

    console = Console()
    folder.mkdir(parents=True, exist_ok=True)
    if not resume:
        _remove_results(folder)
    with Store(folder / _STORE) as store:
        try:
            run_study(plan, store, console)
        except KeyboardInterrupt:
            finished, missing = Results(store).finished_and_missing()
            console.print(
                f"Stopped with {finished} of {finished + missing} cells finished. The same command goes on from there.",
                highlight=False,
            )
            raise typer.Exit(130) from None
        write_outputs(store, folder, console)


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")]) -> None:
    """Rebuilds tables and figures from a study's store."""
    from rich.console import Console

    from pointillist.study.outputs import write_outputs
    from pointillist.study.store import Store

    if not (folder / _STORE).is_file():
        raise FileNotFoundError(f"{folder}: holds no {_STORE}, so that it is no study's folder")
    with Store(folder / _STORE) as store:
        write_outputs(store, folder, Console())


def _remove_results(folder: Path) -> None:
    names = [_STORE, f"{_STORE}-journal", "results.csv", "tables/*.md", "figures/*.png"]
    for path in (path for name in names for path in folder.glob(name)):
        path.unlink()


def main() -> None:
    """Runs the command line: bad input is one line on standard error and exit status 2."""
    arguments = sys.argv[1:] or ["--help"]
    try:
        sys.exit(app(arguments, standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if "--debug" in arguments or not _is_bad_input(error):
            raise
        print(f"pointillist: {_in_one_line(error)}", file=sys.stderr)
        sys.exit(2)


def _in_one_line(error: Exception) -> str:
    # Usage errors of the command-line library give their text by a method of their own.
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return " ".join(text.split())


def _is_bad_input(error: Exception) -> bool:
    import sqlite3

    return hasattr(error, "format_message") or isinstance(error, ValueError | OSError | sqlite3.Error)


if __name__ == "__main__":
    main()
