import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from pointillist.diffusion.losses import LOG_NORMAL, Objective, denoising_loss
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.parameterizations import PREDICTIONS, coefficients
from pointillist.diffusion.schedules import alpha_sigma, cosine, linear, padded

SCHEDULE = cosine(200)
N = 4000
LEVELS = jnp.asarray((np.arange(N) + 0.5) / N, jnp.float32)
X0 = jax.random.normal(jax.random.key(0), (N, 2))
EPS = jax.random.normal(jax.random.key(1), (N, 2))
SIGMA_DATA = jnp.ones(2)


@pytest.mark.parametrize("schedule", [linear(50), padded(linear(50), 90)], ids=["whole", "padded"])
def test_uniform_levels_have_equally_frequent_times(schedule):
    noised = Objective().noised(X0, EPS, LEVELS, schedule, SIGMA_DATA)
    np.testing.assert_array_equal(np.bincount(noised.t), [0, *[N // 50] * 50])
    alpha, sigma = np.asarray(schedule.alpha)[noised.t, None], np.asarray(schedule.sigma)[noised.t, None]
    np.testing.assert_allclose(noised.inside, alpha * X0 + sigma * EPS, atol=1e-6)
    np.testing.assert_allclose(noised.lambda_t, np.log(alpha / sigma)[:, 0], atol=1e-5)
    np.testing.assert_array_equal(noised.target, EPS)
    np.testing.assert_array_equal(noised.weight, np.ones((N, 1)))


def test_log_normal_levels_are_normal_in_units_of_the_standard_deviation():
    sigma_data = jnp.asarray([0.5, 0.5])
    noised = Objective("edm", noise_levels="log-normal").noised(X0, EPS, LEVELS, SCHEDULE, sigma_data)
    log_sigma = -np.asarray(noised.lambda_t, np.float64)
    inside = slice(int(0.02 * N), int(0.98 * N))  # the rest may be clipped by the schedule
    mean, std = LOG_NORMAL
    expected = np.log(0.5) + stats.norm(mean, std).ppf(np.asarray(LEVELS, np.float64))
    np.testing.assert_allclose(log_sigma[inside], expected[inside], atol=1e-4)
    times = np.asarray(noised.t)
    assert (times >= 1).all() and (times <= 200).all() and (np.diff(times) >= -1e-4).all()
    alpha, sigma = jax.vmap(lambda t: jnp.stack(alpha_sigma(SCHEDULE, t)))(noised.t).T
    np.testing.assert_allclose(np.log(alpha / sigma), noised.lambda_t, atol=2e-3)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_least_at_the_conditional_mean(prediction):
    """Checks that 1 is the best multiple of an output that predicts E[x_0 | x_t] exactly."""
    rows = X0[:50]
    objective = Objective(prediction, noise_levels="log-normal")
    oracle = GaussianMixture.of(np.ones(50), rows, np.zeros((2, 2))).denoiser(SCHEDULE)
    x0 = jnp.tile(rows, (N // 50, 1))
    noised = objective.noised(x0, EPS, jax.random.permutation(jax.random.key(3), LEVELS), SCHEDULE, SIGMA_DATA)

    def scaled(inside, t, factor):
        alpha, sigma = alpha_sigma(SCHEDULE, t)
        c_in, skip, out = coefficients(prediction, alpha, sigma, SIGMA_DATA)
        x_t = inside / c_in
        return factor * (oracle(x_t, t) - skip * x_t) / out

    examples = noised.inside, noised.t[:, None], noised.target, noised.weight
    least, *others = (
        float(denoising_loss(lambda x, t, f=f: scaled(x, t[0], f), *examples)) for f in (1.0, 0.9, 1.1, 0.0)
    )
    assert all(other > least for other in others)
