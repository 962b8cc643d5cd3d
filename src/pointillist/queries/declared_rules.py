"""Keeps declared rules in filled cells and predictions."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from pointillist.models.codec import Codec
from pointillist.queries.consistency import MOST_DRAWS, with_rows
from pointillist.queries.predictive import Predictive
from pointillist.rules.table_rules import broken_rows, restore_rows
from pointillist.tables.table import Column

Again = Callable[[Int[np.ndarray, " m"], int], Sequence[Column]]
"""Draws the cells of some rows again, by the indices of the rows and the number of the turn."""


def obeying(codec: Codec, table_cells: Sequence[Column], cells: Sequence[Column], again: Again) -> Sequence[Column]:
    """Returns cells in which rows whose drawn cells break a declared rule are drawn again.

    Warns of rows that break a rule by observed cells alone, which stay as they are. A ValueError in one line names a
    row if none of `MOST_DRAWS` draws obeys.
    """
    rules = [rule for rule in codec.rules if rule.is_declared]
    for turn in range(1, MOST_DRAWS + 1 if rules else 1):
        is_wrong = np.zeros(len(cells[0].values), bool)
        text = ""
        for rule, is_broken in zip(rules, broken_rows(cells, codec.encoding.columns, rules), strict=True):
            is_drawn = np.any([table_cells[column].is_missing for column in rule.columns], axis=0)
            as_given = np.flatnonzero(is_broken & ~is_drawn)
            if len(as_given) and turn == 1:
                warnings.warn(
                    f"the observed cells of {len(as_given):,} of {len(is_wrong):,} rows break "
                    f"{rule.text(codec.column_names)}, first row {as_given[0]}: they stay as they are",
                    UserWarning,
                    stacklevel=4,
                )
            if (is_broken & is_drawn).any():
                is_wrong |= is_broken & is_drawn
                text = rule.text(codec.column_names)
        rows = np.flatnonzero(is_wrong)
        if not len(rows):
            break
        if turn == MOST_DRAWS:
            raise ValueError(f"no draw of the missing cells of row {rows[0]} obeys {text}: clear or correct its cells")
        cells = [with_rows(old, new, rows) for old, new in zip(cells, again(rows, turn), strict=True)]
    return cells


def given_rules(codec: Codec, name: object, observed: Float[np.ndarray, "n width"], found: Predictive) -> Predictive:
    """Returns the distribution of a column given that rows obey the declared rules.

    Points that break a rule get no weight. If all of them do, as with sums, they move to the nearest value that obeys.
    """
    target = codec.encoding.index(name)
    rules = [rule for rule in codec.rules if rule.is_declared and target in rule.columns]
    if not rules:
        return found
    (n, m), encoder = found.values.shape, codec.encoding.columns[target]
    cells = [each.take(np.repeat(np.arange(n), m)) for each in codec.cells_of(observed)]
    points = found.values.ravel()
    values = points.astype(np.int64) if encoder.categories is not None else encoder.rounded(points)
    cells[target] = Column(values, np.zeros(n * m, bool), encoder.categories)
    is_broken = np.any(broken_rows(cells, codec.encoding.columns, rules), axis=0).reshape(n, m)
    weights = np.where(is_broken, 0.0, found.weights)
    total = weights.sum(axis=1, keepdims=True)
    is_lost = total <= 0
    values = found.values
    if is_lost.any():
        is_fixed = np.ones((n * m, len(cells)), bool)
        is_fixed[:, target] = False
        moved = restore_rows(cells, codec.encoding.columns, rules, is_fixed)[target].values.reshape(n, m)
        values = np.where(is_lost, moved, values)
    weights = np.where(is_lost, found.weights, weights / np.where(is_lost, 1.0, total))
    return replace(found, values=values, weights=weights)
