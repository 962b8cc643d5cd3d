"""`pointillist fit` and `pointillist sample`: models of a user's own tables."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from pointillist.cli import choices
from pointillist.cli.choices import FILES
from pointillist.cli.locks import exclusive


@exclusive
def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=f"A table: {FILES}.")],
    out: Annotated[Path, choices.out("MODEL", "The model file to write.")],
    target: Annotated[str | None, choices.target("The column of labels, so that single classes can be drawn")] = None,
    timesteps: Annotated[int, typer.Option(help="T, the number of noise levels.")] = 200,
    schedule: Annotated[choices.Schedule, typer.Option(help="Noise schedule.")] = "cosine",
    beta_start: Annotated[float, typer.Option(help="First beta of the linear schedule.")] = 1e-4,
    beta_end: Annotated[float, typer.Option(help="Last beta of the linear schedule.")] = 0.02,
    scaling: Annotated[choices.Scaling, typer.Option(help="How columns of numbers are scaled.")] = "standard",
    width: Annotated[
        int | None,
        typer.Option(
            help="Number of units in a hidden layer.",
            show_default="96; 256 with mixed columns, 192 with few rows and unknown gaps",
        ),
    ] = None,
    depth: Annotated[int, typer.Option(help="Number of hidden blocks.")] = 3,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the rows.",
            show_default="as many as make 10,000 steps, at most 400; with mixed columns by their kinds and gaps, and "
            "in small tables by held-out rows",
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Rows in a step.",
            show_default="64; with mixed columns a sixteenth of the rows, from 8 to 512; an eighth if few with gaps",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Adam's learning rate.", show_default="0.001; with mixed columns of numbers up to 0.003"),
    ] = None,
    p_uncond: Annotated[float, typer.Option(help="Share of labels that are hidden in training.")] = 0.2,
    p_given: Annotated[
        float,
        typer.Option(help="Share of rows of which some numbers are given in training, so that values can be given."),
    ] = 0.2,
    missing: Annotated[
        choices.Missing,
        typer.Option(help="What a missing cell is: one more value of its column, or unknown and so never drawn."),
    ] = "value",
    early_stopping: Annotated[
        bool, typer.Option("--early-stopping", help="Hold out a tenth of the rows; stop when their loss stops falling.")
    ] = False,
    categorical: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column whose numbers are categories; may be repeated.")
    ] = None,
    type: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="COLUMN=TYPE",
            help="Type of a column, if not the detected one: text, integer, number or date; may be repeated.",
        ),
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column to leave out; may be repeated.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A column that must not be left out, even if it numbers the rows; an error if it holds text that "
            "differs in nearly every row. May be repeated.",
        ),
    ] = None,
    delimiter: Annotated[str | None, choices.delimiter()] = None,
    encoding: Annotated[str | None, choices.encoding()] = None,
    decimal: Annotated[str | None, choices.decimal()] = None,
    no_header: Annotated[bool, choices.no_header()] = False,
    epsilon: Annotated[
        float | None, typer.Option(help="ε of a differentially private fit, for one row more or less; needs --domain.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="δ of a private fit.", show_default="1 / (10 × a noisy number of rows)")
    ] = None,
    domain: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="What is public of each column of a private fit: its range or values."),
    ] = None,
    seed: Annotated[
        int | None, choices.seed("Same seed, same model.", show_default="0; for a private fit, the system's entropy")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File for the state of training.", show_default="MODEL.checkpoint")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Continue from the checkpoint, or discard it.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show neither column types nor progress.")] = False,
) -> None:
    """Fits a diffusion model to a table with columns of any kind, and writes a model file."""
    from rich.console import Console

    from pointillist.atomic_files import check_apart, check_place
    from pointillist.cli.table_options import check_columns, domain_in, form_of, print_types, types_of
    from pointillist.engine.devices import configure
    from pointillist.files.reading import read_table
    from pointillist.foreign_text import terminal_text
    from pointillist.memory import give_back
    from pointillist.models.checkpoint import CheckpointError, forget, previous, remove_checkpoint
    from pointillist.models.hyperparameters import Hyperparameters, check_hyperparameters
    from pointillist.models.saving import load_model, save_model
    from pointillist.models.token_codec import TokenCodec
    from pointillist.privacy.private_fits import prepare
    from pointillist.progress import waiting

    # First, as the name of a folder may be empty.
    check_place(out)
    kept = checkpoint or out.with_name(f"{out.name}.checkpoint")
    check_place(kept)
    for place in (out, kept, previous(kept)):
        check_apart(place, data)
    if out.resolve() in (kept.resolve(), previous(kept).resolve()):
        raise ValueError(f"{out}: is given as --checkpoint too, which is removed at the end: give another name")
    configure()
    asked = Hyperparameters(
        timesteps=timesteps,
        schedule=schedule,
        beta_start=beta_start,
        beta_end=beta_end,
        scaling=None if scaling == "none" else scaling,
        width=width,
        depth=depth,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        p_uncond=p_uncond,
        p_given=p_given,
        missing=missing,
        early_stopping=early_stopping,
        verbose=not quiet,
        epsilon=epsilon,
        delta=delta,
        domain=None if domain is None else domain_in(domain),
        random_state=seed if seed is not None or epsilon is not None else 0,
    )
    check_hyperparameters(asked)
    is_private = epsilon is not None
    if is_private and checkpoint is not None:
        raise ValueError("--checkpoint: a private fit keeps no state, which would tell of single rows: leave it out")
    chosen = categorical or []
    form, types = form_of(delimiter, encoding, decimal, no_header), types_of(type or ())
    console = Console(stderr=True, quiet=quiet)
    with waiting(console, f"reading {data}", is_shown=not quiet):
        table = read_table(
            data, target, drop=drop or (), types=types, kind="mixed" if chosen or is_private else "any", form=form
        )
    if not resume and not is_private:
        remove_checkpoint(kept)
    started = time.monotonic()
    try:
        check_columns(table, keep or (), "--keep")
        with waiting(console, f"encoding {data}", is_shown=not quiet):
            task = prepare(asked, table, categorical=chosen, keep=keep or (), checkpoint=None if is_private else kept)
        if task.guarantee is not None:
            console.print(terminal_text(task.guarantee.line), soft_wrap=True)
        if task.table is not None and isinstance(task.plan.codec, TokenCodec):
            print_types(task.table, task.plan.codec, chosen, console)
        # A large table is not to be held beside its tokens.
        task = task.without_table()
        del table
        # Nor what reading it took and freed.
        give_back()
        model = task.fit(None if is_private else kept)
    except (KeyboardInterrupt, SystemExit):
        if not is_private and kept.exists():
            console.print(f"Stopped. Run {choices.again(is_resumed=resume)} to continue.", highlight=False)
        raise
    except CheckpointError:
        raise
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from error
    save_model(model, out)
    # What cannot be read again is as good as lost, and the checkpoint is all there is of it.
    load_model(out)
    if not is_private:
        forget(kept)
    if model.record.guarantee is not None:
        console.print(terminal_text(f"{out}: {time.monotonic() - started:.0f} s"), soft_wrap=True)
        return
    n, d = len(task.plan.rows), model.codec.n_columns
    columns = "column" if d == 1 else "columns"
    classes = f", {len(model.classes)} classes" if model.classes is not None else ""
    history = model.record.history
    epoch = "epoch" if len(history) == 1 else "epochs"
    text = f"{out}: {n:,} rows, {d} {columns}{classes}; {len(history)} {epoch} in "
    text += f"{time.monotonic() - started:.0f} s, loss {history[-1]:.4f}"
    console.print(terminal_text(text), soft_wrap=True)


@exclusive
def sample(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file written by fit.")],
    out: Annotated[Path, choices.out("ROWS", f"The table to write: {FILES}.")],
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
    guidance: Annotated[
        float, typer.Option(help="Strength w of guidance towards the class; 0 is plain conditional sampling.")
    ] = 0.0,
    sampler: Annotated[
        choices.Sampler | None,
        typer.Option(
            help="Sampler, for tables of numbers.", show_default="dpm; ancestral with a reward, dpm-sde for ranges"
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Sampling steps.",
            show_default="20 for dpm and dpm-sde (60 for ranges), 11 for heun, T for ddim and ancestral",
        ),
    ] = None,
    prior: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Draws from N(0, I) to start from, one for each row.")
    ] = None,
    deterministic: Annotated[bool, typer.Option("--deterministic", help="Add no noise while sampling.")] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="What a column holds: COLUMN=VALUE, COLUMN=LOW..HIGH (either end may be left out), COLUMN=A|B|C, "
            "COLUMN=? (missing) or COLUMN=!? (present); may be repeated.",
        ),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="A function of rows, (m, d) → (m,), of which high values are drawn more often, for tables of numbers; "
            "the file is run.",
        ),
    ] = None,
    reward_temperature: Annotated[
        float, typer.Option(help="What the reward is divided by: the lower, the more strictly it is followed.")
    ] = 0.1,
    candidates: Annotated[int, typer.Option(help="Candidates for each row and step, with a reward.")] = 10,
    steering: Annotated[choices.Steering, typer.Option(help="How a reward steers.")] = "svdd_pm",
    engine: Annotated[
        choices.Engine, typer.Option(help="Where rows are drawn: in this process, or in Ray tasks.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster.", show_default="a cluster on this machine")
    ] = None,
    seed: Annotated[int, choices.seed("Same seed, same rows.")] = 0,
) -> None:
    """Draws new rows from a model, and writes them as they are drawn."""
    from rich.console import Console

    from pointillist.atomic_files import check_apart
    from pointillist.cli.conditions import category_of, where_of
    from pointillist.cli.rewards import reward_of, told
    from pointillist.engine.cluster import check_engine
    from pointillist.files.reading import read_numbers
    from pointillist.files.writing import TableWriter
    from pointillist.models.request import Request
    from pointillist.models.saving import load_model
    from pointillist.progress import Bar
    from pointillist.queries.sampling import SamplingRun

    check_engine(engine, address)
    check_apart(out, model, "the model")
    if prior is not None:
        check_apart(out, prior)
    fitted = load_model(model)
    start = None if prior is None else read_numbers(prior, min_rows=1).rows
    if n is None and start is None:
        raise ValueError("the number of rows is missing: give -n or --prior")
    n_rows = n if n is not None else len(start if start is not None else ())
    if start is not None and n_rows != len(start):
        rows = "1 row" if len(start) == 1 else f"{len(start)} rows"
        raise ValueError(f"{prior}: has {rows}, but -n is {n}: leave -n out, or make them equal")
    if n_rows < 1:
        raise ValueError(f"-n must be at least 1, not {n_rows}")
    classes = fitted.classes
    if label is not None and classes is None:
        raise ValueError(f"{model}: was fitted without labels: leave --class out, or fit it with --target COLUMN")
    place = fitted.label_place
    request = Request(
        n_rows,
        labels=None if label is None or classes is None else category_of(label, classes.labels.tolist()),
        return_labels=place is not None,
        guidance=guidance,
        reward=None if reward is None else reward_of(reward),
        reward_temperature=reward_temperature,
        candidates=candidates,
        steering=steering,
        sampler=sampler,
        steps=steps,
        prior=start,
        deterministic=deterministic,
        where=where_of(fitted, where or ()),
        variance=fitted.asked["variance"],
        random_state=seed,
    )
    draw = SamplingRun(fitted, request)
    console = Console(stderr=True)
    failing = nullcontext() if reward is None else told(reward)
    written = TableWriter(out, *fitted.file_columns(), n_rows, fitted.codec.layout.forms)
    with failing, written as writer, Bar(console, n_rows) as bar:
        bar.say("sampling")
        for part, labels in draw.parts(engine, address):
            columns = fitted.codec.columns(part)
            if place is not None:
                columns.insert(place, labels)
            writer.write(columns)
            bar.advance(len(part))
    if draw.effective_sample_size is not None:
        console.print(f"effective sample size {draw.effective_sample_size:,.0f} of {n_rows:,}", highlight=False)
