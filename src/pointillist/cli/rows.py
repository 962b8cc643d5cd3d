"""`pointillist fit` and `pointillist sample`: models of a user's own tables."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pointillist.cli import options
from pointillist.cli.locks import exclusive
from pointillist.cli.options import FILES, Columns
from pointillist.files.csv_format import CsvForm
from pointillist.models.configuration import Configuration, SamplingConfig

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from pointillist.models.fitting import Task
    from pointillist.models.row_model import RowModel
    from pointillist.queries.sampling import SamplingRun
    from pointillist.tables.table import Table


@exclusive
@options.of_csv()
@options.of(Configuration)
def fit(
    *,
    data: Annotated[Path, typer.Argument(metavar="DATA", help=f"A table: {FILES}.")],
    out: Annotated[Path, options.out("MODEL", "The model file to write.")],
    target: Annotated[str | None, options.target("The column of labels, so that single classes can be drawn")] = None,
    categorical: Annotated[Columns, options.columns("A column whose numbers are categories; may be repeated.")] = None,
    type: Annotated[
        Columns,
        options.columns(
            "Type of a column, if not the detected one: text, integer, number or date; may be repeated.", "COLUMN=TYPE"
        ),
    ] = None,
    drop: Annotated[Columns, options.columns("A column to leave out; may be repeated.")] = None,
    keep: Annotated[
        Columns,
        options.columns(
            "A column that must not be left out, even if it numbers the rows; an error if it holds text that differs "
            "in nearly every row. May be repeated."
        ),
    ] = None,
    form: CsvForm,
    seed: Annotated[
        int | None, options.seed("Same seed, same model.", show_default="0; for a private fit, the system's entropy")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File for the state of training.", show_default="MODEL.checkpoint")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Continue from the checkpoint, or discard it.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show neither column types nor progress.")] = False,
    domain: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What is public of each column of a private fit: its range or values."),
    ] = None,
    **chosen: Any,
) -> None:
    """Fits a diffusion model to a table with columns of any kind, and writes a model file."""
    from rich.console import Console

    from pointillist.cli.table_options import json_in, read_domains, types_of
    from pointillist.engine.devices import configure
    from pointillist.files.reading import read_table
    from pointillist.foreign_text import terminal_text
    from pointillist.memory import give_back
    from pointillist.models.checkpoint import forget, remove_checkpoint
    from pointillist.models.saving import load_model, save_model
    from pointillist.progress import waiting

    is_private = chosen["epsilon"] is not None
    state = _state_file(data, out, checkpoint, is_private=is_private)
    configure()
    chosen = {name: None if value == "none" else value for name, value in chosen.items()}
    asked = Configuration(
        **chosen,
        domain=None if domain is None else json_in(domain, read_domains),
        verbose=not quiet,
        random_state=seed if seed is not None or is_private else 0,
    )
    console = Console(stderr=True, quiet=quiet)
    types = types_of(type or ())
    with waiting(console, f"reading {data}", is_shown=not quiet):
        kind: Literal["mixed", "any"] = "mixed" if categorical or is_private else "any"
        table = read_table(data, target, drop=drop or (), types=types, kind=kind, form=form)
    if state is not None and not resume:
        remove_checkpoint(state)
    started = time.monotonic()
    with _explained(data, state, resume, console):
        task = _prepared(asked, table, categorical or [], keep or [], state, console)
        # A large table must not stay in memory beside its tokens, nor what reading it took and freed.
        del table
        give_back()
        model = task.fit(state)
    save_model(model, out)
    # What cannot be read again is as good as lost, and the checkpoint is all there is of it.
    load_model(out)
    if state is not None:
        forget(state)
    seconds = time.monotonic() - started
    console.print(terminal_text(f"{out}: {_summary(model, len(task.plan.rows), seconds)}"), soft_wrap=True)


def _state_file(data: Path, out: Path, checkpoint: Path | None, *, is_private: bool) -> Path | None:
    """The file for the state of training, apart from all other files of the command; None for a private fit."""
    from pointillist.atomic_files import check_apart, check_place
    from pointillist.models.checkpoint import previous

    if is_private and checkpoint is not None:
        raise ValueError("--checkpoint: a private fit keeps no state, which would tell of single rows: leave it out")
    kept = checkpoint or out.with_name(f"{out.name}.checkpoint")
    check_place(kept)
    for place in (kept, previous(kept)):
        check_apart(place, data)
    if out.resolve() in (kept.resolve(), previous(kept).resolve()):
        raise ValueError(f"{out}: is given as --checkpoint too, which is removed at the end: give another name")
    return None if is_private else kept


def _prepared(
    asked: Configuration,
    table: "Table",
    categorical: list[str],
    keep: list[str],
    state: Path | None,
    console: "Console",
) -> "Task":
    """Plans the training, and prints what it takes each column for."""
    from pointillist.cli.table_options import print_types
    from pointillist.foreign_text import shown, terminal_text
    from pointillist.privacy.private_fits import prepare
    from pointillist.progress import waiting

    for name in keep:
        if name not in table.names:
            raise ValueError(f"--keep: there is no column {shown(name)}; the columns are {table.listed()}")
    with waiting(console, "encoding the table", is_shown=bool(asked.verbose)):
        task = prepare(asked, table, categorical=categorical, keep=keep, checkpoint=state)
    if task.guarantee is not None:
        console.print(terminal_text(task.guarantee.line), soft_wrap=True)
    if task.table is not None:
        print_types(task.table, task.plan.codec, categorical, console)
    return task.without_table()


@contextmanager
def _explained(data: Path, state: Path | None, is_resumed: bool, console: "Console") -> Iterator[None]:
    """Names the data in errors of a fit, and says how to continue one that is stopped."""
    from pointillist.models.checkpoint import CheckpointError

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if state is not None and state.exists():
            console.print(f"Stopped. {options.again(is_resumed=is_resumed)}", highlight=False)
        raise
    except CheckpointError:
        raise
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from error


def _summary(model: "RowModel", n: int, seconds: float) -> str:
    """What was fitted, in one line; of a private fit, nothing of the rows."""
    if model.record.guarantee is not None:
        return f"{seconds:.0f} s"
    d, history = model.codec.n_columns, model.record.history
    columns, epochs = "column" if d == 1 else "columns", "epoch" if len(history) == 1 else "epochs"
    classes = f", {len(model.classes)} classes" if model.classes is not None else ""
    return f"{n:,} rows, {d} {columns}{classes}; {len(history)} {epochs} in {seconds:.0f} s, loss {history[-1]:.4f}"


@exclusive
@options.of(SamplingConfig)
def sample(
    *,
    model: options.Model,
    out: Annotated[Path, options.out("ROWS", f"The table to write: {FILES}.")],
    n: Annotated[
        int | None, typer.Option("--rows", "-n", help="Number of rows.", show_default="those of --prior")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="VALUE",
            help="The class of all rows.",
            show_default="classes in the proportions of the data",
        ),
    ] = None,
    where: Annotated[
        Columns,
        options.columns(
            "What a column holds: COLUMN=VALUE, COLUMN=LOW..HIGH (either end may be left out), COLUMN=A|B|C, "
            "COLUMN=? (missing) or COLUMN=!? (present); may be repeated.",
            "CONDITION",
        ),
    ] = None,
    prior: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Draws from N(0, I) to start from, one for each row.")
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="A function of rows, (m, d) → (m,), of which high values are drawn more often, for tables of numbers; "
            "the file is run.",
        ),
    ] = None,
    engine: Annotated[options.Engine, options.engine("rows are drawn")] = "local",
    address: options.Address = None,
    seed: Annotated[int, options.seed("Same seed, same rows.")] = 0,
    **chosen: Any,
) -> None:
    """Draws new rows from a model, and writes them as they are drawn."""
    from pointillist.cli.conditions import category_of, where_of
    from pointillist.cli.rewards import explained, reward_of
    from pointillist.engine.cluster import check_engine
    from pointillist.files.reading import read_numbers
    from pointillist.models.request import Request
    from pointillist.models.saving import load_model
    from pointillist.queries.sampling import SamplingRun

    check_engine(engine, address)
    fitted = load_model(model)
    start = None if prior is None else read_numbers(prior, min_rows=1).rows
    n_rows, classes = _n_rows(n, prior, start), fitted.classes
    if label is not None and classes is None:
        raise ValueError(f"{model}: was fitted without labels: leave --class out, or fit it with --target COLUMN")
    request = Request(
        n_rows,
        labels=None if label is None or classes is None else category_of(label, classes.labels.tolist()),
        return_labels=fitted.label_index is not None,
        reward=None if reward is None else reward_of(reward),
        prior=start,
        where=where_of(fitted, where or ()),
        variance=fitted.parameters["variance"],
        random_state=seed,
        **chosen,
    )
    run = SamplingRun(fitted, request)
    with nullcontext() if reward is None else explained(reward):
        _write(run, fitted, n_rows, out, run.parts(engine, address))


def _write(run: "SamplingRun", model: "RowModel", n_rows: int, out: Path, parts: Iterable[tuple[Any, Any]]) -> None:
    from rich.console import Console

    from pointillist.files.writing import TableWriter
    from pointillist.progress import Bar

    console = Console(stderr=True)
    writing = TableWriter(out, *model.file_columns(), n_rows, model.codec.layout.forms)
    with writing as writer, Bar(console, n_rows) as bar:
        bar.say("sampling")
        for part, labels in parts:
            columns = model.codec.columns(part)
            if model.label_index is not None:
                columns.insert(model.label_index, labels)
            writer.write(columns)
            bar.advance(len(part))
    if run.effective_sample_size is not None:
        console.print(f"effective sample size {run.effective_sample_size:,.0f} of {n_rows:,}", highlight=False)


def _n_rows(n: int | None, prior: Path | None, start: "np.ndarray | None") -> int:
    """The number of rows to draw: that of -n, or that of the rows to start from."""
    if n is not None and n < 1:
        raise ValueError(f"-n must be at least 1, not {n}")
    if start is None:
        if n is None:
            raise ValueError("the number of rows is missing: give -n or --prior")
        return n
    if n not in (None, len(start)):
        rows = "1 row" if len(start) == 1 else f"{len(start)} rows"
        raise ValueError(f"{prior}: has {rows}, but -n is {n}: leave -n out, or make them equal")
    return len(start)
