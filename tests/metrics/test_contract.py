"""Contract of every metric in the registry."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pointillist.metrics import METRICS, Estimate, baseline, distances

# Small enough to be quick; the registry's defaults are exercised by the tests of each metric.
OPTIONS = {
    "emd": {"n_subsample": 80},
    "two_sample_test": {"classifier": "knn"},
}


@pytest.fixture(params=sorted(METRICS))
def metric(request):
    return METRICS[request.param]


@pytest.fixture
def score(metric):
    def evaluate(A, B, random_state=0, **options):
        return metric(A, B, random_state=random_state, **OPTIONS.get(metric.name, {}), **options)

    return evaluate


def normal_rows(seed, n, d=2, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def test_registry_is_consistent(metric):
    assert METRICS[metric.name] is metric
    assert metric.title
    assert metric.better in ("lower", "baseline")


def test_returns_an_estimate_with_a_standard_error(score):
    estimate = score(normal_rows(0, 150), normal_rows(1, 120))
    assert isinstance(estimate, Estimate)
    assert math.isfinite(estimate)
    assert 0 < estimate.standard_error < math.inf
    assert estimate.degrees_of_freedom > 0


def test_same_distribution_is_at_the_baseline(metric, score):
    options = OPTIONS.get(metric.name, {})
    at_best = baseline(metric.name, normal_rows(2, 600), n_rows=200, n_repeats=30, **options)
    estimate = score(normal_rows(3, 200), normal_rows(4, 200))
    assert abs(estimate - at_best.value) < 3 * at_best.spread
    shifted = score(normal_rows(3, 200), normal_rows(4, 200, shift=2.0))
    assert shifted - at_best.value > 4 * at_best.spread


def test_symmetric_in_distribution(score):
    A, B = normal_rows(5, 200), normal_rows(6, 260, shift=0.7)
    one, two = score(A, B), score(B, A)
    assert abs(one - two) <= 3 * math.hypot(one.standard_error, two.standard_error)


def test_row_order_matters_only_through_the_seed(metric, score):
    A, B = normal_rows(7, 200), normal_rows(8, 200, shift=0.5)
    rng = np.random.default_rng(9)
    one, two = score(A, B), score(rng.permutation(A), rng.permutation(B))
    if metric.seeded:
        assert abs(one - two) < 4 * math.hypot(one.standard_error, two.standard_error)
    else:
        assert one == pytest.approx(two, rel=1e-10)
        assert one.standard_error == pytest.approx(two.standard_error, rel=1e-8)


def test_same_seed_same_value(metric, score):
    A, B = normal_rows(10, 200), normal_rows(11, 200, shift=0.5)
    assert score(A, B, random_state=3) == score(A, B, random_state=3)
    if metric.seeded:
        assert score(A, B, random_state=3) != score(A, B, random_state=4)


def test_inputs_are_not_changed_and_float32_is_accepted(score):
    A, B = normal_rows(12, 150).astype(np.float32), normal_rows(13, 150).astype(np.float32)
    copies = A.copy(), B.copy()
    estimate = score(A, B)
    np.testing.assert_array_equal(A, copies[0])
    np.testing.assert_array_equal(B, copies[1])
    assert estimate == score(A.astype(np.float64), np.asfortranarray(B.astype(np.float64)))
    assert estimate == score(A.tolist(), B.tolist())


@pytest.mark.parametrize("tile_bytes", [8, 8 * 97, 8 * 4096])
def test_tile_size_does_not_matter(score, monkeypatch, tile_bytes):
    A, B = normal_rows(14, 131), normal_rows(15, 100, shift=0.5)
    expected = score(A, B)
    monkeypatch.setattr(distances, "TILE_BYTES", tile_bytes)
    estimate = score(A, B)
    assert estimate == pytest.approx(expected, rel=1e-10)
    assert estimate.standard_error == pytest.approx(expected.standard_error, rel=1e-8)


def with_cell(value):
    rows = normal_rows(16, 100)
    rows[17, 0] = value
    return rows


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (with_cell(np.nan), "has a NaN in row 17, column 0: drop or fill such rows first"),
        (with_cell(-np.inf), "has an infinity in row 17, column 0: drop or fill such rows first"),
        (with_cell(1e200), "has 1e[+]200 in row 17, column 0, beyond 1e[+]150"),
        (np.empty((0, 2)), r"has 0 row\(s\) but needs at least 2"),
        (np.zeros((1, 2)), r"has 1 row\(s\) but needs at least 2"),
        (np.zeros((100, 0)), "has no columns"),
        (np.zeros(100), r"has 1 dimension\(s\) but needs 2.*reshape\(-1, 1\)"),
        (np.zeros((100, 2, 2)), r"has 3 dimension\(s\) but needs 2"),
        (np.full((100, 2), "x"), "is not an array of real numbers"),
        (np.zeros((100, 2), complex), "is not an array of real numbers"),
    ],
)
def test_bad_rows_are_named(metric, score, bad, message):
    good = normal_rows(17, 100)
    with pytest.raises(ValueError, match=rf"^real {message}") as error:
        score(bad, good)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=rf"^generated {message}"):
        score(good, bad)


def test_columns_must_agree(score):
    with pytest.raises(ValueError, match=r"^generated has 3 columns but real has 2: "):
        score(normal_rows(18, 100), normal_rows(19, 100, d=3))


def test_columns_of_data_frames_are_matched_by_name(score):
    real, generated = (
        pd.DataFrame(normal_rows(seed, 100, d=3), columns=list("abc")) * [1, 10, 100] for seed in (20, 21)
    )
    expected = score(real, generated)
    assert score(real, generated[["c", "a", "b"]]) == score(real, pl.DataFrame(generated.to_dict("list"))) == expected
    with pytest.raises(ValueError, match=r"^generated has no column 'c': pass the same columns$"):
        score(real, generated.rename(columns={"c": "d"}))
