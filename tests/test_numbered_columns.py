"""Commands on models whose columns have numbers as names, or no names: files have the same columns."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import csv

from pointillist import Diffusion
from pointillist.cli import main

ROWS = np.random.default_rng(0).normal([0.0, 5.0, 10.0], size=(250, 3))
SMALL = {"epochs": 1, "p_given": 0.5, "width": 32, "depth": 1, "random_state": 0}


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs a command in an empty folder; returns its error message."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pointillist", *map(str, arguments)])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().err

    return run


def read(path):
    return csv.read_csv(path).to_pandas()


def test_columns_of_an_array_with_labels_are_numbered_as_in_the_file(run):
    labelled = ROWS.copy()
    labelled[:, 0] = np.arange(250) % 2
    np.save("rows.npy", labelled)
    small = "--epochs", 1, "--p-given", 0.5, "--width", 32, "--depth", 1
    run("fit", "rows.npy", "--label", 0, "-o", "m", *small)
    assert not run("sample", "m", "-n", 20, "--label", 1, "--where", "1=5.25", "-o", "new.csv")
    assert (read("new.csv")["1"] == 5.25).all() and read("new.csv")["2"].nunique() == 20
    run("info", "m")
    both = "labels and where both set column '0'"
    assert both in run("sample", "m", "-n", 2, "--label", 1, "--where", "0=1", "-o", "none.csv")
    assert "there is no column '3'" in run("sample", "m", "-n", 2, "--where", "3=1", "-o", "none.csv")
    assert not run("predict", "m", "rows.npy", "--target", 0, "-o", "labels.csv")
    assert set(read("labels.csv")["0"]) <= {0, 1}
    assert not run("score", "m", "rows.npy", "-o", "s.csv") and len(read("s.csv")) == 250
    for table in ("rows.npy", "new.csv"):
        assert not run("predict", "m", table, "--target", 2, "-o", f"{table}.p.csv")
        found = read(f"{table}.p.csv")["2"]
        assert 7 < found.mean() < 13
    Path("incomplete.csv").write_text("key,2,1\nfirst,,5.0\nsecond,10.0,\n")
    assert not run("impute", "m", "incomplete.csv", "-o", "filled.csv")
    filled = read("filled.csv")
    assert list(filled) == ["key", "2", "1"] and list(filled["key"]) == ["first", "second"]
    assert filled["2"][1] == 10 and not filled.isna().any(axis=None)


def test_numeric_column_names_of_a_frame_are_text_in_files(run):
    frame = pd.DataFrame(ROWS)
    model = Diffusion(**SMALL).fit(frame)
    model.save("m")
    frame.to_csv("rows.csv", index=False)
    assert not run("score", "m", "rows.csv", "-o", "s.csv") and len(read("s.csv")) == 250
    assert not run("predict", "m", "rows.csv", "--target", 1, "-o", "p.csv")


def test_a_table_without_the_labels_of_the_model_is_filled(run):
    Diffusion(**SMALL).fit(pd.DataFrame(ROWS, columns=["a", "b", "c"]), np.arange(250) % 2).save("m")
    Path("incomplete.csv").write_text("a,b,c\n0.5,,10\n,5,11\n")
    assert not run("impute", "m", "incomplete.csv", "-o", "filled.csv")
    assert list(read("filled.csv")) == ["a", "b", "c"] and not read("filled.csv").isna().any(axis=None)


def test_booleans_in_conditions_are_written_as_in_files(run):
    frame = pd.DataFrame({"a": ROWS[:150, 0], "flag": ROWS[:150, 1] > 5})
    Diffusion(**SMALL).fit(frame).save("m")
    assert not run("sample", "m", "-n", 5, "--where", "flag=true", "-o", "new.csv")
    assert read("new.csv")["flag"].all()
