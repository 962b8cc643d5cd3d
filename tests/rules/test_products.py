"""Checks that products are found in tables and restored in rows that break them."""

import numpy as np
import pytest
from test_table_rules import cells, codes_of, rules_of

from pointillist.rules.products import Product
from pointillist.rules.table_rules import restore_rows

N = 2000


def products_in(found):
    return {(each.columns, each.factor) for each in found if isinstance(each, Product)}


def holds(found, columns, within):
    """Returns whether rows obey a product if each column is rounded to its unit."""
    product, first, *rest = (columns[column] for column in found.columns)
    product_within, first_within, *rest_within = (within[i] for i in found.columns)
    expected = found.factor * first * sum(rest)
    relative = first_within / np.abs(first) + sum(rest_within) / np.abs(sum(rest))
    return np.abs(product - expected) <= 1.001 * (product_within + np.abs(expected) * relative) + 1e-9


def shop(rng):
    quantity, price = rng.integers(1, 12, N).astype(float), np.round(rng.gamma(2, 10, N), 2)
    return [quantity, price, np.round(quantity * price, 2), rng.normal(size=N)]


def diamonds(rng):
    """Returns columns in which depth is in percent of the mean width, with typing errors in a few rows."""
    x = np.round(rng.gamma(20, 0.3, N), 2)
    y, depth = np.round(x * rng.normal(1, 0.02, N), 2), np.round(rng.normal(62, 1.5, N), 1)
    z = np.round(depth * (x + y) / 200, 2)
    return [x, y, np.where(rng.random(N) < 0.01, z + 1, z), depth]


def test_only_the_product_is_found(rng):
    found = rules_of(*map(cells, shop(rng)))
    assert products_in(found) == {((2, 0, 1), 1.0)}


def test_a_quotient_of_rounded_numbers_is_found(rng):
    assert products_in(rules_of(*map(cells, diamonds(rng)))) == {((2, 3, 0, 1), 0.005)}


def test_exact_numbers_without_digits(rng):
    a, b = np.exp(rng.normal(size=(2, N)))
    (found,) = [each for each in rules_of(*map(cells, (a, b, 3.7 * a / b))) if isinstance(each, Product)]
    assert holds(found, [a, b, 3.7 * a / b], np.zeros(3)).all()


@pytest.mark.parametrize("kind", ["flags", "nearly constant", "small counts", "approximate", "mostly zero"])
def test_no_product_is_found_where_there_is_none(rng, kind):
    a, b = rng.gamma(2, 10, (2, N))
    columns = {
        "flags": lambda: [*(c := rng.integers(0, 2, (2, N))), c[0] * c[1]],
        "nearly constant": lambda: [
            a,
            b,
            flag := np.where(rng.random(N) < 0.99, 1.0, 2.0),
            np.round(a * 1.0, 9) * flag,
        ],
        "small counts": lambda: [*rng.integers(0, 4, (3, N))],
        "approximate": lambda: [a, b, a * b * rng.normal(1, 0.01, N)],
        "mostly zero": lambda: [a, b, np.where(rng.random(N) < 0.99, 0.0, a * b)],
    }[kind]()
    found = products_in(rules_of(*map(cells, columns)))
    assert not any(len(set(columns[index])) < 5 for each in found for index in each[0][1:]) and (
        kind == "nearly constant" or not found
    )


def test_products_hold_in_restored_rows_and_observed_cells_are_kept(rng):
    for made, units in ((shop(rng), [0, 0.005, 0.005, 0]), (diamonds(rng), [0.005, 0.005, 0.005, 0.05])):
        data = [*map(cells, made)]
        (found,) = [each for each in rules_of(*data) if isinstance(each, Product)]
        missing = rng.random(N) < 0.1
        drawn = [cells(rng.permutation(v), missing if i == found.columns[0] else None) for i, v in enumerate(made)]
        is_fixed = np.zeros((N, 4), bool)
        is_fixed[:500, found.columns[0]] = True
        is_fixed[500:900, list(found.columns[1:])] = True
        back = [each.values for each in restore_rows(drawn, codes_of(data), (found,), is_fixed)]
        for values, before, fixed in zip(back, drawn, is_fixed.T, strict=True):
            np.testing.assert_array_equal(values[fixed | missing], before.values[fixed | missing])
        there = ~missing
        assert holds(found, [values[there] for values in back], units).mean() > 0.999
        exact = [values[there & ~is_fixed[:, found.columns[0]]] for values in back]
        assert holds(found, exact, np.where(np.arange(4) == found.columns[0], units, 0)).all()


def test_no_column_is_calculated_from_itself(rng):
    a, b, c = np.exp(0.3 * rng.normal(size=(3, N)))
    made = [a, b, a * b, a * b / c, c, b / c]
    data = [*map(cells, made)]
    found = [each for each in rules_of(*data) if isinstance(each, Product)]
    assert len(found) == 3 and len({each.columns[each.solved] for each in found}) == 3
    drawn = [cells(rng.permutation(values)) for values in made]
    back = [each.values for each in restore_rows(drawn, codes_of(data), found, np.zeros((N, 6), bool))]
    for each in found:
        assert holds(each, back, np.full(6, 1e-7)).all(), each


def test_a_count_is_not_calculated_where_other_columns_decide_the_product(rng):
    """A rounded count would leave the product nearly as wrong as before, so another column is solved for."""
    price, quantity = np.round(rng.gamma(2, 10, N) + 1, 2), np.ceil(rng.lognormal(3, 1, N))
    net = np.round(price * quantity, 2)
    tax = np.round(0.19 * rng.gamma(2, 100, N), 2)
    made = [np.round(net + tax, 2), tax, net, price, quantity]
    data = [*map(cells, made)]
    found = rules_of(*data)
    assert not any(isinstance(each, Product) and each.columns[each.solved] == 4 for each in found)
    back = restore_rows([cells(rng.permutation(v)) for v in made], codes_of(data), found, np.zeros((N, 5), bool))
    gross, tax, net, price, quantity = (each.values for each in back)
    np.testing.assert_allclose(gross, tax + net, atol=1e-6)
    if any(isinstance(each, Product) for each in found):
        assert (np.abs(net - price * quantity) < 0.0051 + 0.005 * quantity).mean() > 0.99


def test_constant_and_huge_columns_are_ignored(rng):
    columns = [*shop(rng), np.full(N, 2024.0), 1e150 * rng.random(N)]
    assert products_in(rules_of(*map(cells, columns))) == {((2, 0, 1), 1.0)}


def test_a_factor_of_0_is_replaced_if_the_product_is_observed():
    data = [*map(cells, shop(np.random.default_rng(0)))][:3]
    drawn = [cells([3.0]), cells([0.0]), cells([20.0])]
    rule = Product((2, 0, 1), 1.0, is_exact=False)
    back = restore_rows(drawn, codes_of(data), (rule,), np.array([[True, False, True]]))
    assert [each.values[0] for each in back] == [3, 6.67, 20]


def test_sums_and_products_hold_together(rng):
    quantity, price, total, _ = shop(rng)
    tax = np.round(0.19 * total, 2)
    made = [quantity, price, total, tax, np.round(total + tax, 2)]
    data = [*map(cells, made)]
    found = rules_of(*data)
    drawn = [cells(rng.permutation(values)) for values in made]
    back = [each.values for each in restore_rows(drawn, codes_of(data), found, np.zeros((N, 5), bool))]
    np.testing.assert_allclose(back[4], back[2] + back[3], atol=1e-9)
    np.testing.assert_allclose(back[2], back[0] * back[1], atol=0.0051)
