import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import StandardScaler

from pointillist.columns.scaling import SCALINGS, AffineScaling, TableScaling
from pointillist.tables.numbers import blocks, rows_at

RNG = np.random.default_rng(0)
TABLES = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=12), elements=st.floats(-1e6, 1e6)
)
# Half of a width below the smallest normal number rounds to nothing.
SMALLEST = np.finfo(np.float64).tiny


@given(TABLES)
def test_minmax_round_trip_to_float32_rounding(rows):
    scaling = AffineScaling.minmax(rows)
    scaled = scaling.transform(rows)
    assert scaled.dtype == np.float32
    assert (np.abs(scaled) <= 1).all()
    width = np.ptp(rows, axis=0)
    assert (np.abs(scaling.inverse(scaled) - rows) <= 1e-6 * width + 1e-9 * np.abs(rows) + SMALLEST).all()


def test_constant_column_maps_to_zero_and_back():
    rows = np.array([[3.0, 1.0], [3.0, 2.0]])
    for scaling in (AffineScaling.minmax(rows), AffineScaling.standard(rows)):
        np.testing.assert_array_equal(scaling.transform(rows), [[0, -1], [0, 1]])
        np.testing.assert_array_equal(scaling.inverse(np.array([[0.7, -1.0], [-9.0, 1.0]])), rows)


def test_standard_scaling_agrees_with_scikit_learn(monkeypatch):
    rows = RNG.normal(size=(1000, 3)) * [1.0, 1e-3, 1e9] + [0.0, 50.0, 1e12]
    monkeypatch.setattr("pointillist.tables.numbers._BLOCK_VALUES", 384)
    scaling, theirs = AffineScaling.standard(rows), StandardScaler().fit(rows)
    np.testing.assert_allclose(scaling.centre, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(scaling.unit, theirs.scale_, rtol=1e-6)
    huge = np.array([[-1e308], [1e308]])
    np.testing.assert_allclose(AffineScaling.standard(huge).transform(huge), [[-1], [1]])


@pytest.mark.parametrize("method", ["minmax", "standard", None])
def test_the_log_slope_is_the_derivative(method):
    rows = RNG.normal(size=(500, 2)) * [3.0, 0.1]
    scaling = TableScaling.fit(rows, method, np.zeros(2, bool))
    x, step = rows[:20], np.full((20, 2), 0.01)
    up, down = scaling.transform(x + step), scaling.transform(x - step)
    slope = np.log((up.astype(float) - down) / (2 * step)).sum(axis=1)
    np.testing.assert_allclose(scaling.log_slope(x), slope, rtol=1e-3, atol=1e-3)


@given(TABLES, st.sampled_from(["minmax", "standard"]))
def test_tables_come_back(rows, method):
    rows[:, 0] = np.round(rows[:, 0])
    rows = np.column_stack([rows, np.full(len(rows), 2.5)])
    if not (np.ptp(rows, axis=0) > 1e-300).any():
        return
    is_whole = np.arange(rows.shape[1]) == 0
    scaling = TableScaling.fit(rows, method, is_whole)
    scaled = scaling.transform(rows)
    assert scaled.shape == (len(rows), (np.ptp(rows, axis=0) > 0).sum())
    back = scaling.inverse(scaled)
    np.testing.assert_array_equal(back[:, -1], 2.5)
    assert (back[:, 0] == np.round(back[:, 0])).all()
    assert (np.abs(back - rows) <= 0.5 * is_whole + 1e-4 * np.ptp(rows, axis=0) + SMALLEST).all()
    low, high = scaling.bounds
    assert (low <= scaled).all() and (scaled <= high).all()


def test_integers_stay_in_range():
    rows = np.array([[0.0, 5.0], [1.0, 9.0], [1.0, 20 / 3]])
    scaling = TableScaling.fit(rows, "minmax", np.array([True, False]))
    back = scaling.inverse(np.array([[1.1, 1.1], [-1.1, -1.1], [0.01, 0.0]]))
    np.testing.assert_allclose(back, [[1, 9.2], [0, 4.8], [1, 7]])


def test_data_that_cannot_be_scaled_is_refused():
    with pytest.raises(ValueError, match="every column is constant"):
        TableScaling.fit(np.ones((3, 2)), "minmax", np.zeros(2, bool))
    rows = np.array([[1.0, 1e300], [2.0, -1e300]])
    TableScaling.fit(rows, "minmax", np.zeros(2, bool)).transform(rows)
    with pytest.raises(ValueError, match="column 1 has values too large for the model's float32"):
        TableScaling.fit(rows, None, np.zeros(2, bool)).transform(rows)


def test_blocks_stay_small_for_wide_rows(monkeypatch):
    monkeypatch.setattr("pointillist.tables.numbers._BLOCK_VALUES", 100)
    for d in (1, 7, 100, 1000):
        rows = np.arange(50.0 * d).reshape(50, d)
        found = list(blocks(rows))
        assert all(block.size <= max(100, d) and np.shares_memory(block, rows) for block in found)
        np.testing.assert_array_equal(np.concatenate(found), rows)


@pytest.mark.parametrize("method", SCALINGS)
def test_a_wide_table_with_a_constant_column_is_not_copied(monkeypatch, method):
    rows = RNG.normal(size=(4000, 100))
    rows[:, 3] = 5.0
    monkeypatch.setattr("pointillist.tables.numbers._BLOCK_VALUES", 10_000)
    tracemalloc.start()
    scaling = TableScaling.fit(rows, method, np.zeros(100, bool))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A few kilobytes of overhead, which differs between versions of NumPy.
    assert peak < rows.nbytes / 5 + 4000
    assert scaling.transform(rows[:9]).shape == (9, 99)
    np.testing.assert_allclose(scaling.inverse(scaling.transform(rows[:9]))[:, 3], 5.0)


def resident(path):
    """Returns the resident bytes of a mapped file."""
    total, is_inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            is_inside = line.endswith(str(path))
        elif is_inside and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux, which lists resident memory")
def test_a_mapped_file_does_not_stay_in_memory(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.arange(2_000_000.0).reshape(-1, 4))
    rows = np.load(path, mmap_mode="r")
    assert rows.sum() == 1_999_999_000_000 and resident(path) > 10_000_000
    view = np.asarray(rows)[:400_000]
    assert sum(len(block) for block in blocks(view)) == 400_000 and resident(path) == 0
    indices = np.arange(0, 400_000, 7)
    np.testing.assert_array_equal(rows_at(view, indices)[:, 0], 28.0 * np.arange(len(indices)))
    assert resident(path) == 0
    np.testing.assert_array_equal(rows_at(view, indices[:0]), np.empty((0, 4)))


def test_a_private_map_keeps_its_changes(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((3000, 2)))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="c")
    rows += 1
    assert sum(block.sum() for block in blocks(rows)) == 6000
    assert rows_at(rows, np.arange(3000)).sum() == 6000 and rows.sum() == 6000
