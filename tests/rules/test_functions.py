"""Columns that are a function of one other are found to the last digit, and hold again in rows that were drawn."""

import numpy as np
import pytest
from test_relations import cells, codes_of

from pointillist.rules.functions import FUNCTIONS
from pointillist.rules.lookups import Lookup
from pointillist.rules.relation import Relation
from pointillist.rules.relations import relations, restored
from pointillist.tables.table import Column

N = 1000


def found_in(*columns):
    codes = codes_of(columns)
    return codes, [each for each in relations(columns, codes) if getattr(each, "factors", ())]


def drawn_again(columns, codes, found, seed=1):
    """Every column's values in another order, with the relations restored."""
    rng = np.random.default_rng(seed)
    mixed = [cells(rng.permutation(column.values)) for column in columns]
    return restored(mixed, codes, found, np.zeros((N, len(columns)), bool))


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name])
@pytest.mark.parametrize("digits", [None, 3])
def test_functions_are_found_and_restored(rng, name, digits):
    x = np.round(rng.gamma(3, 0.5, N) + 0.5, 2)
    y = -2.5 * FUNCTIONS[name][0](x) + 7
    data = [cells(x), cells(y if digits is None else np.round(y, digits)), cells(rng.normal(size=N))]
    codes, (own,) = found_in(*data)
    assert (own.column, own.terms, own.function, own.factors, own.constant) == (1, (0,), name, (-2.5,), 7.0)
    back = drawn_again(data, codes, (own,))
    assert not np.array_equal(back[0].values, x)
    wanted = -2.5 * FUNCTIONS[name][0](back[0].values) + 7
    np.testing.assert_allclose(back[1].values, wanted, atol=1e-8 if digits is None else 0.5001e-3)


def test_other_units_are_found_though_both_are_rounded(rng):
    celsius = np.round(rng.normal(12, 8, N), 1)
    data = [cells(np.round(1.8 * celsius + 32, 1)), cells(celsius), cells(np.round(celsius / 3, 2))]
    codes, found = found_in(*data)
    assert {(each.column, each.terms, each.factors, each.constant) for each in found} >= {(0, (1,), (1.8,), 32.0)}
    back = [each.values for each in drawn_again(data, codes, found)]
    np.testing.assert_allclose(back[0], 1.8 * back[1] + 32, atol=0.0501)


def test_the_finer_of_two_columns_is_calculated_and_neither_from_itself(rng):
    pay = np.round(rng.gamma(3, 8, N) + 1, 2)
    data = [cells(np.log(pay)), cells(pay), cells(np.square(np.log(pay)))]
    codes, found = found_in(*data)
    assert {(each.column, each.terms, each.function) for each in found} == {(0, (1,), "log"), (2, (0,), "square")}
    back = [each.values for each in drawn_again(data, codes, found)]
    np.testing.assert_allclose(back[0], np.log(back[1]), rtol=1e-9)
    np.testing.assert_allclose(back[2], np.square(back[0]), rtol=1e-6)
    assert np.isin(back[1], pay).all()


def test_a_given_value_decides_what_it_is_calculated_from(rng):
    x = rng.normal(size=N)
    data = [cells(x), cells(x**2)]
    codes, found = found_in(*data)
    new = [cells(rng.permutation(x)), cells(x**2)]
    is_fixed = np.tile([False, True], (N, 1))
    back = [each.values for each in restored(new, codes, found, is_fixed)]
    np.testing.assert_array_equal(back[1], x**2)
    np.testing.assert_allclose(np.abs(back[0]), np.abs(x), rtol=1e-6)
    # Of two roots, the one on the side of what was drawn, unless the range does not have it.
    assert (np.sign(back[0]) == np.sign(new[0].values)).mean() > 0.99


@pytest.mark.parametrize(("name", "given"), [("log", [True, False]), ("sqrt", [False, True])])
def test_values_that_a_function_does_not_have_stay(rng, name, given):
    x = rng.gamma(3, 8, N)
    data = [cells(x), cells(FUNCTIONS[name][0](x))]
    codes, found = found_in(*data)
    made = [cells(np.full(N, -1.0)), cells(np.full(N, -2.0))]
    back = restored(made, codes, found, np.tile(given, (N, 1)))
    assert (back[0].values == -1).all() and (back[1].values == -2).all()


def test_what_an_unreachable_value_leaves_open_follows_other_given_cells(rng):
    c = rng.gamma(3, 8, N)
    data = [cells(c), cells(2 * c + 1), cells(np.sqrt(2 * c + 1))]
    codes, found = found_in(*data)
    chain = {each.column: each for each in found}
    relation = Relation(2, (1,), (1.0,), 0.0, 0, "sqrt")
    made = [data[0], cells(rng.permutation(2 * c + 1)), cells(np.full(N, -2.0))]
    back = restored(made, codes, (relation, chain[1]), np.array([True, False, True])[None].repeat(N, axis=0))
    np.testing.assert_allclose(back[1].values, 2 * c + 1)


def test_a_given_end_of_a_chain_decides_all_of_it(rng):
    dollars = np.round(rng.gamma(3, 80, N) + 1, 2)
    euros = np.round(0.92 * dollars, 2)
    other = np.round(rng.gamma(3, 80, N), 2)
    data = [*map(cells, (dollars, euros, np.log(euros), other, np.round(euros + other, 2)))]
    codes, found = found_in(*data)
    assert [(each.column, each.terms) for each in found] == [(1, (0,)), (4, (1, 3)), (2, (1,))]
    new = [cells(rng.permutation(column.values)) for column in data]
    for given in ([2], [3, 4]):
        is_fixed = np.isin(np.arange(5), given)[None].repeat(N, axis=0)
        wanted = [cells(data[i].values if i in given else own.values) for i, own in enumerate(new)]
        back = [each.values for each in restored(wanted, codes, found, is_fixed)]
        np.testing.assert_allclose(back[1], euros, atol=1e-6)
        np.testing.assert_allclose(back[1], 0.92 * back[0], atol=0.0101)
        np.testing.assert_allclose(back[2], np.log(back[1]), rtol=1e-9)
        np.testing.assert_allclose(back[4], back[1] + back[3], atol=1e-6)


def test_what_given_cells_decide_through_others_is_given_too(rng):
    a, e = np.round(rng.gamma(3, 80, N) + 1, 2), np.round(rng.normal(size=N), 3)
    data = [*map(cells, (a, np.log(a), e, np.log(a) + e))]
    codes, found = found_in(*data)
    new = [cells(rng.permutation(column.values)) for column in data]
    wanted = [data[0], *new[1:3], data[3]]
    back = restored(wanted, codes, found, np.isin(np.arange(4), [0, 3])[None].repeat(N, axis=0))
    for own, column in zip(back, data, strict=True):
        np.testing.assert_allclose(own.values, column.values, atol=1e-9)


def test_factors_of_many_digits_are_found_where_large_numbers_ask_for_them(rng):
    seconds = rng.integers(0, 10**7, N).astype(float)
    (own,) = found_in(cells(seconds), cells(np.round(seconds / 86400, 2)))[1]
    assert own.factors[0] == pytest.approx(1 / 86400, rel=1e-6)
    many = np.round(np.append(rng.gamma(3, 8, 20_000), 1e6), 2)
    data = [cells(many), cells(np.round(1.60934 * many, 2))]
    (own,) = [each for each in found_in(*data)[1] if each.factors]
    assert own.factors == (1.60934,)


def test_a_column_decides_others_though_some_are_functions_of_each_other(rng):
    lengths, route = rng.integers(100, 3000, 60), rng.integers(0, 60, N)
    lengths[1] = lengths[0]
    miles, names = lengths[route].astype(float), tuple(f"R{i}" for i in range(60))
    data = [Column(route, np.zeros(N, bool), names), cells(np.round(1.609344 * miles, 1)), cells(miles)]
    codes = codes_of(data)
    found = relations(data, codes)
    assert {each.text("abc") for each in found} >= {"a decides c"}
    (own,) = [each for each in found if getattr(each, "factors", ())]
    assert (own.column, own.terms) == (1, (2,)) and own.factors == (pytest.approx(1.609344, rel=1e-5),)
    assert not any(isinstance(each, Lookup) and each.column == 1 for each in found)
    mixed = [Column(rng.permutation(each.values), each.is_missing, each.categories) for each in data]
    back = restored(mixed, codes, found, np.zeros((N, 3), bool))
    np.testing.assert_array_equal(back[2].values, lengths[back[0].values.astype(int)])
    np.testing.assert_allclose(back[1].values, 1.609344 * back[2].values, atol=0.0501)


def of_single_precision(x):
    return x.astype(np.float32).astype(float)


def test_numbers_of_single_precision_are_a_function_to_that_precision(rng):
    x = np.round(rng.gamma(3, 8, N) + 1, 2)
    for y in (of_single_precision(np.log(of_single_precision(x))), np.round(np.log10(x), 9)):
        (own,) = found_in(cells(x), cells(y))[1]
        assert (own.column, own.function) == (1, "log")


@pytest.mark.parametrize(
    "y",
    [
        lambda x, rng: np.round(x, 0) + rng.integers(0, 2, N),
        lambda x, rng: np.log(x) + rng.normal(0, 1e-4, N),
        lambda x, rng: np.where(rng.random(N) < 0.01, 0.0, np.log(x)),
        lambda x, rng: 1000 * np.round(x / 100),
    ],
    ids=["noise of a unit", "noise", "a few rows", "few values"],
)
def test_what_is_nearly_a_function_is_none(rng, y):
    x = np.round(rng.gamma(3, 80, N) + 1, 2)
    assert found_in(cells(x), cells(y(x, rng)))[1] == []


@pytest.mark.parametrize(
    "start",
    [
        lambda rng: 1.7e9 + rng.integers(0, 3 * 10**7, N),
        lambda rng: np.round(2.46e6 + 1000 * rng.random(N), 5),
        lambda rng: 1.7e9 + np.round(3e7 * rng.random(N), 3),
        lambda rng: np.where(rng.random(N) < 0.02, 2147483647, rng.integers(0, 100, N)),
    ],
    ids=["seconds", "days", "thousandths of seconds", "codes of missing cells"],
)
def test_columns_that_are_near_each_other_are_no_function(rng, start):
    first = np.asarray(start(rng), float)
    step = 1e-5 if np.ptp(first) < 2000 else 1.0
    last = np.round(np.where(first == 2147483647, first, first + step * rng.integers(0, 60, N)), 5)
    assert found_in(cells(first), cells(last))[1] == []


def test_numbers_with_all_their_digits_and_little_noise_are_no_function(rng):
    x = rng.gamma(3, 8, N)
    assert found_in(cells(x), cells(np.log(x) + 1e-9 * rng.normal(size=N)))[1] == []


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1e160, 1e300])
def test_numbers_of_any_size_are_compared(rng, size):
    x = rng.gamma(3, 8, N)
    found = found_in(cells(size * x), cells(x), cells(-x))[1]
    assert (2, 1) in {(each.column, each.terms[0]) for each in found}


def test_whole_numbers_of_which_half_are_one_more_are_no_function(rng):
    x = rng.integers(0, 1000, N)
    assert found_in(cells(x), cells(x + rng.integers(0, 2, N)))[1] == []


def test_rows_with_missing_cells_show_nothing_and_stay(rng):
    x, missing = rng.gamma(3, 8, N), rng.random(N) < 0.2
    data = [cells(x), cells(np.where(missing, 0, np.log(x)), missing)]
    codes, found = found_in(*data)
    assert [each.function for each in found] == ["log"]
    back = restored([cells(rng.permutation(x)), data[1]], codes, found, np.zeros((N, 2), bool))
    np.testing.assert_array_equal(back[1].is_missing, missing)
    np.testing.assert_allclose(back[1].values[~missing], np.log(back[0].values[~missing]), rtol=1e-9)
