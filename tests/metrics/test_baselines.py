import functools
import math

import numpy as np
import pytest

from pointillist.metrics import METRICS, Baseline, baseline, emd


def test_halves_are_disjoint_and_have_the_requested_size():
    data = np.arange(21.0)[:, None]
    seen = []

    def record(A, B, scale):
        seen.append((set(A[:, 0]), set(B[:, 0])))
        return scale * len(A)

    result = baseline(record, data, n_repeats=5, scale=2.0)
    assert result == Baseline(value=20.0, spread=0.0, n_repeats=5)
    assert all(len(A) == len(B) == 10 and not A & B for A, B in seen)
    assert len({frozenset(A) for A, _ in seen}) == 5
    assert baseline(record, data, n_repeats=2, n_rows=4, scale=1.0).value == 4
    assert baseline(record, data, n_repeats=2, n_rows=400, scale=1.0).value == 10


def test_mean_and_deviation_of_single_evaluations():
    values = iter([1.0, 2.0, 6.0])
    result = baseline(lambda A, B: next(values), np.zeros((4, 1)), n_repeats=3)
    assert result.value == pytest.approx(3.0)
    assert result.spread == pytest.approx(math.sqrt(7.0))
    assert result.standard_error == pytest.approx(math.sqrt(7.0 / 3))


def test_seeded():
    data = np.random.default_rng(0).normal(size=(200, 2))
    options = {"n_repeats": 3, "n_subsample": 30}
    assert baseline("emd", data, random_state=1, **options) == baseline("emd", data, random_state=1, **options)
    assert baseline("emd", data, random_state=1, **options) != baseline("emd", data, random_state=2, **options)
    assert baseline(METRICS["emd"], data, **options) == baseline("emd", data, **options)
    single = functools.partial(emd, n_repeats=1)
    assert baseline(single, data, **options).value == pytest.approx(baseline("emd", data, **options).value, rel=0.3)


def test_errors():
    data = np.zeros((10, 2))
    with pytest.raises(ValueError, match=r"^metric='mmd' is unknown: use one of emd, "):
        baseline("mmd", data)
    with pytest.raises(ValueError, match=r"^n_repeats is 1 but"):
        baseline("emd", data, n_repeats=1)
    with pytest.raises(ValueError, match=r"^n_rows is 1 but"):
        baseline("emd", data, n_rows=1)
    with pytest.raises(ValueError, match=r"^data has 3 row\(s\) but needs at least 4"):
        baseline("emd", data[:3])
