"""Products that rows obey: total = price × quantity, depth = 0.005 × z × (x + y)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from itertools import product as cartesian
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.rules.equation import HELD, Equation, are_finite
from pointillist.rules.number_range import NumberRange
from pointillist.rules.rule import TrainingRows

MOST_COLUMNS, MOST_COLUMNS_OF_SUMS = 64, 24
"""Most columns among which products are looked for, and those with a sum of two."""

BY_CHANCE = 0.5
"""Most rows that may obey a product if one of its columns is in another order; else it says little about that one."""

FEWEST_VALUES = 20
"""Fewest values of a product."""

_STEPS = 50
"""Most units of its last digit by which a factor moves to make a product exact."""

_SEARCHED = 200


@dataclass(frozen=True)
class Product(Equation):
    """The first column as a factor times the second column times the third, or times the sum of the third and fourth.

    Attributes:
        factor: The factor.
    """

    factor: float

    kind = "product"
    has_exceptions = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 3 <= len(self.columns) <= 4 or not are_finite([self.factor]) or self.factor == 0:
            raise ValueError("a product is not of three or four columns, or its factor is 0 or no number")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> Iterator["Product"]:
        """Finds products that nearly all rows obey."""
        own = [column for column in rows.numeric if not rows.columns[column].is_date]
        own = [column for column in own if np.ptp(rows.columns[column].values[rows.sample]) > 0]
        if not 2 < len(own) <= MOST_COLUMNS:
            return
        values, ranges = rows.numbers(own), rows.ranges(own)
        few = values[np.linspace(0, len(values) - 1, min(len(values), _SEARCHED)).astype(np.int64)]
        n_values = [len(np.unique(column)) for column in values.T]
        seen = set[frozenset[int]]()
        with np.errstate(all="ignore"):
            for each in _candidates(few, ranges, n_values):
                if frozenset(each.columns) not in seen and _is_real(each, values, ranges):
                    seen.add(frozenset(each.columns))
                    yield replace(each, columns=tuple(own[i] for i in each.columns))

    def residual(self, values: Float[np.ndarray, "m k"]) -> Float[np.ndarray, " m"]:
        """Returns the first column minus what the others make of it."""
        return np.asarray(values[:, 0] - self.factor * values[:, 1] * values[:, 2:].sum(axis=1))

    def gradient(self, values: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m k"]:
        """Returns the derivatives of the residual."""
        slopes = np.ones(values.shape)
        slopes[:, 1] = -self.factor * values[:, 2:].sum(axis=1)
        slopes[:, 2:] = -self.factor * values[:, 1:2]
        return slopes

    def reach(
        self, low: Float[np.ndarray, "n k"], high: Float[np.ndarray, "n k"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Returns the lowest and highest number of the first column."""
        ends = [(side[:, 1], side[:, 2:].sum(axis=1)) for side in (low, high)]
        found = np.stack([self.factor * one[0] * other[1] for one, other in cartesian(ends, repeat=2)])
        return found.min(axis=0), found.max(axis=0)

    def search(
        self,
        values: Float[np.ndarray, "n k"],
        ranges: Sequence[NumberRange],
        free: Bool[np.ndarray, "n k"],
        wrong: Int[np.ndarray, " m"],
    ) -> Int[np.ndarray, " l"]:
        """Searches the nearest rows that obey the product to the last digit.

        Few rounded numbers, such as prices in cents, have a given product exactly. So one of the other columns moves by
        a few units, another is calculated (or moved one unit further), and then the solved column if it is free.
        """
        others = [i for i in range(len(ranges)) if i != self.solved]
        steps = [step for size in range(_STEPS + 1) for step in sorted({-size, size})]
        loose, s = replace(self, is_exact=False), self.solved
        for (moved, other), step, next_to in cartesian(permutations(others, 2), steps, (0, -1, 1)):
            rows = wrong[free[wrong, other] & (free[wrong, moved] | (step == 0))]
            if len(rows):
                tried = values[rows]
                if step:
                    tried[:, moved] = ranges[moved].fitted(tried[:, moved] + step * ranges[moved].unit)
                tried[:, other] = ranges[other].fitted(self.solve(tried, other) + next_to * ranges[other].unit)
                near, is_free = tried.copy(), free[rows, s]
                tried[is_free, s] = ranges[s].fitted(self.solve(tried[is_free], s))
                holds = np.flatnonzero(np.isfinite(tried).all(axis=1) & ~self.is_off(tried, ranges))
                holds = holds[~loose.is_off(near[holds], ranges)]
                values[rows[holds]] = tried[holds]
                wrong = np.setdiff1d(wrong, rows[holds], assume_unique=True)
        return wrong

    def text(self, names: Sequence[Any]) -> str:
        """Returns the equation, with the columns' names."""
        column, first, *rest = (names[column] for column in self.columns)
        total = str(rest[0]) if len(rest) == 1 else f"({' + '.join(map(str, rest))})"
        return f"{column} = {'' if self.factor == 1 else f'{self.factor:.12g} × '}{first} × {total}"


def _candidates(rows: Float[np.ndarray, "m d"], ranges: list[NumberRange], n_values: list[int]) -> Iterator[Product]:
    """Products, of indices of columns, that most of a few rows obey."""
    d, exact = rows.shape[1], np.array([each.rounding for each in ranges])
    units = np.array([each.unit for each in ranges])
    sums: list[tuple[int, ...]] = [(i,) for i in range(d)]
    if d <= MOST_COLUMNS_OF_SUMS:
        sums += combinations(range(d), 2)
    for right in sums:
        total, of_total = rows[:, list(right)].sum(axis=1), exact[list(right)].sum()
        for left in range(right[0] if len(right) == 1 else d):
            product = rows[:, left] * total
            is_there = product != 0
            if left in right or is_there.mean() < BY_CHANCE:
                continue
            factor = np.median(rows[is_there] / product[is_there, None], axis=0)
            slack = np.abs(rows[:, left]) * of_total + np.abs(total) * exact[left]
            within = (units + np.outer(slack, np.abs(factor))) / 2 + 1e-6 * np.abs(rows)
            held = (np.abs(rows - np.outer(product, factor)) <= within).mean(axis=0)
            for top in np.flatnonzero((held > HELD - 0.05) & (np.abs(factor) > np.finfo(float).tiny)):
                if top != left and top not in right and n_values[top] >= FEWEST_VALUES:
                    yield _shortened(Product((int(top), left, *right), float(factor[top])), rows, ranges)


def _shortened(found: Product, rows: np.ndarray, ranges: list[NumberRange]) -> Product:
    """The product with a factor of few digits, if as many rows obey that to the last digit of the product."""
    own, ranges = rows[:, found.columns], [ranges[i] for i in found.columns]
    short = [float(f"{found.factor:.{n}g}") for n in range(1, 7)]
    short += [1 / float(f"{1 / found.factor:.{n}g}") for n in range(1, 7)]
    tried = [replace(found, factor=factor) for factor in (*short, found.factor)]
    held = [1 - each.is_off(own, ranges).mean() for each in tried]
    chosen = next(each for each, share in zip(tried, held, strict=True) if share >= max(held) - 0.01)
    return replace(chosen, is_exact=False)


def _is_real(found: Product, rows: np.ndarray, ranges: list[NumberRange]) -> bool:
    """Whether nearly all rows obey it, and by chance few would."""
    own, ranges = rows[:, found.columns], [ranges[i] for i in found.columns]
    if found.is_off(own, ranges).mean() > 1 - HELD:
        return False
    order = np.random.default_rng(0).permutation(len(own))
    for i in range(len(ranges)):
        other = own.copy()
        other[:, i] = own[order, i]
        if found.is_off(other, ranges).mean() < 1 - BY_CHANCE:
            return False
    return True
