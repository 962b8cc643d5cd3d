"""Compares numbers along their axes with the normal distribution that a network of zeros represents."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from test_mixed_likelihood import Linear, flow_distribution

from pointillist.columns.covariance import principal_axes
from pointillist.diffusion.conditional_normal import MAX_NUMBERS
from pointillist.diffusion.losses import CleanRows, stratified
from pointillist.diffusion.schedules import at_lambda
from pointillist.diffusion.solvers import DPMSolver2M
from pointillist.diffusion.tokens.masking import Tokens, number_features
from pointillist.diffusion.tokens.mixed_likelihood import LEVELS, NumberError, NumberLogDensity, NumberQuantiles
from pointillist.diffusion.tokens.mixed_losses import HIDDEN_CONTEXT, MixedObjective
from pointillist.diffusion.tokens.mixed_networks import MixedNetwork, NumberNetwork
from pointillist.diffusion.tokens.mixed_sampling import POINTS, SCHEDULE, MixedDenoiser, axes_and_scales
from pointillist.diffusion.tokens.token_sampling import HIDDEN, TokenDenoiser, TokenSampler
from pointillist.engine.mapping import map_rows
from pointillist.engine.recipes import TokenArchitecture
from pointillist.engine.sampling import sample_rows

TOKENS = Tokens((2, 1, 1, 1), (), (1, 2, 3), (0, 0, 0))
"""A class, and three numbers that every row has."""

COVARIANCE = np.array([[1.0, 0.99, 0.3], [0.99, 1.0, 0.35], [0.3, 0.35, 1.0]], np.float32)
BASIS = principal_axes(COVARIANCE, np.ones(3, bool))
COORDINATES = principal_axes(COVARIANCE, np.zeros(3, bool))


class Zeros(eqx.Module):
    """Exact network of normal numbers with given variances along its axes."""

    def embed_context(self, one_hot, observed=None):
        return one_hot

    def __call__(self, inside, is_noised, context, lambda_t, x_t):
        return jnp.zeros_like(inside)


def denoiser(basis):
    network = Linear(np.zeros((TOKENS.n_slots + TOKENS.n_number_features, TOKENS.n_slots), np.float32))
    return MixedDenoiser(TokenDenoiser(network, TOKENS), Zeros(), COVARIANCE, basis)


def normal_rows(n, seed=0):
    numbers = np.random.default_rng(seed).multivariate_normal(np.zeros(3), COVARIANCE, n)
    return np.hstack([np.zeros((n, 4)), numbers]).astype(np.float32)


def test_predictions_are_conditional_means_of_the_normal_distribution():
    numbers = jnp.array([0.4, -0.2, 1.0])
    joint = denoiser(BASIS).number_denoiser(jnp.zeros(4), numbers, jnp.zeros(3, bool), SCHEDULE)
    for t in (1, 30, 60, 100):
        alpha, sigma = float(SCHEDULE.alpha[t]), float(SCHEDULE.sigma[t])
        expected = alpha * COVARIANCE @ np.linalg.solve(alpha**2 * COVARIANCE + sigma**2 * np.eye(3), numbers)
        np.testing.assert_allclose(joint(numbers, jnp.asarray(t)), expected, atol=1e-5)


def test_rows_and_densities_agree_with_the_normal_distribution():
    sampler = TokenSampler(4, DPMSolver2M(SCHEDULE, POINTS, is_stochastic=True))
    drawn = sample_rows(denoiser(BASIS), sampler, columns=7, n_rows=4000, seed=0)[:, 4:]
    # Variances of the numbers and of a small difference of two, within 4 standard errors.
    for direction in (*np.eye(3), [1, -1, 0]):
        variance = direction @ COVARIANCE @ direction
        assert abs((drawn @ direction).var() / variance - 1) < 4 * np.sqrt(2 / 4000)
    rows = normal_rows(20)
    found = map_rows(NumberLogDensity(denoiser(BASIS), SCHEDULE, (0, 1, 2)), rows)
    np.testing.assert_allclose(found, flow_distribution(np.zeros(3), COVARIANCE).logpdf(rows[:, 4:]), atol=0.02)


@pytest.mark.parametrize("given", [(3.0, 0.5), (-2.5, -2.5), (0.0, 0.0)])
def test_conditional_quantiles_and_densities_agree_with_the_normal_distribution(given):
    """Includes means far from 0, where a tenth of the mean remains in x_T."""
    row = np.array([[0, 0, 0, 0, 0, *given]], np.float32)
    gain = np.linalg.solve(COVARIANCE[1:, 1:].astype(float), COVARIANCE[1:, 0].astype(float))
    mean, std = gain @ given, np.sqrt(COVARIANCE[0, 0] - gain @ COVARIANCE[1:, 0])
    starts = np.linspace(-2, 2, 5).astype(np.float32)
    quantiles = map_rows(NumberQuantiles(denoiser(None), SCHEDULE, np.array([True, False, False]), starts), row)
    np.testing.assert_allclose((quantiles[0] - mean) / std, starts, rtol=0.02, atol=0.005)
    rows = np.repeat(row, 5, axis=0)
    rows[:, 4] = mean + std * starts
    found = map_rows(NumberLogDensity(denoiser(None), SCHEDULE, (0,)), rows)
    np.testing.assert_allclose(found, scipy.stats.norm.logpdf(starts) - np.log(std), atol=0.03)
    np.testing.assert_allclose(found, found[::-1], atol=0.005)


@pytest.mark.parametrize("basis", [BASIS, COORDINATES], ids=["principal", "coordinate"])
def test_errors_of_noise_agree_with_the_normal_distribution(basis):
    n = 2000
    found = map_rows(NumberError(denoiser(basis), SCHEDULE), normal_rows(n))
    axes, sigma_data = (np.asarray(part, float) for part in axes_and_scales(basis, 3))
    expected = []
    for level in LEVELS:
        alpha, sigma = (float(part) for part in at_lambda(jnp.asarray(level)))
        gain = axes @ np.diag(alpha * sigma_data**2 / (sigma**2 + (alpha * sigma_data) ** 2)) @ axes.T
        left = np.eye(3) - alpha * gain
        error = left @ COVARIANCE @ left.T + sigma**2 * gain @ gain.T
        expected.append((alpha / sigma) ** 2 * np.trace(error) / 3)
    assert abs(found.mean() - np.mean(expected)) < 4 * found.std() / np.sqrt(n)


def test_independent_numbers_have_the_lower_error_along_the_columns():
    rows = np.hstack([np.zeros((500, 4)), np.random.default_rng(0).normal(size=(500, 3))]).astype(np.float32)
    errors = [map_rows(NumberError(denoiser(basis), SCHEDULE), rows).mean() for basis in (np.eye(3, dtype="f4"), BASIS)]
    assert errors[0] < errors[1]


def test_principal_axes():
    np.testing.assert_allclose(BASIS @ BASIS.T, COVARIANCE, atol=1e-6)
    part = principal_axes(COVARIANCE, np.array([True, True, False]))
    np.testing.assert_allclose((part @ part.T)[:2, :2], COVARIANCE[:2, :2], atol=1e-6)
    np.testing.assert_allclose(part[2], [0, 0, 1], atol=1e-7)
    assert (part[:2, 2] == 0).all()
    same = principal_axes(np.ones((2, 2), np.float32), np.ones(2, bool))
    assert (np.linalg.norm(same, axis=0) > 0.003).all()


def test_too_many_numbers_are_not_rotated():
    axes, sigma_data = axes_and_scales(np.zeros((0, 0), np.float32), MAX_NUMBERS + 1)
    assert axes is None and (sigma_data == 1).all() and len(sigma_data) == MAX_NUMBERS + 1


def test_each_network_learns_only_from_its_targets():
    architecture = TokenArchitecture(TOKENS, 8, 1, 2, has_joint_network=True)
    network = jax.jit(lambda key: architecture.build(key, 7))(jax.random.key(0))
    assert isinstance(network, MixedNetwork) and network.joint_network is not None
    assert network.joint_network.output.weight.shape == (8, 3) and network.number_network.output.weight.shape == (4, 3)
    filled = jax.tree.map(lambda leaf: np.asarray(leaf) + np.float32(0.1), network)
    objective = MixedObjective(TOKENS, has_joint_network=True)
    clean = CleanRows(jnp.asarray(normal_rows(64)), None, SCHEDULE, jnp.stack([COVARIANCE, BASIS]))
    examples = jax.jit(lambda *keys: objective.examples(keys, clean, 64))(jax.random.key(1), jax.random.key(2))
    is_shown, is_observed = np.asarray(examples[4]), np.asarray(examples[9])
    assert 0.05 < is_shown.mean() < 0.2 and 0.3 < is_observed.mean() < 0.5

    @jax.jit
    def slopes(examples):
        return jax.grad(lambda network: objective.loss(network, examples, "float32"))(filled)

    before = slopes(examples)
    for index, changed in ((11, "number_network"), (13, "joint_network")):
        # Observed numbers have no target.
        for rows, is_learned in (
            (np.where(is_observed, 0.0, 1.0), True),
            (np.where(is_observed, 1.0, 0.0), index == 13),
        ):
            after = slopes((*examples[:index], examples[index] + rows, *examples[index + 1 :]))
            for name in ("token_network", "number_network", "joint_network"):
                pairs = zip(*(jax.tree.leaves(getattr(of, name)) for of in (before, after)), strict=True)
                assert all(np.array_equal(a, b) for a, b in pairs) == (name != changed or not is_learned)


def test_at_least_one_number_of_a_row_is_a_target():
    tokens, n = Tokens((2, 2, 2, 2), (), (1, 2, 3), (1, 1, 1)), 20_000
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.random((n, 4)) < 0.8, rng.normal(size=(n, 3))]).astype(np.float32)
    clean = CleanRows(jnp.asarray(rows), None, SCHEDULE, jnp.stack([jnp.eye(3), jnp.eye(3)]))
    objective = MixedObjective(tokens, has_joint_network=True)
    examples = jax.jit(lambda *keys: objective.examples(keys, clean, n))(jax.random.key(1), jax.random.key(2))
    is_there, is_observed = np.asarray(examples[8]), np.asarray(examples[9])
    assert not (is_observed & ~is_there).any()
    for k in (1, 2, 3):
        n_given = is_observed[is_there.sum(axis=1) == k].sum(axis=1)
        # One of k + 1 rows would have all numbers observed; one number is then hidden.
        for count, fraction in enumerate([1 / (k + 1)] * (k - 1) + [2 / (k + 1)]):
            assert (
                abs(np.mean(n_given == count) - fraction) < 4 * np.sqrt(fraction * (1 - fraction) / len(n_given)) + 1e-9
            )


def test_observed_and_noised_numbers_share_context_weights():
    network = jax.jit(
        lambda key: NumberNetwork.build(key, tokens=TOKENS, width=8, depth=1, frequencies=2, sees_x_t=True)
    )(jax.random.key(0))
    network = jax.tree.map(lambda leaf: leaf + 0.1, network)
    network = replace(network, input=jax.tree.map(jnp.zeros_like, network.input))
    one_hot, x, no, yes = jnp.ones(TOKENS.n_slots), jnp.array([0.3, -1.0, 2.0]), jnp.zeros(3, bool), jnp.ones(3, bool)
    given, noised = (network.embed_context(one_hot, number_features(x, shown)) for shown in (yes, no))
    found = [network(x, is_noised, known, 0.5 * x[0], x) for is_noised, known in ((no, given), (yes, noised))]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


@pytest.mark.parametrize("n", [16, 64])
def test_tokens_are_learned_for_every_number_of_visible_ones(n):
    tokens = Tokens((3,) * 8 + (1,), (), (8,), (0,))
    network = jax.jit(lambda key: TokenArchitecture(tokens, 8, 1, 2).build(key, 10))(jax.random.key(0))
    objective = MixedObjective(tokens)
    rows = np.hstack([np.random.default_rng(0).integers(0, 3, (n, 8)), np.zeros((n, 2))]).astype(np.float32)
    clean = CleanRows(jnp.asarray(rows), None, SCHEDULE, jnp.eye(1))
    keys = jax.random.split(jax.random.key(1))
    _, is_seen, weight, *rest = jax.jit(lambda *keys: objective.examples(keys, clean, n))(*keys)
    n_seen = np.asarray(is_seen)[:, :8].sum(axis=1)
    first = jnp.asarray(rows[:, :9])
    loss = jax.jit(lambda weight: objective.loss(network, (first, is_seen, weight, *rest), "float32"))
    without = loss(0 * weight)
    fractions = [loss(weight * jnp.asarray(n_seen == v, jnp.float32)[:, None]) - without for v in range(8)]
    # Each number of visible tokens has an eighth of the rows; an untrained network has a loss of 8 log 3 nats.
    assert min(fractions) > 0.5 * np.log(3) and sum(fractions) == pytest.approx(8 * np.log(3), rel=0.1)


@pytest.mark.parametrize("has_missing", [False, True])
def test_hidden_tokens_do_not_reveal_whether_a_number_exists(has_missing):
    tokens = Tokens((2, 2, 2, 2), (), (1, 2, 3), (1, 1, 1))
    objective, n, p = MixedObjective(tokens, has_missing=has_missing), 20_000, 0.7
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.random((n, 4)) < p, rng.normal(size=(n, 3))]).astype(np.float32)
    unknown = has_missing & (rng.random((n, 4)) < 0.2)
    rows[:, :4][unknown] = HIDDEN
    clean = CleanRows(jnp.asarray(rows), None, SCHEDULE, jnp.eye(3))
    examples = jax.jit(lambda *keys: objective.examples(keys, clean, n))(jax.random.key(1), jax.random.key(2))
    is_learned, is_shown = np.asarray(examples[2]) > 0, np.asarray(examples[4])
    assert not (np.asarray(examples[1]) & unknown).any() and not (is_learned & unknown).any()
    for others in (0, 1, 2):
        of = is_learned[:, 1] & (is_shown[:, 1:].sum(axis=1) == others)
        error = np.sqrt(p * (1 - p) / of.sum())
        assert of.sum() > 50 and abs(np.mean(rows[of, 1]) - p) < 4 * error, others


def test_tokens_are_hidden_from_networks_of_numbers_at_low_noise():
    tokens, n = Tokens((3, 3, 3, 1), (), (3,), (0,)), 20_000
    objective = MixedObjective(tokens, guided=0, hidden_context=HIDDEN_CONTEXT)
    rng = np.random.default_rng(0)
    rows = np.hstack([rng.integers(0, 3, (n, 3)), np.zeros((n, 1)), rng.normal(size=(n, 1))]).astype(np.float32)
    clean = CleanRows(jnp.asarray(rows), None, SCHEDULE, jnp.eye(1))
    examples = jax.jit(lambda *keys: objective.examples(keys, clean, n))(jax.random.key(1), jax.random.key(2))
    is_hidden, lambda_t = np.asarray(examples[5]) == HIDDEN, np.asarray(examples[10])[:, 0]
    expected = HIDDEN_CONTEXT * scipy.special.expit(2 * lambda_t)
    # The label is hidden with another probability, and a constant token is never hidden.
    assert not is_hidden[:, [0, 3]].any()
    for of in (lambda_t < 1, (lambda_t >= 1) & (lambda_t < 3), lambda_t >= 3):
        error = np.sqrt((expected * (1 - expected))[of].sum())
        assert of.sum() > 1000 and (np.abs(is_hidden[of, 1:3].sum(axis=0) - expected[of].sum()) < 4 * error).all()


def test_strata_end_below_one():
    """A row with only visible tokens has no target and would have infinite weights."""
    assert float(stratified(jax.random.key(0), 4, 2**21).max()) < 1


def test_network_inputs_of_numbers_have_variance_one():
    """Inputs and targets along the axes of a normal distribution have variance one at every noise level."""
    objective, n = MixedObjective(TOKENS, has_joint_network=True), 4000
    clean = CleanRows(jnp.asarray(normal_rows(n)), None, SCHEDULE, jnp.stack([COVARIANCE, BASIS]))
    examples = jax.jit(lambda *keys: objective.examples(keys, clean, 400))
    *_, inside, target = examples(jax.random.key(1), jax.random.key(2))
    for examples_of_rows in (np.asarray(inside), np.asarray(target)):
        # Neighbors have noise of opposite sign, so only half of the rows are independent; 4 standard errors.
        assert (np.abs(examples_of_rows.var(axis=0) - 1) < 4 * np.sqrt(2 / (n / 2))).all()
        assert scipy.stats.kstest(examples_of_rows[::2].ravel(), "norm").pvalue > 0.001
