"""`pointillist fit` and `pointillist sample`: fit a model to a table, and draw rows from it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from pointillist.cli import options
from pointillist.cli.locks import exclusive
from pointillist.cli.options import FILES, OPTIONS, PRIVACY, REWARDS, TABLE, TABLES, TRAINING, Columns
from pointillist.files.csv_format import CsvForm
from pointillist.models.configuration import Configuration, SamplingConfig

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from pointillist.models.fitting import Task
    from pointillist.models.row_model import RowModel
    from pointillist.queries.sampling import SamplingRun
    from pointillist.tables.table import Table

Minutes = Annotated[
    float | None,
    Option(
        metavar="MINUTES",
        help="Most minutes that the command may take, with fewer epochs if need be.",
        show_default="no limit",
    ),
]
Conditions = Annotated[
    Columns,
    options.columns(
        "A condition on a column (TABLE.COLUMN in related tables): COLUMN=VALUE, COLUMN=LOW..HIGH (either end may "
        "be left out), COLUMN=A|B|C, COLUMN=? (missing) or COLUMN=!? (present)",
        "CONDITION",
    ),
]
Reward = Annotated[
    str | None,
    Option(
        metavar="FILE.py:NAME",
        help="A function of rows of numbers, (m, d) → (m,): rows with high values are drawn more often.",
    ),
]


@exclusive
@options.grouped(
    {
        OPTIONS: ("out", "label", "minutes", "epochs", "drop", "type", "seed", "quiet"),
        TABLE: ("categorical", "keep", "missing", "rules"),
        TRAINING: ("given", "early_stopping", "width", "depth", "scaling", "checkpoint", "resume"),
        PRIVACY: ("epsilon", "delta", "domain"),
    }
)
@options.csv_options()
@options.configuration_options(Configuration)
def fit(
    *,
    data: Annotated[Path, Argument(metavar="DATA", help=f"A table: {TABLES}; or a folder of related tables.")],
    out: Annotated[
        Path | None, options.out("MODEL", "The model file to write.", show_default="DATA, with the ending .model")
    ] = None,
    label: Annotated[str | None, options.target("--label", "The column of labels, to draw single classes")] = None,
    categorical: Annotated[Columns, options.columns("A column whose numbers are categories")] = None,
    given: Annotated[
        Columns, options.columns("A column of numbers whose value --where will set, in every draw")
    ] = None,
    type: Annotated[
        Columns, options.columns("Type of a column: text, integer, number, date or date:%d/%m/%Y", "COLUMN=TYPE")
    ] = None,
    drop: Annotated[Columns, options.columns("A column to leave out")] = None,
    keep: Annotated[Columns, options.columns("A column to keep, even if it numbers the rows")] = None,
    minutes: Minutes = None,
    rules: Annotated[
        Path | None, Option(metavar="FILE.toml", help="Rules that every row obeys; [[rules]] begins each of them.")
    ] = None,
    form: CsvForm,
    seed: Annotated[
        int | None, options.seed("Same seed, same model.", show_default="0; for a private fit, the system's entropy")
    ] = None,
    checkpoint: Annotated[
        Path | None, Option(help="File for the state of training.", show_default="MODEL.checkpoint")
    ] = None,
    resume: Annotated[bool, options.resume("the checkpoint")] = True,
    quiet: Annotated[bool, Option("--quiet", help="Show neither column types nor progress.")] = False,
    domain: Annotated[
        Path | None, Option(metavar="FILE.json", help="Public range or values of each column, for --epsilon.")
    ] = None,
    **chosen: Any,
) -> None:
    """Fits a diffusion model to a table with columns of any kind, and writes a model file."""
    from rich.console import Console

    from pointillist.cli.table_options import parse_types
    from pointillist.engine.devices import configure
    from pointillist.files.folders import holds_related_tables
    from pointillist.files.reading import read_table
    from pointillist.foreign_text import terminal_text
    from pointillist.memory import release_memory
    from pointillist.progress import waiting
    from pointillist.tables.row_sampling import RowLimit

    started = time.monotonic()
    assert out is not None
    is_private = chosen["epsilon"] is not None
    stateless = "a private fit" if is_private else "a fit with --minutes" if minutes is not None else None
    state = _state_file(data, out, checkpoint, stateless)
    configure()
    chosen |= {"max_minutes": minutes, "verbose": not quiet}
    chosen["random_state"] = seed if seed is not None or is_private else 0
    configuration = _configuration(chosen, rules, domain)
    console = Console(stderr=True, quiet=quiet)
    if holds_related_tables(data, form):
        from pointillist.cli.relational import fit_folder

        refused = {"--label": label, "--categorical": categorical, "--given": given, "--type": type, "--drop": drop}
        options.refuse(f"{data}: is a folder", refused | {"--keep": keep, "--domain": domain})
        with _explained(data, state, resume, console):
            fit_folder(data, out, configuration, form, state, console, is_resumed=resume)
        return
    kind: Literal["mixed", "any"] = "mixed" if categorical or is_private else "any"
    with waiting(console, f"reading {data}", is_shown=not quiet):
        limit, types = RowLimit(is_uniform=is_private), parse_types(type or ())
        table = read_table(data, label, drop=drop or (), types=types, kind=kind, form=form, limit=limit)
    with _explained(data, state, resume, console):
        columns = {"categorical": categorical or (), "given": given or (), "keep": keep or ()}
        task = _prepared(configuration, table, columns, state, started, console, is_resumed=resume)
        # A large table must not stay in memory with its encoded rows, nor memory that reading it used and freed.
        del table
        release_memory()
        model = task.fit(state)
    _save(model, out, state)
    summary = _summary(model, len(task.plan.rows), time.monotonic() - started)
    console.print(terminal_text(f"{out}: {summary}"), soft_wrap=True)


def _configuration(chosen: Mapping[str, Any], rules: Path | None, domain: Path | None) -> Configuration:
    """Return the configuration of a fit from the values of its options and the files of rules and of the domain."""
    import tomllib

    from pointillist.cli.table_options import json_in, read_domains, read_rules

    values: dict[str, Any] = {name: None if value == "none" else value for name, value in chosen.items()}
    return Configuration(
        **values,
        domain=None if domain is None else json_in(domain, read_domains),
        rules=None if rules is None else json_in(rules, read_rules, tomllib.loads),
    )


def _prepared(
    configuration: Configuration,
    table: "Table",
    columns: Mapping[str, Sequence[str]],
    state: Path | None,
    started: float,
    console: "Console",
    *,
    is_resumed: bool,
) -> "Task":
    """Encode a table and plan its fit; print the guarantee, the types of the columns, and those that are generated."""
    from pointillist.cli.table_options import print_types
    from pointillist.foreign_text import shown, terminal_text
    from pointillist.models.checkpoint import remove_checkpoint
    from pointillist.privacy.private_fits import prepare
    from pointillist.progress import waiting

    if state is not None and not is_resumed:
        remove_checkpoint(state)
    for name in columns["keep"]:
        if name not in table.names:
            raise ValueError(f"--keep: there is no column {shown(name)}; the columns are {table.listed()}")
    with waiting(console, "encoding the table", is_shown=not console.quiet):
        others: dict[str, Any] = {**columns, "checkpoint": state, "started": started}
        task = prepare(configuration, table, **others)
    if task.guarantee is not None:
        console.print(terminal_text(task.guarantee.line), soft_wrap=True)
    if task.table is not None:
        print_types(task.table, task.plan.codec, columns["categorical"], console)
    for each in task.generated.columns if task.generated is not None else ():
        console.print(terminal_text(f"generated: {each.name}, {each.text}"), soft_wrap=True)
    return task.without_table()


def _state_file(data: Path, out: Path, checkpoint: Path | None, stateless: str | None) -> Path | None:
    """Return the file for the state of training, which differs from all other files; None for a `stateless` fit."""
    from pointillist.atomic_files import check_different, check_writable

    if stateless is not None and checkpoint is not None:
        raise ValueError(f"--checkpoint: {stateless} keeps no state, so it cannot be continued: leave it out")
    state = checkpoint or out.with_name(f"{out.name}.checkpoint")
    check_writable(state)
    check_writable(out)
    check_different(state, data)
    if out.resolve() == state.resolve():
        raise ValueError(f"{out}: is also the --checkpoint file, which is removed at the end: give another name")
    return None if stateless is not None else state


@contextmanager
def _explained(data: Path, state: Path | None, is_resumed: bool, console: "Console") -> Iterator[None]:
    """Name the data in errors of a fit, and explain how to continue a fit that was stopped."""
    from pointillist.models.checkpoint import CheckpointError

    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        # A folder of related tables has one state for each table.
        if state is not None and any(state.parent.glob(f"{state.name}*")):
            console.print(f"Stopped. {options.again(is_resumed=is_resumed)}", highlight=False)
        raise
    except CheckpointError:
        raise
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from error


def _save(model: "RowModel", out: Path, state: Path | None) -> None:
    """Write a model file; remove the state of training only once the file has proved readable."""
    from pointillist.models.saving import load_model, save_model

    save_model(model, out)
    load_model(out)
    if state is not None:
        state.unlink(missing_ok=True)


def _summary(model: "RowModel", n: int, seconds: float) -> str:
    """Describe a fit in one line, and a private fit without facts about the rows."""
    if model.record.guarantee is not None:
        return f"{seconds:.0f} s"
    d, history = model.codec.n_columns, model.record.history
    columns, epochs = "column" if d == 1 else "columns", "epoch" if len(history) == 1 else "epochs"
    classes = f", {len(model.classes)} classes" if model.classes is not None else ""
    return f"{n:,} rows, {d} {columns}{classes}; {len(history)} {epochs} in {seconds:.0f} s, loss {history[-1]:.4f}"


@exclusive
@options.grouped(
    {
        OPTIONS: ("out", "n", "scale", "where", "shares", "label", "guidance", "start", "exclude", "seed"),
        REWARDS: ("reward", "reward_temperature", "candidates", "steering"),
    }
)
@options.configuration_options(SamplingConfig)
def sample(
    *,
    model: options.Model,
    out: Annotated[Path, options.out("ROWS", f"The table to write: {FILES}; a folder for related tables.")],
    n: Annotated[
        int | None, Option("--rows", "-n", min=1, help="Number of rows.", show_default="number of rows in --prior")
    ] = None,
    scale: Annotated[
        float | None,
        Option(
            min=1e-6,
            help="Number of rows of related tables without a parent, relative to the training rows.",
            show_default="1",
        ),
    ] = None,
    label: Annotated[
        str | None, Option(metavar="VALUE", help="The class of all rows.", show_default="as frequent as in DATA")
    ] = None,
    where: Conditions = None,
    shares: Annotated[
        Columns, options.columns("Fraction of the rows with a value, from 0 to 1", "COLUMN:VALUE=SHARE")
    ] = None,
    prior: Annotated[
        Path | None, Option(metavar="FILE.npy", help="Draws from N(0, I) to start from, one for each row.")
    ] = None,
    reward: Reward = None,
    rows_per_file: Annotated[
        int | None,
        Option(min=1, help="Write Parquet files of this many rows to the folder ROWS.", show_default="one file"),
    ] = None,
    exclude: Annotated[
        Path | None, Option(metavar="TABLE", help=f"A table whose keys the new rows do not get: {FILES}.")
    ] = None,
    engine: Annotated[options.Engine, options.engine("rows are drawn")] = "local",
    address: options.Address = None,
    seed: Annotated[int, options.seed("Same seed, same rows.")] = 0,
    **chosen: Any,
) -> None:
    """Draws new rows from a model, and writes them as they are drawn."""
    from pointillist.cli.conditions import category_of, reward_of, shares_of, where_of
    from pointillist.cli.table_options import read_keys
    from pointillist.engine.cluster import check_engine
    from pointillist.models.request import Request
    from pointillist.models.saving import is_relational, load_model
    from pointillist.queries.sampling import SamplingRun

    check_engine(engine, address)
    if is_relational(model):
        from pointillist.cli.relational import sample_tables

        refused: dict[str, Any] = {"--label": label, "--shares": shares, "--prior": prior, "--reward": reward}
        refused |= {
            "--exclude": exclude,
            "--rows-per-file": rows_per_file,
            "--engine": None if engine == "local" else engine,
        }
        options.refuse(f"{model}: is a model of related rows", refused | options.changed(SamplingConfig, chosen))
        sample_tables(model, out, n, scale, where or (), seed)
        return
    options.refuse(f"{model}: is a model of one table", {"--scale": scale})
    fitted = load_model(model)
    start = _start(prior, n)
    if label is not None:
        if fitted.classes is None:
            raise ValueError(f"{model}: was fitted without labels: leave --label out, or fit it with --label COLUMN")
        label = category_of(label, fitted.classes.labels.tolist())
    request = Request(
        n,
        labels=label,
        return_labels=fitted.label_index is not None,
        reward=None if reward is None else reward_of(reward),
        prior=start,
        where=where_of(fitted, where or ()),
        shares=shares_of(fitted, shares or ()),
        exclude=None if exclude is None else read_keys(fitted, exclude),
        variance=fitted.parameters["variance"],
        random_state=seed,
        **chosen,
    )
    _write(fitted, SamplingRun(fitted, request), out, rows_per_file, reward, engine, address)


def _write(
    model: "RowModel",
    run: "SamplingRun",
    out: Path,
    rows_per_file: int | None,
    reward: str | None,
    engine: options.Engine,
    address: str | None,
) -> None:
    """Draw rows and write them to a table, or to a folder of tables; `reward` names the function in its errors."""
    from rich.console import Console

    from pointillist.cli.conditions import explained
    from pointillist.files.writing import FolderWriter, TableWriter
    from pointillist.progress import Bar

    layout, label_index, console = model.layout, model.output_label_index, Console(stderr=True)
    names, types = model.file_columns(with_generated=True)
    if rows_per_file is None:
        writing: TableWriter | FolderWriter = TableWriter(out, names, types, run.n_rows, layout.forms)
    else:
        writing = FolderWriter(out, names, types, run.n_rows, rows_per_file)
    with explained(reward), writing as writer, Bar(console, run.n_rows) as bar:
        bar.say("sampling")
        for part, labels in run.parts(engine, address):
            columns = layout.columns(run.with_generated(part))
            if label_index is not None:
                columns.insert(label_index, labels)
            writer.write(columns)
            bar.say(run.progress_text)
            bar.advance(len(part))
    if run.effective_sample_size is not None:
        console.print(f"effective sample size {run.effective_sample_size:,.0f} of {run.n_rows:,}", highlight=False)


def _start(prior: Path | None, n: int | None) -> "np.ndarray | None":
    """Read x_T for n rows from a file; None without a file."""
    from pointillist.files.reading import read_numbers

    if prior is None:
        if n is None:
            raise ValueError("the number of rows is missing: give -n or --prior")
        return None
    rows = read_numbers(prior, min_rows=1).rows
    if n not in (None, len(rows)):
        raise ValueError(f"{prior}: number of rows is {len(rows)}, but -n is {n}: leave -n out, or make them equal")
    return rows
