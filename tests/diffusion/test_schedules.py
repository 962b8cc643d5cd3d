import numpy as np
import pytest

from pointillist.diffusion import schedules
from pointillist.diffusion.schedules import MAX_BETA, linear, prior_kl


def beta(schedule):
    alpha_bar = np.asarray(schedule.alpha_bar, np.float64)
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


@pytest.mark.parametrize(
    "timesteps,beta_start,beta_end,expected",
    [
        (10, 1e-4, 0.02, 0.904),
        (50, 1e-4, 0.02, 0.603),
        (100, 1e-4, 0.02, 0.364),
        (150, 1e-4, 0.02, 0.219),
        (200, 1e-4, 0.02, 0.132),
        (500, 1e-4, 0.02, 0.0064),
    ],
)
def test_linear_ends_at_the_published_alpha_bar(timesteps, beta_start, beta_end, expected):
    schedule = linear(timesteps, beta_start, beta_end)
    assert float(schedule.alpha_bar[-1]) == pytest.approx(expected, abs=5e-4 if expected > 0.01 else 5e-5)
    np.testing.assert_allclose(beta(schedule), np.linspace(beta_start, beta_end, timesteps), rtol=0, atol=1e-6)


def test_sigma_keeps_its_digits_near_the_data():
    # In float32, 1 - alpha_1² would be off by as much as 6e-8, which is 0.6 % of 1e-5.
    assert float(linear(200, 1e-5, 0.02).sigma[1]) == pytest.approx(np.sqrt(1e-5), rel=1e-6)


def test_cosine_closed_form():
    t = np.arange(201)
    f = np.cos((t / 200 + 0.008) / 1.008 * np.pi / 2) ** 2
    schedule = schedules.cosine(200)
    np.testing.assert_allclose(schedule.alpha_bar[:-1], (f / f[0])[:-1], rtol=2e-5)
    # The last step would have beta = 1: it is clipped, and alpha_bar is computed from the clipped beta.
    assert float(schedule.alpha_bar[-1]) == pytest.approx(f[-2] / f[0] * (1 - MAX_BETA), rel=1e-4)


def test_sigmoid_equals_the_published_formula():
    t = np.linspace(0, 1, 201)
    gamma = (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3 - 6 * t))) / (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3)))
    schedule = schedules.sigmoid(200)
    np.testing.assert_allclose(schedule.alpha_bar[:-1], gamma[:-1], rtol=2e-5)
    assert float(schedule.alpha_bar[100]) == pytest.approx(0.5, abs=1e-6)
    assert float(schedule.alpha_bar[-1]) == pytest.approx(gamma[-2] * (1 - MAX_BETA), rel=1e-3)


def test_prior_kl_vanishes_for_a_cosine_schedule():
    assert 0 < prior_kl(schedules.cosine(200), np.ones((3, 2))) < 1e-6


def test_prior_kl_is_finite_if_almost_all_signal_remains():
    """KL(N(x_0, σ²) ‖ N(0, 1)) is about -1/2 - ln σ at x_0 = 1."""
    variance = 1e-9
    found = prior_kl(linear(1, variance, variance), np.ones((1, 1)))
    assert found == pytest.approx(-0.5 * np.log(variance), rel=1e-3)
    assert prior_kl(linear(1, 0.3, 0.3), np.ones((1, 1))) == pytest.approx(0.5 * (0.7 - 0.7 - np.log(0.3)), rel=1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="timesteps must be at least 1, not 0"):
        linear(0)
    with pytest.raises(ValueError, match=r"< 1, not 0\.02 and 0\.01"):
        linear(10, 0.02, 0.01)
