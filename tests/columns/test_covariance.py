"""Compares estimated covariances of incomplete rows with the true covariance."""

import numpy as np
import pytest

from pointillist.columns.covariance import HELD_OUT, estimate_covariance


def normal_rows(covariance, n, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(covariance)), covariance, size=n)


CHAIN = 0.9 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))


def divergence(found, true):
    """Returns 2 KL(N(0, found) ‖ N(0, true))."""
    ratio = np.linalg.solve(true, found)
    return np.trace(ratio) - np.linalg.slogdet(ratio)[1] - len(true)


def test_complete_rows_give_nearly_the_sample_covariance():
    rows = normal_rows(CHAIN, 2000)

    np.testing.assert_allclose(estimate_covariance(rows), rows.T @ rows / 2000, atol=0.01)


def test_missing_cells_cost_little_accuracy():
    rows = normal_rows(CHAIN, 2000)
    incomplete = np.where(np.random.default_rng(1).uniform(size=rows.shape) < 0.3, np.nan, rows)
    complete = np.where(np.isnan(incomplete).any(axis=1, keepdims=True), np.nan, rows)

    # 21 parameters: a sample of n rows has an expected divergence of 21 / n.
    assert divergence(estimate_covariance(incomplete), CHAIN) < 3 * 21 / 2000
    assert divergence(estimate_covariance(incomplete), CHAIN) < divergence(estimate_covariance(complete), CHAIN)


def test_few_rows_are_shrunk_towards_independence():
    rows = normal_rows(np.eye(30), 40)

    assert (
        divergence(estimate_covariance(rows), np.eye(30))
        < 3
        < divergence(rows.T @ rows / 40 + 1e-3 * np.eye(30), np.eye(30))
    )


@pytest.mark.parametrize("n", [0, 1, HELD_OUT - 1])
def test_too_few_rows_give_the_identity(n):
    np.testing.assert_array_equal(estimate_covariance(np.ones((n, 2))), np.eye(2))


def test_columns_without_any_value_are_independent():
    rows = normal_rows(CHAIN[:2, :2], 300)
    found = estimate_covariance(np.column_stack([rows, np.full(300, np.nan)]))

    np.testing.assert_allclose(found[2], [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(found[0, 1], 0.9, atol=0.15)


def test_sorted_rows_give_a_positive_definite_matrix():
    rows = np.sort(normal_rows(CHAIN, 500), axis=0)
    found = estimate_covariance(rows)

    assert found.dtype == np.float32
    assert np.linalg.eigvalsh(found).min() > 0
    np.testing.assert_array_equal(found, found.T)
