"""Compares rows with observed values and distributions of one column with a normal distribution in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from pointillist.diffusion.conditioning.observed_sampling import (
    CenteredSampler,
    ColumnDensity,
    ColumnQuantiles,
    ObservedSampler,
)
from pointillist.diffusion.conditioning.twisting import RangedSampler, Ranges
from pointillist.diffusion.denoisers import Denoiser, NetworkDenoiser, has_classes
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.losses import CleanRows, Objective
from pointillist.diffusion.networks import ResidualMLP
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.schedules import alpha_sigma, cosine
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.engine.mapping import map_rows
from pointillist.engine.recipes import Architecture
from pointillist.engine.sampling import sample_rows

SCHEDULE = cosine(1000)
MEAN, COVARIANCE = np.array([0.3, -0.2]), np.array([[1.0, 0.7], [0.7, 0.8]])
GIVEN = 1.1
SLOPE = COVARIANCE[0, 1] / COVARIANCE[1, 1]
DISTRIBUTION = norm(MEAN[0] + SLOPE * (GIVEN - MEAN[1]), (COVARIANCE[0, 0] - SLOPE * COVARIANCE[0, 1]) ** 0.5)
ROW = np.array([np.nan, GIVEN], np.float32)


class Normal(Denoiser):
    """Exact denoiser of the normal distribution, with its second column observed or not."""

    values: jax.Array | None = None

    @property
    def schedule(self):
        return SCHEDULE

    def condition_on(self, values):
        return Normal(values)

    def __call__(self, x_t, t):
        alpha, sigma = alpha_sigma(SCHEDULE, t)
        if self.values is None:
            return GaussianMixture.of([1.0], [MEAN], [COVARIANCE]).denoiser(SCHEDULE)(x_t, t)
        mean, variance = MEAN[0] + SLOPE * (self.values[1] - MEAN[1]), DISTRIBUTION.var()
        first = mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x_t[0] - alpha * mean)
        return jnp.stack([first, self.values[1]])


def test_rows_of_a_class_far_from_0_have_its_mean():
    """Noise of σ = 10 leaves a tenth of the mean: if the start lacks it, the mean is 2.79, 9 standard errors lower."""
    classes = GaussianMixture.of([0.9, 0.1], [[-0.33], [3.0]], [[[0.2]], [[0.49]]], labels=[0, 1])
    options = {"columns": 1, "n_rows": 1000, "seed": 0, "labels": np.ones(1000, np.int32)}
    rows = sample_rows(classes.denoiser(SCHEDULE), CenteredSampler(DPMSolver2M(SCHEDULE, 60)), **options)
    assert rows.astype(float).mean() == pytest.approx(3.0, abs=4 * 0.7 / 1000**0.5)
    assert rows.astype(float).std() == pytest.approx(0.7, abs=4 * 0.7 / 2000**0.5)


def test_rows_have_the_conditional_distribution():
    sampler = ObservedSampler(DPMSolver2M(SCHEDULE, 60))
    rows = sample_rows(Normal(), sampler, columns=2, n_rows=2000, seed=0, prior=ROW[None]).astype(float)
    assert (rows[:, 1] == np.float32(GIVEN)).all()
    assert rows[:, 0].mean() == pytest.approx(DISTRIBUTION.mean(), abs=4 * DISTRIBUTION.std() / 2000**0.5)
    assert rows[:, 0].std() == pytest.approx(DISTRIBUTION.std(), abs=4 * DISTRIBUTION.std() / 4000**0.5)


def test_rows_in_ranges_have_the_truncated_conditional_distribution():
    ranges = Ranges((0,), np.array([[DISTRIBUTION.ppf(0.9)]], np.float32), np.array([[np.inf]], np.float32))
    sampler = ObservedSampler(RangedSampler(250, 50, ranges, SCHEDULE, 60))
    assert (sampler.rows_per_draw, sampler.width, sampler.n_diagnostics) == (50, 250, 2)
    rows = sample_rows(Normal(), sampler, columns=4, n_rows=2000, seed=0, prior=ROW[None]).astype(float)
    assert (rows[:, 1] == np.float32(GIVEN)).all() and (rows[:, 0] >= np.float32(DISTRIBUTION.ppf(0.9))).all()
    assert DISTRIBUTION.expect(lb=DISTRIBUTION.ppf(0.9), conditional=True) == pytest.approx(rows[:, 0].mean(), abs=0.03)
    # Probability of the range.
    assert np.exp(rows[:, 2]).mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.slow
def test_quantiles_and_the_density_of_a_column_agree_with_the_distribution():
    levels = np.array([0.05, 0.5, 0.9])
    function = ColumnQuantiles(Normal(), DPMSolver2M(SCHEDULE, 100), 0, norm.ppf(levels).astype(np.float32))
    np.testing.assert_allclose(map_rows(function, ROW[None])[0], DISTRIBUTION.ppf(levels), atol=0.02)
    rows = np.stack([DISTRIBUTION.ppf(levels), np.full(3, GIVEN)], axis=1)
    found = map_rows(ColumnDensity(Normal(), (0,)), rows)
    np.testing.assert_allclose(found, DISTRIBUTION.logpdf(rows[:, 0]), atol=0.01)


def network(seed=0):
    made = ResidualMLP(jax.random.key(0), columns=2, features=16, width=6, depth=1, has_observed=True)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32), made)


def with_classes(seed=0):
    return NetworkDenoiser(
        network(seed), SCHEDULE, np.ones(2), "edm", n_classes=np.asarray(2, np.int32), class_embedding=8
    )


@pytest.mark.parametrize(
    "denoiser",
    [
        NetworkDenoiser(network(), SCHEDULE, np.ones(2), "edm"),
        with_classes(),
        ClassifierFree(with_classes(), 1.5),
    ],
)
def test_observed_columns_matter_and_their_noised_values_do_not(denoiser):
    t, bound = jnp.asarray(300), denoiser.given(jnp.asarray(1)) if has_classes(denoiser) else denoiser

    def at(value, x_t):
        return np.asarray(bound.condition_on(jnp.array([jnp.nan, value]))(jnp.asarray(x_t), t))

    one, same, other = at(0.5, [0.2, 0.3]), at(0.5, [0.2, -9.0]), at(0.9, [0.2, 0.3])
    np.testing.assert_array_equal(one, same)
    assert abs(one[0] - other[0]) > 1e-4 and (one[1], other[1]) == (np.float32(0.5), np.float32(0.9))
    # Without observed values it is the unconditional denoiser.
    none = bound.condition_on(jnp.full(2, jnp.nan))(jnp.array([0.2, 0.3]), t)
    np.testing.assert_allclose(none, bound(jnp.array([0.2, 0.3]), t), atol=1e-6)


def test_observed_columns_are_network_inputs_and_not_in_the_loss():
    x0 = jax.random.normal(jax.random.key(1), (4000, 3))
    architecture = Architecture("residual", 8, 1, 4, has_observed=True)
    clean = CleanRows(x0, None, SCHEDULE, jnp.ones(3), architecture.features)
    keys = jax.random.key(2), jax.random.key(3)
    plain, mine = (Objective("edm", p_given=p).examples(keys, clean, 100) for p in (0.0, 0.3))
    is_observed = np.asarray(mine[1][:, -3:]) == 1
    np.testing.assert_array_equal(mine[1][:, 4:-3], np.where(is_observed, x0, 0))
    np.testing.assert_array_equal(mine[0], np.where(is_observed, 0, plain[0]))
    np.testing.assert_array_equal(mine[2], plain[2])
    np.testing.assert_array_equal(mine[3], np.where(is_observed, 0, plain[3]))
    # In 0.3 of the rows half of the columns are observed, and in a quarter of these none.
    assert is_observed.mean() == pytest.approx(0.15, abs=0.02)
    assert is_observed.any(axis=1).mean() == pytest.approx(0.3 * 0.75, abs=0.03)


def test_given_columns_are_observed_together_in_most_rows_and_in_the_held_out_loss():
    x0 = jax.random.normal(jax.random.key(1), (4000, 3))
    architecture = Architecture("residual", 8, 1, 4, has_observed=True)
    clean = CleanRows(x0, None, SCHEDULE, jnp.ones(3), architecture.features)
    objective = Objective("edm", p_given=0.5, given=(0, 2))
    examples = objective.examples((jax.random.key(2), jax.random.key(3)), clean, 100)
    is_observed = np.asarray(examples[1][:, -3:]) == 1
    is_as_given = (is_observed == [True, False, True]).all(axis=1)
    # In a twentieth of the rows a uniform fraction is observed: just these two columns in a twelfth of them.
    assert is_as_given.mean() == pytest.approx(0.9 + 0.05 / 12, abs=0.015)
    assert is_observed[~is_as_given].any(axis=1).mean() == pytest.approx(0.5 * 0.75, abs=0.1)
    # The held-out loss of a network that predicts 0 depends on the other column alone.
    moved = [x0.at[:, column].add(1.0) for column in range(3)]
    with jax.numpy_dtype_promotion("standard"):
        losses = [
            float(objective.held_out_loss(jax.random.key(4), lambda x, f: 0 * x, clean._replace(x0=rows)))
            for rows in (x0, *moved)
        ]
    assert losses[0] == losses[1] == losses[3] != losses[2]


def test_a_network_without_observed_columns_starts_with_the_same_weights():
    parts = {"columns": 3, "features": 4, "width": 8, "depth": 2}
    one, other = ResidualMLP(jax.random.key(5), **parts), ResidualMLP(jax.random.key(5), **parts, has_observed=True)
    assert one.observed is None and other.observed is not None and other.observed.shape == (18, 8)
    assert eqx.tree_equal(one, eqx.tree_at(lambda tree: tree.observed, other, None, is_leaf=lambda x: x is None))
