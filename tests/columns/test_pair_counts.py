"""Compares counts of rows in grids of two columns with those by NumPy and pandas."""

import numpy as np
import pandas as pd
import pytest

from pointillist.columns.pair_counts import PairCounts

RNG = np.random.default_rng(0)
N = 5000


def test_numbers_are_counted_as_by_numpy():
    x = RNG.normal(size=N)
    y = x + RNG.normal(size=N)
    found = PairCounts.of([x, y], [False, False])
    expected = np.histogram2d(x, y, bins=list(found.ends))[0]
    np.testing.assert_array_equal(found.counts[0], expected)
    np.testing.assert_allclose(found.counts[0].sum(axis=1), N / 10, atol=1)


def test_pairs_are_in_the_order_of_combinations():
    columns = list(RNG.normal(size=(4, N)))
    found = PairCounts.of(columns, [False] * 4)
    alone = PairCounts.of([columns[1], columns[3]], [False, False])
    np.testing.assert_array_equal(found.counts[4], alone.counts[0])


def test_spikes_and_discrete_values_have_separate_bins():
    spiky = np.where(RNG.random(N) < 0.6, 0.0, RNG.exponential(size=N))
    few = RNG.integers(0, 3, N).astype(float)
    found = PairCounts.of([spiky, few], [False, False])
    expected = pd.crosstab(spiky > 0, few).to_numpy()
    np.testing.assert_array_equal(found.counts[0][0, :3], expected[0])
    assert 0 < found.ends[0][1] < spiky[spiky > 0].min()
    np.testing.assert_array_equal(found.ends[1], [0, 0.5, 1.5, *[2.0] * 8])


def test_the_most_frequent_categories_are_counted_and_missing_cells_are_not():
    categories = np.minimum(RNG.geometric(0.1, N) - 1, 30).astype(float)
    number = RNG.normal(size=N)
    number[:100] = np.nan
    categories[50:200] = np.nan
    found = PairCounts.of([categories, number], [True, False])
    frequent = found.ends[0][:-1]
    assert found.ends[0][-1] == -1
    counts = pd.Series(categories).value_counts()
    assert sorted(counts[frequent]) == sorted(counts)[-10:]
    is_there = np.isin(categories, frequent) & ~np.isnan(number)
    assert found.counts.sum() == is_there.sum()
    np.testing.assert_array_equal(
        found.counts[0].sum(axis=1), [(categories[is_there] == index).sum() for index in sorted(frequent)]
    )


@pytest.mark.parametrize(("n", "bins"), [(10, 2), (200, 3), (2000, 10), (20_000, 10)])
def test_few_rows_have_a_coarse_grid(n, bins):
    found = PairCounts.of(list(RNG.normal(size=(2, n))), [False, False])
    assert found.counts.shape == (1, bins, bins)


def test_constant_columns_fill_one_bin_and_empty_ones_none():
    columns = [np.full(N, 3.0), np.full(N, np.nan), RNG.normal(size=N)]
    found = PairCounts.of(columns, [False] * 3)
    assert found.counts[0].sum() == found.counts[2].sum() == 0
    assert found.counts[1][0].sum() == N


def test_a_wide_table_and_a_single_column_have_no_counts():
    assert PairCounts.of(list(np.zeros((33, 10))), [False] * 33) is None
    assert PairCounts.of([np.zeros(10)], [False]) is None
