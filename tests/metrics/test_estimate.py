import copy
import json
import math

import numpy as np
import pytest

from pointillist.metrics import Estimate


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (27.6123, 1.4807, "27.61 ± 1.48"),
        (0.94947, 0.0016801, "0.94947 ± 0.00168"),
        (1234.5, 321.4, "1234 ± 321"),
        (0.5, math.nan, "0.5 ± nan"),
        (20.0, 0.0, "20 ± 0"),
        (1.0, 3e-12, "1 ± 3e-12"),
    ],
)
def test_repr_shows_three_digits_of_the_error(value, error, expected):
    assert repr(Estimate(value, error)) == expected


def test_is_a_float_everywhere():
    estimate = Estimate(1.25, 0.5, 4)
    assert estimate == 1.25
    assert hash(estimate) == hash(1.25)
    assert type(estimate + 1) is type(estimate * estimate) is type(-estimate) is float
    assert sorted([Estimate(2.0), Estimate(1.0)]) == [1.0, 2.0]
    assert f"{estimate}" == str(estimate) == "1.25"
    assert f"{estimate:.1f}" == "1.2"
    assert json.dumps([estimate]) == "[1.25]"
    assert np.asarray([estimate]).dtype == np.float64


def test_errors_default_to_unknown_and_asymptotic():
    estimate = Estimate(1.0)
    assert math.isnan(estimate.standard_error)
    assert math.isnan(estimate.null_standard_error)
    assert estimate.degrees_of_freedom == math.inf


def test_is_read_only():
    with pytest.raises(AttributeError):
        Estimate(1.0, 0.1).standard_error = 0.2


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copies_keep_the_errors(duplicate):
    twin = duplicate(Estimate(1.0, 0.1, 4, 0.05))
    assert type(twin) is Estimate
    assert (float(twin), twin.standard_error, twin.degrees_of_freedom) == (1.0, 0.1, 4.0)
    assert twin.null_standard_error == 0.05
