"""Columns that no model learns: keys and personal columns are found, names, text and empty columns are dropped."""

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from pointillist import Diffusion
from pointillist.columns.unlearned import separated
from pointillist.files.reading import read_table
from pointillist.metrics.inputs import columns_of
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import prepare
from pointillist.tables.layout import Layout
from pointillist.tables.table import Table
from pointillist.tables.unlearnable import few_words, stray_words

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
    "a file": lambda columns: Table(pa.table(columns)),
}


def without_keys(X, kept=()):
    """Returns the columns that are learned, and why the others are not."""
    found = separated(X, kept)
    return found.X, [*found.reasons.values()]


def names(X):
    return list(X.names if isinstance(X, Table) else X.column_names if isinstance(X, pa.Table) else X.columns)


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
    frame = pandas.DataFrame({"x": np.arange(61.0), "code": [*numbers, "207a"]})
    assert without_keys(frame)[1] == ["column 'code' has 61 different values in 61 rows, too many to learn"]


def test_unused_dictionary_entries_are_not_values():
    unused = pandas.Categorical(["a", "b", "c"] * 40, categories=[*"abc", *map(str, range(500))])
    frame = pandas.DataFrame({"kind": unused, "x": np.arange(N) / 2})
    assert without_keys(frame)[0] is frame


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, pa.table])
def test_long_integers_are_keys_if_nearly_all_differ(make):
    long = {"id": 3 * np.arange(N) + 2**60, "codes": [2**60, 2**61, 2**62] * 40, "x": np.arange(N) / 2}
    left, reasons = without_keys(make(long))
    assert names(left) == ["codes", "x"] and reasons == [
        f"column 'id' is a key ({2**60} to {3 * (N - 1) + 2**60}, each at most once)"
    ]
    left, reasons = without_keys(make({"nearly": [2**60, *long["id"][:-1]], "x": long["x"]}))
    assert names(left) == ["x"] and reasons == ["column 'nearly' has 119 different integers beyond 2**53"]
    assert names(without_keys(make(long), ["id"])[0]) == ["id", "codes", "x"]


def ids(n, seed=0):
    """Covers a shuffled split of a table with row numbers."""
    return np.random.default_rng(seed).permutation(int(n / 0.7))[:n] + 1


NUMBERINGS = {
    "a run": np.arange(1, N + 1),
    "a run in another order": np.random.default_rng(0).permutation(N),
    "a run from anywhere": np.arange(N, dtype="int32") - 10_007,
    "a split": ids(N),
}
NO_NUMBERINGS = {
    "salaries": np.random.default_rng(0).permutation(90_000)[:N] + 30_000,
    "seconds": 1_700_000_000 + np.cumsum(np.random.default_rng(0).integers(1, 9, N)),
    "hours": 1_700_000_000 + 3600 * np.arange(N),
    "one twice": np.append(np.arange(N - 1), 7),
    "floats": np.arange(float(N)),
    "years of birth": np.random.default_rng(0).integers(1900, 2020, N),
}


@pytest.mark.parametrize("integers", NUMBERINGS.values(), ids=NUMBERINGS)
@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, pa.table, lambda c: Table(pa.table(c))])
def test_row_numbers_are_left_out(make, integers):
    left, reasons = without_keys(make({"id": integers, "x": np.arange(N) / 2}))
    assert names(left) == ["x"]
    assert reasons == [f"column 'id' numbers the rows ({integers.min()} to {integers.max()}, each at most once)"]
    assert names(without_keys(make({"id": integers, "x": np.arange(N) / 2}), ["id"])[0]) == ["id", "x"]
    assert not without_keys(make({"id": integers[:50], "x": np.arange(50) / 2}))[1]


@pytest.mark.parametrize("integers", NO_NUMBERINGS.values(), ids=NO_NUMBERINGS)
def test_other_integers_are_not_row_numbers(integers):
    assert not without_keys(pandas.DataFrame({"x": integers, "y": np.arange(N) / 2}))[1]


def test_different_integers_of_a_short_range_repeat():
    """Random integers almost never look like row numbers."""
    rng = np.random.default_rng(0)
    assert not any(len(np.unique(rng.integers(0, 2 * 51, 51))) == 51 for _ in range(10_000))


@pytest.mark.parametrize("label", [None, "y"])
def test_a_file_of_numbers_is_read_without_its_index(tmp_path, label):
    """Covers the default index that pandas writes, in order or shuffled, for all or some rows."""
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"x": rng.normal(size=N), "y": [0, 1] * (N // 2)})
    for written in (frame, frame.set_axis(ids(N)), frame.set_axis(rng.permutation(10**6)[:N])):
        written.to_csv(tmp_path / "a.csv")
        for table in (read_table(tmp_path / "a.csv", label), read_table(tmp_path / "a.csv", label, kind="mixed")):
            left, reasons = without_keys(table)
            assert reasons[0].startswith(("column '' numbers the rows", "column '' is an index without a name"))
            assert len(reasons) == 1 and "" not in left.names
            again = left.numbers
            np.testing.assert_array_equal(again.rows[:, 0], frame["x"])
            assert label is None or (again.label.values == frame["y"]).all()
            assert label is None or again.label.position == 1


def test_other_tables_may_contain_the_dropped_columns():
    frame = pandas.DataFrame({"id": np.arange(N), "x": np.random.default_rng(0).normal(size=N)})
    with pytest.warns(UserWarning, match="column 'id' numbers the rows .*, so new rows get integers from 0"):
        model = Diffusion(epochs=1, width=8, depth=1, random_state=0).fit(frame)
    assert model.sample(3, random_state=0)["id"].tolist() == [0, 1, 2]
    np.testing.assert_array_equal(model.score_samples(frame), model.score_samples(frame[["x"]]))


def test_ordinary_columns_are_not_keys():
    kept = {
        "numbers": np.arange(N) * 10,
        "dates": pandas.date_range("2024-01-01", periods=N),
        "few words": [*map(str, range(N - 1)), "many"],
        "half": [f"k{i % (N // 2)}" for i in range(N)],
        "fifty": [f"k{min(i, 49)}" for i in range(N)],
    }
    frame = pandas.DataFrame(kept)
    assert without_keys(frame)[0] is frame
    # Tables without remaining columns or without names are refused when columns are encoded.
    keys = pandas.DataFrame({"key": COLUMNS["key"]})
    array = np.array([COLUMNS["key"], COLUMNS["kind"]], object).T
    assert without_keys(keys)[0] is keys and without_keys(array)[0] is array
    labelled = Table(pa.table(COLUMNS), "key")
    assert names(without_keys(labelled)[0]) == ["kind", "key", "x"]


def test_names_of_any_type_are_kept():
    frame = pandas.DataFrame({7: COLUMNS["key"], "a": COLUMNS["kind"], 2.5: COLUMNS["x"]})
    left, reasons = without_keys(frame)
    assert left.columns.tolist() == ["a", 2.5] and reasons[0].startswith("column 7 has 120")


def test_a_fit_warns_of_dropped_columns_and_chooses_the_process_by_the_others():
    frame = pandas.DataFrame(COLUMNS).assign(x=np.random.default_rng(0).normal(size=N))
    with pytest.warns(
        UserWarning, match=r"'key' has 120 .*, so new rows get codes k\[1-9\]\[0-9\]\{0,5\}: use --keep to learn"
    ) as said:
        task = prepare(Configuration(), frame)
    assert len(said) == 2 and task.plan.codec.names == ("kind", "x")
    with pytest.warns(UserWarning):
        numbers = prepare(Configuration(), frame.drop(columns="kind"))
    assert isinstance(numbers.plan.codec.layout, Layout) and numbers.plan.codec.names == ("x",)
    with pytest.raises(ValueError, match="column 'key' has 120 different categories in 120 rows, too many to learn"):
        prepare(Configuration(), frame.drop(columns="empty"), categorical=["key"])
    with pytest.raises(ValueError, match="column 'empty' holds null, which is not a number"):
        prepare(Configuration(), frame.drop(columns="key"), keep=["empty"])


def test_rows_are_compared_without_the_dropped_columns():
    data = pandas.DataFrame(COLUMNS)
    rows = data[["kind", "x"]]
    with pytest.warns(UserWarning, match="data: column 'key' has 120 different values in 120 rows"):
        found = columns_of({"data": data, "rows": rows, "holdout": data})
    assert {name: list(side) for name, side in found.items()} == {
        name: ["kind", "x"] for name in ("data", "rows", "holdout")
    }
    # Text that all tables have is compared, and keys are not.
    full = data.drop(columns="empty").assign(text=[f"some {'x' * i}" for i in range(N)])
    with pytest.warns(UserWarning, match="data: column 'key' has 120 different values in 120 rows"):
        assert list(columns_of({"data": full, "rows": full})["data"]) == ["kind", "x", "text"]
    # A column that could have been learned is missed.
    assert list(columns_of({"data": rows, "rows": rows[["x"]]})["data"]) == ["kind", "x"]


def test_intervals_are_refused_in_one_line():
    frame = pandas.DataFrame({"x": np.arange(40.0), "k": pandas.cut(np.arange(40.0), 3)})
    with pytest.raises(ValueError, match=r"^column 'k' holds intervals: make them text, or drop it$"):
        prepare(Configuration(), frame)
