import math

import numpy as np
import pytest

from pointillist.metrics import report_nll


def naive(data, samples, temperature):
    d = data.shape[1]
    kernels = [
        (2 * math.pi * temperature) ** (-d / 2) * math.exp(-(math.dist(s, x) ** 2) / (4 * temperature))
        for s in samples
        for x in data
    ]
    return -math.log(sum(kernels) / len(kernels))


@pytest.mark.parametrize("temperature", [0.02, 0.1, 3.0])
def test_the_double_loop(temperature):
    rng = np.random.default_rng(0)
    data, samples = rng.normal(size=(23, 3)), rng.normal(size=(17, 3)) + 0.3
    expected = naive(data, samples, temperature)
    assert report_nll(data, samples, temperature=temperature) == pytest.approx(expected, rel=1e-12)


def test_closed_form_of_two_normals():
    rng = np.random.default_rng(1)
    d, tau, shift = 2, 0.1, np.array([0.5, -0.2])
    data, samples = 0.6 * rng.normal(size=(6000, d)), 0.8 * rng.normal(size=(5000, d)) + shift
    width = 2 * tau + 0.6**2 + 0.8**2
    mean_kernel = 2 ** (d / 2) * (2 * math.pi * width) ** (-d / 2) * math.exp(-(shift @ shift) / (2 * width))
    estimate = report_nll(data, samples)
    # Both sides are drawn here; the score is symmetric, so swapping them gives the other error.
    error = math.hypot(estimate.standard_error, report_nll(samples, data).standard_error)
    assert error < 0.02
    assert abs(estimate + math.log(mean_kernel)) < 3 * error


def test_standard_error_over_the_draw_of_samples():
    rng = np.random.default_rng(2)
    tau, data = 0.1, rng.normal(size=(50, 1))
    width = 2 * tau + 1  # samples from N(0, 1): the kernel's mean at a data row, in closed form
    truth = -math.log(np.mean(math.sqrt(2 / (2 * math.pi * width)) * np.exp(-(data**2) / (2 * width))))
    estimates = [report_nll(data, rng.normal(size=(200, 1))) for _ in range(400)]
    z = np.array([(estimate - truth) / estimate.standard_error for estimate in estimates])
    assert abs(z.mean()) < 4 / math.sqrt(400)
    assert z.std() == pytest.approx(1, abs=4 / math.sqrt(800))


def test_far_away_is_large_and_finite():
    data = np.random.default_rng(3).normal(size=(50, 2))
    estimate = report_nll(data, data + 1e6)
    assert math.isfinite(estimate)
    assert math.isfinite(estimate.standard_error)
    assert estimate == pytest.approx(2e12 / 0.4, rel=1e-4)


def test_one_far_sample_changes_the_score_by_one_term():
    data = np.random.default_rng(4).normal(size=(50, 2))
    near = report_nll(data, data)
    with_one = report_nll(data, np.vstack([data, [[1e8, 1e8]]]))
    assert with_one - near == pytest.approx(math.log(51 / 50), rel=1e-9)


def test_the_moons_with_themselves(moons):
    assert report_nll(moons, moons) == pytest.approx(0.949, abs=5e-4)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match=r"^temperature is .* must be positive and finite"):
        report_nll(np.zeros((3, 1)), np.zeros((3, 1)), temperature=temperature)
