"""Compares conditioned rows with exact ones: a Bayesian network of tokens and mixtures of normals in ranges."""

from functools import partial
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm, truncnorm

from pointillist.diffusion.conditioning.populations import (
    effective_sample_size,
    resample,
    select_rows,
    systematic_resampling,
)
from pointillist.diffusion.conditioning.restricted_sampling import RestrictedSampler, Restriction
from pointillist.diffusion.conditioning.twisting import (
    Ranges,
    log_interval,
    moments_in_ranges,
    smc_sweep,
    truncated_moments,
)
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.schedules import alpha_sigma, cosine
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.token_sampling import TokenDenoiser
from pointillist.models.conditioning import Acceptance

SIZES = 3, 2, 4
TOKENS = Tokens(SIZES)
CELLS = np.array(list(product(*map(range, SIZES))))


def network_distribution():
    """Returns p(a) p(b | a) p(c | a, b), with one probability of 1 in 10,000."""
    rng = np.random.default_rng(0)
    a = np.array([0.6, 0.3999, 0.0001])
    b = rng.dirichlet([1, 1], 3)
    c = rng.dirichlet([1, 1, 1, 1], (3, 2))
    return np.array([a[i] * b[i, j] * c[i, j, k] for i, j, k in CELLS])


DISTRIBUTION = network_distribution()


class Oracle(eqx.Module):
    """Network with the logits of the Bayesian network given any tokens."""

    tokens: Tokens = eqx.field(static=True)

    def __call__(self, seen):
        one_hot = self.tokens.one_hot(jnp.asarray(CELLS, jnp.float32))
        possible = jnp.where(one_hot @ seen >= seen.sum() - 0.5, jnp.asarray(DISTRIBUTION, jnp.float32), 0.0)
        return jnp.log(possible @ one_hot + 1e-30)


def restriction(**allowed):
    """Restricts tokens by name to values, or to pairs of a value and a fraction of its interval."""
    indices = tuple("abc".index(name) for name in allowed)
    longest = max(map(len, allowed.values()))
    slots, fractions = (
        np.zeros((len(indices), longest), np.int32),
        np.full((len(indices), longest), -np.inf, np.float32),
    )
    for i, pieces in enumerate(allowed.values()):
        for j, piece in enumerate(pieces):
            slots[i, j], fraction = piece if isinstance(piece, tuple) else (piece, 1.0)
            fractions[i, j] = np.log(fraction)
    high = np.where(fractions > -np.inf, np.exp(fractions), 0).astype(np.float32)
    return Restriction(indices, slots, fractions, np.zeros_like(high), high)


def drawn(sampler, tokens=TOKENS, draws=200, given=None):
    """Returns rows of several draws with diagnostics, shape (draws, rows, columns)."""
    denoiser = TokenDenoiser(Oracle(tokens), tokens)
    start = jnp.asarray([-1, -1, -1] if given is None else given, jnp.float32)
    keys = jax.random.split(jax.random.key(1), draws)
    return np.asarray(jax.jit(jax.vmap(lambda key: sampler.draw(key, denoiser, start)))(keys))


def agrees(found, expected, by_draw):
    """Returns whether a mean is within 4 standard errors over draws of its expectation."""
    # All draws may lack a rare value; the error then follows from its probability.
    error = np.maximum(by_draw.std(axis=0, ddof=1), np.sqrt(np.abs(expected))) / np.sqrt(len(by_draw))
    return (np.abs(found - expected) <= 4 * error + 1e-6).all()


@pytest.mark.parametrize(
    ("allowed", "sizes"),
    [
        ({"c": [0, 3]}, (1, 1)),
        ({"a": [1], "b": [0], "c": [0, 2, 3]}, (40, 10)),
        pytest.param({"b": [1]}, (1, 1), marks=pytest.mark.slow),
        pytest.param({"a": [0, 2], "c": [1, 2]}, (40, 10), marks=pytest.mark.slow),
        pytest.param({"a": [2], "c": [1]}, (40, 10), marks=pytest.mark.slow),
    ],
)
def test_tokens_in_sets_follow_the_distribution_given_them(allowed, sizes):
    found = drawn(RestrictedSampler(*sizes, 3, restriction(**allowed)), draws=2000 // sizes[1])
    inside = np.all([np.isin(CELLS[:, "abc".index(name)], values) for name, values in allowed.items()], axis=0)
    mass = DISTRIBUTION[inside].sum()
    rows = found[..., :3]
    by_cell = (rows[:, :, None] == CELLS).all(axis=3).mean(axis=1)
    assert agrees(by_cell.mean(axis=0), np.where(inside, DISTRIBUTION, 0) / mass, by_cell)
    masses = np.exp(found[:, 0, 3].astype(np.float64))
    assert abs(masses.mean() - mass) <= 4 * masses.std(ddof=1) / len(masses) ** 0.5 + 1e-4 * mass
    assert np.isin(found[..., 4], np.arange(sizes[0])).all()


def test_part_of_an_interval_counts_in_proportion_to_its_length():
    tokens = Tokens(SIZES, with_intervals=(2,))
    found = drawn(RestrictedSampler(1, 1, 3, restriction(c=[(0, 0.25), 3])), tokens, draws=2000)[:, 0]
    by_value = np.array([DISTRIBUTION[CELLS[:, 2] == value].sum() for value in range(4)]) * [0.25, 0, 0, 1]
    is_first = np.floor(found[:, 2:3]) == 0
    assert agrees(is_first.mean(axis=0), by_value[0] / by_value.sum(), is_first)
    assert found[is_first[:, 0], 2].max() < 0.25 and set(np.floor(found[:, 2])) == {0.0, 3.0}
    np.testing.assert_allclose(np.exp(found[:, 3]), by_value.sum(), rtol=1e-4)


def test_observed_tokens_are_visible_and_do_not_change_the_mass():
    found = drawn(RestrictedSampler(1, 1, 3, restriction(c=[1, 2])), given=[1, -1, -1], draws=1000)[:, 0]
    masses = np.where((CELLS[:, 0] == 1) & np.isin(CELLS[:, 2], [1, 2]), DISTRIBUTION, 0)
    by_cell = (found[:, None, :3] == CELLS).all(axis=2)
    assert agrees(by_cell.mean(axis=0), masses / masses.sum(), by_cell)
    np.testing.assert_allclose(np.exp(found[:, 3]), masses.sum() / DISTRIBUTION[CELLS[:, 0] == 1].sum(), rtol=1e-4)


class AfterSingle(eqx.Module):
    """Logits of a binary token: p = 0.8 for its first value if the constant token before it is visible, else 0.5."""

    def __call__(self, seen):
        return jnp.log(4.0) * jnp.array([0.0, 1.0, 0.0]) * seen[0]


def test_tokens_with_a_single_value_are_visible():
    first = Restriction((1,), np.array([[0]]), np.zeros((1, 1)), np.zeros((1, 1)), np.ones((1, 1)))
    sampler = RestrictedSampler(1, 1, 2, first)
    denoiser = TokenDenoiser(AfterSingle(), Tokens((1, 2)))
    found = eqx.filter_jit(sampler.draw)(jax.random.key(0), denoiser, jnp.full(2, -1.0))[0]
    np.testing.assert_allclose(found[:3], [0, 0, np.log(0.8)], atol=1e-6)


def test_moments_of_a_normal_distribution_in_ranges():
    for mean, variance, low, high in [
        (0, 1, -1, 2),
        (1, 4, 5, 7),
        (0, 1, 4, np.inf),
        (2, 0.25, -np.inf, 0),
        (0, 1, 8, 9),
    ]:
        std = variance**0.5
        truncated = truncnorm((low - mean) / std, (high - mean) / std, mean, std)
        log_z, first, second = jax.jit(truncated_moments)(
            *map(jnp.float32, (mean, variance)), *(jnp.full(1, float(x)) for x in (low, high))
        )
        expected = np.logaddexp(norm.logsf((low - mean) / std), -np.inf)
        if np.isfinite(high):
            expected = np.log(norm.sf((low - mean) / std) - norm.sf((high - mean) / std))
        assert float(log_z) == pytest.approx(expected, abs=2e-3)
        assert float(first) == pytest.approx(truncated.mean(), abs=2e-3)
        assert float(second) == pytest.approx(truncated.var(), abs=0.02 * variance)


def test_moments_in_several_ranges():
    low, high = np.array([-3.0, 1.0, np.inf]), np.array([-1.0, 1.5, np.inf])
    sample = np.random.default_rng(0).normal(0.3, 1.2, 10**6)
    inside = sample[((sample[:, None] >= low) & (sample[:, None] <= high)).any(axis=1)]
    log_z, mean, variance = truncated_moments(
        jnp.float32(0.3), jnp.float32(1.44), jnp.asarray(low, jnp.float32), jnp.asarray(high, jnp.float32)
    )
    assert np.exp(log_z) == pytest.approx(len(inside) / len(sample), abs=4e-3)
    assert (float(mean), float(variance)) == pytest.approx((inside.mean(), inside.var()), abs=2e-2)


def test_a_mass_far_in_the_tail_has_a_finite_logarithm():
    a = jnp.array([8.0, 20.0, -30.0, -1.0])
    b = jnp.array([9.0, jnp.inf, -29.0, 1.0])
    expected = [norm.logsf(8), norm.logsf(20), norm.logcdf(-29), np.log(norm.cdf(1) - norm.cdf(-1))]
    np.testing.assert_allclose(log_interval(a, b), expected, rtol=1e-3)


def test_ranges_are_met_exactly_with_the_moments_of_the_normal_distribution():
    """Checks ψ and the mean of two correlated numbers, one in a range, against the bivariate normal."""
    covariance = np.array([[1.0, 0.8], [0.8, 2.0]])
    ranges = Ranges((0,), np.array([[1.0]]), np.array([[2.0]]))
    log_psi, x0 = moments_in_ranges(
        ranges, jnp.array([0.2, -0.5]), jnp.asarray(covariance[:1], jnp.float32), jnp.array([True]), jnp.float32(1e-6)
    )
    truncated = truncnorm(0.8, 1.8, 0.2, 1)
    assert np.exp(log_psi) == pytest.approx(norm.cdf(1.8) - norm.cdf(0.8), abs=1e-4)
    np.testing.assert_allclose(x0, [truncated.mean(), -0.5 + 0.8 * (truncated.mean() - 0.2)], atol=1e-4)
    assert (
        float(moments_in_ranges(ranges, jnp.zeros(2), jnp.zeros((1, 2)), jnp.array([False]), jnp.float32(1e-6))[0]) == 0
    )


SCHEDULE = cosine(200)
MIXTURE = GaussianMixture.of(
    [0.7, 0.3], [[-1.0, 0.5], [1.0, -0.5]], [[[0.3, 0.2], [0.2, 0.4]], [[0.2, -0.1], [-0.1, 0.3]]]
)


@partial(jax.jit, static_argnames=("n", "points"))
def populations_in_ranges(keys, ranges, n=100, points=60):
    """Returns numbers and weights of populations in ranges."""
    denoiser = MIXTURE.denoiser(SCHEDULE)

    def denoise(context, x_t, t):
        return denoiser(x_t, t)

    def one(key):
        start_key, sweep_key = jax.random.split(key)
        x_T = jax.random.normal(start_key, (n, 2))
        is_constrained = jnp.ones((n, len(ranges.columns)), bool)
        x0, _, weights = smc_sweep(
            sweep_key, denoise, None, x_T, is_constrained, ranges, jnp.zeros(n), SCHEDULE, points
        )
        return x0, weights

    return jax.vmap(one)(keys)


@pytest.mark.parametrize(
    "ranges",
    [
        {0: [(2.0, np.inf)], 1: [(0.5, np.inf)]},
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (
                {1: [(-2.0, -0.9), (1.2, 1.5)]},
                {0: [(-0.5, 0.5)]},
                {0: [(-0.5, 1.0)], 1: [(0.0, 0.4)]},
                {1: [(2.75, np.inf)]},
            )
        ),
    ],
)
def test_numbers_in_ranges_follow_the_mixture_given_them(ranges):
    """Compares masses (down to 1 in 10,000) and means in ranges with quadrature."""
    longest = max(map(len, ranges.values()))
    table = np.full((len(ranges), longest, 2), np.inf, np.float32)
    for row, pairs in zip(table, ranges.values(), strict=True):
        row[: len(pairs)] = pairs
    keys = jax.random.split(jax.random.key(2), 30)
    x0, weights = populations_in_ranges(keys, Ranges((*ranges,), table[..., 0], table[..., 1]))
    x0, weights = np.asarray(x0, np.float64), np.exp(np.asarray(weights, np.float64))
    found = np.stack([weights, *(weights * x0[..., i] for i in (0, 1))], axis=-1).mean(axis=1)
    edges = np.linspace(-5, 6, 1101)
    middle = (edges[1:] + edges[:-1]) / 2
    grid = np.stack(np.meshgrid(middle, middle, indexing="ij"), axis=-1)
    parts = zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, strict=True)
    density = sum(w * multivariate_normal(m, c).pdf(grid) for w, m, c in parts) * (middle[1] - middle[0]) ** 2
    inside = np.ones(density.shape, bool)
    for column, pairs in ranges.items():
        inside &= np.any([(grid[..., column] >= low) & (grid[..., column] <= high) for low, high in pairs], axis=0)
    density = np.where(inside, density, 0)
    expected = [density.sum(), *((density * grid[..., i]).sum() for i in (0, 1))]
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - expected) <= 4 * error).all()
    assert (effective_sizes(weights) > 10).mean() > 0.9


def effective_sizes(weights):
    return weights.sum(axis=1) ** 2 / np.maximum((weights**2).sum(axis=1), 1e-300)


COUNTS, MASSES = np.arange(8), np.array([0.3, 0.25, 0.17, 0.11, 0.08, 0.05, 0.03, 0.01])
MEANS, STD = 0.5 * COUNTS - 0.9, 0.4


def denoise_given_count(count, x_t, t):
    """E[x_0 | x_t, count] of two independent normal numbers, with an error at high noise as in networks."""
    alpha_t, sigma_t = alpha_sigma(SCHEDULE, t)
    mean = jnp.asarray(MEANS, jnp.float32)[count]
    exact = mean + alpha_t * STD**2 / (alpha_t**2 * STD**2 + sigma_t**2) * (x_t - alpha_t * mean)
    return exact + 0.5 * sigma_t**40 * jnp.sin(jnp.array([[5.0, 3.0], [-3.0, 5.0]]) @ x_t + mean)


@jax.jit
def populations_given_counts(keys, low, high):
    """Returns counts, two numbers in the same range and diagnostics of 50 rows with 250 candidates each."""
    ranges, n = Ranges((0, 1), *jnp.broadcast_to(jnp.stack([low, high])[:, None, None], (2, 2, 1))), 250

    def one(key):
        count_key, start_key, sweep_key, choice_key = jax.random.split(key, 4)
        counts = jax.random.choice(count_key, len(COUNTS), (n,), p=jnp.asarray(MASSES, jnp.float32))
        x_T, is_constrained = jax.random.normal(start_key, (n, 2)), jnp.ones((n, 2), bool)
        x0, (counts, ancestors), last = smc_sweep(
            sweep_key,
            lambda context, x_t, t: denoise_given_count(context[0], x_t, t),
            (counts, jnp.arange(n)),
            x_T,
            is_constrained,
            ranges,
            jnp.zeros(n),
            SCHEDULE,
            60,
        )
        rows = jnp.concatenate([counts[:, None].astype(jnp.float32), x0], axis=1)
        return select_rows(choice_key, last, rows, ancestors, 50)

    return jax.vmap(one)(keys)


@pytest.mark.parametrize(("low", "high"), [(0.2, 0.5), (1.0, np.inf)])
def test_errors_of_means_agree_with_the_effective_sample_size(low, high):
    """Compares means of independent draws with a mixture of truncated normal distributions."""
    drawn = populations_given_counts(jax.random.split(jax.random.key(3), 200), jnp.float32(low), jnp.float32(high))
    inside = MASSES * (norm.cdf(high, MEANS, STD) - norm.cdf(low, MEANS, STD)) ** 2
    inside /= inside.sum()
    parts = truncnorm((low - MEANS) / STD, (high - MEANS) / STD, MEANS, STD)
    firsts = inside @ np.stack([COUNTS, parts.mean(), parts.mean()], axis=1)
    seconds = inside @ np.stack([COUNTS**2, *2 * [parts.var() + parts.mean() ** 2]], axis=1)
    sizes = []
    for population in np.asarray(drawn):
        acceptance = Acceptance("x")
        acceptance.accepted(population, 50, 50)
        sizes.append(acceptance.effective_size)
    errors = np.abs(np.asarray(drawn)[..., :3].mean(axis=1) - firsts) / np.sqrt(seconds - firsts**2)
    assert ((errors <= 2 / np.sqrt(sizes)[:, None]).mean(axis=0) > 0.93).all()
    assert np.mean(sizes) > 30


def test_resampling_keeps_the_mean_weight_and_draws_in_proportion_to_weights():
    log_weights = jnp.log(jnp.array([0.0, 1.0, 7.0, 0.0]))
    now, parents = resample(jnp.asarray(0.3), log_weights, jnp.arange(4))
    np.testing.assert_allclose(now, np.log(2.0), rtol=1e-6)
    assert sorted(np.asarray(parents).tolist()) == [2, 2, 2, 2] or sorted(np.asarray(parents).tolist()) == [1, 2, 2, 2]
    assert float(effective_sample_size(log_weights)) == pytest.approx(64 / 50)
    _, same = resample(jnp.asarray(0.3), jnp.zeros(4), jnp.arange(4))
    np.testing.assert_array_equal(same, np.arange(4))
    assert float(effective_sample_size(jnp.full(3, -jnp.inf))) == 0
    assert len(systematic_resampling(jnp.asarray(0.5), jnp.full(3, -jnp.inf), 2)) == 2
