"""Checks that populations of conditioned rows are weighted by their mass."""

import numpy as np
import pytest

from pointillist.models.conditioning import Acceptance

KEPT = 5


def populations(masses, families=range(KEPT)):
    """Returns numbered rows of populations, with their diagnostics."""
    numbers = np.repeat(np.arange(len(masses), dtype=float), KEPT)
    return np.column_stack([numbers, np.repeat(np.log(masses), KEPT), np.tile(families, len(masses))])


def test_populations_with_equal_masses_are_all_kept():
    acceptance = Acceptance("x")
    rows = acceptance.accepted(populations(np.full(40, 0.01)), KEPT, 98)
    assert len(rows) == 98 and acceptance.effective_size == pytest.approx(98)


def test_small_masses_are_taken_in_proportion_and_large_ones_lower_the_effective_size():
    rng = np.random.default_rng(0)
    is_large = rng.random(4000) < 0.2
    acceptance = Acceptance("x")
    rows = acceptance.accepted(populations(np.where(is_large, 0.3, 0.05)), KEPT, 10**6)
    taken = np.bincount(rows[:, 0].astype(int), minlength=4000) // KEPT
    assert taken[is_large].all()
    mean = 0.2 * 0.3 + 0.8 * 0.05
    assert taken[~is_large].mean() == pytest.approx(0.05 / mean, abs=0.02)
    n_large, n_small = is_large.sum(), taken[~is_large].sum()
    wanted = KEPT * (3 * n_large + n_small) ** 2 / (9 * n_large + n_small)
    assert acceptance.effective_size == pytest.approx(wanted, rel=0.05)


def test_rows_that_share_an_ancestor_count_as_one():
    acceptance = Acceptance("x")
    assert len(acceptance.accepted(populations(np.full(2, 0.1), [7, 7, 2, 7, 0]), KEPT, 9)) == 9
    assert acceptance.effective_size == pytest.approx(9**2 / (9 + 1 + 1 + 9 + 1))


def test_populations_below_the_smallest_mass_are_never_kept():
    acceptance = Acceptance("x")
    assert len(acceptance.accepted(populations(np.full(20, 1e-10)), KEPT, 10)) == 0 and acceptance.effective_size == 0
    assert "estimated probability is 1e-10 after 20 draws" in str(acceptance.error())


def test_rows_with_separate_populations_are_all_counted():
    acceptance = Acceptance("x")
    drawn = np.column_stack([np.arange(3.0), np.log([0.5, 0.01, 0.2]), [4.0, 4.0, 1.0]])
    assert acceptance.accept_each(drawn).ravel().tolist() == [0, 1, 2] and acceptance.effective_size == 3
