"""Tables of mixed columns on the command line: from a file to new rows and a verdict."""

import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from made_models import untrained
from pointillist import Diffusion, between
from pointillist.cli import main
from pointillist.cli.comparing import _tables_alike
from pointillist.cli.conditions import category_of, where_of
from pointillist.cli.table_options import read_for
from pointillist.files.csv_format import CsvForm
from pointillist.files.reading import read_table
from pointillist.models.saving import load_model, save_model

SMALL = ("--width", 32, "--depth", 1, "--batch-size", 32)
N = 400


def call(*arguments):
    """Runs a command in this process; its exit status."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr("sys.argv", ["pointillist", *map(str, arguments)])
        main()
    return stopped.value.code or 0


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Writes tables of pets and fits a model to them."""
    folder = tmp_path_factory.mktemp("pets")
    rng = np.random.default_rng(0)
    kind = rng.choice(["cat", "dog"], N)
    table = pa.table(
        {
            "kind": kind,
            "weight": np.round(np.where(kind == "dog", 20, 4) * rng.lognormal(0, 0.2, N), 2),
            "legs": pa.array(np.where(rng.random(N) < 0.1, None, rng.choice([3, 4], N)), pa.int64()),
            "born": pa.array(rng.integers(18_000, 19_000, N).astype("int32"), pa.date32()),
            "code": rng.choice([101, 205, 999], N),
            "tame": rng.random(N) < 0.7,
            "note": [f"n{i}" for i in range(N)],
        }
    )
    csv.write_csv(table.drop_columns(["note"]), folder / "pets.csv")
    csv.write_csv(table, folder / "notes.csv")
    parquet.write_table(table.drop_columns(["note"]), folder / "pets.parquet")
    assert call("fit", folder / "pets.csv", "--out", folder / "pets.model", "--epochs", 20, *SMALL) == 0
    return folder


@pytest.fixture
def run(files, tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with the files."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    def run(*arguments):
        code = call(*arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_from_a_file_to_a_verdict(run, ending):
    code, _, shown = run("fit", f"pets.{ending}", "--out", "m", "--epochs", 30, *SMALL)
    assert code == 0
    assert "kind" in shown and "categories" in shown and "2: cat, dog" in shown and "400 rows, 6 columns" in shown
    assert any(line.startswith("legs") and "integer" in line and "%" in line for line in shown.splitlines())
    assert any(line.startswith("born") and "2019-" in line for line in shown.splitlines())
    assert run("sample", "m", "-n", 300, "--out", f"new.{ending}")[0] == 0
    new = csv.read_csv("new.csv") if ending == "csv" else parquet.read_table("new.parquet")
    old = csv.read_csv("pets.csv") if ending == "csv" else parquet.read_table("pets.parquet")
    assert new.schema.equals(old.schema) and new.num_rows == 300
    assert set(new["code"].to_pylist()) <= {101, 205, 999} and new["legs"].null_count
    code, shown, _ = run(
        "evaluate", f"pets.{ending}", f"new.{ending}", "--holdout", f"pets.{ending}", "--target", "kind"
    )
    assert code == 0 and "oosted" in shown and "independent columns" in shown
    code, shown, _ = run("evaluate", f"pets.{ending}", "m", "--figure", "pets.png")
    assert code == 0 and "oosted" in shown and Path("pets.png").stat().st_size > 10_000
    code, shown, _ = run("evaluate", f"pets.{ending}", f"new.{ending}", "--json")
    assert 0 < json.loads(shown)["rows"]["common_trends"]["mean"] <= 1


def test_text_columns_that_look_like_numbers_in_one_file_are_compared_as_text(run):
    rng = np.random.default_rng(0)
    answers, codes = rng.choice(["true", "false"], 60), rng.choice(["1", "2"], 60)
    table = pa.table({"answer": answers, "code": codes, "x": rng.normal(size=60)})
    rare = table.set_column(0, "answer", [["unknown", *answers[1:]]]).set_column(1, "code", [["A", *codes[1:]]])
    csv.write_csv(table, "rows.csv")
    csv.write_csv(rare, "data.csv")
    for rows, data in (("rows.csv", "data.csv"), ("data.csv", "rows.csv")):
        code, shown, error = run("evaluate", data, rows, "--holdout", "rows.csv", "--json")
        assert code == 0, error
        shapes = json.loads(shown)["rows"]["shapes"]
        assert shapes["answer"] > 0.95 and shapes["code"] > 0.95
    csv.write_csv(rare.set_column(2, "x", [["oops", *map(str, rng.normal(size=59))]]), "broken.csv")
    code, _, error = run("evaluate", "broken.csv", "rows.csv")
    warning, refusal = error.splitlines()
    assert code == 2 and "'code' ('A')" in warning and "column 'x' holds numbers in rows.csv but categories" in refusal


def test_a_model_is_evaluated_on_the_table_that_it_was_fitted_to(run):
    codes = [f"{code:05}" for code in np.random.default_rng(0).choice([501, 10_115, 20_095], N)]
    csv.write_csv(csv.read_csv("notes.csv").append_column("zip", [codes]), "zips.csv")
    asked = "--drop", "note", "--type", "zip=text", "--epochs", 1
    assert run("fit", "zips.csv", "-o", "m", *asked, *SMALL)[0] == 0
    code, shown, error = run("evaluate", "zips.csv", "m", "--holdout", "zips.csv", "--target", "kind", "--json")
    assert code == 0 and json.loads(shown)["audit"], error


@pytest.mark.slow
def test_missing_cells_may_be_unknown_and_columns_observed(run):
    fitted = run("fit", "pets.csv", "-o", "m", "--epochs", 1, "--missing", "unknown", "--p-given", 0.4, *SMALL)
    model = Diffusion.load("m")
    assert fitted[0] == 0 and model.p_given == 0.4
    assert not any(code.has_missing for code in model.model_.codec.encoding.columns)
    code, _, error = run("fit", "pets.csv", "-o", "m", "--missing", "zero")
    assert code == 2 and "unknown" in error


@pytest.mark.slow
def test_tables_are_compared_as_mixed_if_only_one_is_mixed(run):
    table = csv.read_csv("pets.csv")
    csv.write_csv(table.select(["legs", "tame", "weight"]), "holes.csv")
    csv.write_csv(table.filter(table["legs"].is_valid()).select(["legs", "tame", "weight"]), "whole.csv")
    for rows, data in (("whole.csv", "holes.csv"), ("holes.csv", "whole.csv")):
        code, shown, error = run("evaluate", data, rows, "--holdout", "whole.csv")
        assert code == 0 and "tame" in shown, error


@pytest.mark.slow
def test_labels_and_observed_cells(run):
    assert run("fit", "pets.csv", "--label", "kind", "--out", "m", "--epochs", 30, *SMALL)[0] == 0
    model = Diffusion.load("m")
    assert model.classes_.tolist() == ["cat", "dog"] and model.model_.classes.column == ("kind", 0)
    options = (
        "--label",
        "dog",
        "--guidance",
        1,
        "--where",
        "code=205",
        "--where",
        "tame=true",
        "--where",
        "born=2019-05-05",
    )
    assert run("sample", "m", "-n", 50, "--out", "new.csv", *options)[0] == 0
    new = csv.read_csv("new.csv").to_pydict()
    assert set(new["kind"]) == {"dog"} and set(new["code"]) == {205} and set(new["tame"]) == {True}
    assert {str(day) for day in new["born"]} == {"2019-05-05"}
    assert np.median(new["weight"]) > 10
    again = model.sample(50, labels="dog", guidance=1, where={"code": 205, "tame": True}, random_state=0)
    assert again.num_rows == 50


CONDITIONS = {
    "weight=10.. legs=!? code=101|999": lambda new: (
        min(new["weight"]) >= 10 and None not in new["legs"] and set(new["code"]) <= {101, 999}
    ),
    "born=2019-06-01..2019-12-31 legs=?": lambda new: (
        {str(day)[:4] for day in new["born"]} == {"2019"}
        and set(new["legs"]) == {None}
        and min(map(str, new["born"])) >= "2019-06-01"
    ),
    "code=..300 tame=true": lambda new: set(new["code"]) <= {101, 205} and set(new["tame"]) == {True},
    "kind=dog legs=3|?": lambda new: set(new["kind"]) == {"dog"} and set(new["legs"]) <= {3, None},
}


# Each condition compiles a separate program.
@pytest.mark.parametrize(
    "conditions", [pytest.param(each, marks=[pytest.mark.slow] * (i > 0)) for i, each in enumerate(CONDITIONS)]
)
def test_conditions(run, conditions):
    where = [part for each in conditions.split() for part in ("--where", each)]
    code, _, shown = run("sample", "pets.model", "-n", 30, "--out", "new.csv", *where)
    assert code == 0, shown
    assert CONDITIONS[conditions](csv.read_csv("new.csv").to_pydict())
    assert "effective sample size" in shown and shown.strip().endswith("of 30")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("has_words", [True, False])
def test_new_rows_have_the_formats_of_the_file(tmp_path, has_words):
    rng = np.random.default_rng(0)
    days = [date(2023, 1, 5) + timedelta(days=int(day)) for day in rng.integers(0, 700, 250)]
    prices, rates = rng.random((2, 250)) * 5000
    lines = [f'"${price:,.2f}",{rate:.3f}%' for price, rate in zip(prices, rates, strict=True)]
    if has_words:
        lines = [f"{line},{day.month}/{day.day}/{day.year}" for line, day in zip(lines, days, strict=True)]
    names = "price,rate,day" if has_words else "price,rate"
    Path(tmp_path / "data.csv").write_text("\n".join([names, *lines, ""]))
    save_model(untrained(read_table(tmp_path / "data.csv")), tmp_path / "m")
    assert call("sample", tmp_path / "m", "-n", 9, "-o", tmp_path / "new.csv") == 0
    new = csv.read_csv(tmp_path / "new.csv", convert_options=csv.ConvertOptions(column_types={"day": pa.string()}))
    patterns = {"price": r"-?\$(\d{1,3},)*\d{1,3}\.\d\d", "rate": r"-?\d+\.\d{3}%", "day": r"\d\d?/\d\d?/202[34]"}
    for name in new.column_names:
        assert all(re.fullmatch(patterns[name], cell) for cell in new[name].to_pylist()), new[name]
    # The dates of few rows may be ambiguous; the model's format decides.
    found = read_for(load_model(tmp_path / "m"), tmp_path / "new.csv").arrow.schema.types
    assert found == [pa.float64(), pa.float64(), pa.date32()][: len(found)]


def test_the_dates_of_the_real_rows_decide_how_others_are_read(tmp_path):
    for name, day in (("rows", 4), ("data", 13)):
        cells = [f"{i % 9 + 1}/{1 + i % day}/2024,{'ab'[i % 2]}" for i in range(60)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["day,word", *cells, ""]))
    data, rows = tmp_path / "data.csv", tmp_path / "rows.csv"
    found = _tables_alike({data: CsvForm(), rows: CsvForm()}, None)
    assert found[data].arrow["day"][12].as_py() == date(2024, 4, 13)
    assert found[rows].arrow["day"][1].as_py() == date(2024, 2, 2) and found[rows].arrow["day"][3].as_py().month == 4


def test_shares(run):
    shares = "kind:dog=0.5", "legs:?=0.2", "born:2019-06-01=0.1"
    options = [part for each in shares[:2] for part in ("--shares", each)]
    code, _, shown = run("sample", "pets.model", "-n", 30, "--out", "new.csv", *options, "--where", "code=205")
    assert code == 0, shown
    new = csv.read_csv("new.csv").to_pydict()
    assert new["kind"].count("dog") == 15 and new["legs"].count(None) == 6 and set(new["code"]) == {205}
    for options, message in (
        (["kind=dog"], "--shares takes COLUMN:VALUE=SHARE, with a share from 0 to 1, not 'kind=dog'"),
        (["kind:dog=half"], "--shares takes COLUMN:VALUE=SHARE"),
        (["kind:dog=0.5", "kind:dog=0.2"], "--shares gives 'kind' = 'dog' twice"),
        (["kind:cow=0.5"], "column 'kind' has no 'cow'"),
        ([shares[2]], "column 'born' holds continuous numbers, which have no shares"),
    ):
        asked = [part for each in options for part in ("--shares", each)]
        code, _, shown = run("sample", "pets.model", "-n", 3, "--out", "new.csv", *asked)
        assert code == 2 and shown.count("\n") == 1 and message in shown, shown


def test_conditions_that_are_refused(run):
    for condition, message in (
        ("weight=9..3", "--where 'weight=9..3': between(9, 3) is empty"),
        ("weight=500..900", "column 'weight': no training row is between(500, 900); its values go from"),
        ("weight=500", "column 'weight': no training row is 500; its values go from"),
        ("kind=dog|cow", "column 'kind' has no 'cow' in the training rows, which have 'cat', 'dog'"),
        ("born=soon..", "column 'born' holds date32[day], not 'soon'"),
        ("kind=?", "column 'kind' has no missing cells in the model"),
        ("colour=red", "there is no column 'colour': the model's columns are"),
        ("code=", "--where takes COLUMN=VALUE"),
    ):
        code, _, shown = run("sample", "pets.model", "-n", 3, "--out", "new.csv", "--where", condition)
        assert code == 2 and shown.count("\n") == 1 and message in shown, shown
    code, _, shown = run("sample", "pets.model", "-n", 3, "--out", "new.csv", "--where", "legs=3", "--where", "legs=4")
    assert code == 2 and "--where gives column 'legs' twice" in shown


def test_missing_cells_are_filled(run):
    old = csv.read_csv("pets.csv")
    assert run("impute", "pets.model", "pets.csv", "-o", "filled.csv") == (0, "", "")
    new = csv.read_csv("filled.csv")
    assert new.schema.equals(old.schema) and not new["legs"].null_count
    for name in old.column_names:
        known = old[name].is_valid()
        assert new[name].filter(known).to_pylist() == old[name].filter(known).to_pylist()
    assert run("impute", "pets.model", "pets.csv", "-o", "draws.parquet", "--draws", 3, "--seed", 1)[0] == 0
    drawn = parquet.read_table("draws.parquet")
    assert drawn.column_names == ["draw", *old.column_names] and drawn["draw"].to_pylist() == [
        *[1] * N,
        *[2] * N,
        *[3] * N,
    ]
    asked = "impute", "pets.model", "pets.csv", "--statistic", "median", "-o", "medians.csv"
    assert run(*asked) == run(*asked, "--seed", 3) == (0, "", "")
    medians = csv.read_csv("medians.csv")
    assert medians.schema.equals(new.schema) and not medians["legs"].null_count
    assert run(*asked, "--draws", 2)[2].startswith("pointillist: statistic fills one table only: leave")
    code, _, error = run("impute", "pets.model", "pets.csv", "-o", "pets.csv")
    assert code == 2 and "would be overwritten" in error
    # Columns that the model lacks stay where they are.
    csv.write_csv(old.add_column(1, "owner", [[f"o{i}" for i in range(N)]]), "wide.csv")
    assert run("impute", "pets.model", "wide.csv", "-o", "wide_filled.csv")[0] == 0
    wide = csv.read_csv("wide_filled.csv")
    assert wide.column_names == csv.read_csv("wide.csv").column_names and wide["owner"].to_pylist()[-1] == f"o{N - 1}"
    assert wide.drop_columns(["owner"]).equals(new)
    csv.write_csv(old.drop_columns(["legs"]), "few.csv")
    code, _, error = run("impute", "pets.model", "few.csv", "-o", "filled.csv")
    assert code == 2 and error.count("\n") == 1 and "has no column 'legs'" in error


def test_types_are_chosen_and_columns_dropped(run):
    chosen = "--drop", "note", "--categorical", "code", "--type", "weight=integer"
    code, _, shown = run("fit", "notes.csv", "--out", "m", "--epochs", 1, *SMALL, *chosen)
    assert code == 2 and "notes.csv: column 'weight' cannot be read as integer: " in shown
    code, _, shown = run("fit", "notes.csv", "--out", "m", "--epochs", 1, *SMALL, *chosen[:4], "--type", "legs=integer")
    assert code == 0 and any(line.startswith("code") and "categories" in line for line in shown.splitlines())
    # The remaining columns may be only numbers.
    left = [part for name in ("kind", "born", "note", "tame", "legs") for part in ("--drop", name)]
    code, _, shown = run("fit", "notes.csv", "--label", "code", "--out", "m", "--epochs", 1, *SMALL, *left)
    assert code == 0 and Diffusion.load("m").model_.process.kind == "gaussian"
    assert Diffusion.load("m").classes_.tolist() == [101, 205, 999]


def test_keys_are_generated_with_a_warning(run):
    refused = run("fit", "notes.csv", "--out", "m", "--keep", "note", *SMALL)
    assert refused[0] == 2
    assert refused[2].startswith("pointillist: notes.csv: column 'note' has 400 different categories in 400 rows")
    refused = run("fit", "notes.csv", "--out", "m", "--keep", "not", *SMALL)
    assert refused[2].startswith("pointillist: notes.csv: --keep: there is no column 'not'; the columns are kind, ")
    code, _, shown = run("fit", "notes.csv", "--out", "m", "--epochs", 1, "--keep", "weight", *SMALL)
    assert code == 0 and "400 rows, 6 columns" in shown
    assert shown.startswith("pointillist: warning: column 'note' has 400 different values in 400 rows, too many to ")
    assert run("sample", "m", "-n", 60, "--out", "new.csv")[0] == 0
    new = csv.read_csv("new.csv")
    assert new.column_names == csv.read_csv("notes.csv").column_names and len(new["note"].unique()) == 60
    code, out, shown = run("evaluate", "notes.csv", "new.csv", "--json")
    assert code == 0 and shown.startswith("pointillist: warning: notes.csv: column 'note' has 400 different values")
    assert "note" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit pets.csv --out m --drop colour", "pets.csv: there is no column 'colour'; the columns are kind, weight"),
        ("fit pets.csv --out m --categorical colour", "categorical names column 'colour'"),
        ("fit pets.csv --out m --label kind --drop kind", "the label column 'kind' cannot be dropped too"),
        ("fit pets.csv --out m --label weight", "the label column 'weight' holds too many different numbers"),
        ("fit pets.csv --out m --label legs", "the label column 'legs' has missing values"),
        ("sample pets.model -n 3 --out new.npy", "new.npy: column 'kind' is text, which needs"),
        (
            "sample pets.model -n 3 --out new.csv --where kind",
            "--where takes COLUMN=VALUE, COLUMN=LOW..HIGH, COLUMN=A|B|C",
        ),
        ("sample pets.model -n 3 --out new.csv --where kind=cow", "column 'kind' has no 'cow'"),
        (
            "sample pets.model -n 3 --out new.csv --where weight=big",
            "--where 'weight=big': column 'weight' holds double",
        ),
        ("sample pets.model -n 3 --out new.csv --label dog", "was fitted without labels"),
        (
            "evaluate pets.model pets.csv",
            "pets.model is not a table (.npy, .csv, .csv.gz, .tsv, .txt or .parquet): give the real",
        ),
    ],
)
def test_errors_are_one_line(run, arguments, message):
    code, out, error = run(*arguments.split())
    last = error.splitlines()[-1]
    assert code == 2 and not out and last.startswith("pointillist: ") and message in last


def test_a_damaged_model_is_refused(run):
    content = Path("pets.model").read_bytes()
    changes = {"cut": content[:-8], "other": content.replace(b'"missing": "value"', b'"missing": "Value"', 1)}
    for name, new in changes.items():
        assert new != content
        Path(name).write_bytes(new)
        code, _, error = run("sample", name, "-n", 1, "--out", "new.csv")
        assert code == 2 and error.startswith(f"pointillist: {name}: ") and error.count("\n") == 1


def test_a_csv_file_with_another_delimiter(run):
    text = Path("pets.csv").read_text().replace(".", ",").replace('"', "").replace("cat", "Kätzchen")
    lines = [line.split(",") for line in text.splitlines()]
    text = "".join(";".join([kind, ",".join(rest[: len(rest) - 4]), *rest[-4:]]) + "\n" for kind, *rest in lines)
    Path("german.csv").write_bytes(text.encode("cp1252"))
    refused = run("fit", "german.csv", "--out", "m")
    assert refused[0] == 2 and "german.csv: is not UTF-8 text: give its encoding (--encoding cp1252" in refused[2]
    form = "--encoding", "cp1252", "--delimiter", ";", "--decimal", ","
    code, _, shown = run("fit", "german.csv", "--out", "m", "--epochs", 1, *form, *SMALL)
    assert code == 0 and "pointillist: warning: german.csv: columns are read as numbers" in shown
    assert "2: Kätzchen, dog" in shown and "400 rows, 6 columns" in shown
    assert run("sample", "m", "-n", 60, "--out", "new.csv")[0] == 0
    code, out, _ = run("evaluate", "german.csv", "new.csv", *form, "--json")
    assert code == 0 and json.loads(out)["columns"]
    assert (
        "--delimiter takes one ASCII character, or tab" in run("fit", "german.csv", "--out", "m", "--delimiter", "")[2]
    )


def test_a_column_is_predicted_and_rows_are_scored(run):
    csv.write_csv(csv.read_csv("pets.csv").slice(0, 7).drop_columns(["weight"]), "some.csv")
    assert (
        run("predict", "pets.model", "some.csv", "-o", "p.csv", "--target", "weight", "--quantiles", "0.05,0.5")[0] == 0
    )
    found = csv.read_csv("p.csv")
    assert found.column_names == ["weight_0.05", "weight_0.5"] and found.num_rows == 7
    assert run("predict", "pets.model", "pets.csv", "-o", "p.csv", "--target", "kind", "--probabilities")[0] == 0
    found = csv.read_csv("p.csv")
    assert found.column_names == ["kind=cat", "kind=dog"]
    assert np.allclose(sum(column.to_numpy() for column in found.columns), 1, atol=1e-4)
    assert run("predict", "pets.model", "pets.csv", "-o", "p.parquet", "--target", "born")[0] == 0
    assert run("score", "pets.model", "pets.csv", "-o", "s.csv")[0] == 0
    scores = csv.read_csv("s.csv")["log_density"].to_numpy()
    assert np.array_equal(scores, Diffusion.load("pets.model").score_samples(csv.read_csv("pets.csv")))
    for arguments, message in [
        (("predict", "pets.model", "pets.csv", "-o", "p.csv", "--target", "colour"), "there is no column 'colour'"),
        (("predict", "pets.model", "some.csv", "-o", "p.csv", "--target", "kind"), "X has no column 'weight'"),
        (
            ("predict", "pets.model", "some.csv", "-o", "p.csv", "--target", "weight", "--quantiles", "x"),
            "takes levels such as",
        ),
        (("score", "pets.model", "some.csv", "-o", "s.csv"), "X has no column 'weight'"),
    ]:
        code, _, error = run(*arguments)
        assert code == 2 and message in error and error.count("\n") == 1


def test_unused_columns_may_hold_anything(run):
    pets = parquet.read_table("pets.parquet")
    lists = pets.append_column("tags", [[["a"], []] * (N // 2)])
    lists = lists.set_column(1, "weight", [["?"] * N])
    parquet.write_table(lists.slice(0, 9), "lists.parquet")
    for column in ("weight", "tame"):
        table = lists if column == "weight" else lists.set_column(1, "weight", pets["weight"])
        parquet.write_table(table.slice(0, 9), "lists.parquet")
        assert run("predict", "pets.model", "pets.parquet", "-o", "one.csv", "--target", column)[0] == 0
        assert run("predict", "pets.model", "lists.parquet", "-o", "other.csv", "--target", column)[0] == 0
        assert csv.read_csv("other.csv").equals(csv.read_csv("one.csv").slice(0, 9))
    csv.write_csv(pets.append_column("id", [["100000000000000000001"] * N]), "ids.csv")
    assert run("score", "pets.model", "ids.csv", "-o", "s.csv")[0] == 0
    # A column without a cell has no type.
    empty = pets.set_column(2, "legs", pa.nulls(N)).slice(0, 9)
    parquet.write_table(empty, "empty.parquet")
    assert run("impute", "pets.model", "empty.parquet", "-o", "filled.csv")[0] == 0
    assert set(csv.read_csv("filled.csv")["legs"].to_pylist()) <= {3, 4}


def test_input_files_are_not_overwritten(run):
    before = Path("pets.csv").read_bytes(), Path("pets.model").read_bytes()
    for arguments in (
        ("predict", "pets.model", "pets.csv", "-o", "pets.csv", "--target", "kind"),
        ("score", "pets.model", "pets.csv", "-o", "pets.csv"),
        ("score", "pets.model", "pets.csv", "-o", "pets.model"),
        ("impute", "pets.model", "pets.csv", "-o", "pets.model"),
        ("sample", "pets.model", "-n", 3, "-o", "pets.model"),
        ("page", "pets.model", "-o", "pets.model"),
    ):
        code, _, error = run(*arguments)
        assert code == 2 and "would be overwritten: give another name" in error and error.count("\n") == 1
    assert before == (Path("pets.csv").read_bytes(), Path("pets.model").read_bytes())


def test_codes_that_look_like_numbers_keep_the_type_of_the_model(run):
    codes = ["1.1", "1.10", "2.0rc", "0x1F"] * 20
    table = pa.table({"code": codes, "big": np.resize([1_000_001, 1_000_002], 80), "x": np.arange(80) / 7})
    csv.write_csv(table, "codes.csv")
    run("fit", "codes.csv", "-o", "m", "--epochs", 1, "--categorical", "big", *SMALL)
    Path("new.csv").write_text("id;code;big;x\n+491;1.10;1000001;\n1.50;1.1;1000002;0,5\n")
    form = "--delimiter", ";", "--decimal", ","
    assert run("impute", "m", "new.csv", "-o", "filled.csv", *form)[0] == 0
    found = csv.read_csv(
        "filled.csv", convert_options=csv.ConvertOptions(column_types={"id": pa.string(), "code": pa.string()})
    )
    assert found["id"].to_pylist() == ["+491", "1.50"] and found["code"].to_pylist() == ["1.10", "1.1"]
    assert found["x"][1].as_py() == 0.5
    assert run("predict", "m", "codes.csv", "-o", "p.csv", "--target", "big", "--probabilities")[0] == 0
    assert csv.read_csv("p.csv").column_names == ["big=1000001", "big=1000002"]
    assert run("score", "m", "codes.csv", "-o", "s.csv")[0] == 0
    assert np.isfinite(csv.read_csv("s.csv")["log_density"].to_numpy()).all()


def test_names_may_have_an_equals_sign():
    table = pd.DataFrame({"a": np.arange(9.0), "a=b": np.arange(9.0) ** 2, "c": list("xyz") * 3})
    model = Diffusion(width=8, depth=1, epochs=1).fit(table).model_
    assert where_of(model, ["a=b=4", "a=1", "c=x"]) == {"a=b": 4, "a": 1, "c": "x"}


def test_categories_that_differ_only_in_capitals_are_matched_exactly():
    parse = partial(category_of, known=["A", "a", "b"])
    assert [parse(text) for text in ("A", "a", "B", " b ")] == ["A", "a", "b", "b"]
    assert category_of(" A", ["A", "a"]) == " A"


def test_times_have_the_time_zone_of_their_column(run):
    hours = pa.array(np.arange(200) % 3 * 3_600_000_000 * 5, pa.timestamp("us", "America/New_York"))
    parquet.write_table(pa.table({"kind": ["a", "b"] * 100, "fed": hours}), "fed.parquet")
    run("fit", "fed.parquet", "-o", "m", "--epochs", 1, *SMALL)
    assert run("predict", "m", "fed.parquet", "-o", "p.parquet", "--target", "fed", "--quantiles", 0.5)[0] == 0
    found = parquet.read_table("p.parquet")["fed_0.5"]
    assert found.type == hours.type and set(found.to_pylist()) <= set(hours.to_pylist())
    asked = where_of(load_model(Path("m")), ["fed=1970-01-02..1970-01-03T12:00:00+01:00"])["fed"]
    assert asked.low == datetime(1970, 1, 2, 5, tzinfo=UTC) and asked.high == datetime(1970, 1, 3, 11, tzinfo=UTC)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_conditions_on_ordered_categories_and_durations(run, kind):
    sizes, minutes = ["S", "M", "L", "XL"], np.arange(200)
    chosen, took = np.array(sizes)[minutes % 3], (60_000 * minutes).astype("timedelta64[ms]")
    if kind == "polars":
        frame = pl.DataFrame({"size": pl.Series(chosen, dtype=pl.Enum(sizes)), "took": took})
        parquet.write_table(frame.to_arrow(), "t.parquet")
    else:
        pd.DataFrame({"size": pd.Categorical(chosen, sizes, ordered=True), "took": took}).to_parquet("t.parquet")
    run("fit", "t.parquet", "-o", "m", "--epochs", 1, *SMALL)
    conditions = ["size=M..XL", "took=50min..2h"]
    asked = where_of(load_model(Path("m")), conditions)
    assert str(asked["size"]) == "between('M', 'XL')"
    assert asked["took"] == between(timedelta(seconds=3000), timedelta(hours=2))
    options = [part for condition in conditions for part in ("--where", condition)]
    assert run("sample", "m", "-n", 60, "-o", "rows.parquet", *options)[0] == 0
    rows = parquet.read_table("rows.parquet")
    assert set(rows["size"].to_pylist()) == {"M", "L"} and pa.types.is_duration(rows["took"].type)
    assert min(rows["took"].to_pylist()).seconds >= 3000 and max(rows["took"].to_pylist()).seconds <= 7200
    for condition, message in [
        ("size=XL..M", "column 'size': between('XL', 'M') is empty: its categories in order are S, M, L, XL"),
        ("size=M..huge", "column 'size' has no 'huge': its categories in order are S, M, L, XL"),
        ("took=long", "column 'took' holds duration["),
    ]:
        code, _, error = run("sample", "m", "-n", 3, "-o", "rows.parquet", "--where", condition)
        assert code == 2 and message in error and error.count("\n") == 1


def test_fit_and_info_show_rules_that_hold_in_new_rows(run):
    rng = np.random.default_rng(0)
    price = np.round(rng.gamma(3, 8, N) + 1, 2)
    table = pa.table({"kind": rng.choice(["a", "b"], N), "price": price, "gross": np.round(1.19 * price, 2)})
    csv.write_csv(table, "prices.csv")
    code, _, shown = run("fit", "prices.csv", "-o", "m", "--epochs", 1, *SMALL)
    assert code == 0 and "in every row: gross = 1.19 price" in shown
    assert "gross = 1.19 price" in run("info", "m")[1]
    assert run("sample", "m", "-o", "rows.csv", "-n", 50)[0] == 0
    rows = csv.read_csv("rows.csv")
    np.testing.assert_allclose(rows["gross"].to_numpy(), 1.19 * rows["price"].to_numpy(), atol=0.00501)


@pytest.mark.slow
def test_numbers_with_labels_of_numbers_are_evaluated(run):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    table = pa.table({"a": y + rng.normal(size=300), "b": rng.normal(size=300), "y": y})
    csv.write_csv(table, "n.csv")
    assert run("fit", "n.csv", "--label", "y", "-o", "m", "--epochs", 2)[0] == 0
    assert load_model(Path("m")).process.kind == "gaussian"
    other = table.set_column(2, "y", pa.array(np.where(np.arange(300) == 7, 2, y)))
    csv.write_csv(other, "other.csv")
    code, shown, error = run("evaluate", "n.csv", "m", "--holdout", "other.csv", "--target", "y", "--json")
    assert code == 0, error
    assert json.loads(shown)["audit"].startswith("No audit: unknown label 2")
    with_holes = table.set_column(0, "a", pa.array(np.where(np.arange(300) == 3, None, y).tolist(), pa.float64()))
    csv.write_csv(with_holes, "holes.csv")
    assert "has NaN in row 4, column 'a'" in run("score", "m", "holes.csv", "-o", "s.csv")[2]


def test_files_match_the_columns_of_an_array_by_position(run):
    rows = np.random.default_rng(0).integers(0, 4, (200, 3))
    Diffusion(epochs=1, width=32, depth=1, random_state=0).fit(rows).save("m")
    np.save("rows.npy", rows)
    assert run("score", "m", "rows.npy", "-o", "s.csv")[0] == 0
    assert run("predict", "m", "rows.npy", "-o", "p.csv", "--target", 1)[0] == 0
    assert run("evaluate", "rows.npy", "rows.npy", "--target", 0, "--json")[0] == 0


def test_arrays_with_labels_are_filled_and_a_range_of_labels_is_refused(run):
    rows = np.random.default_rng(0).normal(size=(250, 3))
    rows[:, 2] = np.arange(250) % 2
    np.save("rows.npy", rows)
    assert run("fit", "rows.npy", "--label", 2, "-o", "m", "--epochs", 1, "--p-given", 0.5)[0] == 0
    Path("incomplete.csv").write_text("0,1,2\n0.5,,1\n,0.25,0\n")
    code, _, error = run("impute", "m", "incomplete.csv", "-o", "filled.csv")
    assert code == 0, error
    found = csv.read_csv("filled.csv")
    assert not any(column.null_count for column in found.columns) and found["2"].to_pylist() == [1, 0]
    csv.write_csv(pa.table({"x": rows[:, 0], "y": rows[:, 1]}), "n.csv")
    Path("domain.json").write_text('{"x": {"low": -4, "high": 4}, "y": {"low": -4, "high": 4}}')
    fit = "fit", "n.csv", "-o", "p", "--label", "y", "--epsilon", 3, "--domain", "domain.json"
    assert "the label column 'y' has a range of numbers" in run(*fit)[2]


def test_durations_of_csv_files_are_in_the_unit_of_the_model(run):
    took = pa.array(1000 * np.random.default_rng(0).integers(1, 10**6, 200), pa.duration("ns"))
    parquet.write_table(pa.table({"kind": ["a", "b"] * 100, "took": took}), "t.parquet")
    run("fit", "t.parquet", "-o", "m", "--epochs", 1, *SMALL)
    assert run("sample", "m", "-n", 60, "-o", "rows.csv")[0] == 0
    code, _, error = run("score", "m", "rows.csv", "-o", "s.csv")
    assert code == 0, error
    code, shown, error = run("evaluate", "t.parquet", "rows.csv", "--json")
    assert code == 0 and json.loads(shown)["columns"], error


def test_a_file_without_names_has_numbered_columns(files, tmp_path, capfd):
    lines = (files / "pets.csv").read_text().splitlines()[1:]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    options = ("--out", tmp_path / "m", "--epochs", 1, *SMALL)
    assert call("fit", tmp_path / "a.csv", *options) == 2
    said = capfd.readouterr().err
    assert "looks like a row: " in said and said.endswith("give --no-header if it is a row\n")
    assert call("fit", tmp_path / "a.csv", "--no-header", *options) == 0
    assert call("sample", tmp_path / "m", "-n", 20, "--where", "0=dog", "--out", tmp_path / "new.csv") == 0
    rows = read_table(tmp_path / "new.csv", min_rows=1)
    assert rows.names == tuple("012345") and set(rows.arrow["0"].to_pylist()) == {"dog"}
    assert call("evaluate", tmp_path / "a.csv", tmp_path / "new.csv", "--no-header", "--json") == 0
    assert call("impute", tmp_path / "m", tmp_path / "a.csv", "--no-header", "--out", tmp_path / "full.csv") == 0
    assert len(read_table(tmp_path / "full.csv")) == N


def test_folders_are_tables_and_results_go_to_folders(run):
    table = csv.read_csv("pets.csv")
    Path("parts").mkdir()
    for i in range(2):
        csv.write_csv(table.slice(200 * i, 200), f"parts/{i}.csv")
    code, _, error = run("fit", "parts", "-o", "m", "--epochs", 20, *SMALL)
    assert code == 0, error
    assert run("sample", "m", "-n", 50, "-o", "m.csv")[0] == 0
    assert run("fit", "pets.csv", "-o", "n", "--epochs", 20, *SMALL)[0] == 0
    assert (
        run("sample", "n", "-n", 50, "-o", "n.csv")[0] == 0 and Path("n.csv").read_text() == Path("m.csv").read_text()
    )
    assert run("score", "m", "pets.csv", "-o", "all.csv")[0] == 0
    assert "parts has 2 files, so name a folder" in run("score", "m", "parts", "-o", "s.csv")[2]
    assert run("score", "m", "parts", "-o", "scores")[0] == 0
    scores = csv.read_csv("all.csv")["log_density"].to_numpy()
    # The last bits of a float32 score depend on the position of its row.
    assert read_table("scores", min_rows=1).numbers.rows.ravel() == pytest.approx(scores, rel=1e-6)
    Path("scores/1.csv").unlink()
    Path("scores/0.csv").write_text("kept")
    assert run("score", "m", "parts", "-o", "scores", "--resume")[0] == 0
    assert Path("scores/0.csv").read_text() == "kept" and Path("scores/1.csv").exists()
    assert run("evaluate", "parts", "n.csv", "--json")[0] == 0
    assert run("sample", "m", "-n", 50, "-o", "drawn", "--rows-per-file", 20)[0] == 0
    csv.write_csv(read_table("drawn").arrow, "drawn.csv")
    assert read_table("drawn.csv").arrow.equals(read_table("m.csv").arrow)
