"""Evaluation of tables that contain only numbers."""

import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

import pointillist
from pointillist.evaluation import draw_evaluation, print_evaluation
from pointillist.evaluation.scores import Scores
from pointillist.metrics import Estimate
from pointillist.metrics.estimate import holm


def sampled(seed, n, d=3):
    """Returns rows of correlated columns; the last column has integers."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, d))
    z[:, 1] += z[:, 0]
    z[:, -1] = rng.integers(0, 4, n)
    return z * np.logspace(0, d - 1, d)


def columns(rows, names, kind=None):
    table = dict(zip(names, rows.T, strict=True))
    return table if kind is None else {**table, "kind": np.array(kind, object)}


def evaluate(rows, data, *, names=None, holdout=None, kinds=(None, None, None), **options):
    names = [str(i) for i in range(data.shape[1])] if names is None else names
    rows, data = columns(rows, names, kinds[0]), columns(data, names, kinds[1])
    holdout = None if holdout is None else columns(holdout, names, kinds[2])
    return pointillist.evaluate(data, rows, holdout=holdout, **options)


@pytest.fixture(scope="module")
def same():
    kinds = ["x", "y"] * 100, ["x", "y"] * 150, ["x", "y"] * 75
    names = ["a", "b", "c"]
    return evaluate(
        sampled(0, 200),
        sampled(1, 300),
        names=names,
        holdout=sampled(2, 150),
        kinds=kinds,
        target="kind",
    )


@pytest.fixture(scope="module")
def shifted():
    return evaluate(sampled(3, 200) + np.array([0.0, 25.0, 0.0]), sampled(1, 300), names=["a", "[b]", "c"])


def test_same_distribution(same):
    assert same.verdict.startswith("Not distinguishable from the data at the 1 % level (200 rows, 300 rows of data). ")
    assert not same.is_distinguishable
    assert (same.m, same.n, same.names, same.numbers.names) == (200, 300, ("a", "b", "c", "kind"), ("a", "b", "c"))
    assert list(same.p_values) == ["boosted trees", "columns", "residuals", "random forest", "correlations"]
    numbers = same.numbers
    assert abs(numbers.forest - 0.5) < 3 * numbers.forest.null_standard_error and numbers.forest_rows == 200
    assert abs(numbers.nearest.share_closer - 0.5) < 3 * numbers.nearest.share_closer.standard_error
    assert same.columns[-1].kind == "label" and same.columns[-1].value == 0
    assert same.seconds > 0


def test_shifted(shifted):
    assert shifted.is_distinguishable
    assert shifted.verdict.startswith("Distinguishable from the data at the 1 % level (200 rows, 300 rows of data), ")
    assert "the worst column is '[b]' (Kolmogorov-Smirnov " in shifted.verdict
    assert "copied" not in shifted.verdict
    assert "\n" not in shifted.verdict
    assert shifted.worst_columns[0].name == "[b]"
    assert shifted.numbers.forest_p_value < 0.001
    assert shifted.numbers.nearest.share_closer < 0.4


def test_exact_copies():
    data = sampled(4, 300)
    result = evaluate(data[:200], data)
    assert result.verdict.startswith(
        "The rows look copied: 200 of 200 equal a data row (0.0 % of the data equal another); boosted trees mistake "
    )
    assert result.looks_copied and result.copies.p_value < 1e-6
    assert "a random forest mistakes rows for data (accuracy 0." in result.verdict


@pytest.mark.slow
def test_noisy_copies():
    data, holdout = sampled(5, 300), sampled(6, 300)
    rows = data[:150] + 1e-4 * np.random.default_rng(7).normal(size=(150, 3))
    rows[:, -1] = np.round(rows[:, -1])
    result = evaluate(rows, data, holdout=holdout)
    assert "The rows look copied: 100 % are nearer to the data than to held-out rows, not half" in result.verdict
    assert "nearer to the data than its own rows in 100 % of comparisons, not half." in result.verdict


@pytest.mark.slow
def test_clustered_rows_are_not_called_copies():
    rng = np.random.default_rng(8)
    rows, data = 0.3 * rng.normal(size=(400, 2)), rng.normal(size=(500, 2))
    assert "The rows look copied, or bunch up where the data is dense: nearer" in evaluate(rows, data).verdict
    with_holdout = evaluate(rows, data, holdout=rng.normal(size=(300, 2)))
    assert abs(with_holdout.rows.nearest.share - 0.5) < 0.15


@pytest.mark.slow
def test_class_fractions_alone_can_differ():
    kinds = np.repeat(["x", "y"], [150, 50]), np.repeat(["x", "y"], [150, 150])
    result = evaluate(sampled(0, 200), sampled(1, 300), kinds=kinds, target="kind")
    assert "the worst column is 'kind' (total variation 0.25)" in result.verdict
    assert result.adjusted_p_values["columns"] < 1e-4 and result.numbers is not None


@pytest.mark.slow
def test_a_target_of_few_integers_is_classified_and_one_of_many_is_not():
    rng = np.random.default_rng(15)
    x = rng.normal(size=(3, 300))
    few, many = ([{"x": each, "y": y} for each, y in zip(x, ys, strict=True)] for ys in (np.round(2 * x), 2 * x + 0.1))
    options = [{"holdout": tables[2], "target": "y"} for tables in (few, many)]
    assert pointillist.evaluate(*few[:2], **options[0]).rows.utility.measure == "AUC"
    found = pointillist.evaluate(*many[:2], **options[1])
    assert found.rows.utility.measure == "R²" and found.numbers.names == ("x", "y")


@pytest.mark.slow
def test_correlations_alone_can_differ():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(300, 2)), rng.normal(size=(300, 2))
    data = np.stack([x[:, 0], x[:, 0] + 0.2 * x[:, 1]], axis=1)
    rows = np.stack([y[:, 0], math.sqrt(1.04) * y[:, 1]], axis=1)
    result = evaluate(rows, data)
    assert result.numbers.correlations.p_value == 0.001
    assert result.numbers.correlations.pair == (0, 1)
    assert result.is_distinguishable
    assert "no single column differs" in result.verdict


@pytest.mark.slow
def test_a_difference_is_found_in_many_columns_and_few_rows():
    rng = np.random.default_rng(10)
    rows, data = rng.normal(size=(60, 40)), rng.normal(size=(60, 40)) * 1.6
    assert evaluate(rows, data).is_distinguishable


def test_json(same, shifted):
    for evaluation in (same, shifted):
        plain = evaluation.to_json()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert plain["verdict"] == evaluation.verdict
        forest = evaluation.numbers.forest
        assert plain["numbers"]["forest"]["value"] == float(forest)
        assert plain["numbers"]["forest"]["standard_error"] == forest.standard_error
        assert plain["numbers"]["forest_p_value"] == evaluation.numbers.forest_p_value
        assert [column["name"] for column in plain["columns"]] == list(evaluation.names)
        assert plain["adjusted_p_values"] == evaluation.adjusted_p_values
    assert same.to_json()["columns"][-1]["rows_mean"] is None  # nan


@pytest.mark.slow
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


@pytest.mark.slow
def test_scaled_by_the_data():
    rows, data = sampled(0, 60), sampled(1, 80)
    one, two = evaluate(rows, data), evaluate(rows * [1e6, 1.0, 1e-6], data * [1e6, 1.0, 1e-6])
    assert one.numbers.correlations == two.numbers.correlations
    assert one.numbers.nearest.share_closer == pytest.approx(two.numbers.nearest.share_closer)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}


@pytest.mark.slow
def test_false_alarms_are_rare():
    rng = np.random.default_rng(13)
    results = []
    for i in range(120):
        kinds = [[str(kind) for kind in rng.integers(0, 3, n)] for n in (40, 60)]
        rows, data = sampled(rng.integers(2**31), 40), sampled(rng.integers(2**31), 60)
        results.append(evaluate(rows, data, kinds=kinds, target="kind", random_state=i))
    assert sum(result.is_distinguishable for result in results) <= 5  # at most 1.2 are expected: p < 0.002
    assert sum("copied" in result.verdict for result in results) <= 5


def text_of(evaluation, width=100):
    console = Console(file=io.StringIO(), width=width)
    print_evaluation(evaluation, console)
    return console.file.getvalue()


def test_report(same, shifted):
    text = text_of(same, 120)
    assert "Data: 300 real rows. Rows: 200 generated rows. 4 columns." in text
    for title in ("random forest, accuracy, 200 rows per side", "correlation off most", "coverage"):
        assert title in text
    assert "nearer to the data than to held-out rows" in text and "AUC of kind, predicted" in text
    assert "Not distinguishable" in text
    assert "nearer to the data than to held-out rows" not in text_of(shifted)
    assert "[b]" in text_of(shifted)  # not markup
    assert "nan" not in text


@pytest.mark.slow
def test_report_shows_the_worst_columns():
    rng = np.random.default_rng(14)
    rows, data = rng.normal(size=(30, 14)), rng.normal(size=(30, 14))
    rows[:, 13] += 3
    text = text_of(evaluate(rows, data, names=[f"column_{i}" for i in range(14)]))
    shown = re.findall(r"^ (column_\d+) ", text[text.index("The 10 of 14 columns that differ most") :], re.MULTILINE)
    assert len(shown) == 10
    assert shown[0] == "column_13"


def test_report_without_standard_errors(same):
    manifold = replace(same.rows.manifold, precision=Estimate(0.5))
    few = replace(same, rows=Scores(**vars(same.rows) | {"manifold": manifold}))
    assert "0.5" in text_of(few)


@pytest.mark.parametrize("d", [1, 2, 7])
def test_figure(tmp_path, d):
    path = tmp_path / "new" / "columns.png"
    names = [f"$x_{i}$" for i in range(d)]
    sides = [columns(sampled(seed, n, max(d, 2))[:, :d], names) for seed, n in ((16, 150), (15, 100))]
    draw_evaluation(*sides, path)
    image = imread(path)
    assert min(image.shape[:2]) > 300
    assert [file.name for file in path.parent.iterdir()] == ["columns.png"]


def test_figure_of_far_outliers(tmp_path):
    draw_evaluation(np.zeros((20, 2)), np.full((20, 2), 1e9), tmp_path / "a.png")
    draw_evaluation(sampled(16, 30), 1e12 * sampled(15, 30), tmp_path / "b.png")


def test_errors(tmp_path):
    rows = sampled(0, 20)
    with pytest.raises(ValueError, match=r"^holdout has no column '2', which data has: "):
        pointillist.evaluate(columns(rows, "012"), columns(rows, "012"), holdout=columns(rows[:, :2], "01"))
    with pytest.raises(ValueError, match=r"^rows has 9 row\(s\) but needs at least 10: pass more rows$"):
        evaluate(rows[:9], rows)
    with pytest.raises(ValueError, match=r"^rows has 2 column\(s\) and data has 3: give the same$"):
        draw_evaluation(rows, rows[:, :2], tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
