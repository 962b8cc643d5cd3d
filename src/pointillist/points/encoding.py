"""Encodes columns of any kind as tokens, integers from 0 on, and decodes them.

A category is a token. So is a number in a column that has few distinct values. In any other column of numbers, each
value that many rows share has a token; the range of the other values is split into intervals that hold about as many
rows each, and such a value has one token for its interval and a second for its place within it. A missing cell is one
more value of its column's token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.points.mixed import Cells, MixedTable
from pointillist.points.names import check_names, name_from_json, name_to_json
from pointillist.points.repeats import are_few, are_spikes

MAX_INTERVALS = 64
ROWS_PER_INTERVAL = 25
PLACES = 32
"""Number of parts of an interval, which hold about as many rows each."""

ROWS_PER_PLACE = 4
"""Rows per part, on average, below which the part is not learned but drawn uniformly."""

MAX_CATEGORIES = 10_000
MAX_DECIMALS = 8


@dataclass(frozen=True, eq=False)
class ColumnCode:
    """The tokens of one column.

    Attributes:
        name: Name of the column.
        categories: The categories, in the order of their tokens; None for a column of numbers.
        atoms: Values that have a token of their own, increasing, shape (a,); empty for categories.
        knots: Ends of the parts of each interval, shape (b, `PLACES` + 1), not decreasing.
        has_missing: Whether the last value of the token stands for a missing cell.
        has_places: Whether the part of an interval is a token of its own.
        decimals: Most digits after the point of any value; None if a value has more than `MAX_DECIMALS`.
        step: Unit of which the distances of all dates from the first are multiples, such as a day; 0 for other columns.
        first: The first date.
    """

    name: Any
    categories: tuple[Any, ...] | None
    atoms: Float[np.ndarray, " a"]
    knots: Float[np.ndarray, "b places"]
    has_missing: bool
    has_places: bool
    decimals: int | None
    step: int = 0
    first: int = 0

    @classmethod
    def fit(cls, name: Any, cells: Cells, *, is_category: bool = False) -> "ColumnCode":
        """Learns the tokens of a column.

        Args:
            name: Name of the column.
            cells: Its cells.
            is_category: Whether each number is a category.
        """
        none = np.empty(0), np.empty((0, PLACES + 1))
        if cells.categories is not None:
            used = np.unique(cells.values[~cells.is_missing]).astype(np.int64)
            kept = tuple(cells.categories[i] for i in used)
            return cls(name, kept, *none, bool(cells.is_missing.any()), False, None)
        given = cells.values[~cells.is_missing]
        values, counts = np.unique(given, return_counts=True)
        if is_category or are_few(values, len(given)):
            return cls(name, None, values, none[1], bool(cells.is_missing.any()), False, None)
        is_spike = are_spikes(counts, len(given))
        rest = np.sort(given[~np.isin(given, values[is_spike])])
        n_intervals = int(np.clip(len(rest) // ROWS_PER_INTERVAL, min(4, len(rest)), MAX_INTERVALS))
        knots = none[1]
        if n_intervals:
            ends = np.quantile(rest, np.linspace(0, 1, n_intervals * PLACES + 1))
            knots = np.stack([ends[i * PLACES : (i + 1) * PLACES + 1] for i in range(n_intervals)])
            # An interval of one value that begins where the one before ends would never be found.
            knots = knots[np.unique(knots[:, 0], return_index=True)[1]]
        has_places = len(knots) > 0 and len(rest) >= n_intervals * PLACES * ROWS_PER_PLACE
        missing = bool(cells.is_missing.any())
        steps = (0, 0)
        if cells.is_date:
            # Whole days stay whole: generated dates have no times of day if none of the table's has.
            steps = int(np.gcd.reduce((values - values[0]).astype(np.int64))), int(values[0])
        return cls(name, None, values[is_spike], knots, missing, has_places, _decimals(values), *steps)

    @property
    def n_values(self) -> int:
        """Number of the token's values, not counting the one for a missing cell."""
        return len(self.atoms) + len(self.knots) if self.categories is None else len(self.categories)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each of the column's one or two tokens."""
        first = self.n_values + self.has_missing
        return (first, PLACES) if self.has_places else (first,)

    @property
    def ranks(self) -> tuple[float, ...]:
        """Rank in (0, 1) of every value of the one or two tokens; -1 for categories and for a missing cell."""
        if self.categories is not None:
            return (-1.0,) * self.sizes[0]
        # An interval of equal ends may be an atom's neighbour on either side.
        middle = np.concatenate([self.atoms, self.knots[:, PLACES // 2]])
        ranks = ((np.argsort(np.argsort(middle)) + 0.5) / len(middle)).tolist() + [-1.0] * self.has_missing
        return (*ranks, *((np.arange(PLACES) + 0.5) / PLACES if self.has_places else ()))

    def encode(self, cells: Cells) -> Float[np.ndarray, "n tokens"]:
        """Encodes cells as tokens, shape (n, 1 or 2); NaN for missing cells if no training row had one.

        Raises:
            ValueError: If a category is unknown. A number beyond the known range becomes the nearest known one.
        """
        out = np.zeros((len(cells.values), len(self.sizes)))
        given = ~cells.is_missing
        if self.categories is not None:
            out[given, 0] = self._of_categories(cells)[cells.values[given].astype(np.int64)]
        else:
            out[given] = self._of_numbers(cells.values[given])
        out[~given, 0] = self.n_values if self.has_missing else np.nan
        return out

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

    def _of_numbers(self, values: np.ndarray) -> Float[np.ndarray, "n tokens"]:
        out = np.zeros((len(values), len(self.sizes)))
        nearest = np.zeros(len(values), np.int64)
        if len(self.atoms):
            right = np.clip(np.searchsorted(self.atoms, values), 1, max(1, len(self.atoms) - 1))
            left, right = right - 1, np.minimum(right, len(self.atoms) - 1)
            nearest = np.where(values - self.atoms[left] <= self.atoms[right] - values, left, right)
            out[:, 0] = nearest
        if not len(self.knots):
            return out
        between = np.ones(len(values), bool) if not len(self.atoms) else self.atoms[nearest] != values
        interval = np.maximum(np.searchsorted(self.knots[:, 0], values[between], side="right") - 1, 0)
        out[between, 0] = len(self.atoms) + interval
        if self.has_places:
            # Of equal ends the first: the part that the value was drawn from is not known.
            inner = self.knots[interval, 1:-1]
            out[between, 1] = (inner <= values[between, None]).sum(axis=1)
        return out

    def decode(self, tokens: Float[np.ndarray, "n tokens"]) -> tuple[np.ndarray, np.ndarray]:
        """Decodes tokens to values, and says which are missing.

        Args:
            tokens: Each token plus a number in [0, 1), which places the value within what the token stands for.
        """
        first = np.floor(tokens[:, 0]).astype(np.int64)
        is_missing = first >= self.n_values
        if self.categories is not None:
            return np.where(is_missing, 0, first), is_missing
        values = np.full(len(tokens), np.nan)
        is_atom = first < len(self.atoms)
        values[is_atom] = self.atoms[first[is_atom]]
        between = ~is_atom & ~is_missing
        if between.any():
            own = tokens[between]
            place = np.clip(own[:, 1] if self.has_places else PLACES * (own[:, 0] % 1.0), 0, PLACES * (1 - 1e-7))
            ends = self.knots[first[between] - len(self.atoms)]
            part = np.floor(place).astype(np.int64)
            low, high = (np.take_along_axis(ends, (part + i)[:, None], axis=1)[:, 0] for i in (0, 1))
            values[between] = low + (place - part) * (high - low)
            if self.step:
                values = self.first + self.step * np.round((values - self.first) / self.step)
            elif self.decimals is not None:
                values = np.round(values, self.decimals)
        return values, is_missing

    def to_json(self) -> dict[str, Any]:
        """Everything but the atoms and knots, as JSON values."""
        return {
            "name": name_to_json(self.name),
            "categories": self.categories,
            "atoms": len(self.atoms),
            "intervals": len(self.knots),
            "has_missing": self.has_missing,
            "has_places": self.has_places,
            "decimals": self.decimals,
            "step": self.step,
            "first": self.first,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], atoms: np.ndarray, knots: np.ndarray) -> "ColumnCode":
        """Rebuilds the code from what `to_json` returned.

        Raises:
            ValueError: If there is no such code.
        """
        name, categories = name_from_json(content["name"]), content["categories"]
        if categories is not None:
            kinds = {type(category) for category in categories}
            if len(kinds) > 1 or not kinds <= {str, int, bool, float} or len(set(categories)) < len(categories):
                raise ValueError(f"categories of {name!r} are not of one kind, or not distinct")
        if (np.diff(atoms) <= 0).any() or (np.diff(knots, axis=1) < 0).any():
            raise ValueError(f"values of {name!r} do not increase")
        decimals, step, first = content["decimals"], content["step"], content["first"]
        if type(step) is not int or type(first) is not int or not 0 <= step <= 2**53 >= abs(first):
            raise ValueError(f"steps of {name!r} are not numbers")
        code = cls(
            name,
            None if categories is None else tuple(categories),
            atoms,
            knots,
            bool(content["has_missing"]),
            bool(content["has_places"]),
            None if decimals is None else count_of(decimals),
            step,
            first,
        )
        if code.n_values < 1 or (code.has_places and not len(knots)):
            raise ValueError(f"column {name!r} has no values")
        return code


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
        for name, cells in zip(table.names, table.cells, strict=True):
            _check_use(name, cells, is_category=name in categorical)
            codes.append(ColumnCode.fit(name, cells, is_category=name in categorical))
        if all(sum(code.sizes) == 1 for code in codes):
            raise ValueError("every column is constant, so there is nothing to learn: give rows that differ")
        return cls(tuple(codes))

    def to_json(self) -> list[dict[str, Any]]:
        """JSON values of every column, as `ColumnCode.to_json` returns them."""
        return [code.to_json() for code in self.columns]

    @staticmethod
    def lengths_of(content: list[dict[str, Any]]) -> tuple[int, int]:
        """Total numbers of atoms and of intervals in all columns of a file.

        Raises:
            ValueError: If the file does not state them.
        """
        return sum(count_of(fact["atoms"]) for fact in content), sum(count_of(fact["intervals"]) for fact in content)

    @classmethod
    def from_json(cls, content: list[dict[str, Any]], atoms: np.ndarray, knots: np.ndarray) -> "TableEncoding":
        """Rebuilds the encoding from what `to_json` returned and the atoms and knots of all columns.

        Raises:
            ValueError: If there is no such encoding.
        """
        codes = []
        for fact in content:
            n_atoms, n_intervals = fact["atoms"], fact["intervals"]
            codes.append(ColumnCode.from_json(fact, atoms[:n_atoms], knots[:n_intervals]))
            atoms, knots = atoms[n_atoms:], knots[n_intervals:]
        check_names([code.name for code in codes])
        return cls(tuple(codes))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of values of each token."""
        return tuple(size for code in self.columns for size in code.sizes)

    @cached_property
    def ranks(self) -> tuple[float, ...]:
        """Ranks of every value of all tokens."""
        return tuple(float(rank) for code in self.columns for rank in code.ranks)

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """For each token, position of the token drawn before it, or -1: an interval is drawn before the place in it."""
        parents: list[int] = []
        for code in self.columns:
            parents += [-1, len(parents)][: len(code.sizes)]
        return tuple(parents)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Position of each column's first token."""
        return tuple(int(i) for i in np.cumsum([0, *(len(code.sizes) for code in self.columns)])[:-1])

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
        """Position of a column."""
        return self.columns.index(self.code(name))

    def start(self, name: Any) -> int:
        """Position of a column's first token."""
        return self.starts[self.place(name)]

    def encode(self, table: MixedTable) -> Float[np.ndarray, "n T"]:
        """Encodes a table that has these columns in this order."""
        return np.concatenate(
            [code.encode(cells) for code, cells in zip(self.columns, table.cells, strict=True)], axis=1
        )

    def decode(self, tokens: Float[np.ndarray, "n T"]) -> tuple[Cells, ...]:
        """Decodes tokens, each plus a number in [0, 1), to cells."""
        cells = []
        for code, start in zip(self.columns, self.starts, strict=True):
            values, is_missing = code.decode(tokens[:, start : start + len(code.sizes)])
            cells.append(Cells(values, is_missing, code.categories))
        return tuple(cells)


def _check_use(name: Any, cells: Cells, *, is_category: bool) -> None:
    n, n_given = len(cells.values), int((~cells.is_missing).sum())
    if not n_given:
        raise ValueError(f"column {name!r} has no value at all: drop it")
    if cells.categories is None and not is_category:
        return
    distinct = len(np.unique(cells.values[~cells.is_missing]))
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
