import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from pointillist.cli import main


def command(*arguments, **options):
    full = [sys.executable, "-m", "pointillist", *map(str, arguments)]
    return subprocess.run(full, capture_output=True, text=True, **options)


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs the command in this process, in an empty folder; faster than `command`, with the same result."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pointillist", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, stop.value.code or 0, shown.out, shown.err)

    return run


def assert_not_loaded(libraries, code, *arguments, cwd=None):
    """Runs code in a new process with command-line arguments, and checks that it imports none of the libraries."""
    code += f"\nheavy = {libraries} & set(sys.modules)\nassert not heavy, heavy"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done


MAIN = """
import sys
from pointillist.cli import main
sys.argv = ['pointillist', *sys.argv[1:]]
try: main()
except SystemExit as stop: assert not stop.code
"""


def test_help_loads_no_numerical_library():
    done = assert_not_loaded({"jax", "numpy", "scipy", "sklearn", "matplotlib", "pyarrow"}, MAIN, "--help")
    assert "study" in done.stdout and "report" in done.stdout


@pytest.mark.parametrize("target", [[], ["--label", "2"]])
def test_an_array_is_fitted_and_drawn_without_arrow(tmp_path, target):
    rows = np.random.default_rng(0).normal(size=(60, 2))
    np.save(tmp_path / "rows.npy", np.column_stack([rows, [0, 1] * 30]) if target else rows)
    quick = ["--epochs", "1", "--width", "8", "--depth", "1", "--out", "m"]
    for arguments in (["fit", "rows.npy", *quick, *target], ["sample", "m", "-n", "5", "--out", "new.npy"]):
        assert_not_loaded({"pyarrow", "pandas", "polars", "sklearn"}, MAIN, *arguments, cwd=tmp_path)


def test_importing_the_estimator_loads_only_jax():
    code = "import sys\nfrom pointillist import Diffusion\nDiffusion(epochs=3).set_params(width=8)"
    assert_not_loaded({"scipy", "sklearn", "matplotlib", "pyarrow", "pandas"}, code)


def test_modules_that_fit_a_file_do_not_import_scikit_learn():
    code = (
        "import sys\n"
        "import pointillist.cli.rows, pointillist.cli.table_options\n"
        "import pointillist.models.fitting, pointillist.models.saving"
    )
    assert_not_loaded({"sklearn", "scipy.stats", "matplotlib"}, code)


@pytest.mark.slow
def test_rows_of_a_file_are_fitted_without_waiting_for_scikit_learn(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b,kind\n" + "".join(f"{i**0.5},{i / 7},{'xy'[i % 2]}\n" for i in range(40)))
    code = (
        "import sys\n"
        "from pointillist.cli import app\n"
        "for arguments in sys.argv[1:]:\n"
        "    app(arguments.split(), standalone_mode=False)"
    )
    fit = "fit rows.csv --label kind --epochs 1 --batch-size 40 --width 8 --depth 1 --timesteps 5 --out rows.model"
    commands = fit, "sample rows.model -n 3 --out new.csv"
    assert_not_loaded({"sklearn", "scipy.stats", "matplotlib"}, code, *commands, cwd=tmp_path)
    assert (tmp_path / "new.csv").read_text().startswith("a,b,kind\n")


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], [], ["fit", "-h"], ["sample", "--help"], ["study", "-h"]])
def test_help_everywhere(arguments):
    done = command(*arguments)
    assert done.returncode == 0 and "Usage: pointillist" in done.stdout


def test_help_has_defaults_and_choices():
    shown = " ".join(command("fit", "-h").stdout.split())
    assert "[default: (96, or 192 with given columns; 192 with mixed columns;" in shown
    assert "depends on the kinds of mixed columns" in shown
    assert "<linear|cosine|sigmoid>" in shown and "-o, --out MODEL" in shown
    shown = " ".join(command("sample", "-h").stdout.split())
    assert "<ancestral|ddim|dpm|dpm-sde|heun>" in shown and "-n, --rows" in shown and "--label VALUE" in shown


def test_help_has_groups_of_options(run):
    sections = re.findall(r"^(\w[\w ]*):\n((?:  .*\n|\n)*)", run("fit", "-h").stdout, re.MULTILINE)
    found = {heading: re.findall(r"^  (?:-\w, )?--(\S+)", text, re.MULTILINE) for heading, text in sections}
    assert [*found] == ["Arguments", "Options", "Reading the table", "Training", "Privacy", "Advanced"]
    assert found["Options"] == ["out", "label", "minutes", "epochs", "drop", "type", "seed", "quiet", "help"]
    assert found["Privacy"] == ["epsilon", "delta", "domain"] and "delimiter" in found["Reading the table"]
    advanced = {"timesteps", "schedule", "beta-start", "beta-end", "batch-size", "learning-rate", "p-uncond", "p-given"}
    assert advanced | {"process"} == {*found["Advanced"]}


@pytest.mark.parametrize(("name", "option", "meant"), [("fit", "target", "label"), ("evaluate", "label", "target")])
def test_an_option_of_another_command_is_called_by_its_name(run, name, option, meant):
    done = run(name, "a.csv", "b.csv", f"--{option}", "kind")
    assert done.returncode == 2
    assert done.stderr == f"pointillist: No such option: --{option} (Possible options: --{meant})\n"


def test_version_and_debug_after_the_command(tmp_path):
    from pointillist import __version__

    assert command("--version").stdout == f"pointillist {__version__}\n"
    done = command("report", ".", "--debug", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" in done.stderr and "holds no study.db" in done.stderr
    assert "--install-completion" in command("--help").stdout


BAD = {
    "missing spec": (["study", "none.toml"], "none.toml: there is no such file, and the built-in specs are report"),
    "unknown set": (["study", "bad.toml"], "bad.toml: datasets: unknown set 'moon'"),
    "unknown section": (["study", "--only", "guide"], "there is no section 'guide'"),
    "zero epochs": (["study", "--epochs", "0"], "--epochs = 0: must be an integer"),
    "missing study": (["report", "."], "holds no study.db"),
    "nan rows": (["study", "nan.toml"], "NaN in row 2, column '1'"),
    "a file for a folder": (["study", "nan.toml", "--out", "nan.csv"], "nan.csv"),
    "a foreign store": (["study", "good.toml", "--out", "foreign"], "cannot be used as a study's store"),
    "not a number": (["study", "--seeds", "many"], "Invalid value for '--seeds'"),
    "unknown option": (["study", "--seed", "3"], "--seed"),
    "unknown command": (["studdy"], "studdy"),
}


@pytest.mark.parametrize("arguments,message", BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_status_2(run, tmp_path, arguments, message):
    (tmp_path / "bad.toml").write_text('datasets = "moon"')
    (tmp_path / "good.toml").write_text('datasets = "moons"')
    (tmp_path / "nan.toml").write_text('datasets = "nan.npy"\nemd_rows = 2')
    (tmp_path / "nan.csv").write_text("x,y\n1,2\n")
    import numpy as np

    np.save(tmp_path / "nan.npy", np.array([[1, 2], [3, np.nan], [4, 5]]))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "study.db").write_text("not a database, but as long as a database's head would be" * 9)
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.startswith("pointillist: ") and done.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("results.csv"))


def test_debug_before_the_command_shows_the_traceback(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["pointillist", "--debug", "report", str(tmp_path)])
    with pytest.raises(Exception, match=r"holds no study\.db"):
        main()


TINY = """
datasets = "digits"
timesteps = [3, 4]
width = 8
depth = 1
epochs = 2
n_samples = 60
emd_rows = 50
"""


@pytest.mark.slow
def test_a_study_from_toml_to_files_and_again_from_the_store(run, tmp_path):
    (tmp_path / "my.toml").write_text(TINY)
    done = run("study", "my.toml")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "results" / "my"
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert names == [
        "figures/my_digits_rows.png", "figures/my_losses.png", "figures/my_metrics.png",
        "index.html", "results.csv", "results.html", "study.db", "tables/my.md",
    ]  # fmt: skip
    shown = run("info", out).stdout
    assert "2 finished, 0 missing" in shown and "digits" in shown
    assert "C2ST" in done.stdout and "baseline" in done.stdout
    before = {name: (out / name).read_bytes() for name in names if name != "study.db"}
    for name in before:
        (out / name).unlink()
    assert run("report", out).returncode == 0
    assert {name: (out / name).read_bytes() for name in before} == before
    mine = [out / "figures" / "mine.png", out / "tables" / "mine.md"]
    for path in mine:
        path.write_text("mine")
    fresh = run("study", "my.toml", "--fresh", "--epochs", "1")
    assert fresh.returncode == 0 and (out / "results.csv").read_bytes() != before["results.csv"]
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text("mine")
    for options in ([], ["--fresh"]):
        refused = run("study", "my.toml", "--out", other, *options)
        assert refused.returncode == 2 and "holds index.html, and no study: give another folder" in refused.stderr
    assert [path.name for path in other.iterdir()] == ["index.html"] and (other / "index.html").read_text() == "mine"


def test_running_out_of_a_devices_memory_is_one_line(monkeypatch, capsys):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.")

    monkeypatch.setattr("pointillist.models.saving.is_relational", fail)
    monkeypatch.setattr("sys.argv", ["pointillist", "sample", "none.model", "-n", "3", "-o", "rows.csv"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr().err == "pointillist: not enough memory: give fewer rows or a smaller model\n"
