from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from pointillist.diffusion.classification import ClassElbos, ClassLogDensities
from pointillist.diffusion.likelihood import PROBES, hutchinson_probes, log_density
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.schedules import cosine, linear

MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
    labels=[0, 1, 1],
)
ROWS, LABELS = MIXTURE.sample(80, 0)


def at_cut_off(distribution, schedule):
    """Returns the distribution of data plus the noise of t = 1."""
    return distribution.noised(1.0, float(schedule.sigma[1] / schedule.alpha[1]))


@pytest.mark.parametrize(
    "schedule", [cosine(1000), pytest.param(linear(1000), marks=pytest.mark.slow)], ids=["cosine", "linear"]
)
def test_the_log_density_of_an_exact_denoiser_is_that_of_its_mixture(schedule):
    found = jax.vmap(lambda x: log_density(MIXTURE.denoiser(schedule), x))(jnp.asarray(ROWS, jnp.float32))
    np.testing.assert_allclose(found, at_cut_off(MIXTURE, schedule).log_density(ROWS), atol=0.01)


@pytest.mark.slow
def test_the_prior_is_standard_normal_where_the_solver_begins():
    """The flow of N(m, s²) is y_1 = m + (y_T - m) √((s² + σ_1²) / (s² + σ_T²)), y_T = x_T / alpha_T."""
    schedule, lowest, mean, variance = cosine(1000), -0.5, 0.7, 0.04
    distribution = GaussianMixture.of([1.0], [[mean]], [[[variance]]])
    x = np.linspace(0.2, 1.2, 11)[:, None]
    found = jax.vmap(lambda x: log_density(distribution.denoiser(schedule), x, lowest=lowest))(
        jnp.asarray(x, jnp.float32)
    )
    alpha_T, sigma_1 = 1 / np.sqrt(1 + np.exp(-2 * lowest)), float(schedule.sigma[1] / schedule.alpha[1])
    scale = np.sqrt((variance + sigma_1**2) / (variance + np.exp(-2 * lowest)))
    expected = norm(mean - scale * mean, scale / alpha_T).logpdf(x[:, 0])
    np.testing.assert_allclose(found, expected, atol=0.005)


@pytest.mark.slow
def test_class_log_densities_equal_those_of_the_components():
    schedule = cosine(1000)
    far = replace(MIXTURE, means=MIXTURE.means + np.array([[0.0, 0.0], [3.0, 3.0], [3.0, 3.0]]))
    rows, _ = far.sample(50, 0)

    log_densities = partial(ClassLogDensities(far.denoiser(schedule), 2, steps=None), jax.random.key(0))
    found = jax.vmap(log_densities)(jnp.asarray(rows, jnp.float32))
    for label in (0, 1):
        expected = at_cut_off(far.given(label), schedule).log_density(rows)
        # Only densities that are not negligible matter to a classifier.
        near = expected > -15
        np.testing.assert_allclose(found[near, label], expected[near], atol=0.03)


def test_elbos_of_an_exact_denoiser_differ_by_the_log_density_ratio():
    """For the exact denoiser the bound is tight in continuous time (Kingma et al. 2021, section 4)."""
    schedule = cosine(1000)
    wide = replace(MIXTURE, covariances=5 * MIXTURE.covariances)
    oracle, rows = wide.denoiser(schedule), jnp.asarray(ROWS[:40], jnp.float32)
    keys = jax.random.split(jax.random.key(0), (64, 40))

    elbos = jax.vmap(jax.vmap(ClassElbos(oracle, 2)))(keys, rows[None].repeat(64, 0))
    ratios = np.asarray(elbos[..., 1] - elbos[..., 0], np.float64)
    clean = at_cut_off(wide, schedule)
    expected = clean.given(1).log_density(ROWS[:40]) - clean.given(0).log_density(ROWS[:40])
    near = np.abs(expected) < 10
    error = ratios.std(0, ddof=1) / np.sqrt(64)
    assert near.sum() > 10
    assert (np.abs(ratios.mean(0) - expected)[near] < 4 * error[near] + 0.02).all()


def by_steps(schedule, steps):
    one = lambda x: log_density(MIXTURE.denoiser(schedule), x, steps=steps)  # noqa: E731
    return np.asarray(jax.vmap(one)(jnp.asarray(ROWS, jnp.float32)))


@pytest.mark.slow
def test_a_fixed_number_of_steps_is_as_accurate_on_an_exact_denoiser():
    schedule = cosine(1000)
    np.testing.assert_allclose(by_steps(schedule, 120), at_cut_off(MIXTURE, schedule).log_density(ROWS), atol=0.01)


@pytest.mark.slow
def test_a_cutoff_at_almost_no_noise_works():
    nearly_0 = linear(200, 1e-16, 0.02)
    assert np.isfinite(by_steps(nearly_0, 40)).all()


@pytest.mark.slow
def test_a_fixed_number_of_steps_converges_at_third_order():
    coarse, middle, fine = (by_steps(linear(200), steps) for steps in (10, 20, 160))
    assert np.abs(middle - fine).mean() < np.abs(coarse - fine).mean() / 6
    assert np.abs(middle - fine).max() < 0.02


def test_a_solver_that_does_not_converge_returns_nan(monkeypatch):
    from pointillist.diffusion import likelihood

    monkeypatch.setattr(likelihood, "MAX_STEPS", 3)
    assert np.isnan(log_density(MIXTURE.denoiser(cosine(999)), jnp.asarray(ROWS[0], jnp.float32)))


@pytest.mark.slow
def test_the_hutchinson_estimate_is_unbiased():
    schedule = cosine(1000)
    x = jnp.asarray(ROWS[:20], jnp.float32)

    def one(key, x):
        probes = jax.random.rademacher(key, (4, 2), jnp.float32)
        return log_density(MIXTURE.denoiser(schedule), x, probes=probes, steps=120)

    keys = jax.random.split(jax.random.key(0), (100, 20))
    estimates = np.asarray(jax.vmap(jax.vmap(one))(keys, x[None].repeat(100, 0)), np.float64)
    expected = at_cut_off(MIXTURE, schedule).log_density(ROWS[:20])
    error = estimates.std(0, ddof=1) / np.sqrt(100)
    assert (error > 1e-4).any()  # the trace is estimated
    assert (np.abs(estimates.mean(0) - expected) < 4 * error + 0.01).all()


def test_wide_rows_are_estimated_and_narrow_ones_exact():
    """65 independent normal columns, whose Jacobian is diagonal: Hutchinson's estimate has no error."""
    assert hutchinson_probes(jax.random.key(0), 64) is None
    probes = hutchinson_probes(jax.random.key(0), 65)
    assert probes.shape == (PROBES, 65) and set(np.unique(probes)) == {-1.0, 1.0}
    distribution = GaussianMixture.of([1.0], np.zeros((1, 65)), 0.25 * np.eye(65))
    schedule = cosine(1000)
    x = distribution.sample(1, 1)[0]
    found = [log_density(distribution.denoiser(schedule), jnp.asarray(row, jnp.float32), probes=probes) for row in x]
    np.testing.assert_allclose(found, at_cut_off(distribution, schedule).log_density(x), atol=0.02)
