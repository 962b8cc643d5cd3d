"""Columns as tokens and back."""

import numpy as np
import pyarrow as pa
import pytest

from pointillist.points.encoding import PLACES, ColumnCode, TableEncoding
from pointillist.points.mixed import Cells, MixedTable, to_arrow

RNG = np.random.default_rng(0)


def numbers(values):
    values = np.asarray(values, float)
    missing = np.isnan(values)
    return Cells(np.where(missing, 0, values), missing)


def round_trip(code, cells, rest=0.5):
    return code.decode(code.encode(cells) + rest)


def test_few_values_come_back_exactly_and_no_other_is_made():
    values = RNG.choice([1.0, 2.5, 7.0], 200)
    code = ColumnCode.fit("a", numbers(values))
    assert code.sizes == (3,)
    found, missing = round_trip(code, numbers(values))
    np.testing.assert_array_equal(found, values)
    assert not missing.any()


def test_missing_cells_are_a_value_of_their_own():
    values = np.where(RNG.random(500) < 0.2, np.nan, RNG.normal(size=500))
    code = ColumnCode.fit("a", numbers(values))
    found, missing = round_trip(code, numbers(values))
    np.testing.assert_array_equal(missing, np.isnan(values))
    assert np.isfinite(found[~missing]).all()


@pytest.mark.parametrize("n", [60, 1000, 20_000])
def test_numbers_come_back_within_their_interval(n):
    """Every tokens' cells have the law of the values: uniform places give the column's distribution back."""
    values = RNG.lognormal(size=n)
    code = ColumnCode.fit("a", numbers(values))
    tokens = code.encode(numbers(values))
    assert (tokens[:, 0] < code.sizes[0]).all() and code.has_places == (n == 20_000)
    assert len(code.sizes) == 1 or (tokens[:, 1] < PLACES).all()
    found, _ = code.decode(tokens + RNG.random(tokens.shape) * 0.999)
    assert found.min() >= values.min() and found.max() <= values.max()
    shares = (np.argsort(np.argsort(values)) + 0.5) / n
    back = np.searchsorted(np.sort(values), found) / n
    assert np.abs(back - shares).max() <= 1.5 / len(code.knots)
    if code.has_places:
        assert np.quantile(np.abs(back - shares), 0.99) < 2 / (len(code.knots) * PLACES)


def test_a_value_that_many_rows_share_keeps_its_share_and_its_value():
    values = np.where(RNG.random(5000) < 0.4, 0.0, RNG.normal(10, 1, 5000))
    code = ColumnCode.fit("a", numbers(values))
    assert code.atoms.tolist() == [0.0]
    found, _ = round_trip(code, numbers(values))
    np.testing.assert_array_equal(found == 0, values == 0)
    assert found[found != 0].min() > 5


def test_whole_numbers_and_decimals_stay_what_they_are():
    for decimals in (0, 2):
        values = np.round(RNG.normal(0, 1000, 3000), decimals)
        code = ColumnCode.fit("a", numbers(values))
        assert code.decimals == decimals
        found, _ = code.decode(code.encode(numbers(values)) + RNG.random((3000, len(code.sizes))) * 0.999)
        np.testing.assert_array_equal(found, np.round(found, decimals))


def test_numbers_beyond_the_known_ones_become_the_nearest():
    code = ColumnCode.fit("a", numbers(RNG.choice([1.0, 2.0, 4.0], 100)))
    found, _ = round_trip(code, numbers([-5, 2.9, 3.1, 99]))
    assert found.tolist() == [1, 2, 4, 4]
    wide = ColumnCode.fit("a", numbers(RNG.uniform(0, 1, 4000)))
    assert wide.encode(numbers([-1, 2]))[:, 0].tolist() == [0, wide.sizes[0] - 1]


def test_a_constant_a_single_row_of_values_and_huge_numbers():
    for values in ([3.0] * 20, [np.nan] * 19 + [1.5], [1e300, -1e300, 1.0, 2.0], [1e-300, 2e-300, 0.0]):
        code = ColumnCode.fit("a", numbers(values))
        found, missing = round_trip(code, numbers(values))
        assert np.isfinite(found[~missing]).all()
        assert code.n_values >= 1


def test_an_unknown_category_is_named():
    code = ColumnCode.fit("kind", Cells(np.array([0, 1, 0]), np.zeros(3, bool), ("a", "b")))
    with pytest.raises(ValueError, match=r"column 'kind' has no 'c' in the training rows, which have 'a', 'b'"):
        code.encode(Cells(np.array([0]), np.zeros(1, bool), ("c",)))


def test_a_table_comes_back_but_for_the_places_of_numbers():
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
    table = MixedTable(frame)
    encoding = TableEncoding.fit(table)
    back = to_arrow(encoding.decode(encoding.encode(table) + 0.5), frame.schema)
    for name in ("city", "ok", "count"):
        assert back[name].to_pylist() == frame[name].to_pylist()
    assert back["size"].to_pylist() == frame["size"].to_pylist()
    days = [(a - b).days for a, b in zip(back["when"].to_pylist(), frame["when"].to_pylist(), strict=True)]
    assert np.abs(days).max() <= 10
    assert encoding.starts == tuple(np.cumsum([0, *(len(code.sizes) for code in encoding.columns)])[:-1].tolist())


def test_columns_that_are_no_use_are_named():
    names = pa.table({"id": [f"x{i}" for i in range(200)], "a": RNG.normal(size=200)})
    with pytest.raises(ValueError, match=r"column 'id' has 200 different categories in 200 rows, too many to learn"):
        TableEncoding.fit(MixedTable(names))
    almost = pa.table({"a": [*map(str, range(30)), "12 cm"]})
    with pytest.raises(ValueError, match=r"column 'a' holds numbers except for '12 cm'"):
        TableEncoding.fit(MixedTable(almost))
    nothing = pa.table({"a": pa.array([None, None], pa.string()), "b": ["x", "y"]})
    with pytest.raises(ValueError, match="column 'a' has no value at all: drop it"):
        TableEncoding.fit(MixedTable(nothing))
    with pytest.raises(ValueError, match="every column is constant"):
        TableEncoding.fit(MixedTable(pa.table({"a": ["x", "x"]})))
    with pytest.raises(ValueError, match=r"column 'a' holds list<.*>, which is not a number, category or date"):
        TableEncoding.fit(MixedTable(pa.table({"a": [[1], [2]]})))
    with pytest.raises(ValueError, match="there is no column 'b' to be categorical: the columns are a"):
        TableEncoding.fit(MixedTable(pa.table({"a": ["x", "y"]})), categorical=["b"])
