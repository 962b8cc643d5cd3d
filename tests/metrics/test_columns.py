import math

import numpy as np
import pytest
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from pointillist.metrics import column_differences


def test_kinds():
    whole, halves = np.arange(40) % 5, (np.arange(40) % 5) / 2
    columns = np.stack([whole, halves, np.arange(40), np.ones(40)], axis=1)
    sides = (dict(zip("abcd", half.T, strict=True)) for half in (columns[20:], columns[:20]))
    found = column_differences(*sides)
    assert [column.name for column in found] == ["a", "b", "c", "d"]
    assert [column.kind for column in found] == ["discrete", "continuous", "continuous", "discrete"]
    assert [column.value for column in found] == [0, 0, 1, 0]
    assert found[0].p_value == found[3].p_value == 1
    # Integers on one side are not enough.
    assert column_differences(columns[:, :1] + 0.01, columns[:, :1])[0].kind == "continuous"


def test_continuous_columns_use_kolmogorov_smirnov():
    rng = np.random.default_rng(0)
    rows, data = rng.normal(size=(50, 1)) + 0.4, rng.normal(size=(80, 1))
    (column,) = column_differences(data, rows)
    expected = ks_2samp(rows[:, 0], data[:, 0])
    assert (column.value, column.p_value) == (expected.statistic, expected.pvalue)
    assert (column.rows_mean, column.data_deviation) == pytest.approx((rows.mean(), data.std()))


def test_discrete_columns_use_chi_square_if_counts_are_large():
    rows, data = np.repeat([0, 1, 2], [30, 40, 30]), np.repeat([0, 1, 2], [100, 60, 40])
    (column,) = column_differences(data[:, None], rows[:, None])
    assert column.value == pytest.approx(0.2)  # 0.3, 0.4, 0.3 against 0.5, 0.3, 0.2
    assert column.p_value == pytest.approx(chi2_contingency([[30, 40, 30], [100, 60, 40]]).pvalue)


def test_discrete_columns_use_fisher_if_counts_are_small():
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
    draw_rows = distributions[draw]
    found = (column_differences(draw_rows(sizes[1]), draw_rows(sizes[0])) for _ in range(14))
    p = np.array([column.p_value for columns in found for column in columns])
    for level in (0.01, 0.1, 0.3):
        error = math.sqrt(level * (1 - level) / len(p))
        assert np.mean(p <= level) < level + 4 * error
        assert np.mean(p <= level) > 0.6 * level - 4 * error  # discrete p-values: below the level


def labels(*values):
    return {"kind": np.array(values, object)}


def test_label_fractions():
    (found,) = column_differences(labels(*"a" * 80, *"c" * 20), labels(*"a" * 50, *"b" * 50))
    assert (found.name, found.kind, found.value) == ("kind", "label", 0.5)
    assert found.p_value < 1e-8
    assert math.isnan(found.rows_mean)
    (missing,) = column_differences(labels("a", None, None, "a"), labels("a", None, "a", None))
    assert (missing.value, missing.p_value) == (0, 1)


def test_very_many_labels_take_fewer_divisions():
    (found,) = column_differences(*(labels(*(f"{side} {i}" for i in range(300))) for side in ("record", "row")))
    assert found.value == 1
    assert found.p_value == 1  # all divisions are alike: unique labels carry no information


def test_missing_cells_and_values_are_tested_together():
    rng = np.random.default_rng(0)
    full, missing = rng.normal(size=400), np.where(rng.random(400) < 0.3, np.nan, rng.normal(size=400))
    for data, rows in ((full, missing), (missing, full)):
        (found,) = column_differences({"x": data}, {"x": rows})
        assert found.kind == "label" and found.p_value < 0.01
    (one,) = column_differences({"x": full}, {"x": full[::-1] + 0.05})
    few = [np.append(side, np.nan) for side in (full, full[::-1] + 0.05)]
    (two,) = column_differences({"x": few[0]}, {"x": few[1]})
    assert two.kind == "continuous" and two.p_value == pytest.approx(min(1, 2 * one.p_value), rel=0.05)


def test_errors():
    with pytest.raises(ValueError, match=r"^generated has no column '0', which real has: "):
        column_differences(np.zeros((10, 1)), {"x": np.zeros(10)})
