"""Rules that are equations, which can be solved for each of their columns."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pointillist.rules.rule import (
    EXACT,
    NULL,
    SAMPLE_ROWS,
    TURNS,
    Indices,
    Mask,
    Masks,
    NumberRange,
    NumberRule,
    Numbers,
    Rows,
    TrainingRows,
    Vector,
    order_of_moves,
)
from pointillist.tables.numbers import spread_indices

HELD = 0.98
"""Fraction of the training rows that obey an equation: a few may be typing errors."""

AMPLIFIED, MOST_AMPLIFIED = 2.0, 20.0
"""Error amplification above which an equation is solved for another column, and above which it is not solved."""

_ROWS, _SURVIVES = 1000, 0.95

Solutions = dict[int, tuple[float, bool]]
"""Error amplification by index into `columns`, and whether the equation then holds to the column's last digit."""


@dataclass(frozen=True)
class Equation(NumberRule):
    """An equation between columns, such as a sum or a product. `solve` expects it to be linear in each column.

    Attributes:
        solved: Index into `columns` of the column that is calculated from the others.
        is_exact: Whether the equation holds to the last digit of the solved column, not only within the rounding of
            all columns.
    """

    solved: int = field(default=0, kw_only=True)
    is_exact: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.solved < len(self.columns):
            raise ValueError("a rule is solved for a column that it does not have")

    @property
    def others(self) -> tuple[int, ...]:
        """The columns from which the solved one is calculated."""
        return self.columns[: self.solved] + self.columns[self.solved + 1 :]

    @abstractmethod
    def residual(self, values: Numbers) -> Vector:
        """Return the first column minus its value calculated from the others."""

    @abstractmethod
    def gradient(self, values: Numbers) -> Numbers:
        """Return the derivatives of the residual with respect to each column."""

    @abstractmethod
    def reach(self, low: Numbers, high: Numbers) -> tuple[Vector, Vector]:
        """Return the lowest and highest number of the first column for the others between two ends."""

    def search(self, values: Numbers, ranges: Sequence[NumberRange], free: Masks, wrong: Indices) -> Indices:
        """Change wrong rows that solving for one column cannot restore; return the rows that stay wrong."""
        return wrong

    def solve(self, values: Numbers, i: int) -> Vector:
        """Calculate column i from the others; not finite where there is no solution."""
        # Column i may be so large that the other terms would be lost in rounding.
        others = values.copy()
        others[:, i] = 0.0
        with np.errstate(all="ignore"):
            return np.asarray(0.0 - self.residual(others) / self.gradient(others)[:, i])

    def is_off(self, values: Numbers, ranges: Sequence[NumberRange], *, is_exact: bool | None = None) -> Mask:
        """Return which rows break the equation by more than the rounding of its columns.

        Only the rounding of the solved column counts if `is_exact`, by default as the equation says.
        """
        solved = ranges[self.solved]
        with np.errstate(all="ignore"):
            slopes = np.abs(self.gradient(values))
            error = np.abs(self.residual(values)) / slopes[:, self.solved]
            slopes /= slopes[:, [self.solved]]
            # A small sum of large numbers is no more accurate than they are.
            largest = np.array([each.largest for each in ranges])
            within = 0.5 * solved.encoder.unit + solved.negligible + EXACT * slopes @ largest
            if not (self.is_exact if is_exact is None else is_exact):
                units = np.array([each.rounding for each in ranges]) * (np.arange(len(ranges)) != self.solved)
                within += (slopes * (0.5 * units + NULL * np.abs(values))).sum(axis=1)
            return np.isfinite(error) & (error > within)

    def restore(self, rows: Rows) -> None:
        """Solve the equation for one column after another, from the solved one on, until it holds."""
        (values, is_complete), columns = self.cells(rows.columns), list(self.columns)
        ranges = [rows.ranges[column] for column in columns]
        masks = [rows.is_fixed] if rows.is_reserved is rows.is_fixed else [rows.is_reserved, rows.is_fixed]
        for is_fixed in masks:
            free, is_last = ~is_fixed[:, columns], rows.turn >= TURNS - 1 and is_fixed is rows.is_fixed
            wrong = np.flatnonzero(is_complete)
            wrong = wrong[self.is_off(values[wrong], ranges, is_exact=True)]
            if rows.shift:
                wrong = self.search(values, ranges, free, wrong)
            for i in order_of_moves(ranges, self.solved, rows.shift):
                moved = wrong[free[wrong, i]]
                wanted = self.solve(values[moved], i)
                is_known = np.isfinite(wanted)
                # Numbers outside the range are left to the next column.
                values[moved[is_known], i] = ranges[i].fitted(wanted[is_known], is_last=is_last)
                wrong = wrong[self.is_off(values[wrong], ranges)]
            self.search(values, ranges, free, wrong)
        rows.put(columns, values)

    def fix_determined(self, rows: Rows) -> bool:
        """Solve the equation for the only cell that is not fixed, and fix that."""
        (values, is_complete), columns = self.cells(rows.columns), list(self.columns)
        ranges, free = [rows.ranges[column] for column in columns], ~rows.is_fixed[:, columns]
        is_single = is_complete & (free.sum(axis=1) == 1)
        any_fixed = False
        for i, column in enumerate(columns):
            single = np.flatnonzero(is_single & free[:, i])
            wanted = self.solve(values[single], i)
            single, wanted = single[np.isfinite(wanted)], wanted[np.isfinite(wanted)]
            is_off = self.is_off(values[single], ranges, is_exact=True)
            values[single, i] = np.where(is_off, ranges[i].fitted(wanted, is_last=True), values[single, i])
            rows.is_fixed[single, column] = True
            any_fixed |= len(single) > 0
        rows.put(columns, values)
        return any_fixed

    def excluded(self, low: Numbers, high: Numbers, ranges: Sequence[NumberRange]) -> Mask:
        # A rounded number represents all numbers that are rounded to it.
        half = np.array([0.0 if self.is_exact else 0.5 * each.rounding + NULL * each.largest for each in ranges])
        half[self.solved] += 0.5 * ranges[self.solved].encoder.unit
        with np.errstate(all="ignore"):
            lowest, highest = self.reach(low - half, high + half)
            slopes = np.maximum(np.abs(self.gradient(low)), np.abs(self.gradient(high)))
            within = half[0] + ranges[0].negligible + EXACT * slopes @ np.array([each.largest for each in ranges])
        is_apart = (lowest > high[:, 0] + within) | (highest < low[:, 0] - within)
        return np.asarray(is_apart & np.isfinite(lowest) & np.isfinite(highest))

    def solutions(self, rows: TrainingRows, most_amplified: float = MOST_AMPLIFIED) -> Solutions:
        """Return the columns for which the equation can be solved.

        The error amplification is the error of the solved column, in interquartile ranges (or standard deviations if
        that range is 0), for an error of one interquartile range in each of the others.
        """
        values, ranges = rows.numbers(self.columns), rows.ranges(self.columns)
        scale = np.subtract(*np.quantile(values, [0.75, 0.25], axis=0))
        scale = np.where(scale > 0, scale, values.std(axis=0))
        values = values[:: max(1, len(values) // _ROWS)]
        slopes = np.abs(self.gradient(values)) * scale
        found = {}
        for i in range(len(self.columns)):
            with np.errstate(all="ignore"):
                moved = np.median(slopes / slopes[:, [i]], axis=0)
            amplification = float(np.linalg.norm(np.delete(moved, i)))
            if amplification <= most_amplified and (i == 0 or self._survives(values, ranges, i)):
                is_off = replace(self, solved=i, is_exact=True).is_off(values, ranges)
                found[i] = amplification, bool(is_off.mean() <= 1 - HELD)
        return found

    def _survives(self, values: Numbers, ranges: Sequence[NumberRange], i: int) -> bool:
        """Return whether the equation holds to the digits of its first column if column i is calculated and rounded.

        The first column takes means of two rows, so that its numbers do not come from any single row.
        """
        encoder, exact = ranges[i].encoder, replace(self, solved=0, is_exact=True)
        if encoder.scores is None:
            return False
        made = values.copy()
        other = values[np.random.default_rng(0).permutation(len(values)), 0]
        made[:, 0] = ranges[0].encoder.rounded((values[:, 0] + other) / 2)
        made[:, i] = encoder.rounded(self.solve(made, i))
        made = made[np.isfinite(made[:, i])]
        held = 1 - exact.is_off(values, ranges).mean()
        return len(made) > 0 and bool(1 - exact.is_off(made, ranges).mean() >= _SURVIVES * held)


def solvable(candidates: Iterable[Equation], rows: TrainingRows, declared: Iterable[Equation] = ()) -> list[Equation]:
    """Return the equations that can be solved one after another, each for a column that no earlier one contains.

    A candidate is left out if the equations before it leave no column to solve it for. A column that is nearly
    constant, such as the ratio of two areas that are almost the same, is not calculated from columns that vary: their
    errors would be larger than its variation. So each equation is solved for its first column where this amplifies
    errors at most twofold, and otherwise for the column in which they are amplified least. Declared equations come
    before all others, and none of them is left out: a ValueError says that they have no such order.
    """
    kept = [(each, _declared_solutions(each, rows)) for each in declared]
    solved = _in_order(kept)
    if solved is None:
        names = [encoder.name for encoder in rows.encoders]
        texts = ", ".join(each.text(names) for each, _ in kept)
        raise ValueError(f"rules: {texts} cannot be solved one after another: leave one of them out")
    for each in candidates:
        tried = [*kept, (each, each.solutions(rows))]
        if (found := _in_order(tried)) is not None:
            kept, solved = tried, found
    return solved


def _declared_solutions(equation: Equation, rows: TrainingRows) -> Solutions:
    """Return the columns for which a declared equation can be solved, even if this amplifies errors much."""
    complete = np.flatnonzero(~np.any([rows.columns[column].is_missing for column in equation.columns], axis=0))
    sample = complete[spread_indices(len(complete), SAMPLE_ROWS)]
    found = equation.solutions(replace(rows, sample=sample), np.inf) if len(sample) > 1 else {}
    return found or {0: (0.0, True)}


def _in_order(candidates: list[tuple[Equation, Solutions]]) -> list[Equation] | None:
    """Return equations, each solved for a column that none before it contains; None if there is no such order.

    From the last equation to the first: a column that only one of the remaining equations contains can be calculated
    after all others. Among all orders, this one has the least maximum of the error amplification.
    """
    remaining, order = list(candidates), list[Equation]()
    while remaining:
        counts = Counter(column for each, _ in remaining for column in each.columns)
        choices = [
            (max(amplification, AMPLIFIED), not is_exact, i, -index)
            for index, (each, solutions) in enumerate(remaining)
            for i, (amplification, is_exact) in solutions.items()
            if counts[each.columns[i]] == 1
        ]
        if not choices:
            return None
        _, is_loose, i, index = min(choices)
        order.append(replace(remaining.pop(-index)[0], solved=i, is_exact=not is_loose))
    return order[::-1]
