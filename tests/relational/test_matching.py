"""Rows matched to rows of another table."""

import numpy as np

from pointillist.columns.kinds import fit_encoder
from pointillist.relational.matching import earlier_rows, fitted_counts, matched, without_repeats
from pointillist.relational.sampling import at_quantiles
from pointillist.tables.table import Column


def test_points_are_matched_to_near_targets_as_often_as_wanted():
    rng = np.random.default_rng(0)
    targets = np.arange(10.0)[:, None] * 5
    truth = np.repeat(np.arange(10), 30)
    points = targets[truth] + rng.normal(0, 0.1, (300, 1))
    counts = fitted_counts(np.full(10, 2.0), 300, rng)
    np.testing.assert_array_equal(counts, 30)
    np.testing.assert_array_equal(matched(points, targets, counts, rng), truth)


def test_equal_targets_get_their_numbers_of_points():
    rng = np.random.default_rng(0)
    counts = fitted_counts(np.arange(20.0), 950, rng)
    rows = matched(np.zeros((950, 1)), np.zeros((20, 1)), counts, rng)
    np.testing.assert_array_equal(np.bincount(rows, minlength=20), counts)
    assert np.abs(counts - 5 * np.arange(20)).max() <= 1


def test_rows_refer_to_earlier_rows_without_cycles():
    rng = np.random.default_rng(0)
    is_missing = np.arange(200) % 50 == 0
    rows = earlier_rows(is_missing, np.ones(200), rng)
    np.testing.assert_array_equal(rows < 0, is_missing)
    reached = rows.copy()
    for _ in range(200):
        reached = np.where(reached >= 0, rows[reached], -1)
    assert (reached < 0).all()


def test_repeated_pairs_are_swapped_away():
    rng = np.random.default_rng(0)
    others, rows = np.repeat(np.arange(20), 10), rng.integers(0, 40, 200)
    found = without_repeats(rows, others, 40, rng)
    assert len({*zip(others.tolist(), found.tolist(), strict=True)}) == 200
    np.testing.assert_array_equal(np.sort(found), np.sort(rows))


def test_pairs_of_an_entry_that_goes_with_nearly_all_others_do_not_repeat():
    rng = np.random.default_rng(0)
    others, rows = np.repeat([0, 1, 2], [95, 100, 5]), rng.integers(0, 50, 200)
    found = without_repeats(rows, others, 100, rng)
    assert len({*zip(others.tolist(), found.tolist(), strict=True)}) == 200


def test_numbers_of_many_values_are_moved_to_the_quantiles_of_the_training_rows():
    rng = np.random.default_rng(0)
    training = rng.permutation(1000)[:45] + 0.0
    encoder = fit_encoder("n", Column(training, np.zeros(45, bool)))
    assert encoder.scores is not None
    drawn = Column(rng.integers(0, 300, 45) + 0.0, np.zeros(45, bool))
    found = at_quantiles(encoder, drawn, rng).values
    np.testing.assert_allclose(np.sort(found), np.sort(training), atol=30)
    assert (np.diff(found[np.argsort(drawn.values, kind="stable")]) >= 0).mean() > 0.8


def test_single_values_are_moved_to_the_quantiles_of_the_training_rows():
    rng = np.random.default_rng(0)
    training = np.repeat([0.0, 1.0, 5.0], [60, 30, 10])
    encoder = fit_encoder("n", Column(training, np.zeros(100, bool)))
    cells = Column(rng.choice([0.0, 1.0, 5.0], 200), np.zeros(200, bool))
    found = at_quantiles(encoder, cells, rng).values
    np.testing.assert_array_equal(np.unique(found, return_counts=True)[1], [120, 60, 20])
    assert (np.diff(found[np.argsort(cells.values, kind="stable")][[0, -1]]) >= 0).all()
