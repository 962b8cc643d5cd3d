import math
from collections import Counter
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import hypergeom
from sklearn.ensemble import HistGradientBoostingClassifier

from pointillist.metrics import classifiers, column_differences, manifold_scores, nearest_share
from pointillist.metrics.classifiers import (
    MAX_CATEGORIES,
    _area,
    _number_utility,
    boosted_two_sample,
    on_one_thread,
    utility,
)
from pointillist.metrics.mixed import column_shapes, mean_score, pair_trends
from pointillist.metrics.mixed_tables import check_tables, encode, points_of


def sampled(seed, n, shift=0.0, missing=0.0):
    """Returns two related numbers (one discrete), two related categories and a boolean that depends on all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + shift
    few = np.round(2 * x + rng.normal(size=n))
    c = np.array(["a", "b", "c", "d"], object)[np.clip(np.round(x + 1.5), 0, 3).astype(int)]
    e = np.where(rng.random(n) < 0.7, c, rng.choice(np.array(["a", "z"], object), n)).astype(object)
    y = np.where(x + few / 4 + (c == "b") + rng.normal(size=n) > 0.5, "yes", "no").astype(object)
    table = {"x": x, "few": few, "c": c, "e": e, "y": y}
    for column in table.values():
        column[rng.random(n) < missing] = None if column.dtype == object else np.nan
    return table


def take(table, index):
    return {name: column[index] for name, column in table.items()}


@pytest.fixture(scope="module")
def frames():
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("sdmetrics")
    return pandas.DataFrame


def metadata(table):
    kinds = {name: "categorical" if column.dtype == object else "numerical" for name, column in table.items()}
    return {"columns": {name: {"sdtype": kind} for name, kind in kinds.items()}}


TABLES = [
    (sampled(0, 400), sampled(1, 500)),
    (sampled(2, 300, shift=0.4, missing=0.15), sampled(3, 450, missing=0.1)),
    (sampled(4, 60, shift=-2.0, missing=0.3), sampled(5, 40)),
    # A constant on one side, a column that is missing on one side, categories and numbers of one side only.
    (
        {**sampled(6, 80), "constant": np.ones(80), "gone": np.full(80, np.nan), "far": np.arange(80.0) + 1e6},
        {**sampled(7, 90), "constant": np.arange(90.0), "gone": np.arange(90.0), "far": np.arange(90.0) * 0.1},
    ),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rows", "data"), TABLES)
def test_shapes_agree_with_sdmetrics(frames, rows, data):
    from sdmetrics.single_column import KSComplement, TVComplement

    found = column_shapes(data, rows)
    assert list(found) == list(data)
    for name, score in found.items():
        metric = TVComplement if data[name].dtype == object else KSComplement
        expected = metric.compute(frames(dict(data))[name], frames(dict(rows))[name])
        assert score == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("ignore")
def test_scores_with_new_categories_nearly_agree_with_sdmetrics(frames):
    from sdmetrics.single_column import TVComplement

    data, rows = {"c": np.array(list("aab"), object)}, {"c": np.array(list("abzzy"), object)}
    expected = TVComplement.compute(frames(data)["c"], frames(rows)["c"])
    assert column_shapes(data, rows)["c"] == pytest.approx(0.4, abs=1e-12)
    assert expected == pytest.approx(0.4, abs=2e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rows", "data"), TABLES)
def test_trends_agree_with_sdmetrics(frames, rows, data):
    from sdmetrics.reports.single_table._properties import ColumnPairTrends

    found = pair_trends(data, rows)
    reference = ColumnPairTrends()
    mean = reference.get_score(frames(dict(data)), frames(dict(rows)), metadata(data))
    assert found.mean == pytest.approx(mean, abs=1e-9)
    assert [pair.names for pair in found.pairs] == list(
        zip(reference.details["Column 1"], reference.details["Column 2"], strict=True)
    )
    scores = [pair.score for pair in found.pairs]
    assert scores == pytest.approx(reference.details["Score"].tolist(), abs=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rows", "data"), TABLES[:3])
def test_trends_in_bins_of_the_data_agree_with_sdmetrics(frames, rows, data):
    from sdmetrics.column_pairs import ContingencySimilarity

    default = {pair.names: pair for pair in pair_trends(data, rows).pairs}
    for pair in pair_trends(data, rows, bins="data").pairs:
        names = list(pair.names)
        numbers = [name for name in names if data[name].dtype != object]
        if len(numbers) == 1:
            sides = (frames(dict(side))[names] for side in (data, rows))
            expected = ContingencySimilarity.compute(*sides, continuous_column_names=numbers)
            assert pair.score == pytest.approx(expected, abs=1e-9)
        else:
            assert pair == default[pair.names]


@pytest.mark.filterwarnings("ignore")
def test_scores_agree_with_the_quality_report_of_sdmetrics(frames):
    from sdmetrics.reports.single_table import QualityReport

    rows, data = TABLES[1]
    report = QualityReport()
    report.generate(frames(dict(data)), frames(dict(rows)), metadata(data), verbose=False)
    scores = dict(report.get_properties().to_numpy()[:, :2].tolist())
    assert mean_score(column_shapes(data, rows)) == pytest.approx(scores["Column Shapes"], abs=1e-9)
    assert pair_trends(data, rows).mean == pytest.approx(scores["Column Pair Trends"], abs=1e-9)


def test_strengths_equal_cramers_v():
    from scipy.stats.contingency import association, crosstab

    rng = np.random.default_rng(8)
    rows, data = ({**table, "coin": rng.choice(np.array(["h", "t"], object), len(table["x"]))} for table in TABLES[0])
    trends = pair_trends(data, rows)
    for pair in trends.pairs:
        one, two = (
            np.digitize(data[name], np.histogram_bin_edges(data[name])) if name in ("x", "few") else data[name]
            for name in pair.names
        )
        if pair.kind == "correlation":
            assert pair.strength == pytest.approx(abs(np.corrcoef(data["x"], data["few"])[0, 1]), abs=1e-12)
            assert pair.is_related == (pair.strength > 0.5)
        else:
            counts = crosstab(one.astype(str), two.astype(str)).count
            assert pair.strength == pytest.approx(association(counts, method="cramer"), abs=1e-12)
            assert pair.is_related == (pair.strength > 0.3)
    related = [pair.score for pair in trends.pairs if pair.is_related]
    assert 0 < len(related) < 15
    assert trends.related_mean == pytest.approx(np.mean(related))


def test_identical_tables():
    table = sampled(8, 200, missing=0.1)
    assert set(column_shapes(table, table).values()) == {1.0}
    trends = pair_trends(table, table)
    assert (trends.mean, trends.related_mean, len(trends.pairs)) == (1.0, 1.0, 10)
    assert [pair.kind for pair in trends.pairs].count("correlation") == 1


def test_known_distances():
    data = {"x": np.arange(4.0), "c": np.array(["a", "a", "b", "b"], object), "e": np.array(list("pqpq"), object)}
    rows = {"e": np.array(list("ppqq"), object), "c": np.array(["a", "b", "c", None], object), "x": np.arange(4.0) + 1}
    assert column_shapes(data, rows) == pytest.approx({"x": 0.75, "c": 1 - (1 / 6 + 1 / 6 + 1 / 3) / 2, "e": 1.0})
    pairs = {pair.names: pair for pair in pair_trends(data, rows).pairs}
    assert pairs["c", "e"].score == 0.5  # of (a, p), (b, p), (c, q), (None, q) the first two are in the data
    assert pairs["c", "e"].strength == 0
    assert pairs["x", "c"].score == 0.25  # each table has separate bins
    assert pairs["x", "c"].strength == 1


def test_independent_columns_have_the_shapes_but_not_the_trends():
    data, rng = sampled(9, 2000), np.random.default_rng(0)
    rows = {name: rng.permutation(column) for name, column in data.items()}
    assert mean_score(column_shapes(data, rows)) == 1
    trends = pair_trends(data, rows)
    assert trends.mean < 0.75


def test_contingencies_of_many_categories_are_the_same(monkeypatch):
    rng = np.random.default_rng(1)
    names = np.array([f"{i:04}" for i in range(1500)], object)
    data, rows = ({"a": rng.choice(names, 3000), "b": rng.choice(names, 3000)} for _ in "12")
    found = pair_trends(data, rows)  # too many cells for a dense table of counts
    monkeypatch.setattr("pointillist.metrics.mixed.DENSE_CELLS", 1500**2)
    (pair,), (same,) = found.pairs, pair_trends(data, rows).pairs
    assert (pair.score, pair.strength) == pytest.approx((same.score, same.strength), rel=1e-12)
    counts = [Counter(zip(table["a"], table["b"], strict=True)) for table in (data, rows)]
    assert pair.score == pytest.approx((counts[0] & counts[1]).total() / 3000, abs=1e-12)


def test_an_outlier_moves_only_the_bins_of_its_table():
    data, rows = sampled(36, 500), sampled(37, 500)
    far = {**rows, "x": np.append(rows["x"][:-1], 1000.0)}
    separate, common = (
        {pair.names: pair.score for pair in pair_trends(data, far, bins=bins).pairs} for bins in ("own", "data")
    )
    assert separate["x", "c"] < 0.3
    assert common["x", "c"] > 0.85


def test_nothing_to_score():
    empty = {"x": np.full(5, np.nan), "c": np.full(5, None, object)}
    assert math.isnan(mean_score(column_shapes(empty, empty)))
    assert pair_trends(empty, empty).mean == 1
    assert math.isnan(pair_trends({"x": np.arange(5.0)}, {"x": np.arange(5.0)}).mean)


def test_codes():
    one = {"x": np.array([1.0, np.nan]), "c": np.array(["b", None], object)}
    two = {"c": np.array(["a", "b", "c"], object), "x": np.arange(3.0)}
    (first, second), is_category = encode(one, two)
    assert is_category.tolist() == [False, True]
    np.testing.assert_array_equal(first, [[1, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(second, [[0, 0], [1, 1], [2, 2]])
    (first, second), _ = encode(one, two, max_categories=2)  # b is the most frequent
    assert second[:, 1].tolist() == [1, 0, 1]


def test_boosted_trees_cannot_distinguish_equal_distributions():
    found = boosted_two_sample(sampled(11, 2000, missing=0.1), sampled(10, 1500, missing=0.1))
    assert found.n_rows == 1500
    assert abs(found.auc - 0.5) < 3 * found.auc.null_standard_error
    assert found.score == 1 - 2 * max(0, found.auc - 0.5)
    assert found.score > 0.9
    assert found.score.degrees_of_freedom == 4


def test_boosted_trees_distinguish_far_distributions():
    far = boosted_two_sample(sampled(13, 400), sampled(12, 400, shift=5.0))
    assert far.score < 0.02
    missing = boosted_two_sample(sampled(15, 400), sampled(14, 400, missing=0.5))
    assert missing.score < 0.2
    data, rng = sampled(16, 1000), np.random.default_rng(2)
    rows = {name: rng.permutation(column) for name, column in data.items()}
    assert boosted_two_sample(data, rows).score < 0.5


@pytest.mark.slow
def test_boosted_trees_take_many_categories_and_seeds():
    rng = np.random.default_rng(3)
    names = np.array([str(i) for i in range(2 * MAX_CATEGORIES)], object)
    rows, data = ({"c": rng.choice(names, 600), "x": rng.normal(size=600)} for _ in "12")
    one, same, other = (boosted_two_sample(data, rows, random_state=seed) for seed in (0, 0, 1))
    assert one.auc == same.auc != other.auc
    assert boosted_two_sample(data, rows, max_rows=100).n_rows == 100


@pytest.mark.slow
def test_null_standard_error_of_boosted_trees():
    found = [boosted_two_sample(sampled(500 + i, 300), sampled(100 + i, 300), random_state=i).auc for i in range(80)]
    assert abs(np.mean(found) - 0.5) < 0.02
    assert 0.7 < np.std(found, ddof=1) / found[0].null_standard_error < 1.2


def test_utility_of_a_category():
    data, test = sampled(17, 1500), sampled(18, 1000, missing=0.02)
    found = utility(data, sampled(19, 1200), test, "y")
    assert (found.target, found.measure, found.n_rows) == ("y", "AUC", 1200)
    assert found.of_rows > 0.75
    assert abs(found.difference) < 4 * found.difference.standard_error
    assert found.difference == found.of_rows - found.of_data
    assert found.difference.standard_error < math.hypot(found.of_rows.standard_error, found.of_data.standard_error)
    shuffled = {**data, "y": np.random.default_rng(4).permutation(data["y"])}
    nothing = utility(data, shuffled, test, "y")
    assert abs(nothing.of_rows - 0.5) < 0.08
    assert nothing.difference < -4 * nothing.difference.standard_error


def test_utility_of_several_classes_and_of_one(monkeypatch):
    data, test = sampled(20, 600), sampled(21, 400)
    # With more rows than this limit, trees hold out rows of each class.
    monkeypatch.setattr(classifiers, "MOST_WITHOUT_STOPPING", 100)
    rare = {**data, "c": np.where(np.arange(600) == 5, "once", data["c"]).astype(object)}
    assert utility(rare, rare, test, "c").of_rows > 0.95
    assert utility(data, data, test, "c").of_rows > 0.95
    constant = {**data, "c": np.full(600, "a", object)}
    assert utility(data, constant, test, "c").of_rows == 0.5


def test_utility_of_more_classes_than_a_tenth_of_the_rows(monkeypatch):
    quick = partial(HistGradientBoostingClassifier, max_iter=1)
    monkeypatch.setattr("sklearn.ensemble.HistGradientBoostingClassifier", quick)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(1300), 8).astype(str).astype(object)
    table = {"x": np.repeat(np.arange(1300.0), 8), "c": labels}
    some = rng.permutation(len(labels))[:60]
    found = utility(table, table, {name: column[some] for name, column in table.items()}, "c", max_rows=10_400)
    assert 0.4 < found.of_rows <= 1


def test_utility_of_a_number():
    data, test = sampled(22, 600), sampled(23, 400)
    found = utility(data, sampled(24, 600), test, "few")
    assert found.measure == "R²"
    assert 0.6 < found.of_rows < 0.9
    assert abs(found.difference) < 4 * found.difference.standard_error


def test_areas_by_scikit_learn_and_their_errors():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(5)
    areas = []
    for _ in range(300):
        truth = rng.random(200) < 0.3
        scores = np.round(rng.normal(size=200) + truth, 1)
        area, influence = _area(scores, truth)
        assert area == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        areas.append((area, influence.std(ddof=1) / math.sqrt(200)))
    values, errors = np.transpose(areas)
    assert np.sqrt(np.mean(errors**2)) / values.std(ddof=1) == pytest.approx(1, abs=0.15)


def test_determination_by_scikit_learn():
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.metrics import r2_score

    rng = np.random.default_rng(6)
    train, test = rng.normal(size=(2, 300, 2))
    with on_one_thread():
        value, influence = _number_utility(train, train.sum(1), test, test.sum(1), np.array([False, False]), 0)
        predicted = HistGradientBoostingRegressor(random_state=0).fit(train, train.sum(1)).predict(test)
    assert value == pytest.approx(r2_score(test.sum(1), predicted), abs=1e-12)
    assert abs(influence.mean()) < 1e-12


def gower(one, two, train):
    """Returns the distance by the definition, cell by cell."""
    total = 0.0
    for name, column in train.items():
        a, b = one[name], two[name]
        if column.dtype == object:
            total += a != b
        elif np.isnan(a) or np.isnan(b):
            total += np.isnan(a) != np.isnan(b)
        else:
            width = np.nanmax(column) - np.nanmin(column)
            total += abs(a - b) / width
    return total


def test_distances_by_the_definition():
    train, rows = sampled(25, 30, missing=0.2), sampled(26, 20, missing=0.2)
    points = points_of(real=train, generated=rows)
    expected = [[gower(take(rows, i), take(train, j), train) for j in range(30)] for i in range(20)]
    assert points[1].distances(points[0]) == pytest.approx(np.array(expected), abs=1e-12)


def test_numbers_far_outside_count_as_half_a_range_outside():
    train, rows = {"x": np.array([0.0, 10.0, np.nan])}, {"x": np.array([1e9, -3.0])}
    points = points_of(real=train, generated=rows)
    assert points[1].distances(points[0]) == pytest.approx(np.array([[1.5, 0.5, 1.0], [0.3, 1.3, 1.0]]))


def test_nearest_by_all_pairs(monkeypatch):
    train, rows = sampled(27, 300, missing=0.1), sampled(28, 100, missing=0.1)
    records, queries = points_of(real=train, generated=rows)
    everything = queries.distances(records)
    monkeypatch.setattr("pointillist.metrics.mixed_tables.TILE_CELLS", 7 * 300)
    distances, indices = queries.nearest(records)
    assert distances == pytest.approx(everything.min(axis=1), abs=1e-12)
    assert everything[np.arange(100), indices] == pytest.approx(distances, abs=1e-12)


def test_rows_of_one_distribution_are_inside():
    inside, fractions = 0, []
    for seed in range(60):
        found = nearest_share(sampled(2000 + seed, 300), sampled(1000 + seed, 200), sampled(3000 + seed, 250))
        inside += found.is_inside
        fractions.append((found.share, found.share.null_standard_error))
        assert (found.n_rows, found.n_records) == (200, 250)
        assert found.interval[0] <= 0.5 - 2.57 * 0.5 / math.sqrt(200)
    values, errors = np.transpose(fractions)
    assert inside >= 57
    assert abs(values.mean() - 0.5) < 4 * values.std(ddof=1) / math.sqrt(60)
    assert np.sqrt(np.mean(errors**2)) / values.std(ddof=1) == pytest.approx(1, abs=0.3)


def test_copies_are_found():
    train, holdout = sampled(29, 300, missing=0.1), sampled(30, 300, missing=0.1)
    exact = nearest_share(train, take(train, slice(0, 200)), holdout)
    assert exact.share > 0.98
    assert not exact.is_inside
    noisy = {**train, "x": train["x"] + 1e-4}
    found = nearest_share(train, noisy, holdout)
    assert found.share > 0.95


def test_ties_count_half():
    letters = {"c": np.array(["a", "b", "a", "b"], object), "x": np.array([0.0, 1.0, -0.0, np.nan])}
    found = nearest_share(letters, letters, letters)
    assert found.share == 0.5


def test_manifold_by_the_definition():
    rows, data = sampled(31, 90, shift=0.5, missing=0.1), sampled(32, 90, missing=0.1)
    found = manifold_scores(data, rows, k=3)
    records, some = points_of(real=data, generated=rows)
    within, across = records.distances(records), some.distances(records)
    radii = np.sort(within, axis=1)[:, 3] * (1 + 1e-12)
    assert found.n_rows == 90
    assert found.precision == np.mean([(row <= radii).any() for row in across])
    assert found.coverage == np.mean([(across[:, j] <= radii[j]).any() for j in range(90)])


def test_coverage_of_numeric_tables_has_the_expected_value():
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(40):
        rows, data = ({"x": rng.normal(size=100), "y": rng.normal(size=100)} for _ in "12")
        found = manifold_scores(data, rows)
        covered.append((found.coverage, found.coverage.standard_error))
    values, errors = np.transpose(covered)
    expected = 1 - hypergeom.pmf(0, 199, 100, 5)  # Naeem et al. 2020, lemma 2
    assert abs(values.mean() - expected) < 4 * values.std(ddof=1) / math.sqrt(40)
    assert 0.6 < np.sqrt(np.mean(errors**2)) / values.std(ddof=1) < 1.6


def test_manifold_of_far_and_bunched_rows():
    data = sampled(33, 300)
    far = {**sampled(34, 300), "x": np.full(300, 9.0), "c": np.full(300, "new", object)}
    assert manifold_scores(data, far).precision < 0.1
    bunched = take(data, np.zeros(300, int))
    found = manifold_scores(data, bunched)
    assert found.precision == 1
    assert found.coverage < 0.1
    assert math.isnan(manifold_scores(data, take(data, slice(8))).coverage.standard_error)


def test_embedding_scales_complete_columns_to_unit_range():
    data = {"x": np.array([0.0, 1.0, 4.0]), "y": np.array([1.0, 1.0, 1.0])}
    (points,) = points_of(real=data)
    assert points.numbers.tolist() == [[0, 0], [0.25, 0], [1, 0]]
    assert points.distances(points) == pytest.approx(cdist(points.numbers, points.numbers, "cityblock"))


def test_measures_accept_data_frames_and_arrays_with_missing_cells():
    real, generated = sampled(36, 300, missing=0.1), sampled(37, 200, shift=0.5, missing=0.1)
    frames = pd.DataFrame(real), pd.DataFrame(generated)
    for measure in (column_shapes, pair_trends, manifold_scores, boosted_two_sample, column_differences):
        assert measure(frames[0], pa.Table.from_pandas(frames[1])) == measure(real, generated)
    assert utility(*frames, frames[0], "y") == utility(real, generated, real, "y")
    numbers = [{str(j): table[name] for j, name in enumerate(("x", "few"))} for table in (real, generated)]
    arrays = [np.stack([*table.values()], axis=1) for table in numbers]
    assert column_shapes(*arrays) == column_shapes(*numbers)
    assert manifold_scores(*arrays) == manifold_scores(*numbers)


def test_errors():
    table = sampled(35, 20)
    without = {name: column for name, column in table.items() if name != "c"}
    for rows, message in [
        (without, r"^rows has no column 'c', which data has: pass the same columns$"),
        ({**table, "new": table["x"]}, r"^data has no column 'new', which rows has: "),
        ({**table, "c": table["x"]}, r"^column 'c' holds numbers in rows but categories in data: "),
        ({**table, "x": table["c"]}, r"^column 'x' holds categories in rows but numbers in data: "),
        ({**table, "x": np.arange(20)}, r"^column 'x' of rows is int64: pass float64 for numbers and object for "),
        ({**table, "few": np.arange(19.0)}, r"^column 'few' of rows has shape \(19,\): "),
        ({**table, "few": np.zeros((20, 1))}, r"^column 'few' of rows has shape \(20, 1\): "),
        ({**table, "x": np.full(20, np.inf)}, r"^column 'x' of rows holds np.float64\(inf\) in row 0: "),
        ({**table, "c": np.full(20, 1.5, object)}, r"^column 'c' of rows holds 1.5 in row 0: pass str for "),
        ({}, r"^rows has no columns: pass at least one$"),
        (take(table, slice(1)), r"^rows has 1 row\(s\) but needs at least 2: pass more rows$"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_tables(data=table, rows=rows)
        with pytest.raises(ValueError):
            pair_trends(table, rows)
    with pytest.raises(ValueError, match=r"^n_splits=5 must be at least 2 and at most \d, the number of rows per side"):
        boosted_two_sample(table, take(table, slice(4)))
    with pytest.raises(ValueError, match=r"^k=5 must be at least 1 and below \d, the number of rows per side"):
        manifold_scores(table, take(table, slice(5)))
    for target, rows, test, message in [
        ("z", table, table, r"^target='z' is not a column of real: use one of 'x', 'few', 'c', 'e', 'y'$"),
        ("y", {**table, "y": np.full(20, None, object)}, table, r"^target='y' is missing in all of generated: "),
        ("y", table, {**table, "y": np.full(20, "no", object)}, r"^target='y' has fewer than two values in holdout: "),
    ]:
        with pytest.raises(ValueError, match=message):
            utility(table, rows, test, target)
    alone = {"y": table["y"]}
    with pytest.raises(ValueError, match=r"^target='y' is the only column: "):
        utility(alone, alone, alone, "y")
