"""`pointillist impute`: fills the missing cells of a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pointillist.cli import options
from pointillist.cli.locks import exclusive
from pointillist.cli.options import FILES
from pointillist.files.csv_format import CsvForm
from pointillist.lazy import pa

if TYPE_CHECKING:
    from pointillist.models.row_model import RowModel


@exclusive
@options.of_csv("TABLE")
def impute(
    *,
    model: options.Model,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A table with the model's columns: .csv, .csv.gz or .parquet.")
    ],
    out: Annotated[Path, options.out("FILLED", f"The table to write: {FILES}.")],
    draws: Annotated[
        int,
        typer.Option(
            min=1, help="Number of tables to draw; several are written one below the other, numbered in a column."
        ),
    ] = 1,
    statistic: Annotated[
        options.Statistic | None,
        typer.Option(help="Fills numbers with the median of 25 draws, and categories with the most frequent."),
    ] = None,
    form: CsvForm,
    seed: Annotated[int, options.seed("Same seed, same cells.")] = 0,
) -> None:
    """Fills the missing cells of a table, each row's given its other cells; all others stay as they are."""
    import numpy as np

    from pointillist.cli.predictions import labels_in
    from pointillist.cli.table_options import names_in, of_model, read_for
    from pointillist.files.formats import format_of
    from pointillist.files.writing import TableWriter
    from pointillist.models.saving import load_model
    from pointillist.queries.imputation import check_statistic, imputed
    from pointillist.tables.names import free_name

    check_statistic(statistic, is_alone=draws == 1)
    fitted = load_model(model)
    others: Literal["text", "typed"] = "typed" if format_of(out).has_types else "text"
    codec, rows = fitted.codec, read_for(fitted, table, form, others=others)
    labels = labels_in(fitted, rows)
    missing = [] if labels is None else [row for row, label in enumerate(labels) if label is None]
    names, kinds = list(rows.names), list[Any](codec.types)
    own = names_in(fitted, rows.names)
    tables = imputed(fitted, of_model(fitted, rows), draws, seed, labels, statistic)
    # Labels, and columns that the model lacks.
    beside = {name: column for name, column in zip(rows.names, rows.arrow.columns, strict=True) if name not in own}
    if missing and len(missing) == len(rows):
        # Of a column without a cell, the type says nothing.
        assert fitted.classes is not None
        nulls = pa.nulls(len(rows), pa.array(fitted.classes.labels.tolist()).type)
        beside[str(fitted.classes.label_name(codec.names or ()))] = pa.chunked_array([nulls])
    type_of = dict(zip(own, kinds, strict=True)) | {name: column.type for name, column in beside.items()}
    numbered = [free_name(["draw"], names)] if draws > 1 else []
    types_written = [*(["int64"] * len(numbered)), *(type_of[name] for name in names)]
    kept = {name: form for name, form in fitted.codec.layout.forms.items() if name not in beside}
    with TableWriter(out, [*numbered, *names], types_written, draws * len(rows), kept) as writer:
        for number, filled in enumerate(tables, 1):
            columns = dict(zip(own, codec.columns(filled), strict=True)) | beside
            if missing:
                columns |= _labels_of(fitted, filled, beside, missing, seed + number if statistic is None else None)
            writer.write([*(np.full(len(filled), number) for _ in numbered), *(columns[name] for name in names)])


def _labels_of(
    model: "RowModel", filled: Any, beside: dict[str, Any], missing: list[int], seed: int | None
) -> dict[str, Any]:
    """The column of labels, with missing ones drawn for the filled rows; without a seed, the most probable ones."""
    from pointillist.queries.label_conditional import conditional_of

    assert model.classes is not None
    name = model.classes.label_name(model.codec.names or ())
    view, rows = conditional_of(model, name), filled.take(missing) if isinstance(filled, pa.Table) else filled[missing]
    drawn = view.predict(rows) if seed is None else view.sample(rows, random_state=seed % 2**32)[:, 0]
    column = beside[str(name)]
    labels = column.to_pylist()
    for row, label in zip(missing, drawn.tolist(), strict=True):
        labels[row] = label
    return {str(name): pa.chunked_array([pa.array(labels, column.type)])}
