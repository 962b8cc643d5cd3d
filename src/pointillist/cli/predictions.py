"""`pointillist impute`, `predict` and `score`: apply a model to the rows of a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from pointillist.cli import options
from pointillist.cli.file_by_file import in_parts
from pointillist.cli.locks import exclusive
from pointillist.cli.options import FILES, TABLES
from pointillist.files.csv_format import CsvForm
from pointillist.lazy import pa, pc

if TYPE_CHECKING:
    from pointillist.models.row_model import RowModel

Table = Annotated[Path, Argument(metavar="TABLE", help=f"A table with the model's columns: {TABLES}.")]


@in_parts
@exclusive
@options.csv_options("TABLE")
def impute(
    *,
    model: options.Model,
    table: Table,
    out: Annotated[Path, options.out("FILLED", f"The table to write: {FILES}.")],
    draws: Annotated[
        int, Option(min=1, help="Number of tables; several are written one below the other, numbered in a column.")
    ] = 1,
    statistic: Annotated[
        Literal["median"] | None,
        Option(help="Fill numbers with the median of 25 draws, and categories with the most frequent."),
    ] = None,
    form: CsvForm,
    seed: Annotated[int, options.seed("Same seed, same cells.")] = 0,
) -> None:
    """Fills missing cells, conditioning on the rest of the row; other cells are unchanged."""
    import numpy as np

    from pointillist.cli.table_options import labels_in, names_in, only_columns_of, read_for
    from pointillist.files.formats import format_of
    from pointillist.files.writing import TableWriter
    from pointillist.models.saving import load_model
    from pointillist.queries.imputation import check_statistic, imputed
    from pointillist.tables.names import free_name

    check_statistic(statistic, is_alone=draws == 1)
    fitted = load_model(model)
    codec = fitted.codec
    rows = read_for(fitted, table, form, others="typed" if format_of(out).has_types else "text")
    labels = labels_in(fitted, rows)
    if labels is not None and None in labels:
        raise ValueError(f"{table}: the labels of {labels.count(None):,} rows are missing: predict them first")
    model_names = names_in(fitted, rows.names)
    tables = imputed(fitted, only_columns_of(fitted, rows), draws, seed, labels, statistic)
    others = {
        name: column for name, column in zip(rows.names, rows.arrow.columns, strict=True) if name not in model_names
    }
    draw = free_name(["draw"], rows.names)
    names = [draw, *rows.names] if draws > 1 else rows.names
    type_of = {draw: "int64"} | dict(zip(model_names, codec.layout.column_types, strict=True))
    type_of |= {name: column.type for name, column in others.items()}
    forms = {name: form for name, form in codec.layout.forms.items() if name not in others}
    with TableWriter(out, names, [type_of[name] for name in names], draws * len(rows), forms) as writer:
        for number, filled in enumerate(tables, 1):
            columns = {draw: np.full(len(filled), number)} | others
            columns |= dict(zip(model_names, codec.layout.columns(filled), strict=True))
            writer.write([columns[name] for name in names])


@in_parts
@exclusive
@options.csv_options("TABLE")
def predict(
    *,
    model: options.Model,
    table: Annotated[
        Path, Argument(metavar="TABLE", help=f"A table with the model's columns ({TABLES}); COLUMN is not read.")
    ],
    out: Annotated[Path, options.out("OUT", f"The table to write, with one row per row of TABLE: {FILES}.")],
    target: Annotated[str, Option(metavar="COLUMN", help="The column to predict.")],
    quantiles: Annotated[
        str | None, Option(metavar="LEVELS", help="Write quantiles of a number, such as 0.05,0.5,0.95.")
    ] = None,
    probabilities: Annotated[
        bool, Option("--probabilities", help="Write the probability of each value of a discrete column.")
    ] = False,
    form: CsvForm,
) -> None:
    """Predicts a column of a table from the others: the mean of a number, the most probable category."""
    import numpy as np

    from pointillist.cli.table_options import columns_by_text, labels_in, only_columns_of, read_for
    from pointillist.models.saving import load_model
    from pointillist.queries.conditional import conditional_of

    if quantiles is not None and probabilities:
        raise ValueError("--quantiles is for columns of numbers and --probabilities for discrete columns: give one")
    try:
        levels = None if quantiles is None else [float(part) for part in quantiles.split(",")]
    except ValueError as error:
        raise ValueError(f"--quantiles takes levels such as 0.05,0.5,0.95, not {quantiles!r}") from error
    fitted = load_model(model)
    rows = read_for(fitted, table, form, unread=target)
    name = columns_by_text(fitted).get(target, target)
    view = conditional_of(fitted, name, labels_in(fitted, rows, unread=target))
    rows = only_columns_of(fitted, rows)
    if probabilities:
        values = view.predict_proba(rows)
        texts = [f"{value:.16g}" if isinstance(value, float) else str(value) for value in view.classes_]
        names = [f"{target}={text}" for text in texts]
    elif levels is not None:
        values = view.quantiles(rows, levels)
        names = [f"{target}_{level:g}" for level in levels]
    else:
        values, names = view.predict(rows)[:, None], [target]
    _write(out, names, [column_of(fitted, None if probabilities else name, each) for each in np.asarray(values).T])


@in_parts
@exclusive
@options.csv_options("TABLE")
def score(
    *,
    model: options.Model,
    table: Table,
    out: Annotated[Path, options.out("OUT", f"The table to write, with one row per row of TABLE: {FILES}.")],
    form: CsvForm,
) -> None:
    """Writes the log-density of each row of a table, in nats: the least probable rows are outliers."""
    from pointillist.cli.table_options import only_columns_of, read_for
    from pointillist.models.saving import load_model
    from pointillist.queries.density import log_density
    from pointillist.tables.frames import aligned

    fitted = load_model(model)
    cells = aligned(only_columns_of(fitted, read_for(fitted, table, form)), fitted.codec.layout).cells
    _write(out, ["log_density"], [pa.chunked_array([log_density(fitted, cells)])])


def column_of(model: "RowModel", name: Any, values: Any) -> Any:
    """Returns values as an Arrow column, with the time zone of a column of the model, unless the name is None."""
    import numpy as np

    array = pa.array(values.tolist()) if values.dtype == object else pa.array(np.ascontiguousarray(values))
    kind = model.codec.layout.type_of(name) if name is not None else None
    zone = getattr(kind, "tz", None)
    if zone is not None:
        array = pc.assume_timezone(array, "UTC").cast(pa.timestamp(array.type.unit, zone))
    return pa.chunked_array([array])


def _write(out: Path, names: Sequence[str], columns: Sequence[Any]) -> None:
    from pointillist.files.writing import TableWriter

    with TableWriter(out, names, [column.type for column in columns], len(columns[0])) as writer:
        writer.write(columns)
