import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from pointillist.diffusion.oracles import EmpiricalDistribution, GaussianMixture
from pointillist.diffusion.schedules import alpha_sigma, linear

MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
    labels=[0, 1, 1],
)
SCHEDULE = linear(200)


def test_log_density_is_scipys():
    x = np.random.default_rng(0).normal(size=(50, 2))
    components = zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, strict=True)
    expected = np.log(sum(w * stats.multivariate_normal(m, c).pdf(x) for w, m, c in components))
    np.testing.assert_allclose(MIXTURE.log_density(x), expected, rtol=1e-10)


def test_samples_have_the_mixtures_moments():
    x, labels = MIXTURE.sample(100_000, 0)
    assert abs((labels == 1).mean() - 0.5) < 4 * 0.5 / np.sqrt(100_000)
    mean = MIXTURE.weights @ MIXTURE.means
    assert (np.abs(x.mean(0) - mean) < 4 * x.std(0) / np.sqrt(len(x))).all()
    of_class = x[labels == 0]
    assert (np.abs(np.cov(of_class.T) - np.diag([0.02, 0.05])) < 4 * 0.05 * np.sqrt(2 / len(of_class))).all()


def test_tilted_density_is_the_tilted_density():
    slope = np.array([1.0, -2.0])
    x = np.random.default_rng(2).normal(size=(50, 2))
    difference = MIXTURE.tilted(slope).log_density(x) - MIXTURE.log_density(x) - x @ slope
    np.testing.assert_allclose(difference, difference[0], rtol=1e-9)


def test_class_probabilities_are_bayes_formula():
    x = np.random.default_rng(3).normal(size=(20, 2))
    joint = np.stack([np.log(0.5) + MIXTURE.given(label).log_density(x) for label in (0, 1)], axis=1)
    expected = np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(MIXTURE.class_probabilities(x), expected, rtol=1e-9)


def test_wrong_mixtures():
    with pytest.raises(ValueError, match="weights must be 2 positive numbers"):
        GaussianMixture.of([1, -1], [[0], [1]], [[1]])
    with pytest.raises(ValueError, match="covariances must be symmetric and positive semi-definite"):
        GaussianMixture.of([1], [[0, 0]], [[1, 2], [2, 1]])


ROWS = np.random.default_rng(5).normal(size=(40, 2))


@pytest.mark.parametrize("t", [1, 60, 200, 99.5])
def test_the_empirical_distribution_is_the_mixture_of_points(t):
    distribution = EmpiricalDistribution(ROWS)
    points = GaussianMixture.of(np.ones(40), ROWS, np.zeros((2, 2)))
    t = jnp.asarray(t)
    alpha, sigma = (float(v) for v in alpha_sigma(SCHEDULE, t))
    x_t = alpha * ROWS[:8] + sigma * np.random.default_rng(6).normal(size=(8, 2))
    np.testing.assert_allclose(
        distribution.noised_log_density(x_t, alpha, sigma), points.noised(alpha, sigma).log_density(x_t), rtol=1e-9
    )
    ours, theirs = distribution.denoiser(SCHEDULE), points.denoiser(SCHEDULE)
    for row in jnp.asarray(x_t, jnp.float32):
        np.testing.assert_allclose(ours(row, t), theirs(row, t), atol=2e-3)


def test_rows_of_the_empirical_distribution_are_its_rows():
    drawn = EmpiricalDistribution(ROWS).sample(2000, 0)
    places = (drawn[:, None] == ROWS).all(axis=2)
    assert (places.sum(axis=1) == 1).all()
    assert places.sum(axis=0).min() > 50 - 4 * np.sqrt(50)
