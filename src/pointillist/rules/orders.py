"""Orders that rows obey, for example arrival ≥ departure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from pointillist.rules.rule import (
    FEWEST_ROWS,
    SAMPLE_ROWS,
    Mask,
    NumberRange,
    NumberRule,
    Numbers,
    Rows,
    TrainingRows,
    order_of_moves,
)
from pointillist.tables.table import Column

BROKEN_BY_CHANCE, BROKEN_ROWS = 0.05, 10
"""An order counts only if at least this fraction of rows would break it if the columns were independent, and at least
this number of rows, plus 2 for every nat of the number of pairs."""


@dataclass(frozen=True)
class Order(NumberRule):
    """The first column is no less than the second."""

    kind = "order"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.columns) != 2:
            raise ValueError("an order needs two columns")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> list["Order"]:
        """Find the orders that no chain of others implies, from the lowest column on: each may raise the one above."""
        numeric, columns = rows.numeric, rows.columns
        present = {i: columns[i].values[~columns[i].is_missing] for i in numeric}
        # The numbers of each column in another order, as if the columns were independent.
        shuffled = {i: values[np.random.default_rng(i).permutation(len(values))] for i, values in present.items()}
        fewest = BROKEN_ROWS + 2 * np.log(max(len(numeric) * (len(numeric) - 1), 1))
        found = set[tuple[int, int]]()
        for low, high in permutations(numeric, 2):
            if not rows.may_relate(low, high):
                continue
            is_complete = ~(columns[low].is_missing | columns[high].is_missing)
            a, b = columns[low].values, columns[high].values
            # Most pairs are out of order in some of the first rows.
            is_off = any((a[part] > b[part])[is_complete[part]].any() for part in (slice(SAMPLE_ROWS), slice(None)))
            if is_off or columns[low].is_date != columns[high].is_date or is_complete.sum() < FEWEST_ROWS:
                continue
            n = min(len(shuffled[low]), len(shuffled[high]))
            by_chance = (shuffled[low][:n] > shuffled[high][:n]).mean()
            is_real = by_chance >= BROKEN_BY_CHANCE and by_chance * is_complete.sum() >= fewest
            # Equal columns are a sum.
            if is_real and (a[is_complete] < b[is_complete]).any():
                found.add((low, high))
        direct = {
            (low, high)
            for low, high in found
            if not any((low, middle) in found and (middle, high) in found for middle in numeric)
        }
        depth = {i: sum(high == i for _, high in found) for i in numeric}
        return [cls((high, low)) for low, high in sorted(direct, key=lambda pair: (depth[pair[1]], pair))]

    def restore(self, rows: Rows) -> None:
        """Move one column of each row out of order to the other side of the other column, as far as it was off."""
        if rows.turn > 0 and rows.shift < 2:
            return
        (values, is_complete), free = self.cells(rows.columns), ~rows.is_reserved[:, list(self.columns)]
        ranges = [rows.ranges[column] for column in self.columns]
        for i in order_of_moves(ranges):
            sign = -1.0 if i else 1.0
            wrong = is_complete & (values[:, 0] < values[:, 1]) & free[:, i]
            other = values[wrong, 1 - i]
            mirrored = ranges[i].fitted(2 * other - values[wrong, i])
            nearest = ranges[i].encoder.bounded(other, sign)
            if not ranges[i].can_be_left:
                nearest = ranges[i].fitted(nearest)
            values[wrong, i] = np.where(sign * mirrored >= sign * other, mirrored, nearest)
        rows.put(self.columns, values)

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Mask:
        values, is_complete = self.cells(columns)
        return is_complete & (values[:, 0] < values[:, 1])

    def excluded(self, low: Numbers, high: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        return np.asarray(high[:, 0] < low[:, 1])

    def text(self, names: Sequence[Any]) -> str:
        return " ≥ ".join(str(names[column]) for column in self.columns)
