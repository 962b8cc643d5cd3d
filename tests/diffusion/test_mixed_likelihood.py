"""Compares probabilities of tokens and densities of numbers with a known joint distribution."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from test_tokens import DISTRIBUTION, ROWS, TOKENS, ExactNetwork

from pointillist.diffusion.parameterizations import coefficients
from pointillist.diffusion.schedules import LOWEST_LAMBDA, at_lambda
from pointillist.diffusion.tokens.masking import WIDE, Tokens
from pointillist.diffusion.tokens.mixed_likelihood import NumberLogDensity, NumberQuantiles, TokenLogProbability
from pointillist.diffusion.tokens.mixed_sampling import SCHEDULE, MixedDenoiser
from pointillist.diffusion.tokens.token_sampling import HIDDEN, TokenDenoiser
from pointillist.engine.mapping import map_rows

MIXED = Tokens((2, 3), (), (0, 1), (1, 2))
"""The number of each token exists with its last value."""

MEANS = np.array([[0.3, -0.4], [-0.6, 0.2], [0.5, 0.1], [-0.2, 0.7], [0.4, -0.1]], np.float32)
COVARIANCE = np.array([[0.8, 0.63], [0.63, 0.5]], np.float32)
"""Covariance with a correlation of 0.996."""

INDEPENDENT = np.eye(2, dtype=np.float32)


class Normal(eqx.Module):
    """Exact network of numbers that are normal around a sum of means of token values."""

    def embed_context(self, one_hot, observed):
        return jnp.concatenate([one_hot @ jnp.asarray(MEANS), observed])

    def __call__(self, inside, is_noised, context, lambda_t, x_t):
        alpha, sigma = at_lambda(lambda_t)
        c_in, skip, out = coefficients("edm", alpha, sigma)
        x_t, mean, covariance = inside / c_in, context[:2], jnp.asarray(COVARIANCE)
        # Whether each number is observed, and its value.
        is_observed, values = context[2:4] > 0, context[4:6]
        both = jnp.outer(is_observed, is_observed).astype(jnp.float32)
        inverse = jnp.linalg.inv(covariance * both + jnp.diag((~is_observed).astype(jnp.float32))) * both
        gain = covariance @ inverse
        mean = mean + gain @ jnp.where(is_observed, values - mean, 0.0)
        covariance = covariance - gain @ covariance
        opened = jnp.outer(is_noised, is_noised).astype(jnp.float32)
        open_covariance = covariance * opened
        noised = alpha**2 * open_covariance + sigma**2 * jnp.eye(2)
        x0 = mean + alpha * open_covariance @ jnp.linalg.solve(noised, jnp.where(is_noised, x_t - alpha * mean, 0.0))
        return (x0 - skip * x_t) / out


class Linear(eqx.Module):
    """Network with logits linear in the visible tokens."""

    weight: np.ndarray

    def __call__(self, seen):
        return seen @ jnp.asarray(self.weight)


def flow_distribution(mean, covariance):
    """Returns the distribution to which the flow maps its start, N(mean, I) at a noise of 10."""
    lambda_T = jnp.asarray(LOWEST_LAMBDA)
    alpha, sigma = (float(part) for part in at_lambda(lambda_T))
    size, axes = np.linalg.eigh(np.atleast_2d(covariance) + 0.002**2 * np.eye(len(mean)))
    shrunk = axes @ np.diag(np.sqrt(size / (alpha**2 * size + sigma**2))) @ axes.T
    return multivariate_normal(mean, shrunk @ shrunk)


NO_TOKENS = TokenDenoiser(Linear(np.zeros((5, 5), np.float32)), MIXED)


def log_density_of(denoiser, is_target, rows):
    function = NumberLogDensity(
        MixedDenoiser(NO_TOKENS, denoiser, INDEPENDENT), SCHEDULE, tuple(np.flatnonzero(is_target).tolist())
    )
    return map_rows(function, np.asarray(rows, np.float32))


def rows_of(first, second, n=40, seed=0):
    one_hot = np.concatenate([np.eye(2)[first], np.eye(3)[second]])
    mean = one_hot @ MEANS
    numbers = np.random.default_rng(seed).multivariate_normal(mean, COVARIANCE, n)
    return np.hstack([np.tile([first, second], (n, 1)), numbers]), mean


def test_the_tokens_of_a_row_have_the_right_probability_in_every_order():
    steps = np.array([[1, 2, 3], [3, 1, 2], [2, 3, 1]], np.int32)
    function = TokenLogProbability(TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS), steps, np.zeros(0, bool), 3)
    found = map_rows(function, ROWS.astype(np.float32))
    assert np.abs(np.exp(found) - DISTRIBUTION[:, None]).max() < 1e-5


def test_observed_tokens_are_conditions_and_hidden_ones_are_summed_over():
    function = TokenLogProbability(
        TokenDenoiser(ExactNetwork(DISTRIBUTION), TOKENS), np.array([[0, 1, 0]], np.int32), np.zeros(0, bool), 1
    )
    rows = np.array([[1, k, HIDDEN] for k in range(3)], np.float32)
    expected = np.array([DISTRIBUTION[(ROWS[:, 0] == 1) & (ROWS[:, 1] == k)].sum() for k in range(3)])
    assert np.abs(np.exp(map_rows(function, rows)[:, 0]) - expected / expected.sum()).max() < 1e-5


def test_nearly_collinear_numbers_have_the_right_density():
    rows, mean = rows_of(1, 2)
    found = log_density_of(Normal(), [True, True], rows)
    expected = flow_distribution(mean, COVARIANCE).logpdf(rows[:, 2:])
    assert np.abs(found - expected).max() < 0.02
    # The distribution of the model also depends on its start.
    assert abs(np.mean(found - multivariate_normal(mean, COVARIANCE).logpdf(rows[:, 2:]))) < 0.02


def test_a_missing_number_does_not_enter_the_density():
    rows, mean = rows_of(1, 0)
    rows[:, 3] = 0
    expected = flow_distribution(mean[:1], COVARIANCE[:1, :1]).logpdf(rows[:, 2])
    assert np.abs(log_density_of(Normal(), [True, True], rows) - expected).max() < 0.02


def test_numbers_beyond_the_training_range_have_the_right_density():
    """Predictions are clipped for sampling; clipping would make the densities of these numbers 0."""
    rows, mean = rows_of(1, 0, n=4)
    rows[:, 2:] = np.column_stack([mean[0] + np.array([-8.0, -6.0, 6.0, 8.0]), np.zeros(4)])
    expected = flow_distribution(mean[:1], COVARIANCE[:1, :1]).logpdf(rows[:, 2])
    assert np.abs(log_density_of(Normal(), [True, True], rows) / expected - 1).max() < 0.02


@pytest.mark.slow
def test_an_observed_number_is_a_condition():
    rows, mean = rows_of(1, 2)
    slope = COVARIANCE[0, 1] / COVARIANCE[1, 1]
    variance = COVARIANCE[0, 0] - slope * COVARIANCE[0, 1]
    means = mean[0] + slope * (rows[:, 3] - mean[1])
    expected = [flow_distribution(np.array([m]), variance).logpdf(x) for m, x in zip(means, rows[:, 2], strict=True)]
    assert np.abs(log_density_of(Normal(), [True, False], rows) - expected).max() < 0.02


def test_quantiles_of_a_number_agree_with_the_distribution():
    rows, mean = rows_of(1, 2, n=5)
    levels = np.array([0.05, 0.3, 0.5, 0.95])
    starts = norm.ppf(levels).astype(np.float32)
    is_target = np.array([True, False])
    found = map_rows(
        NumberQuantiles(MixedDenoiser(NO_TOKENS, Normal(), INDEPENDENT), SCHEDULE, is_target, starts),
        rows.astype(np.float32),
    )
    slope = COVARIANCE[0, 1] / COVARIANCE[1, 1]
    variance = COVARIANCE[0, 0] - slope * COVARIANCE[0, 1]
    for row, quantiles in zip(rows, found, strict=True):
        distribution = flow_distribution(np.array([mean[0] + slope * (row[3] - mean[1])]), variance)
        expected = norm(distribution.mean[0], distribution.cov[0, 0] ** 0.5).ppf(levels)
        assert np.abs(quantiles - expected).max() < 0.05 * variance**0.5


@pytest.mark.parametrize("shift", [0, 1])
def test_tokens_of_one_step_are_independent_given_earlier_ones(shift):
    n = WIDE + 2
    tokens = Tokens((2,) * n)
    weight = np.zeros((2 * n, 2 * n), np.float32)
    weight[0, 3] = weight[1, 2] = 1.5

    denoiser = TokenDenoiser(Linear(weight), tokens)
    steps = np.full((1, n), 2, np.int32)
    steps[0, 0] = 1 + shift
    row = np.zeros((1, n), np.float32)
    found = map_rows(TokenLogProbability(denoiser, steps, np.zeros(0, bool), 2), row)[0, 0]
    last = np.log(jax.nn.sigmoid(-1.5 if shift == 0 else 0.0))
    assert found == pytest.approx((n - 1) * np.log(0.5) + last, abs=1e-3)
