"""Orders that rows obey: arrival ≥ departure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.rules.number_range import NumberRange, order_of_moves
from pointillist.rules.rule import FEWEST_ROWS, NumberRule, Rows, TrainingRows, complete, numbers_of
from pointillist.tables.table import Column

BROKEN_BY_CHANCE = 0.05
"""An order counts if so many rows would break it if the columns were independent."""

_ROWS = 5000
_BROKEN_ROWS = 10
"""An order also counts only if so many rows would break it, and 2 more for every nat of the number of pairs."""


@dataclass(frozen=True)
class Order(NumberRule):
    """The first column is no less than the second."""

    kind = "order"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.columns) != 2:
            raise ValueError("an order is not of two columns")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> list["Order"]:
        """Finds the orders that no chain of others implies, from the lowest column on: each may raise the one above."""
        numeric, columns = rows.numeric, rows.columns
        present = {i: columns[i].values[~columns[i].is_missing] for i in numeric}
        # The numbers of each column in another order, as if the columns were independent.
        shuffled = {i: values[np.random.default_rng(i).permutation(len(values))] for i, values in present.items()}
        found = set[tuple[int, int]]()
        for low, high in permutations(numeric, 2):
            there, n = complete(columns, (low, high)), min(len(shuffled[low]), len(shuffled[high]))
            a, b = columns[low].values, columns[high].values
            # Most pairs are out of order in some of the first rows.
            is_kept = all(not (a[part] > b[part])[there[part]].any() for part in (slice(_ROWS), slice(None)))
            if columns[low].is_date == columns[high].is_date and is_kept and there.sum() >= FEWEST_ROWS:
                by_chance = (shuffled[low][:n] > shuffled[high][:n]).mean()
                fewest = _BROKEN_ROWS + 2 * np.log(len(numeric) * (len(numeric) - 1))
                # Equal columns are a sum.
                is_real = by_chance >= BROKEN_BY_CHANCE and by_chance * there.sum() >= fewest
                if is_real and (a[there] < b[there]).any():
                    found.add((low, high))
        direct = {
            (low, high)
            for low, high in found
            if not any((low, middle) in found and (middle, high) in found for middle in numeric)
        }
        depth = {i: sum(high == i for _, high in found) for i in numeric}
        return [cls((high, low)) for low, high in sorted(direct, key=lambda pair: (depth[pair[1]], pair))]

    def restore(self, rows: Rows) -> None:
        """Moves one of the columns in rows out of order to the other side, as far as it was off."""
        if rows.turn > 0 and rows.shift < 2:
            return
        values, free = numbers_of(rows.columns, self.columns), ~rows.is_reserved[:, list(self.columns)]
        ranges, is_complete = [rows.ranges[column] for column in self.columns], complete(rows.columns, self.columns)
        for i in order_of_moves(ranges):
            sign = -1.0 if i else 1.0
            wrong = is_complete & (values[:, 0] < values[:, 1]) & free[:, i]
            own, other = values[wrong, i], values[wrong, 1 - i]
            # As far on the other side, if the column goes so far.
            turned = ranges[i].fitted(2 * other - own)
            nearest = ranges[i].encoder.bounded(other, sign)
            if not ranges[i].can_be_left:
                nearest = ranges[i].fitted(nearest)
            values[wrong, i] = np.where(sign * turned >= sign * other, turned, nearest)
        rows.put(self.columns, values)

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Bool[np.ndarray, " n"]:
        """Finds the rows that are out of order."""
        values = numbers_of(columns, self.columns)
        return complete(columns, self.columns) & (values[:, 0] < values[:, 1])

    def excluded(
        self, low: Float[np.ndarray, "n k"], high: Float[np.ndarray, "n k"], ranges: Sequence[NumberRange]
    ) -> Bool[np.ndarray, " n"]:
        """Finds the boxes in which all rows are out of order."""
        return np.asarray(high[:, 0] < low[:, 1])

    def text(self, names: Sequence[Any]) -> str:
        """Returns the order, with the columns' names."""
        return " ≥ ".join(str(names[column]) for column in self.columns)
