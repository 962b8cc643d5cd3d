import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from pointillist.evaluation import draw_evaluation, print_evaluation
from pointillist.evaluation import evaluate_numbers as evaluate
from pointillist.evaluation.evaluation import _copies_p_value
from pointillist.evaluation.verdict import holm
from pointillist.metrics import Estimate, expected_coverage, nearest_records


def law(seed, n, d=3):
    """Rows of correlated columns, the last of whole numbers."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d))
    z[:, 1] += z[:, 0]
    z[:, -1] = rng.integers(0, 4, n)
    return z * np.logspace(0, d - 1, d)


@pytest.fixture(scope="module")
def same():
    return evaluate(
        law(0, 200),
        law(1, 300),
        names=["a", "b", "c"],
        label_name="kind",
        rows_labels=["x", "y"] * 100,
        data_labels=np.array(["x", "y"] * 150),
        holdout=law(2, 150),
    )


@pytest.fixture(scope="module")
def shifted():
    return evaluate(law(3, 200) + np.array([0.0, 25.0, 0.0]), law(1, 300), names=["a", "[b]", "c"])


def test_same_law(same):
    assert same.verdict == "Cannot be told apart from the data at the 1 % level with so many rows (200 against 300)."
    assert not same.can_be_told_apart
    assert (same.m, same.n, same.d, same.names) == (200, 300, 3, ("a", "b", "c"))
    assert list(same.p_values) == ["energy distance", "random forest", "columns", "correlations", "labels"]
    assert abs(same.energy.distance) < 3 * same.energy.distance.null_standard_error
    assert abs(same.two_sample - 0.5) < 3 * same.two_sample.null_standard_error
    assert abs(same.emd - same.emd_floor.value) < 4 * same.emd_floor.spread
    assert same.manifold_floor.coverage == expected_coverage(150, 150)
    assert abs(same.manifold.coverage - same.manifold_floor.coverage) < 4 * same.manifold.coverage.standard_error
    assert abs(same.nearest.share_closer - 0.5) < 3 * same.nearest.share_closer.standard_error
    assert (same.two_sample_rows, same.manifold_rows, same.emd_rows) == (200, 150, 150)
    assert same.labels.value == 0
    assert same.seconds > 0


def test_shifted(shifted):
    assert shifted.can_be_told_apart
    assert shifted.verdict.startswith("Can be told apart from the data at the 1 % level (200 against 300 rows), most ")
    assert "the worst column is '[b]' (Kolmogorov-Smirnov " in shifted.verdict
    assert "copied" not in shifted.verdict
    assert "\n" not in shifted.verdict
    assert shifted.worst_columns[0].name == "[b]"
    assert shifted.energy.p_value == 0.001
    assert shifted.nearest.share_closer < 0.4


def test_exact_copies():
    data = law(4, 200)
    result = evaluate(data[:100], data)
    assert "The rows look copied: 100 of 100 equal a data row (0.0% of the data equal another)" in result.verdict
    assert result.verdict.startswith("Cannot be told apart")
    assert result.copies_p_value < 1e-6


def test_noisy_copies():
    data, holdout = law(5, 300), law(6, 300)
    rows = data[:150] + 1e-4 * np.random.default_rng(7).normal(size=(150, 3))
    rows[:, -1] = np.round(rows[:, -1])
    result = evaluate(rows, data, holdout=holdout)
    assert "The rows look copied: 100% are closer to the data than to held-out rows, not half" in result.verdict
    assert "nearer to the data than its own rows in 100% of comparisons, not half." in result.verdict
    assert result.nearest.exact_copies == 0


def test_rows_that_bunch_up_are_not_called_copies():
    rng = np.random.default_rng(8)
    rows, data = 0.3 * rng.normal(size=(400, 2)), rng.normal(size=(500, 2))
    assert "The rows look copied, or bunch up where the data is dense: nearer" in evaluate(rows, data).verdict
    with_holdout = evaluate(rows, data, holdout=rng.normal(size=(300, 2)))
    assert abs(with_holdout.nearest.closer_to_training - 0.5) < 0.15


def test_labels_alone():
    labels = np.repeat(["x", "y"], [150, 50]), np.repeat(["x", "y"], [150, 150])
    result = evaluate(law(0, 200), law(1, 300), label_name="kind", rows_labels=labels[0], data_labels=labels[1])
    assert "most clearly by the shares of 'kind' (total variation 0.25), p < 0.0001; no single column" in result.verdict


def test_correlations_alone():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    data = np.stack([x[:, 0], x[:, 0] + 0.2 * x[:, 1]], axis=1)
    rows = np.stack([y[:, 0], math.sqrt(1.04) * y[:, 1]], axis=1)
    result = evaluate(rows, data)
    assert result.correlations.p_value == 0.001
    assert result.correlations.pair == (0, 1)
    assert result.can_be_told_apart
    assert "no single column differs" in result.verdict


def test_many_columns_do_not_drown_the_permutation_tests():
    rng = np.random.default_rng(10)
    rows, data = rng.normal(size=(60, 40)), rng.normal(size=(60, 40)) * 1.6
    result = evaluate(rows, data)
    assert result.energy.p_value == 0.001
    assert result.adjusted_p_values["energy distance"] <= 0.005


def test_json(same, shifted):
    for evaluation in (same, shifted):
        plain = evaluation.to_json()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert plain["verdict"] == evaluation.verdict
        assert plain["energy"]["distance"]["value"] == float(evaluation.energy.distance)
        assert plain["energy"]["distance"]["standard_error"] == evaluation.energy.distance.standard_error
        assert plain["energy"]["p_value"] == evaluation.energy.p_value
        assert [column["name"] for column in plain["columns"]] == list(evaluation.names)
        assert plain["adjusted_p_values"] == evaluation.adjusted_p_values
    assert shifted.to_json()["labels"] is None
    assert same.to_json()["labels"]["rows_mean"] is None  # nan


def test_few_rows_one_column_and_constants():
    rng = np.random.default_rng(11)
    for rows, data in (
        (rng.normal(size=(10, 1)), rng.normal(size=(10, 1))),
        (np.ones((12, 2)), np.ones((15, 2))),
        (np.full((12, 2), 0.1), np.hstack([np.full((15, 1), 0.1), rng.normal(size=(15, 1))])),
    ):
        result = evaluate(rows, data)
        json.dumps(result.to_json(), allow_nan=False)
        print_evaluation(result, Console(file=io.StringIO()))


def test_scaled_by_the_data():
    rows, data = law(0, 60), law(1, 80)
    one, two = evaluate(rows, data), evaluate(rows * [1e6, 1.0, 1e-6], data * [1e6, 1.0, 1e-6])
    assert one.energy.distance == pytest.approx(two.energy.distance, rel=1e-9)
    assert one.energy.p_value == two.energy.p_value
    assert one.nearest.share_closer == pytest.approx(two.nearest.share_closer)
    data_deviations = data.std(axis=0)
    unscaled = evaluate(rows / data_deviations, data / data_deviations)
    assert one.emd == pytest.approx(unscaled.emd, rel=1e-9)


def test_copies_p_value_allows_for_duplicates_in_the_data():
    rng = np.random.default_rng(12)
    for n_values in (4, 12, 25):
        p = []
        for _ in range(100):
            rows, data = rng.integers(0, n_values, (100, 3)), rng.integers(0, n_values, (150, 3))
            p.append(_copies_p_value(nearest_records(rows, data, max_rows=2), 100, 150))
        assert np.mean(np.array(p) <= 0.1) < 0.1 + 3 * math.sqrt(0.1 * 0.9 / 100)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}


@pytest.mark.slow
def test_false_alarms_are_rare():
    rng = np.random.default_rng(13)
    results = []
    for i in range(120):
        labels = rng.integers(0, 3, 40), rng.integers(0, 3, 60)
        rows, data = law(rng.integers(2**31), 40), law(rng.integers(2**31), 60)
        results.append(evaluate(rows, data, rows_labels=labels[0], data_labels=labels[1], random_state=i))
    assert sum(result.can_be_told_apart for result in results) <= 5  # 1.2 are expected at the most: p < 0.002
    assert sum("copied" in result.verdict for result in results) <= 5


def text_of(evaluation, width=100):
    console = Console(file=io.StringIO(), width=width)
    print_evaluation(evaluation, console)
    return console.file.getvalue()


def test_report(same, shifted):
    text = text_of(same)
    assert "200 rows against 300 of data, 3 columns" in text
    for metric in ("energy distance", "random forest's accuracy, 200 rows a side", "EMD, 150 rows a side", "coverage"):
        assert metric in text
    assert "closer to the data than to held-out rows" in text
    assert "shares of kind, total variation" in text
    assert "Cannot be told apart" in text
    assert "closer to the data than to held-out rows" not in text_of(shifted)
    assert "[b]" in text_of(shifted)  # not markup
    assert "nan" not in text


def test_report_shows_the_worst_columns():
    rng = np.random.default_rng(14)
    rows, data = rng.normal(size=(30, 14)), rng.normal(size=(30, 14))
    rows[:, 13] += 3
    text = text_of(evaluate(rows, data, names=[f"column_{i}" for i in range(14)]))
    shown = re.findall(r"^ (column_\d+) ", text[text.index("The 10 of 14 columns that differ most") :], re.MULTILINE)
    assert len(shown) == 10
    assert shown[0] == "column_13"


def test_report_without_standard_errors(same):
    few = replace(same, manifold=replace(same.manifold, precision=Estimate(0.5)))
    assert "0.5" in text_of(few)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_figure(tmp_path, d):
    path = tmp_path / "new" / "columns.png"
    draw_evaluation(law(15, 100, max(d, 2))[:, :d], law(16, 150, max(d, 2))[:, :d], path, ["$x_1$"] * d)
    image = imread(path)
    assert min(image.shape[:2]) > 300
    assert [file.name for file in path.parent.iterdir()] == ["columns.png"]


def test_figure_of_rows_gone_astray(tmp_path):
    draw_evaluation(np.full((20, 2), 1e9), np.zeros((20, 2)), tmp_path / "a.png")
    draw_evaluation(1e12 * law(15, 30), law(16, 30), tmp_path / "b.png")


def test_errors(tmp_path):
    rows, labels = law(0, 20), ["x"] * 20
    cases = [
        ({"names": ["a"]}, r"^names has 1 name\(s\) but rows has 3 column\(s\): pass one a column$"),
        ({"rows_labels": labels}, r"^data_labels is missing: pass the labels of both rows and data, or neither$"),
        ({"data_labels": labels}, r"^rows_labels is missing: "),
        (
            {"rows_labels": labels, "data_labels": labels[1:]},
            r"^data_labels has 19 label\(s\) but data has 20 row\(s\): pass one a row$",
        ),
        ({"holdout": rows[:, :2]}, r"^holdout has 2 columns but data has 3: "),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message):
            evaluate(rows, rows, **options)
    with pytest.raises(ValueError, match=r"^rows has 9 row\(s\) but needs at least 10: pass more rows$"):
        evaluate(rows[:9], rows)
    with pytest.raises(ValueError, match=r"^data has 2 columns but rows has 3: "):
        evaluate(rows, rows[:, :2])
    with pytest.raises(ValueError, match=r"^names has 1 name"):
        draw_evaluation(rows, rows, tmp_path / "a.png", ["a"])
    assert not list(tmp_path.iterdir())
