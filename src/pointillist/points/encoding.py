"""Encodes columns of any kind as tokens, integers from 0 on, and numbers; and decodes them.

Every column has one token. A category is a token; so is a number in a column that has few distinct values, and a value
that many more rows share than others near it. (Of numbers that the other columns explain, few are fewer: they are
learned better together.) Any other number has the token that says there is one, and stands beside
the tokens as its normal score. A missing cell is one more value of its column's token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.points.dependence import explained
from pointillist.points.mixed import Cells, MixedTable
from pointillist.points.names import check_names, name_from_json, name_to_json
from pointillist.points.repeats import MAX_ATOMS, are_few, are_spikes
from pointillist.points.scores import NormalScores

FEW_TOKENS = 32
"""Most values of a column of numbers that has a token for each although the other columns explain it."""

EXPLAINED = 0.6
"""Share of a column's variance that a regression on the other columns explains if they explain it."""

MOST_COMPARED = 128
"""Most columns of a table in which each is compared with all others."""

NEIGHBOURS, TIMES = 8, 4
"""A spike has so many times the rows that half of its neighbours on either side have."""

MAX_CATEGORIES = 10_000
MAX_DECIMALS = 8


@dataclass(frozen=True, eq=False)
class ColumnCode:
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
    """

    name: Any
    categories: tuple[Any, ...] | None
    atoms: Float[np.ndarray, " a"]
    scores: NormalScores | None
    has_missing: bool
    decimals: int | None
    step: int = 0
    first: int = 0

    @classmethod
    def fit(cls, name: Any, cells: Cells, *, is_category: bool = False, most_tokens: int = MAX_ATOMS) -> "ColumnCode":
        """Learns the code of a column.

        Args:
            name: Name of the column.
            cells: Its cells.
            is_category: Whether each number is a category.
            most_tokens: Most values of a column of numbers that has a token for each.
        """
        missing = bool(cells.is_missing.any())
        if cells.categories is not None:
            used = np.unique(cells.values[~cells.is_missing]).astype(np.int64)
            kept = tuple(cells.categories[i] for i in used)
            return cls(name, kept, np.empty(0), None, missing, None)
        given = cells.values[~cells.is_missing]
        values, counts = np.unique(given, return_counts=True)
        if is_category or len(values) == 1 or (len(values) <= most_tokens and are_few(values, len(given))):
            return cls(name, None, values, None, missing, None)
        steps = (0, 0)
        if cells.is_date:
            # Whole days stay whole: generated dates have no times of day if none of the table's has.
            steps = int(np.gcd.reduce((values - values[0]).astype(np.int64))), int(values[0])
        atoms = values[_stand_out(counts, len(given))]
        code = cls(name, None, atoms, None, missing, _decimals(values), *steps)
        others = given[~np.isin(given, atoms)]
        scores = NormalScores.fit(others, code.unit) if len(others) else None
        return cls(name, None, atoms, scores, missing, code.decimals, *steps)

    @property
    def unit(self) -> float:
        """Distance of which all differences between values are multiples; 0 if there is none."""
        return float(self.step) if self.step else 0.0 if self.decimals is None else 10.0**-self.decimals

    @property
    def n_values(self) -> int:
        """Number of the token's values, not counting the one for a missing cell."""
        return len(self.atoms) + (self.scores is not None) if self.categories is None else len(self.categories)

    @property
    def size(self) -> int:
        """Number of values of the column's token."""
        return self.n_values + self.has_missing

    @property
    def ranks(self) -> tuple[float, ...]:
        """Rank in (0, 1) of every value of the token; -1 for categories, a missing cell, and all other numbers."""
        if self.categories is not None:
            return (-1.0,) * self.size
        n = len(self.atoms)
        return (*((np.arange(n) + 0.5) / max(1, n)).tolist(), *[-1.0] * (self.size - n))

    def encode(
        self, cells: Cells, places: Float[np.ndarray, " n"] | None = None
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Encodes cells as tokens and normal scores.

        Args:
            cells: The cells.
            places: Place of each number among those that are rounded to it, in [0, 1); the middle by default.

        Returns:
            Tokens, shape (n,), NaN for missing cells if no training row had one; and scores, shape (n,), 0 where there
            are none.

        Raises:
            ValueError: If a category is unknown. A number beyond the known range becomes the nearest known one.
        """
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

    def _of_categories(self, cells: Cells) -> np.ndarray:
        """The token of each category of some cells."""
        assert self.categories is not None and cells.categories is not None
        places = {category: i for i, category in enumerate(self.categories)}
        used = set(np.unique(cells.values[~cells.is_missing]).astype(int).tolist())
        unknown = [c for i, c in enumerate(cells.categories) if i in used and c not in places]
        if unknown:
            known = ", ".join(repr(category) for category in self.categories[:10])
            more = "" if len(self.categories) <= 10 else f" and {len(self.categories) - 10} more"
            raise ValueError(
                f"column {self.name!r} has no {unknown[0]!r} in the training rows, which have {known}{more}"
            )
        return np.array([places.get(category, 0) for category in cells.categories])

    def _of_numbers(self, values: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, scores = np.full(len(values), float(len(self.atoms))), np.zeros(len(values))
        is_atom = np.zeros(len(values), bool)
        if len(self.atoms):
            right = np.clip(np.searchsorted(self.atoms, values), 1, max(1, len(self.atoms) - 1))
            left, right = right - 1, np.minimum(right, len(self.atoms) - 1)
            nearest = np.where(values - self.atoms[left] <= self.atoms[right] - values, left, right)
            is_atom = self.atoms[nearest] == values if self.scores is not None else np.ones(len(values), bool)
            tokens[is_atom] = nearest[is_atom]
        if self.scores is not None:
            scores[~is_atom] = self.scores.encode(values[~is_atom], self.unit, places[~is_atom])
        return tokens, scores

    def decode(
        self, tokens: Float[np.ndarray, " n"], scores: Float[np.ndarray, " n"]
    ) -> tuple[np.ndarray, Bool[np.ndarray, " n"]]:
        """Decodes tokens and normal scores to values, and says which are missing."""
        places = tokens.astype(np.int64)
        is_missing = places >= self.n_values
        if self.categories is not None:
            return np.where(is_missing, 0, places), is_missing
        values = np.full(len(tokens), np.nan)
        is_atom = places < len(self.atoms)
        values[is_atom] = self.atoms[places[is_atom]]
        is_number = ~is_atom & ~is_missing
        if self.scores is not None and is_number.any():
            found = self.scores.decode(scores[is_number])
            if self.scores.is_discrete:
                values[is_number] = found
            elif self.step:
                values[is_number] = self.first + self.step * np.round((found - self.first) / self.step)
            else:
                values[is_number] = found if self.decimals is None else np.round(found, self.decimals)
        return values, is_missing

    def to_json(self) -> dict[str, Any]:
        """Everything but the numbers, as JSON values."""
        return {
            "name": name_to_json(self.name),
            "categories": self.categories,
            "atoms": len(self.atoms),
            "points": 0 if self.scores is None else len(self.scores.points),
            "is_discrete": self.scores is not None and self.scores.is_discrete,
            "has_missing": self.has_missing,
            "decimals": self.decimals,
            "step": self.step,
            "first": self.first,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], numbers: Sequence[np.ndarray]) -> "ColumnCode":
        """Rebuilds the code from what `to_json` returned, and the atoms, points and levels.

        Raises:
            ValueError: If there is no such code.
        """
        atoms, points, levels = numbers
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
        scores = NormalScores(points, levels) if len(points) else None
        if scores is not None:
            scores.check()
        code = cls(
            name,
            None if categories is None else tuple(categories),
            atoms,
            scores,
            bool(content["has_missing"]),
            None if decimals is None else count_of(decimals),
            step,
            first,
        )
        if code.n_values < 1:
            raise ValueError(f"column {name!r} has no values")
        return code


def _stand_out(counts: np.ndarray, n: int) -> Bool[np.ndarray, " values"]:
    """Which values of a column of n cells have many more rows than those near them, given how many each has."""
    padded = np.pad(counts.astype(float), NEIGHBOURS, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    found = are_spikes(counts, n)
    for place in np.flatnonzero(found):
        found[place] = counts[place] >= TIMES * np.nanmedian(np.delete(windows[place], NEIGHBOURS))
    return found


def count_of(value: Any) -> int:
    """Checks a number of values that a file claims.

    Raises:
        ValueError: If it is not such a number.
    """
    if type(value) is not int or not 0 <= value <= MAX_CATEGORIES:
        raise ValueError(f"{value!r:.40} is not a number of values")
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _decimals(values: np.ndarray) -> int | None:
    return next((k for k in range(MAX_DECIMALS + 1) if np.array_equal(np.round(values, k), values)), None)


@dataclass(frozen=True, eq=False)
class TableEncoding:
    """The tokens of a table's columns.

    Attributes:
        columns: One code per column.
    """

    columns: tuple[ColumnCode, ...]

    @classmethod
    def fit(cls, table: MixedTable, categorical: Sequence[Any] = ()) -> "TableEncoding":
        """Learns the tokens of all columns.

        Raises:
            ValueError: If nothing can be learned from a column: its text differs in nearly every row, or it is empty.
        """
        for name in categorical:
            if name not in table.names:
                raise ValueError(f"there is no column {name!r} to be categorical: the columns are {table.listed()}")
        codes = []
        is_wide = len(table.names) > MOST_COMPARED
        shares = np.zeros(len(table.names)) if is_wide or not table.names else explained(table.cells)
        for name, cells, share in zip(table.names, table.cells, shares, strict=True):
            _check_use(name, cells, is_category=name in categorical)
            is_category = name in categorical or (name == table.label and are_few(_values(cells), len(table)))
            most = FEW_TOKENS if share >= EXPLAINED else MAX_ATOMS
            codes.append(ColumnCode.fit(name, cells, is_category=is_category, most_tokens=most))
        if all(code.size == 1 and code.scores is None for code in codes):
            raise ValueError("every column is constant, so there is nothing to learn: give rows that differ")
        return cls(tuple(codes))

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values of every column, as `ColumnCode.to_json` returns them."""
        return [code.to_json() for code in self.columns]

    def numbers(self) -> dict[str, np.ndarray]:
        """The arrays that a file holds besides, of all columns one after another."""
        scores = [code.scores for code in self.columns if code.scores is not None]
        return {
            "atoms": np.concatenate([np.empty(0), *(code.atoms for code in self.columns)]),
            "points": np.concatenate([np.empty(0), *(each.points for each in scores)]),
            "levels": np.concatenate([np.empty(0), *(each.levels for each in scores)]),
        }

    @staticmethod
    def lengths_of(content: list[dict[str, Any]]) -> dict[str, int]:
        """Lengths of the arrays of a file, by name.

        Raises:
            ValueError: If the file does not state them.
        """
        lengths = [_lengths(fact) for fact in content]
        return {name: sum(own[i] for own in lengths) for i, name in enumerate(("atoms", "points", "levels"))}

    @classmethod
    def from_json(cls, content: list[dict[str, Any]], numbers: dict[str, np.ndarray]) -> "TableEncoding":
        """Rebuilds the encoding from what `to_json` and `numbers` returned.

        Raises:
            ValueError: If there is no such encoding.
        """
        codes = []
        left = [numbers[name] for name in ("atoms", "points", "levels")]
        for fact in content:
            own = _lengths(fact)
            codes.append(ColumnCode.from_json(fact, [part[:n] for part, n in zip(left, own, strict=True)]))
            left = [part[n:] for part, n in zip(left, own, strict=True)]
        check_names([code.name for code in codes])
        return cls(tuple(codes))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each token."""
        return tuple(code.size for code in self.columns)

    @cached_property
    def ranks(self) -> tuple[float, ...]:
        """Ranks of every value of all tokens."""
        return tuple(float(rank) for code in self.columns for rank in code.ranks)

    @cached_property
    def with_number(self) -> tuple[int, ...]:
        """Positions of the columns that have normal scores."""
        return tuple(place for place, code in enumerate(self.columns) if code.scores is not None)

    @cached_property
    def number_values(self) -> tuple[int, ...]:
        """For each of these columns, the value of its token that says there is a number."""
        return tuple(len(self.columns[place].atoms) for place in self.with_number)

    @property
    def width(self) -> int:
        """Number of values of an encoded row: a token of each column, then the scores."""
        return len(self.columns) + len(self.with_number)

    def score_place(self, name: Any) -> int | None:
        """Position of a column's score in an encoded row; None if it has none."""
        place = self.place(name)
        return len(self.columns) + self.with_number.index(place) if place in self.with_number else None

    def code(self, name: Any) -> ColumnCode:
        """The code of a column.

        Raises:
            ValueError: If there is no such column.
        """
        for code in self.columns:
            if code.name == name:
                return code
        names = ", ".join(repr(code.name) for code in self.columns)
        raise ValueError(f"there is no column {name!r}: the model's columns are {names}")

    def place(self, name: Any) -> int:
        """Position of a column, which is that of its token."""
        return self.columns.index(self.code(name))

    def encode(self, columns: Sequence[Cells], *, is_spread: bool = False) -> Float[np.ndarray, "n width"]:
        """Encodes the cells of these columns, in this order.

        Args:
            columns: The cells of each column.
            is_spread: Whether a rounded number becomes any of those that are rounded to it, always the same one.
        """
        n = len(columns[0].values)
        rows = np.zeros((n, self.width))
        for place, (code, cells) in enumerate(zip(self.columns, columns, strict=True)):
            places = np.random.default_rng(place).random(n) if is_spread else None
            rows[:, place], scores = code.encode(cells, places)
            own = self.score_place(code.name)
            if own is not None:
                rows[:, own] = scores
        return rows

    def decode(self, rows: Float[np.ndarray, "n width"]) -> tuple[Cells, ...]:
        """Decodes tokens and scores to cells."""
        cells = []
        for place, code in enumerate(self.columns):
            own = self.score_place(code.name)
            values, is_missing = code.decode(rows[:, place], rows[:, place if own is None else own])
            cells.append(Cells(values, is_missing, code.categories))
        return tuple(cells)


def _lengths(fact: dict[str, Any]) -> tuple[int, int, int]:
    """How many atoms, points and levels a column of a file claims to have."""
    points = count_of(fact["points"])
    return count_of(fact["atoms"]), points, points + (fact["is_discrete"] is True and points > 0)


def _values(cells: Cells) -> np.ndarray:
    """The distinct values of a column."""
    return np.unique(cells.values[~cells.is_missing])


def _check_use(name: Any, cells: Cells, *, is_category: bool) -> None:
    n, n_given = len(cells.values), int((~cells.is_missing).sum())
    if not n_given:
        raise ValueError(f"column {name!r} has no value at all: drop it")
    if cells.categories is None and not is_category:
        return
    distinct = len(_values(cells))
    texts = [text for text in cells.categories or () if isinstance(text, str)]
    words = [text for text in texts if not _is_number(text)]
    if distinct > 10 and 0 < 2 * len(words) < len(texts):
        raise ValueError(
            f"column {name!r} holds numbers except for {words[0]!r}: clear such cells to make them missing, or drop it"
        )
    if distinct > MAX_CATEGORIES or (distinct > 50 and 2 * distinct > n_given):
        raise ValueError(
            f"column {name!r} has {distinct:,} different categories in {n:,} rows, too many to learn: drop it"
        )
