"""Columns that are left out of a fit: names, keys, and columns without a value."""

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from pointillist.evaluation.sides import columns_of
from pointillist.models.fitting import prepare
from pointillist.models.hyperparameters import Hyperparameters
from pointillist.points import MixedTable
from pointillist.points.keys import few_words, stray_words, without_keys
from pointillist.points.layout import Layout

N = 120
COLUMNS = {
    "kind": ["a", "b", "c"] * 40,
    "key": [f"k{i}" for i in range(N)],
    "x": np.arange(float(N)),
    "empty": pa.nulls(N, pa.string()).to_pylist(),
}
REASONS = ["column 'key' has 120 different values in 120 rows, too many to learn", "column 'empty' has no value at all"]
CONTAINERS = {
    "pandas": pandas.DataFrame,
    "categories of pandas": lambda columns: pandas.DataFrame(columns).astype({"key": "category"}),
    "objects of pandas": lambda columns: pandas.DataFrame(columns).astype({"key": "object", "empty": "object"}),
    "polars": polars.DataFrame,
    "categories of polars": lambda columns: polars.DataFrame(columns, schema_overrides={"key": polars.Categorical}),
    "arrow": pa.table,
    "views of arrow": lambda columns: pa.table({**columns, "key": pa.array(columns["key"]).cast(pa.string_view())}),
    "dictionaries": lambda columns: pa.table({**columns, "key": pa.array(columns["key"]).dictionary_encode()}),
    "a file": lambda columns: MixedTable(pa.table(columns)),
}


def names(X):
    return list(X.names if isinstance(X, MixedTable) else X.column_names if isinstance(X, pa.Table) else X.columns)


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_keys_and_empty_columns_are_left_out(make):
    X = make(COLUMNS)
    left, reasons = without_keys(X)
    assert type(left) is type(X) and names(left) == ["kind", "x"] and reasons == REASONS
    left, reasons = without_keys(X, ["key"])
    assert names(left) == ["kind", "key", "x"] and reasons == REASONS[1:]
    assert without_keys(X, ["key", "empty"])[0] is X


def test_words_among_numbers_and_codes():
    numbers = [str(i) for i in range(60)]
    assert stray_words([*numbers, "tall"]) == ["tall"] and stray_words([*numbers, "1,70", "5.1"]) == ["1,70"]
    assert few_words([*numbers, "207a", "V57.1"]) == ["207a", "V57.1"] and few_words([*numbers[:1], "tall"]) == []
    assert stray_words([*numbers, "207a", "250.83", "V57.1"]) == [] != stray_words([*numbers, "207a", "tall"])
    frame = pandas.DataFrame({"x": np.arange(61), "code": [*numbers, "207a"]})
    assert without_keys(frame)[1] == ["column 'code' has 61 different values in 61 rows, too many to learn"]


def test_what_a_dictionary_lists_is_no_value():
    unused = pandas.Categorical(["a", "b", "c"] * 40, categories=[*"abc", *map(str, range(500))])
    frame = pandas.DataFrame({"kind": unused, "x": np.arange(N)})
    assert without_keys(frame)[0] is frame


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, pa.table])
def test_long_integers_are_keys_if_nearly_every_row_has_its_own(make):
    long = {"id": np.arange(N) + 2**60, "codes": [2**60, 2**61, 2**62] * 40, "x": np.arange(N)}
    left, reasons = without_keys(make(long))
    assert names(left) == ["codes", "x"] and reasons == ["column 'id' has 120 different integers beyond 2**53"]
    assert names(without_keys(make(long), ["id"])[0]) == ["id", "codes", "x"]


def test_other_columns_stay():
    kept = {
        "numbers": np.arange(N),
        "dates": pandas.date_range("2024-01-01", periods=N),
        "few words": [*map(str, range(N - 1)), "many"],
        "half": [f"k{i % (N // 2)}" for i in range(N)],
        "fifty": [f"k{min(i, 49)}" for i in range(N)],
    }
    frame = pandas.DataFrame(kept)
    assert without_keys(frame)[0] is frame
    # What nothing would be left of, and what has no names, is refused where columns are encoded.
    keys = pandas.DataFrame({"key": COLUMNS["key"]})
    array = np.array([COLUMNS["key"], COLUMNS["kind"]], object).T
    assert without_keys(keys)[0] is keys and without_keys(array)[0] is array
    labelled = MixedTable(pa.table(COLUMNS), "key")
    assert names(without_keys(labelled)[0]) == ["kind", "key", "x"]


def test_names_of_any_kind_stay():
    frame = pandas.DataFrame({("a", 1): COLUMNS["key"], ("a", 2): COLUMNS["kind"], ("b", 1): COLUMNS["x"]})
    left, reasons = without_keys(frame)
    assert left.columns.tolist() == [("a", 2), ("b", 1)] and reasons[0].startswith("column ('a', 1) has 120")
    numbered = frame.set_axis([7, 8, 9], axis=1)
    assert without_keys(numbered)[0].columns.tolist() == [8, 9]


def test_a_fit_says_what_it_leaves_out_and_chooses_by_the_rest():
    frame = pandas.DataFrame(COLUMNS).assign(x=np.random.default_rng(0).normal(size=N))
    with pytest.warns(UserWarning, match=r"'key' has 120 .*, and is left out") as said:
        task = prepare(Hyperparameters(), frame)
    assert len(said) == 2 and task.plan.codec.names == ("kind", "x")
    with pytest.warns(UserWarning):
        numbers = prepare(Hyperparameters(), frame.drop(columns="kind"))
    assert isinstance(numbers.plan.codec.layout, Layout) and numbers.plan.codec.names == ("x",)
    with pytest.raises(ValueError, match="column 'key' has 120 different categories in 120 rows, too many to learn"):
        prepare(Hyperparameters(), frame.drop(columns="empty"), categorical=["key"])
    with pytest.raises(ValueError, match="column 'empty' holds null, which is not a number"):
        prepare(Hyperparameters(), frame.drop(columns="key"), keep=["empty"])


def test_rows_are_compared_without_what_was_left_out():
    data = pandas.DataFrame(COLUMNS)
    rows = data[["kind", "x"]]
    with pytest.warns(UserWarning, match="data: column 'key' has 120 different values in 120 rows"):
        found = columns_of({"data": data, "rows": rows, "holdout": data})
    assert {name: list(side) for name, side in found.items()} == {
        name: ["kind", "x"] for name in ("data", "rows", "holdout")
    }
    full = data.drop(columns="empty")
    assert list(columns_of({"data": full, "rows": full})["data"]) == ["kind", "key", "x"]
    # A column that could have been learned is missed.
    assert list(columns_of({"data": rows, "rows": rows[["x"]]})["data"]) == ["kind", "x"]
