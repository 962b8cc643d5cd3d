"""`pointillist fit`, `sample` and `evaluate` on real files."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas
import pyarrow.csv
import pyarrow.parquet
import pytest
from sklearn.datasets import load_digits, load_wine

from pointillist import Diffusion, DiffusionClassifier
from pointillist.cli import main
from pointillist.files.reading import read_numbers
from pointillist.models import saving

X = np.arange(60.0)
SMALL = ["--timesteps", "20", "--width", "16", "--depth", "1"]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["pointillist", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert (stop.value.code or 0) == code, arguments

    return run


def write_wine(path):
    """Returns 60 real rows with a text column in the middle, an integer column and a constant column."""
    rows, labels = (part[::3] for part in load_wine(return_X_y=True))
    names = np.array(["barolo", "grignolino", "barbera"])[labels]
    table = pyarrow.table(
        {
            "alcohol": rows[:, 0],
            "cultivar": names,
            "magnesium": rows[:, 4].astype(int),
            "year": np.full(len(rows), 1991),
        }
    )
    pyarrow.csv.write_csv(table, path)
    return table


def test_without_out_the_model_has_the_name_of_its_table(run, tmp_path):
    write_wine("wine.csv")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/wine.csv.gz").write_bytes(gzip.compress((tmp_path / "wine.csv").read_bytes()))
    for table in ("wine.csv", "folder/wine.csv.gz"):
        run("fit", table, "--epochs", 1, *SMALL)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.model")} == {
        "wine.model",
        "folder/wine.model",
    }


@pytest.mark.parametrize("ending", [".csv", pytest.param(".csv.gz", marks=pytest.mark.slow), ".parquet"])
def test_a_table_with_labels_keeps_its_columns(run, tmp_path, ending):
    table = write_wine("wine.csv")
    run("fit", "wine.csv", "--label", "cultivar", "--out", "m", "--epochs", 20, *SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "wine.csv"]
    run("sample", "m", "-n", 600, "--out", f"new{ending}")
    new = read_numbers(f"new{ending}", "cultivar")
    assert new.names == ("alcohol", "magnesium", "year") and new.types == (
        "float64",
        "int64",
        "int64",
    )
    assert new.label.position == 1 and (new.rows[:, 2] == 1991).all()
    fractions = np.array([(new.label.values == name).mean() for name in ("barolo", "grignolino", "barbera")])
    expected = np.array(
        [(np.asarray(table["cultivar"]) == name).mean() for name in ("barolo", "grignolino", "barbera")]
    )
    assert (np.abs(fractions - expected) < 4 * np.sqrt(expected * (1 - expected) / 600)).all()
    run("sample", "m", "-n", 5, "--label", "barbera", "--guidance", 1, "--out", "one.csv", "--seed", 3)
    class_rows = read_numbers("one.csv", "cultivar")
    assert class_rows.label.values.tolist() == ["barbera"] * 5
    model = Diffusion.load("m")
    expected = model.sample(5, labels="barbera", guidance=1, random_state=3)
    np.testing.assert_allclose(class_rows.rows, expected, rtol=1e-12)
    assert table.num_rows == 60 and model.model_.classes.column == ("cultivar", 1)


def test_the_command_line_and_python_give_the_same_rows(run):
    rows = np.random.default_rng(0).normal(size=(50, 2, 1))
    np.save("rows.npy", rows)
    run("fit", "rows.npy", "--out", "m", "--epochs", 5, "--schedule", "linear", "--scaling", "standard", *SMALL)
    run("sample", "m", "-n", 1200, "--sampler", "ddim", "--steps", 7, "--out", "new.npy", "--seed", 2)
    options = {"timesteps": 20, "width": 16, "depth": 1, "epochs": 5, "schedule": "linear", "scaling": "standard"}
    model = Diffusion(**options, random_state=0).fit(rows.reshape(50, 2))
    new = model.sample(1200, sampler="ddim", steps=7, random_state=2)
    np.testing.assert_array_equal(np.load("new.npy"), new)
    np.testing.assert_array_equal(Diffusion.load("m").sample(3, random_state=1), model.sample(3, random_state=1))


def test_a_warning_is_one_line(run, capsys):
    np.save("rows.npy", np.random.default_rng(0).normal(size=(50, 2)))
    run("fit", "rows.npy", "--out", "m", "--epochs", 1, "--schedule", "linear", *SMALL)
    shown = capsys.readouterr().err.splitlines()
    assert shown[0].startswith("pointillist: warning: the noise schedule leaves signal in the prior: KL")
    assert len(shown) == 2 and shown[1].startswith("m: 50 rows")


def test_numbered_labels_of_an_array(run):
    rows = np.column_stack([np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3])
    np.save("rows.npy", rows)
    run("fit", "rows.npy", "--label", "-1", "--out", "m", "--epochs", 5, *SMALL)
    run("sample", "m", "-n", 30, "--label", "2", "--out", "new.npy")
    new = np.load("new.npy")
    assert new.shape == (30, 3) and (new[:, 2] == 2).all()


def test_missing_cells_are_filled_given_the_labels_of_a_table(run, capsys):
    rows = pandas.DataFrame({"x": np.arange(60.0), "kind": ["a", "b", "c"] * 20, "y": np.arange(60.0) ** 0.5})
    rows.to_csv("rows.csv", index=False)
    incomplete = rows.assign(x=rows["x"].where(rows.index > 9))
    incomplete.insert(1, "id", [f"r{i}" for i in incomplete.index])
    incomplete.to_csv("incomplete.csv", index=False)
    run("fit", "rows.csv", "--label", "kind", "--out", "m", "--epochs", 1, *SMALL)
    run("impute", "m", "incomplete.csv", "--out", "filled.csv")
    model, filled = Diffusion.load("m"), pandas.read_csv("filled.csv")
    expected = model.impute(incomplete[["x", "y"]], labels=incomplete["kind"], random_state=0)
    np.testing.assert_allclose(filled["x"], np.asarray(expected)[:, 0], rtol=1e-6)
    incomplete.assign(kind=rows["kind"].where(rows.index != 3)).to_csv("unlabelled.csv", index=False)
    capsys.readouterr()
    for arguments, message in (
        (
            ("impute", "m", "unlabelled.csv", "-o", "new.csv"),
            "unlabelled.csv: the labels of 1 rows are missing",
        ),
        (("sample", "m", "-n", 3, "-o", "new.csv", "--where", "kind=a|b"), "give one label, or one per row"),
        (("sample", "m", "-n", 3, "-o", "new.csv", "--where", "kind=d"), "unknown label 'd'"),
        (("sample", "m", "-n", 3, "-o", "new.csv", "--where", "x=" + "9" * 400), ", not 9999"),
        (("sample", "m", "-n", 3, "-o", "new.csv", "--where", "x=1..9"), "give labels (--label)"),
    ):
        run(*arguments, code=2)
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    run("predict", "m", "incomplete.csv", "-o", "p.csv", "--target", "kind", "--probabilities")
    found = pandas.read_csv("p.csv")
    assert list(found) == ["kind=a", "kind=b", "kind=c"] and np.allclose(found.sum(axis=1), 1)
    expected = DiffusionClassifier(model).predict_proba(rows[["x", "y"]].to_numpy())
    np.testing.assert_allclose(found[10:], expected[10:], rtol=1e-4)
    for given in (["--where", "kind=b"], ["--label", "b"]):
        run("sample", "m", "-n", 5, "-o", f"{given[0]}.csv", *given)
    pandas.testing.assert_frame_equal(pandas.read_csv("--where.csv"), pandas.read_csv("--label.csv"))
    assert list(filled) == list(incomplete) and filled["id"].tolist() == incomplete["id"].tolist()


def test_labels_are_parsed_as_files_write_them(run):
    np.save("rows.npy", np.column_stack([X, X**0.5, np.arange(60) % 3]))
    run("fit", "rows.npy", "--label", -1, "--out", "m", "--epochs", 1, *SMALL)
    for number, given in enumerate((["--where", "2=1"], ["--where", "2=1.0"], ["--label", "1"])):
        run("sample", "m", "-n", 5, "-o", f"{number}.npy", *given)
    drawn = [np.load(f"{number}.npy") for number in range(3)]
    assert (drawn[0][:, 2] == 1).all() and (drawn[0] == drawn[1]).all() and (drawn[0] == drawn[2]).all()


def test_labels_that_differ_only_in_capitals(run):
    rows = pyarrow.table({"x": X, "y": X**0.5, "kind": np.array(["A", "a", "b"])[np.arange(60) % 3]})
    pyarrow.csv.write_csv(rows, "rows.csv")
    run("fit", "rows.csv", "--label", "kind", "--out", "m", "--epochs", 1, *SMALL)
    for label in ("A", "a"):
        run("sample", "m", "-n", 3, "--label", label, "--out", "new.csv")
        assert read_numbers("new.csv", "kind").label.values.tolist() == [label] * 3


def test_booleans_are_labels_in_any_case(run):
    rows = pyarrow.table({"x": X, "y": X**0.5, "kind": np.arange(60) % 2 > 0})
    pyarrow.csv.write_csv(rows, "rows.csv")
    run("fit", "rows.csv", "--label", "kind", "--out", "m", "--epochs", 1, *SMALL)
    for label in ("true", "True"):
        run("sample", "m", "-n", 3, "--label", label, "--out", "new.csv")
        assert read_numbers("new.csv", "kind").label.values.tolist() == [True] * 3


def test_a_column_called_label_stays_apart_from_the_labels(run):
    frame = pandas.DataFrame({"label": X, "label_1": X**0.5})
    Diffusion(timesteps=20, width=16, depth=1, epochs=1, random_state=0).fit(frame, np.arange(60) % 2).save("m")
    run("sample", "m", "-n", 5, "--out", "new.csv")
    table = read_numbers("new.csv", "label_2")
    assert table.names == ("label", "label_1") and set(table.label.values) <= {0, 1}


@pytest.mark.slow
def test_a_prior_of_one_row_and_one_column(run, capsys):
    np.save("rows.npy", np.arange(30.0)[:, None])
    np.save("prior.npy", np.zeros((1, 1)))
    run("fit", "rows.npy", "--out", "m", "--epochs", 1, *SMALL)
    assert "30 rows, 1 column; 1 epoch in" in capsys.readouterr().err
    run("sample", "m", "--prior", "prior.npy", "--out", "new.npy")
    with pytest.raises(AssertionError):
        run("sample", "m", "--prior", "prior.npy", "--out", "prior.npy")
    assert "prior.npy: is a file to read and would be overwritten" in capsys.readouterr().err
    assert np.load("new.npy").shape == (1, 1)


@pytest.mark.slow
def test_every_process_draws_the_same_bits_from_a_prior(run, tmp_path):
    """Draws rows of 64 columns, two of them constant, as in the report."""
    np.save("digits.npy", load_digits().data.reshape(-1, 8, 8))
    np.save("prior.npy", np.random.default_rng(0).normal(size=(1797, 64)))
    run("fit", "digits.npy", "--timesteps", 150, "--schedule", "linear", "--epochs", 2, "--out", "m")
    job = ["sample", "m", "--prior", "prior.npy", "--deterministic", "--out"]
    run(*job, "here.npy")
    for devices in ("1", "3"):
        command = [sys.executable, "-m", "pointillist", *job, f"{devices}.npy", "--seed", devices]
        subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "POINTILLIST_DEVICES": devices})
    files = [(tmp_path / name).read_bytes() for name in ("here.npy", "1.npy", "3.npy")]
    assert files[0] == files[1] == files[2] and np.load("here.npy").shape == (1797, 64)


SCRIPT = """
import sys, numpy as np
from pointillist import Diffusion, DiffusionClassifier
model = Diffusion.load("m")
rows = model.sample(700, labels=1, guidance=1.0, random_state=0)
proba = DiffusionClassifier(model, n_times=8).predict_proba(rows[:50])
np.savez(sys.argv[1], rows=rows, proba=proba)
"""


@pytest.mark.slow
def test_the_number_of_devices_changes_no_bit(tmp_path):
    from pointillist import load_pointset

    X, y = load_pointset("blobs", 300)
    Diffusion(timesteps=20, epochs=3, random_state=0).fit(X, y).save(tmp_path / "m")
    for devices in ("1", "3"):
        command = [sys.executable, "-c", SCRIPT, f"{devices}.npz"]
        subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "POINTILLIST_DEVICES": devices})
    one, three = (np.load(tmp_path / f"{devices}.npz") for devices in "13")
    for name in one.files:
        np.testing.assert_array_equal(three[name], one[name], err_msg=name)


def test_evaluate_prints_its_findings(run, capsys):
    table = write_wine("wine.csv")
    # Another order of columns, and rows moved.
    moved = table.set_column(0, "alcohol", pyarrow.array(np.asarray(table["alcohol"]) + 5)).select(
        ["year", "cultivar", "magnesium", "alcohol"]
    )
    pyarrow.parquet.write_table(moved, "moved.parquet")
    run("evaluate", "wine.csv", "moved.parquet", "--target", "cultivar", "--figure", "figure.png", "--html", "a.html")
    shown = capsys.readouterr().out
    assert "Data: 60 real rows (wine.csv). Rows: 60 generated rows (moved.parquet). 4 columns." in " ".join(
        shown.split()
    )
    assert "Distinguishable" in shown
    assert "'alcohol'" in " ".join(shown.split())
    with open("figure.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    with open("a.html", encoding="utf-8") as file:
        page = file.read()
    assert page.startswith("<!doctype html>") and "60 real rows (wine.csv)" in page and page.count("<figure>") == 4
    run("evaluate", "wine.csv", "wine.csv", "--target", "cultivar", "--holdout", "wine.csv", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["copies"]["count"] == 60 and "copied" in found["verdict"]


def test_info_describes_a_model(run, capsys):
    np.save("rows.npy", np.random.default_rng(0).normal(size=(50, 2)))
    run("fit", "rows.npy", "--epochs", 3, *SMALL, "-o", "m", "--quiet")
    assert capsys.readouterr().err == ""
    run("info", "m")
    shown = capsys.readouterr().out
    assert "numbers (Gaussian diffusion)" in shown and "2: 0 (float64), 1 (float64)" in shown and "3 epochs" in shown


@pytest.mark.slow
def test_check_ends_with_status_1_where_rows_are_distinguishable(run):
    rng = np.random.default_rng(0)
    np.save("data.npy", rng.normal(size=(300, 2)))
    np.save("like.npy", rng.normal(size=(300, 2)))
    np.save("unlike.npy", rng.normal(3, 1, size=(300, 2)))
    run("evaluate", "data.npy", "like.npy", "--check")
    for rows in ("unlike.npy", "data.npy"):
        with pytest.raises(AssertionError):
            run("evaluate", "data.npy", rows, "--check")


OFTEN = """
from pointillist.cli import main
from pointillist.models import training
training.CHECKPOINT_EVERY = 0.0
main()
"""


@pytest.mark.parametrize(
    "stop,status,fresh",
    [(signal.SIGINT, 130, ["--fresh"]), pytest.param(signal.SIGTERM, 143, [], marks=pytest.mark.slow)],
)
def test_a_stopped_fit_leaves_a_checkpoint(run, tmp_path, stop, status, fresh):
    np.save("rows.npy", np.random.default_rng(0).normal(size=(50, 2)))
    command = ["fit", "rows.npy", "--epochs", "3000000", *SMALL, *fresh, "--out"]
    process = subprocess.Popen(
        [sys.executable, "-c", OFTEN, *command, "m"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    for _ in range(600):
        time.sleep(0.1)
        if (tmp_path / "m.checkpoint").exists():
            break
    process.send_signal(stop)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == status and f"the same command again{' without' * len(fresh)}" in shown
    assert {path.name for path in tmp_path.iterdir()} == {"m.checkpoint", "rows.npy"}
    run("fit", "rows.npy", "--epochs", "40", *SMALL, "--fresh", "--out", "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "rows.npy"]


def test_a_model_that_cannot_be_saved_is_kept_in_its_checkpoint(run, tmp_path, monkeypatch, capsys):
    np.save("rows.npy", np.random.default_rng(0).normal(size=(50, 2)))
    arguments = ["pointillist", "fit", "rows.npy", "--epochs", "3", *SMALL, "--out", "m"]
    with monkeypatch.context() as patch:

        def fail(model, path):
            raise OSError(28, "No space left on device")

        patch.setattr(saving, "save_model", fail)
        patch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as stop:
            main()
    assert stop.value.code == 2 and "No space left" in capsys.readouterr().err
    assert (tmp_path / "m.checkpoint").exists()
    run(*arguments[1:])
    assert (tmp_path / "m").exists() and not (tmp_path / "m.checkpoint").exists()
