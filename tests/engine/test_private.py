"""DP-SGD: batches, clipping and noise, against loops by hand and the distributions that they should have."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from pointillist.diffusion.losses import Objective
from pointillist.diffusion.networks import MLP
from pointillist.diffusion.schedules import cosine
from pointillist.diffusion.tokens.masking import Tokens
from pointillist.diffusion.tokens.token_losses import TokenObjective
from pointillist.engine.private_training import (
    ROWS_AT_ONCE,
    PrivateMethod,
    clipped_sum,
    example_of,
    poisson_batch,
    row_norm,
    with_noise,
)
from pointillist.engine.recipes import Architecture, TokenArchitecture
from pointillist.engine.row_norms import squared_norm, with_taps

TOKENS = Tokens((3, 4, 2), (*3 * (-1.0,), 0.125, 0.375, 0.625, 0.875, -1.0, -1.0))
RNG = np.random.default_rng(0)


def numbers():
    architecture = Architecture(network="residual", width=8, depth=1, time_embedding=8)
    rows = RNG.normal(size=(20, 3)).astype(np.float32)
    noise = jax.tree.map(jnp.asarray, (cosine(50), np.full(3, 0.5, np.float32)))
    return architecture, Objective("edm", "uniform", "log-normal"), rows, noise


def tokens():
    rows = np.stack([RNG.integers(0, size, 20) for size in TOKENS.sizes], axis=1).astype(np.float32)
    return TokenArchitecture(TOKENS, 8, 1), TokenObjective(TOKENS), rows, (None, None)


@pytest.fixture(
    params=[pytest.param(numbers, marks=pytest.mark.slow), tokens], ids=["numbers", "tokens"], scope="module"
)
def setting(request):
    architecture, objective, rows, noise = request.param()
    network = architecture.build(jax.random.key(1), rows.shape[1])
    # Moved away from the initial weights, so that every layer has a gradient.
    network = jax.tree.map(lambda w: w + 0.3 * jax.random.normal(jax.random.key(2), w.shape), network)
    return network, jnp.asarray(rows), noise, PrivateMethod(objective, ROWS_AT_ONCE, architecture.features)


def by_hand(setting, key, index):
    network, rows, noise, method = setting
    return _by_hand(network, rows, noise, key, index, method=method)


@partial(jax.jit, static_argnames="method")
def _by_hand(network, rows, noise, key, index, *, method):
    example = example_of(jax.random.fold_in(key, index), rows[index], noise, method)
    loss = lambda network: method.objective.loss(network, tuple(part[None] for part in example), "float32")  # noqa: E731
    return jax.grad(loss)(network), row_norm(network, example, method)


def norm_of(tree):
    return float(np.sqrt(sum(np.sum(np.asarray(leaf, np.float64) ** 2) for leaf in jax.tree.leaves(tree))))


def summed(setting, key, indices, clip):
    network, rows, noise, method = setting
    padded = jnp.asarray(np.pad(indices, (0, ROWS_AT_ONCE - len(indices))), jnp.int32)
    is_taken = jnp.arange(ROWS_AT_ONCE) < len(indices)
    return eqx.filter_jit(clipped_sum)(key, network, rows, padded, is_taken, clip, noise, method)


def test_the_sum_equals_gradients_clipped_one_by_one(setting):
    key, indices = jax.random.key(3), np.array([2, 5, 11, 19])
    found_by_hand = [by_hand(setting, key, index) for index in indices]
    norms = [norm_of(gradient) for gradient, _ in found_by_hand]
    np.testing.assert_allclose([float(norm) for _, norm in found_by_hand], norms, rtol=1e-4)
    clip = float(np.median(norms))
    assert min(norms) < clip < max(norms)
    scaled = [
        jax.tree.map(lambda g, n=n: g * min(1, clip / n), g) for (g, _), n in zip(found_by_hand, norms, strict=True)
    ]
    expected = jax.tree.map(lambda *parts: sum(parts), *scaled)
    found = summed(setting, key, indices, clip)
    for one, two in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-4 * clip)


def test_networks_without_taps_have_the_norm_of_their_gradients():
    network = MLP(jax.random.key(0), columns=2, features=4, width=8, depth=2)
    slopes = jax.grad(lambda network: jnp.sum(network(jnp.ones(2), jnp.ones(4)) ** 2))(network)
    assert float(squared_norm(slopes)) == pytest.approx(norm_of(slopes) ** 2, rel=1e-5)
    assert with_taps(network) is network


def test_no_row_moves_the_sum_by_more_than_the_clip(setting):
    key, clip = jax.random.key(4), 0.1
    everyone = np.arange(20)
    whole = summed(setting, key, everyone, clip)
    for index in (0, 7, 19):
        # Neighboring data sets: the same draw without one row; the other examples are unchanged.
        without = summed(setting, key, np.delete(everyone, index), clip)
        moved = norm_of(jax.tree.map(lambda a, b: np.asarray(a, np.float64) - b, whole, without))
        assert 0.5 * clip < moved <= clip
    assert norm_of(summed(setting, key, np.array([3]), clip)) <= clip


def test_empty_entries_add_nothing(setting):
    assert norm_of(summed(setting, jax.random.key(5), np.array([], int), 1.0)) == 0


def test_each_row_is_drawn_with_the_same_probability():
    n, sampling, draws = 50, 0.2, 2000
    keys = jax.random.split(jax.random.key(6), draws)
    indices, is_taken = jax.vmap(lambda key: poisson_batch(key, n, sampling, n))(keys)
    counts = np.zeros((draws, n))
    np.add.at(counts, (np.repeat(np.arange(draws), n), np.asarray(indices).ravel()), np.asarray(is_taken).ravel())
    assert counts.max() == 1
    # The standard error of a fraction of 2,000 draws is 0.009.
    assert np.abs(counts.mean(axis=0) - sampling).max() < 4 * np.sqrt(sampling * (1 - sampling) / draws)
    # Rows are drawn independently: the size of a batch has the variance of a binomial.
    assert counts.sum(axis=1).var() == pytest.approx(n * sampling * (1 - sampling), rel=4 * np.sqrt(2 / draws))


def test_noise_is_normal_with_the_standard_deviation():
    noised = with_noise(jax.random.key(7), {"a": jnp.zeros((50, 60)), "b": jnp.ones(1000)}, 3.0)
    values = np.concatenate([np.ravel(noised["a"]), np.ravel(noised["b"]) - 1]) / 3
    assert kstest(values, "norm").pvalue > 0.01
    assert np.abs(np.corrcoef(values[:1000], values[1000:2000])[0, 1]) < 4 / np.sqrt(1000)
