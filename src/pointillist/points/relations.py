"""Relations that rows of a table obey: sums, functions, products, orders and lookups; and rows that obey them again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.points.column_code import ColumnCode
from pointillist.points.functions import FUNCTIONS, functions
from pointillist.points.lookups import Lookup, lookups
from pointillist.points.mixed import Cells
from pointillist.points.products import MOST_COLUMNS, products, rounding
from pointillist.points.sums import sums

FEWEST_ROWS = 100
"""Fewest rows without a missing cell that show a relation."""

BROKEN_BY_CHANCE = 0.05
"""An order counts if so many rows would break it if the columns were independent."""

_ROWS, _MOST_COLUMNS, _MOST_RELATIONS = 5000, 128, 200
_NULL, _EXACT = 1e-9, 2.0**-50
_BROKEN_ROWS = 10
"""An order also counts only if so many rows would break it, and 2 more for every nat of the number of pairs."""


@dataclass(frozen=True)
class Relation:
    """A column as a sum, as a function of another, as a product or a quotient, or as no less than another.

    Attributes:
        column: Position of the column.
        terms: Positions of the columns of its sum; of the first factor of a product and of the sum that is the other;
            of the one that it is a function of, or no less than.
        factors: Factor of each term; one of a product; empty for an order.
        constant: What is added to the sum.
        power: 1 for a product, -1 for a quotient, 0 for others.
        function: The one of `FUNCTIONS` that is taken of the single term of a sum; "" for none.
    """

    column: int
    terms: tuple[int, ...]
    factors: tuple[float, ...] = ()
    constant: float = 0.0
    power: int = 0
    function: str = ""

    @property
    def places(self) -> tuple[int, ...]:
        """Positions of all columns."""
        return (self.column, *self.terms)

    def restored(
        self, columns: list[Cells], codes: Sequence[ColumnCode], is_fixed: Bool[np.ndarray, "n d"], *, is_last: bool
    ) -> None:
        """Changes cells, of which those that are not fixed may change, so that rows without missing ones obey it.

        Numbers stay within the ranges of their columns, except where a fixed one leaves an order no other way, and
        for the last time that one of the others is restored: then columns of many values may leave theirs.
        """
        there = ~np.any([columns[place].is_missing for place in self.places], axis=0)
        values = np.stack([columns[place].values for place in self.places], axis=1).astype(float)
        free = ~is_fixed[:, list(self.places)]
        own = [codes[place] for place in self.places]
        if self.power:
            self._restore_product(values, own, there, free, is_last=is_last)
        elif self.factors:
            self._restore_sum(values, own, there, free, is_last=is_last)
        else:
            _restore_order(values, own, there, free)
        for i, place in enumerate(self.places):
            columns[place] = replace(columns[place], values=values[:, i])

    def _restore_sum(
        self,
        values: Float[np.ndarray, "n k"],
        codes: Sequence[ColumnCode],
        there: Bool[np.ndarray, " n"],
        free: Bool[np.ndarray, "n k"],
        *,
        is_last: bool,
    ) -> None:
        weights = np.array([-1.0, *self.factors])
        ends = [code.ends for code in codes]
        small = [_small(code) for code in codes]
        own, inverse = FUNCTIONS[self.function]
        # A sum of large numbers may be small, and is known no better than they are.
        rounding = small[0] + _EXACT * sum(abs(w) * max(np.abs(each)) for w, each in zip(weights, ends, strict=True))

        def inside(rows: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m k"]:
            return np.column_stack([values[rows, 0], own(values[rows, 1:])])

        def off(rows: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
            unknown = _NULL * np.abs(values[rows, 0]) if self.function else rounding
            return np.abs(inside(rows) @ weights + self.constant) > 0.5 * codes[0].unit + unknown

        with np.errstate(all="ignore"):
            wrong = np.flatnonzero(there)
            wrong = wrong[off(wrong)]
            for i, code in enumerate(codes):
                rows = wrong[free[wrong, i]]
                if not len(rows):
                    continue
                # Without the term, which may be so large that nothing else would be left.
                rest = np.delete(inside(rows), i, axis=1) @ np.delete(weights, i) + self.constant
                wanted = code.rounded(inverse(-rest / weights[i], values[rows, i]) if i else rest)
                rows, wanted = rows[np.isfinite(wanted)], wanted[np.isfinite(wanted)]
                # What does not fit in here is left to the next column.
                fits = code.rounded(np.clip(wanted, *ends[i]))
                may_leave = is_last and code.scores is not None
                values[rows, i] = np.where(may_leave & (np.abs(wanted - fits) > small[i]), wanted, fits)
                wrong = wrong[off(wrong)]

    def _restore_product(
        self,
        values: Float[np.ndarray, "n k"],
        codes: Sequence[ColumnCode],
        there: Bool[np.ndarray, " n"],
        free: Bool[np.ndarray, "n k"],
        *,
        is_last: bool,
    ) -> None:
        units = rounding([code.unit for code in codes])
        units[0] = codes[0].unit
        ends = [code.ends for code in codes]
        small = [_small(code) for code in codes]

        def off(rows: Int[np.ndarray, " m"], within: Float[np.ndarray, " k"]) -> Bool[np.ndarray, " m"]:
            """Which rows break it by more than the rounding of the columns, if these are multiples of `within`."""
            first, rest = np.abs(values[rows, 1]), np.abs(values[rows, 2:].sum(axis=1))
            wanted = self._solved(values[rows], 0)
            slack = np.abs(self.factors[0]) * within[1] * rest**self.power
            if within[2:].any():
                slack = slack + np.abs(self.factors[0]) * within[2:].sum() * first * rest ** (self.power - 1)
            return np.isfinite(wanted) & (np.abs(values[rows, 0] - wanted) > 0.5 * (within[0] + slack) + small[0])

        with np.errstate(divide="ignore", invalid="ignore"):
            rows = np.flatnonzero(there)
            wrong = rows[off(rows, units * (np.arange(len(units)) == 0))]
            for i, code in enumerate(codes):
                rows = wrong[free[wrong, i]]
                wanted = code.rounded(self._solved(values[rows], i))
                rows, wanted = rows[np.isfinite(wanted)], wanted[np.isfinite(wanted)]
                fits = code.rounded(np.clip(wanted, *ends[i]))
                may_leave = is_last and code.scores is not None
                values[rows, i] = np.where(may_leave & (np.abs(wanted - fits) > small[i]), wanted, fits)
                wrong = wrong[off(wrong, units)]

    def _solved(self, values: Float[np.ndarray, "m k"], i: int) -> Float[np.ndarray, " m"]:
        """The column of a product, or one of its terms, from the others."""
        own, first, rest = values[:, 0], values[:, 1], values[:, 2:].sum(axis=1)
        if i == 0:
            return self.factors[0] * first * rest**self.power
        if i == 1:
            return own / (self.factors[0] * rest**self.power)
        return (own / (self.factors[0] * first)) ** self.power - (rest - values[:, i])

    def fix_last(
        self, columns: list[Cells], codes: Sequence[ColumnCode], is_fixed: Bool[np.ndarray, "n d"]
    ) -> Bool[np.ndarray, " n"]:
        """Solves a sum or a function for the only one of its columns that is not fixed, and fixes that; says where."""
        places = np.array(self.places)
        free = ~is_fixed[:, places]
        rows = (free.sum(axis=1) == 1) & (self.power == 0)
        rows &= ~np.any([columns[place].is_missing for place in places], axis=0)
        if rows.any():
            self.restored(columns, codes, is_fixed | ~rows[:, None], is_last=True)
            own, term = (columns[place].values.astype(float) for place in places[:2])
            function, inverse = FUNCTIONS[self.function]
            with np.errstate(all="ignore"):
                solved = np.where(free[:, 0], function(term), inverse((own - self.constant) / self.factors[0], term))
            # What has no such value is not fixed by others, and may change for them.
            rows &= np.isfinite(solved)
            is_fixed[rows, places[free.argmax(axis=1)][rows]] = True
        return rows

    def check(self, codes: Sequence[ColumnCode]) -> None:
        """Raises a ValueError if it has a column of categories."""
        for place in self.places:
            if codes[place].categories is not None:
                raise ValueError(f"column {codes[place].name!r} has categories, and a relation of numbers")

    def text(self, names: Sequence[Any]) -> str:
        """The relation as a formula, with the columns' names."""
        if not self.factors:
            return f"{names[self.column]} ≥ {names[self.terms[0]]}"
        if self.power:
            (factor,), (first, *rest) = self.factors, [names[place] for place in self.terms]
            total = str(rest[0]) if len(rest) == 1 else f"({' + '.join(map(str, rest))})"
            head = "" if factor == 1 else f"{factor:.12g} × "
            return f"{names[self.column]} = {head}{first} {'×' if self.power > 0 else '/'} {total}"
        of = f"{self.function}({{}})" if self.function else "{}"
        parts = [
            ("-" if factor < 0 else "+", abs(factor), of.format(names[place]))
            for factor, place in zip(self.factors, self.terms, strict=True)
        ]
        total = " ".join(f"{sign} {'' if size == 1 else f'{size:.12g} '}{term}" for sign, size, term in parts)
        total += f" {'-' if self.constant < 0 else '+'} {abs(self.constant):.12g}" if self.constant else ""
        return f"{names[self.column]} = {total.removeprefix('+ ')}"

    def to_json(self) -> list[Any]:
        """All attributes, as JSON values."""
        return [self.column, list(self.terms), list(self.factors), self.constant, self.power, self.function]

    @classmethod
    def from_json(cls, content: Any, n_columns: int) -> "Relation":
        """Rebuilds what `to_json` returned.

        Raises:
            ValueError: If there is no such relation.
        """
        column, terms, factors, constant, power, function = content
        places, n_factors = [column, *terms], len(terms) if len(factors) and not power else len(factors)
        if type(power) is not int or abs(power) > 1 or (power and (len(factors) != 1 or not 2 <= len(terms) <= 3)):
            raise ValueError("a relation is no product")
        if not isinstance(function, str) or function not in FUNCTIONS or (function and (power or len(factors) != 1)):
            raise ValueError("a relation is no function")
        if not all(type(place) is int and 0 <= place < n_columns for place in places):
            raise ValueError("a relation is of columns that there are not")
        if len(set(places)) < max(2, len(places)) or len(factors) != n_factors:
            raise ValueError("a relation has a column twice, or no factor for one")
        if not all(type(number) is float and abs(number) < np.inf for number in (*factors, constant)) or 0 in factors:
            raise ValueError("a relation has factors that are not numbers, or 0")
        return cls(column, tuple(terms), tuple(factors), constant, power, function)


def _small(code: ColumnCode) -> float:
    """What is so small beside a column's numbers that it counts for nothing: the rounding of those that have digits."""
    largest = float(np.abs(code.ends).max())
    return largest * (_EXACT if largest < 2.0**52 * code.unit else _NULL)


def _restore_order(
    values: Float[np.ndarray, "n 2"],
    codes: Sequence[ColumnCode],
    there: Bool[np.ndarray, " n"],
    free: Bool[np.ndarray, "n 2"],
) -> None:
    for i, sign in ((0, 1.0), (1, -1.0)):
        rows = there & (values[:, 0] < values[:, 1]) & free[:, i]
        own, other = values[rows, i], values[rows, 1 - i]
        code = codes[i]
        # As far on the other side, if the column goes so far.
        turned = code.rounded(np.clip(2 * other - own, *code.ends))
        values[rows, i] = np.where(sign * turned >= sign * other, turned, code.bounded(other, sign))


def relations(
    columns: Sequence[Cells], codes: Sequence[ColumnCode], left_out: Sequence[Any] = (), label: Any = None
) -> tuple[Relation | Lookup, ...]:
    """Finds the relations that rows obey in which no cell of theirs is missing.

    Sums, functions and orders hold in every row, products in nearly all. An order of two columns that a chain of others
    implies is left out.

    Args:
        columns: The columns of a table; those of categories have a part in lookups alone.
        codes: Their codes.
        left_out: Names of columns whose numbers stand for categories, and have a part in lookups alone too.
        label: Name of the column of labels, if there is one; it has that part too, and never changes for it.
    """
    places = [
        place
        for place, cells in enumerate(columns)
        if cells.categories is None
        and codes[place].name not in (*left_out, label)
        and 2 * cells.is_missing.sum() < len(cells.values)
    ]
    whole = ~np.any([columns[place].is_missing for place in places], axis=0) if places else np.zeros(0, bool)
    if not 1 < len(places) <= _MOST_COLUMNS or whole.sum() < max(FEWEST_ROWS, 4 * len(places)):
        return tuple(lookups(columns, codes, _labels(codes, label)))
    rows = np.flatnonzero(whole)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _ROWS)).astype(np.int64)]
    others = [Relation(*each) for each in sums(columns, codes, places, rows)]
    others += [
        Relation(column, (term,), (factor,), constant, 0, name)
        for column, term, name, factor, constant in functions(columns, codes, places, rows, _terms(others))
    ]
    others += _products(columns, codes, places, rows, others)
    decided = lookups(columns, codes, _terms(others) | _labels(codes, label))
    # In order, so that rows which an order changed obey the others in the end.
    others = _in_turn(others)[:_MOST_RELATIONS]
    return (*decided, *_orders(columns, places)[: _MOST_RELATIONS - len(others)], *others)


def _terms(found: Sequence[Relation]) -> dict[int, tuple[int, ...]]:
    """The columns that relations decide, each with those that it is calculated from."""
    return {each.column: each.terms for each in found}


def _labels(codes: Sequence[ColumnCode], label: Any) -> dict[int, tuple[int, ...]]:
    """The column of labels, if there is one, which no other decides: a row's label is what it was drawn for."""
    return {place: () for place, code in enumerate(codes) if label is not None and code.name == label}


def _products(
    columns: Sequence[Cells],
    codes: Sequence[ColumnCode],
    places: list[int],
    rows: Int[np.ndarray, " m"],
    others: Sequence[Relation],
) -> list[Relation]:
    own = [place for place in places if not columns[place].is_date and np.ptp(columns[place].values[rows]) > 0]
    if not 2 < len(own) <= MOST_COLUMNS:
        return []
    values = np.stack([columns[place].values[rows].astype(float) for place in own], axis=1)
    units = np.array([codes[place].unit for place in own])
    decided = {
        own.index(column): [own.index(term) for term in terms if term in own]
        for column, terms in _terms(others).items()
        if column in own
    }
    with np.errstate(all="ignore"):
        found = list(products(values, units, decided))
    return [
        Relation(own[column], tuple(own[term] for term in terms), (factor,), 0.0, power)
        for column, terms, factor, power in found
    ]


def _in_turn(found: list[Relation]) -> list[Relation]:
    """The relations, each after those of the columns that it is calculated from."""
    left, done = list(found), list[Relation]()
    while left:
        open_columns = {each.column for each in left}
        done += [each for each in left if open_columns.isdisjoint(each.terms)] or left
        left = [each for each in left if each not in done]
    return done


def _orders(columns: Sequence[Cells], places: list[int]) -> list[Relation]:
    # The numbers of each column in another order, as if the columns were independent.
    shuffled = {}
    for place in places:
        there = columns[place].values[~columns[place].is_missing]
        shuffled[place] = there[np.random.default_rng(place).permutation(len(there))]
    fewest = _BROKEN_ROWS + 2 * np.log(len(places) * (len(places) - 1))
    found: set[tuple[int, int]] = set()
    for low in places:
        for high in places:
            a, b = columns[low], columns[high]
            if low == high or a.is_date != b.is_date:
                continue
            if (a.values[:_ROWS] > b.values[:_ROWS])[~(a.is_missing | b.is_missing)[:_ROWS]].any():
                continue
            there = ~a.is_missing & ~b.is_missing
            if there.sum() < FEWEST_ROWS or (a.values[there] > b.values[there]).any():
                continue
            n = min(len(shuffled[low]), len(shuffled[high]))
            share = (shuffled[low][:n] > shuffled[high][:n]).mean()
            by_chance = share >= BROKEN_BY_CHANCE and share * there.sum() >= fewest
            # Equal columns are a sum.
            if by_chance and (a.values[there] < b.values[there]).any():
                found.add((low, high))
    direct = {
        (low, high)
        for low, high in found
        if not any((low, middle) in found and (middle, high) in found for middle in places)
    }
    # From the lowest column on, since each may raise the one above it.
    depth = {place: sum(high == place for _, high in found) for place in places}
    return [Relation(high, (low,)) for low, high in sorted(direct, key=lambda pair: (depth[pair[1]], pair))]


def restored(
    columns: Sequence[Cells],
    codes: Sequence[ColumnCode],
    found: Sequence[Relation | Lookup],
    is_fixed: Bool[np.ndarray, "n d"],
) -> tuple[Cells, ...]:
    """Returns cells that obey the relations, in rows where none of theirs is missing.

    A sum, a function or a product takes the place of its column, or of the first of its terms that is not fixed if its
    column is; where that would leave the column's range, the next ones change as well. A term that alone is not fixed
    is fixed by the others. Where they cannot hold within those ranges, columns of many values leave theirs; if there is
    none, they stay broken. Of two columns in the wrong order, the one that should be higher moves as far to the other
    side; or the other one, if it is fixed, beyond its range if need be. Columns of a lookup change for other relations
    only where none of their other columns can.

    Args:
        columns: The columns.
        codes: Their codes.
        found: What `relations` returned.
        is_fixed: Which cells stay as they are.
    """
    cells, tables = list(columns), [each for each in found if isinstance(each, Lookup)]
    orders = [each for each in found if isinstance(each, Relation) and not each.factors]
    others = [each for each in found if isinstance(each, Relation) and each.factors]
    # What is looked up changes for other relations only where nothing else can.
    is_fixed = is_fixed.copy()
    # What given cells decide through others is given too.
    while any([relation.fix_last(cells, codes, is_fixed).any() for relation in others]):
        pass
    is_held = is_fixed.copy()
    for table in tables:
        is_held[:, list(table.places[table.is_followed :])] = True
    for turn in range(4):
        for table in tables:
            table.restored(cells, codes, is_fixed)
        for relation in orders if turn == 0 else ():
            relation.restored(cells, codes, is_held, is_last=False)
        for relation in others:
            if tables:
                relation.restored(cells, codes, is_held, is_last=False)
            relation.restored(cells, codes, is_fixed, is_last=turn == 3)
    for table in tables:
        table.restored(cells, codes, is_fixed)
    return tuple(cells)
