"""Public domains of columns for private fits: ranges or values that the user declares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pointillist.columns.category import CategoryEncoder
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.grids import Grid
from pointillist.columns.normal_scores import NormalScores, nearest_index
from pointillist.columns.number import NumberEncoder
from pointillist.lazy import pa, special
from pointillist.tables.table import Column, cells_of, kind_of

MOST_INTEGERS = 64
"""Largest number of integers in a range for which each integer has a token."""

_EDGE = 1e-7


@dataclass(frozen=True)
class ColumnDomain:
    """The public domain of a column: all values except None, or the two ends of a range."""

    name: Any
    values: tuple[Any, ...]
    is_range: bool
    has_missing: bool

    @classmethod
    def of(cls, name: Any, declared: Any) -> "ColumnDomain":
        """Reads a declared domain: a tuple (low, high), or a list of values. None among them allows missing cells."""
        if not isinstance(declared, tuple | list) or not len(declared):
            raise ValueError(
                f"domain of {name!r} must be a tuple (low, high) or a list of values, not {declared!r:.60}"
            )
        values = tuple(value.item() if isinstance(value, np.generic) else value for value in declared)
        is_range = isinstance(declared, tuple)
        try:
            distinct = tuple(dict.fromkeys(value for value in values if value is not None))
            is_valid = not is_range or (len(distinct) == 2 and distinct[0] < distinct[1])
        except TypeError as error:
            raise ValueError(f"domain of {name!r} must hold values of one kind, not {declared!r:.60}") from error
        if not is_valid:
            raise ValueError(f"domain of {name!r}: a tuple is (low, high) with low below high, not {declared!r:.60}")
        if not distinct:
            raise ValueError(f"domain of {name!r} has no value")
        return cls(name, distinct, is_range, None in values)

    def cells(self, cells: Column, kind: "pa.DataType") -> tuple[Column, int]:
        """Moves each cell of a column into the domain; returns the cells and the number of moved cells.

        A number moves to the nearest value or end. Any other value, or a missing cell where none is allowed, becomes
        the first value.
        """
        domain = self._domain_cells(kind)
        is_missing = cells.is_missing & self.has_missing
        is_lost = cells.is_missing & ~is_missing
        if domain.categories is not None:
            index_of = {value: i for i, value in enumerate(domain.categories)}
            found = np.array([index_of.get(value, -1) for value in cells.categories or ()] or [0])
            values = found[np.where(cells.is_missing, 0, cells.values).astype(np.int64)]
            is_moved = is_lost | (~cells.is_missing & (values < 0))
            return Column(np.where(is_moved, 0, values), is_missing, domain.categories), int(is_moved.sum())
        domain_values = np.sort(domain.values)
        values = np.where(cells.is_missing, domain_values[0], cells.values)
        inside = np.clip(values, domain_values[0], domain_values[-1])
        if not self.is_range:
            inside = domain_values[nearest_index(domain_values, inside)]
        return Column(inside, is_missing, None, cells.is_date), int((is_lost | (inside != values)).sum())

    def _domain_cells(self, kind: "pa.DataType") -> Column:
        """The values as cells. Dates may be text, as in JSON."""
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

    def encoder(
        self,
        kind: "pa.DataType",
        spikes: Sequence[float] | Float[np.ndarray, " a"] = (),
        edges: Float[np.ndarray, " e"] | None = None,
    ) -> ColumnEncoder:
        """Makes the column's encoder from the public domain and, for a range, noisy counts of its values.

        `spikes` are increasing values of the range that get a token, and `edges` those of intervals with about equally
        many rows, as increasing fractions of the range from 0 to 1; one interval by default.
        """
        domain, none = self._domain_cells(kind), np.empty(0)
        if domain.categories is not None:
            return CategoryEncoder(self.name, self.has_missing, none, domain.categories)
        low, high = float(domain.values.min()), float(domain.values.max())
        is_integer, step = kind_of(kind) in ("integer", "date"), int(kind_of(kind) == "date")
        grid = Grid(0 if is_integer else None, step, int(low) if step else 0)
        if not self.is_range or (is_integer and high - low < MOST_INTEGERS):
            atoms = np.arange(low, high + 1) if self.is_range else np.sort(domain.values)
            return NumberEncoder(self.name, self.has_missing, none, atoms, grid)
        fractions = np.array([0.0, 1.0]) if edges is None else edges
        levels = np.linspace(0, 1, len(fractions))
        points = low + (high - low) * fractions
        points[-1] = high
        scores = NormalScores(points, special.ndtri(np.clip(levels, _EDGE, 1 - _EDGE)), levels)
        return NumberEncoder(self.name, self.has_missing, none, np.asarray(spikes, float), grid, scores)


def read_domains(
    declared: Mapping[Any, Any] | None, names: Sequence[Any], are_boolean: Sequence[bool]
) -> list[ColumnDomain]:
    """Reads the domain of each column; the values of boolean columns are public without a domain.

    Raises a ValueError if a column has no domain, or a domain names no column of the table.
    """
    by_name = {str(name): value for name, value in (declared or {}).items()}
    unknown = [name for name in by_name if name not in {*map(str, names)}]
    if unknown:
        raise ValueError(f"domain names column {unknown[0]!r}, which the table does not have")
    domains = []
    for name, is_boolean in zip(names, are_boolean, strict=True):
        domain = by_name.get(str(name), [False, True] if is_boolean else None)
        if domain is None:
            raise ValueError(
                f"epsilon needs a domain for column {name!r}, because its range or values would reveal rows: give "
                f"domain={{{name!r}: (low, high)}}, or a list of its values"
            )
        domains.append(ColumnDomain.of(name, domain))
    return domains


def moved_cells_message(moved: Mapping[Any, int]) -> str | None:
    """One line about cells that were moved into their domains; None if there are none."""
    found = [f"{name!r} ({n:,})" for name, n in moved.items() if n]
    if not found:
        return None
    named = ", ".join(found[:5])
    return f"cells outside the given domain were moved into it: {named}; the guarantee does not cover this count"


def domain_to_json(declared: Mapping[Any, Any]) -> list[list[Any]]:
    """JSON values of declared domains: name, is_range, has_missing and values (as text if need be) per column."""
    domains = [ColumnDomain.of(name, value) for name, value in declared.items()]
    return [
        [str(each.name), each.is_range, each.has_missing, [v if _is_plain(v) else str(v) for v in each.values]]
        for each in domains
    ]


def domain_from_json(content: list[list[Any]]) -> dict[str, Any]:
    """Rebuilds declared domains from the result of `domain_to_json`; raises a ValueError if they are not valid."""
    found: dict[str, Any] = {}
    for name, is_range, has_missing, values in content:
        if not isinstance(name, str) or not all(map(_is_plain, values)):
            raise ValueError("its domain must hold plain values")
        domain = [*values, *([None] if has_missing else [])]
        found[name] = tuple(domain) if is_range else domain
        # Ends that are text in JSON, for example dates, may have another order as text.
        if not (is_range and len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], str)):
            ColumnDomain.of(name, found[name])
    return found


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
