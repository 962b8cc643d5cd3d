import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.schedules import alpha_sigma, linear

MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
    labels=[0, 1, 1],
)
SCHEDULE = linear(200)


def test_log_density_agrees_with_scipy():
    x = np.random.default_rng(0).normal(size=(50, 2))
    components = zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, strict=True)
    expected = np.log(sum(w * stats.multivariate_normal(m, c).pdf(x) for w, m, c in components))
    np.testing.assert_allclose(MIXTURE.log_density(x), expected, rtol=1e-10)


def test_samples_have_the_moments_of_the_mixture():
    x, labels = MIXTURE.sample(100_000, 0)
    assert abs((labels == 1).mean() - 0.5) < 4 * 0.5 / np.sqrt(100_000)
    mean = MIXTURE.weights @ MIXTURE.means
    assert (np.abs(x.mean(0) - mean) < 4 * x.std(0) / np.sqrt(len(x))).all()
    first = x[labels == 0]
    assert (np.abs(np.cov(first.T) - np.diag([0.02, 0.05])) < 4 * 0.05 * np.sqrt(2 / len(first))).all()


def test_the_tilted_mixture_has_the_tilted_density():
    slope = np.array([1.0, -2.0])
    x = np.random.default_rng(2).normal(size=(50, 2))
    difference = MIXTURE.tilted(slope).log_density(x) - MIXTURE.log_density(x) - x @ slope
    np.testing.assert_allclose(difference, difference[0], rtol=1e-9)


def test_class_probabilities_follow_bayes_rule():
    x = np.random.default_rng(3).normal(size=(20, 2))
    joint = np.stack([np.log(0.5) + MIXTURE.given(label).log_density(x) for label in (0, 1)], axis=1)
    expected = np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(MIXTURE.class_probabilities(x), expected, rtol=1e-9)


def test_invalid_mixtures_are_refused():
    with pytest.raises(ValueError, match="weights must be 2 positive numbers"):
        GaussianMixture.of([1, -1], [[0], [1]], [[1]])
    with pytest.raises(ValueError, match="covariances must be symmetric and positive semi-definite"):
        GaussianMixture.of([1], [[0, 0]], [[1, 2], [2, 1]])


@pytest.mark.parametrize("t", [1, 60, 200, 99.5])
def test_a_mixture_of_points_is_an_empirical_distribution(t):
    rows = np.random.default_rng(5).normal(size=(40, 2))
    t = jnp.asarray(t)
    alpha, sigma = (float(v) for v in alpha_sigma(SCHEDULE, t))
    x_t = alpha * rows[:8] + sigma * np.random.default_rng(6).normal(size=(8, 2))
    points = GaussianMixture.of(np.ones(40), rows, np.zeros((2, 2)))
    log_kernel = -((x_t[:, None] - alpha * rows) ** 2).sum(axis=2) / (2 * sigma**2)
    expected = np.logaddexp.reduce(log_kernel, axis=1) - np.log(40 * 2 * np.pi * sigma**2)
    np.testing.assert_allclose(points.noised(alpha, sigma).log_density(x_t), expected, rtol=1e-9)
    weights = np.exp(log_kernel - np.logaddexp.reduce(log_kernel, axis=1, keepdims=True))
    for row, x0 in zip(jnp.asarray(x_t, jnp.float32), weights @ rows, strict=True):
        np.testing.assert_allclose(points.denoiser(SCHEDULE)(row, t), x0, atol=2e-3)
