"""Columns whose numbers are multiples of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointillist.arguments import is_number
from pointillist.columns.grids import MAX_DECIMALS, decimals_of
from pointillist.rules.declared import Declared, NamedColumns
from pointillist.rules.rule import NULL, Mask, NumberRange, NumberRule, Numbers, Rows, Rule


@dataclass(frozen=True)
class Increment(NumberRule):
    """The number of a column is a multiple of a step; the grid of its encoder rounds to these."""

    step: float
    wording: str

    kind = "increment"
    fewest_columns = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.columns) > 1 or self.step <= 0:
            raise ValueError("a rule of increments needs one column and a step above 0")

    def is_off(self, values: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        multiples = values[:, 0] / self.step
        return np.asarray(np.abs(multiples - np.round(multiples)) > NULL * np.maximum(1.0, np.abs(multiples)))

    def restore(self, rows: Rows) -> None:
        """Round numbers that another rule has moved beyond the range of the column."""
        (values, is_complete), (column,) = self.cells(rows.columns), self.columns
        wrong = is_complete & ~rows.is_fixed[:, column] & self.is_off(values, rows.ranges)
        values[wrong, 0] = rows.ranges[column].fitted(values[wrong, 0])
        rows.put(self.columns, values)

    def excluded(self, low: Numbers, high: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        return (low == high)[:, 0] & self.is_off(low, ranges)

    def text(self, names: Sequence[Any]) -> str:
        return self.wording


@dataclass(frozen=True, repr=False)
class Increments(Declared):
    """A column of multiples of a step."""

    column: Any
    step: float

    kind = "increments"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names((self.column,))
        is_step = is_number(self.step) and self.step > 0 and decimals_of(np.array([float(self.step)])) is not None
        if not is_step:
            raise ValueError(
                f"rules.increments: step must be above 0, with at most {MAX_DECIMALS} decimals, not {self.step!r:.60}"
            )
        if self.on_violation == "allow":
            raise ValueError("rules.increments cannot train on other numbers: round the column, or drop these rows")
        object.__setattr__(self, "step", float(self.step))

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        index = columns.number(self.column)
        if columns.cells(self.column).is_date:
            raise ValueError(f"rules.increments is for numbers, and column {self.column!r} holds dates: leave it out")
        return [Increment((index,), self.step, f"{self.column} is a multiple of {self.step:g}", is_declared=True)]


def increments(column: Any, step: float, *, on_violation: str = "refuse") -> Increments:
    """Declare that the numbers of a column are multiples of a step, like prices of 0.05, 0.10 and so on.

    Args:
        column: Name of the column.
        step: The step, above 0.
        on_violation: "refuse" or "drop" training rows that break the rule.
    """
    return Increments(column, step, on_violation=on_violation)
