"""Compares the calibration of predicted distributions with a normal distribution in closed form."""

import io

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import norm

from pointillist.evaluation import calibration
from pointillist.evaluation.calibration import LEVELS

N = 4000
RNG = np.random.default_rng(0)
X = RNG.normal(size=N)
Y = X + RNG.normal(size=N)
AT = norm.ppf((np.arange(200) + 0.5) / 200)


@pytest.mark.parametrize("width", [1.0, 0.5, 2.0])
def test_coverage_and_crps_agree_with_the_normal_distribution(width):
    found = calibration(X[:, None] + width * AT, Y, Y, target="y")
    for level, fraction in zip(LEVELS, found.coverage, strict=True):
        expected = 2 * norm.cdf(width * norm.ppf((1 + level) / 2)) - 1
        assert fraction == pytest.approx(expected, abs=4 * (expected * (1 - expected) / N) ** 0.5 + 0.003)
    # Gneiting & Raftery 2007, equation 20: y - x is N(0, 1), and y is N(0, 2).
    expected_crps = np.sqrt(2 * (1 + width**2) / np.pi) - width / np.sqrt(np.pi)
    assert found.crps == pytest.approx(expected_crps, abs=4 * found.crps.standard_error + 0.01)
    assert found.marginal_crps == pytest.approx((2 / np.pi) ** 0.5, abs=4 * found.marginal_crps.standard_error + 0.01)
    ends = norm.cdf(width * norm.ppf(np.linspace(0, 1, 11)))
    np.testing.assert_allclose(found.pit, np.diff(ends), atol=0.03)
    console = Console(file=io.StringIO(), width=160)
    console.print(found.table())
    assert "y in 4,000 held-out rows" in console.file.getvalue()
