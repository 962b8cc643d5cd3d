"""Checks detected grids and ends of numbers on columns with known grids."""

import numpy as np
import pytest

from pointillist.columns.grids import find_ends, find_grids
from pointillist.columns.scaling import TableScaling

N = 200
RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=N)
COUNTS = RNG.integers(0, 40, N)


def unit_of(column, is_whole=False):
    """Returns the step of a column in its units; 0 without a grid."""
    rows = np.asarray(column, float)[:, None]
    decimals, steps = find_grids(rows, rows.min(axis=0), rows.max(axis=0), np.array([is_whole]))
    return float(steps[0] / 10.0 ** decimals[0])


GRIDS = {
    "one decimal": (np.round(20 * NORMAL, 1), 0.1),
    "integers in floats": (1e6 + np.round(20 * NORMAL), 1),
    "cents": (np.round(np.exp(8 + NORMAL), 2), 0.01),
    "multiples of 0.05, calculated": (0.05 * COUNTS, 0.05),
    "multiples of 5 from 2.5 on": (2.5 + 5 * COUNTS, 5),
    "two values": (np.where(NORMAL > 0, 100, 0), 100),
    "one decimal of float32": (np.round(20 * NORMAL, 1).astype(np.float32), 0.1),
    "one rare decimal more": (np.where(np.arange(N) == 123, 0.23, np.round(20 * NORMAL, 1)), 0.01),
}


@pytest.mark.parametrize(("column", "unit"), GRIDS.values(), ids=GRIDS)
def test_decimals_and_steps_are_found(column, unit):
    assert unit_of(column) == unit


NOISE = {
    "float64": NORMAL,
    "float32": NORMAL.astype(np.float32),
    "float16": NORMAL.astype(np.float16),
    "six numbers of float32": RNG.uniform(0.5, 1, 6).astype(np.float32),
    "a billion and float64": 1e9 + NORMAL,
    "beyond 2**53": 1e20 * NORMAL,
    "far below the last decimal": 1e-12 * NORMAL,
    "float64 that repeats": np.resize(NORMAL[:7], N),
    "thirds": COUNTS / 3,
}


@pytest.mark.parametrize("column", NOISE.values(), ids=NOISE)
def test_noise_has_no_grid(column):
    assert unit_of(column) == 0


def test_a_step_that_occurs_by_chance_is_ignored():
    # Five even numbers may occur by chance; nine have a probability below 1 %.
    assert [unit_of(2 * np.array([3, 1, 8, 2, 9, 30, 17, 5, 12][:n]), True) for n in (5, 9)] == [1, 2]


def test_ends_are_hard_limits_if_repeated_or_0():
    columns = [NORMAL, np.maximum(NORMAL, -1), -np.exp(NORMAL), 10 + NORMAL]
    rows = np.stack(columns, axis=1)
    assert find_ends(rows, rows.min(axis=0), rows.max(axis=0)).tolist() == [
        [False, True, False, False],
        [False, False, True, False],
    ]


def test_rows_are_on_grids_and_within_ends():
    rows = np.stack([0.05 * COUNTS, NORMAL, np.maximum(NORMAL, -1), np.round(NORMAL, 1).astype(np.float32)], axis=1)
    scaling = TableScaling.fit(rows, "standard", np.zeros(4, bool))
    drawn = RNG.normal(scale=3, size=(500, 4)).astype(np.float32)
    found, unrounded = scaling.inverse(drawn), scaling.varying.inverse(drawn)
    assert {*np.unique(found[:, 0])} == {*np.round(0.05 * np.arange(40), 2)}
    np.testing.assert_array_equal(found[:, 1], unrounded[:, 1])
    np.testing.assert_array_equal(found[:, 2], np.maximum(unrounded[:, 2], -1))
    np.testing.assert_array_equal(found[:, 3], np.round(unrounded[:, 3], 1) + 0.0)
