"""A relation that the rows of a table obey: a sum, a function, a product, a quotient or an order; and its restoring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from pointillist.points.column_code import ColumnCode
from pointillist.points.functions import FUNCTIONS
from pointillist.points.mixed import Cells
from pointillist.points.products import rounding

_NULL, _EXACT = 1e-9, 2.0**-50


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
