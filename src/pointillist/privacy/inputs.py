"""Rows for an audit, read as the columns of a model: as cells to compare with generated rows, and as encoded rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.pair_counts import MOST_ROWS
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.metrics.checks import Table as Columns
from pointillist.models.request import Request
from pointillist.models.row_model import RowModel
from pointillist.queries.sampling import SamplingRun
from pointillist.tables.frames import aligned, table_of
from pointillist.tables.names import free_name
from pointillist.tables.table import Column, Table


@dataclass(frozen=True, eq=False)
class Side:
    """Rows, as attacks see them: `columns` are their cells, and `rows` what the network sees, shape (n, width).

    Subjects of related tables have the width 0, as no attack shows them to a network.

    `labels` are class indices that the network is shown; None if it is shown none. `is_foreign` marks rows with a
    category or a missing cell that no training row had; they cannot be members.
    """

    columns: Columns
    rows: Float[np.ndarray, "n width"]
    labels: Int[np.ndarray, " n"] | None
    is_foreign: Bool[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Int[np.ndarray, " m"]) -> Side:
        """Return some of the rows."""
        columns = {name: column[indices] for name, column in self.columns.items()}
        labels = None if self.labels is None else self.labels[indices]
        return Side(columns, self.rows[indices], labels, self.is_foreign[indices])

    def with_more(self, other: Side) -> Side:
        """Append the rows of another side."""
        columns = {name: np.concatenate([column, other.columns[name]]) for name, column in self.columns.items()}
        labels = None if self.labels is None or other.labels is None else np.concatenate([self.labels, other.labels])
        is_foreign = np.concatenate([self.is_foreign, other.is_foreign])
        return Side(columns, np.concatenate([self.rows, other.rows]), labels, is_foreign)


def side_of(model: RowModel, X: Any, labels: Any, name: str) -> Side:
    """Read rows with the columns of a model; `labels` are for labels that are not a column of X.

    A ValueError in one line, which starts with `name`, says if a column is missing or holds something else than in
    `fit`.
    """
    classes, indices = model.classes, None
    try:
        X, labels = _read(model, X, labels)
        if classes is not None and model.label_index is not None and labels is not None:
            indices = classes.indices(np.asarray(labels))
        side = _side(model, X, indices)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if indices is not None and len(indices) != len(side):
        raise ValueError(f"{name} has {len(side)} rows and {len(indices)} labels: give one label per row")
    return side


def _read(model: RowModel, X: Any, labels: Any) -> tuple[Any, Any]:
    """Separate the labels from X if the model does, and give X the column names of the model if it has none."""
    found, classes, names = None if isinstance(X, Mapping) else table_of(X), model.classes, model.codec.names
    if found is None:
        raise ValueError("X cannot be read: give an array or a data frame with the columns of fit")
    table, kind, _ = found
    if labels is None and model.label_index is not None and classes is not None and classes.column is not None:
        label = str(classes.column[0])
        name = next((n for n in table.names if str(n) == label), None)
        if name is not None:
            cells = table.column(name)
            if cells.is_missing.any():
                raise ValueError(f"column {label!r} has missing labels: drop such rows")
            return table.select([n for n in table.names if n != name]), classes.labels_in(cells)
    if names is not None and (kind == "array" or not table.has_names) and len(names) == len(table.names):
        X = Table(table.arrow.rename_columns(list(map(str, names))))
    return X, labels


def _side(model: RowModel, X: Any, indices: Int[np.ndarray, " n"] | None) -> Side:
    """Encode rows; `indices` are the class indices of labels that are not a column of X."""
    codec, classes = model.codec, model.classes
    table = aligned(X, codec.layout)
    cells = list(table.cells)
    columns: Columns = {str(name): column for name, column in table.arrays().items()}
    if classes is not None and indices is not None:
        columns = _with_labels(columns, classes.labels[indices])
    if not codec.encoding.n_tokens:
        if any(each.is_missing.any() for each in cells):
            raise ValueError("has missing cells, and the model is of numbers: give rows as in fit")
        if classes is not None and indices is None:
            if model.trained_with["p_uncond"] == 0:
                raise ValueError("the model was always shown labels: give them, as a column or by labels=")
            indices = np.full(len(table), len(classes))
        return Side(columns, codec.encoding.encode(cells), indices, np.zeros(len(table), bool))
    for encoder in codec.encoding.columns[len(cells) :]:
        if indices is None:
            raise ValueError("the model was fitted with labels apart: give them by labels=")
        values = indices if encoder.categories is not None else codec.labels(encoder.name)[indices]
        cells.append(Column(values, np.zeros(len(indices), bool), encoder.categories))
    is_foreign = np.zeros(len(table), bool)
    for index, encoder in enumerate(codec.encoding.columns):
        cells[index], is_unknown = encoder.without_unknown(cells[index])
        is_foreign |= is_unknown
    rows = codec.encoding.encode(cells)
    is_unknown = np.isnan(rows)
    if codec.missing != "unknown":
        is_foreign |= is_unknown.any(axis=1)
    return Side(columns, np.where(is_unknown, HIDDEN, rows).astype(np.float32), None, is_foreign)


def _with_labels(columns: Columns, labels: np.ndarray) -> Columns:
    return {**columns, free_name(["label"], [*columns]): np.array([str(label) for label in labels.tolist()], object)}


def drawn_columns(model: RowModel, n: int, like: Columns, seed: int) -> Columns:
    """Draw n rows of a model, as columns with the names and the order of the columns `like`."""
    layout, has_labels = model.codec.layout, model.label_index is not None and len(like) > model.codec.n_columns
    request = Request(n, return_labels=has_labels, variance=model.parameters["variance"], random_state=seed)
    drawn, labels = SamplingRun(model, request).rows()
    arrays = layout.with_labels(drawn, None).arrays().values()
    columns: Columns = dict(zip(map(str, layout.column_names), arrays, strict=True))
    if has_labels and labels is not None:
        columns = _with_labels(columns, labels)
    return {name: columns[name] for name in like}


def count_strangers(model: RowModel, members: Side) -> int:
    """Return a lower bound of the number of members that are not training rows; 0 if the model file has no counts.

    If all members are training rows, no value of a column occurs in more members than training rows. In models of
    numbers, the same holds for the cells of a grid over two columns, if all training rows were counted.
    """
    excesses = [int(members.is_foreign.sum())]

    def compare(indices: np.ndarray, recorded: np.ndarray) -> None:
        counts = np.bincount(indices.astype(np.int64), minlength=len(recorded))
        excesses.append(int(np.maximum(counts - recorded, 0).sum()))

    summary = model.summary
    if summary is not None and summary.values is not None:
        sizes = [encoder.size for encoder in model.codec.encoding.columns]
        for tokens, recorded in zip(members.rows.T, np.split(summary.values, np.cumsum(sizes)[:-1]), strict=False):
            compare(tokens[tokens >= 0], recorded)
    elif summary is not None and summary.pairs is not None and summary.pairs.counts[0].sum() < MOST_ROWS:
        numbers = [column for column in members.columns.values() if column.dtype != object]
        all_ends, n_bins = summary.pairs.ends, summary.pairs.counts.shape[-1]
        bins = [
            np.searchsorted(ends[1:-1][ends[1:-1] < ends[-1]], column, side="right")
            for column, ends in zip(numbers, all_ends, strict=False)
        ]
        # The classes, which are last, are not compared.
        for (i, j), recorded in zip(combinations(range(len(all_ends)), 2), summary.pairs.counts, strict=True):
            if j < len(bins):
                compare(bins[i] * n_bins + bins[j], recorded.ravel())
    return max(excesses)
