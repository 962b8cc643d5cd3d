"""Products that rows obey, for example total = price × quantity and depth = 0.005 × z × (x + y)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from itertools import product as cartesian
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.arguments import is_number
from pointillist.rules.declared import Declared, NamedColumns
from pointillist.rules.equation import HELD, Equation
from pointillist.rules.rule import Indices, Masks, NumberRange, Numbers, Rule, TrainingRows, Vector
from pointillist.tables.numbers import spread_indices

MOST_COLUMNS, MOST_COLUMNS_OF_SUMS = 64, 24
"""Most columns among which products are searched, and most with which a factor may be a sum of two columns."""

BY_CHANCE = 0.5
"""Most rows that may still obey a product after one of its columns is permuted; with more, that column hardly matters.
"""

FEWEST_VALUES = 20
"""Fewest values of a product."""

_STEPS = 50
"""Most units of its last digit by which a factor moves to make a product exact."""

_TRIED_TOGETHER = 2**14
"""Number of changed rows that are checked together in the search for rows that obey a product."""

_SEARCHED = 200


@dataclass(frozen=True)
class Product(Equation):
    """The first column as a factor times the second column times the third, or times the sum of third and fourth."""

    factor: float

    kind = "product"
    has_exceptions = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 3 <= len(self.columns) <= 4 or self.factor == 0:
            raise ValueError("a product needs three or four columns, and a factor other than 0")

    @classmethod
    def find(cls, rows: TrainingRows, calculated: Mapping[int, Sequence[int]]) -> Iterator["Product"]:
        columns = [column for column in rows.numeric if not rows.columns[column].is_date]
        columns = [column for column in columns if np.ptp(rows.columns[column].values[rows.sample]) > 0]
        if not 2 < len(columns) <= MOST_COLUMNS:
            return
        values, ranges = rows.numbers(columns), rows.ranges(columns)
        few = values[spread_indices(len(values), _SEARCHED)]
        n_values = [len(np.unique(column)) for column in values.T]
        seen = set[frozenset[int]]()
        with np.errstate(all="ignore"):
            for each in _candidates(few, ranges, n_values):
                if frozenset(each.columns) not in seen and _is_real(each, values, ranges):
                    seen.add(frozenset(each.columns))
                    yield replace(each, columns=tuple(columns[i] for i in each.columns))

    def residual(self, values: Numbers) -> Vector:
        return np.asarray(values[:, 0] - self.factor * values[:, 1] * values[:, 2:].sum(axis=1))

    def gradient(self, values: Numbers) -> Numbers:
        slopes = np.ones(values.shape)
        slopes[:, 1] = -self.factor * values[:, 2:].sum(axis=1)
        slopes[:, 2:] = -self.factor * values[:, 1:2]
        return slopes

    def reach(self, low: Numbers, high: Numbers) -> tuple[Vector, Vector]:
        ends = [(side[:, 1], side[:, 2:].sum(axis=1)) for side in (low, high)]
        found = np.stack([self.factor * one[0] * other[1] for one, other in cartesian(ends, repeat=2)])
        return found.min(axis=0), found.max(axis=0)

    def search(self, values: Numbers, ranges: Sequence[NumberRange], free: Masks, wrong: Indices) -> Indices:
        """Search for the nearest rows that obey the product to the last digit.

        Few rounded numbers, such as prices in cents, have exactly a given product. So one of the other columns moves by
        a few units, another is calculated (or moved one unit further), and then the solved column if it is free.
        """
        others = [i for i in range(len(ranges)) if i != self.solved]
        sizes = np.arange(1, _STEPS + 1)
        steps = np.concatenate([[0], np.stack([-sizes, sizes], axis=1).ravel()])
        moves, neighbors = np.repeat(steps, 3), np.tile([0, -1, 1], len(steps))
        for moved, other in permutations(others, 2):
            first, n_tried = 0, 3
            while len(wrong) and first < len(moves):
                tries = slice(first, first + n_tried)
                rows = wrong[free[wrong, other] & (free[wrong, moved] | (first == 0))]
                if len(rows):
                    of_rows = values[rows], ranges, free[rows], (moved, other)
                    tried, holds = self._tried(*of_rows, moves[tries], neighbors[tries])
                    is_restored = holds.any(axis=1)
                    values[rows[is_restored]] = tried[is_restored, holds[is_restored].argmax(axis=1)]
                    wrong = np.setdiff1d(wrong, rows[is_restored], assume_unique=True)
                first, n_tried = first + n_tried, max(3, _TRIED_TOGETHER // max(1, len(wrong)))
        return wrong

    def _tried(
        self,
        values: Numbers,
        ranges: Sequence[NumberRange],
        free: Masks,
        columns: tuple[int, int],
        moves: Int[np.ndarray, " t"],
        neighbors: Int[np.ndarray, " t"],
    ) -> tuple[Float[np.ndarray, "n t k"], Bool[np.ndarray, "n t"]]:
        """Move the first of two columns by units, and calculate the second; return the rows, and which ones hold.

        Each row is tried with every move, and the calculated column goes to a neighbor of its nearest value.
        """
        (moved, other), s, n, (_, k) = columns, self.solved, len(moves), values.shape
        tried, is_free = np.repeat(values, n, axis=0), np.repeat(free[:, s], n)
        steps, nexts = np.tile(moves, len(values)), np.tile(neighbors, len(values))
        steps_away = steps != 0
        further = tried[steps_away, moved] + steps[steps_away] * ranges[moved].encoder.unit
        tried[steps_away, moved] = ranges[moved].fitted(further)
        tried[:, other] = ranges[other].fitted(self.solve(tried, other) + nexts * ranges[other].encoder.unit)
        holds = ~self.is_off(tried, ranges, is_exact=False)
        tried[is_free, s] = ranges[s].fitted(self.solve(tried[is_free], s))
        holds &= np.isfinite(tried).all(axis=1) & ~self.is_off(tried, ranges)
        return tried.reshape(-1, n, k), holds.reshape(-1, n)

    def text(self, names: Sequence[Any]) -> str:
        column, first, *rest = (names[column] for column in self.columns)
        total = str(rest[0]) if len(rest) == 1 else f"({' + '.join(map(str, rest))})"
        return f"{column} = {'' if self.factor == 1 else f'{self.factor:.12g} × '}{first} × {total}"


@dataclass(frozen=True, repr=False)
class DeclaredProduct(Declared):
    """A column that is the product of two others."""

    column: Any
    terms: tuple[Any, ...]
    factor: float = 1.0

    kind = "product"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_names((self.column, *self.terms) if isinstance(self.terms, tuple) else self.terms, 3)
        if len(self.terms) != 2 or not is_number(self.factor) or not self.factor:
            raise ValueError("rules.product takes a column, a list of two columns, and a factor other than 0")
        object.__setattr__(self, "factor", float(self.factor))

    def bind(self, columns: NamedColumns) -> Sequence[Rule]:
        for name in self.names:
            if columns.cells(name).is_date:
                raise ValueError(f"rules.product is for numbers, and column {name!r} holds dates: leave it out")
        return [Product(tuple(map(columns.number, self.names)), self.factor, is_declared=True)]


def product(column: Any, terms: Sequence[Any], *, factor: float = 1.0, on_violation: str = "refuse") -> DeclaredProduct:
    """Declare that a column is the product of two others, up to its rounding.

    Args:
        column: Name of the product.
        terms: Names of the two columns that are multiplied.
        factor: A constant by which the product is multiplied, for example 0.01 for percentages.
        on_violation: "refuse", "drop" or "allow" training rows that break the rule.
    """
    return DeclaredProduct(column, tuple(terms), factor, on_violation=on_violation)


def _candidates(rows: Numbers, ranges: list[NumberRange], n_values: list[int]) -> Iterator[Product]:
    """Find products that most of a few rows obey, with indices into these columns."""
    d, roundings = rows.shape[1], np.array([each.rounding for each in ranges])
    units = np.array([each.encoder.unit for each in ranges])
    sums: list[tuple[int, ...]] = [(i,) for i in range(d)]
    if d <= MOST_COLUMNS_OF_SUMS:
        sums += combinations(range(d), 2)
    for right in sums:
        total, total_rounding = rows[:, list(right)].sum(axis=1), roundings[list(right)].sum()
        for left in range(right[0] if len(right) == 1 else d):
            product = rows[:, left] * total
            is_nonzero = product != 0
            if left in right or is_nonzero.mean() < BY_CHANCE:
                continue
            factor = np.median(rows[is_nonzero] / product[is_nonzero, None], axis=0)
            slack = np.abs(rows[:, left]) * total_rounding + np.abs(total) * roundings[left]
            within = (units + np.outer(slack, np.abs(factor))) / 2 + 1e-6 * np.abs(rows)
            held = (np.abs(rows - np.outer(product, factor)) <= within).mean(axis=0)
            for top in np.flatnonzero((held > HELD - 0.05) & (np.abs(factor) > np.finfo(float).tiny)):
                if top != left and top not in right and n_values[top] >= FEWEST_VALUES:
                    yield _shortened(Product((int(top), left, *right), float(factor[top])), rows, ranges)


def _shortened(found: Product, rows: Numbers, ranges: list[NumberRange]) -> Product:
    """Return the product with a factor of few digits, if as many rows obey that to the last digit of the product."""
    rows, ranges = rows[:, found.columns], [ranges[i] for i in found.columns]
    short = [float(f"{found.factor:.{n}g}") for n in range(1, 7)]
    short += [1 / float(f"{1 / found.factor:.{n}g}") for n in range(1, 7)]
    tried = [replace(found, factor=factor) for factor in (*short, found.factor)]
    held = [1 - each.is_off(rows, ranges).mean() for each in tried]
    chosen = next(each for each, fraction in zip(tried, held, strict=True) if fraction >= max(held) - 0.01)
    return replace(chosen, is_exact=False)


def _is_real(found: Product, rows: Numbers, ranges: list[NumberRange]) -> bool:
    """Return whether nearly all rows obey the product, and few would by chance."""
    rows, ranges = rows[:, found.columns], [ranges[i] for i in found.columns]
    if found.is_off(rows, ranges).mean() > 1 - HELD:
        return False
    permuted = rows[np.random.default_rng(0).permutation(len(rows))]
    changed = (np.where(is_permuted, permuted, rows) for is_permuted in np.eye(len(ranges), dtype=bool))
    return all(found.is_off(each, ranges).mean() >= 1 - BY_CHANCE for each in changed)
