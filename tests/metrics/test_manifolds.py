import math

import numpy as np
import pytest
from scipy.stats import hypergeom

from pointillist.metrics import Estimate, ManifoldScores, baseline, coverage, manifold_scores

NAMES = ("precision", "coverage")


def expected_coverage(n, m, k=5):
    """Probability that one of the k nearest of n − 1 + m rows is one of the m samples (Naeem et al. 2020, lemma 2)."""
    return 1 - hypergeom.pmf(0, n - 1 + m, m, k)


def normal_rows(seed, n, d=2, shift=0.0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(n, d)) + shift


def values(scores):
    return [getattr(scores, name) for name in NAMES]


def naive(data, samples, k):
    def radius(rows, i):
        return sorted(math.dist(rows[i], rows[j]) for j in range(len(rows)) if j != i)[k - 1]

    def within(distance, reach):
        return distance <= reach * (1 + 1e-9)

    balls = [(row, radius(data, i)) for i, row in enumerate(data)]
    return (
        np.mean([any(within(math.dist(s, x), r) for x, r in balls) for s in samples]),
        np.mean([any(within(math.dist(s, x), r) for s in samples) for x, r in balls]),
    )


@pytest.mark.parametrize(("n", "m", "d", "k"), [(30, 30, 1, 5), (45, 45, 3, 3), (3, 3, 2, 1), (12, 12, 20, 11)])
def test_the_double_loop(n, m, d, k):
    data, samples = normal_rows(0, n, d), normal_rows(1, m, d, shift=0.4, scale=0.8)
    scores = manifold_scores(data, samples, k=k)
    assert values(scores) == pytest.approx(naive(data, samples, k), rel=1e-12)
    assert coverage(data, samples, k=k) == pytest.approx(scores.coverage)
    fewer = data[: n - 2] if k < n - 2 else data
    assert coverage(fewer, samples, k=k) == pytest.approx(naive(fewer, samples, k)[1], rel=1e-12)


def test_ties_and_duplicates_by_the_double_loop():
    # Distances tie on a grid, and 0.1 · i is not exact; every row comes up to three times.
    rng = np.random.default_rng(2)
    data, samples = 0.1 * rng.integers(0, 5, (40, 2)), 0.1 * rng.integers(1, 7, (40, 2))
    for k in (1, 2, 5):
        assert values(manifold_scores(data, samples, k=k)) == pytest.approx(naive(data, samples, k), rel=1e-12)


def test_by_hand():
    # Radii: 1, 1, 2.
    data, samples = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [1.0], [9.5]])
    # Sample 0.5 is in the balls of data around 0 and 1; 1.0 in those around 0, 1 and 3; 9.5 in none.
    scores = manifold_scores(data, samples, k=1)
    assert isinstance(scores, ManifoldScores)
    assert [getattr(scores, name) for name in NAMES] == pytest.approx([2 / 3, 1], rel=1e-12)


def test_a_lost_mode_and_samples_like_no_data():
    data = np.concatenate([normal_rows(3, 300), normal_rows(4, 100, shift=50.0)])
    samples = np.concatenate([normal_rows(5, 320), normal_rows(6, 80, shift=-50.0)])
    scores = manifold_scores(data, samples)
    assert abs(scores.precision - 0.8) < 3 * scores.precision.standard_error
    assert abs(scores.coverage - 0.75 * expected_coverage(300, 320)) < 3 * scores.coverage.standard_error


def test_copies_and_far_away_rows():
    data = normal_rows(7, 100)
    assert values(manifold_scores(data, data)) == [1, 1]
    assert values(manifold_scores(data, data + 1e3)) == [0, 0]


def test_units_and_row_order_do_not_matter():
    data, samples = normal_rows(8, 100), normal_rows(9, 100, shift=0.5)
    expected = values(manifold_scores(data, samples))
    assert values(manifold_scores(1e6 * data, 1e6 * samples)) == expected
    assert values(manifold_scores(data[::-1], samples[::-1])) == expected


@pytest.mark.parametrize(("n", "k"), [(60, 5), (40, 2)])
def test_one_distribution_by_simulation(n, k):
    rng = np.random.default_rng(10)
    covered = np.array([manifold_scores(*rng.normal(size=(2, n, 2)), k=k).coverage for _ in range(150)])
    assert abs(covered.mean() - expected_coverage(n, n, k)) < 3 * covered.std() / math.sqrt(150)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "shift", "scale"), [(200, 1.0, 1.0), (200, 0.0, 1.7)])
def test_standard_errors_agree_with_new_draws(n, shift, scale):
    rng = np.random.default_rng(11)
    found = [
        [
            getattr(manifold_scores(rng.normal(size=(n, 2)), scale * rng.normal(size=(n, 2)) + shift), name)
            for name in NAMES
        ]
        for _ in range(200)
    ]
    mean, actual = np.mean(found, axis=0), np.std(np.array(found, float), axis=0, ddof=1)
    claimed = np.sqrt(np.mean([[score.standard_error**2 for score in scores] for scores in found], axis=0))
    checked = mean < 0.99
    assert np.all(claimed[checked] / actual[checked] < 1.25)
    assert np.all(claimed / actual > 0.8)
    binomial = np.sqrt(mean * (1 - mean) / n)
    assert np.all(binomial < 0.75 * actual)  # so the binomial error is too small


def test_an_error_is_never_zero():
    data = normal_rows(12, 100)
    for samples, value in ((data, 1), (data + 1e3, 0)):
        scores = manifold_scores(data, samples)
        for name in NAMES:
            assert getattr(scores, name) == value
            assert 0.005 < getattr(scores, name).standard_error < 0.02
            assert getattr(scores, name).degrees_of_freedom == 20


def test_few_rows_have_no_standard_error():
    data, samples = normal_rows(13, 12), normal_rows(14, 11)
    assert all(math.isnan(score.standard_error) for score in values(manifold_scores(data, samples)))
    assert all(score.standard_error > 0 for score in values(manifold_scores(data, normal_rows(14, 12))))
    assert coverage(data, samples[:2]).standard_error > 0
    assert math.isnan(coverage(data[:11], samples).standard_error)


def test_results_are_repeatable_and_inputs_unchanged():
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


def test_the_baseline_accepts_the_function():
    at_best = baseline(coverage, normal_rows(17, 600), n_repeats=10, k=3)
    assert abs(at_best.value - expected_coverage(300, 300, 3)) < 4 * at_best.spread


def test_errors():
    rows = np.zeros((6, 2))
    message = r"^k=5 must be at least 1 and below 5, the number of r"
    for sides in ((rows[:5], rows), (rows, rows[:5])):
        with pytest.raises(ValueError, match=message):
            manifold_scores(*sides)
    with pytest.raises(ValueError, match=message):
        coverage(rows[:5], rows)
    for call in (manifold_scores, coverage):
        with pytest.raises(ValueError, match=r"^k=0 must be at least 1 and below 6, the number of r"):
            call(rows, rows, k=0)
        with pytest.raises(ValueError, match=r"^generated has 3 columns?(\(s\))? "):
            call(rows, np.zeros((6, 3)))
