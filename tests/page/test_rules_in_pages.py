"""Checks that a page restores rules as Python does."""

import numpy as np
import pytest

from browsers import IN_CHROMIUM
from pointillist.columns.kinds import fit_encoder
from pointillist.rules.combinations import Combination
from pointillist.rules.inequalities import Inequality
from pointillist.rules.lookups import Lookup
from pointillist.rules.powers import Power
from pointillist.rules.products import Product
from pointillist.rules.sums import Sum
from pointillist.rules.table_rules import restore_rows
from pointillist.tables.table import Column

N = 400

RESTORE = """([rules, columns, fixed, isStrict]) => {
  const copies = columns.map((column) => ({ ...column, values: Float64Array.from(column.values) }));
  for (const column of copies) {
    const scale = column.step ? 1 / column.step : 10 ** column.decimals;
    if (!column.bounds) delete column.bounds;
    column.round = (value) => pointillist.rounded(value * scale) / scale;
  }
  pointillist.restoreRules(rules, copies, 0, copies[0].values.length, (row, token) => fixed[row][token], isStrict);
  return copies.map(({ values }) => Array.from(values));
}"""


EQUATIONS = {
    "product": Product((2, 0, 1), 1.0),
    "rounded product": Product((2, 0, 1), 1.0, is_exact=False),
    "product of a sum": Product((2, 3, 0, 1), 0.5, solved=1),
    "square": Power((2, 0), 0.5, 2.0),
    "root of the other": Power((2, 0), 0.5, 2.0, solved=1, is_exact=False),
    "quotient": Product((0, 2, 1), 2.0, solved=2),
    "sum": Sum((2, 0, 1), (1.0, -1.37), 3.0, solved=1),
    "multiple": Sum((2, 1), (3.0,), 5.0),
}


@IN_CHROMIUM
@pytest.mark.parametrize("rule", EQUATIONS.values(), ids=[*EQUATIONS])
def test_equations_are_restored_as_in_python(mixed_model, page_of, rule):
    rng = np.random.default_rng(0)
    made = [np.round(rng.gamma(4, 5, N) + 1, 2) for _ in range(4)]
    made[0] = np.ceil(made[0])
    found = restored_in_page(page_of(mixed_model), (rule,), made, rng.random((N, 4)) < 0.3)
    solved = rule.columns[rule.solved]
    assert np.abs(np.array(found[solved]) - made[solved]).max() > 1


@IN_CHROMIUM
def test_chains_are_restored_as_in_python(mixed_model, page_of):
    rng = np.random.default_rng(0)
    made = [np.round(rng.normal(0, 3, N), 2) for _ in range(5)]
    made[0][:9] = 0
    chain = (Product((1, 0, 3), -2.0, is_exact=False), Sum((3, 1, 2), (1.0, 1.0), solved=1), Sum((4, 3), (0.1,), 1.0))
    restored_in_page(page_of(mixed_model), chain, made, rng.random((N, 5)) < 0.4)


@IN_CHROMIUM
def test_lookups_are_restored_as_in_python(mixed_model, page_of):
    rng = np.random.default_rng(0)
    table = np.stack([np.arange(8.0), rng.permutation(8), np.arange(8) // 2, np.arange(8) % 3], axis=1)
    made = [table[rng.integers(0, 8, N), i] for i in (2, 0, 1, 3)]
    made[1][::9] = 8
    found = restored_in_page(page_of(mixed_model), (Lookup((1, 2, 0, 3), table),), made, rng.random((N, 4)) < 0.3)
    assert (np.array(found[0]) != made[0]).any() and (np.array(found[1]) != made[1]).any()


@IN_CHROMIUM
def test_combinations_are_restored_as_in_python(mixed_model, page_of):
    rng = np.random.default_rng(0)
    table = np.array([[i, j, (i * j) % 3] for i in range(6) for j in range(5) if (i + j) % 2], float)
    made = [rng.integers(0, n, N).astype(float) for n in (6, 5, 3)]
    is_fixed = rng.random((N, 3)) < 0.2
    found = np.array(restored_in_page(page_of(mixed_model), (Combination((0, 1, 2), table, ""),), made, is_fixed))
    rows = {tuple(row) for row in table}
    assert np.mean([tuple(row) in rows for row in found.T]) > 0.9


@IN_CHROMIUM
def test_inequalities_are_restored_as_in_python(mixed_model, page_of):
    rng = np.random.default_rng(0)
    made = [*np.round(rng.normal(0, 9, (5, N)), 1)]
    rules = (
        Inequality((1, 0), (1.0, -1.0), 0.0, True, "0 < 1"),
        Inequality((2, 0, 1), (-1.0, 0.3137, 0.6271), 3.0, False, "2 ≤ 0.3137 x 0 + 0.6271 x 1 + 3"),
        Inequality((3,), (1.0,), 2.0, True, "3 > -2"),
        Inequality((4, 3), (1.0, -2.0), 0.0, True, "4 > 2 x 3"),
    )
    found = np.array(restored_in_page(page_of(mixed_model), rules, made, rng.random((N, 5)) < 0.1))
    assert (found[0] < found[1]).mean() > 0.95 and (found[3] > -2).mean() > 0.9


@IN_CHROMIUM
def test_rows_under_conditions_are_restored_as_in_python(mixed_model, page_of):
    """Restricts prices in cents, their sum with a tip, and an ordered start and end to ranges."""
    rng = np.random.default_rng(0)
    quantity, price = rng.integers(1, 12, N).astype(float), np.round(rng.gamma(2, 10, N) + 1, 2)
    amount, tip = np.round(quantity * price, 2), np.round(rng.gamma(2, 2, N), 2)
    days = np.sort(rng.integers(0, 90, (2, N)), axis=0).astype(float)
    table = [quantity, price, amount, tip, np.round(amount + tip, 2), *days]
    rules = Inequality((6, 5), (1.0, -1.0), 0.0, False, "5 ≤ 6"), Product((2, 0, 1), 1.0), Sum((4, 2, 3), (1.0, 1.0))
    bounds = {1: (9.5, 12.0), 4: (60.0, 65.0), 5: (30.0, 90.0), 6: (0.0, 50.0)}
    made = [rng.permutation(column) for column in table]
    for index, ends in bounds.items():
        made[index] = np.round(rng.uniform(*ends, N), 0 if index > 4 else 2)
    is_fixed = np.zeros((N, 7), bool)
    is_fixed[::7, 0] = True
    found = np.array(restored_in_page(page_of(mixed_model), rules, made, is_fixed, table, bounds))
    # No other observed quantity has these prices.
    found = found[:, ~is_fixed[:, 0] | (made[0] == 5)]
    np.testing.assert_allclose(found[2], np.round(found[0] * found[1], 2), atol=1e-9)
    np.testing.assert_allclose(found[4], found[2] + found[3], atol=1e-9)
    assert found.shape[1] > 340 and (found[5] <= found[6]).all()
    for index, (low, high) in bounds.items():
        assert (low <= found[index]).all() and (found[index] <= high).all()


def restored_in_page(page, rules, made, is_fixed, table=None, bounds=None):
    """A page restores the same rows as Python."""
    cells = [Column(values, np.zeros(N, bool)) for values in made]
    data = cells if table is None else [Column(values, np.zeros(N, bool)) for values in table]
    codes = [fit_encoder(str(i), each) for i, each in enumerate(data)]
    expected = restore_rows(cells, codes, rules, is_fixed, bounds)
    columns = [
        {
            "ends": code.ends,
            "step": float(code.grid.step or 0),
            "decimals": code.grid.decimals,
            "scores": code.scores is not None,
            "values": values.tolist(),
            "bounds": (bounds or {}).get(i),
        }
        for i, (code, values) in enumerate(zip(codes, made, strict=True))
    ]
    found = page.evaluate(RESTORE, [[each.to_json() for each in rules], columns, is_fixed.tolist(), bounds is not None])
    for i, values in enumerate(found):
        np.testing.assert_allclose(values, expected[i].values, atol=1e-9)
    return found
