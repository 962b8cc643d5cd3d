"""What is given of rows: the cells of a table but those of some columns, which are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.arguments import is_missing
from pointillist.diffusion.tokens.token_sampling import HIDDEN
from pointillist.models.gaussian import GaussianProcess
from pointillist.models.process import Learned
from pointillist.models.token_codec import TokenCodec
from pointillist.tables.frames import aligned
from pointillist.tables.table import Table


@dataclass(frozen=True)
class Observed:
    """Rows with some columns asked for.

    Attributes:
        table: The table, with the model's columns.
        known: Tokens and scores that are given; hidden and NaN where cells are asked for, or missing.
        is_whole: Which rows have no missing cell but those that are asked for.
    """

    table: Table
    known: Float[np.ndarray, "n width"]
    is_whole: Bool[np.ndarray, " n"]


def observed_cells(
    model: Learned, X: Any, targets: Sequence[Any], labels: Any = None, *, are_read: bool = False
) -> Observed:
    """Reads a table as what is given of its rows.

    Args:
        model: The model, of tokens.
        X: A table with the model's columns, in any container; those that are asked for may be left out.
        targets: Names of the columns that are asked for.
        labels: Labels that have no column in the table; see `with_labels`.
        are_read: Whether the table holds the cells that are asked for, where X has them.

    Raises:
        ValueError: In one line, if X lacks another column, holds a category that no training row had, or if a row has
            no cell but those that are asked for.
    """
    codec = model.codec
    assert isinstance(codec, TokenCodec)
    encoding = codec.encoding
    table = aligned(X, codec.layout, absent=targets, unread=() if are_read else targets)
    hidden = [encoding.place(name) for name in targets]
    kept = Table(_without(table, [place for place in hidden if place < len(codec.names)]), own_names=codec.names)
    known = with_labels(model, codec.known_tokens(kept, HIDDEN), labels)
    others = np.delete(known[:, : len(encoding.columns)], hidden, axis=1)
    is_hidden = others == HIDDEN
    empty = np.flatnonzero(is_hidden.all(axis=1))
    if len(empty) and others.shape[1]:
        raise ValueError(f"row {empty[0]} has only missing cells besides the target: give one cell of it, or drop it")
    return Observed(table, known, ~is_hidden.any(axis=1))


def with_labels(model: Learned, known: Float[np.ndarray, "n width"], labels: Any) -> Float[np.ndarray, "n values"]:
    """Returns rows of which the labels are given too: as the label's token, or after numbers as the index of a class.

    Args:
        model: The model.
        known: What is known of the rows.
        labels: One label, or one per row, None or NaN where it is not known; None for no labels.

    Raises:
        ValueError: In one line, if the model has no labels apart from its columns, or they are not its own.
    """
    if labels is None:
        return known
    classes, codec = model.classes, model.codec
    if classes is None:
        raise ValueError("labels are given, but this model was fitted without: leave labels out")
    name = None if classes.column is None else classes.column[0]
    if isinstance(codec, TokenCodec) and name in codec.names:
        raise ValueError(f"labels are column {name!r} of the table: leave labels out")
    asked = np.asarray(labels, object)
    is_unknown = np.array([is_missing(each) for each in asked.ravel()])
    if np.ma.is_masked(labels):
        is_unknown |= np.ma.getmaskarray(labels).ravel()
    indices = np.full(is_unknown.shape, len(classes))
    if not is_unknown.all():
        indices[~is_unknown] = classes.indices(np.array(asked.ravel()[~is_unknown].tolist()))
    if is_unknown.any() and isinstance(model.process, GaussianProcess) and model.process.p_uncond == 0:
        raise ValueError("labels has a missing one, and the model was fitted with p_uncond=0: give all labels")
    if asked.ndim and len(indices) != len(known):
        raise ValueError(f"labels has {len(indices)} labels but X has {len(known)} rows: give one per row, or one")
    if not isinstance(codec, TokenCodec):
        return np.column_stack([known, np.broadcast_to(indices, len(known))]).astype(np.float32)
    known = known.copy()
    known[:, codec.encoding.place(name)] = np.where(is_unknown, HIDDEN, indices)
    return known


def _without(table: Table, places: Sequence[int]) -> Any:
    """The table with some columns empty."""
    import pyarrow as pa

    columns = list(table.arrow.columns)
    for place in places:
        columns[place] = pa.chunked_array([pa.nulls(len(table), columns[place].type)])
    return pa.Table.from_arrays(columns, schema=table.arrow.schema)
