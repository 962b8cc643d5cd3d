"""Scores of predicted distributions against closed forms."""

import numpy as np
import pytest
from scipy.stats import norm

from pointillist.metrics import crps, interval_coverage, pit

RNG = np.random.default_rng(0)


def test_the_score_of_a_normal_distribution_has_its_closed_form():
    y = RNG.normal(size=500)
    quantiles = np.tile(norm.ppf((np.arange(400) + 0.5) / 400), (500, 1))
    exact = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.pi**0.5  # Gneiting & Raftery 2007, section 4.2
    found = crps(quantiles, y)
    assert found == pytest.approx(exact.mean(), abs=2e-3)
    assert found.standard_error == pytest.approx(exact.std(ddof=1) / 500**0.5, rel=0.02)


def test_a_calibrated_distribution_has_nominal_coverage_and_uniform_ranks():
    y, draws = RNG.normal(size=4000), RNG.normal(size=(4000, 99))
    low, high = norm.ppf([0.05, 0.95])
    covered = interval_coverage(np.full(4000, low), np.full(4000, high), y)
    assert abs(covered - 0.9) < 4 * covered.standard_error
    fractions = pit(draws, y)
    assert abs(fractions.mean() - 0.5) < 4 * 12**-0.5 / 4000**0.5 and fractions.var() == pytest.approx(1 / 12, rel=0.1)


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], [[1.0], [2.0]]])
def test_values_that_do_not_fit_are_refused(values):
    for function in (crps, pit):
        with pytest.raises(ValueError, match="values has"):
            function([[0.0], [1.0]], values)


def test_intervals_may_have_one_end_and_errors_are_specific():
    assert interval_coverage([-np.inf, 0.0], [1.0, np.inf], [0.5, -1.0]) == 0.5
    for lows, highs, message in (
        ([0.0, np.nan], [1.0, 1.0], "lows has a NaN in row 1"),
        ([0.0, 0.0], [1.0], r"highs has shape \(1,\) but values has 2"),
    ):
        with pytest.raises(ValueError, match=message):
            interval_coverage(lows, highs, [0.5, 0.5])
