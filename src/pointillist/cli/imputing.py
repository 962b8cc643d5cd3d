"""`pointillist impute`: fills the missing cells of a table."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pointillist.cli import choices
from pointillist.cli.choices import FILES
from pointillist.cli.locks import exclusive


@exclusive
def impute(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file written by fit.")],
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

    from pointillist.cli.predictions import labels_in
    from pointillist.files import check_place
    from pointillist.models.drawing import imputed, imputed_numbers
    from pointillist.models.given_numbers import rows_with_gaps
    from pointillist.models.headings import headings
    from pointillist.models.planning import free_name
    from pointillist.models.saving import load_model
    from pointillist.points import TableWriter, read_any
    from pointillist.points.frames import aligned, mixed_table
    from pointillist.points.number_codec import NumberCodec
    from pointillist.points.token_codec import TokenCodec

    check_place(out)
    if out.exists() and table.exists() and out.samefile(table):
        raise ValueError(f"{out}: is the table to read and would be overwritten: give another name")
    fitted = load_model(model)
    codec, rows = fitted.codec, mixed_table(read_any(table, is_mixed=True, min_rows=1))
    labels: list[Any] = []
    tables: list[Any]
    if isinstance(codec, TokenCodec):
        own, types = [str(name) for name in codec.names], list[Any](codec.types)
        tables = imputed(fitted, aligned(rows, codec.layout), draws, seed, labels_in(fitted, rows))
    else:
        assert isinstance(codec, NumberCodec)
        found, kinds = headings(fitted)
        own, types = [str(name) for name in range(len(kinds)) if found is None] or [*map(str, found or ())], [*kinds]
        place = fitted.label_place
        if place is not None:
            if own[place] not in rows.names:
                raise ValueError(f"{table}: has no column {own[place]!r}: give all columns, which impute keeps")
            labels = [rows.arrow.column(rows.names.index(own[place]))]
            types[place] = labels[0].type
        tables = imputed_numbers(fitted, rows_with_gaps(codec, rows), draws, seed, labels_in(fitted, rows))
    names = own
    if draws > 1:
        names.insert(0, free_name(["draw"], names))
        types.insert(0, "int64")
    with TableWriter(out, names, types, draws * len(rows)) as writer:
        for number, filled in enumerate(tables, 1):
            columns: list[Any] = codec.columns(filled)
            if labels:
                columns.insert(fitted.label_place or 0, labels[0])
            writer.write([np.full(len(filled), number), *columns] if draws > 1 else columns)
