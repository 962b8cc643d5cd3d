"""Encodes a column of any kind as a token, an integer from 0 on, and perhaps a number; and decodes it.

A category is a token; so is a number in a column that has few distinct values, and a value that many more rows share
than others near it. Of numbers that the other columns explain, few are fewer, since they are learned better together.
Any other number of theirs has the token that says there is one, and stands beside it as its normal score. Numbers that
the other columns do not explain have a token by the interval that they lie in, and any place in it. A missing cell is
one more value of the token, or unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.repeats import MAX_ATOMS, are_few, are_spikes
from pointillist.columns.scores import NormalScores, nearest_index
from pointillist.tables.calendar_dates import (
    are_dates,
    date_of_days,
    dates_after,
    dates_before,
    day_numbers,
    month_ends,
    nearest_dates,
)
from pointillist.tables.keys import MAX_CATEGORIES
from pointillist.tables.names import name_from_json, name_to_json
from pointillist.tables.table import Column

FEW_TOKENS, FEW_WITH_GAPS = 32, 12
"""Most values of a column of numbers that has a token for each although the other columns explain it; and of one in a
table with gaps."""

EXPLAINED = 0.6
"""Share of a column's variance that a regression on the other columns explains if they explain it."""

UNEXPLAINED, MAX_INTERVALS = 0.3, 64
"""Share of a column's variance below which its numbers are drawn by intervals, and their largest number."""

NEIGHBOURS, TIMES, BY_CHANCE = 8, 4, 0.01
"""A spike has so many times the rows that half of its neighbors on either side have, and hardly by chance."""

MAX_DECIMALS = 8

ARRAYS = "atoms", "points", "levels", "edges", "counts"
"""Names of the arrays of a column's numbers."""


@dataclass(frozen=True, eq=False)
class ColumnEncoder:
    """The token of one column, and its normal scores.

    Attributes:
        name: Name of the column.
        categories: The categories, in the order of their tokens; None for a column of numbers.
        atoms: Values that have a token of their own, increasing, shape (a,); empty for categories.
        scores: Normal scores of all other values; None if there are none.
        has_missing: Whether the last value of the token stands for a missing cell.
        decimals: Most digits after the point of any value; None if a value has more than `MAX_DECIMALS`.
        step: Unit of which the distances of all dates from the first are multiples, such as a day; 0 for other columns.
        first: The first date.
        is_nominal: Whether its numbers stand for categories, as those of columns listed as categorical do.
        counts: Number of training rows with each category, or with each value of a discrete column of numbers in
            increasing order; empty for a continuous column, and for one without new values, such as a label.
        is_calendar: Whether its integers are dates such as 20240320, so that 20240380 is not a possible value.
    """

    name: Any
    categories: tuple[Any, ...] | None
    atoms: Float[np.ndarray, " a"]
    scores: NormalScores | None
    has_missing: bool
    decimals: int | None
    step: int = 0
    first: int = 0
    is_nominal: bool = False
    counts: Float[np.ndarray, " c"] = field(default_factory=lambda: np.empty(0))
    is_calendar: bool = False

    @classmethod
    def fit(
        cls, name: Any, cells: Column, *, is_category: bool = False, share: float = 1.0, is_unknown: bool = False
    ) -> "ColumnEncoder":
        """Learns the code of a column.

        Args:
            name: Name of the column.
            cells: Its cells.
            is_category: Whether each number is a category.
            share: Share of its variance that the other columns explain.
            is_unknown: Whether the table has missing cells that are unknown, and no value of a token.
        """
        missing = bool(cells.is_missing.any()) and not is_unknown
        if cells.categories is not None:
            used, counts = np.unique(cells.values[~cells.is_missing].astype(np.int64), return_counts=True)
            kept = tuple(cells.categories[i] for i in used)
            return cls(name, kept, np.empty(0), None, missing, None, counts=counts.astype(float))
        given = cells.values[~cells.is_missing]
        values, counts = np.unique(given, return_counts=True)
        most = FEW_WITH_GAPS if is_unknown else FEW_TOKENS if share >= EXPLAINED else MAX_ATOMS
        steps = (0, 0)
        if cells.is_date:
            # Whole days stay whole: generated dates have no times of day if none of the table's has.
            steps = int(np.gcd.reduce((values - values[0]).astype(np.int64))), int(values[0])
        if is_category or len(values) == 1 or (len(values) <= most and are_few(values, len(given))):
            known = np.empty(0) if is_category else counts.astype(float)
            return cls(name, None, values, None, missing, decimals_of(values), *steps, counts=known)
        atoms = values[_stand_out(counts, len(given))]
        is_calendar = not cells.is_date and are_dates(values)
        code = cls(name, None, atoms, None, missing, decimals_of(values), *steps, is_calendar=is_calendar)
        others = given[~np.isin(given, atoms)]
        most = MAX_INTERVALS if share < UNEXPLAINED else 1
        fit = _scores_of_dates if is_calendar else NormalScores.fit
        scores = fit(others, code.unit, most) if len(others) else None
        known = counts.astype(float) if scores is None or scores.is_discrete else np.empty(0)
        return replace(code, scores=scores, counts=known)

    @property
    def has_categories(self) -> bool:
        """Whether its values are categories, in text or in numbers, which have no mean and no median."""
        return self.is_nominal or self.categories is not None

    @property
    def unit(self) -> float:
        """Distance of which all differences between values are multiples; 0 if there is none."""
        return float(self.step) if self.step else 0.0 if self.decimals is None else 10.0**-self.decimals

    @property
    def n_values(self) -> int:
        """Number of the token's values, not counting the one for a missing cell."""
        return len(self.atoms) + self.n_intervals if self.categories is None else len(self.categories)

    @property
    def n_intervals(self) -> int:
        """Number of the token's values that say that there is a number: one for each interval of numbers."""
        return 0 if self.scores is None else len(self.scores.edges) - 1

    @property
    def has_intervals(self) -> bool:
        """Whether numbers have tokens by their size, and no normal score beside them."""
        return self.n_intervals > 1

    @property
    def size(self) -> int:
        """Number of values of the column's token."""
        return self.n_values + self.has_missing

    @property
    def ranks(self) -> tuple[float, ...]:
        """Rank in (0, 1) of every value of the token; -1 for categories, a missing cell, and numbers of any size."""
        if self.categories is not None:
            return (-1.0,) * self.size
        middle = self.atoms
        if self.scores is not None and self.has_intervals:
            own = self.scores.joined(np.arange(self.n_intervals), np.full(self.n_intervals, 0.5))
            middle = np.concatenate([self.atoms, self.scores.decode(own)])
        ranks = (np.argsort(np.argsort(middle, kind="stable")) + 0.5) / max(1, len(middle))
        return (*ranks.tolist(), *[-1.0] * (self.size - len(middle)))

    def encode(
        self, cells: Column, places: Float[np.ndarray, " n"] | None = None
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Encodes cells as tokens and normal scores.

        Args:
            cells: The cells.
            places: Place of each number among those that are rounded to it, in [0, 1); the middle by default.

        Returns:
            Tokens, shape (n,), that of an interval plus the place in it, in [0, 1), and NaN for missing cells if the
            token has no value for them; and scores, shape (n,), 0 where there are none.

        Raises:
            ValueError: If a category is unknown. A number beyond the known range becomes the nearest known one.
        """
        if self.is_nominal:
            self.check_known(cells)
        n = len(cells.values)
        tokens, scores = np.zeros(n), np.zeros(n)
        given = ~cells.is_missing
        if self.categories is not None:
            tokens[given] = self._of_categories(cells)[cells.values[given].astype(np.int64)]
        else:
            own = np.full(n, 0.5) if places is None else places
            tokens[given], scores[given] = self._of_numbers(cells.values[given], own[given])
        tokens[~given] = self.n_values if self.has_missing else np.nan
        return tokens, scores

    def _of_categories(self, cells: Column) -> np.ndarray:
        """The token of each category of some cells."""
        assert self.categories is not None and cells.categories is not None
        places = {category: i for i, category in enumerate(self.categories)}
        used = set(np.unique(cells.values[~cells.is_missing]).astype(int).tolist())
        unknown = [c for i, c in enumerate(cells.categories) if i in used and c not in places]
        if unknown:
            raise ValueError(self._unknown(repr(unknown[0]), [*map(repr, self.categories)]))
        return np.array([places.get(category, 0) for category in cells.categories])

    def check_known(self, cells: Column) -> None:
        """Raises a ValueError if cells hold numbers that are not among the values of the column."""
        unknown = np.setdiff1d(cells.values[~cells.is_missing], self.atoms)
        if len(unknown):
            raise ValueError(self._unknown(f"{unknown[0]:.16g}", [f"{value:.16g}" for value in self.atoms]))

    def _unknown(self, value: str, known: Sequence[str]) -> str:
        more = "" if len(known) <= 10 else f" and {len(known) - 10} more"
        return f"column {self.name!r} has no {value} in the training rows, which have {', '.join(known[:10])}{more}"

    def _of_numbers(self, values: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, scores = np.full(len(values), float(len(self.atoms))), np.zeros(len(values))
        is_atom = np.zeros(len(values), bool)
        if len(self.atoms):
            nearest = nearest_index(self.atoms, values)
            is_atom = self.atoms[nearest] == values if self.scores is not None else np.ones(len(values), bool)
            tokens[is_atom] = nearest[is_atom]
        if self.scores is not None:
            scores[~is_atom] = self.scores.encode(values[~is_atom], self.unit, places[~is_atom])
            if self.has_intervals:
                tokens[~is_atom] += sum(self.scores.split(scores[~is_atom]))
        return tokens, scores

    def decode(
        self, tokens: Float[np.ndarray, " n"], scores: Float[np.ndarray, " n"]
    ) -> tuple[np.ndarray, Bool[np.ndarray, " n"]]:
        """Decodes tokens and normal scores to values, and says which are missing.

        Args:
            tokens: Tokens; that of an interval plus a number in [0, 1), the place in it.
            scores: Normal scores.
        """
        places = tokens.astype(np.int64)
        is_missing = places >= self.n_values
        if self.categories is not None:
            return np.where(is_missing, 0, places), is_missing
        values = np.full(len(tokens), np.nan)
        is_atom = places < len(self.atoms)
        values[is_atom] = self.atoms[places[is_atom]]
        is_number = ~is_atom & ~is_missing
        if self.scores is not None and is_number.any():
            own = scores[is_number]
            if self.has_intervals:
                own = self.scores.joined(places[is_number] - len(self.atoms), tokens[is_number] % 1.0)
            found = self.scores.decode(own)
            values[is_number] = found if self.scores.is_discrete else self.rounded(found)
        return values, is_missing

    def rounded(self, values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Rounds numbers to the column's digits, or dates to its step."""
        if self.is_calendar:
            return nearest_dates(values)
        if self.step:
            return self.first + self.step * np.round((values - self.first) / self.step)
        return values if self.decimals is None else np.round(values, self.decimals)

    def cell(self, values: Float[np.ndarray, "*n"]) -> tuple[Float[np.ndarray, "*n"], Float[np.ndarray, "*n"]]:
        """Returns the lowest and the highest numbers that are rounded to values on the column's grid."""
        if self.is_calendar:
            return (dates_before(values - 1) + values) / 2, (values + dates_after(values + 1)) / 2
        return values - self.unit / 2, values + self.unit / 2

    def bounded(self, bounds: Float[np.ndarray, "*n"], sign: float) -> Float[np.ndarray, "*n"]:
        """Returns the nearest numbers with the column's digits or step that are not below bounds, or (-1) not above."""
        if self.is_calendar:
            return dates_after(bounds) if sign > 0 else dates_before(bounds)
        nearest = self.rounded(bounds)
        return np.where(sign * nearest >= sign * bounds, nearest, self.rounded(nearest + sign * self.unit))

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest number of the column."""
        known = np.concatenate([self.atoms, np.empty(0) if self.scores is None else self.scores.points])
        return float(known.min()), float(known.max())

    @property
    def arrays(self) -> tuple[Float[np.ndarray, " m"], ...]:
        """The `ARRAYS`."""
        scores = self.scores
        own = 3 * (np.empty(0),) if scores is None else (scores.points, scores.levels, scores.edges)
        return self.atoms, *own, self.counts

    def to_json(self) -> dict[str, Any]:
        """Everything but the numbers, as JSON values."""
        return {
            "name": name_to_json(self.name),
            "categories": self.categories,
            "atoms": len(self.atoms),
            "points": 0 if self.scores is None else len(self.scores.points),
            "is_discrete": self.scores is not None and self.scores.is_discrete,
            "intervals": self.n_intervals,
            "has_missing": self.has_missing,
            "decimals": self.decimals,
            "step": self.step,
            "first": self.first,
            "is_nominal": self.is_nominal,
            "counts": len(self.counts),
            "is_calendar": self.is_calendar,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], arrays: Sequence[np.ndarray]) -> "ColumnEncoder":
        """Rebuilds the code from what `to_json` and `arrays` returned.

        Raises:
            ValueError: If there is no such code.
        """
        atoms, points, levels, edges, counts = arrays
        name, categories = name_from_json(content["name"]), content["categories"]
        if categories is not None:
            kinds = {type(category) for category in categories}
            if len(kinds) > 1 or not kinds <= {str, int, bool, float} or len(set(categories)) < len(categories):
                raise ValueError(f"categories of {name!r} are not of one kind, or not distinct")
            if len(atoms) or len(points):
                raise ValueError(f"column {name!r} has numbers and categories")
        if (np.diff(atoms) <= 0).any():
            raise ValueError(f"values of {name!r} do not increase")
        decimals, step, first = content["decimals"], content["step"], content["first"]
        if type(step) is not int or type(first) is not int or not 0 <= step <= 2**53 >= abs(first):
            raise ValueError(f"steps of {name!r} are not numbers")
        scores = NormalScores(points, levels, edges) if len(points) else None
        if scores is not None:
            scores.check()
        n_seen = len(atoms) + len(categories or ()) + (len(points) if scores is not None and scores.is_discrete else 0)
        if len(counts) not in (0, n_seen) or not (counts >= 1).all():
            raise ValueError(f"counts of {name!r} do not fit its values")
        code = cls(
            name,
            None if categories is None else tuple(categories),
            atoms,
            scores,
            bool(content["has_missing"]),
            None if decimals is None else count_of(decimals),
            step,
            first,
            content["is_nominal"] is True,
            counts,
            content["is_calendar"] is True,
        )
        if code.n_values < 1:
            raise ValueError(f"column {name!r} has no values")
        return code


def _scores_of_dates(values: np.ndarray, unit: float, most_intervals: int) -> NormalScores:
    """Scores of integers that are dates, linear in days: no row lies between the end of a month and the next one."""
    scores = NormalScores.fit(day_numbers(values), unit, most_intervals)
    if scores.is_discrete:
        return replace(scores, points=date_of_days(scores.points))
    ends = month_ends(scores.points[0], scores.points[-1])
    days = np.union1d(scores.points, ends)
    points = np.concatenate([date_of_days(days), date_of_days(ends - 1) + 1])
    levels = np.interp(np.concatenate([days, ends]), scores.points, scores.levels)
    order = np.argsort(points)
    return replace(scores, points=points[order], levels=levels[order])


def _stand_out(counts: np.ndarray, n: int) -> Bool[np.ndarray, " values"]:
    """Which values of a column of n cells have many more rows than those near them, given how many each has.

    And more than by chance: were the counts Poisson numbers with the mean of those near, the probability of so large a
    one among all of them would be below `BY_CHANCE`. In a few hundred rows of rounded numbers, one value or other has
    four times the rows of its neighbors.
    """
    from scipy.special import pdtrc

    padded = np.pad(counts.astype(float), NEIGHBOURS, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    found = are_spikes(counts, n)
    for place in np.flatnonzero(found):
        near = np.nanmedian(np.delete(windows[place], NEIGHBOURS))
        by_chance = len(counts) * pdtrc(counts[place] - 1, near)
        found[place] = counts[place] >= TIMES * near and by_chance < BY_CHANCE
    return found


def count_of(value: Any) -> int:
    """Checks a number of values that a file claims.

    Raises:
        ValueError: If it is not such a number.
    """
    if type(value) is not int or not 0 <= value <= MAX_CATEGORIES:
        raise ValueError(f"{value!r:.40} is not a number of values")
    return value


def decimals_of(values: np.ndarray, error: float | np.ndarray = 0.0, least: int = 0) -> int | None:
    """Returns the number of digits after the point that all values need; None if it exceeds `MAX_DECIMALS`.

    Args:
        values: The values.
        error: Largest distance of a value from its rounded value: one number, or one per value.
        least: Fewest digits that are returned.
    """
    found = range(least, MAX_DECIMALS + 1)
    return next((k for k in found if (np.abs(np.round(values, k) - values) <= error).all()), None)


def array_lengths(fact: dict[str, Any]) -> tuple[int, ...]:
    """How many of the `ARRAYS` a column of a file claims to have."""
    points, edges = count_of(fact["points"]), count_of(fact["intervals"]) + 1
    return (
        count_of(fact["atoms"]),
        points,
        points + (fact["is_discrete"] is True and points > 0),
        edges if points else 0,
        count_of(fact["counts"]),
    )
