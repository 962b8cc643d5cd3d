"""Rows, filled cells and predictions that obey rules: what breaks a rule is drawn again."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import derived_seed
from pointillist.models.codec import Codec
from pointillist.models.process import SamplingPlan
from pointillist.queries.predictive import Predictive
from pointillist.rules.table_rules import broken_rows, restore_rows
from pointillist.tables.table import Column

MOST_DRAWS = 20
"""Largest number of draws per row."""

FEWEST_DRAWN = 1000
"""Fewest rows for which so many draws are taken, so that a few rows do not fail by chance."""

Rows = Iterator[Float[np.ndarray, "m width"]]
"""Encoded rows, in parts."""

RowsAndCells = Iterator[tuple[Float[np.ndarray, "m width"], Sequence[Column]]]
"""Encoded rows, in parts, with their cells."""


def consistent(parts: Rows, again: Callable[[SamplingPlan], Rows], plan: SamplingPlan, codec: Codec) -> RowsAndCells:
    """Yields encoded rows and their cells; under conditions, replaces rows that break a rule by rows of another draw.

    The replacement has the same index, so a row does not depend on the number of rows. `again` draws the rows of a
    plan; it is called with other seeds. A ValueError in one line says if none of `MOST_DRAWS` draws of a row obeys the
    rules.
    """
    others: list[_RowReader] = []
    first = 0
    for part in parts:
        rows = slice(first, first + len(part))
        first = rows.stop
        cells = codec.cells(part, plan.observed, rows, plan.ends)
        for turn in range(MOST_DRAWS if plan.observed or plan.ends else 0):
            found = codec.broken_in(cells)
            is_broken = np.any([mask for _, mask in found], axis=0)
            if not is_broken.any():
                break
            if turn == MOST_DRAWS - 1:
                rule, _ = max(found, key=lambda each: int(each[1].sum()))
                raise ValueError(f"no row drawn under where obeys the rule {rule}: widen the conditions")
            if turn == len(others):
                others.append(_RowReader(again(replace(plan, seed=turn_seed(plan.seed, turn)))))
            part = np.where(is_broken[:, None], others[turn].read(rows), part)
            cells = codec.cells(part, plan.observed, rows, plan.ends)
        yield part, cells


class Obeying:
    """Replaces rows that break a rule by other rows that obey all rules.

    The k-th row that breaks a rule is replaced by the k-th row that obeys in a second stream of rows. So the rows are
    draws from the model's distribution given the rules, and a row does not depend on the number of rows after it.
    `again` draws the rows of a plan, and is called with another seed; observed cells are the same in all rows of the
    plan. So far, `n_drawn` rows were drawn, and `n_kept` of them obey the rules.
    """

    def __init__(self, again: Callable[[SamplingPlan], Rows], plan: SamplingPlan, codec: Codec) -> None:
        self._plan, self._codec = plan, codec
        n_rows = MOST_DRAWS * max(plan.n_rows, FEWEST_DRAWN)
        self._others = self._obeying_rows(again(replace(plan, seed=turn_seed(plan.seed, 0), n_rows=n_rows)))
        self._counts = Counter[str]()
        self.n_drawn = self.n_kept = 0

    def rows(self, parts: Rows) -> RowsAndCells:
        """Yields parts of rows with their cells, in which every row obeys the rules.

        Raises:
            ValueError: In one line, if too few rows obey them.
        """
        for part in parts:
            cells = self._cells(part)
            broken = np.flatnonzero(self._broken(cells))
            if len(broken):
                part = part.copy()
                part[broken] = [next(self._others) for _ in broken]
                others = self._cells(part[broken])
                cells = [with_rows(each, new, broken) for each, new in zip(cells, others, strict=True)]
            yield part, cells

    def _cells(self, part: Float[np.ndarray, "m width"]) -> Sequence[Column]:
        return self._codec.cells(part, self._plan.observed, slice(0, len(part)), self._plan.ends)

    def _broken(self, cells: Sequence[Column]) -> Bool[np.ndarray, " m"]:
        found = self._codec.broken_in(cells, only_declared=not (self._plan.observed or self._plan.ends))
        is_broken = np.any([mask for _, mask in found], axis=0)
        for text, mask in found:
            self._counts[text] += int(mask.sum())
        self.n_drawn += len(is_broken)
        self.n_kept += int((~is_broken).sum())
        return is_broken

    def _obeying_rows(self, parts: Rows) -> Iterator[Float[np.ndarray, " width"]]:
        for part in parts:
            yield from part[~self._broken(self._cells(part))]
        raise ValueError(
            f"only {self.n_kept / self.n_drawn:.1%} of {self.n_drawn:,} drawn rows obey the rules, and most of the "
            f"others break {self._counts.most_common(1)[0][0]}: widen the conditions or the rule, or train longer"
        )


def obeying(
    codec: Codec,
    table_cells: Sequence[Column],
    cells: Sequence[Column],
    again: Callable[[Int[np.ndarray, " m"], int], Sequence[Column]],
) -> Sequence[Column]:
    """Returns cells in which rows whose drawn cells break a declared rule are drawn again.

    `again` draws the cells of some rows, by the indices of the rows and the number of the turn. Warns of rows that
    break a rule by observed cells alone, which stay as they are. A ValueError in one line names a row if none of
    `MOST_DRAWS` draws obeys.
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


def with_rows(cells: Column, new: Column, rows: Int[np.ndarray, " m"]) -> Column:
    """Returns a column with other cells in some rows."""
    values, is_missing = cells.values.copy(), cells.is_missing.copy()
    values[rows], is_missing[rows] = new.values, new.is_missing
    return replace(cells, values=values, is_missing=is_missing)


def turn_seed(seed: int, turn: int) -> int:
    """Returns the seed with which rows are drawn again."""
    return derived_seed(seed, 0, turn)


class _RowReader:
    """Reads slices of a stream of rows; the starts of the slices must not decrease."""

    def __init__(self, stream: Rows) -> None:
        self._stream, self._first = stream, 0
        self._rows: list[np.ndarray] = []

    def read(self, rows: slice) -> Float[np.ndarray, "n width"]:
        while self._first + sum(map(len, self._rows)) < rows.stop:
            self._rows.append(next(self._stream))
            while self._first + len(self._rows[0]) <= rows.start:
                self._first += len(self._rows.pop(0))
        joined = np.concatenate(self._rows)
        return joined[rows.start - self._first : rows.stop - self._first]
