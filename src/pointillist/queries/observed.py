"""Reads the observed cells of a table, without its target columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.arguments import is_missing
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.models.process import Learned
from pointillist.tables.frames import aligned
from pointillist.tables.table import Table


@dataclass(frozen=True)
class Observed:
    """A table with the model's columns, and its encoded rows, in which targets and missing cells are unobserved.

    `is_complete` says which rows lack no cell except the targets.
    """

    table: Table
    rows: Float[np.ndarray, "n width_and_label"]
    is_complete: Bool[np.ndarray, " n"]


def observed_cells(
    model: Learned, X: Any, targets: Sequence[Any], labels: Any = None, *, are_read: bool = False
) -> Observed:
    """Reads the observed cells of a table with the model's columns; target columns may be left out.

    `labels` are for labels that have no column in the table; see `with_labels`. With `are_read`, the result's table
    also holds the targets. A ValueError in one line says if X lacks another column, or holds an unknown category.
    """
    encoding = model.codec.encoding
    table = aligned(X, model.codec.layout, absent=targets, unread=() if are_read else targets)
    rows = with_labels(model, model.codec.encode_table(table, targets), labels)
    others = [encoder for encoder in encoding.columns if encoder.name not in targets]
    tokens = [encoding.token_index(encoder.name) for encoder in others if encoder.has_token]
    numbers = [
        encoding.number_index(encoder.name) for encoder in others if encoder.has_number and not encoder.has_token
    ]
    is_hidden, is_nan = rows[:, np.array(tokens, int)] == HIDDEN, np.isnan(rows[:, np.array(numbers, int)])
    is_incomplete = is_hidden.any(axis=1) | is_nan.any(axis=1)
    return Observed(table, rows, ~is_incomplete)


def with_labels(model: Learned, rows: Float[np.ndarray, "n width"], labels: Any) -> Float[np.ndarray, "n values"]:
    """Returns encoded rows with observed labels: one label, or one per row, None or NaN where it is unknown.

    A ValueError in one line says if the model has no labels outside the table, or a label is unknown.
    """
    if labels is None:
        return rows
    classes, codec = model.classes, model.codec
    if classes is None:
        raise ValueError("labels are given, but this model was fitted without: leave labels out")
    name = None if classes.column is None else classes.column[0]
    if model.process.has_label_token and name in codec.names:
        raise ValueError(f"labels are column {name!r} of the table: leave labels out")
    array = np.asarray(labels, object)
    is_unknown = np.array([is_missing(each) for each in array.ravel()])
    if np.ma.is_masked(labels):
        is_unknown |= np.ma.getmaskarray(labels).ravel()
    indices = np.full(is_unknown.shape, len(classes))
    if not is_unknown.all():
        indices[~is_unknown] = classes.indices(np.array(array.ravel()[~is_unknown].tolist()))
    if array.ndim and len(indices) != len(rows):
        raise ValueError(f"labels has {len(indices)} labels but X has {len(rows)} rows: give one per row, or one")
    return model.process.with_label_indices(model, rows, indices, is_unknown)
