"""Files that would exhaust memory or block forever, text with terminal controls, and NaN rows."""

import gzip
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pandas
import pyarrow as pa
import pytest
from pyarrow import parquet

from pointillist import Diffusion
from pointillist.cli import main
from pointillist.files import formats
from pointillist.models.container import MAX_DESCRIPTION
from pointillist.models.saving import save_model

QUICK = {"timesteps": 5, "width": 8, "depth": 1, "epochs": 1, "random_state": 0}
SMALL = "--timesteps 5 --width 8 --depth 1 --epochs 1"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["pointillist", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return stopped.value.code or 0, capsys.readouterr().err

    return call


def refused(run, *arguments):
    code, error = run(*arguments)
    assert code == 2 and error.startswith("pointillist: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize("name", ["pipe.csv", "pipe.csv.gz", "pipe.npy", "pipe.parquet"])
def test_pipes_are_refused(run, name):
    os.mkfifo(name)
    assert "is a pipe or a device, not a regular file" in refused(run, "fit", name, "--out", "m")
    assert "is a pipe or a device, not a regular file" in refused(run, "sample", name, "-n", 3, "--out", "rows.csv")


def test_deeply_nested_json_is_refused(run):
    with open("deep.json", "w") as file:
        file.write("[" * 200_000)
    np.save("rows.npy", X)
    asked = "fit", "rows.npy", "--out", "m", "--epsilon", 3, "--domain", "deep.json"
    assert "deep.json: its lists or objects are nested too deeply" in refused(run, *asked)
    asked = "page", "m", "-o", "m.html", "--evaluation", "deep.json"
    assert "deep.json: its lists or objects are nested too deeply" in refused(run, *asked)


def test_decompression_bombs_are_refused(run, monkeypatch):
    monkeypatch.setattr(formats, "FREE", 2**20)
    text = "a,b\n" + "0,0\n" * 2**20
    with gzip.open("zeros.csv.gz", "wt") as file:
        file.write(text)
    error = refused(run, "fit", "zeros.csv.gz", "--out", "m")
    assert "zeros.csv.gz: unpacks to " in error and "times its size of" in error and "unpack it first" in error
    error = refused(run, "fit", "zeros.csv.gz", "--categorical", "a", "--out", "m")
    assert "unpack it first" in error
    parquet.write_table(pa.table({"a": np.zeros(2**22), "b": ["x"] * 2**22}), "zeros.parquet")
    assert "times its size of" in refused(run, "fit", "zeros.parquet", "--out", "m")
    for kind in (pa.string(), pa.large_string(), pa.string_view(), pa.binary()):
        texts = pa.table({"a": pa.array(["x" * 2**16] * 64, kind), "b": [1, 2] * 32})
        parquet.write_table(texts, "texts.parquet")
        assert "times its size of" in refused(run, "fit", "texts.parquet", "--out", "m")
    parquet.write_table(pa.table({"a": np.zeros(2**22)}), "numbers.parquet")
    assert "times its size of" in refused(run, "fit", "numbers.parquet", "--out", "m")


@pytest.mark.slow
def test_nan_rows_are_not_written(run):
    frame = pandas.DataFrame(X, columns=["a", "b"])
    models = {
        "numbers": Diffusion(**QUICK).fit(X, np.arange(40) % 2),
        "mixed": Diffusion(**QUICK).fit(frame.assign(kind=["x", "y"] * 20), np.arange(40) % 2),
    }
    for name, model in models.items():
        with pytest.raises(ValueError, match="guidance must be a number from 0 to 3e38, not 1e"):
            model.sample(20, labels=1, guidance=1e300, random_state=0)
        spoiled = jax.tree.map(lambda leaf: np.full_like(leaf, 3e38), model.model_.network)
        model.model_ = replace(model.model_, network=spoiled)
        model.save(name)
        error = refused(run, "sample", name, "-n", 20, "--out", "rows.csv")
        assert "of 20 rows are not numbers" in error and not os.path.exists("rows.csv")


@pytest.mark.slow
def test_long_lists_of_categories_can_be_read_again(tmp_path):
    names = np.array([f"{i:05}" + "x" * 500 for i in range(9000)])
    frame = pandas.DataFrame({"name": np.concatenate([names, names]), "n": RNG.integers(0, 3, 18_000)})
    model = Diffusion(**QUICK | {"width": 4}).fit(frame)
    model.save(tmp_path / "m")
    assert (tmp_path / "m").stat().st_size > 2**22
    assert Diffusion.load(tmp_path / "m").sample(20, random_state=0).equals(model.sample(20, random_state=0))


def test_lists_that_no_file_can_hold_are_refused_before_training():
    long = "x" * (MAX_DESCRIPTION // 2)
    frame = pandas.DataFrame({"name": [f"{i % 3}{long}" for i in range(6)], "n": np.arange(6) % 2})
    with pytest.raises(ValueError, match=r"categories take .* MiB, and a model file holds at most 32 MiB"):
        Diffusion(**QUICK | {"epochs": 10**6}).fit(frame)


@pytest.mark.slow
def test_an_unreadable_model_keeps_its_checkpoint(run, monkeypatch):
    np.save("rows.npy", X)

    def spoiled(model, path, save=save_model):
        save(model, path)
        path.write_bytes(path.read_bytes()[:-1])

    with monkeypatch.context() as patch:
        patch.setattr("pointillist.models.saving.save_model", spoiled)
        code, error = run("fit", "rows.npy", *SMALL.split(), "--out", "m")
    assert code == 2 and "m: is not a model file, or it is incomplete" in error and os.path.exists("m.checkpoint")
    assert run("fit", "rows.npy", *SMALL.split(), "--out", "m")[0] == 0 and not os.path.exists("m.checkpoint")
    Diffusion.load("m")


HOSTILE = ["rate [/min]", "[/b]", "[red]", "\x1b[31mred\x1b[0m", "a\x07b", "$x^2$", "=1+1", "x\u202ey"]


def test_names_and_categories_of_any_text_reach_the_terminal_as_text(run):
    columns = {name: ["[/b]", "\x1b]0;title\x07"] * 20 for name in HOSTILE}
    pandas.DataFrame({**columns, "n": X[:, 0]}).to_csv("table.csv", index=False)
    code, shown = run("fit", "table.csv", *SMALL.split(), "--out", "m")
    assert code == 0 and "\x1b" not in shown and "\x07" not in shown
    for name in ("rate [/min]", "[/b]", "[red]", r"\x1b[31mred", r"a\x07b"):
        assert name in shown
    code, shown = run("fit", "table.csv", *SMALL.split(), "--out", "[b] \x1b[2J")
    assert code == 0 and "[b] \\x1b[2J: 40 rows" in " ".join(shown.split()) and "\x1b" not in shown
    assert list(Diffusion.load("m").feature_names_in_) == [*HOSTILE, "n"]
    error = refused(run, "sample", "m", "-n", 3, "--out", "rows.csv", "--where", "[red]=\x1b[2J")
    assert "\x1b" not in error
    error = refused(run, "fit", "table.csv", "--drop", "\x1b[2J", "--out", "m2")
    assert "\x1b" not in error


def _in_a_child(queue):
    try:
        Diffusion(**QUICK).fit(X)
    except RuntimeError as error:
        queue.put(str(error))


def test_a_forked_child_fails_instead_of_hanging():
    Diffusion(**QUICK).fit(X)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_child, args=(queue,))
    child.start()
    message = queue.get(timeout=60)
    child.join(60)
    assert "was forked after JAX had started" in message and "spawn" in message


@pytest.mark.parametrize(
    "text",
    ["many", *(pytest.param(each, marks=pytest.mark.slow) for each in ("1000000", "0", "-1", "1.5", "9" * 5000))],
)
def test_invalid_numbers_of_devices_are_refused(tmp_path, text):
    np.save(tmp_path / "rows.npy", X)
    command = [sys.executable, "-m", "pointillist", "fit", "rows.npy", *SMALL.split(), "--out", "m"]
    environment = {**os.environ, "POINTILLIST_DEVICES": text}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("pointillist: POINTILLIST_DEVICES must be a number of devices from 1 to 1024, not ")
