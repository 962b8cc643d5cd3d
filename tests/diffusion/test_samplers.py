from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.denoisers import NetworkDenoiser
from pointillist.diffusion.networks import MLP, sinusoidal_embedding
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.registries import SCHEDULES
from pointillist.diffusion.samplers import DDIM, Ancestral
from pointillist.diffusion.schedules import linear
from pointillist.engine.random_streams import Stream, key_of
from pointillist.engine.sampling import sample_rows

MEAN = np.array([0.4, -0.3])
COVARIANCE = np.array([[0.3, 0.12], [0.12, 0.1]])


def exact_distribution(schedule, variance, steps=None):
    """Returns mean and covariance of the sampler's x_0, through its affine steps in float64."""
    alpha, sigma = np.asarray(schedule.alpha, np.float64), np.asarray(schedule.sigma, np.float64)
    mean, covariance = np.zeros(2), np.eye(2)
    T = int(schedule.timesteps)
    times = [T * i // (steps or T) for i in range((steps or T) + 1)]
    for s, t in reversed(list(pairwise(times))):
        ratio = alpha[t] / alpha[s]
        beta = sigma[t] ** 2 - ratio**2 * sigma[s] ** 2
        gain = alpha[t] * COVARIANCE @ np.linalg.inv(alpha[t] ** 2 * COVARIANCE + sigma[t] ** 2 * np.eye(2))
        to_x0, to_x = alpha[s] * beta / sigma[t] ** 2, ratio * sigma[s] ** 2 / sigma[t] ** 2
        linear_part = to_x0 * gain + to_x * np.eye(2)
        mean = linear_part @ mean + to_x0 * (MEAN - alpha[t] * gain @ MEAN)
        fraction = {"beta": 1.0, "posterior": sigma[s] ** 2 / sigma[t] ** 2, "zero": 0.0}[variance]
        noise = 0.0 if s == 0 else beta * fraction
        covariance = linear_part @ covariance @ linear_part.T + noise * np.eye(2)
    return mean, covariance


@pytest.mark.parametrize("steps", [None, 7])
@pytest.mark.parametrize("variance", ["beta", "posterior", "zero"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "cosine")) for name in SCHEDULES]
)
def test_ancestral_against_an_exact_gaussian_denoiser(name, variance, steps):
    schedule = SCHEDULES[name](100)
    denoiser = GaussianMixture.of([1], [MEAN], COVARIANCE).denoiser(schedule)
    sampler = Ancestral(schedule, variance, steps)
    rows = sample_rows(denoiser, sampler, columns=2, n_rows=20_000, seed=3).astype(np.float64)
    mean, covariance = exact_distribution(schedule, variance, steps)
    n = len(rows)
    assert (np.abs(rows.mean(0) - mean) < 4 * np.sqrt(np.diag(covariance) / n)).all()
    # The standard error of a normal covariance: √((c_ii c_jj + c_ij²) / n).
    se = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n)
    assert (np.abs(np.cov(rows.T) - covariance) < 4 * se).all()


def test_times_of_very_many_steps_fit_in_32_bits():
    T, steps = 100_000, 60_000
    sampler = Ancestral(SCHEDULES["cosine"](T), "beta", steps)
    i = np.array([0, 1, 6_300, steps // 2, steps - 1, steps])
    assert jax.vmap(sampler.time)(i).tolist() == [T * (steps - k) // steps for k in i.tolist()]


def test_many_cosine_steps_end_at_the_data():
    schedule = SCHEDULES["cosine"](1000)
    for variance in ("beta", "posterior"):
        mean, covariance = exact_distribution(schedule, variance)
        np.testing.assert_allclose(mean, MEAN, atol=0.01)
        np.testing.assert_allclose(covariance, COVARIANCE, atol=0.01)


def test_ddim_with_few_steps_is_nearer_to_a_normal_distribution_than_ancestral_sampling():
    schedule = SCHEDULES["cosine"](100)
    denoiser = GaussianMixture.of([1], [MEAN], COVARIANCE).denoiser(schedule)
    errors = {}
    for sampler in (DDIM(schedule, steps=10), DDIM(schedule, steps=40), Ancestral(schedule, "posterior", 10)):
        rows = sample_rows(denoiser, sampler, columns=2, n_rows=20_000, seed=3).astype(np.float64)
        errors[sampler.steps, sampler.is_stochastic] = np.abs(np.cov(rows.T) - COVARIANCE).max()
    assert errors[40, False] < errors[10, False] < errors[10, True]


def test_the_times_of_few_steps():
    sampler = Ancestral(linear(10), "beta", steps=4)
    assert [int(sampler.time(jnp.asarray(i))) for i in range(5)] == [10, 7, 5, 2, 0]
    long = Ancestral(linear(100_000, 1e-6, 1e-4), "beta", steps=30_000)
    assert int(long.time(jnp.asarray(1))) == 100_000 * 29_999 // 30_000


def test_the_prior_determines_the_rows_of_deterministic_samplers():
    schedule = linear(20)
    denoiser = GaussianMixture.of([1], [MEAN], COVARIANCE).denoiser(schedule)
    prior = np.random.default_rng(0).normal(size=(1300, 2))
    for sampler in (Ancestral(schedule, "zero"), DDIM(schedule)):
        rows, others = (
            sample_rows(denoiser, sampler, columns=2, n_rows=1300, seed=seed, prior=prior) for seed in (0, 1)
        )
        np.testing.assert_array_equal(rows, others)
        assert np.linalg.matrix_rank(np.cov(np.concatenate([rows, prior], 1).T), tol=1e-3) == 2
    drawn = sample_rows(denoiser, Ancestral(schedule, "beta"), columns=2, n_rows=5, seed=0)
    x_T = np.stack(
        [Ancestral(schedule, "beta").start(jax.random.fold_in(key_of(0, Stream.SAMPLING), i), 2) for i in range(5)]
    )
    given = sample_rows(denoiser, Ancestral(schedule, "beta"), columns=2, n_rows=5, seed=0, prior=x_T)
    np.testing.assert_array_equal(given, drawn)


def test_the_ddpm_step_equals_the_formula_in_eps():
    schedule = linear(200)
    network = MLP(jax.random.key(0), columns=2, features=16, width=128, depth=5)
    x_t = jnp.array([0.7, -0.2])
    for t in (1, 2, 100, 200):
        mean, std = Ancestral(schedule, "beta").transition(
            NetworkDenoiser(network=network, schedule=schedule), x_t, jnp.array(t), jnp.array(t - 1)
        )
        beta = 1e-4 + (0.02 - 1e-4) * (t - 1) / 199
        eps = network(x_t, sinusoidal_embedding(jnp.array(t), 16))
        expected = (x_t - beta / float(schedule.sigma[t]) * eps) / np.sqrt(1 - beta)
        np.testing.assert_allclose(mean, expected, rtol=2e-4, atol=1e-5)
        assert float(std) == pytest.approx(0.0 if t == 1 else np.sqrt(beta), rel=1e-3)


def test_the_posterior_variance_equals_the_published_formula():
    schedule = linear(200)
    alpha_bar = np.asarray(schedule.alpha_bar, np.float64)
    oracle = GaussianMixture.of([1], [[0, 0]], np.eye(2)).denoiser(schedule)
    _, std = Ancestral(schedule, "posterior").transition(oracle, jnp.zeros(2), jnp.array(50), jnp.array(49))
    beta = 1e-4 + (0.02 - 1e-4) * 49 / 199
    assert float(std) == pytest.approx(np.sqrt(beta * (1 - alpha_bar[49]) / (1 - alpha_bar[50])), rel=1e-3)


def test_an_unknown_variance_is_refused():
    with pytest.raises(ValueError, match="variance must be 'beta', 'posterior' or 'zero', not 'tilde'"):
        Ancestral(linear(10), "tilde")
