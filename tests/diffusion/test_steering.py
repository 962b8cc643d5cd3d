from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.diffusion.conditioning.populations import systematic_resampling
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.samplers import DDIM, Ancestral
from pointillist.diffusion.schedules import cosine
from pointillist.diffusion.steering import SVDD, ChainedSVDD, FeynmanKac
from pointillist.engine.sampling import sample_rows
from pointillist.metrics import energy_distance

MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
)
NORMAL = GaussianMixture.of([1.0], [[0.2, -0.1]], [[0.2, 0.1], [0.1, 0.1]])
SCHEDULE = cosine(100)
SAMPLER = Ancestral(SCHEDULE, "posterior")
SLOPE = np.array([1.0, 2.0])


def linear_reward(x):
    return x @ jnp.asarray(SLOPE, jnp.float32)


def standardized_distance(rows, distribution, seed=1):
    """Returns the energy distance from an exact sample in standard errors under equality."""
    distance = energy_distance(rows, distribution.sample(4000, seed)[0])
    return float(distance) / distance.null_standard_error


def drawn(distribution, sampler, n_rows=3000):
    return sample_rows(distribution.denoiser(SCHEDULE), sampler, columns=2, n_rows=n_rows, seed=0)


@pytest.mark.slow
def test_feynman_kac_samples_the_tilted_mixture():
    rows = drawn(MIXTURE, FeynmanKac(SAMPLER, linear_reward, 1.0, 10, 5000), 2000)
    # 2.5: one ratio in thirty is larger under equality, and rows of one population are dependent.
    assert standardized_distance(rows, MIXTURE.tilted(SLOPE)) < 2.5
    assert standardized_distance(rows, MIXTURE) > 100


@pytest.mark.slow
def test_svdd_samples_the_tilted_distribution_if_its_value_function_is_exact():
    """A linear reward and normal data: the soft value is r(x̂_0) and a constant."""
    rows = drawn(NORMAL, SVDD(Ancestral(SCHEDULE, "beta"), linear_reward, 1.0, 100))
    assert standardized_distance(rows, NORMAL.tilted(SLOPE)) < 2.5
    assert standardized_distance(rows, NORMAL) > 100


@pytest.mark.slow
def test_svdd_samples_a_weakly_tilted_mixture():
    """In a mixture r(x̂_0) is the soft value to first order in 1 / temperature."""
    temperature = 6.0
    rows = drawn(MIXTURE, SVDD(SAMPLER, linear_reward, temperature, 50))
    assert standardized_distance(rows, MIXTURE.tilted(SLOPE / temperature)) < 2.5
    assert standardized_distance(rows, MIXTURE) > 8


@pytest.mark.slow
def test_svdd_is_biased_for_a_strongly_tilted_mixture():
    """SVDD documents this: its value function is then wrong, and more candidates do not help."""
    rows = drawn(MIXTURE, SVDD(SAMPLER, linear_reward, 1.0, 50))
    assert standardized_distance(rows, MIXTURE.tilted(SLOPE)) > 4


@pytest.mark.slow
def test_a_chain_of_candidates_has_the_variance_of_its_recursion():
    """A step on normal data is x -> a x + b z; without a reward its M candidates are equally likely."""
    variance, n_candidates = 0.09, 5
    data = GaussianMixture.of([1.0], [[0.0]], [[[variance]]])
    sampler = Ancestral(SCHEDULE, "beta")
    chained = ChainedSVDD(sampler, lambda x: jnp.zeros(len(x)), 1.0, n_candidates)
    rows = sample_rows(data.denoiser(SCHEDULE), chained, columns=1, n_rows=20_000, seed=0)
    expected = 1.0
    for t in range(SCHEDULE.timesteps, 0, -1):
        alpha, sigma = float(SCHEDULE.alpha[t]), float(SCHEDULE.sigma[t])
        ratio = alpha / float(SCHEDULE.alpha[t - 1])
        noise = 1 - ratio**2
        # E[x_0 | x_t] is linear in x_t, and so is the mean of a step.
        slope = (1 - noise / sigma**2 * (1 - alpha * variance * alpha / (alpha**2 * variance + sigma**2))) / ratio
        added = [slope ** (2 * i) * noise * (t > 1) for i in range(n_candidates)]
        by_candidate = [slope ** (2 * i + 2) * expected + sum(added[: i + 1]) for i in range(n_candidates)]
        expected = np.mean(by_candidate)
    assert expected < 0.7 * variance  # much narrower than the data
    found = float((rows**2).mean())
    assert abs(found - expected) < 4 * float((rows**2).std()) / np.sqrt(len(rows))


@pytest.mark.slow
def test_a_chain_keeps_the_candidate_whose_next_step_is_best():
    def to_the_right(x):
        return x[:, 0]

    mild = drawn(MIXTURE, ChainedSVDD(SAMPLER, to_the_right, 1e6), 500)
    best = drawn(MIXTURE, ChainedSVDD(SAMPLER, to_the_right, 0.0), 500)
    assert best[:, 0].mean() > mild[:, 0].mean() + 0.1


def test_temperature_0_keeps_the_best_candidate():
    def to_the_right(x):
        return x[:, 0]

    mild = drawn(MIXTURE, SVDD(SAMPLER, to_the_right, 1.0), 500)
    best = drawn(MIXTURE, SVDD(SAMPLER, to_the_right, 0.0), 500)
    assert best[:, 0].mean() > mild[:, 0].mean() + 0.1


@pytest.mark.slow
def test_one_candidate_gives_the_unsteered_sampler():
    assert standardized_distance(drawn(MIXTURE, SVDD(SAMPLER, linear_reward, 0.01, 1)), MIXTURE) < 2.5


@pytest.mark.parametrize(
    "sampler",
    [
        SVDD(SAMPLER, linear_reward, 1.0, 20),
        pytest.param(FeynmanKac(SAMPLER, linear_reward, 1.0), marks=pytest.mark.slow),
    ],
)
def test_no_row_has_a_reward_of_minus_infinity(sampler):
    def left_alone(x):
        return jnp.where(x[:, 0] > 0, -jnp.inf, 0.0)

    rows = drawn(MIXTURE, replace(sampler, reward=left_alone), 500)
    kept = np.isfinite(rows).all(axis=1)
    assert kept.mean() > 0.98 and (rows[kept, 0] <= 0).all()


def test_rows_without_an_allowed_candidate_are_nan():
    for method in (SVDD, FeynmanKac):
        assert np.isnan(drawn(MIXTURE, method(SAMPLER, lambda x: jnp.full(len(x), -jnp.inf)), 100)).all()


@pytest.mark.slow
def test_every_index_of_a_population_has_the_same_distribution():
    """Systematic resampling alone favors the first particle; a truncated draw would be biased."""
    sampler = FeynmanKac(Ancestral(cosine(20), "posterior"), linear_reward, 1.0, 10, 100)
    rows = sample_rows(NORMAL.denoiser(cosine(20)), sampler, columns=2, n_rows=8000, seed=0).reshape(800, 10, 2)
    score = rows @ SLOPE
    by_index = score.mean(axis=0)
    assert (np.abs(by_index - score.mean()) < 4 * score.std(axis=0) / np.sqrt(800)).all()


@pytest.mark.slow
def test_a_nan_in_an_early_step_is_kept():
    def nan_far_out(x):
        return jnp.where((x[:, 0] > 0.5).any(), jnp.nan, x[:, 0])

    # Predictions at T are near the mean; later some particle leaves the range.
    rows = drawn(MIXTURE, FeynmanKac(SAMPLER, nan_far_out, 1.0, 10, 500), 50)
    assert np.isnan(rows).all()
    assert np.isnan(drawn(MIXTURE, SVDD(SAMPLER, lambda x: jnp.full(len(x), jnp.inf)), 50)).all()


@pytest.mark.parametrize("sampler", [SVDD(SAMPLER, linear_reward), FeynmanKac(SAMPLER, linear_reward)])
def test_a_nan_reward_makes_rows_nan(sampler):
    rows = drawn(MIXTURE, replace(sampler, reward=lambda x: jnp.full(len(x), jnp.nan)), 50)
    assert np.isnan(rows).all()


@pytest.mark.parametrize("method", [SVDD, FeynmanKac])
def test_a_deterministic_sampler_is_refused(method):
    with pytest.raises(ValueError, match="needs a stochastic sampler: with a deterministic one"):
        method(DDIM(SCHEDULE), linear_reward)


def test_invalid_settings_are_refused():
    with pytest.raises(ValueError, match="particles must be a multiple of candidates: 500 is not a multiple of 7"):
        FeynmanKac(SAMPLER, linear_reward, candidates=7, particles=500)


def test_systematic_resampling_keeps_counts_to_within_one():
    weights = np.array([0.5, 0.25, 0.2, 0.05])
    log_weights = jnp.asarray(np.log(weights), jnp.float32) + 300
    counts = np.array(
        [
            np.bincount(systematic_resampling(jax.random.uniform(jax.random.key(i)), log_weights, 10), minlength=4)
            for i in range(200)
        ]
    )
    assert (np.abs(counts - 10 * weights) < 1).all()
    assert (np.abs(counts.mean(0) - 10 * weights) < 4 * 0.5 / np.sqrt(200)).all()
