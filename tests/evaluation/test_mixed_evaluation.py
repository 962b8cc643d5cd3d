import io
import json
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.image import imread
from rich.console import Console

from pointillist.evaluation import draw_evaluation, evaluate, print_evaluation
from pointillist.metrics.inputs import columns_of


def sampled(seed, n):
    """Returns related numbers and categories with some missing cells."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    c = np.array(["low", "mid", "high"], object)[np.clip(np.round(x + 1), 0, 2).astype(int)]
    y = np.where(x + (c == "mid") + 0.5 * rng.normal(size=n) > 0.5, "yes", "no").astype(object)
    table = {"x": x, "[w]": x + 0.5 * rng.normal(size=n), "c": c, "y": y}
    table["[w]"][rng.random(n) < 0.1] = np.nan
    table["c"][rng.random(n) < 0.1] = None
    return table


def take(table, index):
    return {name: column[index] for name, column in table.items()}


def permuted(table):
    rng = np.random.default_rng(0)
    return {name: rng.permutation(column) for name, column in table.items()}


@pytest.fixture(scope="module")
def same():
    return evaluate(sampled(1, 400), sampled(0, 300), holdout=sampled(2, 350), target="y")


@pytest.fixture(scope="module")
def halves():
    data = sampled(3, 400)
    return evaluate(data, permuted(data))


def test_same_distribution(same):
    assert same.verdict.startswith(
        "Not distinguishable from the data at the 1 % level (300 rows, 400 rows of data). AUC "
    )
    assert "copied" not in same.verdict
    assert (same.m, same.n, same.names, same.holdout_rows) == (300, 400, ("x", "[w]", "c", "y"), 350)
    for table in (same.rows, same.real, same.independent):
        assert table.two_sample.n_rows == table.manifold.n_rows == 300
    assert same.rows.two_sample.score > 0.8
    assert same.independent.two_sample.score < 0.4
    assert same.rows.common_trends.mean > 0.85 > 0.75 > same.independent.common_trends.mean
    assert same.independent.shapes_mean > 0.97
    assert abs(same.rows.common_trends.mean - same.real.common_trends.mean) < 0.05
    assert same.rows.trends.mean != same.rows.common_trends.mean
    assert same.rows.nearest.is_inside
    assert same.real.nearest.is_inside
    assert same.rows.utility.of_rows > 0.8 > same.independent.utility.of_rows
    assert same.rows.utility.of_data == same.independent.utility.of_data
    assert same.seconds > 0


def test_independent_columns(halves):
    assert halves.is_distinguishable
    assert halves.verdict.startswith("Distinguishable from the data at the 1 % level (400 rows, 400 rows of data)")
    assert ", most clearly by the residuals of " in halves.verdict
    assert halves.adjusted_p_values["boosted trees"] < 1e-6
    assert "\n" not in halves.verdict
    assert halves.holdout_rows is None
    assert not halves.looks_copied and halves.copies_p_value == halves.copies.p_value > 0.1
    assert halves.rows.shapes_mean == halves.independent.shapes_mean == 1
    assert abs(halves.rows.two_sample.auc - halves.independent.two_sample.auc) < 0.1
    assert halves.real.two_sample.score > 0.7
    for table in (halves.rows, halves.real, halves.independent):
        assert table.two_sample.n_rows == 200  # half of the data serves as real rows
        assert table.nearest is table.utility is None


def test_a_copy_of_the_data_is_detected_with_and_without_held_out_rows():
    data, holdout = sampled(4, 250), sampled(5, 250)
    found = evaluate(data, take(data, slice(None)))
    assert found.looks_copied and found.to_json()["looks_copied"] and not found.is_distinguishable
    assert found.verdict.startswith(
        "The rows look copied: 250 of 250 equal a data row (0.0 % of the data equal another); boosted trees mistake "
    )
    # If the held-out rows equal the data, the verdict reports this and still finds the copies.
    for rows, are_copies in ((data, True), (holdout, False)):
        found = evaluate(data, rows, holdout=data)
        assert found.looks_copied == are_copies and not found.is_held_out
        assert "The held-out rows are not held out: 250 of 250 equal a data row (0.0 % of the data" in found.verdict


def test_swapped_tables_are_reported_if_held_out_rows_show_it():
    data, holdout = sampled(4, 120), sampled(5, 120)
    exchanged = evaluate(permuted(sampled(6, 120)), data, holdout=holdout)
    assert "The held-out rows are unlike the data (AUC 0." in exchanged.verdict
    assert "or rows and data are exchanged." in exchanged.verdict
    exchanged = evaluate(holdout, data, holdout=data)
    assert "Only 0 % of the rows are nearer to the data than to the held-out rows: " in exchanged.verdict


def test_the_verdict_names_residuals_that_are_too_small():
    tables = []
    for seed, noise in ((0, 0.5), (1, 0.35)):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=600)
        tables.append({"x": x, "y": 2 * x + noise * rng.normal(size=600)})
    found = evaluate(*tables)
    assert found.is_distinguishable and found.adjusted_p_values["residuals"] < 1e-3
    assert "most clearly by the residuals of " in found.verdict and " times those of the data), p < " in found.verdict
    assert "residuals off most, " in text_of(found)


@pytest.mark.slow
def test_copies():
    data, holdout = sampled(4, 300), sampled(5, 300)
    exact = evaluate(data, take(data, slice(150)), holdout=holdout)
    assert "The rows look copied: 9" in exact.verdict or "The rows look copied: 100 %" in exact.verdict
    assert "150 of 150 equal a data row, and 0.0 % of the held-out rows do (p < 0.0001); " in exact.verdict


def test_json(same, halves):
    for evaluation in (same, halves):
        plain = evaluation.to_json()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert next(iter(plain)) == "verdict"
        assert plain["rows"]["two_sample"]["score"]["value"] == float(evaluation.rows.two_sample.score)
        assert plain["real"]["trends"]["mean"] == evaluation.real.trends.mean
        assert plain["rows"]["trends"]["pairs"][0]["names"] == ["x", "[w]"]
        assert list(plain["independent"]["shapes"]) == list(evaluation.names)
    assert halves.to_json()["rows"]["nearest"] is None


@pytest.mark.slow
def test_the_result_prints_a_report_and_converts_to_a_frame(same):
    report = str(same)
    assert same.verdict[:60] in report and max(map(len, report.splitlines())) <= 120
    assert repr(same).startswith("Evaluation('Not distinguishable") and same._repr_html_().startswith("<pre>")
    frame = same.to_frame()
    assert list(frame.columns) == ["rows", "real rows", "independent columns", "p"]
    assert frame.loc["coverage", "rows"] == pytest.approx(float(same.rows.manifold.coverage))
    assert all(title in report for title in frame.index)
    assert same.summary()["verdict"] == same.verdict and same.summary()["looks_copied"] is False


def test_a_notebook_shows_the_report_once(halves, monkeypatch):
    displayed = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *parts: displayed.append(parts))
    assert halves._repr_html_().startswith("<pre>") and displayed == []


def test_seed(halves):
    data = sampled(3, 400)
    again = evaluate(data, permuted(data))
    assert replace(again, seconds=0).to_json() == replace(halves, seconds=0).to_json()


def text_of(evaluation):
    console = Console(file=io.StringIO(), width=110)
    print_evaluation(evaluation, console)
    return console.file.getvalue()


def test_report(same, halves):
    text = text_of(same)
    assert "Data: 400 real rows. Rows: 300 generated rows. 4 columns." in text
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines[3].startswith(" boosted trees, AUC")
    order = ["boosted trees", "pair trends", "precision", "column shapes", "AUC of y, predicted", "nearer to"]
    assert [text.index(measure) for measure in order] == sorted(text.index(measure) for measure in order)
    assert "Real rows: 300 of the 350 held-out rows" in text
    assert "[w]" in text  # not markup
    assert "nan" not in text
    text = text_of(halves)
    assert "Real rows: one random half of the data, measured against the other half" in " ".join(text.split())
    assert "nearer to the data" not in text
    assert "predicted" not in text


ONE = {"c": np.array(["a"] * 9 + [None], object)}
EMPTY = {"x": np.full(12, np.nan), "y": np.ones(12), "c": np.full(12, None, object)}


@pytest.mark.parametrize(
    ("rows", "holdout"),
    [
        (ONE, ONE),
        pytest.param(ONE, None, marks=pytest.mark.slow),
        (EMPTY, None),
        pytest.param(EMPTY, EMPTY, marks=pytest.mark.slow),
    ],
)
def test_few_rows_one_column_and_constants(rows, holdout):
    evaluation = evaluate(rows, rows, holdout=holdout)
    json.dumps(evaluation.to_json(), allow_nan=False)
    text_of(evaluation)
    assert not evaluation.is_distinguishable
    assert math.isfinite(evaluation.rows.two_sample.score)


@pytest.mark.slow
def test_many_columns_show_the_worst():
    rng = np.random.default_rng(6)
    rows, data = ({f"column_{i}": rng.normal(size=40) for i in range(12)} for _ in "12")
    rows["column_7"] += 5
    text = text_of(evaluate(data, rows))
    assert "The 10 of 66 pairs of columns that score furthest below real rows" in text
    worst = text[text.index("The 10 of 12 columns that differ most") :]
    assert worst.index("column_7") == min(worst.index(name) for name in rows if name in worst)


def test_errors():
    rows = sampled(7, 20)
    for options, message in [
        ({"target": "z", "holdout": rows}, r"^target='z' is not a column of data: use one of 'x', '\[w\]', 'c', 'y'$"),
        ({"holdout": take(rows, slice(9))}, r"^holdout has 9 row\(s\) but needs at least 10: pass more rows$"),
        ({"holdout": {**rows, "x": rows["c"]}}, r"^column 'x' holds categories in holdout but numbers in data: "),
    ]:
        with pytest.raises(ValueError, match=message):
            evaluate(rows, rows, **options)
    with pytest.raises(ValueError, match=r"^rows has 9 row\(s\) but needs at least 10: pass more rows$"):
        evaluate(rows, take(rows, slice(9)))
    with pytest.raises(ValueError, match=r"^rows has no column 'y', which data has: pass the same columns$"):
        evaluate(rows, {name: rows[name] for name in ("x", "[w]", "c")})


def test_figure(tmp_path):
    draw_evaluation(sampled(8, 200), sampled(9, 150), tmp_path / "a.png")
    many = {"c": np.array([f"${i}\x1b$" for i in range(30)], object), "x": np.r_[np.full(28, np.nan), 1.0, 2.0]}
    draw_evaluation(many, many, tmp_path / "b.png")
    assert min(imread(tmp_path / "a.png").shape[:2]) > 300


@pytest.mark.slow
def test_a_difference_in_missing_cells_is_found():
    data, rows = sampled(10, 400), sampled(11, 400)
    rows["[w]"][:200] = np.nan
    worst = evaluate(data, rows).worst_columns[0]
    assert worst.name == "[w]" and worst.kind == "label" and worst.p_value < 1e-6


def test_times_are_compared_in_one_unit_and_zone():
    moments = np.arange(50).astype("datetime64[D]").astype("datetime64[s]")
    kinds = pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("ns"), pa.date32(), pa.date64()
    noon = pa.array(moments + np.timedelta64(12, "h")).cast(pa.timestamp("s", "UTC"))
    tables = [
        pa.table({"day": pa.array(moments).cast(kind), "took": pa.array(np.arange(50)).cast(pa.duration(unit))})
        .append_column("at", noon.cast(pa.timestamp("us", zone)))
        .append_column("same", pa.array(moments))
        for kind, unit, zone in zip(kinds, ("s",) * 5, ("Asia/Tokyo", "UTC", "UTC", "UTC", "UTC"), strict=True)
    ]
    tables[1] = tables[1].set_column(1, "took", tables[1]["took"].cast(pa.duration("ms")))
    first, *others = columns_of({str(i): table for i, table in enumerate(tables)}).values()
    for other in others:
        assert all(np.array_equal(first[name], other[name]) for name in first)
    assert first["same"][1] == 86_400
