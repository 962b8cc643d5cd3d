"""Summaries of the rows of a parent, and what is left of them, against their definitions."""

import numpy as np
import pytest

from pointillist.relational.database import ChildRows, Order, Walk
from pointillist.relational.features import Feature, moved_positions, moved_to_means, summarized
from pointillist.tables.table import Column, number_column

N = 40


@pytest.fixture
def children():
    rng = np.random.default_rng(0)
    parents = np.sort(rng.integers(0, 8, N))
    x = rng.normal(size=N)
    x[rng.random(N) < 0.2] = np.nan
    kind = Column(rng.integers(0, 3, N), rng.random(N) < 0.1, ("a", "b", "c"))
    return parents, {"x": number_column(x), "kind": kind}


def features_of(cells):
    return tuple(Feature.of(name, each) for name, each in cells.items())


def test_summaries_are_means_deviations_fractions_and_numbers_of_categories(children):
    parents, cells = children
    found = summarized(features_of(cells), cells, parents, 9)
    assert found["mean of x"].is_missing[8]
    for parent in range(8):
        x = cells["x"].values[(parents == parent) & ~cells["x"].is_missing]
        np.testing.assert_allclose(found["mean of x"].values[parent], x.mean())
        np.testing.assert_allclose(found["deviation of x"].values[parent], x.std())
        here = parents == parent
        kinds = cells["kind"].values[here & ~cells["kind"].is_missing]
        for name in features_of(cells)[1].summaries[:-1]:
            category = "abc".index(name[-1])
            assert found[name].values[parent] == pytest.approx((kinds == category).sum() / here.sum())
        assert found["number of kind"].values[parent] == len(np.unique(kinds))


def walked(children, *, is_ordered):
    """The context of each row."""
    parents, cells = children
    features = features_of(cells)
    walk = Walk(Order("day", 1.0, 0.0, 9.0), np.zeros(9), np.zeros(9)) if is_ordered else None
    summaries, counts = summarized(features, cells, parents, 9), np.bincount(parents, minlength=9)
    sequences = ChildRows(features, summaries, counts, {}, walk)
    firsts = np.searchsorted(parents, np.arange(9))
    contexts = {}
    for step, of, found in sequences.steps():
        rows = firsts[of] + step
        for i, row in enumerate(rows.tolist()):
            contexts[row] = {name: each.values[i] for name, each in found.items()}
        days = {"step›day": number_column(np.ones(len(of)))}
        sequences.add(step, of, days | {name: each.take(rows) for name, each in cells.items()})
    return contexts


def test_every_row_is_walked_once_with_its_index_and_the_number_left(children):
    parents, _ = children
    contexts = walked(children, is_ordered=False)
    assert sorted(contexts) == [*range(N)]
    for row, context in contexts.items():
        here = np.flatnonzero(parents == parents[row])
        assert (context["index"], context["left"]) == (row - here[0], here[-1] - row + 1)
        assert not any(name.startswith("previous") for name in context)


def test_what_is_left_of_the_mean_at_the_last_row_is_the_row(children):
    parents, cells = children
    contexts = walked(children, is_ordered=True)
    n_checked = 0
    for row in np.flatnonzero(np.append(parents[1:] != parents[:-1], True)):
        if not cells["x"].is_missing[row]:
            np.testing.assert_allclose(contexts[row]["left›mean of x"], cells["x"].values[row], atol=1e-9)
            n_checked += 1
        if row and parents[row] == parents[row - 1]:
            assert contexts[row]["previous›x"] == cells["x"].values[row - 1]
    assert n_checked >= 4


def test_unknown_categories_are_missing_and_columns_of_many_categories_are_no_features():
    feature = Feature.of("kind", Column(np.array([0, 1]), np.zeros(2, bool), ("a", "b")))
    coded = feature.coded(Column(np.array([0, 1]), np.zeros(2, bool), ("b", "z")))
    np.testing.assert_array_equal(coded.is_missing, [False, True])
    assert coded.values[0] == 1
    many = Column(np.arange(300), np.zeros(300, bool), tuple(map(str, range(300))))
    assert Feature.of("name", many) is None
    assert Feature.from_json(feature.to_json()) == feature


@pytest.mark.parametrize("unit", [1, 7])
def test_an_order_of_dates_counts_in_the_steps_of_its_values(unit):
    days = 14_000 + unit * np.array([0, 3, 5, 12.0])
    order = Order.of("day", Column(days, np.zeros(4, bool), is_date=True), is_day=True)
    assert order.unit == unit and order.days == unit
    np.testing.assert_array_equal(order.positions(Column(days, np.zeros(4, bool))), [0, 3, 5, 12])
    np.testing.assert_array_equal(order.cells(np.array([3.0])).values, [14_000 + 3 * unit])
    weekdays = order.context(np.array([0.0, 12.0]))["weekday›day"].values
    np.testing.assert_array_equal(weekdays, days[[0, 3]] % 7)


def test_free_numbers_move_to_the_means_of_their_parents_within_ends():
    parents = np.array([0, 0, 0, 1, 1, 2])
    values = np.array([0.0, 2.0, 3.0, 9.0, 1.0, 5.0])
    is_free = values > 0
    found = moved_to_means(values, parents, np.array([2.0, 6.5, np.nan]), is_free, (0.0, 10.0))
    np.testing.assert_allclose(found, [0.0, 2.5, 3.5, 10.0, 2.875, 5.0])


def test_rows_at_the_ends_of_groups_move_until_the_mean_place_is_near():
    places = np.array([0.0] * 50 + [3.0] * 50 + [7.0] * 10 + [0.0, 1.0, 2.0] + [5.0, 5.0])
    parents = np.repeat([0, 1, 3], [110, 3, 2])
    found = moved_positions(places, parents, np.array([2.5, 2.0, 0.0, np.nan]))
    assert abs(found[:110].mean() - 2.5) < 0.15 < abs(places[:110].mean() - 2.5)
    assert set(found[:110]) == {0, 3, 7} and (np.diff(found[:110]) >= 0).all()
    np.testing.assert_array_equal(found[110:], places[110:])
