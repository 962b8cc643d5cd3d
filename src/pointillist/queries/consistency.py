"""Redraws rows that break a rule."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.models.codec import Codec
from pointillist.models.process import SamplingPlan
from pointillist.tables.table import Column

MOST_DRAWS = 20
"""Largest number of draws per row."""

FEWEST_DRAWN = 1000
"""Fewest rows for which so many draws are taken, so that a few rows do not fail by chance."""


def consistent(
    parts: Iterator[Float[np.ndarray, "m width"]],
    again: Callable[[SamplingPlan], Iterator[Float[np.ndarray, "m width"]]],
    plan: SamplingPlan,
    codec: Codec,
) -> Iterator[Float[np.ndarray, "m width"]]:
    """Yields encoded rows, and replaces rows that break a rule of the codec by rows of another draw.

    The replacement has the same index, so a row does not depend on the number of rows. `again` draws the rows of a
    plan; it is called with other seeds. A ValueError in one line says if none of `MOST_DRAWS` draws of a row obeys the
    rules.
    """
    others: list[_RowReader] = []
    first = 0
    for part in parts:
        rows = slice(first, first + len(part))
        first = rows.stop
        for turn in range(MOST_DRAWS):
            found = codec.broken_in(codec.cells(part, plan.observed, rows, plan.ends))
            is_broken = np.any([mask for _, mask in found], axis=0)
            if not is_broken.any():
                break
            if turn == MOST_DRAWS - 1:
                rule, _ = max(found, key=lambda each: int(each[1].sum()))
                raise ValueError(f"no row drawn under where obeys the rule {rule}: widen the conditions")
            if turn == len(others):
                seed = int(np.random.SeedSequence([plan.seed, 0, turn]).generate_state(1)[0])
                others.append(_RowReader(again(replace(plan, seed=seed))))
            part = np.where(is_broken[:, None], others[turn].read(rows), part)
        yield part


class Obeying:
    """Replaces rows that break a rule by other rows that obey all rules.

    The k-th row that breaks a rule is replaced by the k-th row that obeys in a second stream of rows. So the rows are
    draws from the model's distribution given the rules, and a row does not depend on the number of rows after it.
    `again` draws the rows of a plan, and is called with another seed; observed cells are the same in all rows of the
    plan. So far, `n_drawn` rows were drawn, and `n_kept` of them obey the rules.
    """

    def __init__(
        self, again: Callable[[SamplingPlan], Iterator[Float[np.ndarray, "m width"]]], plan: SamplingPlan, codec: Codec
    ) -> None:
        self._plan, self._codec = plan, codec
        self._most = MOST_DRAWS * max(plan.n_rows, FEWEST_DRAWN)
        seed = int(np.random.SeedSequence([plan.seed, 0, 0]).generate_state(1)[0])
        self._others = self._obeying_rows(again(replace(plan, seed=seed, n_rows=self._most)))
        self._counts = dict[str, int]()
        self.n_drawn = self.n_kept = 0

    def rows(
        self, parts: Iterator[Float[np.ndarray, "m width"]]
    ) -> Iterator[tuple[Float[np.ndarray, "m width"], Sequence[Column]]]:
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
            self._counts[text] = self._counts.get(text, 0) + int(mask.sum())
        self.n_drawn += len(is_broken)
        self.n_kept += int((~is_broken).sum())
        return is_broken

    def _obeying_rows(self, parts: Iterator[Float[np.ndarray, "m width"]]) -> Iterator[Float[np.ndarray, " width"]]:
        for part in parts:
            yield from part[~self._broken(self._cells(part))]
        text = max(self._counts, key=lambda each: self._counts[each])
        raise ValueError(
            f"only {self.n_kept / self.n_drawn:.1%} of {self.n_drawn:,} drawn rows obey the rules, and most of the "
            f"others break {text}: widen the conditions or the rule, or train longer"
        )


def with_rows(cells: Column, new: Column, rows: Int[np.ndarray, " m"]) -> Column:
    """Returns a column with other cells in some rows."""
    values, is_missing = cells.values.copy(), cells.is_missing.copy()
    values[rows], is_missing[rows] = new.values, new.is_missing
    return replace(cells, values=values, is_missing=is_missing)


class _RowReader:
    """Reads slices of a stream of rows; the starts of the slices must not decrease."""

    def __init__(self, stream: Iterator[Float[np.ndarray, "m width"]]) -> None:
        self._stream, self._first = stream, 0
        self._rows: list[np.ndarray] = []

    def read(self, rows: slice) -> Float[np.ndarray, "n width"]:
        while self._first + sum(map(len, self._rows)) < rows.stop:
            self._rows.append(next(self._stream))
            while self._first + len(self._rows[0]) <= rows.start:
                self._first += len(self._rows.pop(0))
        joined = np.concatenate(self._rows)
        return joined[rows.start - self._first : rows.stop - self._first]
