"""`pointillist predict` and `pointillist score`: what a model says of the rows of a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointillist.cli import options
from pointillist.cli.locks import exclusive
from pointillist.cli.options import FILES
from pointillist.files.csv_format import CsvForm
from pointillist.lazy import pa, pc

if TYPE_CHECKING:
    from pointillist.models.row_model import RowModel
    from pointillist.tables.table import Table


@exclusive
@options.of_csv("TABLE")
def predict(
    *,
    model: options.Model,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help=f"A table with the model's columns ({FILES}); COLUMN is not read.")
    ],
    out: Annotated[Path, options.out("OUT", f"The table to write, one row for each of TABLE: {FILES}.")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.")],
    quantiles: Annotated[
        str | None,
        typer.Option(metavar="LEVELS", help="Quantiles of a column of numbers to write, such as 0.05,0.5,0.95."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probability of each value of a column of few.")
    ] = False,
    form: CsvForm,
) -> None:
    """Predicts a column of a table from the others: the mean of a number, the most probable category."""
    import numpy as np

    from pointillist.cli.table_options import columns_by_text, of_model, read_for
    from pointillist.models.saving import load_model
    from pointillist.queries.label_conditional import conditional_of

    if quantiles is not None and probabilities:
        raise ValueError("--quantiles is for columns of numbers and --probabilities for those of few values: give one")
    levels = None if quantiles is None else _levels(quantiles)
    fitted = load_model(model)
    rows = read_for(fitted, table, form, unread=target)
    name = columns_by_text(fitted).get(target, target)
    view = conditional_of(fitted, name, labels_in(fitted, rows, unread=target))
    rows = of_model(fitted, rows)
    if probabilities:
        values = view.predict_proba(rows)
        texts = [f"{value:.16g}" if isinstance(value, float) else str(value) for value in view.classes_]
        names = [f"{target}={text}" for text in texts]
    elif levels is not None:
        values = view.quantiles(rows, levels)
        names = [f"{target}_{level:g}" for level in levels]
    else:
        values, names = view.predict(rows)[:, None], [target]
    _write(out, names, [column_of(fitted, None if probabilities else name, own) for own in np.asarray(values).T])


@exclusive
@options.of_csv("TABLE")
def score(
    *,
    model: options.Model,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=f"A table with the model's columns: {FILES}.")],
    out: Annotated[Path, options.out("OUT", f"The table to write, one row for each of TABLE: {FILES}.")],
    form: CsvForm,
) -> None:
    """Writes the log-density of each row of a table, in nats: the least probable rows are outliers."""
    from pointillist.cli.table_options import of_model, read_for
    from pointillist.models.saving import load_model
    from pointillist.queries.density import log_density
    from pointillist.tables.frames import aligned

    fitted = load_model(model)
    cells = aligned(of_model(fitted, read_for(fitted, table, form)), fitted.codec.layout).cells
    _write(out, ["log_density"], [column_of(fitted, None, log_density(fitted, cells))])


def labels_in(model: "RowModel", table: "Table", unread: str | None = None) -> list[Any] | None:
    """Returns a table's labels, None where missing, if they are apart from the model's columns and not `unread`."""
    place, classes = model.label_index, model.classes
    name = None if place is None or classes is None or classes.column is None else str(classes.column[0])
    if name is None or classes is None or name not in table.names or name in (*(model.codec.names or ()), unread):
        return None
    return classes.labels_in(table.column(name))


def _levels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--quantiles takes levels such as 0.05,0.5,0.95, not {text!r}") from error


def column_of(model: "RowModel", name: Any, values: Any) -> Any:
    """Returns predicted values of a column as Arrow's, times in its time zone if it has one; of no column if None."""
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
