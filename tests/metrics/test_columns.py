import math

import numpy as np
import pandas
import pytest
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from pointillist.metrics import column_differences, label_difference


def test_kinds():
    whole, halves = np.arange(40) % 5, (np.arange(40) % 5) / 2
    columns = np.stack([whole, halves, np.arange(40), np.ones(40)], axis=1)
    found = column_differences(columns[20:], columns[:20], names=["a", "b", "c", "d"])
    assert [column.name for column in found] == ["a", "b", "c", "d"]
    assert [column.kind for column in found] == ["discrete", "continuous", "continuous", "discrete"]
    assert [column.value for column in found] == [0, 0, 1, 0]
    assert found[0].p_value == found[3].p_value == 1
    # One side of whole numbers is not enough.
    assert column_differences(columns[:, :1] + 0.01, columns[:, :1])[0].kind == "continuous"


def test_continuous_is_kolmogorov_smirnov():
    rng = np.random.default_rng(0)
    rows, data = rng.normal(size=(50, 1)) + 0.4, rng.normal(size=(80, 1))
    (column,) = column_differences(data, rows)
    expected = ks_2samp(rows[:, 0], data[:, 0])
    assert (column.value, column.p_value) == (expected.statistic, expected.pvalue)
    assert (column.rows_mean, column.data_deviation) == pytest.approx((rows.mean(), data.std()))


def test_discrete_is_chi_square_where_counts_are_large():
    rows, data = np.repeat([0, 1, 2], [30, 40, 30]), np.repeat([0, 1, 2], [100, 60, 40])
    (column,) = column_differences(data[:, None], rows[:, None])
    assert column.value == pytest.approx(0.2)  # 0.3, 0.4, 0.3 against 0.5, 0.3, 0.2
    assert column.p_value == pytest.approx(chi2_contingency([[30, 40, 30], [100, 60, 40]]).pvalue)


def test_discrete_is_fisher_where_counts_are_small():
    # With two values and sides of one size, ordering tables by chi-square is ordering them by probability.
    rows, data = np.repeat([0, 1], [7, 1]), np.repeat([0, 1], [3, 5])
    (column,) = column_differences(data[:, None], rows[:, None])
    expected = fisher_exact([[7, 1], [3, 5]]).pvalue
    assert abs(column.p_value - expected) < 4 * math.sqrt(expected * (1 - expected) / 9999)


@pytest.mark.parametrize("draw", ["continuous", "many", "few"])
def test_calibrated_under_one_distribution(draw):
    rng = np.random.default_rng(1)
    distributions = {
        "continuous": lambda n: rng.normal(size=(n, 30)),
        "many": lambda n: rng.integers(0, 3, (n, 30)),
        "few": lambda n: rng.poisson(1.0, (n, 30)),
    }
    sizes = (60, 90) if draw != "few" else (25, 40)
    own = distributions[draw]
    found = (column_differences(own(sizes[1]), own(sizes[0])) for _ in range(14))
    p = np.array([column.p_value for columns in found for column in columns])
    for level in (0.01, 0.1, 0.3):
        error = math.sqrt(level * (1 - level) / len(p))
        assert np.mean(p <= level) < level + 4 * error
        assert np.mean(p <= level) > 0.6 * level - 4 * error  # values of few possible p: below the level


def test_label_shares():
    result = label_difference(np.array(["a"] * 80 + ["c"] * 20), ["a"] * 50 + ["b"] * 50, name="kind")
    assert (result.name, result.kind, result.value) == ("kind", "label", 0.5)
    assert result.p_value < 1e-8
    assert math.isnan(result.rows_mean)
    mixed = label_difference([1.0, "one", (1,)], [1, "one", (1,)])
    assert (mixed.value, mixed.p_value) == (0, 1)


def test_very_many_labels_take_fewer_divisions():
    result = label_difference([f"record {i}" for i in range(300)], [f"row {i}" for i in range(300)])
    assert result.value == 1
    assert result.p_value == 1  # every division looks like this one: labels that never come twice say nothing


def test_errors():
    rows = np.zeros((10, 2))
    with pytest.raises(ValueError, match=r"^names has 1 name\(s\) but rows has 2 column\(s\): pass one per column$"):
        column_differences(rows, rows, names=["a"])
    with pytest.raises(ValueError, match=r"^data has 1 columns but rows has 2: "):
        column_differences(rows[:, :1], rows)
    with pytest.raises(ValueError, match=r"^rows_labels is empty: "):
        label_difference(["a"], [])
    with pytest.raises(ValueError, match="rows_labels has no label in row 1"):
        label_difference([1, 2], pandas.Series([1, None], dtype="Int64"))
    for missing in (None, math.nan):
        with pytest.raises(ValueError, match=r"^data_labels has no label in row 1: "):
            label_difference(["a", missing], ["a"])
