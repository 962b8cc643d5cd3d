import math

import numpy as np
import pytest
from scipy.stats import norm

from pointillist.metrics import correlation_test


def test_the_difference_agrees_with_numpy():
    ranks = np.array([np.random.default_rng(i).permutation(40) for i in range(6)])
    found = correlation_test(ranks[3:].T + 0.5, ranks[:3].T, n_permutations=5)
    scores = norm.ppf((np.arange(40) + 0.5) / 40)
    differences = np.abs(np.corrcoef(scores[ranks[:3]]) - np.corrcoef(scores[ranks[3:]]))
    assert found.difference == pytest.approx(differences.max())
    assert differences[found.pair] == pytest.approx(found.difference)


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
        correlation_test(draws[distribution](n), draws[distribution](m), n_permutations=49, random_state=rng)
        for _ in range(250)
    ]
    # Few binary rows may all be equal.
    p = np.array([result.p_value for result in found if result.pair is not None])
    for level in (0.1, 0.3):
        assert np.mean(p <= level) < level + 3.5 * math.sqrt(level * (1 - level) / len(p))


def test_outliers_do_not_dominate():
    """Lognormal columns, correlated: of raw values, 0.43 of the p-values would be below 0.3."""
    rng = np.random.default_rng(5)
    mixing = np.linalg.cholesky(0.4 * np.eye(4) + 0.6)

    def draw():
        return np.exp(1.5 * rng.normal(size=(60, 4)) @ mixing.T)

    p = np.array([correlation_test(draw(), draw(), n_permutations=49, random_state=rng).p_value for _ in range(300)])
    for level in (0.04, 0.2, 0.3):
        assert abs(np.mean(p <= level) - level) < 3 * math.sqrt(level * (1 - level) / len(p))


def test_the_shape_of_a_column_does_not_matter():
    rng = np.random.default_rng(6)
    rows, data = rng.normal(size=(90, 3)), rng.normal(size=(60, 3))
    expected = correlation_test(data, rows, n_permutations=99)
    assert correlation_test(data**3, np.exp(3 * rows), n_permutations=99) == expected


def test_a_changed_correlation_is_found_and_a_shift_is_not():
    rng = np.random.default_rng(2)
    data = rng.normal(size=(400, 4))
    rows = rng.normal(size=(300, 4))
    assert correlation_test(data, 5 + 3 * rows).p_value > 0.01
    rows[:, 3] = 0.5 * rows[:, 1] + math.sqrt(0.75) * rows[:, 3]
    found = correlation_test(data, rows)
    assert found.p_value == 0.001
    assert found.pair == (1, 3)
    assert abs(found.difference - 0.5) < 4 * math.hypot(1 / math.sqrt(400), 0.75 / math.sqrt(300))


def test_constant_columns_are_left_out():
    rng = np.random.default_rng(3)
    rows, data = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    rows[:, 0], data[:, 2] = 0.1, 0.3
    assert correlation_test(data, rows, n_permutations=9).pair == (1, 3)
    for sides in ((data[:, :2], rows[:, :2]), (np.ones((4, 2)), np.ones((5, 2)))):
        alone = correlation_test(*sides)
        assert alone.pair is None and math.isnan(alone.difference) and math.isnan(alone.p_value)


def test_a_column_that_is_constant_in_a_division_has_no_correlation():
    rng = np.random.default_rng(7)
    rare = (np.arange(60) == 0)[:, None]
    data, rows = (np.column_stack([rng.normal(size=60), rare]) for _ in range(2))
    assert correlation_test(data, rows, n_permutations=99).p_value > 0.05


def test_units_do_not_matter():
    rng = np.random.default_rng(4)
    rows, data = rng.normal(size=(30, 3)), rng.normal(size=(40, 3))
    expected = correlation_test(data, rows, n_permutations=99)
    assert correlation_test(1e6 * data + 5, 1e6 * rows + 5, n_permutations=99) == expected


def test_errors():
    rows = np.zeros((10, 2))
    with pytest.raises(ValueError, match=r"^n_permutations=0 must be at least 1 and max_rows=5000 at least 2$"):
        correlation_test(rows, rows, n_permutations=0)
    with pytest.raises(ValueError, match=r"^generated has 2 columns but real has 1: "):
        correlation_test(rows[:, :1], rows)
