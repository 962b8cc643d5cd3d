import functools
import math

import numpy as np
import pytest

from pointillist.metrics import METRICS, Floor, emd, floor


def test_halves_are_disjoint_new_and_of_the_asked_size():
    data = np.arange(21.0)[:, None]
    seen = []

    def record(A, B, scale):
        seen.append((set(A[:, 0]), set(B[:, 0])))
        return scale * len(A)

    result = floor(record, data, n_repeats=5, scale=2.0)
    assert result == Floor(value=20.0, spread=0.0, n_repeats=5)
    assert all(len(A) == len(B) == 10 and not A & B for A, B in seen)
    assert len({frozenset(A) for A, _ in seen}) == 5
    assert floor(record, data, n_repeats=2, n_rows=4, scale=1.0).value == 4
    assert floor(record, data, n_repeats=2, n_rows=400, scale=1.0).value == 10


def test_mean_and_spread_of_single_evaluations():
    values = iter([1.0, 2.0, 6.0])
    result = floor(lambda A, B: next(values), np.zeros((4, 1)), n_repeats=3)
    assert result.value == pytest.approx(3.0)
    assert result.spread == pytest.approx(math.sqrt(7.0))
    assert result.standard_error == pytest.approx(math.sqrt(7.0 / 3))


def test_seeded():
    data = np.random.default_rng(0).normal(size=(200, 2))
    options = {"n_repeats": 3, "n_subsample": 30}
    assert floor("emd", data, random_state=1, **options) == floor("emd", data, random_state=1, **options)
    assert floor("emd", data, random_state=1, **options) != floor("emd", data, random_state=2, **options)
    assert floor(METRICS["emd"], data, **options) == floor("emd", data, **options)
    single = functools.partial(emd, n_repeats=1)
    assert floor(single, data, **options).value == pytest.approx(floor("emd", data, **options).value, rel=0.3)


def test_errors():
    data = np.zeros((10, 2))
    with pytest.raises(ValueError, match=r"^metric='mmd' is unknown: use one of emd, "):
        floor("mmd", data)
    with pytest.raises(ValueError, match=r"^n_repeats is 1 but"):
        floor("emd", data, n_repeats=1)
    with pytest.raises(ValueError, match=r"^n_rows is 1 but"):
        floor("emd", data, n_rows=1)
    with pytest.raises(ValueError, match=r"^data has 3 row\(s\) but needs at least 4"):
        floor("emd", data[:3])
