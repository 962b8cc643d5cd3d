"""`pointillist predict` and `pointillist score`: what a model says of the rows of a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pointillist.cli import choices
from pointillist.cli.choices import FILES
from pointillist.cli.locks import exclusive

if TYPE_CHECKING:
    from pointillist.models.row_model import RowModel
    from pointillist.points import CsvForm, MixedTable


@exclusive
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file written by fit.")],
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help=f"A table with the model's columns ({FILES}); COLUMN is not read.")
    ],
    out: Annotated[Path, choices.out("OUT", f"The table to write, one row for each of TABLE: {FILES}.")],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.")],
    quantiles: Annotated[
        str | None,
        typer.Option(metavar="LEVELS", help="Quantiles of a column of numbers to write, such as 0.05,0.5,0.95."),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probability of each value of a column of few.")
    ] = False,
    delimiter: Annotated[str | None, choices.delimiter("TABLE")] = None,
    encoding: Annotated[str | None, choices.encoding("TABLE")] = None,
    decimal: Annotated[str | None, choices.decimal("TABLE")] = None,
) -> None:
    """Predicts a column of a table from the others: the mean of a number, the most probable category."""
    import numpy as np

    from pointillist.cli.tables import form_of, read_for
    from pointillist.files import check_apart, check_place
    from pointillist.models.conditionals import conditional_of
    from pointillist.models.saving import load_model
    from pointillist.points.frames import mixed_table
    from pointillist.points.token_codec import TokenCodec

    check_place(out)
    check_apart(out, table)
    check_apart(out, model, "the model")
    if quantiles is not None and probabilities:
        raise ValueError("--quantiles is for columns of numbers and --probabilities for those of few values: give one")
    levels = None if quantiles is None else _levels(quantiles)
    fitted = load_model(model)
    rows = mixed_table(read_for(fitted, table, form_of(delimiter, encoding, decimal)))
    view = conditional_of(fitted, column_named(fitted, target), labels_in(fitted, rows))
    if probabilities:
        values = view.predict_proba(rows)
        names = [f"{target}={_text(value)}" for value in view.classes_]
    elif levels is not None:
        values = view.quantiles(rows, levels)
        names = [f"{target}_{level:g}" for level in levels]
    else:
        values, names = view.predict(rows)[:, None], [target]
    zone = None
    if isinstance(fitted.codec, TokenCodec) and not probabilities:
        zone = getattr(fitted.codec.layout.type_of(view.targets[0]), "tz", None)
    _write(out, names, np.asarray(values).T, zone)


@exclusive
def score(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file written by fit.")],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help=f"A table with the model's columns: {FILES}.")],
    out: Annotated[Path, choices.out("OUT", f"The table to write, one row for each of TABLE: {FILES}.")],
    delimiter: Annotated[str | None, choices.delimiter("TABLE")] = None,
    encoding: Annotated[str | None, choices.encoding("TABLE")] = None,
    decimal: Annotated[str | None, choices.decimal("TABLE")] = None,
) -> None:
    """Writes the log-density of each row of a table, in nats: the least probable rows are outliers."""
    from pointillist.cli.tables import form_of
    from pointillist.files import check_apart, check_place
    from pointillist.models.density import log_density
    from pointillist.models.saving import load_model
    from pointillist.points.frames import aligned
    from pointillist.points.token_codec import TokenCodec

    check_place(out)
    check_apart(out, table)
    check_apart(out, model, "the model")
    fitted = load_model(model)
    rows = _read(fitted, table, form_of(delimiter, encoding, decimal))
    if isinstance(fitted.codec, TokenCodec):
        rows = aligned(rows, fitted.codec.layout)
    _write(out, ["log_density"], [log_density(fitted, rows)])


def _read(model: "RowModel", path: Path, form: "CsvForm") -> Any:
    """The rows of a file as the model takes them: a table of mixed columns, or an array of the model's columns."""
    import numpy as np

    from pointillist.cli.tables import read_for
    from pointillist.points import MixedTable, read_any
    from pointillist.points.columns import shown
    from pointillist.points.layout import check_finite
    from pointillist.points.token_codec import TokenCodec

    if isinstance(model.codec, TokenCodec):
        return read_for(model, path, form)
    table = read_any(path, min_rows=1, form=form)
    names, known = table.names, model.codec.names
    if isinstance(table, MixedTable):
        missing = [name for name in known or () if name not in table.names]
        if known is None or missing:
            raise ValueError(f"{path}: its columns are not those of the model")
        cells = dict(zip(table.names, table.cells, strict=True))
        if any(cells[name].categories is not None or cells[name].is_missing.any() for name in known):
            raise ValueError(f"{path}: the model is of numbers, and its columns hold text or missing cells")
        return np.stack([cells[name].values.astype(float) for name in known], axis=1)
    rows = np.asarray(table.rows, float)
    if known is not None and names is not None:
        for name in known:
            if name not in names:
                raise ValueError(f"{path}: has no column {shown(str(name))}, which the model has")
        rows = rows[:, [names.index(name) for name in known]]
    if rows.shape[1] != model.codec.n_columns:
        raise ValueError(f"{path}: has {rows.shape[1]} columns, and the model {model.codec.n_columns}")
    check_finite(rows, str(path), known)
    return rows


def labels_in(model: "RowModel", table: "MixedTable") -> list[Any] | None:
    """Returns the labels of a table, None where one is missing, if the model is shown them apart from its columns."""
    place, classes = model.label_place, model.classes
    name = None if place is None or classes is None or classes.column is None else str(classes.column[0])
    if name is None or classes is None or name not in table.names or name in (model.codec.names or ()):
        return None
    return classes.labels_in(table.cells[table.names.index(name)])


def column_named(model: "RowModel", text: str) -> Any:
    """Returns the model's name of a column, which need not be text."""
    from pointillist.points.token_codec import TokenCodec

    names: list[Any]
    codec = model.codec
    if isinstance(codec, TokenCodec):
        names = [code.name for code in codec.encoding.columns]
    else:
        names = [*range(codec.n_columns)] if codec.names is None else [*codec.names]
    return next((name for name in names if str(name) == text), text)


def _levels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--quantiles takes levels such as 0.05,0.5,0.95, not {text!r}") from error


def _text(value: Any) -> str:
    return f"{value:.16g}" if isinstance(value, float) else str(value)


def _write(out: Path, names: Sequence[str], columns: Iterable[Any], zone: str | None = None) -> None:
    """Writes columns, of which times are in UTC if they have a time zone."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from pointillist.points import TableWriter

    arrays = [pa.array(own.tolist()) if own.dtype == object else pa.array(np.ascontiguousarray(own)) for own in columns]
    if zone is not None:
        arrays = [pc.assume_timezone(array, "UTC").cast(pa.timestamp(array.type.unit, zone)) for array in arrays]
    with TableWriter(out, names, [array.type for array in arrays], len(arrays[0])) as writer:
        writer.write([pa.chunked_array([array]) for array in arrays])
