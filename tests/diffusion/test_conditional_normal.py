"""Compares conditional normal distributions with the textbook formula by NumPy's solver."""

import jax.numpy as jnp
import numpy as np
import pytest

from pointillist.columns.covariance import RIDGE, regressed
from pointillist.diffusion.conditional_normal import MAX_NUMBERS, NOISE, conditional_normal


def some_covariance(k, seed=0):
    loadings = np.random.default_rng(seed).normal(size=(k, 3))
    return loadings @ loadings.T / 3 + 0.05 * np.eye(k)


@pytest.mark.parametrize(("k", "given"), [(1, []), (5, [1, 3]), (8, [0, 7]), (19, range(0, 19, 2)), (3, [0, 1, 2])])
def test_conditional_mean_and_deviation_agree_with_the_textbook_formula(k, given):
    covariance, given = some_covariance(k), np.asarray(given, int)
    values = np.random.default_rng(1).normal(size=k)
    is_observed = np.isin(np.arange(k), given)
    shown = np.where(is_observed, values, np.nan)

    found = conditional_normal(
        jnp.asarray(covariance, jnp.float32), jnp.asarray(shown, jnp.float32), jnp.asarray(is_observed)
    )

    known = covariance[np.ix_(given, given)] + NOISE * np.eye(len(given))
    gain = np.linalg.solve(known, covariance[given]).T
    variance = np.diag(covariance - gain @ covariance[given])
    np.testing.assert_allclose(found[0], gain @ values[given], atol=2e-4)
    np.testing.assert_allclose(found[1], np.sqrt(np.maximum(variance, NOISE)), atol=2e-4)


def test_with_too_many_numbers_none_is_used():
    k = MAX_NUMBERS + 1
    mean, deviation = conditional_normal(jnp.ones((k, k)), jnp.ones(k), jnp.ones(k, bool))

    assert not mean.any() and (deviation == 1).all()


@pytest.mark.parametrize(("k", "n_given"), [(6, 4), (12, 3), (5, 5)])
def test_numbers_that_are_always_given_are_regressed_on(k, n_given):
    covariance = some_covariance(k).astype(np.float32)
    values, is_observed = np.random.default_rng(1).normal(size=k), np.arange(k) >= k - n_given
    is_observed[:1] = True
    # The ridge counts as noise of the given numbers.
    noisy = covariance + RIDGE * np.diag(np.arange(k) >= k - n_given).astype(np.float32)
    arguments = jnp.asarray(values, jnp.float32), jnp.asarray(is_observed)

    mean, deviation = conditional_normal(jnp.asarray(regressed(covariance, n_given)), *arguments)
    expected = conditional_normal(jnp.asarray(noisy), *arguments)

    c = k - n_given
    np.testing.assert_allclose(mean[:c], expected[0][:c], atol=1e-3)
    np.testing.assert_allclose(deviation[:c], expected[1][:c], atol=1e-3)
    np.testing.assert_allclose(mean[c:], values[c:], atol=1e-6)
