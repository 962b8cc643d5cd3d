"""Checks whether conditions and given cells agree with the relations of their columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from pointillist.columns.encoder import Allowed
from pointillist.models.token_codec import TokenCodec
from pointillist.rules.lookups import Lookup
from pointillist.rules.number_range import NumberRange
from pointillist.rules.relation import Relation
from pointillist.tables.table import Column


def agreeing(codec: TokenCodec, given: Mapping[Any, Column], cells: Sequence[Allowed]) -> tuple[Allowed, ...]:
    """Returns conditions without the values that lookups exclude, such as cities outside a given country.

    Args:
        codec: The codec, with its relations.
        given: Given cells, one for all rows or one per row.
        cells: What conditions allow.

    Raises:
        ValueError: In one line, if no row can meet the conditions and obey a relation.
    """
    asked = _Asked(codec, given, {each.name: each for each in cells})
    for relation in codec.relations:
        if asked.names.isdisjoint(asked.names_of(relation)):
            continue
        if isinstance(relation, Lookup):
            asked.look_up(relation)
        else:
            asked.solve(relation)
    return tuple(asked.allowed.values())


@dataclass
class _Asked:
    """Given cells and conditions, checked against one relation after another."""

    codec: TokenCodec
    given: Mapping[Any, Column]
    allowed: dict[Any, Allowed]

    @property
    def names(self) -> set[Any]:
        return {*self.given, *self.allowed}

    def names_of(self, relation: Relation | Lookup) -> list[Any]:
        return [self.codec.encoding.columns[place].name for place in relation.places]

    def solve(self, relation: Relation) -> None:
        """Raises a ValueError if no numbers within the conditions obey a relation."""
        codes = [self.codec.encoding.columns[place] for place in relation.places]
        ends, is_there = [], np.ones(1, bool)
        for code in codes:
            if code.name in self.given:
                own = self.given[code.name]
                ends.append((own.values.astype(float), own.values.astype(float)))
                is_there = is_there & ~own.is_missing
                continue
            low, high = code.rounded(np.array(code.ends))
            may_be_missing = code.has_missing
            if code.name in self.allowed:
                asked = self.allowed[code.name]
                low, high = max(low, asked.ends.low), min(high, asked.ends.high)
                may_be_missing = code.has_missing and bool((asked.slots == code.n_values).any())
            if may_be_missing:
                # A row with a missing cell obeys every relation of it.
                return
            ends.append((np.array([low]), np.array([high])))
        low, high = (np.column_stack(np.broadcast_arrays(*each)) for each in zip(*ends, strict=True))
        ranges = [NumberRange.of(code, is_strict=True) for code in codes]
        self._check(relation, is_there & relation.excluded(low, high, ranges))

    def look_up(self, lookup: Lookup) -> None:
        """Removes the values of conditions that a lookup excludes; raises a ValueError if none is left."""
        is_given, given = self._given(lookup)
        # Equal rows are looked up once: there may be many, and the table may be long.
        different, which = np.unique(given, axis=0, return_inverse=True)
        possible = np.ones((len(different), len(lookup.table)), bool)
        for own, values in zip(different.T, lookup.table.T[is_given], strict=True):
            possible &= own[:, None] == values
        for place, values in zip(lookup.places, lookup.table.T, strict=True):
            code = self.codec.encoding.columns[place]
            if code.name in self.allowed:
                possible &= code.is_allowed(self.allowed[code.name], values)
        is_known = np.isin(given[:, 0], lookup.table[:, 0]) if is_given[0] else np.ones(len(given), bool)
        self._check(lookup, is_known & ~np.asarray(possible.any(axis=1))[which.ravel()])
        for place, values in zip(lookup.places, lookup.table.T, strict=True):
            code = self.codec.encoding.columns[place]
            if code.name in self.allowed and code.scores is None and is_known.all():
                asked, left = self.allowed[code.name], values[possible.any(axis=0)]
                kept = np.isin(asked.slots if code.categories is not None else code.atoms[asked.slots], left)
                self.allowed[code.name] = replace(
                    asked, slots=asked.slots[kept], low=asked.low[kept], high=asked.high[kept]
                )

    def _given(self, lookup: Lookup) -> tuple[Bool[np.ndarray, " k"], Float[np.ndarray, "n g"]]:
        """Which columns of a lookup are given, and their numbers or indices of categories, one row for all or each."""
        codes = [self.codec.encoding.columns[place] for place in lookup.places]
        found = [
            self.given[code.name].values if code.categories is None else code.encode(self.given[code.name])[0]
            for code in codes
            if code.name in self.given
        ]
        is_given = np.array([code.name in self.given for code in codes])
        return is_given, np.column_stack(np.broadcast_arrays(*found)) if found else np.empty((1, 0))

    def _check(self, relation: Relation | Lookup, is_excluded: Bool[np.ndarray, " n"]) -> None:
        if not is_excluded.any():
            return
        row = int(is_excluded.argmax())
        parts = [self._text(name, row) for name in self.names_of(relation)]
        of_row = f" in row {row}" if len(is_excluded) > 1 else ""
        raise ValueError(
            f"where contradicts the relation {relation.text(self.codec.column_names)}{of_row}: {', '.join(parts)}"
        )

    def _text(self, name: Any, row: int) -> str:
        """Returns the condition on a column in a row as text or, without one, the range of the column."""
        code, kind = self.codec.encoding.code(name), self.codec.layout.type_of(name)
        if name in self.given:
            cells = self.given[name]
            value = cells.values[min(row, len(cells.values) - 1)]
            if cells.categories is not None:
                return f"{name} is {cells.categories[int(value)]}"
            return f"{name} is {code.text_of(float(value), kind)}"
        if name in self.allowed:
            return f"{name} is {self.allowed[name].text}"
        if code.categories is not None:
            return f"{name} is free"
        low, high = (code.text_of(end, kind) for end in code.ends)
        return f"{name} goes from {low} to {high}"
