import math

import numpy as np
import pytest

from pointillist.metrics import correlation_differences


def test_correlation_matrices_agree_with_numpy():
    rng = np.random.default_rng(0)
    rows, data = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)), rng.normal(size=(60, 3))
    found = correlation_differences(data, rows, n_permutations=5)
    np.testing.assert_allclose(found.rows, np.corrcoef(rows.T), atol=1e-12)
    np.testing.assert_allclose(found.data, np.corrcoef(data.T), atol=1e-12)
    differences = np.abs(np.corrcoef(rows.T) - np.corrcoef(data.T))
    assert found.largest == pytest.approx(differences.max())
    assert differences[found.pair] == pytest.approx(found.largest)
    assert found.mean == pytest.approx(differences[np.triu_indices(3, 1)].mean())


@pytest.mark.parametrize(("n", "m", "d"), [pytest.param(12, 12, 3, marks=pytest.mark.slow), (80, 50, 4)])
@pytest.mark.parametrize(
    "distribution",
    [pytest.param("normal", marks=pytest.mark.slow), pytest.param("heavy", marks=pytest.mark.slow), "binary"],
)
def test_calibrated_under_one_distribution(n, m, d, distribution):
    rng = np.random.default_rng(1)
    draws = {
        "normal": lambda k: rng.normal(size=(k, d)),
        "heavy": lambda k: rng.standard_t(3, size=(k, d)),
        "binary": lambda k: (rng.uniform(size=(k, d)) < 0.3).astype(float),
    }
    found = [
        correlation_differences(draws[distribution](n), draws[distribution](m), n_permutations=49, random_state=rng)
        for _ in range(250)
    ]
    found = [result for result in found if result.pair is not None]  # few binary rows may all be equal
    p = np.array([result.p_value for result in found])
    for level in (0.1, 0.3):
        assert np.mean(p <= level) < level + 3.5 * math.sqrt(level * (1 - level) / len(p))
    largest, expected = (np.mean([getattr(r, name) for r in found]) for name in ("largest", "expected_largest"))
    assert expected == pytest.approx(largest, rel=0.15)


def test_outliers_do_not_dominate():
    """Lognormal columns, correlated: of raw values, 0.43 of the p-values would be below 0.3."""
    rng = np.random.default_rng(5)
    mixing = np.linalg.cholesky(0.4 * np.eye(4) + 0.6)

    def draw():
        return np.exp(1.5 * rng.normal(size=(60, 4)) @ mixing.T)

    p = np.array(
        [correlation_differences(draw(), draw(), n_permutations=49, random_state=rng).p_value for _ in range(300)]
    )
    for level in (0.04, 0.2, 0.3):
        assert abs(np.mean(p <= level) - level) < 3 * math.sqrt(level * (1 - level) / len(p))


def test_the_shape_of_a_column_does_not_matter():
    rng = np.random.default_rng(6)
    rows, data = rng.normal(size=(90, 3)), rng.normal(size=(60, 3))
    expected = correlation_differences(data, rows, n_permutations=99)
    found = correlation_differences(data**3, np.exp(3 * rows), n_permutations=99)
    assert found.p_value == expected.p_value
    assert found.largest != pytest.approx(expected.largest, rel=0.1)


def test_a_changed_correlation_is_found_and_a_shift_is_not():
    rng = np.random.default_rng(2)
    data = rng.normal(size=(400, 4))
    rows = rng.normal(size=(300, 4))
    assert correlation_differences(data, 5 + 3 * rows).p_value > 0.01
    rows[:, 3] = 0.5 * rows[:, 1] + math.sqrt(0.75) * rows[:, 3]
    found = correlation_differences(data, rows)
    assert found.p_value == 0.001
    assert found.pair == (1, 3)
    assert abs(found.largest - 0.5) < 4 * math.hypot(1 / math.sqrt(400), 0.75 / math.sqrt(300))
    assert found.largest > 2 * found.expected_largest
    assert found.mean > found.expected_mean


def test_constant_columns_are_left_out():
    rng = np.random.default_rng(3)
    rows, data = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    rows[:, 0], data[:, 2] = 0.1, 0.3
    found = correlation_differences(data, rows, n_permutations=9)
    assert found.pair == (1, 3)
    assert np.isnan(found.rows[0]).all()
    assert np.isnan(found.data[:, 2]).all()
    assert np.isfinite(found.rows[np.ix_([1, 3], [1, 3])]).all()
    alone = correlation_differences(data[:, :2], rows[:, :2])
    assert alone.pair is None
    assert math.isnan(alone.largest)
    assert math.isnan(alone.p_value)
    none = correlation_differences(np.ones((4, 2)), np.ones((5, 2)))
    assert none.pair is None
    assert np.isnan(none.rows).all()


def test_units_do_not_matter():
    rng = np.random.default_rng(4)
    rows, data = rng.normal(size=(30, 3)), rng.normal(size=(40, 3))
    expected = correlation_differences(data, rows, n_permutations=99)
    found = correlation_differences(1e6 * data + 5, 1e6 * rows + 5, n_permutations=99)
    assert found.p_value == expected.p_value
    assert found.largest == pytest.approx(expected.largest, rel=1e-9)


def test_errors():
    rows = np.zeros((10, 2))
    with pytest.raises(ValueError, match=r"^n_permutations=0 must be at least 1 and max_rows=5000 at least 2$"):
        correlation_differences(rows, rows, n_permutations=0)
    with pytest.raises(ValueError, match=r"^generated has 2 columns but real has 1: "):
        correlation_differences(rows[:, :1], rows)
