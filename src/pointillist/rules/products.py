"""Products and quotients that the rows of a table obey: total = price × quantity, depth = 200 z / (x + y)."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

MOST_COLUMNS, MOST_COLUMNS_OF_SUMS = 64, 24
"""Most columns among which products are looked for, and those with a sum of two."""

HELD = 0.98
"""Share of the rows that obey a relation: a few may be typing errors."""

BY_CHANCE = 0.5
"""Most rows that may obey it if one of its columns is in another order; else it says little about that one."""

FEWEST_VALUES = 20
"""Fewest values of a product, and of the column that is calculated."""

_SEARCHED = 200
_NULL = 1e-9


@dataclass(frozen=True)
class Product:
    """top = factor · left · (sum of right), of positions of columns."""

    top: int
    left: int
    right: tuple[int, ...]
    factor: float

    @property
    def places(self) -> tuple[int, ...]:
        """All positions."""
        return self.top, self.left, *self.right

    def solved(self, values: Float[np.ndarray, "n d"], units: Float[np.ndarray, " d"]) -> Bool[np.ndarray, " n"]:
        """Says which rows obey it to the precision of the columns, of which `units` are 0 where numbers are exact."""
        left, right = values[:, self.left], values[:, list(self.right)].sum(axis=1)
        of_right = np.abs(left) * units[list(self.right)].sum() + np.abs(right) * units[self.left]
        within = units[self.top] + abs(self.factor) * of_right + 2 * _NULL * np.abs(values[:, self.top])
        off: np.ndarray = np.abs(values[:, self.top] - self.factor * left * right)
        return off <= within / 2


def products(
    values: Float[np.ndarray, "n d"], units: Float[np.ndarray, " d"], decided: Mapping[int, Collection[int]]
) -> Iterator[tuple[int, tuple[int, ...], float, int]]:
    """Finds products of two columns, or of one and a sum of two, that nearly all rows obey.

    Args:
        values: Numbers, in rows, at least two of each column.
        units: What the numbers of each column are multiples of, shape (d,); 0 if of nothing.
        decided: Columns that other relations decide, each with the columns that it is calculated from.

    Yields:
        For each, the column to calculate, the others, the factor, and the power of the sum, 1 or -1. Of the columns
        that no other relation decides, it is the one that changes least, in parts of its range, where the columns do
        not fit together. None is calculated from itself, by way of others.
    """
    n = len(values)
    exact = rounding(units)
    few = values[np.arange(min(n, _SEARCHED)) * n // min(n, _SEARCHED)]
    n_values = [len(np.unique(column)) for column in values.T]
    size = np.median(np.abs(values), axis=0) / np.ptp(values, axis=0)
    of, seen = {column: set(terms) for column, terms in decided.items()}, set[frozenset[int]]()
    for found in _candidates(few, units, exact, n_values):
        own = exact.copy()
        own[found.top] = units[found.top]
        if frozenset(found.places) in seen or not _is_real(found, values, own):
            continue
        ends = found.places[: 2 + (len(found.right) == 1)]
        free = [place for place in ends if place not in of and n_values[place] >= FEWEST_VALUES]
        free = [place for place in free if not is_needed(of, set(found.places) - {place}, place)]
        free = [place for place in free if place == found.top or _survives(found, place, values, units)]
        if not free:
            continue
        seen.add(frozenset(found.places))
        column = min(free, key=lambda place: size[place])
        of[column] = set(found.places) - {column}
        if column == found.top:
            yield column, (found.left, *found.right), found.factor, 1
            continue
        below = found.right if column == found.left else (found.left,)
        short = float(f"{1 / found.factor:.12g}")
        yield column, (found.top, *below), short, -1


def rounding(units: ArrayLike) -> Float[np.ndarray, " d"]:
    """Returns to what numbers were rounded that are multiples of units: whole numbers are counts, and exact."""
    units = np.asarray(units, float)
    return np.where(units >= 1, 0.0, units)


def is_needed(of: Mapping[int, Collection[int]], columns: Collection[int], wanted: int) -> bool:
    """Says whether any of some columns is the wanted one, or is calculated from it, directly or by way of others."""
    return any(wanted == each or is_needed(of, of.get(each, ()), wanted) for each in columns)


def _candidates(
    rows: Float[np.ndarray, "n d"], units: Float[np.ndarray, " d"], exact: Float[np.ndarray, " d"], n_values: list[int]
) -> Iterator[Product]:
    d = rows.shape[1]
    sums: list[tuple[int, ...]] = [(place,) for place in range(d)]
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
            share = (np.abs(rows - np.outer(product, factor)) <= within).mean(axis=0)
            for top in np.flatnonzero((share > HELD - 0.05) & (factor != 0)):
                if top != left and top not in right and n_values[top] >= FEWEST_VALUES:
                    yield _snapped(Product(int(top), left, right, float(factor[top])), rows, units)


def _snapped(found: Product, rows: np.ndarray, units: np.ndarray) -> Product:
    """The product with a factor of few digits, if as many rows obey that to the top's own precision."""
    own = np.zeros(len(units))
    own[found.top] = units[found.top]
    short = [float(f"{found.factor:.{n}g}") for n in range(1, 7)]
    short += [1 / float(f"{1 / found.factor:.{n}g}") for n in range(1, 7)]
    tried = [Product(found.top, found.left, found.right, factor) for factor in (*short, found.factor)]
    shares = [each.solved(rows, own).mean() for each in tried]
    return next(each for each, share in zip(tried, shares, strict=True) if share >= max(shares) - 0.01)


def _survives(found: Product, column: int, rows: np.ndarray, units: np.ndarray) -> bool:
    """Whether nearly as many rows obey it to the top's own precision if a column is calculated, and rounded."""
    own = np.zeros(len(units))
    own[found.top] = units[found.top]
    made = rows.copy()
    made[:, found.top] = rows[np.random.default_rng(0).permutation(len(rows)), found.top]
    others = found.right if column == found.left else (found.left,)
    solved = made[:, found.top] / (found.factor * made[:, list(others)].sum(axis=1))
    is_there = np.isfinite(solved)
    made[:, column] = np.round(solved / units[column]) * units[column] if units[column] else solved
    return is_there.any() and bool(found.solved(made, own)[is_there].mean() >= found.solved(rows, own).mean() - 0.02)


def _is_real(found: Product, rows: np.ndarray, units: np.ndarray) -> bool:
    """Whether nearly all rows obey it, and by chance few would."""
    if found.solved(rows, units).mean() < HELD:
        return False
    order = np.random.default_rng(0).permutation(len(rows))
    for place in found.places:
        other = rows.copy()
        other[:, place] = rows[order, place]
        if found.solved(other, units).mean() > BY_CHANCE:
            return False
    return True
