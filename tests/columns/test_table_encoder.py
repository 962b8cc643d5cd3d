"""Columns as tokens and back."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import ndtri
from scipy.stats import ks_2samp, kstest

from pointillist.columns.dependence import explained
from pointillist.columns.kinds import fit_encoder
from pointillist.columns.normal_scores import NormalScores
from pointillist.columns.table_encoder import TableEncoder
from pointillist.tables.table import Column, Table, to_arrow

RNG = np.random.default_rng(0)


def numbers(values):
    values = np.asarray(values, float)
    missing = np.isnan(values)
    return Column(np.where(missing, 0, values), missing)


def round_trip(code, cells):
    return code.decode(*code.encode(cells))


def test_discrete_values_are_exact_and_no_others_are_drawn():
    values = RNG.choice([1.0, 2.5, 7.0], 200)
    code = fit_encoder("a", numbers(values))
    assert code.size == 3 and code.scores is None
    found = round_trip(code, numbers(values))
    np.testing.assert_array_equal(found.values, values)
    assert not found.is_missing.any()


def test_missing_cells_are_a_separate_value():
    values = np.where(RNG.random(500) < 0.2, np.nan, RNG.normal(size=500))
    code = fit_encoder("a", numbers(values))
    found = round_trip(code, numbers(values))
    np.testing.assert_array_equal(found.is_missing, np.isnan(values))
    assert np.isfinite(found.values[~found.is_missing]).all()


@pytest.mark.parametrize("n", [60, 1000, 20_000])
def test_scores_are_normal_and_decode_to_the_distribution_of_the_column(n):
    values = RNG.lognormal(size=n)
    code = fit_encoder("a", numbers(values))
    tokens, scores = code.encode(numbers(values))
    scores = scores[:, 0]
    assert code.size == 1 and not tokens.any()
    order = np.argsort(values)
    assert (np.diff(scores[order]) > 0).all()
    # Scores are coarse beyond the second-outermost knots.
    fractions = (np.arange(n) + 0.5) / n
    inner = (fractions > 0.002) & (fractions < 0.998)
    np.testing.assert_allclose(scores[order][inner], ndtri(fractions[inner]), atol=0.2 if n == 60 else 0.05)
    found = code.decode(tokens, RNG.standard_normal((n, 1))).values
    assert found.min() >= values.min() and found.max() <= values.max()
    assert ks_2samp(found, values).pvalue > 1e-3
    np.testing.assert_allclose(round_trip(code, numbers(values)).values, values, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("step", [1.0, 0.01])
def test_a_discrete_column_keeps_its_values_and_their_frequencies(step):
    values = step * np.round(RNG.normal(0, 100, 20_000))
    code = fit_encoder("a", numbers(values))
    assert code.scores.is_discrete and not len(code.atoms)
    tokens, scores = code.encode(numbers(values), RNG.random(20_000))
    assert kstest(scores[:, 0], "norm").pvalue > 1e-3
    np.testing.assert_array_equal(code.decode(tokens, scores).values, values)
    found = code.decode(tokens, RNG.standard_normal((20_000, 1))).values
    assert set(found) <= set(values)
    fractions = [np.mean(side == 0) for side in (found, values)]
    assert abs(fractions[0] - fractions[1]) < 4 * np.sqrt(2 * 0.004 / 20_000)


def test_levels_and_edges_go_from_0_to_1():
    for seed in range(50):
        values = np.random.default_rng(seed).integers(0, 40 + seed, 500).astype(float)
        scores = NormalScores.fit(values, 1.0, 64)
        scores.check()
        assert scores.levels[0] == 0 and scores.levels[-1] == 1 and np.isin(scores.edges, scores.levels).all()


def test_a_frequent_value_keeps_its_frequency_and_value():
    values = np.where(RNG.random(5000) < 0.4, 0.0, RNG.normal(10, 1, 5000))
    code = fit_encoder("a", numbers(values))
    assert code.atoms.tolist() == [0.0]
    found = round_trip(code, numbers(values)).values
    np.testing.assert_array_equal(found == 0, values == 0)
    assert found[found != 0].min() > 5


def test_integers_and_decimals_keep_their_digits():
    for decimals in (0, 2):
        values = np.round(RNG.normal(0, 1000, 3000), decimals)
        code = fit_encoder("a", numbers(values))
        assert code.grid.decimals == decimals
        found = code.decode(np.zeros(3000), RNG.standard_normal((3000, 1))).values
        np.testing.assert_array_equal(found, np.round(found, decimals))


def test_numbers_beyond_the_range_become_the_nearest_end():
    code = fit_encoder("a", numbers(RNG.choice([1.0, 2.0, 4.0], 100)))
    found = round_trip(code, numbers([-5, 2.9, 3.1, 99])).values
    assert found.tolist() == [1, 2, 4, 4]
    values = RNG.uniform(0, 1, 4000)
    wide = fit_encoder("a", numbers(values))
    assert round_trip(wide, numbers([-1, 2])).values.tolist() == [values.min(), values.max()]


def test_constants_single_rows_and_huge_numbers_are_encoded():
    for values in ([3.0] * 20, [np.nan] * 19 + [1.5], [1e300, -1e300, 1.0, 2.0], [1e-300, 2e-300, 0.0]):
        code = fit_encoder("a", numbers(values))
        found = round_trip(code, numbers(values))
        assert np.isfinite(found.values[~found.is_missing]).all()
        assert code.n_values >= 1


def test_an_unknown_category_is_named():
    code = fit_encoder("kind", Column(np.array([0, 1, 0]), np.zeros(3, bool), ("a", "b")))
    with pytest.raises(ValueError, match=r"column 'kind' has no 'c' in the training rows, which have 'a', 'b'"):
        code.encode(Column(np.array([0]), np.zeros(1, bool), ("c",)))


def test_an_unknown_number_that_is_a_category_is_named():
    nominal = replace(fit_encoder("code", numbers([101, 205, 999] * 9), is_category=True), is_nominal=True)
    with pytest.raises(ValueError, match=r"column 'code' has no 7 in the training rows, which have 101, 205, 999$"):
        nominal.encode(numbers([205, np.nan, 7]))
    assert nominal.encode(numbers([205, 999]))[0].tolist() == [1, 2]


def test_a_table_is_restored():
    n = 2000
    frame = pa.table(
        {
            "city": pa.array(RNG.choice(["Köln", "Bern", ""], n)),
            "size": pa.array(RNG.choice(["s", "m", "l"], n)).dictionary_encode(),
            "ok": pa.array(RNG.random(n) < 0.3),
            "when": pa.array(RNG.integers(0, 300, n).astype("int32"), pa.date32()),
            "count": pa.array(np.where(RNG.random(n) < 0.1, None, RNG.integers(0, 9, n))),
        }
    )
    table = Table(frame)
    encoding = TableEncoder.fit(table)
    back = to_arrow(encoding.decode(encoding.encode(table.cells)), frame.schema)
    for name in ("city", "ok", "count", "when"):
        assert back[name].to_pylist() == frame[name].to_pylist()
    assert back["size"].to_pylist() == frame["size"].to_pylist()
    spread = encoding.encode(table.cells, dequantize=True)
    assert to_arrow(encoding.decode(spread), frame.schema) == back
    np.testing.assert_array_equal(spread, encoding.encode(table.cells, dequantize=True))


def test_explained_columns_are_numbers_and_other_discrete_ones_tokens():
    n = 4000
    day = RNG.integers(0, 100, n)
    columns = {"day": day, "warm": np.round(day / 2 + RNG.normal(0, 3, n)), "dice": RNG.integers(0, 60, n)}
    columns["kind"] = RNG.choice(["a", "b"], n)
    fractions = explained(Table(pa.table(columns)).cells)
    assert fractions[0] > 0.8 and fractions[1] > 0.8 and abs(fractions[2]) < 0.05 and fractions[3] == 0
    # No continuous columns are related.
    encoding = TableEncoder.fit(Table(pa.table(columns)))
    assert encoding.with_number == () and encoding.sizes[2:] == (60, 2) and encoding.width == 4
    columns |= {name: day + RNG.normal(0, 9, n) for name in ("wet", "bright")}
    encoding = TableEncoder.fit(Table(pa.table(columns)))
    assert encoding.with_number == (0, 1, 4, 5) and encoding.sizes == (1, 1, 60, 2, 1, 1) and encoding.width == 10


def test_sparse_columns_do_not_hide_relations_of_the_others():
    rng = np.random.default_rng(0)
    nine = rng.normal(size=(4000, 9))
    sparse = np.where(rng.random(4000) < 0.02, rng.normal(size=4000), np.nan)
    exclusive = np.where((np.arange(4000) % 2 == [[0], [1]]), rng.normal(size=(2, 4000)), np.nan)
    rows = [*nine.T, nine.sum(axis=1) + 0.3 * rng.normal(size=4000)]
    for more in ([], [sparse], exclusive):
        columns = {str(i): pa.array(x, from_pandas=True) for i, x in enumerate([*rows, *more])}
        fractions = explained(Table(pa.table(columns)).cells)
        assert (fractions[:10] > 0.8).all() and (abs(fractions[10:]) < 0.1).all()
        assert len(TableEncoder.fit(Table(pa.table(columns))).with_number) == 10


@pytest.mark.parametrize("shift", [0.0, 10.0])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.8])
def test_missing_cells_explain_nothing_and_hide_little(fraction, shift):
    rng = np.random.default_rng(0)

    def fractions(rows):
        rows = np.where(rng.random(rows.shape) < fraction, np.nan, rows + shift)
        return explained(Table(pa.table({str(i): pa.array(x, from_pandas=True) for i, x in enumerate(rows.T)})).cells)

    # Tables with fewer and fewer rows in which both of two columns are observed.
    for n, d in ((300, 20), (1000, 10), (100, 40), (4000, 30)):
        assert np.median(fractions(rng.normal(size=(n, d)))) < 0.3, (n, d)
    # With p = 9 features, the adjusted fraction has a standard error of about (2 p) ** 0.5 / n; n rows have both cells.
    n = 4000 * (1 - fraction) ** 2
    assert abs(fractions(rng.normal(size=(4000, 3)))).max() < 4 * 18**0.5 / n
    normal = rng.multivariate_normal(np.zeros(2), [[1, 0.9], [0.9, 1]], 4000)
    # 0.02: the rank's distance from the middle explains a little more by chance, and the smaller residual counts.
    np.testing.assert_allclose(fractions(normal), 0.81, atol=0.02 + 4 * 2 * 0.9 * 0.19 / n**0.5)


def test_in_small_tables_partly_explained_columns_are_numbers():
    """A regression explains half of `warm` and of `day`."""
    rng = np.random.default_rng(1)
    n = 1500
    day = rng.integers(0, 60, n)
    warm = np.round(day / 2 + rng.normal(0, 8, n))
    exact = warm + rng.normal(0, 0.01, n)
    others = {"kind": rng.choice(["a", "b"], n), "dice": rng.integers(0, 6, n), "noise": rng.normal(size=n)}

    def found(columns, times=1):
        table = Table(pa.table({name: np.tile(values, times) for name, values in (columns | others).items()}))
        encoding = TableEncoder.fit(table)
        return [encoding.columns[i].name for i in encoding.with_number], encoding.with_intervals

    # Each of 60 values has 25 rows: a single column of them keeps its tokens.
    assert found({"day": day, "warm": warm}) == (["day", "warm"], (4,))
    assert found({"warm": warm, "is_late": day > 30}) == ([], (4,))
    # A column that is different in nearly every row would get intervals.
    assert found({"is_late": day > 30, "warm": exact}) == (["warm"], (4,))
    # A larger table needs more than 60 %.
    assert found({"day": day, "warm": exact}, 2)[0] == []


def test_spikes_are_tokens_and_dense_values_are_not():
    n = 20_000
    dense = np.round(RNG.normal(0, 8, n))
    spiky = np.where(RNG.random(n) < 0.3, 2000.0, np.round(RNG.normal(0, 4000, n)))
    codes = [fit_encoder("a", numbers(values)) for values in (dense, spiky)]
    assert [code.atoms.tolist() for code in codes] == [[], [2000.0]]


def test_values_that_repeat_by_chance_are_not_spikes():
    columns = [np.round(RNG.normal(13, 0.8, 150), 2) for _ in range(200)]
    found = [fit_encoder("a", numbers(values)).atoms.tolist() for values in columns]
    # Two are expected at most, give or take three standard errors.
    assert sum(map(bool, found)) <= 6
    for values in columns[:20]:
        values[:20] = 15.0
    assert all(15.0 in fit_encoder("a", numbers(values)).atoms for values in columns[:20])


def test_a_column_of_mostly_numbers_with_some_text_is_text():
    """Covers codes of diseases and a column in which a word marks missing cells."""
    codes = [*(f"{RNG.integers(1, 999)}" for _ in range(300)), "250.83", "V57", "E909"]
    columns = {"code": np.repeat(codes, 4), "age": np.append(np.tile(np.arange(101).astype(str), 12)[1:], "?")}
    found = TableEncoder.fit(Table(pa.table(columns))).columns
    assert [set(code.categories) for code in found] == [set(values) for values in columns.values()]


def test_unusable_columns_are_named():
    names = pa.table({"id": [f"x{i}" for i in range(200)], "a": RNG.normal(size=200)})
    with pytest.raises(ValueError, match=r"column 'id' has 200 different categories in 200 rows, too many to learn"):
        TableEncoder.fit(Table(names))
    almost = pa.table({"a": [*map(str, range(30)), "12 cm"]})
    with pytest.raises(ValueError, match=r"column 'a' holds numbers except for '12 cm'"):
        TableEncoder.fit(Table(almost))
    assert TableEncoder.fit(Table(almost), ["a"]).sizes == (31,)
    assert TableEncoder.fit(Table(pa.concat_tables([almost] * 4))).sizes == (31,)
    nothing = pa.table({"a": pa.array([None, None], pa.string()), "b": ["x", "y"]})
    with pytest.raises(ValueError, match="column 'a' has no value at all: drop it"):
        TableEncoder.fit(Table(nothing))
    with pytest.raises(ValueError, match="every column is constant"):
        TableEncoder.fit(Table(pa.table({"a": ["x", "x"]})))
    with pytest.raises(ValueError, match=r"column 'a' holds list<.*>, which is not a number, category or date"):
        TableEncoder.fit(Table(pa.table({"a": [[1], [2]]})))
    with pytest.raises(ValueError, match="categorical names column 'b', which the table lacks: its columns are a"):
        TableEncoder.fit(Table(pa.table({"a": ["x", "y"]})), categorical=["b"])


def test_unexplained_numbers_have_intervals_and_positions_in_them():
    n = 4000
    spiky = np.where(RNG.random(n) < 0.2, 0.0, RNG.lognormal(size=n))
    columns = {"a": spiky, "b": np.round(RNG.normal(0, 1e4, n)), "c": RNG.choice(["x", "y"], n)}
    table = Table(pa.table(columns))
    encoding = TableEncoder.fit(table)
    assert encoding.with_intervals == (0, 1) and not encoding.with_number and encoding.sizes == (65, 64, 2)
    rows = encoding.encode(table.cells)
    fractions = np.bincount(rows[:, 1].astype(int)) / n
    np.testing.assert_allclose(fractions, 1 / 64, atol=4 / n)
    back = [cells.values for cells in encoding.decode(rows)]
    # A column has 1,000 knots: positions of the outermost rows of an interval are clipped.
    np.testing.assert_allclose(back[0], spiky, rtol=1e-5)
    np.testing.assert_array_equal(back[1], columns["b"])
    assert np.all(np.diff(encoding.columns[0].ranks) != 0)
    drawn = np.floor(rows) + np.array([1, 1, 0]) * RNG.random((n, 3)) * (1 - 2**-12)
    found = encoding.decode(drawn)[1].values
    assert ks_2samp(found, columns["b"], method="asymp").pvalue > 1e-3


def test_points_on_a_circle_explain_each_other():
    angle = RNG.uniform(0, 2 * np.pi, 4000)
    columns = [numbers(side + RNG.normal(0, 0.05, 4000)) for side in (np.cos(angle), np.sin(angle), RNG.random(4000))]
    fractions = explained(columns)
    assert fractions[0] > 0.8 and fractions[1] > 0.8 and abs(fractions[2]) < 0.05


def test_columns_of_a_few_rows_explain_each_other():
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(60, 30)), axis=1) + 10 * rng.normal(size=(60, 1))
    columns = [numbers(side) for side in (*walk.T, *rng.normal(size=(10, 60)))]
    fractions = explained(columns)
    # The largest of 240 squared correlations of independent columns of 60 rows is about 0.2.
    assert fractions[:30].min() > 0.8 and fractions[30:].max() < 0.3


def test_numbers_of_wide_tables_explain_each_other_too():
    rng = np.random.default_rng(0)
    sides = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 200)) + 0.1 * rng.normal(size=(300, 200))
    columns = {f"x{j}": side for j, side in enumerate(sides.T)} | {"kind": rng.choice(["a", "b"], 300)}
    encoding = TableEncoder.fit(Table(pa.table(columns)))
    assert len(encoding.with_number) > 190 and not encoding.with_intervals


def test_the_ends_of_a_column_are_drawn_as_often_as_expected():
    for values in (RNG.lognormal(size=20_000), np.round(RNG.normal(0, 100, 20_000))):
        code = fit_encoder("a", numbers(values))
        found = code.decode(np.zeros(1_000_000), RNG.standard_normal((1_000_000, 1))).values
        for end in (values.min(), values.max()):
            expected = 1e6 * max(3 / 20_000, np.mean(values == end))
            assert abs((found == end).sum() - expected) < 4 * np.sqrt(expected)
