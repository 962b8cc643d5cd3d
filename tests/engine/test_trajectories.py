"""Trajectories of every sampler from noise to data."""

import jax
import numpy as np
import pytest

from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.registries import SAMPLERS, sampler_named
from pointillist.diffusion.samplers import TrajectorySampler
from pointillist.diffusion.schedules import cosine, padded
from pointillist.engine.sampling import ROWS_PER_CHUNK, sample_rows, sample_trajectories

SCHEDULE = cosine(12)
MIXTURE = GaussianMixture.of([0.5, 0.3, 0.2], [[-1.0, 0.0], [1.0, 1.0], [1.0, -1.0]], 0.05 * np.eye(2), [0, 1, 2])
GUIDED = ClassifierFree(MIXTURE.denoiser(SCHEDULE), np.asarray(1.5, np.float32))
N = ROWS_PER_CHUNK + 30
OPTIONS = {"columns": 2, "n_rows": N, "seed": 3, "labels": np.arange(N, dtype=np.int32) % 3}
MEAN, COVARIANCE = np.array([0.4, -0.3]), np.array([[0.3, 0.12], [0.12, 0.1]])


def all_points(sampler):
    return TrajectorySampler(sampler, np.arange(int(sampler.n_steps), dtype=np.int32))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "ancestral")) for name in SAMPLERS]
)
def test_a_trajectory_ends_in_the_row_that_the_sampler_draws(name):
    sampler = sampler_named(name, SCHEDULE, 6)
    trajectories = sample_trajectories(GUIDED, all_points(sampler), **OPTIONS)
    assert trajectories.shape == (7, N, 2) and trajectories.dtype == np.float32
    np.testing.assert_allclose(trajectories[-1], sample_rows(GUIDED, sampler, **OPTIONS), atol=1e-5)
    assert (np.abs(np.diff(trajectories, axis=0)).max(axis=(1, 2)) > 1e-3).all()


@pytest.mark.slow
def test_selected_points_are_those_of_the_whole_trajectory():
    sampler = sampler_named("ancestral", SCHEDULE, 6)
    trajectories = sample_trajectories(GUIDED, all_points(sampler), **OPTIONS)
    few = sample_trajectories(GUIDED, TrajectorySampler(sampler, np.array([1, 3], np.int32)), **OPTIONS)
    np.testing.assert_allclose(few, trajectories[[1, 3, 6]], atol=1e-5)
    from_given = sample_trajectories(GUIDED, all_points(sampler), prior=trajectories[0], **OPTIONS)
    np.testing.assert_allclose(from_given, trajectories, atol=1e-5)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "ancestral")) for name in SAMPLERS]
)
def test_points_of_trajectories_have_the_distribution_of_their_noise_level(name):
    """For normal data, x_t is N(alpha_t mean, alpha_t² covariance + sigma_t² I)."""
    schedule = cosine(100)
    denoiser = GaussianMixture.of([1], [MEAN], COVARIANCE).denoiser(schedule)
    sampler = sampler_named(name, schedule, 100 if name in ("ancestral", "ddim") else 40)
    n_steps, n = int(sampler.n_steps), 4000
    trajectory = TrajectorySampler(sampler, np.linspace(0, n_steps - 1, 5).astype(np.int32))
    points = sample_trajectories(denoiser, trajectory, columns=2, n_rows=n, seed=1).astype(np.float64)
    levels = np.append(np.exp(-np.asarray(jax.vmap(sampler.log_snr)(trajectory.indices), np.float64)), 0)
    assert levels[-1] == 0 and (np.diff(levels) < 0).all()
    for x_t, sigma in zip(points, levels, strict=True):
        alpha_bar = 1 / (1 + sigma**2)
        covariance = alpha_bar * COVARIANCE + (1 - alpha_bar) * np.eye(2)
        se = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n)
        # Allows for chance and for the discretization error of few steps.
        assert (np.abs(np.cov(x_t.T) - covariance) < 4 * se + 0.02).all()
        assert (np.abs(x_t.mean(0) - np.sqrt(alpha_bar) * MEAN) < 4 * np.sqrt(np.diag(covariance) / n) + 0.02).all()


def test_trajectories_depend_only_on_seed_and_index():
    options = OPTIONS | {"labels": None}
    denoiser, trajectory = MIXTURE.denoiser(SCHEDULE), all_points(sampler_named("ancestral", SCHEDULE))
    many, few = (sample_trajectories(denoiser, trajectory, **options | {"n_rows": n}) for n in (N, 7))
    np.testing.assert_array_equal(few, many[:, :7])
    np.testing.assert_array_equal(sample_trajectories(denoiser, trajectory, devices=jax.devices()[:1], **options), many)
    longer = all_points(sampler_named("ancestral", padded(SCHEDULE, 40)))
    np.testing.assert_array_equal(sample_trajectories(denoiser, longer, **options | {"n_rows": 7}), few)
    assert sample_trajectories(denoiser, trajectory, **options | {"n_rows": 0}).shape == (13, 0, 2)
