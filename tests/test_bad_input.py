"""Checks that bad input on the command line and in Python gives a one-line error and has no other effect."""

import gzip
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import date

import numpy as np
import pandas
import polars
import pyarrow
import pytest
from pyarrow import parquet
from scipy import sparse

from pointillist import Diffusion, DiffusionClassifier
from pointillist.cli import main
from pointillist.files.reading import read_numbers
from pointillist.models import checkpoint, training

N = 20
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 2))
Y = np.arange(N) % 2
KINDS = np.array(["left", "right"])[Y]
QUICK = {"timesteps": 5, "width": 8, "depth": 1, "epochs": 1, "random_state": 0}
FIT = "--epochs 1 --timesteps 5 --width 8 --depth 1"


def csv(columns):
    names = list(columns)
    lines = [names, *zip(*columns.values(), strict=True)]
    return "".join(",".join(map(str, line)) + "\n" for line in lines)


def with_value(value, row=3):
    return csv({"a": X[:, 0], "b": [value if i == row else x for i, x in enumerate(X[:, 1])]})


def table(**labels):
    return csv({"a": X[:, 0], "b": X[:, 1], **labels})


GOOD = table()
TEXTS = {
    "good.csv": GOOD,
    "labelled.csv": table(kind=KINDS),
    "nan.csv": with_value("nan"),
    "missing.csv": with_value(""),
    "inf.csv": with_value("inf"),
    "minus_inf.csv": with_value("-inf"),
    "words.csv": with_value("tall"),
    "empty.csv": "",
    "header.csv": "a,b\n",
    "one_row.csv": "a,b\n1,2\n",
    "same_names.csv": "a,a\n1,2\n3,4\n",
    "ragged.csv": "a,b\n1,2\n3,4,5\n",
    "no_header.csv": "1.5,2\n3,4\n5,6\n",
    "constant.csv": "a,b\n" + "1,2\n" * N,
    "large_integers.csv": f"id,b\n{2**53 + 1},0\n1,1\n",
    "only_kind.csv": csv({"kind": KINDS}),
    "continuous.csv": table(kind=RNG.normal(size=N)),
    "single.csv": table(kind=["left"] * N),
    "rare.csv": table(kind=["rare", *["often"] * (N - 1)]),
    "missing_label.csv": table(kind=["", *["often"] * (N - 1)]),
    "huge.csv": csv({"a": X[:, 0] * 1e300, "b": X[:, 1]}),
    "nine_rows.csv": csv({"a": X[:9, 0], "b": X[:9, 1]}),
    "other_names.csv": csv({"a": X[:, 0], "c": X[:, 1]}),
    "three.csv": csv({"a": X[:, 0], "b": X[:, 1], "c": X[:, 1]}),
    "good.dat": GOOD,
}
ARRAYS = {
    "good.npy": X,
    "nan.npy": np.where(np.arange(2 * N).reshape(N, 2) == 7, np.nan, X),
    "labelled.npy": np.column_stack([X, Y]),
    "objects.npy": np.array([[1, "a"], [2, None]], object),
    "complex.npy": X + 1j,
    "vector.npy": X[:, 0],
    "four_axes.npy": np.zeros((2, 2, 2, 2)),
    "large_integers.npy": np.array([[2**53 + 1, 0], [1, 1]]),
    "one_row.npy": X[:1],
    "three.npy": np.column_stack([X, X[:, 0]]),
}


@pytest.fixture(scope="session")
def fitted():
    return {"plain.model": Diffusion(**QUICK).fit(X), "classes.model": Diffusion(**QUICK).fit(X, KINDS)}


@pytest.fixture(scope="session")
def store(tmp_path_factory, fitted):
    """Creates a folder with good and bad files."""
    folder = tmp_path_factory.mktemp("store")
    for name, text in TEXTS.items():
        (folder / name).write_text(text)
    for name, array in ARRAYS.items():
        np.save(folder / name, array)
    for name, model in fitted.items():
        model.save(folder / name)
    (folder / "cut.model").write_bytes((folder / "plain.model").read_bytes()[:-9])
    (folder / "cut.npy").write_bytes((folder / "good.npy").read_bytes()[:-9])
    (folder / "latin.csv").write_bytes("größe,b\n1,2\n3,4\n".encode("latin-1"))
    (folder / "cut.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:-9])
    parquet.write_table(pyarrow.table({"a": X[:, 0], "when": np.arange(N).astype("M8[s]")}), folder / "dates.parquet")
    parquet.write_table(pyarrow.table({"a": [1.0, None, 3.0], "b": [1, 2, 3]}), folder / "nulls.parquet")
    (folder / "cut.parquet").write_bytes((folder / "dates.parquet").read_bytes()[:-9])
    for name in ("folder", "folder.csv"):
        (folder / name).mkdir()
    for name in ("was.model", "was.csv", "was.npy", "was.png"):
        (folder / name).write_text("as it was")
    unfinished(folder / "unfinished.checkpoint")
    return folder


def unfinished(path):
    """Leaves the checkpoint of a stopped training."""

    class Stop(Exception):
        pass

    def write_and_stop(self, progress, write=checkpoint.Checkpoint.write):
        write(self, progress)
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "CHECKPOINT_EVERY", 0.0)
        patch.setattr(checkpoint.Checkpoint, "write", write_and_stop)
        with pytest.raises(Stop):
            Diffusion(**QUICK | {"epochs": 2}).fit(X, checkpoint=path)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.fixture
def folder(tmp_path, store, monkeypatch):
    """Copies the store and makes it the working directory."""
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """The command line in this process: arguments → exit status and standard error."""

    def in_process(arguments):
        monkeypatch.setattr(sys, "argv", ["pointillist", *shlex.split(arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0, capsys.readouterr().err

    return in_process


# In commands, NEW stands for a name that is free, and then for one that is taken.
FITS = {
    "NaN in npy": ("nan.npy", "nan.npy: NaN in row 4, column '1'; drop or fill"),
    "inf": ("inf.csv", "inf.csv: an infinite value in row 4, column 'b'; drop or fill"),
    "-inf": ("minus_inf.csv", "minus_inf.csv: an infinite value in row 4, column 'b'; drop or fill"),
    "an empty file": ("empty.csv", "empty.csv: the file is empty"),
    "a header alone": ("header.csv", "header.csv: has 0 rows; at least 2 are needed"),
    "one row": ("one_row.csv", "one_row.csv: has 1 row; at least 2 are needed"),
    "words": ("words.csv", "words.csv: column 'b' holds numbers except for 'tall': clear these cells"),
    "duplicate names": ("same_names.csv", "same_names.csv: 2 columns are named 'a'; names must differ"),
    "ragged rows": ("ragged.csv", "ragged.csv: row 2 has 3 values, but the header names 2 columns"),
    "not UTF-8": ("latin.csv", "latin.csv: is not UTF-8 text: give its encoding (--encoding cp1252, latin-1, …), or"),
    "no header": (
        "no_header.csv",
        "no_header.csv: the first line must hold the names of the columns, but it holds num",
    ),
    "all columns constant": (
        "constant.csv",
        "pointillist: constant.csv: every column is constant, so there is nothing to learn: give rows",
    ),
    "integers beyond 2**53": ("large_integers.csv", "column 'id' holds integers beyond 2**53, which float64 cannot"),
    "large integers in npy": (
        "large_integers.npy",
        "column '0' holds integers beyond 2**53, which a float64 cannot hold: drop",
    ),
    "objects": ("objects.npy", "objects.npy: holds Python objects, not numbers; save a numeric array instead"),
    "complex": ("complex.npy", "complex.npy: holds complex128, not real numbers"),
    "a vector": ("vector.npy", "vector.npy: has 1 dimensions; rows need 2, or 3 to be flattened"),
    "four axes": ("four_axes.npy", "four_axes.npy: has 4 dimensions; rows need 2, or 3 to be flattened"),
    "a cut npy": ("cut.npy", "cut.npy: is not a whole .npy file (truncated"),
    "a cut gzip": ("cut.csv.gz", "cut.csv.gz: is not a whole gzip file"),
    "a cut parquet": ("cut.parquet", "cut.parquet: is not a whole .parquet file (truncated"),
    "missing file": ("none.csv", "none.csv: no such file or directory"),
    "a folder": (
        "folder.csv",
        "folder.csv: must hold files of one format, CSV or Parquet",
    ),
    "a folder's child": ("good.csv/a.csv", "good.csv/a.csv: not a directory"),
    "an unknown ending": (
        "good.dat",
        "good.dat: the file's name must end in one of .npy, .csv, .csv.gz, .tsv, .txt, .parquet",
    ),
    "a label column missing": ("good.csv --label kind", "there is no column 'kind'; the columns are a, b"),
    "a name in npy": ("good.npy --label kind", "there is no column 'kind'; the columns are 0, 1"),
    "only a label column": ("only_kind.csv --label kind", "has no column except the label 'kind'"),
    "continuous labels": (
        "continuous.csv --label kind",
        "pointillist: continuous.csv: column 'kind' holds no classes (Unknown label type: continuous): leave",
    ),
    "a single class": ("single.csv --label kind", "column 'kind' has a single class, 'left': leave"),
    "a class with one row": ("rare.csv --label kind", "column 'kind': class 'rare' has one row and needs at least 2"),
    "a missing label": ("missing_label.csv --label kind", "has a missing value in row 1, column 'kind'; drop or fill"),
    "values beyond float32": ("huge.csv --scaling none", "has values too large for the model's float32: scale it"),
    "zero timesteps": ("good.csv --timesteps 0", "timesteps must be an integer from 2 to 100,000, not 0"),
    "too many timesteps": (
        "good.csv --timesteps 1000000",
        "timesteps must be an integer from 2 to 100,000",
    ),
    "half a timestep": ("good.csv --timesteps 1.5", "Invalid value for '--timesteps': "),
    "zero width": ("good.csv --epochs 1 --width 0", "width must be an integer from 1 to 65,536, or None, not 0"),
    "negative epochs": ("good.csv --epochs -1", "epochs must be an integer from 1 to 2,147,483,647, or None"),
    "zero batch size": ("good.csv --batch-size 0", "batch_size must be an integer of at least 1, or None, not 0"),
    "learning rate NaN": (
        "good.csv --learning-rate nan",
        "learning_rate must be a number above 0 and at most 1",
    ),
    "p_uncond of 2": ("good.csv --p-uncond 2", "p_uncond must be a number from 0 to 1, not 2.0"),
    "p_uncond NaN": ("good.csv --p-uncond nan", "p_uncond must be a number from 0 to 1, not nan"),
    "a negative seed": ("good.csv --seed -1", "Invalid value for '--seed': "),
    "an unknown schedule": (
        "good.csv --schedule cubic",
        "Invalid value for '--schedule': 'cubic' is not one of 'linear', 'cosine', 'sigmoid'.",
    ),
    "betas": ("good.csv --schedule linear --beta-start 0.5", "need 0 < beta_start <= beta_end < 1"),
    "an unknown scaling": ("good.csv --scaling log", "'log' is not one of 'minmax', 'standard', 'none'."),
    "the checkpoint of another fit": (
        "good.csv --checkpoint unfinished.checkpoint",
        "pointillist: unfinished.checkpoint: is not a checkpoint of this training run (rows, parameters or ",
    ),
    "a model as checkpoint": ("good.csv --checkpoint plain.model", "plain.model: is not a checkpoint of this training"),
    "a table as checkpoint": ("good.csv --checkpoint three.csv", "three.csv: is not a model file"),
    "no checkpoint to discard": (
        "good.csv --fresh --checkpoint three.csv",
        "three.csv: is not a checkpoint of this version",
    ),
    "its data as checkpoint": ("good.csv --fresh --checkpoint good.csv", "good.csv: is a file to read and would"),
    "a folder as checkpoint": ("good.csv --checkpoint folder", "folder: is a directory"),
}
SAMPLES = {
    "missing model": ("none.model -n 3", "none.model: no such file or directory"),
    "a folder as model": ("folder -n 3", "folder: is a directory"),
    "a cut model": ("cut.model -n 3", "cut.model: is not a model file, or it is incomplete"),
    "a table as model": ("good.csv -n 3", "good.csv: is not a model file"),
    "an empty model": ("empty.csv -n 3", "empty.csv: is not a model file, or it is incomplete"),
    "a checkpoint as model": (
        "unfinished.checkpoint -n 3",
        "unfinished.checkpoint: is a checkpoint of an unfinished fit",
    ),
    "n not given": ("plain.model", "the number of rows is missing: give -n or --prior"),
    "n = 0": ("plain.model -n 0", "Invalid value for '--rows' / '-n': Input should be greater than or equal to 1"),
    "negative n": (
        "plain.model -n -3",
        "Invalid value for '--rows' / '-n': Input should be greater than or equal to 1",
    ),
    "n as letters": ("plain.model -n many", "Invalid value for '--rows' / '-n': "),
    "an unknown label": ("classes.model -n 3 --label up", "unknown label 'up': the model knows 'left', 'right'"),
    "a label without classes": ("plain.model -n 3 --label up", "plain.model: was fitted without labels: leave --label"),
    "guidance without classes": ("plain.model -n 3 --guidance 1", "guidance needs a model with classes, but this one"),
    "negative guidance": ("classes.model -n 3 --guidance -1", "guidance must be a number from 0 to 3e38, not -1.0"),
    "guidance NaN": ("classes.model -n 3 --guidance nan", "guidance must be a number from 0 to 3e38, not nan"),
    "an unknown sampler": (
        "plain.model -n 3 --sampler euler",
        "'euler' is not one of 'ancestral', 'ddim', 'dpm', 'dpm-sde', 'heun'.",
    ),
    "zero steps": (
        "plain.model -n 3 --steps 0",
        "steps must be an integer of at least 1, or None, not 0",
    ),
    "too many steps": (
        "plain.model -n 3 --sampler ddim --steps 6",
        "steps of ddim must be an integer from 1 to the model's timesteps, 5",
    ),
    "a wide prior": (
        "plain.model --prior three.npy",
        "prior must hold one row of 2 numbers for each row to draw, but",
    ),
    "a long prior": ("plain.model -n 3 --prior good.npy", "good.npy: number of rows is 20, but -n is 3: leave -n out"),
    "a prior with one row": (
        "plain.model -n 3 --prior one_row.npy",
        "one_row.npy: number of rows is 1, but -n is 3: leave -n out",
    ),
    "NaN in the prior": ("plain.model --prior nan.npy", "nan.npy: NaN in row 4, column '1'; drop or fill"),
    "missing prior": ("plain.model --prior none.npy", "none.npy: no such file or directory"),
    "a negative seed": ("plain.model -n 3 --seed -1", "Invalid value for '--seed': "),
    "an unknown option": ("plain.model -n 3 --temperature 2", "No such option: --temperature"),
}
PLACES = {
    "fit below a file": (
        f"fit good.csv {FIT} --out good.csv/new.model",
        "good.csv/new.model: is below good.csv, which",
    ),
    "fit to a folder": (f"fit good.csv {FIT} --out folder", "folder: is a directory"),
    "fit over its data": (
        f"fit good.csv {FIT} --out good.csv",
        "good.csv: is a file to read and would be overwritten",
    ),
    "fit with one file twice": (
        f"fit good.csv {FIT} --out m --checkpoint ./m",
        "m: is also the --checkpoint file, which is",
    ),
    "fit to a long name": (f"fit good.csv {FIT} --out {'a' * 300}", "file name too long"),
    "fit to here": (f"fit good.csv {FIT} --out .", ".: is a directory"),
    "fit without an output name": (f"fit good.csv {FIT} --out ''", ".: is a directory"),
    "fit with no checkpoint": (f"fit good.csv {FIT} --out m --checkpoint ''", ".: is a directory"),
    "sample to here": ("sample plain.model -n 3 --out .", ".: is a directory"),
    "sample without an output name": ("sample plain.model -n 3 --out ''", ".: is a directory"),
    "sample below a file": (
        "sample plain.model -n 3 --out good.csv/x/new.npy",
        "good.csv/x/new.npy: is below good.csv, which is a file, not a folder",
    ),
    "sample to a system folder": (
        "sample plain.model -n 3 --out /proc/new.csv",
        "/proc/new.csv: no such file or directory",
    ),
    "sample to a folder": ("sample plain.model -n 3 --out folder.csv", "folder.csv: is a directory"),
    "sample to a file that is not a table": (
        "sample plain.model -n 3 --out new.xlsx",
        "new.xlsx: the file's name must end in one of",
    ),
    "sample text to npy": (
        "sample classes.model -n 3 --out new.npy",
        "new.npy: column '2' is text, which needs a .csv or .parquet file",
    ),
}


def check_refusal(run, folder, arguments, message):
    before = contents(folder)
    status, errors = run(arguments)
    assert errors.startswith("pointillist: ") and errors.count("\n") == 1 and errors.endswith("\n"), errors
    assert message in errors
    assert status == 2
    assert contents(folder) == before


@pytest.mark.parametrize("out", ["new", "was"])
@pytest.mark.parametrize("arguments,message", FITS.values(), ids=FITS)
def test_fit_refuses(run, folder, arguments, message, out):
    defaults = [] if "--epochs" in arguments or "--timesteps" in arguments else [FIT]
    check_refusal(run, folder, " ".join(["fit", arguments, *defaults, f"--out {out}.model"]), message)


@pytest.mark.parametrize("out", ["new.csv", "was.npy"])
@pytest.mark.parametrize("arguments,message", SAMPLES.values(), ids=SAMPLES)
def test_sample_refuses(run, folder, arguments, message, out):
    check_refusal(run, folder, f"sample {arguments} --out {out}", message)


@pytest.mark.parametrize("arguments,message", PLACES.values(), ids=PLACES)
def test_outputs_that_cannot_be_written(run, folder, arguments, message):
    check_refusal(run, folder, arguments, message)


EVALUATIONS = {
    "no file": ("none.csv good.csv", "none.csv: no such file or directory"),
    "other columns": ("good.csv other_names.csv", "has no column 'b', which good.csv has: pass the same columns"),
    "more columns": (
        "three.csv good.csv",
        "good.csv has no column 'c', which three.csv has: pass the same columns",
    ),
    "more columns in npy": ("good.npy three.npy", "three.npy has 3 column(s) and good.npy has 2: give the same"),
    "too few rows": ("nine_rows.csv good.csv", "nine_rows.csv: has 9 rows; at least 10 are needed"),
    "too few data": ("good.csv nine_rows.csv", "nine_rows.csv: has 9 rows; at least 10 are needed"),
    "labels missing": (
        "good.csv labelled.csv --target kind",
        "good.csv: there is no column 'kind'; the columns are a, b",
    ),
    "other holdout": ("good.csv good.csv --holdout three.csv", "good.csv has no column 'c', which three.csv has"),
    "a negative seed": ("good.csv good.csv --seed -1", "Invalid value for '--seed': "),
    "a figure over a table": (
        "good.csv good.csv --figure three.csv",
        "three.csv: the name of --figure must end in .png",
    ),
    "a report that is not a page": (
        "good.csv good.csv --html report.txt",
        "report.txt: the name of --html must end in .html",
    ),
    "a report below a file": (
        "good.csv good.csv --html good.csv/a.html",
        "good.csv/a.html: is below good.csv, which is",
    ),
    "a figure below a file": (
        "good.csv good.csv --figure good.csv/a.png",
        "good.csv/a.png: is below good.csv, which is",
    ),
}


@pytest.mark.parametrize("arguments,message", EVALUATIONS.values(), ids=EVALUATIONS)
def test_evaluate_refuses(run, folder, arguments, message):
    check_refusal(run, folder, f"evaluate {arguments}", message)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everywhere")
def test_files_without_permission(run, folder):
    (folder / "folder").chmod(0o500)
    check_refusal(run, folder, f"fit good.csv {FIT} --out folder/new.model", "folder/new.model: permission denied")
    check_refusal(run, folder, "sample plain.model -n 3 --out folder/new.csv", "folder/new.csv: permission denied")
    (folder / "folder").chmod(0o700)
    for name, command in (("three.csv", f"fit three.csv {FIT}"), ("plain.model", "sample plain.model -n 3")):
        (folder / name).chmod(0)
        status, errors = run(f"{command} --out new.csv")
        assert status == 2 and errors.count("\n") == 1 and f"'{name}' is not readable" in errors
        (folder / name).chmod(0o600)


IN_A_PROCESS = """
import resource, sys
limit = int(sys.argv.pop(1))
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from pointillist.cli import main
main()
"""


def start(folder, limit, arguments):
    command = [sys.executable, "-c", IN_A_PROCESS, str(limit), *arguments.split()]
    # A full disk leaves parts in the cache of compiled programs as well.
    environment = {**os.environ, "POINTILLIST_CACHE": f"{folder}-cache"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


FULL = {
    "fit": (f"fit good.csv {FIT} --out was.model", 2_000, "was.model.checkpoint"),
    "sample": ("sample plain.model -n 20000 --out was.csv", 100_000, "was.csv"),
}


@pytest.mark.slow
@pytest.mark.parametrize("arguments,limit,name", FULL.values(), ids=FULL)
def test_a_full_disk(folder, arguments, limit, name):
    before = contents(folder)
    process = start(folder, limit, arguments)
    _, errors = process.communicate(timeout=60)
    # On a busy machine the progress bar may have printed a line.
    assert (process.returncode, errors.splitlines()[-1]) == (2, f"pointillist: {name}: file too large")
    assert contents(folder) == before


def start_long_sample(folder, name):
    """Starts a writer that waits in the middle of its file."""
    process = start(folder, 0, f"sample plain.model -n 50000000 --out {name}")
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size > 100_000 for part in folder.glob(f".{name}.*.part")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("name", ["new.csv", "was.csv"])
def test_a_terminated_writer(folder, name):
    before = contents(folder)
    process = start_long_sample(folder, name)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in errors
    assert contents(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["new.csv", "was.csv"])
def test_a_killed_writer(folder, name):
    before = contents(folder)
    process = start_long_sample(folder, name)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    # Nothing can clean up after a SIGKILL, but the leftover file is hidden.
    assert {
        name_of_file: held
        for name_of_file, held in contents(folder).items()
        if not name_of_file.startswith(f".{name}.")
    } == before


def save_text(path, columns):
    path.write_text(csv(columns))


WIDE = np.arange(20 * 10_000).reshape(20, 10_000) % 97 / 97
LARGE = {"id": [2**24 + 1, 2**53, 2**24 + 3, 5] * 5, "b": range(N)}
WORKS = {
    "one column": (lambda path: save_text(path, {"a": X[:, 0]}), "a.csv"),
    "mixed line endings": (lambda path: path.write_bytes(GOOD.replace("\n", "\r\n", 5).encode()), "a.csv"),
    "a byte-order mark": (lambda path: path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode()), "a.csv"),
    "values beyond float32": (lambda path: save_text(path, {"a": X[:, 0] * 1e300, "b": X[:, 1]}), "a.csv"),
    "integers beyond 2**24": (lambda path: save_text(path, LARGE), "a.csv"),
    "integers beyond 2**24 in npy": (lambda path: np.save(path, np.array(list(LARGE.values())).T), "a.npy"),
    "two rows": (lambda path: path.write_text("a,b\n1,2\n3,4\n"), "a.csv"),
    "a constant column": (lambda path: save_text(path, {"a": [1] * N, "b": X[:, 1]}), "a.csv"),
}


@pytest.mark.slow
def test_many_columns_work(run, folder):
    test_unusual_input_that_is_accepted(run, folder, lambda path: np.save(path, WIDE), "a.npy")


@pytest.mark.parametrize(
    "write,name",
    [pytest.param(*each, marks=[pytest.mark.slow] * (id == "two rows"), id=id) for id, each in WORKS.items()],
)
def test_unusual_input_that_is_accepted(run, folder, write, name):
    write(folder / name)
    assert run(f"fit {name} {FIT} --out m")[0] == 0
    assert run(f"sample m -n 30 --out new-{name}") == (0, "")
    table, rows = read_numbers(name), read_numbers(f"new-{name}")
    assert rows.names == table.names and len(rows.rows) == 30
    low, high = table.rows.min(axis=0), table.rows.max(axis=0)
    # A tenth of half the range, plus rounding of float32.
    margin = np.where([kind == "int64" for kind in table.types], 0, 0.1001 * (high / 2 - low / 2))
    assert (rows.rows >= low - margin).all() and (rows.rows <= high + margin).all()
    whole = [kind == "int64" for kind in table.types]
    assert (rows.rows[:, whole] == np.round(rows.rows[:, whole])).all()


FRAME = pandas.DataFrame(X, columns=["a", "b"])


def _objects(values):
    array = np.empty(N, object)
    array[:] = list(values)
    return array


PYTHON = {
    "objects in a frame": (
        FRAME.assign(b=np.array([1, "x"] * 10, object)),
        None,
        "column 'b' holds (values of several kinds: give it one kind|Object, not numbers)",
    ),
    "NaN in a frame": (FRAME.assign(a=np.nan, b=np.nan), None, "column 'a' has (no value at all: drop it|20 missing)"),
    "duplicate names": (FRAME.set_axis(["a", "a"], axis=1), None, "two columns have the same name: rename one"),
    "a path": ("good.csv", None, "X is a str, not a table: read the file first"),
    "a dictionary": ({"a": [1.0, 2.0]}, None, "X is a dict, not a table: make a data frame"),
    "a lazy frame": (polars.LazyFrame({"a": [1.0, 2.0]}), None, "X is a LazyFrame, not a table: collect it"),
    "a model": (Diffusion(), None, "X is a Diffusion, not a table: draw rows"),
    "NaN": (np.where(X.max() - 0.1 < X, np.nan, X), None, "X has NaN in row .*: drop or fill such rows first"),
    "inf": (np.where(X.max() - 0.1 < X, np.inf, X), None, "X has inf in row .*: drop or fill such rows first"),
    "-inf": (np.where(X.max() - 0.1 < X, -np.inf, X), None, "X has inf in row .*: drop or fill such rows first"),
    "complex": (X + 1j, None, "Complex data not supported: give X's real and imaginary parts as columns"),
    "three axes": (np.zeros((3, 3, 3)), None, "Found array with dim 3"),
    "one axis": (X[:, 0], None, "Expected 2D array, got 1D array instead. Reshape your data: X.reshape"),
    "a number": (3.0, None, "Expected 2D array, got scalar array instead. Reshape your data"),
    "ragged lists": ([[1, 2], [3]], None, "X holds rows of different lengths"),
    "objects": (np.array([[1, "a"], [2, "b"]], object), None, "X is not all numbers .*: drop or encode these columns"),
    "text": (np.array([["a", "b"], ["c", "d"]]), None, "X is not all numbers .*: drop or encode these columns"),
    "no rows": (X[:0], None, "Found array with 0 sample"),
    "one row": (X[:1], None, "Found array with 1 sample"),
    "all columns constant": (
        np.ones((9, 3)),
        None,
        "every column is constant, so there is nothing to learn: give",
    ),
    "integers beyond 2**53": (np.array([[2**53 + 1], [0]]), None, "X holds integers beyond 2.*: drop or divide them"),
    "y with another length": (X, Y[:-1], "X has 20 rows but y has 19 labels"),
    "y with None": (X, [None, *KINDS[1:]], "y has missing labels: drop these rows, or give them a separate label"),
    "y with NaN": (X, np.where(Y, 1.0, np.nan), "y has NaN or infinite labels: drop these rows"),
    "y with two types": (
        X,
        np.array([1, "x"] * 10, object),
        "y mixes labels of kinds int, text: give labels of one kind",
    ),
    "y continuous": (X, X[:, 0], "y holds no classes .Unknown label type: continuous.: leave it out, or round"),
    "y of dates": (X, Y.astype("M8[D]"), r"y holds datetime64\[D\], but labels must be numbers, booleans or text"),
    "y complex": (X, Y + 1j, "y holds complex128, but labels must be numbers, booleans or text: convert it"),
    "y with one class": (X, np.zeros(N), "y has a single class, 0.0: leave y out"),
    "y with one row in a class": (X, ["rare", *["often"] * 19], "class 'rare' has one row and needs at"),
    "y of pairs": (X, _objects((int(i), 0) for i in Y), "y holds tuple, but labels must be numbers, booleans or"),
    "y of days": (X, _objects(date(2020, 1, 1 + int(i)) for i in Y), "y holds date, but labels must be numbers,"),
    "y of bytes": (X, _objects(b"ab"[i : i + 1] for i in Y), "y holds bytes, but labels must be numbers, booleans"),
    "y of huge integers": (X, _objects(2**70 + int(i) for i in Y), "y holds int, but labels must be numbers,"),
    "y with two columns": (X, np.stack([Y, Y], axis=1), "y should be a 1d array, got an array of shape"),
}


@pytest.mark.parametrize("rows,y,message", PYTHON.values(), ids=PYTHON)
@pytest.mark.parametrize("kind", [Diffusion, DiffusionClassifier])
def test_python_refuses(kind, rows, y, message):
    # Missing cells and text are allowed in a table that need not be numeric.
    is_of_numbers = message.startswith(("X has NaN", "X is not all numbers"))
    estimator = Diffusion(**QUICK, process="gaussian" if is_of_numbers else "auto")
    if kind is DiffusionClassifier:
        estimator = DiffusionClassifier(estimator)
        y = np.arange(getattr(rows, "shape", (2,))[0]) % 2 if y is None else y
    with pytest.raises(ValueError, match=message) as error:
        estimator.fit(rows, y)
    assert len(str(error.value).splitlines()) == 1
    assert not [name for name in vars(estimator) if name.endswith("_")]


def test_python_refuses_sparse_rows():
    for make in (sparse.csr_matrix, sparse.csr_array, sparse.dok_array):
        with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
            Diffusion(**QUICK).fit(make(X))


def test_values_beyond_float32_need_a_scaling():
    with pytest.raises(ValueError, match=r"column 1 has values too large for the model's float32: scale it"):
        Diffusion(**QUICK, scaling=None).fit(X * [1, 1e39])
    assert np.isfinite(Diffusion(**QUICK).fit(X * [1, 1e300]).sample(9)).all()


USES = {
    "scores of rows with other columns": (
        lambda model: model.score_samples(X[:, :1]),
        ValueError,
        "X has 1 features, but Diffusion",
    ),
    "scores of NaN": (lambda model: model.score_samples(X * np.nan), ValueError, "X has NaN in row 0, column 0: drop"),
    "a prior with other columns": (
        lambda model: model.sample(prior=X[:, :1]),
        ValueError,
        "prior must hold one row of 2 numbers for each row to draw, but it is float64 of shape",
    ),
    "a prior with another length": (
        lambda model: model.sample(3, prior=X),
        ValueError,
        "prior has 20 entries but n_samples is 3: leave one of them out",
    ),
    "a prior with NaN": (lambda model: model.sample(prior=X * np.nan), ValueError, "prior has NaN in row 0, column 0"),
    "a prior as text": (
        lambda model: model.sample(prior=[["a", "b"]]),
        ValueError,
        "prior must hold one row of 2 numb",
    ),
    "a negative n": (
        lambda model: model.sample(-1),
        ValueError,
        "n_samples must be an integer of at least 0",
    ),
    "n as text": (
        lambda model: model.sample("3"),
        ValueError,
        "n_samples must be an integer of at least 0",
    ),
    "guidance as text": (
        lambda model: model.sample(3, guidance="strong"),
        ValueError,
        "guidance must be a number from 0 to 3e38, not 'strong'",
    ),
    "half a step": (
        lambda model: model.sample(3, steps=2.5),
        ValueError,
        "steps must be an integer of at least 1, or None, not 2.5",
    ),
    "an unknown keyword": (lambda model: list(model.sample_batches(3, temperature=1)), TypeError, "temperature"),
    "labels for a model without classes": (
        lambda model: model.sample(3, labels=1),
        ValueError,
        "labels need a model with classes",
    ),
    "a folder for a model": (lambda model: model.save(os.curdir), OSError, "is a directory"),
    "a model below a file": (lambda model: model.save(f"{__file__}/m"), NotADirectoryError, "is a file, not a folder"),
    "no file": (lambda model: model.load("none.model"), FileNotFoundError, "none.model: no such file or directory"),
    "a folder": (lambda model: model.load(os.curdir), IsADirectoryError, r"\.: is a directory"),
    "a source file": (lambda model: model.load(__file__), ValueError, "is not a model file"),
}


@pytest.mark.parametrize("use,error,message", USES.values(), ids=USES)
def test_wrong_uses_in_python_are_refused(fitted, use, error, message):
    with pytest.raises(error, match=message) as caught:
        use(fitted["plain.model"])
    assert len(str(caught.value).splitlines()) == 1
