import importlib
import math
import tracemalloc
from dataclasses import astuple

import numpy as np
import pytest
from scipy.stats import hypergeom

from pointillist.metrics import Estimate, ManifoldScores, coverage, expected_coverage, floor, manifold_scores

# The function of the same name hides the module as an attribute of the package.
module = importlib.import_module("pointillist.metrics.manifolds")

NAMES = ("precision", "recall", "density", "coverage")


def normal_rows(seed, n, d=2, shift=0.0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(n, d)) + shift


def naive(data, samples, k):
    def radius(rows, i):
        return sorted(math.dist(rows[i], rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    def within(distance, reach):
        return distance <= reach * (1 + 1e-9)

    balls_of_data = [(row, radius(data, i)) for i, row in enumerate(data)]
    balls_of_samples = [(row, radius(samples, j)) for j, row in enumerate(samples)]
    holders = [sum(within(math.dist(s, x), r) for x, r in balls_of_data) for s in samples]
    return (
        np.mean([count > 0 for count in holders]),
        np.mean([any(within(math.dist(s, x), r) for s, r in balls_of_samples) for x in data]),
        np.mean(holders) / k,
        np.mean([any(within(math.dist(s, x), r) for s in samples) for x, r in balls_of_data]),
    )


@pytest.mark.parametrize(("n", "m", "d", "k"), [(30, 41, 1, 5), (45, 20, 3, 3), (4, 3, 2, 1), (12, 12, 20, 11)])
def test_the_double_loop(n, m, d, k):
    data, samples = normal_rows(0, n, d), normal_rows(1, m, d, shift=0.4, scale=0.8)
    scores = manifold_scores(data, samples, k=k)
    assert astuple(scores) == pytest.approx(naive(data, samples, k), rel=1e-12)
    assert coverage(data, samples, k=k) == scores.coverage


def test_ties_and_duplicates_by_the_double_loop():
    # Distances tie on a grid, and 0.1 · i is not exact; every row comes up to three times.
    rng = np.random.default_rng(2)
    data, samples = 0.1 * rng.integers(0, 5, (40, 2)), 0.1 * rng.integers(1, 7, (30, 2))
    for k in (1, 2, 5):
        assert astuple(manifold_scores(data, samples, k=k)) == pytest.approx(naive(data, samples, k), rel=1e-12)


def test_by_hand():
    # Radii of data: 1, 1, 2; of samples: 0.5, 0.5, 8.5.
    data, samples = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [1.0], [9.5]])
    # Sample 0.5 is in the balls of data around 0 and 1; 1.0 in those around 0, 1 and 3; 9.5 in none.
    # Data 0 is in the ball around 0.5; 1 in all; 3 in the one around 9.5.
    scores = manifold_scores(data, samples, k=1)
    assert isinstance(scores, ManifoldScores)
    assert [getattr(scores, name) for name in NAMES] == pytest.approx([2 / 3, 1, 5 / 3, 1], rel=1e-12)


def test_a_lost_mode_and_samples_like_no_data():
    data = np.concatenate([normal_rows(3, 300), normal_rows(4, 100, shift=50.0)])
    samples = np.concatenate([normal_rows(5, 320), normal_rows(6, 80, shift=-50.0)])
    scores = manifold_scores(data, samples)
    assert abs(scores.precision - 0.8) < 3 * scores.precision.standard_error
    assert abs(scores.recall - 0.75) < 3 * scores.recall.standard_error
    assert abs(scores.coverage - 0.75 * expected_coverage(300, 320)) < 3 * scores.coverage.standard_error
    assert abs(scores.density - 0.8) < 3 * scores.density.standard_error


def test_copies_and_far_away_rows():
    data = normal_rows(7, 100)
    scores = manifold_scores(data, data)
    assert scores.precision == scores.recall == scores.coverage == 1
    # A row is in its own ball and, on average, in k of others.
    assert scores.density == pytest.approx(6 / 5)
    assert astuple(manifold_scores(data, data + 1e3)) == (0, 0, 0, 0)


def test_units_and_row_order_do_not_matter():
    data, samples = normal_rows(8, 150), normal_rows(9, 100, shift=0.5)
    expected = astuple(manifold_scores(data, samples))
    assert astuple(manifold_scores(1e6 * data, 1e6 * samples)) == expected
    assert astuple(manifold_scores(data[::-1], samples[::-1])) == expected


@pytest.mark.parametrize(("n", "m", "k"), [(2, 1, 1), (10, 10, 5), (7, 30, 6), (1000, 200, 5), (6, 0, 5)])
def test_expected_coverage_is_hypergeometric(n, m, k):
    # None of the k nearest of n − 1 + m rows is one of the m samples.
    assert expected_coverage(n, m, k) == pytest.approx(1 - hypergeom.pmf(0, n - 1 + m, m, k), abs=1e-12)


def test_expected_coverage_of_many_rows():
    assert expected_coverage(10**9, 10**9, 5) == pytest.approx(1 - 2**-5, abs=1e-8)


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (40, 90, 2), (50, 10, 3)])
def test_one_law_by_simulation(n, m, k):
    rng = np.random.default_rng(10)
    values = np.array([module._all_scores(rng.normal(size=(n, 2)), rng.normal(size=(m, 2)), k) for _ in range(400)])
    density, covered = values[:, 2], values[:, 3]
    assert abs(density.mean() - 1) < 3 * density.std() / math.sqrt(400)
    assert abs(covered.mean() - expected_coverage(n, m, k)) < 3 * covered.std() / math.sqrt(400)


@pytest.mark.parametrize(
    ("n", "m", "shift", "scale"), [pytest.param(200, 200, 1.0, 1.0, marks=pytest.mark.slow), (240, 160, 0.0, 1.7)]
)
def test_standard_errors_are_those_of_new_draws(n, m, shift, scale):
    rng = np.random.default_rng(11)

    def draw():
        return rng.normal(size=(n, 2)), scale * rng.normal(size=(m, 2)) + shift

    actual = np.std([module._all_scores(*draw(), 5) for _ in range(400)], axis=0, ddof=1)
    estimates = [astuple(manifold_scores(*draw())) for _ in range(15)]
    claimed = np.sqrt(np.mean([[score.standard_error**2 for score in scores] for scores in estimates], axis=0))
    values = np.mean(estimates, axis=0)
    # A ratio is known to about √(1/(2 · 400) + 1/(2 · 15 · 20)) = 0.05, the splits of one draw being worth 20.
    checked = values < 0.99
    assert np.all(claimed[checked] / actual[checked] > 0.8)
    assert np.all(claimed[checked] / actual[checked] < 1.25)
    assert np.all(claimed / actual > 0.8)
    binomial = np.sqrt(values[[0, 3]] * (1 - values[[0, 3]]) / [m, n])
    assert np.all(binomial < 0.75 * actual[[0, 3]])  # which is why it will not do


def test_an_error_is_never_zero():
    data = normal_rows(12, 100)
    for samples, value in ((data, 1), (data + 1e3, 0)):
        scores = manifold_scores(data, samples)
        for name in ("precision", "recall", "coverage"):
            assert getattr(scores, name) == value
            assert 0.005 < getattr(scores, name).standard_error < 0.02
        assert scores.density.standard_error > 0.001
        assert scores.density.degrees_of_freedom == 20


def test_few_rows_have_no_standard_error():
    data, samples = normal_rows(13, 12), normal_rows(14, 11)
    assert all(math.isnan(score.standard_error) for score in astuple(manifold_scores(data, samples)))
    assert all(score.standard_error > 0 for score in astuple(manifold_scores(data, normal_rows(14, 12))))
    assert coverage(data, samples[:2]).standard_error > 0
    assert math.isnan(coverage(data[:11], samples).standard_error)


def test_repeatable_and_inputs_left_alone():
    data, samples = normal_rows(15, 80).astype(np.float32), normal_rows(16, 70).astype(np.float32)
    copies = data.copy(), samples.copy()
    one, two = manifold_scores(data, samples), manifold_scores(data.tolist(), np.asfortranarray(samples))
    for name in NAMES:
        first, second = getattr(one, name), getattr(two, name)
        assert isinstance(first, Estimate)
        assert first == second
        assert first.standard_error == second.standard_error
    np.testing.assert_array_equal(data, copies[0])
    np.testing.assert_array_equal(samples, copies[1])


def test_floor_takes_the_function():
    at_best = floor(coverage, normal_rows(17, 600), n_repeats=10, k=3)
    assert abs(at_best.value - expected_coverage(300, 300, 3)) < 4 * at_best.spread


@pytest.mark.parametrize("chunk_pairs", [1, 50])
def test_chunk_size_does_not_matter(monkeypatch, chunk_pairs):
    data, samples = normal_rows(18, 60), normal_rows(19, 50, shift=0.5)
    expected = manifold_scores(data, samples)
    monkeypatch.setattr(module, "CHUNK_PAIRS", chunk_pairs)
    assert manifold_scores(data, samples) == expected


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_PAIRS", 2**14)
    rows = np.ones((1200, 1))  # in every ball, so that all pairs count: 11 MB as an array, 70 MB as lists
    module._balls_around(rows[:10], rows[:10], np.ones(10))
    tracemalloc.start()
    counts = module._balls_around(rows, rows, np.ones(1200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.all(counts == 1200)
    assert peak < 2**21


def test_errors():
    rows = np.zeros((6, 2))
    message = r"has 5 row\(s\) but k=5 neighbors of a row need 6: pass more rows or a smaller k$"
    with pytest.raises(ValueError, match=rf"^data {message}"):
        manifold_scores(rows[:5], rows)
    with pytest.raises(ValueError, match=rf"^samples {message}"):
        manifold_scores(rows, rows[:5])
    with pytest.raises(ValueError, match=rf"^data {message}"):
        coverage(rows[:5], rows)
    with pytest.raises(ValueError, match=r"^n is 5 but k=5 neighbors of a row need 6: "):
        expected_coverage(5, 5)
    with pytest.raises(ValueError, match=r"^m is -1 but the number of samples must be at least 0: "):
        expected_coverage(10, -1)
    for call in (manifold_scores, coverage):
        with pytest.raises(ValueError, match=r"^k is 0 but must be at least 1 neighbor$"):
            call(rows, rows, k=0)
        with pytest.raises(ValueError, match=r"^samples has 3 columns but data has 2: "):
            call(rows, np.zeros((6, 3)))
        with pytest.raises(ValueError, match=r"^data has a NaN in row 0, column 0: "):
            call(np.full((6, 2), np.nan), rows)
