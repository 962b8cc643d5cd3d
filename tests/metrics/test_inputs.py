"""Checks that compared tables get columns of the same kinds from any file or container."""

import numpy as np
import pandas
import pyarrow as pa
import pytest

from pointillist.evaluation import draw_evaluation
from pointillist.evaluation.scores import measure_numbers
from pointillist.metrics import pair_trends
from pointillist.metrics.inputs import as_columns, columns_of
from pointillist.tables.numbers import LabelColumn, Numbers
from pointillist.tables.table import Table

N = 60


def table(**columns):
    return Table(pa.table(columns))


def test_constant_booleans_keep_their_value():
    data, rows = table(x=np.arange(3.0), ok=[False] * 3), table(x=np.arange(3.0), ok=[True] * 3)
    found = as_columns({"data": data, "rows": rows})
    assert found["data"]["ok"].tolist() == [0, 0, 0] and found["rows"]["ok"].tolist() == [1, 1, 1]
    assert table(x=[1.0, 2.0], ok=[True, True]).numbers.rows.tolist() == [[1, 1], [2, 1]]


def test_labels_are_columns_at_their_position():
    rows = np.arange(6.0).reshape(3, 2)
    labeled = Table(Numbers(rows, None, ("float64", "float64"), LabelColumn("0", 0, np.array([1, 0, 1]))))
    found = as_columns({"data": labeled, "rows": labeled})["data"]
    assert {name: column.tolist() for name, column in found.items()} == {
        "0": [1, 0, 1],
        "1": [0, 2, 4],
        "2": [1, 3, 5],
    }


def test_durations_of_a_csv_file_keep_their_unit():
    ns = np.arange(N) * 1_500_000
    data, rows = table(took=pa.array(ns, pa.duration("ns"))), table(took=ns)
    found = as_columns({"data": data, "rows": rows})
    np.testing.assert_array_equal(found["data"]["took"], found["rows"]["took"])
    with pytest.raises(ValueError, match="column 'took' of rows holds numbers"):
        as_columns({"data": table(took=pa.array(ns, pa.timestamp("us"))), "rows": rows})


def test_an_empty_column_has_the_kind_of_the_other_table(tmp_path):
    data = table(x=np.linspace(0, 1, N), c=["a", "b"] * (N // 2))
    rows = table(x=pa.array([None] * N, pa.string()), c=["a", "b"] * (N // 2))
    found = as_columns({"data": data, "rows": rows})
    assert np.isnan(found["rows"]["x"]).all()
    for sides in (found.values(), reversed(found.values())):
        draw_evaluation(*sides, tmp_path / "new.png")


def test_large_constants_do_not_hide_differences():
    rng = np.random.default_rng(0)
    data, rows = (np.column_stack([rng.normal(size=(600, 9)), np.full(600, 1.7e9)]) for _ in range(2))
    rows[:50] = data[:50]
    tables = [{str(j): column for j, column in enumerate(side.T)} for side in (data, rows)]
    found = measure_numbers(*tables, 0)
    without = measure_numbers(*({name: each[name] for name in "012345678"} for each in tables), 0)
    assert float(found.nearest.share_closer) == pytest.approx(float(without.nearest.share_closer))
    moment = {"x": rng.normal(size=N), "at": np.full(N, 1.704e15), "then": 1.704e15 + rng.integers(0, 2, N)}
    assert pair_trends(moment, moment).mean == pytest.approx(1)


def test_low_precision_numbers_equal_their_decimal_text():
    for digits in (1, 12):
        rows = np.round(np.random.default_rng(0).normal(size=(40, 2)), digits)
        for kind in ("float16", "float32"):
            narrow = rows.astype(kind)
            frames = [pandas.DataFrame(each, columns=["0", "1"]) for each in (narrow, narrow.astype(float))]
            for other in (rows, narrow.astype(float), *frames):
                for sides in ((narrow, other), (other, narrow)):
                    data, found = columns_of(dict(zip(("data", "rows"), sides, strict=True))).values()
                    for name in ("0", "1"):
                        np.testing.assert_array_equal(data[name], found[name])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pandas.DataFrame({1: [1.0, 2.0], "1": [1.0, 2.0]}), "data has two columns whose names read '1': rename one"),
        (pandas.DataFrame(index=range(20)), "data has no columns: give at least one"),
        (np.array([[2**60 + 1], [3]]), r"data holds integers beyond 2\*\*53"),
    ],
)
def test_tables_of_different_kinds_are_refused(table, message):
    with pytest.raises(ValueError, match=message):
        columns_of({"data": table, "rows": table})
