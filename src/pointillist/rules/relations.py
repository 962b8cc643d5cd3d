"""Relations that rows of a table obey: sums, functions, products, orders and lookups; and rows that obey them again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.functions import functions
from pointillist.rules.lookups import Lookup, lookups
from pointillist.rules.number_range import NumberRange
from pointillist.rules.orientation import gentle
from pointillist.rules.products import HELD, MOST_COLUMNS, products
from pointillist.rules.relation import Relation
from pointillist.rules.sums import sums
from pointillist.tables.table import Column

FEWEST_ROWS = 100
"""Fewest rows without a missing cell that show a relation."""

BROKEN_BY_CHANCE = 0.05
"""An order counts if so many rows would break it if the columns were independent."""

_ROWS, _MOST_COLUMNS, _MOST_RELATIONS = 5000, 128, 200
_BROKEN_ROWS = 10
"""An order also counts only if so many rows would break it, and 2 more for every nat of the number of pairs."""

_TURNS, _MOST_TURNS = 4, 20
"""Number of passes over all relations, and most passes for rows that still break one; in the further passes, other
columns move first."""


def relations(
    columns: Sequence[Column], codes: Sequence[ColumnEncoder], left_out: Sequence[Any] = (), label: Any = None
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
    others = _with_digits(gentle(others, columns, codes, rows), columns, codes, rows)
    decided = lookups(columns, codes, _terms(others) | _labels(codes, label))
    # In order, so that rows which an order changed obey the others in the end.
    others = _in_turn(others)[:_MOST_RELATIONS]
    return (*decided, *_orders(columns, places)[: _MOST_RELATIONS - len(others)], *others)


def _terms(found: Sequence[Relation]) -> dict[int, tuple[int, ...]]:
    """The columns that relations decide, each with those that it is calculated from."""
    return {each.column: each.terms for each in found}


def _labels(codes: Sequence[ColumnEncoder], label: Any) -> dict[int, tuple[int, ...]]:
    """The column of labels, if there is one, which no other decides: a row's label is what it was drawn for."""
    return {place: () for place, code in enumerate(codes) if label is not None and code.name == label}


def _products(
    columns: Sequence[Column],
    codes: Sequence[ColumnEncoder],
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


def _with_digits(
    found: Sequence[Relation], columns: Sequence[Column], codes: Sequence[ColumnEncoder], rows: Int[np.ndarray, " m"]
) -> list[Relation]:
    """Returns the relations, and marks the products as exact that nearly all rows obey to the last digit."""
    some = {place: columns[place].take(rows) for each in found if each.power for place in each.places}
    own = [some.get(place, cells) for place, cells in enumerate(columns)]
    ranges = [NumberRange.of(code, is_strict=False) for code in codes]
    exact = [replace(each, is_exact=each.power != 0) for each in found]
    return [
        one if one.is_exact and one.broken(own, ranges).mean() <= 1 - HELD else each
        for each, one in zip(found, exact, strict=True)
    ]


def _in_turn(found: list[Relation]) -> list[Relation]:
    """The relations, each after those of the columns that it is calculated from."""
    left, done = list(found), list[Relation]()
    while left:
        open_columns = {each.column for each in left}
        done += [each for each in left if open_columns.isdisjoint(each.terms)] or left
        left = [each for each in left if each not in done]
    return done


def _orders(columns: Sequence[Column], places: list[int]) -> list[Relation]:
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
    columns: Sequence[Column],
    codes: Sequence[ColumnEncoder],
    found: Sequence[Relation | Lookup],
    is_fixed: Bool[np.ndarray, "n d"],
    bounds: Mapping[int, tuple[float, float]] | None = None,
) -> tuple[Column, ...]:
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
        bounds: Lowest and highest number of the columns in ranges, by index. With bounds, every number stays within
            them and within its column's range, and relations that cannot hold there stay broken. None for rows without
            conditions.
    """
    cells, tables = list(columns), [each for each in found if isinstance(each, Lookup)]
    orders = [each for each in found if isinstance(each, Relation) and not each.factors]
    others = [each for each in found if isinstance(each, Relation) and each.factors]
    is_strict = bounds is not None
    ranges = [NumberRange.of(code, (bounds or {}).get(i), is_strict=is_strict) for i, code in enumerate(codes)]
    # What is looked up changes for other relations only where nothing else can.
    is_fixed = is_fixed.copy()
    # What given cells decide through others is given too.
    while any([relation.fix_last(cells, ranges, is_fixed).any() for relation in others]):
        pass
    is_held = is_fixed.copy()
    for table in tables:
        is_held[:, list(table.places[table.is_followed :])] = True
    for turn in range(_MOST_TURNS if found else 0):
        shift = max(turn - _TURNS + 1, 0)
        for table in tables:
            table.restored(cells, codes, is_fixed)
        for relation in orders if turn == 0 or shift > 1 else ():
            relation.restored(cells, ranges, is_held, is_last=False)
        for relation in others:
            if tables:
                relation.restored(cells, ranges, is_held, is_last=False, shift=shift)
            relation.restored(cells, ranges, is_fixed, is_last=turn >= _TURNS - 1, shift=shift)
        if turn >= _TURNS - 1:
            is_broken = np.any(broken(cells, codes, found), axis=0)
            if not is_broken.any():
                break
            # Rows that obey all relations do not change any more.
            is_fixed, is_held = (each | ~is_broken[:, None] for each in (is_fixed, is_held))
    for table in tables:
        table.restored(cells, codes, is_fixed)
    return tuple(cells)


def broken(
    columns: Sequence[Column], codes: Sequence[ColumnEncoder], found: Sequence[Relation | Lookup]
) -> list[Bool[np.ndarray, " n"]]:
    """Finds the rows that break each relation; a row with a missing cell in its columns does not."""
    ranges = [NumberRange.of(code, is_strict=True) for code in codes]
    return [each.broken(columns, codes) if isinstance(each, Lookup) else each.broken(columns, ranges) for each in found]
