"""`pointillist impute`: fills the missing cells of a table."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointillist.cli import choices
from pointillist.cli.choices import FILES
from pointillist.cli.locks import exclusive


@exclusive
def impute(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file of mixed columns, written by fit.")],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=f"A table with the model's columns: {FILES}.")],
    out: Annotated[Path, choices.out("FILLED", f"The table to write: {FILES}.")],
    draws: Annotated[
        int,
        typer.Option(min=1, help="Number of tables to draw; more than one are written below each other, by a column."),
    ] = 1,
    seed: Annotated[int, choices.seed("Same seed, same cells.")] = 0,
) -> None:
    """Fills the missing cells of a table, each row's given its other cells; all others stay as they are."""
    import numpy as np

    from pointillist.files import check_place
    from pointillist.models.drawing import imputed
    from pointillist.models.planning import free_name
    from pointillist.models.saving import load_model
    from pointillist.points import TableWriter, read_any
    from pointillist.points.frames import aligned, mixed_table
    from pointillist.points.token_codec import TokenCodec

    check_place(out)
    if out.exists() and table.exists() and out.samefile(table):
        raise ValueError(f"{out}: is the table to read and would be overwritten: give another name")
    fitted = load_model(model)
    if not isinstance(fitted.codec, TokenCodec):
        raise ValueError(f"{model}: impute is for models of mixed columns, and this one is of numbers")
    rows = aligned(mixed_table(read_any(table, is_mixed=True, min_rows=1)), fitted.codec.layout)
    names: list[str] = [str(name) for name in fitted.codec.names]
    types: list[Any] = list(fitted.codec.types)
    if draws > 1:
        names.insert(0, free_name(["draw"], names))
        types.insert(0, "int64")
    with TableWriter(out, names, types, draws * len(rows)) as writer:
        for number, filled in enumerate(imputed(fitted, rows, draws, seed), 1):
            columns: list[Any] = fitted.codec.columns(filled)
            writer.write([np.full(len(filled), number), *columns] if draws > 1 else columns)
