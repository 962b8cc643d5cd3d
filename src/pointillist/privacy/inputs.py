"""Rows to audit a model with, read as the model's columns: to compare with its rows, and as its network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.metrics.mixed_tables import Table as Columns
from pointillist.models.codec import Codec
from pointillist.models.request import Request
from pointillist.models.row_model import RowModel
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.frames import aligned, table_of
from pointillist.tables.names import free_name
from pointillist.tables.table import Column, Table


@dataclass(frozen=True, eq=False)
class Side:
    """Some rows, as attacks see them.

    Attributes:
        columns: The cells, to compare with those of generated rows.
        rows: The rows as the network sees them, shape (n, width).
        labels: Index of the class that the network is shown with each row, shape (n,); None if it is shown none.
        is_foreign: Rows with a category, or a missing cell, that no training row had, shape (n,): the model cannot
            have been fitted to them.
    """

    columns: Columns
    rows: Float[np.ndarray, "n width"]
    labels: Int[np.ndarray, " n"] | None
    is_foreign: Bool[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: Int[np.ndarray, " m"]) -> Side:
        """Returns some of the rows."""
        columns = {name: column[places] for name, column in self.columns.items()}
        labels = None if self.labels is None else self.labels[places]
        return Side(columns, self.rows[places], labels, self.is_foreign[places])

    def with_more(self, other: Side) -> Side:
        """Returns these rows, and below them those of another side."""
        columns = {name: np.concatenate([own, other.columns[name]]) for name, own in self.columns.items()}
        labels = None
        if self.labels is not None and other.labels is not None:
            labels = np.concatenate([self.labels, other.labels])
        is_foreign = np.concatenate([self.is_foreign, other.is_foreign])
        return Side(columns, np.concatenate([self.rows, other.rows]), labels, is_foreign)


def side_of(model: RowModel, X: Any, labels: Any, name: str) -> Side:
    """Reads rows with the columns of a model.

    Args:
        model: The model.
        X: A data frame, an array, or the table of a file.
        labels: Labels of the rows, if they are no column of X.
        name: What messages call the rows.

    Raises:
        ValueError: In one line, if a column is missing or holds something else than in `fit`.
    """
    found = table_of(X)
    if found is None:
        raise ValueError(f"{name} cannot be read: give an array or a data frame with the columns of fit")
    table = found[0]
    codec, classes = model.codec, model.classes
    names = list(table.names)
    label_name = None if classes is None or classes.column is None else str(classes.column[0])
    texts = list(map(str, names))
    if labels is None and model.label_place is not None and label_name in texts:
        place = texts.index(label_name)
        cells = table.column(names[place])
        if cells.is_missing.any():
            raise ValueError(f"column {label_name!r} of {name} has missing labels: drop such rows")
        assert classes is not None
        labels = classes.labels_in(cells)
        table = Table(table.arrow.remove_column(place))
        del names[place]
    arrow = _in_order(codec, table, names, name, is_array=found[1] == "array")
    indices = None
    if classes is not None and model.label_place is not None and labels is not None:
        indices = classes.indices(np.asarray(labels))
        if len(indices) != arrow.num_rows:
            raise ValueError(f"{name} has {arrow.num_rows} rows and {len(indices)} labels: give one label a row")
    return _side(model, Table(arrow, own_names=codec.layout.column_names), indices, name)


def _side(model: RowModel, table: Table, indices: Int[np.ndarray, " n"] | None, name: str) -> Side:
    """Encodes a table with the columns of a model; `indices` are those of the classes of labels apart from it."""
    codec, classes = model.codec, model.classes
    table = aligned(table, codec.layout)
    cells, columns = list(table.cells), {str(own): column for own, column in table.arrays().items()}
    is_apart = classes is not None and model.label_place is not None
    if classes is not None and is_apart and indices is not None:
        columns[_label_beside(columns)] = _texts(classes.labels)[indices]
    if not codec.encoding.n_tokens:
        if any(own.is_missing.any() for own in cells):
            raise ValueError(f"{name} has missing cells, and the model is of numbers: give rows as in fit")
        if classes is not None and indices is None:
            if model.trained_with["p_uncond"] == 0:
                raise ValueError(f"{name}: the model was always shown labels: give them, as a column or by labels=")
            indices = np.full(len(table), len(classes))
        return Side(columns, codec.encoding.encode(cells), indices, np.zeros(len(table), bool))
    for encoder in codec.encoding.columns[len(cells) :]:
        if indices is None:
            raise ValueError(f"{name}: the model was fitted with labels apart: give them by labels=")
        values = indices if encoder.categories is not None else codec.labels(encoder.name)[indices]
        cells.append(Column(values, np.zeros(len(indices), bool), encoder.categories))
    is_foreign = np.zeros(len(table), bool)
    for index, (encoder, own) in enumerate(zip(codec.encoding.columns, cells, strict=True)):
        cells[index], is_unknown = encoder.without_unknown(own)
        is_foreign |= is_unknown
    rows = codec.encoding.encode(cells)
    is_unknown = np.isnan(rows)
    if codec.missing != "unknown":
        is_foreign |= is_unknown.any(axis=1)
    return Side(columns, np.where(is_unknown, HIDDEN, rows).astype(np.float32), None, is_foreign)


def _in_order(codec: Codec, table: Table, names: list[Any], name: str, *, is_array: bool) -> pa.Table:
    """The columns of a model, under names that Arrow supports.

    Args:
        codec: The model's codec.
        table: The table.
        names: Names of its columns, or their places.
        name: What messages call it.
        is_array: Whether it was an array, or a file of one.
    """
    texts, own = list(map(str, names)), list(codec.names or ())
    wanted = list(map(str, codec.names or range(codec.n_columns)))
    is_numbered = texts == [str(place) for place in range(len(texts))]
    if not own or is_array or (is_numbered and {*texts} != {*wanted}):
        if len(texts) != len(wanted):
            raise ValueError(f"{name} has {len(texts)} columns and the model {len(wanted)}: give the columns of fit")
        places = list(range(len(wanted)))
    else:
        missing = [text for key, text in zip(own, wanted, strict=True) if key not in names and text not in texts]
        if missing:
            raise ValueError(f"{name} has no column {missing[0]!r}: give all columns of fit")
        places = [
            names.index(key) if key in names else texts.index(text) for key, text in zip(own, wanted, strict=True)
        ]
    return pa.table([table.arrow.column(place) for place in places], names=codec.layout.schema.names)


def _label_beside(columns: Columns) -> str:
    """Name of labels that have no column, among the columns to compare."""
    return free_name(["label"], [*columns])


def _texts(labels: np.ndarray) -> np.ndarray:
    return np.array([str(label) for label in labels.tolist()], object)


def drawn_columns(model: RowModel, n: int, like: Columns, seed: int) -> Columns:
    """Draws rows of a model, as the columns of other rows.

    Args:
        model: The model.
        n: Number of rows.
        like: Columns of other rows, whose names and order the drawn ones get.
        seed: Seed.
    """
    has_labels = model.label_place is not None and len(like) > model.codec.n_columns
    request = Request(n, return_labels=has_labels, variance=model.asked["variance"], random_state=seed)
    drawn, labels = SamplingRun(model, request).rows()
    arrays = model.codec.layout.with_labels(drawn, None).arrays()
    columns = {str(name): column for name, column in zip(model.codec.layout.column_names, arrays.values(), strict=True)}
    if has_labels and labels is not None:
        columns[_label_beside(columns)] = _texts(labels)
    return {name: columns[name] for name in like}
