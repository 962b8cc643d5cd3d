import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointillist.points import MinMaxScaling


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2), elements=st.floats(-1e6, 1e6)))
def test_round_trip_to_float32_rounding(rows):
    scaling = MinMaxScaling.fit(rows)
    scaled = scaling.transform(rows)
    assert scaled.dtype == np.float32
    assert (np.abs(scaled) <= 1).all()
    width = np.ptp(rows, axis=0)
    # Half of a width below the smallest normal number rounds to nothing.
    smallest = np.finfo(np.float64).tiny
    assert (np.abs(scaling.inverse(scaled) - rows) <= 1e-6 * width + 1e-9 * np.abs(rows) + smallest).all()


def test_constant_column_maps_to_zero_and_back():
    rows = np.array([[3.0, 1.0], [3.0, 2.0]])
    scaling = MinMaxScaling.fit(rows)
    np.testing.assert_array_equal(scaling.transform(rows), [[0, -1], [0, 1]])
    np.testing.assert_array_equal(scaling.inverse(np.array([[0.7, -1.0], [-9.0, 1.0]])), rows)
