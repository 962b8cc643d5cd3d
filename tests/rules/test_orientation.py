"""Relations are solved for columns that this hardly moves."""

import numpy as np
import pytest
from test_relations import cells, codes_of

from pointillist.rules.orientation import gentle
from pointillist.rules.relation import Relation
from pointillist.rules.relations import relations, restored

RNG = np.random.default_rng(0)
N = 2000


def found_in(table):
    columns, names = list(map(cells, table.values())), list(table)
    found = relations(columns, codes_of(columns))
    return [each for each in found if each.factors], columns, names


def made_again(table, found, columns, share=0.01):
    """Rows whose numbers are off by a small part of their spreads, and restored; as deviations of each column."""
    noisy = [v + share * v.std() * RNG.normal(size=N) for v in table.values()]
    rows = restored(list(map(cells, noisy)), codes_of(columns), found, np.zeros((N, len(noisy)), bool))
    return [np.std(own.values - v) / np.std(v) for own, v in zip(rows, noisy, strict=True)]


def outlines():
    """Measures of outlines: the last is 1 for an ellipse, and nearly that for all of them."""
    minor, ratio = np.exp(RNG.normal(5, 0.3, N)), 1 + np.exp(RNG.normal(-0.5, 0.3, N))
    area = np.pi / 4 * minor**2 * ratio * (1 - np.abs(RNG.normal(0, 0.004, N)))
    diameter = np.sqrt(4 * area / np.pi)
    roundness = (diameter / (minor * ratio)) ** 2
    of_all = {"minor": minor, "major": minor * ratio, "ratio": ratio, "area": area, "diameter": diameter}
    return {**of_all, "compact": np.sqrt(roundness), "roundness": roundness, "of ellipse": ratio * roundness}


def test_a_column_that_is_nearly_constant_is_not_calculated_from_others():
    table = outlines()
    found, columns, names = found_in(table)
    assert len(found) == 5 and "of ellipse" not in [names[each.column] for each in found]
    assert max(made_again(table, found, columns)) < 0.1


def test_of_a_difference_of_near_numbers_the_larger_ones_are_calculated():
    start = RNG.normal(100, 20, N).round(2)
    change = RNG.normal(0, 0.05, N).round(2)
    table = {"start": start, "end": (start + change).round(2), "change": change}
    found, columns, names = found_in(table)
    assert [names[each.column] for each in found] != ["change"] and len(found) == 1
    assert max(made_again(table, found, columns)) < 0.1


def test_a_relation_is_left_out_if_it_can_only_be_solved_for_a_column_that_is_moved_far():
    few = RNG.choice(np.arange(1.0, 9.0), N)
    columns = list(map(cells, (few, few + RNG.normal(0, 0.001, N), few)))
    relation = Relation(1, (0, 2), (2.0, -1.0))
    kept = Relation(1, (0,), (1.0,))
    assert gentle([relation], columns, codes_of(columns), np.arange(N)) == [relation]
    far = Relation(1, (0, 2), (100.0, -99.0))
    assert gentle([far], columns, codes_of(columns), np.arange(N)) == []
    assert gentle([kept], columns, codes_of(columns), np.arange(N)) == [kept]


@pytest.mark.parametrize(
    "relation",
    [
        Relation(0, (1, 2), (2.0, -3.0), 5.0),
        Relation(0, (1, 2), (4.0,), power=1),
        Relation(0, (1, 2), (4.0,), power=-1),
        Relation(0, (1, 2, 3), (4.0,), power=1),
        *(Relation(0, (1,), (2.0,), 0.0, 0, name) for name in ("square", "sqrt", "reciprocal", "exp")),
        Relation(0, (1,), (1.0,), 0.0, 0, "log"),
    ],
)
def test_solved_for_a_term_it_is_the_same_relation(relation):
    values = RNG.uniform(1, 4, (50, 4))
    values[:, 0] = relation.calculated(values[:, list(relation.places)])
    ways = [(place, relation.solved_for(place)) for place in relation.terms]
    assert len(relation.terms) > 2 or all(way is not None for _, way in ways)
    for place, way in ways:
        if way is None:
            continue
        assert np.allclose(way.calculated(values[:, list(way.places)]), values[:, place], rtol=1e-10)


def test_what_is_not_moved_far_stays_as_it_was_found():
    a, b = RNG.normal(3, 1, (2, N))
    columns = list(map(cells, (a, b, a + b)))
    relation = Relation(2, (0, 1), (1.0, 1.0))
    assert gentle([relation], columns, codes_of(columns), np.arange(N)) == [relation]


def test_a_square_is_not_solved_for_numbers_of_both_signs():
    near_one, x = RNG.normal(1, 0.001, N), RNG.normal(0, 1, N)
    for own, is_solved in ((np.abs(x) + 0.1, True), (x, False)):
        table = {"near one": near_one, "x": own, "square": own**2, "product": near_one * own**2}
        columns = list(map(cells, table.values()))
        found = [Relation(2, (1,), (1.0,), 0.0, 0, "square"), Relation(0, (3, 2), (1.0,), power=-1)]
        turned = gentle(found, columns, codes_of(columns), np.arange(N))
        assert len(turned) == 2 or not is_solved
        assert all(each.column != 1 for each in turned) or is_solved
        noisy = [cells(each + 0.001 * each.std() * RNG.normal(size=N)) for each in table.values()]
        rows = restored(noisy, codes_of(columns), turned, np.zeros((N, 4), bool))
        assert np.mean(np.sign(rows[1].values) == np.sign(own)) > 0.99
