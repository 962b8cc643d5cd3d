import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress
from support import dump, write_tiny

from pointillist.datasets.pointsets import true_log_density
from pointillist.engine import weights
from pointillist.engine.recipes import Architecture
from pointillist.engine.training import StackTrainer
from pointillist.metrics import METRICS
from pointillist.study import models, runner
from pointillist.study.grid import Dataset, random_seed, study_cells
from pointillist.study.measuring import held_out, measure_baseline, measure_rows
from pointillist.study.outputs import write_outputs
from pointillist.study.result_tables import markdown
from pointillist.study.results import Results
from pointillist.study.settings import Settings
from pointillist.study.spec import SpecError
from pointillist.study.spec_files import load_spec, parse_spec
from pointillist.study.store import Model, Store, StoreError

CONSOLE = Console(quiet=True)


def run(spec, folder):
    folder.mkdir(exist_ok=True)
    with Store(folder / "study.db") as store:
        runner.run_study(spec, store, CONSOLE)
        return dump(store)


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Returns the folder of the computed study of `tiny`, and the content of its store."""
    folder = tmp_path_factory.mktemp("computed")
    write_tiny(folder)
    return folder / "whole", run(load_spec(str(folder / "tiny.toml")), folder / "whole")


@pytest.fixture
def whole(computed, tmp_path):
    """A copy of the computed study."""
    folder, content = computed
    shutil.copytree(folder, tmp_path / "whole")
    return content


def test_every_cell_is_computed_once_and_kept(tiny, tmp_path, whole):
    assert len(whole["cells"]) == 6  # 2 sets x 2 numbers of timesteps, cosine and sigmoid; one cell is shared
    assert len(whole["models"]) == len(whole["rows"]) == 6
    assert len(whole["baselines"]) == 2 * 4
    with Store(tmp_path / "whole" / "study.db") as store:
        results = Results(store)
        assert results.finished_and_missing() == (6, 0)
        assert [len(store.measures(key)) for key in store.finished()] == [4] * 6
        steps, kinds = results.spec.sections
        name = steps.datasets[0]
        settings = steps.columns[0].settings
        assert kinds.columns[0].settings == settings
        rows = results.generated(name, settings)
        assert rows.shape == (100, 2) and rows.dtype == np.float32 and np.isfinite(rows).all()
        (losses,) = results.losses(name, settings)
        assert losses.shape == (3,) and (losses > 0).all()
        assert results.dataset(name).rows.min() == -1 and results.dataset(name).rows.max() == 1


@pytest.mark.slow
def test_the_likelihood_of_held_out_rows(tmp_path):
    text = """
datasets = ["blobs", "moons"]
width = 8
depth = 1
time_embedding = 4
epochs = 2
n_samples = 100
emd_rows = 20
n_held_out = 40
timesteps = 20
schedule = "cosine"
sampler = "dpm"
steps = 5
"""
    spec = parse_spec(text, tmp_path / "likelihood.toml")
    run(spec, tmp_path)
    with Store(tmp_path / "study.db") as store:
        results = Results(store)
        rows = {row.dataset: row for row in results.rows(results.spec.sections[0]) if row.metric == "nll"}
        fresh = held_out("blobs", 40)[0]
        assert rows["moons"].baseline is None
        assert rows["blobs"].baseline.value == pytest.approx(-true_log_density("blobs", fresh).mean())
        # The model has hardly learned: its value is far above the true distribution's.
        assert rows["blobs"].baseline.value + 0.5 < rows["blobs"].cells[0].value < 10
        assert "held-out NLL (nats)" in markdown(results, results.spec.sections[0])


def test_the_baseline_error_of_report_nll_is_for_the_number_of_drawn_rows():
    rows = np.random.default_rng(0).normal(size=(4000, 2)).astype(np.float32)
    dataset = Dataset("rows", rows[np.argsort(rows[:, 0])])  # ordered rows are not random

    def spread(n_samples):
        return measure_baseline("report_nll", dataset, Settings(n_samples=n_samples), None)["report_nll"].spread

    assert spread(5000) == spread(2000) == METRICS["report_nll"](dataset.rows[::2], dataset.rows[1::2]).standard_error
    assert spread(80) == pytest.approx(5 * spread(2000), rel=0.4)


def test_a_second_run_computes_nothing(tiny, tmp_path, whole, monkeypatch):
    monkeypatch.setattr(StackTrainer, "run", lambda *_: pytest.fail("trained again"))
    assert run(load_spec(str(tiny)), tmp_path / "whole") == whole


def test_baselines_of_another_version_are_measured_again(tiny, tmp_path, whole, monkeypatch):
    monkeypatch.setattr("pointillist.study.quantities.RESULT_VERSION", 0)
    again = run(load_spec(str(tiny)), tmp_path / "whole")
    assert again["cells"] == whole["cells"]
    assert len(again["baselines"]) == 2 * len(whole["baselines"])


def test_more_seeds_add_cells_and_keep_the_others(tiny, tmp_path, whole):
    more = run(load_spec(str(tiny)).with_seeds(2), tmp_path / "whole")
    assert len(more["cells"]) == 12 and set(whole["cells"]) < set(more["cells"])


@pytest.mark.slow
def test_sections_alone_give_the_same_cells(tiny, tmp_path, whole):
    part = run(load_spec(str(tiny)).only(["kinds"]), tmp_path / "part")
    assert len(part["cells"]) == 3 and set(part["cells"]) < set(whole["cells"])


@pytest.mark.slow
@pytest.mark.parametrize("models_per_stack", [1, 4])
def test_stacks_change_nothing(tiny, tmp_path, whole, monkeypatch, models_per_stack):
    monkeypatch.setattr(models, "MODELS_PER_STACK", models_per_stack)
    assert run(load_spec(str(tiny)), tmp_path / "stacks") == whole


@pytest.mark.parametrize("calls", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 4))])
def test_an_interruption_anywhere_changes_nothing(tiny, tmp_path, whole, monkeypatch, calls):
    """Stops after a number of device calls with checkpoints, then resumes."""
    train, left = StackTrainer.run, [calls]

    def run_and_stop(self, epochs):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return train(self, 1)

    monkeypatch.setattr(models, "KEEP_EVERY", 0.0)
    monkeypatch.setattr(StackTrainer, "run", run_and_stop)
    with pytest.raises(KeyboardInterrupt):
        run(load_spec(str(tiny)), tmp_path / "stopped")
    with Store(tmp_path / "stopped" / "study.db") as store:
        assert len(store.finished()) < 6
        assert store.connection.execute("SELECT COUNT(*) FROM checkpoints").fetchone()[0] > 0
    monkeypatch.setattr(StackTrainer, "run", train)
    assert run(load_spec(str(tiny)), tmp_path / "stopped") == whole


@pytest.mark.parametrize("stop", [KeyboardInterrupt, pytest.param(SystemExit, marks=pytest.mark.slow)])
def test_the_state_is_kept_however_a_study_is_stopped(tiny, tmp_path, whole, monkeypatch, stop):
    train = StackTrainer.run

    def run_and_ask(self, epochs):
        losses = train(self, 1)
        os.kill(os.getpid(), signal.SIGINT if stop is KeyboardInterrupt else signal.SIGTERM)
        return losses

    monkeypatch.setattr(StackTrainer, "run", run_and_ask)
    with pytest.raises(stop):
        run(load_spec(str(tiny)), tmp_path / "stopped")
    with Store(tmp_path / "stopped" / "study.db") as store:
        assert store.connection.execute("SELECT MIN(epoch), MAX(epoch) FROM checkpoints").fetchone() == (1, 1)
    monkeypatch.setattr(StackTrainer, "run", train)
    assert run(load_spec(str(tiny)), tmp_path / "stopped") == whole


@pytest.mark.parametrize("table", ["models", "baselines", pytest.param("rows", marks=pytest.mark.slow)])
def test_deleted_results_are_recomputed_to_the_same_bits(tiny, tmp_path, whole, table):
    with closing(sqlite3.connect(tmp_path / "whole" / "study.db")) as connection:
        connection.execute(f"DELETE FROM {table} WHERE rowid = 1")
        connection.execute("DELETE FROM cells")
        connection.commit()
    assert run(load_spec(str(tiny)), tmp_path / "whole") == whole


def test_networks_of_another_study_are_refused(computed, tmp_path, whole):
    path = tmp_path / "whole" / "study.db"
    spec = load_spec(str(computed[0].parent / "tiny.toml"))
    with Store(path) as store:
        (cell, *_) = study_cells(spec, Results(store).fingerprints)
        store.connection.execute("DELETE FROM cells")
        store.connection.execute("DELETE FROM rows")
        store.add_models({cell.model_key: Model(np.ones(3, np.float32), b"weights")})
    with pytest.raises(StoreError, match=r"study\.db: is damaged: not whole safetensors data"):
        run(spec, path.parent)


def test_a_diverged_model_has_no_measures(tiny):
    spec = load_spec(str(tiny)).only(["kinds"])
    cell = study_cells(spec, dict.fromkeys(spec.sections[0].datasets, "fingerprint"))[0]
    data = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    rows = data[:100].copy()
    assert all(np.isfinite(measure) for measure in measure_rows(cell, data, rows, None).values())
    rows[7, 1] = np.inf
    assert all(np.isnan(measure) for measure in measure_rows(cell, data, rows, None).values())


def test_sizes_that_do_not_fit_are_refused_before_anything_is_computed(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(StackTrainer, "run", lambda *_: pytest.fail("trained"))
    text = tiny.read_text()
    tiny.write_text(text.replace("batch_size = 32", "batch_size = 250"))
    with pytest.raises(SpecError, match=r"steps, other \(200 rows\): batch_size = 250 is more than the number of rows"):
        run(load_spec(str(tiny)), tmp_path / "out")
    tiny.write_text(text.replace("emd_rows = 20", "emd_rows = 101"))
    with pytest.raises(SpecError, match=r"emd_rows = 101 must be at most 100"):
        run(load_spec(str(tiny)), tmp_path / "out")
    np.save(tiny.parent / "rows.npy", np.random.default_rng(0).normal(size=(19, 2)))
    tiny.write_text(text.replace("batch_size = 32", "batch_size = 4").replace("emd_rows = 20", "emd_rows = 2"))
    with pytest.raises(SpecError, match=r"steps, rows \(19 rows\): needs at least 20 rows"):
        run(load_spec(str(tiny)), tmp_path / "out")


@pytest.mark.slow
def test_the_fewest_rows_are_enough(tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(20, 2)))
    network = "width = 8\ndepth = 1\ntime_embedding = 4\nepochs = 1\ntimesteps = 5\nbatch_size = 4\nemd_rows = 2\n"
    text = f'datasets = "rows.npy"\nn_samples = 10\n{network}'
    spec = parse_spec(text, tmp_path / "few.toml")
    assert len(run(spec, tmp_path / "out")["cells"]) == 1
    text = f'datasets = "moons"\nn_samples = 24\nguidance = 1\nclass_embedding = 4\n{network}'.replace(
        "= 4\nemd", "= 512\nemd"
    )
    run(parse_spec(text, tmp_path / "few.toml"), tmp_path / "classes")
    with Store(tmp_path / "classes" / "study.db") as store:
        results = Results(store)
        rows = results.rows(results.spec.sections[0]) + results.class_rows(results.spec.sections[0])
        assert all(np.isfinite(row.cells[0].summary.standard_error) and row.baseline is not None for row in rows)


def test_the_kept_weights_are_the_ones_that_made_the_rows(tiny, tmp_path, whole):
    import jax

    from pointillist.diffusion.denoisers import NetworkDenoiser
    from pointillist.diffusion.samplers import Ancestral
    from pointillist.engine.sampling import sample_rows

    with Store(tmp_path / "whole" / "study.db") as store:
        results = Results(store)
        section = results.spec.sections[1]
        (cell,) = results.cells(section.datasets[0], section.columns[1].settings)
        template = Architecture(width=8, depth=1, time_embedding=4).build(jax.random.key(0), 2)
        kept = store.model(cell.model_key).network
        network = weights.from_bytes(template, kept)
        schedule = cell.settings.noise_schedule()
        rows = sample_rows(
            NetworkDenoiser(network=network, schedule=schedule),
            Ancestral(schedule, "beta"),
            columns=2,
            n_rows=100,
            seed=random_seed(cell.rows_key),
        )
        np.testing.assert_array_equal(rows, store.rows(cell.rows_key))
        with pytest.raises(ValueError, match="not whole safetensors data"):
            weights.from_bytes(template, kept[:-9])
        with pytest.raises(ValueError, match=r"differ in shape from its description: 'input\.weight'"):
            other = Architecture(width=8, depth=1, time_embedding=6).build(jax.random.key(0), 2)
            weights.from_bytes(other, kept)


DRIVER = """
import sys
from pointillist.study import models
models.KEEP_EVERY = 0.0
models.SECONDS_PER_CALL = 0.1
from pointillist.cli import main
main()
"""


def number(path, query):
    """Returns the result of a query on the store of another process; 0 if there is no store yet."""
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchone()[0] or 0
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "stop", [*(pytest.param(each, marks=pytest.mark.slow) for each in (signal.SIGINT, signal.SIGTERM)), signal.SIGKILL]
)
def test_a_stopped_process_resumes_to_the_same_bits(tiny, tmp_path, command, stop):
    tiny.write_text(tiny.read_text().replace("epochs = 3", "epochs = 2000"))
    arguments = ["study", str(tiny), "--only", "kinds", "--out"]
    assert command(*arguments, tmp_path / "whole").returncode == 0
    out = tmp_path / "stopped"
    # In the start, in training, and again in training from a checkpoint.
    for query in ("SELECT COUNT(*) FROM baselines", *["SELECT MAX(epoch) FROM checkpoints"] * 2):
        before = number(out / "study.db", query)
        full = [sys.executable, "-c", DRIVER, *arguments, str(out)]
        process = subprocess.Popen(full, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while number(out / "study.db", query) <= before:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.02)
        process.send_signal(stop)
        output, _ = process.communicate()
        statuses = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
        assert process.returncode == statuses[stop], output
        assert stop == signal.SIGKILL or "Run the same command again to continue" in output
    assert command(*arguments, out).returncode == 0
    with Store(tmp_path / "whole" / "study.db") as first, Store(out / "study.db") as second:
        assert dump(first) == dump(second)
    csvs = [(folder / "results.csv").read_bytes() for folder in (tmp_path / "whole", out)]
    assert csvs[0] == csvs[1]
    assert [path.name for path in out.rglob("*.part")] == []


@pytest.mark.slow
def test_a_folder_is_one_process_at_a_time(tiny, tmp_path, command):
    tiny.write_text(tiny.read_text().replace("epochs = 3", "epochs = 1000000"))
    out = tmp_path / "out"
    arguments = ["study", str(tiny), "--only", "kinds", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-c", DRIVER, *arguments], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while number(out / "study.db", "SELECT MAX(epoch) FROM checkpoints") == 0:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    second = command(*arguments, "--fresh")
    assert second.returncode == 2 and second.stdout == ""
    what = "another process is running this study, or writing its report: wait until it ends"
    assert second.stderr == f"pointillist: {out}: {what}\n"
    assert number(out / "study.db", "SELECT MAX(epoch) FROM checkpoints") > 0 and process.poll() is None
    process.kill()
    process.wait()
    assert command(*arguments, "--fresh", "--epochs", "1").returncode == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "figures",
        "index.html",
        "results.csv",
        "results.html",
        "study.db",
        "tables",
    ]


@pytest.mark.slow
def test_names_with_markup_are_shown_while_a_study_runs(tiny, tmp_path, monkeypatch):
    update = Progress.update

    def shown(self, *args, **kwargs):
        update(self, *args, **kwargs)
        # Shown immediately: the display thread would skip lines of a fast study.
        self.refresh()

    monkeypatch.setattr(Progress, "update", shown)
    folder = tmp_path / "[b]"
    folder.mkdir()
    (tmp_path / "rows.npy").rename(tmp_path / "[b][.npy")
    tiny.write_text(tiny.read_text().replace("rows.npy", "[b][.npy"))
    reported = tmp_path / "reported.csv"
    reported.write_text(reported.read_text().replace("rows,", "[b][,"))
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with Store(folder / "study.db") as store:
        runner.run_study(load_spec(str(tiny)).only(["kinds"]), store, console)
        write_outputs(store, folder, console)
    assert "baseline of [b][" in console.file.getvalue() and str(folder) in console.file.getvalue()


@pytest.mark.slow
def test_only_outputs_of_removed_sections_are_deleted(tiny, tmp_path):
    spec, folder = load_spec(str(tiny)), tmp_path / "out"
    first, second = (section.name for section in spec.sections[:2])
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "reader.md").write_text("a reader's notes")
    console = Console(quiet=True)
    with Store(folder / "study.db") as store:
        for names in ([first, second], [second]):
            runner.run_study(spec.only(names), store, console)
            write_outputs(store, folder, console)
    assert sorted(path.name for path in (folder / "tables").iterdir()) == sorted([f"{second}.md", "reader.md"])
    assert not list((folder / "figures").glob(f"{first}_*")) and list((folder / "figures").glob(f"{second}_*"))
