import numpy as np
import pytest

from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.registries import SCHEDULES
from pointillist.diffusion.samplers import DDIM
from pointillist.diffusion.schedules import cosine
from pointillist.diffusion.solvers import DPMSolver2M, Heun
from pointillist.engine.sampling import sample_rows
from pointillist.metrics import energy_distance

MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
)
SCHEDULE = cosine(200)
PRIOR = np.random.default_rng(0).normal(size=(500, 2))
SOLVERS = {
    "dpm": lambda schedule, points: DPMSolver2M(schedule, points),
    "dpm-sde": lambda schedule, points: DPMSolver2M(schedule, points, is_stochastic=True),
    "heun": lambda schedule, points: Heun(schedule, points),
}


def drawn(sampler, n_rows=500, prior=PRIOR, schedule=SCHEDULE):
    denoiser = MIXTURE.denoiser(schedule)
    return sample_rows(denoiser, sampler, columns=2, n_rows=n_rows, seed=0, prior=prior).astype(np.float64)


@pytest.mark.parametrize("points", [4, *(pytest.param(n, marks=pytest.mark.slow) for n in (20, 1000))])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", SOLVERS)
def test_finite_on_every_schedule(name, schedule, points):
    schedule = SCHEDULES[schedule](200)
    rows = drawn(SOLVERS[name](schedule, points), 50, PRIOR[:50], schedule)
    assert np.isfinite(rows).all() and np.abs(rows).max() < 5


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_few_points_sample_the_mixture(name):
    distribution = MIXTURE.sample(4000, 1)[0]
    distance = energy_distance(drawn(SOLVERS[name](SCHEDULE, 40), 4000, None), distribution)
    assert float(distance) / distance.null_standard_error < 2.5


def test_twenty_points_are_nearer_than_twenty_steps_of_ddim():
    exact = drawn(Heun(SCHEDULE, 1000))
    ours, theirs = (np.abs(drawn(s) - exact).mean() for s in (DPMSolver2M(SCHEDULE, 20), DDIM(SCHEDULE, steps=20)))
    assert ours < 0.5 * theirs


@pytest.mark.parametrize("steps", [4, 200])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddim_is_finite_on_every_schedule(schedule, steps):
    schedule = SCHEDULES[schedule](200)
    rows = drawn(DDIM(schedule, steps=steps), 50, PRIOR[:50], schedule)
    assert np.isfinite(rows).all() and np.abs(rows).max() < 5
