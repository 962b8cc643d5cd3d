import importlib
import math

import numpy as np
import pytest

from pointillist.metrics import nearest_records, nearest_share

module = importlib.import_module("pointillist.metrics.nearest")


def normal_rows(seed, n, d=2, shift=0.0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(n, d)) + shift


def naive(rows, data):
    """Compares all pairs of a row and a record: is the row closer to the other records than the record is?"""
    total = 0.0
    for row in rows:
        for i, record in enumerate(data):
            others = [other for j, other in enumerate(data) if j != i]
            D, E = (min(math.dist(each, other) for other in others) for each in (row, record))
            total += (D < E) + (D == E) / 2
    return total / (len(rows) * len(data))


@pytest.mark.parametrize("d", [2, 12])
def test_the_triple_loop(d):
    rows, data = normal_rows(0, 8, d, scale=0.7), normal_rows(1, 12, d)
    found = nearest_records(data, rows)
    assert found.share_closer == pytest.approx(naive(rows, data), abs=1e-12)
    closest = [min(math.dist(row, record) for record in data) for row in rows]
    within = [min(math.dist(a, b) for j, b in enumerate(data) if i != j) for i, a in enumerate(data)]
    assert found.median_distance == pytest.approx(np.median(closest))
    assert found.median_within_data == pytest.approx(np.median(within))


def test_ties_and_duplicates_by_the_triple_loop():
    rng = np.random.default_rng(2)
    rows, data = rng.integers(0, 4, (14, 2)).astype(float), rng.integers(0, 4, (12, 2)).astype(float)
    found = nearest_records(data, rows)
    assert found.share_closer == pytest.approx(naive(rows, data), abs=1e-12)


def test_by_hand():
    data, rows = np.array([[0.0], [1.0], [3.0], [-0.0]]), np.array([[1.0], [3.5], [9.0], [0.0]])
    found = nearest_records(data, rows)
    assert found.median_distance == 0.25  # of 0, 0.5, 6 and 0
    assert found.median_within_data == 0.5  # of 0, 1, 2 and 0


@pytest.mark.parametrize(
    ("n", "m", "d"),
    [
        (10, 10, 2),
        (100, 60, 2),
        pytest.param(200, 200, 2, marks=pytest.mark.slow),
        pytest.param(200, 150, 10, marks=pytest.mark.slow),
    ],
)
def test_one_distribution(n, m, d):
    rng = np.random.default_rng(4)
    found = [
        nearest_records(rng.normal(size=(n, d)), rng.normal(size=(m, d)), random_state=rng).share_closer
        for _ in range(120)
    ]
    values, errors = np.array(found), np.array([estimate.standard_error for estimate in found])
    spread = values.std(ddof=1)
    assert abs(values.mean() - 0.5) < 3.5 * spread / math.sqrt(len(values))
    assert 0.75 < math.sqrt(np.mean(errors**2)) / spread < 1.3  # the spread itself is known to 6 %


def test_copies_are_found():
    data = normal_rows(4, 400, 5)
    exact = nearest_records(data, data[:100])
    assert exact.share_closer > 0.99
    assert exact.median_distance == 0
    noisy = nearest_records(data, data[:300] + 1e-6 * normal_rows(5, 300, 5))
    assert noisy.share_closer > 0.99
    assert (noisy.share_closer - 0.5) / noisy.share_closer.standard_error > 5


def test_tiny_distances_are_not_lost_in_many_columns():
    data = normal_rows(6, 500, 20) + 1e3
    found = nearest_records(data, data[:50] + 1e-9)
    assert found.median_distance == pytest.approx(1e-9 * math.sqrt(20), rel=1e-3)


def test_a_large_constant_does_not_hide_distances():
    rng = np.random.default_rng(0)
    data, rows = rng.normal(size=(600, 12)), rng.normal(size=(300, 12))
    moved = np.eye(12)[0] * 1.6e9
    one, other = nearest_records(data, rows), nearest_records(data + moved, rows + moved)
    np.testing.assert_allclose(other.share_closer, one.share_closer, atol=1e-6)


def test_held_out_rows_distinguish_copies_from_clusters():
    data, holdout, fresh = normal_rows(7, 400), normal_rows(8, 300), normal_rows(9, 200)
    assert nearest_records(data, 0.3 * fresh).share_closer > 0.65
    assert nearest_share(data, 0.3 * fresh, holdout).is_inside
    copied = nearest_share(data, data[:200] + 1e-3, holdout).share
    assert copied > 0.7  # as many records as held-out rows are drawn: a quarter of the originals is not among them
    assert (copied - 0.5) / copied.null_standard_error > 5


@pytest.mark.slow
def test_standard_error_with_held_out_rows():
    rng = np.random.default_rng(10)

    def draw(n):
        return rng.normal(size=(n, 2))

    fractions = [nearest_share(draw(80), draw(120), draw(60)).share for _ in range(200)]
    spread = np.std(fractions, ddof=1)
    assert abs(np.mean(fractions) - 0.5) < 3.5 * spread / math.sqrt(200)
    errors = np.array([(share.null_standard_error, share.standard_error) for share in fractions])
    assert np.sqrt(np.mean(errors**2, axis=0)) / spread == pytest.approx([1, 1], abs=0.2)


def test_units_and_row_order_do_not_matter():
    rows, data = normal_rows(11, 50), normal_rows(12, 70)
    expected = nearest_records(data, rows).share_closer
    assert nearest_records(1e6 * data, 1e6 * rows).share_closer == expected
    assert nearest_records(data[::-1], rows[::-1]).share_closer == pytest.approx(expected, rel=1e-12)


def test_trees_and_all_pairs_agree(monkeypatch):
    rows, data = normal_rows(13, 80, 12), normal_rows(14, 90, 12)
    expected = nearest_records(data, rows)
    monkeypatch.setattr(module, "TREE_RECORDS", 0)
    found = nearest_records(data, rows)
    assert found.share_closer == pytest.approx(expected.share_closer, rel=1e-12)
    assert found.share_closer.standard_error == pytest.approx(expected.share_closer.standard_error, rel=1e-9)


def test_subsamples():
    rows, data = normal_rows(15, 3000), normal_rows(16, 2000)
    full, some = nearest_records(data, rows), nearest_records(data, rows, max_rows=500)
    assert some.share_closer.standard_error > full.share_closer.standard_error
    assert abs(full.share_closer - some.share_closer) < 3 * some.share_closer.standard_error


def test_few_rows_have_no_standard_error():
    assert math.isnan(nearest_records(normal_rows(18, 9), normal_rows(17, 3)).share_closer.standard_error)
    assert nearest_records(normal_rows(18, 4), normal_rows(17, 4)).share_closer.standard_error > 0


def test_errors():
    rows = normal_rows(19, 10)
    with pytest.raises(ValueError, match=r"^max_rows is 1 but must be at least 2$"):
        nearest_records(rows, rows, max_rows=1)
    with pytest.raises(ValueError, match=r"^generated has 2 columns but real has 3: "):
        nearest_records(np.zeros((10, 3)), rows)
