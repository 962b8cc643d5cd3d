"""Encoders from noisy counts: intervals with about equally many rows, and frequent values."""

import numpy as np
import pyarrow as pa
import pytest

from pointillist.columns.domain import ColumnDomain
from pointillist.privacy.noisy_counts import MOST_INTERVALS, column_of, counts_of, edges_of, intervals_of
from pointillist.tables.table import cells_of

RNG = np.random.default_rng(0)
N = 20_000
BINS = 256
EQUAL = np.linspace(0, 1, BINS + 1)


def noisy(domain, values, kind, deviation):
    column_domain = ColumnDomain.of("x", domain)
    cells, moved = column_domain.cells(cells_of("x", values, kind), kind)
    assert not moved
    counts = counts_of(column_domain, cells, kind)
    added = [each + deviation * RNG.normal(size=len(each)) for each in counts]
    return counts, column_of(column_domain, kind, added, deviation), cells


def test_intervals_follow_a_histogram_of_much_less_noise_than_rows():
    counts = np.bincount((RNG.beta(2, 5, 10**5) * BINS).astype(int), minlength=BINS).astype(float)
    edges, shares = intervals_of(counts + RNG.normal(size=BINS), EQUAL, 1.0, MOST_INTERVALS)
    assert len(edges) == MOST_INTERVALS + 1 and (np.diff(edges) > 0).all() and edges[0] == 0 and edges[-1] == 1
    within = np.diff(np.interp(edges, EQUAL, np.concatenate([[0], np.cumsum(counts)]))) / 10**5
    assert np.abs(within - shares).max() < 0.002 and np.allclose(shares, 1 / MOST_INTERVALS)
    assert np.allclose(
        intervals_of(np.zeros(BINS), EQUAL, 1.0, MOST_INTERVALS)[0], np.linspace(0, 1, MOST_INTERVALS + 1)
    )


def test_intervals_of_integers_end_between_integers():
    values = RNG.binomial(100, 0.3, N).clip(10, 70).tolist()
    _, (encoder, fractions), cells = noisy((0, 100), values, pa.int64(), 0.01)
    tokens, _ = encoder.encode(cells)
    found = np.bincount(tokens.astype(int), minlength=encoder.size) / N
    np.testing.assert_allclose(found, fractions, atol=0.012)


def test_a_range_far_wider_than_most_values_loses_little():
    """Checks intervals of log-normal amounts up to 10,000 in a range up to a million to one percent."""
    for low, high in ((0.0, 1.0), (-3.0, 1.0)):
        edges = edges_of(low, high, is_integer=False)
        assert edges[0] == 0 and edges[-1] == 1 and (np.diff(edges) > 0).all()
    assert np.diff(edges)[np.searchsorted(edges, 0.75)] < 1e-4
    values = np.exp(RNG.normal(6, 1, N))
    _, (encoder, fractions), cells = noisy((0.0, 1e6), values.tolist(), pa.float64(), 10.0)
    tokens, _ = encoder.encode(cells)
    assert encoder.n_intervals == MOST_INTERVALS
    assert np.abs(np.bincount(tokens.astype(int), minlength=MOST_INTERVALS) / N - fractions).max() < 0.01


def test_frequent_integers_of_a_range_get_a_token():
    values = np.where(RNG.random(N) < 0.9, 0, RNG.integers(1, 99_999, N))
    values[:600] = 7688
    _, (encoder, fractions), _ = noisy((0, 100_000), values.tolist(), pa.int64(), 20.0)
    assert encoder.atoms.tolist() == [0, 7688]
    fraction = np.mean(values == 0)
    # Noise of one count, and of the sum of all counts.
    assert fractions[0] == pytest.approx(fraction, abs=4 * 20 * (BINS + 2) ** 0.5 / N)
    assert fractions.sum() == pytest.approx(1) and len(fractions) == encoder.size


def test_the_ends_of_a_range_of_floats_get_a_token_if_frequent():
    values = np.clip(RNG.normal(size=N), -9, 1)
    _, (encoder, _), _ = noisy((-9.0, 1.0), values.tolist(), pa.float64(), 10.0)
    assert encoder.atoms.tolist() == [1.0] and encoder.n_intervals == MOST_INTERVALS


def test_a_row_is_in_at_most_one_bin_of_each_histogram():
    for domain, kind, values in [
        ((0, 1000, None), pa.int64(), [0, 5, 1000, None]),
        ((0.0, 1.0), pa.float64(), [0.0, 0.3, 1.0]),
        (["a", "b", None], pa.string(), ["a", None, "b", "b"]),
        ((0, 9), pa.int64(), [0, 9, 3]),
    ]:
        counts, (encoder, fractions), cells = noisy(domain, values, kind, 1.0)
        whole = sum(map(np.sum, counts))
        for i in range(len(values)):
            left = [value for j, value in enumerate(values) if j != i]
            less = noisy(domain, left, kind, 1.0)[0]
            moved = [one - other for one, other in zip(counts, less, strict=True)]
            assert all(part.min() >= 0 and part.sum() in (0, 1) for part in moved)
        assert whole >= len(values) and (fractions > 0).all()
        tokens, _ = encoder.encode(cells)
        assert (tokens < encoder.size).all()


def test_exact_counts_give_exact_fractions():
    _, (_, fractions), _ = noisy(["a", "b", "c"], ["a"] * 30 + ["b"] * 70, pa.string(), 0.0)
    np.testing.assert_allclose(fractions, np.array([30, 70, 0.5]) / 100.5)
