"""The tables that `pointillist evaluate` compares, and what it measures of a model beyond its rows."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.console import Console

from pointillist.atomic_files import check_regular
from pointillist.cli.options import FILES
from pointillist.cli.predictions import column_of, labels_in
from pointillist.cli.table_options import columns_by_text, read_for
from pointillist.evaluation import Calibration
from pointillist.evaluation.calibration import POINTS, calibration
from pointillist.evaluation.evaluation import MIN_ROWS
from pointillist.files.csv_format import CsvForm
from pointillist.files.formats import READABLE, format_of
from pointillist.files.number_rows import check_enough
from pointillist.files.reading import read_table
from pointillist.lazy import pa
from pointillist.models.request import Request
from pointillist.models.row_model import RowModel
from pointillist.models.saving import load_model
from pointillist.privacy import MIN_ROWS as MIN_AUDITED
from pointillist.privacy import Audit, audit
from pointillist.progress import Bar
from pointillist.queries.label_conditional import conditional_of
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.frames import aligned
from pointillist.tables.numbers import LabelColumn
from pointillist.tables.table import Table, cells_in

MOST_ROWS = 2000
"""Most held-out rows that are predicted, and most members and non-members of an audit; `audit` uses more."""


def model_and_tables(
    data: Path, rows: Path, holdout: Path | None, target: str | None, form: CsvForm, seed: int
) -> tuple[RowModel | None, dict[str, Table]]:
    """The model, if ROWS is one, and the tables by their files' names, the rows that it draws among them."""
    if not data.name.endswith(READABLE) and rows.name.endswith(READABLE):
        raise ValueError(f"{data} is not a table ({FILES}): give the real rows first, then the model or its rows")
    check_regular(rows)
    others = [] if holdout is None else [holdout]
    if rows.name.endswith(READABLE):
        forms = {data: form, rows: form if rows == data else CsvForm()} | dict.fromkeys(others, form)
        return None, _alike(forms, target, MIN_ROWS)
    model = load_model(rows)
    tables = {str(path): read_like(model, path, target, MIN_ROWS, form) for path in (data, *others)}
    return model, tables | {str(rows): _drawn(model, len(tables[str(data)]), seed)}


def audited(model: RowModel, data: Table, others: Table, seed: int) -> Audit | str | None:
    """The audit of a model, or why there is none; None of too few rows."""
    if min(len(data), len(others)) < MIN_AUDITED:
        return None
    try:
        return audit(model, data, others, max_rows=MOST_ROWS, random_state=seed)
    except ValueError as error:
        return f"No audit: {error}"


def read_like(model: RowModel, path: Path, target: str | None, min_rows: int, form: CsvForm) -> Table:
    """A table as the model has its columns; of arrays, with its labels apart if they are the target."""
    if not format_of(path).holds_text:
        return read_table(path, target, min_rows=min_rows)
    table = read_for(model, path, form)
    check_enough(len(table), path, min_rows)
    return table


def _alike(forms: dict[Path, CsvForm], target: str | None, min_rows: int) -> dict[str, Table]:
    """The tables of files by their names; a column of text in one is text in all, where codes may look like numbers."""

    def read(path: Path, types: dict[str, str]) -> Table:
        return read_table(path, target, types=types, kind="mixed", min_rows=min_rows, form=forms[path])

    tables = {path: read(path, {}) for path in forms}
    texts: dict[str, set[str]] = {}
    mixed = {path: dict(zip(each.names, each.cells, strict=True)) for path, each in tables.items() if not each.is_rows}
    for columns in mixed.values():
        for name, cells in columns.items():
            if any(isinstance(category, str) for category in cells.categories or ()):
                texts.setdefault(name, set()).update(map(str, cells.categories or ()))
    for path, columns in mixed.items():
        others = [n for n in columns if n in texts and not any(isinstance(c, str) for c in columns[n].categories or ())]
        if not others or format_of(path).has_types:
            continue
        as_text = read(path, dict.fromkeys(others, "text"))
        for name in others:
            found = {*map(str, as_text.column(name).categories or ())}
            # Numbers among which a few texts strayed stay numbers, and are refused.
            if 2 * len(found & texts[name]) >= len(found):
                tables[path] = tables[path].with_column(name, as_text.arrow[name])
    return {str(path): table for path, table in tables.items()}


def _drawn(model: RowModel, n: int, seed: int) -> Table:
    """Draws n rows from a model, with their labels if the model has classes."""
    codec, classes = model.codec, model.classes
    request = Request(n, return_labels=classes is not None, variance=model.parameters["variance"], random_state=seed)
    with Bar(Console(stderr=True), n) as bar:
        drawn, labels = SamplingRun(model, request).rows(bar.advance)
    name, place = (None if classes is None else classes.column) or ("label", codec.n_columns)
    label = None if labels is None or model.label_index is None else LabelColumn(str(name), place, labels)
    return codec.layout.with_labels(drawn, label)


def calibrated(model: RowModel, data: Table, holdout: Table, target: str, seed: int) -> Calibration | str:
    """Measures a model's predictions of a column of numbers in held-out rows; returns the reason if it cannot."""
    name = columns_by_text(model).get(target, target)
    try:
        values, known = (_numbers(model, name, side.arrow.column(target)) for side in (holdout, data))
        there = np.flatnonzero(~np.isnan(values))
        indices = np.sort(np.random.default_rng(seed).permutation(there)[:MOST_ROWS])
        rows = Table(holdout.arrow.take(indices))
        view = conditional_of(model, name, labels_in(model, rows))
        points = view.quantiles(rows, ((np.arange(POINTS) + 0.5) / POINTS).tolist())
        found = _numbers(model, name, column_of(model, name, points.ravel())).reshape(points.shape)
    except ValueError as error:
        return f"no calibration of {target}: {error}"
    return calibration(found, values[indices], known[~np.isnan(known)], target=target)


def _numbers(model: RowModel, name: Any, column: Any) -> Float[np.ndarray, " n"]:
    """A column as numbers, NaN where a cell is missing: dates in the unit and the time zone of the model's column."""
    codec = model.codec
    if codec.names is not None and name in codec.names:
        one = Table(pa.table([column], names=[str(name)]))
        column = aligned(one, codec.layout, absent=codec.names).arrow.column(codec.names.index(name))
    cells = cells_in(name, column)
    return np.where(cells.is_missing, np.nan, cells.numbers)
