import math
import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import norm

from pointillist.metrics import distances, energy_distance


def naive(A, B):
    n, m = len(A), len(B)
    between = sum(math.dist(a, b) for a in A for b in B) / (n * m)
    within_A = sum(math.dist(a, other) for a in A for other in A) / (n * (n - 1))
    within_B = sum(math.dist(b, other) for b in B for other in B) / (m * (m - 1))
    return 2 * between - within_A - within_B


def second_order(A, B):
    """V₂ by centring whole matrices."""

    def within(rows):
        n, d = len(rows), cdist(rows, rows)
        sums = d.sum(axis=0)
        u = d - (sums[:, None] + sums[None, :]) / (n - 2) + d.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(u, 0.0)
        return (u**2).sum() / (n * (n - 3)) * 2 / (n * (n - 1))

    n, m, d = len(A), len(B), cdist(A, B)
    h = d - d.mean(axis=0) - d.mean(axis=1, keepdims=True) + d.mean()
    return 4 * (h**2).sum() / ((n - 1) * (m - 1)) / (n * m) + within(A) + within(B)


def test_the_double_loop():
    rng = np.random.default_rng(0)
    for n, m, d in ((2, 3, 1), (19, 31, 3), (40, 7, 2)):
        A, B = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.3
        assert energy_distance(A, B) == pytest.approx(naive(A, B), rel=1e-10)


def test_null_standard_error_by_centring_the_matrices():
    rng = np.random.default_rng(1)
    A, B = rng.normal(size=(60, 2)) + 100.0, rng.exponential(size=(45, 2)) + 100.0
    null_error = energy_distance(A, B).null_standard_error
    assert null_error == pytest.approx(math.sqrt(second_order(A, B)), rel=1e-7)


def test_closed_form_of_two_normals():
    def mean_absolute(shift, variance):
        scale = math.sqrt(variance)
        return 2 * scale * norm.pdf(shift / scale) + shift * (1 - 2 * norm.cdf(-shift / scale))

    rng = np.random.default_rng(2)
    estimates = [energy_distance(rng.normal(size=(400, 1)), 1.4 * rng.normal(size=(300, 1)) + 0.5) for _ in range(300)]
    truth = 2 * mean_absolute(0.5, 1 + 1.96) - mean_absolute(0, 2.0) - mean_absolute(0, 2 * 1.96)
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    assert error < 0.03 * truth
    assert abs(np.mean(estimates) - truth) < 3 * error


def draws(n_draws, shift, seed):
    rng = np.random.default_rng(seed)
    return [energy_distance(rng.normal(size=(80, 2)), rng.normal(size=(120, 2)) + shift) for _ in range(n_draws)]


def test_null_is_unbiased_and_calibrated():
    estimates = draws(2000, 0.0, seed=3)
    z = np.array([estimate / estimate.null_standard_error for estimate in estimates])
    errors = np.array([estimate.standard_error for estimate in estimates])
    null_errors = np.array([estimate.null_standard_error for estimate in estimates])
    values = np.array(estimates, dtype=float)
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(len(values))
    assert values.min() < 0 < values.max()
    assert z.std() == pytest.approx(1, abs=0.15)  # heavy right tail: the error of this is about 0.04
    assert np.mean(null_errors**2) / values.var() == pytest.approx(1, abs=0.25)
    assert np.all(errors >= null_errors)
    assert 1.2 < np.mean(errors**2) / values.var() < 2.2  # cautious, as documented


def test_clear_alternative_is_calibrated():
    estimates = draws(800, 0.8, seed=4)
    values = np.array(estimates, dtype=float)
    errors = np.array([estimate.standard_error for estimate in estimates])
    z = (values - values.mean()) / errors
    assert z.std() == pytest.approx(1, abs=4 / math.sqrt(1600))
    assert np.mean(errors**2) / values.var() == pytest.approx(1, abs=0.2)


def test_identical_rows_are_at_distance_zero():
    estimate = energy_distance(np.ones((10, 2)), np.ones((8, 2)))
    assert estimate == 0
    assert estimate.standard_error == 0


def test_few_rows_have_no_standard_error():
    rng = np.random.default_rng(5)
    assert math.isnan(energy_distance(rng.normal(size=(3, 1)), rng.normal(size=(9, 1))).standard_error)
    assert energy_distance(rng.normal(size=(4, 1)), rng.normal(size=(9, 1))).standard_error > 0


def test_memory_is_bounded():
    rng = np.random.default_rng(6)
    A, B = rng.normal(size=(3000, 2)), rng.normal(size=(4000, 2))  # 96 MB of distances
    energy_distance(A[:10], B[:10])
    tracemalloc.start()
    energy_distance(A, B)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * distances.TILE_BYTES
