"""Tables of several files, tables larger than memory, and rows written to several files."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import csv, dataset, parquet

from pointillist import Diffusion, evaluate
from pointillist.files.reading import read_table
from pointillist.files.writing import FolderWriter
from pointillist.tables import row_sampling
from pointillist.tables.row_sampling import RowLimit, in_memory, sample_rows


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    codes = np.array(["007", "12", "a", None], object)[rng.integers(0, 4, 3000)]
    return pa.table({"code": codes, "x": rng.normal(size=3000), "n": np.arange(3000)})


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_a_folder_reads_like_one_file_with_all_rows(table, tmp_path, ending):
    def write(rows, path):
        if ending == ".parquet":
            parquet.write_table(rows, path)
        else:
            with pa.output_stream(path) as file:
                csv.write_csv(rows, file)

    write(table, tmp_path / f"all{ending}")
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    for i, first in enumerate((0, 1, 1200)):
        write(table.slice(first, (1, 1199, 1800)[i]), folder / f"part-{i}{ending}")
    wanted = read_table(tmp_path / f"all{ending}", kind="mixed").arrow
    for path in (folder, folder / f"part-*{ending}"):
        assert read_table(path, kind="mixed").arrow.equals(wanted)
    numbers = read_table(folder, drop=["code"], kind="mixed")
    assert numbers.numbers.rows.tolist() == read_table(tmp_path / f"all{ending}", drop=["code"]).numbers.rows.tolist()


def test_files_of_a_folder_must_be_alike(table, tmp_path):
    def complaint(path=tmp_path):
        with pytest.raises(ValueError) as caught:
            read_table(path)
        return str(caught.value)

    assert "must hold files of one format, CSV or Parquet, but their endings are: none" in complaint()
    parquet.write_table(table, tmp_path / "a.parquet")
    parquet.write_table(table.drop_columns("x"), tmp_path / "b.parquet")
    assert complaint() == f"{tmp_path}/b.parquet: has other columns or types than {tmp_path}/a.parquet"
    csv.write_csv(table, tmp_path / "c.csv")
    assert "their endings are: .csv, .parquet" in complaint()
    csv.write_csv(table.select(["x"]), tmp_path / "d.csv")
    assert complaint(tmp_path / "*.csv") == f"{tmp_path}/d.csv: has other columns than {tmp_path}/c.csv: x"


def test_a_sample_is_uniform_and_does_not_depend_on_the_batches(table):
    with pytest.warns(UserWarning, match="X: only a random sample of 200 of 3,000 rows is used"):
        samples = [sample_rows(table.to_batches(size), "X", RowLimit(200, is_uniform=True)) for size in (7, 1000, 3000)]
    indices = samples[0]["n"].to_numpy()
    assert all(each["n"].to_pylist() == indices.tolist() for each in samples)
    assert len({*indices}) == 200 and (np.diff(indices) > 0).all()
    # Each fifth of the rows has a hypergeometric number of sampled rows: 40, with a standard deviation of 5.5.
    assert (abs(np.histogram(indices, 5, (0, 3000))[0] - 40) < 3 * 5.5).all()
    assert samples[0].equals(table.take(indices))
    assert sample_rows(table.to_batches(100), "X", RowLimit(3000)).equals(table)
    assert sample_rows([], "X") is None


def test_a_sample_is_completed_with_the_extremes_and_the_categories_that_it_lacks(table):
    n = len(table)
    rare = pa.array(["usual"] * 7 + ["rare"] + ["usual"] * (n - 8))
    day = pa.array(np.datetime64("2024-01-01") + np.arange(n) % 2)
    table = table.append_column("rare", rare).append_column("day", day).append_column("name", table["n"].cast("string"))
    table = table.append_column("wait", table["n"].cast(pa.duration("s")))
    with pytest.warns(UserWarning, match="only a random sample of 50 of 3,000 rows"):
        samples = [sample_rows(table.to_batches(size), "X", RowLimit(50)) for size in (7, 1000, 3000)]
        uniform = sample_rows(table.to_batches(), "X", RowLimit(50, is_uniform=True))
    assert samples[0].equals(samples[1]) and samples[0].equals(samples[2])
    assert samples[0].slice(0, 50).equals(uniform)
    # The sample lacks row 7, and has the first rows with the ends of n and x; the texts of n are numbers too.
    x = table["x"].to_numpy()
    wanted = {7, 0, n - 1, int(x.argmin()), int(x.argmax())} - {*uniform["n"].to_pylist()}
    added = samples[0].slice(50)["n"].to_pylist()
    assert wanted <= {*added} and len(added) <= 10
    x16, time = x.astype(np.float16), pa.array(np.arange(n, dtype=np.int64)).view(pa.time64("ns"))
    others = pa.table({"half": x16, "time": time, "n": table["n"]})
    with pytest.warns(UserWarning):
        found = {*sample_rows(others.to_batches(), "X", RowLimit(50))["n"].to_pylist()}
    assert {0, n - 1, int(x16.argmin()), int(x16.argmax())} <= found and len(found) <= 54
    as_texts = pa.table({"n": table["name"]})
    with pytest.warns(UserWarning):
        assert {"0", str(n - 1)} <= {*sample_rows(as_texts.to_batches(), "X", RowLimit(50))["n"].to_pylist()}


def test_samples_of_views_and_of_dictionaries_with_equal_and_null_entries(table):
    indices = pa.array([0] * 7 + [2] + [1] * (len(table) - 8))
    repeated = pa.DictionaryArray.from_arrays(indices, pa.array(["usual", None, "rare", "rare"]))
    other = pa.DictionaryArray.from_arrays(pc.if_else(pc.equal(indices, 2), 3, indices), repeated.dictionary)
    views = repeated.dictionary_decode().cast(pa.string_view())
    found = pa.table({"repeated": repeated, "other": other, "views": views})
    with pytest.warns(UserWarning):
        sample = sample_rows(found.to_batches(100), "X", RowLimit(50))
    assert sample.schema == found.schema
    for column in sample.columns:
        assert {"usual", "rare", None} == {*column.to_pylist()}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_large_file_is_sampled(table, tmp_path, ending):
    path = tmp_path / f"a{ending}"
    csv.write_csv(table, path) if ending == ".csv" else parquet.write_table(table, path, row_group_size=500)
    with pytest.warns(UserWarning, match=f"a{ending}: only a random sample of 100 of 3,000 rows is used"):
        found = read_table(path, kind="mixed", limit=RowLimit(100)).arrow
    assert found["x"].to_pylist() == table.take(found["n"].to_pylist())["x"].to_pylist()
    assert {*found["code"].to_pylist()} == {"007", "12", "a", None} if ending == ".parquet" else True


def test_datasets_readers_and_relations_are_tables(table, tmp_path):
    parquet.write_table(table, tmp_path / "a.parquet")
    assert in_memory(table) is table
    for X in (
        dataset.dataset(tmp_path / "a.parquet"),
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches(100)),
        duckdb.read_parquet(str(tmp_path / "a.parquet")),
    ):
        assert in_memory(X).equals(table)
    some = table.drop_columns("n").slice(0, 300)
    fitted = [
        Diffusion(random_state=0, epochs=1, width=8, depth=1).fit(X).sample(20, random_state=0)
        for X in (some, pa.RecordBatchReader.from_batches(some.schema, some.to_batches(7)))
    ]
    assert fitted[0].equals(fitted[1])
    reader = pa.RecordBatchReader.from_batches(some.schema, some.to_batches(7))
    assert evaluate(reader, fitted[0]).summary() == evaluate(some, fitted[0]).summary()


def test_questions_about_a_dataset_are_answered_in_parts(table, tmp_path, monkeypatch):
    def reader():
        return pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches(7))

    rows = table.set_column(2, "n", pa.array(np.arange(3000) % 5)).slice(0, 60)
    model = Diffusion(random_state=0, epochs=1, width=8, depth=1).fit(rows)
    known = model.impute(rows, random_state=3)
    view, other = model.conditional("x"), model.conditional("code")
    both = model.conditional(["x", "code"])
    wanted = model.score_samples(known), view.quantiles(rows, [0.2, 0.7]), other.predict_proba(rows), both.predict(rows)
    assert pa.concat_tables(model.impute(reader(), random_state=3)).equals(known)
    monkeypatch.setattr(row_sampling, "ROWS_PER_PART", 25)
    parquet.write_table(known, tmp_path / "known.parquet")
    np.testing.assert_array_equal(model.score_samples(dataset.dataset(tmp_path / "known.parquet")), wanted[0])
    np.testing.assert_array_equal(view.quantiles(reader(), [0.2, 0.7]), wanted[1])
    np.testing.assert_array_equal(other.predict_proba(duckdb.from_arrow(rows)), wanted[2])
    np.testing.assert_array_equal(both.predict(reader())["code"], wanted[3]["code"])
    parts = list(model.impute(reader(), random_state=3))
    again = model.impute(pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches()), random_state=3)
    assert [len(part) for part in parts] == [25, 25, 10] and pa.concat_tables(parts).equals(pa.concat_tables(again))
    assert parts[0].equals(model.impute(rows.slice(0, 25), random_state=3))
    assert not pa.concat_tables(parts)["code"].null_count


def test_rows_go_to_files_of_a_given_size(tmp_path):
    x = np.arange(25.0)
    with FolderWriter(tmp_path / "rows", ["x"], ["float64"], 25, 10) as writer:
        for first in (0, 3, 14):
            writer.write([x[first : {0: 3, 3: 14, 14: 25}[first]]])
    parts = sorted((tmp_path / "rows").iterdir())
    assert [each.name for each in parts] == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    assert [parquet.read_metadata(each).num_rows for each in parts] == [10, 10, 5]
    assert read_table(tmp_path / "rows").numbers.rows.ravel().tolist() == x.tolist()
    with pytest.raises(ValueError, match="holds files already: empty it"):
        FolderWriter(tmp_path / "rows", ["x"], ["float64"], 25, 10)
    with pytest.raises(ValueError, match=r"rows\.csv: is the name of a file"):
        FolderWriter(tmp_path / "rows.csv", ["x"], ["float64"], 25, 10)
    with pytest.raises(ZeroDivisionError), FolderWriter(tmp_path / "b", ["x"], ["float64"], 25, 10) as writer:
        writer.write([x[:12]])
        raise ZeroDivisionError
    assert [each.name for each in (tmp_path / "b").iterdir()] == ["part-0.parquet"]
