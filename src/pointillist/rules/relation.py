"""A relation that the rows of a table obey: a sum, a function, a product, a quotient or an order; and its restoring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from itertools import product as cartesian
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.functions import FUNCTIONS
from pointillist.rules.number_range import EXACT, NumberRange
from pointillist.rules.products import rounding
from pointillist.tables.table import Column

_NULL = 1e-9

_SINGLE = 1e-5
"""Largest relative error of a function's numbers that were stored in single precision or with six digits."""

_STEPS = 50
"""Most units of its last digit by which a term moves to make a product exact."""


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
        is_exact: Whether a product holds to the last digit of its column, not only within the rounding of its terms.
    """

    column: int
    terms: tuple[int, ...]
    factors: tuple[float, ...] = ()
    constant: float = 0.0
    power: int = 0
    function: str = ""
    is_exact: bool = False

    @property
    def places(self) -> tuple[int, ...]:
        """Positions of all columns."""
        return (self.column, *self.terms)

    def restored(
        self,
        columns: list[Column],
        ranges: Sequence[NumberRange],
        is_fixed: Bool[np.ndarray, "n d"],
        *,
        is_last: bool,
        shift: int = 0,
    ) -> None:
        """Changes cells that are not fixed so that all rows without missing cells obey the relation.

        Numbers stay within the ranges of their columns, with two exceptions: if one number of an order is fixed, the
        other may leave its range, and with `is_last`, numbers may lie beyond ranges that can be left.

        Args:
            columns: The cells of all columns.
            ranges: The ranges of all columns.
            is_fixed: Which cells do not change.
            is_last: Whether numbers may lie beyond ranges that can be left.
            shift: Number of columns that are moved from the front of the order of moves to its end.
        """
        values, there = self._values(columns)
        free = ~is_fixed[:, list(self.places)]
        own = [ranges[place] for place in self.places]
        if self.power:
            self._restore_product(values, own, there, free, shift, is_last=is_last)
        elif self.factors:
            self._restore_sum(values, own, there, free, _in_turn(own, shift), is_last=is_last)
        else:
            _restore_order(values, own, there, free)
        for i, place in enumerate(self.places):
            columns[place] = replace(columns[place], values=values[:, i])

    def broken(self, columns: Sequence[Column], ranges: Sequence[NumberRange]) -> Bool[np.ndarray, " n"]:
        """Finds the rows without missing cells that break the relation by more than rounding explains."""
        values, there = self._values(columns)
        own = [ranges[place] for place in self.places]
        if not self.factors:
            return there & (values[:, 0] < values[:, 1])
        with np.errstate(all="ignore"):
            return there & (self._off_product(values, own) if self.power else self._off_sum(values, own, is_loose=True))

    def _values(self, columns: Sequence[Column]) -> tuple[Float[np.ndarray, "n k"], Bool[np.ndarray, " n"]]:
        """Returns the numbers of the relation's columns, and which rows have no missing cell in them."""
        there = ~np.any([columns[place].is_missing for place in self.places], axis=0)
        return np.stack([columns[place].values for place in self.places], axis=1).astype(float), there

    def _inside(self, values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
        """Returns the column and the summands of its sum: the terms, or the function of the single term."""
        function, _ = FUNCTIONS[self.function]
        return np.column_stack([values[:, 0], function(values[:, 1:])])

    def _blur(self, values: Float[np.ndarray, " n"], ranges: Sequence[NumberRange]) -> Float[np.ndarray, " n"]:
        """Returns the error of a function that training rows may have: one unit, and rounding to single precision."""
        return (ranges[0].unit + _SINGLE * np.abs(values)) * bool(self.function)

    def _off_sum(
        self, values: Float[np.ndarray, "n k"], ranges: Sequence[NumberRange], *, is_loose: bool = False
    ) -> Bool[np.ndarray, " n"]:
        weights = np.array([-1.0, *self.factors])
        # A sum of large numbers may be small, and is known no better than they are.
        rounding = ranges[0].negligible + EXACT * sum(
            abs(w) * each.largest for w, each in zip(weights, ranges, strict=True)
        )
        unknown = _NULL * np.abs(values[:, 0]) if self.function else rounding
        if is_loose:
            unknown = unknown + self._blur(values[:, 0], ranges)
        return np.asarray(np.abs(self._inside(values) @ weights + self.constant) > 0.5 * ranges[0].unit + unknown)

    def _restore_sum(
        self,
        values: Float[np.ndarray, "n k"],
        ranges: Sequence[NumberRange],
        there: Bool[np.ndarray, " n"],
        free: Bool[np.ndarray, "n k"],
        order: Sequence[int],
        *,
        is_last: bool,
    ) -> None:
        weights = np.array([-1.0, *self.factors])
        _, inverse = FUNCTIONS[self.function]
        with np.errstate(all="ignore"):
            wrong = np.flatnonzero(there)
            wrong = wrong[self._off_sum(values[wrong], ranges)]
            for i in order:
                rows = wrong[free[wrong, i]]
                if not len(rows):
                    continue
                # Without the term, which may be so large that nothing else would be left.
                rest = np.delete(self._inside(values[rows]), i, axis=1) @ np.delete(weights, i) + self.constant
                wanted = inverse(-rest / weights[i], values[rows, i]) if i else rest
                is_there = np.isfinite(wanted)
                # What does not fit in here is left to the next column.
                values[rows[is_there], i] = ranges[i].fitted(wanted[is_there], is_last=is_last)
                wrong = wrong[self._off_sum(values[wrong], ranges)]

    def _off_product(
        self, values: Float[np.ndarray, "m k"], ranges: Sequence[NumberRange], *, is_exact: bool | None = None
    ) -> Bool[np.ndarray, " m"]:
        """Returns which rows break a product by more than the rounding of its column and, unless exact, its terms."""
        wanted = self._solved(values, 0)
        slack = np.zeros(len(values))
        if not (self.is_exact if is_exact is None else is_exact):
            units = rounding([own.unit for own in ranges])
            first, rest = np.abs(values[:, 1]), np.abs(values[:, 2:].sum(axis=1))
            slack = slack + np.abs(self.factors[0]) * units[1] * rest**self.power
            if units[2:].any():
                slack = slack + np.abs(self.factors[0]) * units[2:].sum() * first * rest ** (self.power - 1)
        within = 0.5 * (ranges[0].unit + slack) + ranges[0].negligible
        return np.isfinite(wanted) & (np.abs(values[:, 0] - wanted) > within)

    def _restore_product(
        self,
        values: Float[np.ndarray, "n k"],
        ranges: Sequence[NumberRange],
        there: Bool[np.ndarray, " n"],
        free: Bool[np.ndarray, "n k"],
        shift: int,
        *,
        is_last: bool,
    ) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            wrong = np.flatnonzero(there)
            wrong = wrong[self._off_product(values[wrong], ranges, is_exact=True)]
            if shift:
                wrong = self._search(values, ranges, free, wrong)
            for i in _in_turn(ranges, shift):
                rows = wrong[free[wrong, i]]
                wanted = self._solved(values[rows], i)
                is_there = np.isfinite(wanted)
                values[rows[is_there], i] = ranges[i].fitted(wanted[is_there], is_last=is_last)
                wrong = wrong[self._off_product(values[wrong], ranges)]
            self._search(values, ranges, free, wrong)

    def _search(
        self,
        values: Float[np.ndarray, "n k"],
        ranges: Sequence[NumberRange],
        free: Bool[np.ndarray, "n k"],
        wrong: Int[np.ndarray, " m"],
    ) -> Int[np.ndarray, " l"]:
        """Searches terms that make a product hold in the wrong rows, and returns the rows that stay wrong."""
        for moved, solved in permutations(range(1, len(ranges)), 2):
            rows = wrong[free[wrong, solved]]
            values[rows] = self._searched(values[rows], free[rows], ranges, moved, solved)
            wrong = wrong[self._off_product(values[wrong], ranges)]
        return wrong

    def _searched(
        self,
        values: Float[np.ndarray, "m k"],
        free: Bool[np.ndarray, "m k"],
        ranges: Sequence[NumberRange],
        moved: int,
        solved: int,
    ) -> Float[np.ndarray, "m k"]:
        """Returns the nearest rows in which a product is exact; rows for which there is none stay as they are.

        Few rounded numbers, such as prices in cents, have a given product exactly. So one term moves by a few units,
        another is solved for (or moved one unit further), and the column becomes the rounded product if it is free.
        """
        found, is_open = values.copy(), np.ones(len(values), bool)
        steps = [step for size in range(_STEPS + 1) for step in sorted({-size, size})]
        for step, next_to in cartesian(steps, (0, -1, 1)):
            rows = np.flatnonzero(is_open & (free[:, moved] | (step == 0)))
            if not len(rows):
                break
            tried = values[rows]
            if step:
                tried[:, moved] = ranges[moved].fitted(tried[:, moved] + step * ranges[moved].unit)
            tried[:, solved] = ranges[solved].fitted(self._solved(tried, solved) + next_to * ranges[solved].unit)
            is_near = ~self._off_product(tried, ranges, is_exact=False)
            tried[:, 0] = np.where(free[rows, 0], ranges[0].fitted(self._solved(tried, 0)), tried[:, 0])
            holds = is_near & np.isfinite(tried).all(axis=1) & ~self._off_product(tried, ranges)
            found[rows[holds]], is_open[rows[holds]] = tried[holds], False
        return found

    def _solved(self, values: Float[np.ndarray, "m k"], i: int) -> Float[np.ndarray, " m"]:
        """The column of a product, or one of its terms, from the others."""
        own, first, rest = values[:, 0], values[:, 1], values[:, 2:].sum(axis=1)
        if i == 0:
            return self.factors[0] * first * rest**self.power
        if i == 1:
            return own / (self.factors[0] * rest**self.power)
        return (own / (self.factors[0] * first)) ** self.power - (rest - values[:, i])

    def excluded(
        self, low: Float[np.ndarray, "n k"], high: Float[np.ndarray, "n k"], ranges: Sequence[NumberRange]
    ) -> Bool[np.ndarray, " n"]:
        """Finds the boxes in which no row obeys the relation, by interval arithmetic.

        Args:
            low: Lowest number of each of its columns.
            high: Highest number.
            ranges: The columns' ranges.
        """
        if not self.factors:
            return np.asarray(high[:, 0] < low[:, 1])
        # A rounded term represents all numbers that are rounded to it.
        half = np.zeros(len(ranges))
        if self.power and not self.is_exact:
            half[1:] = 0.5 * rounding([own.unit for own in ranges])[1:]
        ends = low - half, high + half
        # A product may be largest at any corner, and a sum where each term is largest or smallest by its factor's sign.
        signs = np.array([0.0, *np.sign(self.factors)]) > 0
        corners = cartesian((False, True), repeat=len(ranges)) if self.power else (signs, ~signs)
        with np.errstate(all="ignore"):
            found = np.stack([self.calculated(np.where(corner, *ends)) for corner in corners])
        is_through_0 = (low[:, 2:].sum(axis=1) <= 0) & (high[:, 2:].sum(axis=1) >= 0) & (self.power < 0)
        if self.function in ("square", "reciprocal"):
            is_through_0 = (low[:, 1] <= 0) & (high[:, 1] >= 0)
        size = np.abs(found).max(axis=0)
        within = 0.5 * ranges[0].unit + ranges[0].negligible + EXACT * size + self._blur(size, ranges)
        is_apart = (found.min(axis=0) > high[:, 0] + within) | (found.max(axis=0) < low[:, 0] - within)
        return is_apart & np.isfinite(found).all(axis=0) & ~is_through_0

    def calculated(self, values: Float[np.ndarray, "m k"]) -> Float[np.ndarray, " m"]:
        """The column of a sum, a function or a product by its terms, given all of its columns in order."""
        if self.power:
            return self._solved(values, 0)
        function, _ = FUNCTIONS[self.function]
        return np.asarray(function(values[:, 1:]) @ np.array(self.factors) + self.constant)

    def solved_for(self, place: int) -> "Relation | None":
        """The same sum, function or product with one of its terms as its column; None if that has no such form."""
        if place == self.column:
            return self
        i, own = self.terms.index(place), (self.column,)
        others = self.terms[:i] + self.terms[i + 1 :]
        if self.power:
            (factor,) = self.factors
            inverse = float(f"{1 / factor:.12g}")
            if i == 0:
                return Relation(place, (*own, *others), (inverse,), power=-self.power)
            if len(others) > 1:
                return None
            if self.power > 0:
                return Relation(place, own + others, (inverse,), power=-1)
            return Relation(place, others + own, (factor,), power=-1)
        if self.function:
            return self._inverse(place)
        weight, rest = self.factors[i], self.factors[:i] + self.factors[i + 1 :]
        return Relation(
            place, (*own, *others), (1 / weight, *(-each / weight for each in rest)), -self.constant / weight
        )

    def _inverse(self, place: int) -> "Relation | None":
        """A function solved for its term, if that is one of `FUNCTIONS` too, of what is not negative."""
        (factor,), is_plain = self.factors, self.constant == 0 and self.factors[0] > 0
        if not is_plain or (self.function == "log" and factor != 1):
            return None
        forms = {
            "square": ("sqrt", factor**-0.5, 0.0),
            "sqrt": ("square", factor**-2.0, 0.0),
            "reciprocal": ("reciprocal", factor, 0.0),
            "log": ("exp", 1.0, 0.0),
            "exp": ("log", 1.0, -float(np.log(factor))),
        }
        if self.function not in forms:
            return None
        name, own, constant = forms[self.function]
        return Relation(place, (self.column,), (own,), constant, 0, name)

    def fix_last(
        self, columns: list[Column], ranges: Sequence[NumberRange], is_fixed: Bool[np.ndarray, "n d"]
    ) -> Bool[np.ndarray, " n"]:
        """Solves a sum or a function for the only one of its columns that is not fixed, and fixes that; says where."""
        places = np.array(self.places)
        free = ~is_fixed[:, places]
        rows = (free.sum(axis=1) == 1) & (self.power == 0)
        rows &= ~np.any([columns[place].is_missing for place in places], axis=0)
        if rows.any():
            self.restored(columns, ranges, is_fixed | ~rows[:, None], is_last=True)
            own, term = (columns[place].values.astype(float) for place in places[:2])
            function, inverse = FUNCTIONS[self.function]
            with np.errstate(all="ignore"):
                solved = np.where(free[:, 0], function(term), inverse((own - self.constant) / self.factors[0], term))
            # What has no such value is not fixed by others, and may change for them.
            rows &= np.isfinite(solved)
            is_fixed[rows, places[free.argmax(axis=1)][rows]] = True
        return rows

    def check(self, codes: Sequence[ColumnEncoder]) -> None:
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
        return [
            self.column,
            list(self.terms),
            list(self.factors),
            self.constant,
            self.power,
            self.function,
            self.is_exact,
        ]

    @classmethod
    def from_json(cls, content: Any, n_columns: int) -> "Relation":
        """Rebuilds what `to_json` returned.

        Raises:
            ValueError: If there is no such relation.
        """
        column, terms, factors, constant, power, function, is_exact = content
        places, n_factors = [column, *terms], len(terms) if len(factors) and not power else len(factors)
        if type(power) is not int or abs(power) > 1 or (power and (len(factors) != 1 or not 2 <= len(terms) <= 3)):
            raise ValueError("a relation is no product")
        if not isinstance(function, str) or function not in FUNCTIONS or (function and (power or len(factors) != 1)):
            raise ValueError("a relation is no function")
        if type(is_exact) is not bool or (is_exact and not power):
            raise ValueError("a relation that is not a product is marked exact")
        if not all(type(place) is int and 0 <= place < n_columns for place in places):
            raise ValueError("a relation is of columns that there are not")
        if len(set(places)) < max(2, len(places)) or len(factors) != n_factors:
            raise ValueError("a relation has a column twice, or no factor for one")
        if not all(type(number) is float and abs(number) < np.inf for number in (*factors, constant)) or 0 in factors:
            raise ValueError("a relation has factors that are not numbers, or 0")
        return cls(column, tuple(terms), tuple(factors), constant, power, function, is_exact)


def _in_turn(ranges: Sequence[NumberRange], shift: int = 0) -> list[int]:
    """Returns the order in which columns move: those in ranges last, then rotated by `shift`."""
    order = sorted(range(len(ranges)), key=lambda i: ranges[i].is_bounded)
    first = shift % len(order)
    return order[first:] + order[:first]


def _restore_order(
    values: Float[np.ndarray, "n 2"],
    ranges: Sequence[NumberRange],
    there: Bool[np.ndarray, " n"],
    free: Bool[np.ndarray, "n 2"],
) -> None:
    for i in _in_turn(ranges):
        sign = -1.0 if i else 1.0
        rows = there & (values[:, 0] < values[:, 1]) & free[:, i]
        own, other = values[rows, i], values[rows, 1 - i]
        # As far on the other side, if the column goes so far.
        turned = ranges[i].fitted(2 * other - own)
        nearest = ranges[i].code.bounded(other, sign)
        if not ranges[i].can_be_left:
            nearest = ranges[i].fitted(nearest)
        values[rows, i] = np.where(sign * turned >= sign * other, turned, nearest)
