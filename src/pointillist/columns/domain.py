"""What is public about the columns of a table: their ranges and categories, given by the user and not learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.category import CategoryEncoder
from pointillist.columns.continuous_number import ContinuousEncoder
from pointillist.columns.discrete_number import DiscreteEncoder
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.grids import Grid
from pointillist.columns.scores import NormalScores
from pointillist.tables.table import Column, cells_of, kind_of

if TYPE_CHECKING:
    import pyarrow as pa

MOST_WHOLE = 64
"""Most integers of a range that are values of their own."""

_EDGE = 1e-7


@dataclass(frozen=True)
class ColumnDomain:
    """What is public of a column.

    Attributes:
        name: Its name.
        values: Its values other than None, or the two ends of its range.
        is_range: Whether `values` are the ends of a range.
        has_missing: Whether cells may be missing.
    """

    name: Any
    values: tuple[Any, ...]
    is_range: bool
    has_missing: bool

    @classmethod
    def of(cls, name: Any, given: Any) -> "ColumnDomain":
        """Reads what a user gives: a tuple (low, high), or a list of values; with None, cells may be missing.

        Raises:
            ValueError: If it is neither.
        """
        if not isinstance(given, tuple | list) or not len(given):
            raise ValueError(f"domain of {name!r} must be a tuple (low, high) or a list of values, not {given!r:.60}")
        values = tuple(value.item() if isinstance(value, np.generic) else value for value in given)
        is_range = isinstance(given, tuple)
        try:
            known = tuple(dict.fromkeys(value for value in values if value is not None))
            is_right = not is_range or (len(known) == 2 and known[0] < known[1])
        except TypeError as error:
            raise ValueError(f"domain of {name!r} must hold values of one kind, not {given!r:.60}") from error
        if not is_right:
            raise ValueError(f"domain of {name!r}: a tuple is (low, high) with low below high, not {given!r:.60}")
        if not known:
            raise ValueError(f"domain of {name!r} has no value")
        return cls(name, known, is_range, None in values)

    def cells(self, cells: Column, kind: "pa.DataType") -> tuple[Column, int]:
        """Moves the cells of a column into its domain, each by itself; returns how many were moved.

        A number goes to the nearest value or end, and any other value, or a missing cell that may not be, to the first.
        """
        own = self._own_cells(kind)
        is_missing = cells.is_missing & self.has_missing
        lost = cells.is_missing & ~is_missing
        if own.categories is not None:
            places = {value: place for place, value in enumerate(own.categories)}
            found = np.array([places.get(value, -1) for value in cells.categories or ()] or [0])
            values = found[np.where(cells.is_missing, 0, cells.values).astype(np.int64)]
            moved = lost | (~cells.is_missing & (values < 0))
            return Column(np.where(moved, 0, values), is_missing, own.categories), int(moved.sum())
        known = np.sort(own.values)
        values = np.where(cells.is_missing, known[0], cells.values)
        inside = np.clip(values, known[0], known[-1])
        if not self.is_range:
            right = np.clip(np.searchsorted(known, inside), 1, max(1, len(known) - 1))
            left, right = right - 1, np.minimum(right, len(known) - 1)
            inside = np.where(inside - known[left] <= known[right] - inside, known[left], known[right])
        moved = lost | (inside != values)
        return Column(inside, is_missing, None, cells.is_date), int(moved.sum())

    def _own_cells(self, kind: "pa.DataType") -> Column:
        """The values as cells; dates may be text, as they are in JSON."""
        import pyarrow as pa

        values = list(self.values)
        if pa.types.is_dictionary(kind):
            if kind_of(kind.value_type) == "category":
                kind = kind.value_type
            elif self.is_range:
                raise ValueError(f"domain of {self.name!r}: the column holds categories, so list its values")
        if kind_of(kind) == "date":
            try:
                values = [pa.scalar(value).cast(kind).as_py() if isinstance(value, str) else value for value in values]
            except pa.ArrowException as error:
                raise ValueError(f"domain of {self.name!r}: {error}") from error
        return cells_of(self.name, values, kind)

    def code(
        self,
        kind: "pa.DataType",
        spikes: Sequence[float] | Float[np.ndarray, " a"] = (),
        edges: Float[np.ndarray, " e"] | None = None,
    ) -> ColumnEncoder:
        """Makes the code of the column from what is public, and perhaps from what is known of a range with noise.

        Args:
            kind: Arrow's type of the column.
            spikes: Values of the range that have a token of their own, increasing.
            edges: Ends of intervals of about as many rows, increasing, from 0 to 1 in shares of the range; the range
                is one interval by default.
        """
        own = self._own_cells(kind)
        none = np.empty(0)
        if own.categories is not None:
            return CategoryEncoder(self.name, self.has_missing, none, own.categories)
        low, high = float(own.values.min()), float(own.values.max())
        is_whole = kind_of(kind) in ("whole", "date")
        step = int(kind_of(kind) == "date")
        grid = Grid(0 if is_whole else None, step, int(low) if step else 0)
        if not self.is_range or (is_whole and high - low < MOST_WHOLE):
            atoms = np.sort(own.values) if not self.is_range else np.arange(low, high + 1)
            return DiscreteEncoder(self.name, self.has_missing, none, atoms, grid)
        from scipy.special import ndtri

        places = np.array([0.0, 1.0]) if edges is None else edges
        shares = np.linspace(0, 1, len(places))
        points = low + (high - low) * places
        points[-1] = high
        scores = NormalScores(points, ndtri(np.clip(shares, _EDGE, 1 - _EDGE)), shares)
        return ContinuousEncoder(self.name, self.has_missing, none, np.asarray(spikes, float), grid, scores)


def domain_of(given: Mapping[Any, Any] | None, names: Sequence[Any], truths: Sequence[bool]) -> list[ColumnDomain]:
    """Reads the domain of each column.

    Args:
        given: Domains by column.
        names: Names of all columns.
        truths: For each column, whether its type is that of booleans, whose values are known.

    Raises:
        ValueError: If a column has none.
    """
    by_name = {str(name): value for name, value in (given or {}).items()}
    unknown = [name for name in by_name if name not in {*map(str, names)}]
    if unknown:
        raise ValueError(f"domain names a column {unknown[0]!r} that the table has not")
    domains = []
    for name, is_truth in zip(names, truths, strict=True):
        own = by_name.get(str(name), [False, True] if is_truth else None)
        if own is None:
            raise ValueError(
                f"epsilon needs a domain of column {name!r}, as its range or values would tell of single rows: give "
                f"domain={{{name!r}: (low, high)}}, or a list of its values"
            )
        domains.append(ColumnDomain.of(name, own))
    return domains


def moved_text(moved: Mapping[Any, int]) -> str | None:
    """A line on cells that were moved into their domains; None if none was."""
    found = {name: n for name, n in moved.items() if n}
    if not found:
        return None
    named = ", ".join(f"{name!r} ({n:,})" for name, n in list(found.items())[:5])
    return f"cells outside of the given domain are moved into it: {named}; this count is not covered by the guarantee"


def domain_to_json(given: Mapping[Any, Any]) -> list[list[Any]]:
    """JSON values of what a user gave, by column: name, whether it is a range, and the values as text where needed."""
    read = [ColumnDomain.of(name, value) for name, value in given.items()]
    return [
        [str(own.name), own.is_range, own.has_missing, [v if _is_plain(v) else str(v) for v in own.values]]
        for own in read
    ]


def domain_from_json(content: list[list[Any]]) -> dict[str, Any]:
    """Reads what `domain_to_json` returned.

    Raises:
        ValueError: If it is no domain.
    """
    found: dict[str, Any] = {}
    for name, is_range, has_missing, values in content:
        if not isinstance(name, str) or not all(map(_is_plain, values)):
            raise ValueError("its domain is not one of plain values")
        own = [*values, *([None] if has_missing else [])]
        found[name] = tuple(own) if is_range else own
        # Ends that were no plain values are texts now, which have another order.
        if not (is_range and len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], str)):
            ColumnDomain.of(name, found[name])
    return found


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
