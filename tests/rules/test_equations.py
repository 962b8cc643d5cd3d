"""Checks which column equations are solved for, and that rounded multiples are found."""

import numpy as np
import pytest
from test_table_rules import cells, codes_of

from pointillist.rules.equation import solvable
from pointillist.rules.lookups import Lookup
from pointillist.rules.products import Product
from pointillist.rules.rule import TrainingRows
from pointillist.rules.sums import Sum
from pointillist.rules.table_rules import find_rules, restore_rows
from pointillist.tables.table import Column

N = 2000


def found_in(*columns):
    codes = codes_of(columns)
    return codes, [each for each in find_rules(columns, codes) if isinstance(each, Sum | Product)]


def restored_permutation(columns, codes, found, rng):
    """Returns the columns independently permuted, with the rules restored."""
    mixed = [cells(rng.permutation(column.values)) for column in columns]
    return [each.values for each in restore_rows(mixed, codes, found, np.zeros((N, len(columns)), bool))]


def errors_after_restoring(table, found, columns, rng, fraction=0.01):
    """Returns the relative deviations of the columns after small errors are added and the rules restored."""
    noisy = [v + fraction * v.std() * rng.normal(size=N) for v in table.values()]
    rows = restore_rows(list(map(cells, noisy)), codes_of(columns), found, np.zeros((N, len(noisy)), bool))
    return [np.std(restored.values - v) / np.std(v) for restored, v in zip(rows, noisy, strict=True)]


def outlines(rng):
    """Returns measures of outlines; the last is 1 for an ellipse and nearly 1 for every row."""
    minor, ratio = np.exp(rng.normal(5, 0.3, N)), 1 + np.exp(rng.normal(-0.5, 0.3, N))
    area = np.pi / 4 * minor**2 * ratio * (1 - np.abs(rng.normal(0, 0.004, N)))
    diameter = np.sqrt(4 * area / np.pi)
    roundness = (diameter / (minor * ratio)) ** 2
    measures = {"minor": minor, "major": minor * ratio, "ratio": ratio, "area": area, "diameter": diameter}
    return {**measures, "compact": np.sqrt(roundness), "roundness": roundness, "of ellipse": ratio * roundness}


def test_a_column_that_is_nearly_constant_is_not_calculated_from_others(rng):
    table = outlines(rng)
    columns = [*map(cells, table.values())]
    _, found = found_in(*columns)
    assert len(found) == 3 and 7 not in [each.columns[each.solved] for each in found]
    assert max(errors_after_restoring(table, found, columns, rng)) < 0.1


def test_a_difference_of_close_numbers_is_solved_for_a_larger_one(rng):
    start = rng.normal(100, 20, N).round(2)
    change = rng.normal(0, 0.05, N).round(2)
    table = {"start": start, "end": (start + change).round(2), "change": change}
    columns = [*map(cells, table.values())]
    _, (found,) = found_in(*columns)
    assert found.columns[0] == 2 and found.columns[found.solved] != 2
    assert max(errors_after_restoring(table, [found], columns, rng)) < 0.1


@pytest.mark.parametrize(
    "rule", [Sum((0, 1, 2), (2.0, -3.0), 5.0), Product((0, 1, 2), 4.0), Product((0, 1, 2, 3), 4.0)]
)
def test_the_error_amplification_agrees_with_small_errors(rng, rule):
    values = rng.uniform(1, 4, (N, 4))
    values[:, 0] += rule.solve(values[:, list(rule.columns)], 0) - values[:, 0]
    columns = [*map(cells, values.T)]
    rows = TrainingRows(columns, codes_of(columns), range(4), np.arange(N))
    values, solutions = values[:, list(rule.columns)], rule.solutions(rows)
    assert {*solutions} == {*range(len(rule.columns))}
    scale, some = np.subtract(*np.quantile(values, [0.75, 0.25], axis=0)), values[::2]
    for i, (amplification, is_exact) in solutions.items():
        np.testing.assert_allclose(rule.solve(values, i), values[:, i])
        moved = []
        for j in {*range(len(rule.columns))} - {i}:
            other = some.copy()
            other[:, j] += 1e-6 * scale[j]
            moved.append(np.median(np.abs(rule.solve(other, i) - some[:, i])) / (1e-6 * scale[i]))
        assert is_exact and amplification == pytest.approx(np.linalg.norm(moved), rel=1e-4)


def test_an_equation_is_left_out_if_it_can_only_be_solved_for_a_column_with_large_errors(rng):
    few = rng.choice(np.arange(1.0, 9.0), N)
    columns = list(map(cells, (few, few, few)))
    rows = TrainingRows(columns, codes_of(columns), range(3), np.arange(N))
    near, far = Sum((1, 0, 2), (2.0, -1.0)), Sum((1, 0, 2), (100.0, -99.0))
    assert solvable([near], rows) == [near] and solvable([far], rows) == []


def test_equations_that_leave_no_column_to_calculate_are_left_out(rng):
    a, b, c = rng.normal(3, 1, (3, N))
    columns = [*map(cells, (a, b, a + b, c, a + b + c))]
    rows = TrainingRows(columns, codes_of(columns), range(5), np.arange(N))
    first, second = Sum((2, 0, 1), (1.0, 1.0)), Sum((4, 2, 3), (1.0, 1.0))
    assert solvable([second, first, Sum((4, 0, 1, 3), (1.0, 1.0, 1.0))], rows) == [first, second]


def test_a_quotient_is_exact_to_its_last_digit(rng):
    hours, miles = np.round(rng.uniform(1, 9, N), 1), np.round(rng.gamma(9, 20, N) + 50, 1)
    data = [*map(cells, (hours, miles, np.round(miles / hours, 2)))]
    codes, (found,) = found_in(*data)
    assert (found.columns[found.solved], found.is_exact) == (2, True)
    back = restored_permutation(data, codes, [found], rng)
    inside = back[2] < data[2].values.max()
    np.testing.assert_allclose(back[2][inside], (back[1] / back[0])[inside], atol=0.00501)


def test_a_change_of_unit_is_found_between_rounded_columns(rng):
    celsius = np.round(rng.normal(12, 8, N), 1)
    data = [cells(np.round(1.8 * celsius + 32, 1)), cells(celsius), cells(np.round(celsius / 3, 2))]
    codes, found = found_in(*data)
    assert Sum((0, 1), (1.8,), 32.0) in found
    back = restored_permutation(data, codes, found, rng)
    np.testing.assert_allclose(back[0], 1.8 * back[1] + 32, atol=0.0501)


def test_a_fixed_end_of_a_chain_determines_the_whole_chain(rng):
    dollars = np.round(rng.gamma(3, 80, N) + 1, 2)
    euros = np.round(0.92 * dollars, 2)
    other = np.round(rng.gamma(3, 80, N), 2)
    data = [*map(cells, (dollars, euros, other, np.round(euros + other, 2)))]
    codes, found = found_in(*data)
    assert [each.columns for each in found] == [(1, 0), (3, 1, 2)]
    new = [cells(rng.permutation(column.values)) for column in data]
    for given in ([1], [2, 3]):
        is_fixed = np.isin(np.arange(4), given)[None].repeat(N, axis=0)
        wanted = [cells(data[i].values if i in given else drawn.values) for i, drawn in enumerate(new)]
        back = [each.values for each in restore_rows(wanted, codes, found, is_fixed)]
        np.testing.assert_allclose(back[1], euros, atol=1e-6)
        np.testing.assert_allclose(back[1], 0.92 * back[0], atol=0.0101)
        np.testing.assert_allclose(back[3], back[1] + back[2], atol=1e-6)


def test_factors_of_many_digits_are_found_for_large_numbers(rng):
    seconds = rng.integers(0, 10**7, N).astype(float)
    (rule,) = found_in(cells(seconds), cells(np.round(seconds / 86400, 2)))[1]
    assert rule.factors[0] == pytest.approx(1 / 86400, rel=1e-6)
    many = np.round(np.append(rng.gamma(3, 8, 20_000), 1e6), 2)
    (rule,) = found_in(cells(many), cells(np.round(1.60934 * many, 2)))[1]
    assert rule.factors == (1.60934,)


def test_a_column_decides_others_that_are_multiples_of_each_other(rng):
    lengths, route = rng.integers(100, 3000, 60), rng.integers(0, 60, N)
    lengths[1] = lengths[0]
    miles, names = lengths[route].astype(float), tuple(f"R{i}" for i in range(60))
    data = [Column(route, np.zeros(N, bool), names), cells(np.round(1.609344 * miles, 1)), cells(miles)]
    codes = codes_of(data)
    found = find_rules(data, codes)
    assert {each.text("abc") for each in found} >= {"a decides c"}
    (rule,) = [each for each in found if isinstance(each, Sum)]
    assert rule.columns == (1, 2) and rule.factors == (pytest.approx(1.609344, rel=1e-5),)
    assert not any(isinstance(each, Lookup) and each.columns[0] == 1 for each in found)
    mixed = [Column(rng.permutation(each.values), each.is_missing, each.categories) for each in data]
    back = restore_rows(mixed, codes, found, np.zeros((N, 3), bool))
    np.testing.assert_array_equal(back[2].values, lengths[back[0].values.astype(int)])
    np.testing.assert_allclose(back[1].values, 1.609344 * back[2].values, atol=0.0501)


@pytest.mark.parametrize(
    "y",
    [
        lambda x, rng: np.round(x, 0) + rng.integers(0, 2, N),
        lambda x, rng: x + rng.normal(0, 0.02, N),
        lambda x, rng: np.where(rng.random(N) < 0.01, 0.0, np.round(1.7 * x, 1)),
        lambda x, rng: 1000 * np.round(x / 100),
    ],
    ids=["noise of a unit", "noise", "a few rows", "few values"],
)
def test_near_multiples_are_not_multiples(rng, y):
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
def test_close_columns_are_not_multiples(rng, start):
    first = np.asarray(start(rng), float)
    step = 1e-5 if np.ptp(first) < 2000 else 1.0
    last = np.round(np.where(first == 2147483647, first, first + step * rng.integers(0, 60, N)), 5)
    assert found_in(cells(first), cells(last))[1] == []


def test_integers_that_often_differ_by_one_are_not_multiples(rng):
    x = rng.integers(0, 1000, N)
    assert found_in(cells(x), cells(x + rng.integers(0, 2, N)))[1] == []


@pytest.mark.parametrize("size", [1e-200, 1e-160, 1e160, 1e300])
def test_numbers_of_any_size_are_compared(rng, size):
    x = rng.gamma(3, 8, N)
    found = {each.columns for each in found_in(cells(size * x), cells(x), cells(-x))[1]}
    assert found == ({(1, 0), (2, 0)} if size == 1e-160 else {(2, 1)})


def test_nearly_constant_columns_are_ignored(rng):
    """A column that is constant except in its last bit has no deviation to divide by."""
    near = np.full(N, 0.998)
    near[::7] = np.nextafter(0.998, 1)
    found_in(cells(near), cells(rng.normal(size=N)), cells(np.full(N, 288.0)))


def test_rows_with_missing_cells_are_ignored_and_kept(rng):
    x, missing = np.round(rng.gamma(3, 8, N), 2), rng.random(N) < 0.2
    data = [cells(x), cells(np.where(missing, 0, np.round(2.2 * x, 1)), missing)]
    codes, (found,) = found_in(*data)
    assert found == Sum((1, 0), (2.2,))
    back = restore_rows([cells(rng.permutation(x)), data[1]], codes, [found], np.zeros((N, 2), bool))
    np.testing.assert_array_equal(back[1].is_missing, missing)
    np.testing.assert_allclose(back[1].values[~missing], 2.2 * back[0].values[~missing], atol=0.0501)
