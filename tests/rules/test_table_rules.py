"""Checks that rules are found in tables and restored in rows that break them."""

import json

import numpy as np
import pytest

from pointillist.columns.kinds import fit_encoder
from pointillist.rules.combinations import Combination
from pointillist.rules.expressions import Expression
from pointillist.rules.inequalities import Inequality
from pointillist.rules.lookups import Lookup
from pointillist.rules.multiples import Increment
from pointillist.rules.powers import Power
from pointillist.rules.products import Product
from pointillist.rules.rule import NumberRange
from pointillist.rules.sums import Sum
from pointillist.rules.table_rules import KINDS, broken_rows, find_rules, restore_rows, rule_from_json
from pointillist.tables.table import Column

N = 1000


def cells(values, missing=None):
    return Column(np.asarray(values, float), np.zeros(len(values), bool) if missing is None else missing)


def codes_of(columns):
    return [fit_encoder(str(i), column) for i, column in enumerate(columns)]


def order(high, low):
    """Returns the order of two columns as it is found by `rules_of`."""
    return Inequality((high, low), (1.0, -1.0), 0.0, False, f"{high} ≥ {low}")


def rules_of(*columns):
    return find_rules(columns, codes_of(columns))


def test_sums_are_found_with_their_factors_and_no_others(rng):
    a, b, c = rng.integers(0, 1000, (3, N))
    total, code = a + b + 7, 100 * c + 2 * a
    found = rules_of(*map(cells, (a, b, total, c, code)))
    sums = [rule for rule in found if isinstance(rule, Sum)]
    assert {*sums} == {Sum((2, 0, 1), (1.0, 1.0), 7.0), Sum((4, 0, 3), (2.0, 100.0))}
    assert not any(isinstance(found, Sum) for found in rules_of(*map(cells, (a, b, total + (rng.random(N) < 0.01), c))))
    assert find_rules([*map(cells, (a, b, total))], codes_of([*map(cells, (a, b, total))]), ["2"]) == ()
    assert rules_of(*map(cells, (a[:50], b[:50], total[:50]))) == ()


def test_sums_hold_to_the_precision_of_the_data_in_complete_rows(rng):
    parts = np.round(rng.gamma(2, 10, (2, N)), 2)
    share = np.round(parts[0] * np.random.default_rng(1).uniform(0.3, 0.35, N), 2)
    missing = rng.random(N) < 0.1
    total = cells(np.where(missing, 0, np.round(parts.sum(axis=0), 2)), missing)
    data = [cells(parts[0]), cells(parts[1]), total, cells(share)]
    found = rules_of(*data)
    (found_sum,) = [rule for rule in found if isinstance(rule, Sum)]
    assert found_sum.columns == (2, 0, 1)
    new = np.round(rng.gamma(2, 10, (4, N)), 2)
    rows = [*map(cells, new[:2]), cells(new[2], rng.random(N) < 0.3), cells(new[3])]
    back = restore_rows(rows, codes_of(data), found, np.zeros((N, 4), bool))
    there = ~rows[2].is_missing
    np.testing.assert_array_equal(back[2].values[there], np.round(back[0].values + back[1].values, 2)[there])
    is_broken = new[0] < new[3]
    assert is_broken.any() and (back[0].values >= new[3]).all()
    np.testing.assert_array_equal(back[0].values[~is_broken], new[0][~is_broken])
    np.testing.assert_array_equal(back[1].values, new[1])
    np.testing.assert_array_equal(back[2].is_missing, rows[2].is_missing)


def test_observed_cells_are_kept_and_another_column_restores_the_sum(rng):
    rule = Sum((2, 0, 1), (1.0, 2.0), 3.0)
    a, b, c = rng.integers(0, 100, (3, N)).astype(float)
    is_fixed = np.zeros((N, 3), bool)
    is_fixed[:, 2] = True
    is_fixed[500:, 0] = True
    is_fixed[900:] = True
    data = [*map(cells, (a, b, c))]
    found = [column.values for column in restore_rows(data, codes_of(data), (rule,), is_fixed)]
    np.testing.assert_array_equal(found[2], c)
    np.testing.assert_array_equal(found[0][:500], (c - 3 - 2 * found[1])[:500])
    stays = np.abs(c - 3 - 2 * b - 49.5) <= 49.5
    np.testing.assert_array_equal(found[1][:500][stays[:500]], b[:500][stays[:500]])
    np.testing.assert_array_equal(found[1][500:900], np.round((c - 3 - a) / 2)[500:900])
    for values, given in zip(found, (a, b, c), strict=True):
        np.testing.assert_array_equal(values[900:], given[900:])


def test_restored_sums_stay_within_the_ranges_of_their_columns(rng):
    married, single, divorced = rng.multinomial(1, [0.3, 0.5, 0.2], N).T
    parts = np.round(rng.gamma(2, 10, (2, N)), 2)
    total = np.round(parts.sum(axis=0), 2)
    data = [*map(cells, (married, single, divorced, *parts, total, np.round(total - 2 * single, 2)))]
    found = rules_of(*data)
    assert {rule.columns[0] for rule in found if isinstance(rule, Sum)} == {2, 5, 6}
    drawn = [cells(rng.permutation(column.values)) for column in data]
    back = np.array([c.values for c in restore_rows(drawn, codes_of(data), found, np.zeros((N, 7), bool))])
    np.testing.assert_array_equal(back[:3].sum(axis=0), np.ones(N))
    assert set(back[:3].ravel()) == {0.0, 1.0}
    np.testing.assert_allclose(back[5], back[3] + back[4], atol=1e-9)
    np.testing.assert_allclose(back[6], back[5] - 2 * back[1], atol=1e-9)
    for values, column in zip(back[:6], data, strict=False):
        assert values.min() >= column.values.min() and values.max() <= column.values.max()


def test_orders_are_found_without_implied_ones_and_restore_rows(rng):
    start = rng.integers(0, 1000, N)
    middle = start + rng.integers(0, 400, N)
    end = middle + rng.integers(0, 400, N)
    far = rng.integers(5000, 9000, N)
    data = [*map(cells, (end, start, far, middle))]
    found = rules_of(*data)
    assert {each.columns for each in found} == {(3, 1), (0, 3)} and {type(each) for each in found} == {Inequality}
    new = [cells(column) for column in rng.integers(0, 1000, (4, N))]
    is_fixed = np.zeros((N, 4), bool)
    is_fixed[:300, 0] = True
    back = [column.values for column in restore_rows(new, codes_of(data), found, is_fixed)]
    assert (back[1][300:] <= back[3][300:]).all() and (back[3] <= back[0]).all()
    np.testing.assert_array_equal(back[0][:300], new[0].values[:300])


def test_sums_of_large_numbers_are_restored_to_their_last_digit(rng):
    start = 1.7e12 + rng.integers(0, 10**7, N)
    took = rng.integers(100, 900, N)
    columns = cells(start), cells(took), cells(start + took)
    codes, (found,) = codes_of(columns), [each for each in rules_of(*columns) if isinstance(each, Sum)]
    off = [*columns[:2], cells(start + took + 1000)]
    is_fixed = np.tile([True, True, False], (N, 1))
    np.testing.assert_array_equal(restore_rows(off, codes, [found], is_fixed)[2].values, start + took)


def test_orders_that_hold_by_chance_are_ignored(rng):
    missing = np.arange(200) < 20
    low, high = rng.integers(1, 11, 200), np.where(missing, 0.0, rng.uniform(100, 200, 200))
    assert rules_of(cells(low), cells(high, missing)) == ()
    # No row breaks this order, but this happens by chance for one in seven pairs of columns.
    few = np.zeros(100)
    few[:12] = 1
    assert (
        rules_of(cells(few), cells(np.where(np.arange(100) < 14, 2.0, np.where(np.arange(100) < 92, 1.0, 0.5)))) == ()
    )


def test_sums_are_kept_if_there_are_too_many_orders(rng):
    base = rng.uniform(0, 100, 400)
    early = [cells(base - shift) for shift in rng.uniform(0, 1, (15, 400))]
    late = [cells(base + shift) for shift in rng.uniform(0, 1, (14, 400))]
    a, b = rng.integers(-900, -100, (2, 400))
    found = rules_of(*early, *late, cells(a), cells(b), cells(a + b))
    assert len(found) == 200 and any(isinstance(each, Sum) for each in found)


def test_integers_stay_integers_under_an_order(rng):
    low = np.round(rng.gamma(2, 3, N), 1)
    data = [cells(low), cells(np.ceil(low))]
    found = [rule for rule in rules_of(*data) if not isinstance(rule, Lookup)]
    assert found == [order(1, 0)]
    drawn = [cells(rng.permutation(column.values)) for column in data]
    back = [column.values for column in restore_rows(drawn, codes_of(data), found, np.zeros((N, 2), bool))]
    assert (back[1] >= back[0]).all() and (back[1] % 1 == 0).all() and back[1].max() <= data[1].values.max()


def test_values_outside_the_range_are_not_made(rng):
    year, month = rng.integers(0, 20, N), rng.integers(1, 13, N)
    data = [*map(cells, (year, month, 12 * year + month))]
    found = rules_of(*data)
    drawn = [cells(rng.permutation(column.values)) for column in data]
    back = [column.values for column in restore_rows(drawn, codes_of(data), found, np.zeros((N, 3), bool))]
    np.testing.assert_array_equal(back[2], 12 * back[0] + back[1])
    assert all(a.min() >= b.values.min() and a.max() <= b.values.max() for a, b in zip(back, data, strict=True))
    # A flag takes no other values: the sum stays violated.
    flag = cells(np.ones(N))
    is_fixed = np.zeros((N, 2), bool)
    is_fixed[:, 1] = True
    codes = codes_of([cells(rng.integers(0, 2, N)), cells(rng.normal(size=N))])
    back = restore_rows([flag, cells(np.full(N, 5.0))], codes, (Sum((0, 1), (1.0,)),), is_fixed)
    assert back[0].values.max() == 1
    codes = codes_of([cells(rng.normal(size=N)), cells(rng.normal(size=N))])
    back = restore_rows([flag, cells(np.full(N, 5.0))], codes, (Sum((0, 1), (1.0,)),), is_fixed)
    assert back[0].values.min() == 5


def test_dates_are_compared_only_with_dates(rng):
    days = rng.integers(0, 1000, (2, N)).astype(float)
    first, last = days.min(axis=0), days.max(axis=0)
    dates = [Column(column, np.zeros(N, bool), is_date=True) for column in (first, last)]
    found = rules_of(*dates, cells(last + rng.integers(0, 9, N)))
    assert found == (order(1, 0),)


def test_training_rows_obey_all_rules_found_in_them(rng):
    """Includes products that are inexact because their terms are rounded."""
    a, b = np.round(rng.gamma(20, 0.3, N), 1), np.round(rng.gamma(20, 0.3, N), 1)
    made, kind = np.round(a * rng.normal(1, 0.3, N), 2), rng.integers(0, 9, N)
    table = [
        a,
        b,
        a + b,
        np.round(1.8 * a + 32, 1),
        made,
        np.round(made * a, 2),
        b + 1 + rng.gamma(1, 1, N),
        kind,
        kind // 3,
    ]
    data = [*map(cells, table)]
    found, codes = rules_of(*data), codes_of(data)
    assert {each.kind for each in found} == {"sum", "product", "inequality", "lookup"}
    assert not np.any(broken_rows(data, codes, found))
    for each in found:
        if not isinstance(each, Lookup):
            ranges = [NumberRange.of(codes[column], is_strict=True) for column in each.columns]
            values = np.stack([data[column].values for column in each.columns], axis=1)
            assert not each.excluded(values, values, ranges).any()
            values[:, 0] = values[:, 1:].min() - 1 if isinstance(each, Inequality) else 0.9 * values[:, 0] - 1
            assert each.excluded(values, values, ranges).all()


RULES = [
    Sum((2, 0, 1), (1.0, -0.5), 3.0, solved=1, is_exact=False),
    Product((2, 0, 1), 3.0, solved=2),
    Inequality((1, 0), (1.0, -2.0), 0.5, True, "b > 2 a", is_declared=True),
    Lookup((1, 0), np.array([[0.0, 1.0], [2.0, 0.0]])),
    Combination((1, 0), np.array([[0.0, 1.0], [2.0, 0.0], [2.0, 1.0]]), "b, a", is_declared=True),
    Increment((1,), 0.05, "b is a multiple of 0.05"),
    Expression((1, 0), "b > 3 or a > 3", (0.0, 0.0), (False, False)),
    Power((1, 0), 3.0, -0.5),
]


def test_the_registry_has_every_kind():
    assert [KINDS[each.kind] for each in RULES] == [type(each) for each in RULES] and len(KINDS) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda each: each.kind)
def test_a_rule_equals_itself_after_json(rule):
    again = rule_from_json(json.loads(json.dumps(rule.to_json())), 3)
    assert again.to_json() == rule.to_json() and type(again) is type(rule)


@pytest.mark.parametrize("rule", [each for each in RULES if len(each.columns) > 1], ids=lambda each: each.kind)
@pytest.mark.parametrize("columns", [[2, 9, 1], [2, 0, 2], ["a", 0, 1], [1], [0, 1.0], [-1, 0, 1]], ids=str)
def test_invalid_columns_of_a_rule_are_refused(rule, columns):
    with pytest.raises(ValueError, match="rule"):
        rule_from_json(
            {**rule.to_json(), "columns": columns[: len(rule.columns)] if columns[-1:] != [2] else columns}, 3
        )


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (RULES[0], {"kind": "sums"}),
        (RULES[0], {"factors": [1.0]}),
        (RULES[0], {"factors": [1.0, 0.0]}),
        (RULES[0], {"factors": [1.0, float("nan")]}),
        (RULES[0], {"constant": "x"}),
        (RULES[0], {"solved": 3}),
        (RULES[1], {"columns": [0, 1]}),
        (RULES[1], {"factor": 0.0}),
        (RULES[1], {"is_exact": 1}),
        (RULES[2], {"columns": [0, 1, 2]}),
        (RULES[2], {"is_strict": 1}),
    ],
)
def test_invalid_rules_are_refused(rule, change):
    with pytest.raises(ValueError, match=r"rule|sum|product|inequality"):
        rule_from_json({**rule.to_json(), **change}, 3)


def test_equations_and_orders_need_numbers():
    codes = [
        fit_encoder("number", cells([1, 2])),
        fit_encoder("text", Column(np.array([0, 1]), np.zeros(2, bool), ("a", "b"))),
    ]
    order(0, 2).check([*codes, codes[0]])
    with pytest.raises(ValueError, match="'text' has categories"):
        Sum((0, 1), (1.0,)).check(codes)


def test_a_rule_as_text():
    names = "total", "a", "b", "c"
    assert Sum((0, 1, 2), (1.0, -0.5), -3.0).text(names) == "total = a - 0.5 b - 3"
    assert Sum((0, 1), (2.0,)).text(names) == "total = 2 a"
    assert Product((0, 1, 2), 0.5).text(names) == "total = 0.5 × a × b"
    assert Product((0, 1, 2, 3), 1.0).text(names) == "total = a × (b + c)"


def test_a_long_sum_cannot_hold_outside_the_range_of_its_terms(rng):
    terms = rng.integers(0, 100, (30, N))
    signs = np.repeat([1.0, -1.0], 15)
    data = [cells(signs @ terms), *map(cells, terms)]
    ranges = [NumberRange.of(code, is_strict=True) for code in codes_of(data)]
    total = Sum(tuple(range(31)), tuple(signs))
    # The terms lie between 0 and 99, and the sum of 15 minus the sum of 15 others between -1485 and 1485.
    low = np.column_stack([[-2000, -1490, 1480, 1486], np.zeros((4, 30))])
    high = np.column_stack([[-1486, -1480, 1490, 2000], np.full((4, 30), 99.0)])
    assert total.excluded(low, high, ranges).tolist() == [True, False, False, True]
