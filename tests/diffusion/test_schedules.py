import jax
import numpy as np
import pytest

from pointillist.diffusion import schedules
from pointillist.diffusion.schedules import MAX_BETA, SCHEDULES, at, linear, padded, prior_kl, stack


def beta(schedule):
    alpha_bar = np.asarray(schedule.alpha_bar, np.float64)
    return 1 - alpha_bar[1:] / alpha_bar[:-1]


@pytest.mark.parametrize("timesteps", [1, 2, 4, 10, 200, 1000])
@pytest.mark.parametrize("name", SCHEDULES)
def test_contract(name, timesteps):
    """Data at t = 0, more noise at every step, variance preserved, finite at both ends."""
    schedule = SCHEDULES[name](timesteps)
    alpha, sigma = np.asarray(schedule.alpha, np.float64), np.asarray(schedule.sigma, np.float64)
    assert alpha.shape == sigma.shape == (timesteps + 1,) and int(schedule.timesteps) == timesteps
    assert alpha[0] == 1 and sigma[0] == 0
    assert (np.diff(alpha) < 0).all() and (np.diff(sigma) >= 0).all()
    assert alpha[-1] > 0 and sigma[1] > 0
    np.testing.assert_allclose(alpha**2 + sigma**2, 1, atol=2e-7)
    assert (beta(schedule) > 0).all() and (beta(schedule) <= MAX_BETA + 1e-6).all()


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
def test_linear_ends_at_published_alpha_bar(timesteps, beta_start, beta_end, expected):
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
    # The last step would have beta = 1: it is clipped, and alpha_bar made anew from the clipped beta.
    assert float(schedule.alpha_bar[-1]) == pytest.approx(f[-2] / f[0] * (1 - MAX_BETA), rel=1e-4)


def test_sigmoid_is_chens():
    t = np.linspace(0, 1, 201)
    gamma = (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3 - 6 * t))) / (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3)))
    schedule = schedules.sigmoid(200)
    np.testing.assert_allclose(schedule.alpha_bar[:-1], gamma[:-1], rtol=2e-5)
    assert float(schedule.alpha_bar[100]) == pytest.approx(0.5, abs=1e-6)
    assert float(schedule.alpha_bar[-1]) == pytest.approx(gamma[-2] * (1 - MAX_BETA), rel=1e-3)


def test_stacked_schedules_of_different_lengths_keep_their_tables():
    short, long = linear(10), schedules.cosine(200)
    both = stack([short, long])
    assert both.alpha.shape == (2, 201) and both.timesteps.tolist() == [10, 200]
    np.testing.assert_array_equal(both.alpha[0, :11], short.alpha)
    np.testing.assert_array_equal(both.sigma[0, 11:], short.sigma[-1])
    np.testing.assert_array_equal(both.alpha[1], long.alpha)
    one = jax.tree.map(lambda leaf: leaf[1], both)
    np.testing.assert_array_equal(at(one.alpha, np.array([0, 200])), long.alpha[np.array([0, 200])])
    assert padded(short, 11).alpha.shape == (11,)


def test_prior_kl_against_a_numerical_integral():
    schedule = linear(200)
    rows = np.array([[0.5, -1.0], [0.2, 0.9]])
    alpha, sigma = float(schedule.alpha[-1]), float(np.sqrt(1 - np.float64(schedule.alpha[-1]) ** 2))
    grid = np.linspace(-9, 9, 20_001)
    total = 0.0
    for value in rows.ravel():
        q = np.exp(-0.5 * ((grid - alpha * value) / sigma) ** 2) / np.sqrt(2 * np.pi) / sigma
        log_ratio = -0.5 * ((grid - alpha * value) / sigma) ** 2 - np.log(sigma) + grid**2 / 2
        total += np.trapezoid(q * log_ratio, grid)
    assert prior_kl(schedule, rows) == pytest.approx(total / 2, rel=1e-5)


def test_prior_kl_vanishes_for_a_cosine_schedule():
    assert 0 < prior_kl(schedules.cosine(200), np.ones((3, 2))) < 1e-6


def test_bad_arguments():
    with pytest.raises(ValueError, match="timesteps must be at least 1, not 0"):
        linear(0)
    with pytest.raises(ValueError, match=r"< 1, not 0\.02 and 0\.01"):
        linear(10, 0.02, 0.01)
