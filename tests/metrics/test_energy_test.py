import importlib
import math
from itertools import combinations

import numpy as np
import pytest

from pointillist.metrics import energy_distance, energy_test

# The function of the same name hides the module as an attribute of the package.
module = importlib.import_module("pointillist.metrics.energy")


def normal_rows(seed, n, d=2, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_the_statistic_is_the_energy_distance():
    rows = normal_rows(0, 30, d=3)
    divisions = np.random.default_rng(1).permuted(np.repeat([[1.0], [0.0]], [12, 18], axis=0).repeat(5, axis=1), axis=0)
    distances, mean = module._centered_distances(rows)
    found = module._statistics(distances, distances.sum(axis=1, dtype=np.float64), divisions.astype(np.float32))
    expected = [energy_distance(rows[column == 1], rows[column == 0]) for column in divisions.T]
    unit = np.abs(rows - rows.mean(axis=0)).max()
    np.testing.assert_allclose(found * unit, expected, atol=1e-5)
    assert mean * unit == pytest.approx(np.mean([math.dist(a, b) for a, b in combinations(rows, 2)]), rel=1e-6)


def test_all_divisions_by_hand():
    # Of the 20 divisions of six numbers into threes, only {0, 1, 2} against {10, 11, 12}, either way round, is as far.
    A, B = np.array([[0.0], [1.0], [2.0]]), np.array([[10.0], [11.0], [12.0]])
    result = energy_test(A, B, n_permutations=20000)
    assert abs(result.p_value - 0.1) < 4 * math.sqrt(0.1 * 0.9 / 20000)
    assert result.distance == energy_distance(A, B)
    assert result.n_rows == (3, 3)


@pytest.mark.parametrize("heavy", [False, True])
def test_uniform_under_one_distribution(heavy):
    rng = np.random.default_rng(2)
    draw = rng.standard_cauchy if heavy else rng.normal
    p = [energy_test(draw(size=(12, 2)), draw(size=(20, 2)), n_permutations=99, random_state=rng) for _ in range(800)]
    p = np.array([result.p_value for result in p])
    for level in (0.05, 0.2, 0.5, 0.8):
        assert abs(np.mean(p <= level) - level) < 4 * math.sqrt(level * (1 - level) / 800)


def test_ties_make_the_test_conservative():
    rng = np.random.default_rng(3)
    results = [
        energy_test(rng.integers(0, 2, (9, 1)), rng.integers(0, 2, (8, 1)), n_permutations=99, random_state=rng)
        for _ in range(600)
    ]
    p = np.array([result.p_value for result in results])
    for level in (0.05, 0.2):
        assert np.mean(p <= level) < level + 3 * math.sqrt(level * (1 - level) / 600)


def test_differences_are_found():
    rng = np.random.default_rng(4)
    assert energy_test(normal_rows(5, 150), normal_rows(6, 100, shift=0.6)).p_value == 0.001
    assert energy_test(normal_rows(7, 400), 1.6 * normal_rows(8, 400)).p_value <= 0.002
    x = rng.normal(size=(300, 1))
    assert energy_test(np.hstack([x, x]), rng.normal(size=(300, 2))).p_value == 0.001


def test_units_and_the_order_of_the_tables_do_not_matter():
    A, B = normal_rows(9, 60), normal_rows(10, 40, shift=0.3)
    expected = energy_test(A, B).p_value
    for scale in (1e-100, 1e100):
        assert energy_test(scale * A, scale * B).p_value == expected
    # Other divisions are drawn for sides the other way round: two binomial errors.
    assert abs(energy_test(B, A).p_value - expected) < 5 * math.sqrt(2 * expected * (1 - expected) / 999)


def test_identical_rows_are_not_distinguished():
    assert energy_test(np.ones((10, 2)), np.ones((8, 2))).p_value == 1


def test_subsamples_and_chunks(monkeypatch):
    A, B = normal_rows(11, 300), normal_rows(12, 50)
    assert energy_test(A, B, max_rows=80).n_rows == (80, 50)
    expected = energy_test(A, B, n_permutations=30)
    assert energy_test(A, B, n_permutations=30) == expected
    monkeypatch.setattr(module, "CHUNK_PERMUTATIONS", 7)
    # Permutations are drawn by the chunk: these differ, but not what they say of rows that are far apart.
    assert energy_test(A, B + 5, n_permutations=30).p_value == pytest.approx(1 / 31)
    assert energy_test(A, A, n_permutations=30).p_value == 1


def test_errors():
    A, B = normal_rows(13, 10), normal_rows(14, 10)
    with pytest.raises(ValueError, match=r"^n_permutations=0 must be at least 1 and max_rows=2000 at least 2$"):
        energy_test(A, B, n_permutations=0)
    with pytest.raises(ValueError, match="max_rows=1 at least 2"):
        energy_test(A, B, max_rows=1)
    with pytest.raises(ValueError, match=r"^generated has 1 columns but real has 2: "):
        energy_test(A, B[:, :1])
