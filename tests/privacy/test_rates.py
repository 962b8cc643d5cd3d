"""Compares rates, intervals and bounds of attacks with closed forms, an independent library and simulations."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from pointillist.privacy.rates import area, epsilon_bound, lower_bound, rate_at, upper_bound


def test_the_area_agrees_with_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 8, 70).astype(float) + 1, rng.integers(0, 8, 90).astype(float)
    auc, _ = area(members, others)
    truth = np.repeat([1, 0], [70, 90])
    assert float(auc) == pytest.approx(roc_auc_score(truth, np.concatenate([members, others])))


def test_the_standard_error_of_the_area_is_the_standard_deviation_of_areas():
    rng = np.random.default_rng(1)
    found = [area(rng.normal(1, 1, 80), rng.normal(size=120))[0] for _ in range(400)]
    deviation, stated = np.std(found, ddof=1), np.mean([auc.standard_error for auc in found])
    # The relative standard error of a standard deviation of 400 values is 1 / √798.
    assert abs(stated / deviation - 1) < 4 / np.sqrt(798)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (20, 20), (117, 500)])
def test_bounds_are_clopper_pearson_bounds(k, n):
    expected = binomtest(k, n).proportion_ci(0.9, "exact")
    assert lower_bound(k, n, 0.05) == pytest.approx(expected.low, abs=1e-12)
    assert upper_bound(k, n, 0.05) == pytest.approx(expected.high, abs=1e-12)


@pytest.mark.parametrize("fraction", [0.01, 0.1])
def test_intervals_of_rates_cover_the_true_rate(fraction):
    rng = np.random.default_rng(2)
    truth = norm.sf(norm.isf(fraction) - 1)
    rates = [rate_at(rng.normal(1, 1, 150), rng.normal(size=250), fraction) for _ in range(400)]
    missed = sum(not rate.interval[0] <= truth <= rate.interval[1] for rate in rates)
    assert missed <= binomtest(0, 400).n * 0.05
    # On average, at most this fraction of the non-members exceeds the threshold.
    passed = [rate_at(rng.normal(size=50), rng.normal(size=250), fraction).value for _ in range(400)]
    assert np.mean(passed) <= fraction + 3 * np.std(passed) / 20


def test_a_rate_needs_enough_non_members():
    rng = np.random.default_rng(3)
    assert np.isnan(rate_at(rng.normal(size=50), rng.normal(size=98), 0.01).value)
    assert not np.isnan(rate_at(rng.normal(size=50), rng.normal(size=99), 0.01).value)


@pytest.mark.parametrize("epsilon", [1.0, *(pytest.param(e, marks=pytest.mark.slow) for e in (0.0, 3.0))])
def test_the_bound_of_epsilon_holds_for_randomised_response(epsilon):
    """Each row's bit is reported truly with probability exp(ε) / (1 + exp(ε)), which is ε-differentially private."""
    rng = np.random.default_rng(4)
    truth = np.exp(epsilon) / (1 + np.exp(epsilon))
    bounds = []
    for _ in range(300):
        members, others = rng.random(500) < truth, rng.random(500) >= truth
        scores = [side + 0.001 * rng.random(500) for side in (members, others)]
        bounds.append(epsilon_bound(*scores, rng))
    assert np.mean(np.array(bounds) > epsilon) <= 0.05
    large = [side.astype(float) for side in (rng.random(10**5) < truth, rng.random(10**5) >= truth)]
    assert epsilon - 0.15 < epsilon_bound(*large, rng) <= epsilon


def test_delta_lowers_the_bound():
    rng = np.random.default_rng(5)
    members, others = rng.normal(2, 1, 1000), rng.normal(size=1000)
    plain, lower = (epsilon_bound(members, others, np.random.default_rng(0), delta=delta) for delta in (0.0, 0.1))
    assert plain > lower > 0
