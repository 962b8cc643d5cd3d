"""Columns that are a function of one other are found to the last digit, and hold again in rows that were drawn."""

import numpy as np
import pytest

from pointillist.points.column_code import ColumnCode
from pointillist.points.functions import FUNCTIONS
from pointillist.points.mixed import Cells
from pointillist.points.relations import relations, restored

N = 1000


def cells(values, missing=None):
    return Cells(np.asarray(values, float), np.zeros(len(values), bool) if missing is None else missing)


def found_in(*columns):
    codes = [ColumnCode.fit(str(i), column) for i, column in enumerate(columns)]
    return codes, [each for each in relations(columns, codes) if getattr(each, "factors", ())]


def drawn_again(columns, codes, found, seed=1):
    """Every column's values in another order, with the relations restored."""
    rng = np.random.default_rng(seed)
    mixed = [cells(rng.permutation(column.values)) for column in columns]
    return restored(mixed, codes, found, np.zeros((N, len(columns)), bool))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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


def test_values_that_a_function_does_not_have_stay(rng):
    x = rng.gamma(3, 8, N)
    data = [cells(x), cells(np.log(x))]
    codes, found = found_in(*data)
    given = [cells(np.full(N, -1.0)), cells(np.full(N, 2.0))]
    back = restored(given, codes, found, np.tile([True, False], (N, 1)))
    assert (back[0].values == -1).all() and (back[1].values == 2).all()


@pytest.mark.parametrize(
    "y",
    [
        lambda x, rng: np.round(x, 0) + rng.integers(0, 2, N),
        lambda x, rng: np.log(x) + rng.normal(0, 1e-4, N),
        lambda x, rng: np.where(rng.random(N) < 0.01, 0.0, np.log(x)),
        lambda x, rng: np.round(x / 100),
    ],
    ids=["noise of a unit", "noise", "a few rows", "few values"],
)
def test_what_is_nearly_a_function_is_none(rng, y):
    x = np.round(rng.gamma(3, 80, N) + 1, 2)
    assert found_in(cells(x), cells(y(x, rng)))[1] == []


def test_rows_with_missing_cells_show_nothing_and_stay(rng):
    x, missing = rng.gamma(3, 8, N), rng.random(N) < 0.2
    data = [cells(x), cells(np.where(missing, 0, np.log(x)), missing)]
    codes, found = found_in(*data)
    assert [each.function for each in found] == ["log"]
    back = restored([cells(rng.permutation(x)), data[1]], codes, found, np.zeros((N, 2), bool))
    np.testing.assert_array_equal(back[1].is_missing, missing)
    np.testing.assert_allclose(back[1].values[~missing], np.log(back[0].values[~missing]), rtol=1e-9)
