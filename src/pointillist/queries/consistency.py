"""Redraws rows under conditions that break a rule."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from pointillist.models.codec import Codec
from pointillist.models.process import SamplingPlan

MOST_DRAWS = 20
"""Largest number of draws per row."""


def consistent(
    parts: Iterator[Float[np.ndarray, "m width"]],
    again: Callable[[SamplingPlan], Iterator[Float[np.ndarray, "m width"]]],
    plan: SamplingPlan,
    codec: Codec,
) -> Iterator[Float[np.ndarray, "m width"]]:
    """Yields encoded rows, and replaces rows that break a rule by rows of another draw.

    The replacement has the same index, so a row does not depend on the number of rows.

    Args:
        parts: The rows, in consecutive parts.
        again: Function that draws the rows of a plan; it is called with other seeds.
        plan: The sampling plan of the rows.
        codec: The codec, with the rules.

    Raises:
        ValueError: In one line, if none of `MOST_DRAWS` draws of a row obeys the rules.
    """
    others: list[_RowReader] = []
    first = 0
    for part in parts:
        rows = slice(first, first + len(part))
        first = rows.stop
        for turn in range(MOST_DRAWS):
            found = codec.broken(part, plan.observed, rows, plan.ends)
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
