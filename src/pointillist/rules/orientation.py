"""Which column each relation is solved for, where the one that it was found for would be moved far."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.encoder import ColumnEncoder
from pointillist.rules.relation import Relation
from pointillist.tables.table import Column

FAR = 2.0
"""A column is moved far if small errors of the others, in parts of their spreads, are so many times as large in it."""

TOO_FAR = 20.0
"""A relation that moves its column further is left out: the column would be of another distribution."""

_STEP, _NEAR, _SOLVED, _TRIES, _NULL = 1e-3, 1e-2, 0.95, 500, 2e-9

Values = Mapping[int, Float[np.ndarray, " m"]]


def gentle(
    found: Sequence[Relation], columns: Sequence[Column], codes: Sequence[ColumnEncoder], rows: Int[np.ndarray, " m"]
) -> list[Relation]:
    """Returns relations of which none moves its column far, as far as they can be solved for such columns.

    A column that is nearly constant, such as the ratio of two areas that are almost the same, is not to be calculated
    from columns that vary: what these are off by would be more than it varies.

    Args:
        found: Sums, functions and products.
        columns: The columns of a table.
        codes: Their codes.
        rows: Some rows in which no cell of the relations is missing.
    """
    values = {place: columns[place].values[rows].astype(float) for each in found for place in each.places}
    kept = []
    for part in _parts(found):
        worst = max(_reach(each, values) for each in part)
        turned = _Search(part, values, codes).best() if worst > FAR else None
        if turned is not None and max(_reach(each, values) for each in turned) < worst:
            part = turned
        kept += [each for each in part if _reach(each, values) <= TOO_FAR]
    return kept


def _parts(found: Sequence[Relation]) -> Iterator[list[Relation]]:
    """The relations in groups that share no column."""
    left = list(found)
    while left:
        part, places = [left.pop(0)], set[int]()
        while places != (places := {place for each in part for place in each.places}):
            part += [each for each in left if not places.isdisjoint(each.places)]
            left = [each for each in left if places.isdisjoint(each.places)]
        yield part


def _spread(values: Float[np.ndarray, " m"]) -> float:
    """The distance of the quartiles, or the standard deviation if they are equal."""
    return float(np.subtract(*np.quantile(values, [0.75, 0.25]))) or float(values.std())


@np.errstate(all="ignore")
def _reach(relation: Relation, values: Values) -> float:
    """How many times as large errors of the others are in the column, in parts of their spreads; 0 if unknown."""
    own = _stack(values, relation)
    solved, total = relation.calculated(own), 0.0
    for i, place in enumerate(relation.places[1:], 1):
        moved = own.copy()
        moved[:, i] += _STEP * _spread(values[place])
        total += float(np.nanmedian(np.abs(relation.calculated(moved) - solved))) ** 2
    found = total**0.5 / (_STEP * _spread(values[relation.column]))
    return found if np.isfinite(found) else 0.0


class _Search:
    """Solves relations one after another, each for the only column of it that is not known yet.

    Columns that would be moved far are known from the beginning, as long as the others can be calculated from them.

    Args:
        part: Relations that share columns.
        values: The numbers of these.
        codes: The columns' codes.
    """

    def __init__(self, part: list[Relation], values: Values, codes: Sequence[ColumnEncoder]) -> None:
        self.ways = [dict(_ways(each, values, codes)) for each in part]
        self.places = [set(each.places) for each in part]
        harm: dict[int, float] = {}
        for ways in self.ways:
            for place, way in ways.items():
                harm[place] = max(harm.get(place, 0.0), _reach(way, values))
        every = sorted(set().union(*self.places))
        self.order = sorted(every, key=lambda place: -harm.get(place, np.inf))
        self.tries = _TRIES

    def best(self) -> list[Relation] | None:
        """The relations, each for another column; None if there is no way, or it is not found soon."""
        return self._solved(frozenset(), {})

    def _solved(self, known: frozenset[int], done: dict[int, Relation]) -> list[Relation] | None:
        while True:
            unknown = {i: places - known for i, places in enumerate(self.places) if i not in done}
            if not unknown:
                return list(done.values())
            if not all(unknown.values()):
                return None
            single = [(i, next(iter(left))) for i, left in unknown.items() if len(left) == 1]
            if not single:
                break
            i, place = single[0]
            if place not in self.ways[i]:
                return None
            known, done = known | {place}, {**done, i: self.ways[i][place]}
        open_places = set().union(*unknown.values())
        for place in self.order:
            if place in open_places and self.tries > 0:
                self.tries -= 1
                if (found := self._solved(known | {place}, done)) is not None:
                    return found
        return None


def _ways(relation: Relation, values: Values, codes: Sequence[ColumnEncoder]) -> Iterator[tuple[int, Relation]]:
    """The relation solved for each of its columns that has no other solution, and by which it holds.

    It holds to the digits of the column that it was found for, which has means of two rows for that, so that its
    numbers are not those of any row.
    """
    column = relation.column
    yield column, relation
    order = np.random.default_rng(0).permutation(len(values[column]))
    made = {**values, column: codes[column].rounded((values[column] + values[column][order]) / 2)}
    for place in relation.terms:
        way = relation.solved_for(place)
        if way is None or codes[place].scores is None:
            continue
        with np.errstate(all="ignore"):
            # Of a square, it might be the other root.
            as_it_was = np.abs(way.calculated(_stack(values, way)) - values[place])
            solved = codes[place].rounded(way.calculated(_stack(made, way)))
            own = _stack({**made, place: solved}, relation)
            off = np.abs(relation.calculated(own) - own[:, 0])
        is_there = np.isfinite(solved)
        within = 0.5 * codes[column].unit + _NULL * np.abs(own[:, 0])
        is_same = np.mean(as_it_was <= 0.5 * codes[place].unit + _NEAR * _spread(values[place])) >= _SOLVED
        if is_same and is_there.any() and (off <= within)[is_there].mean() >= _SOLVED:
            yield place, way


def _stack(values: Values, relation: Relation) -> Float[np.ndarray, "m k"]:
    return np.stack([values[place] for place in relation.places], axis=1)
