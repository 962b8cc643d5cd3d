"""Checks that untrusted stores either give a report in its folder or a one-line error."""

import json
import shutil
import sqlite3
import struct
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import jax
import numpy as np
import pytest
from safetensors.numpy import save

from pointillist.cli.studies import report, study
from pointillist.engine import weights
from pointillist.metrics import METRICS, Baseline, Estimate
from pointillist.study.grid import Cell, Dataset
from pointillist.study.quantities import protocol
from pointillist.study.results import Results
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, ReferenceValue, Section, Spec, to_json
from pointillist.study.store import Model, Store, StoreError

SETTINGS = Settings(timesteps=9, width=8, depth=1, time_embedding=4, epochs=3, n_samples=60)
COLUMNS = tuple(Column(str(t), replace(SETTINGS, timesteps=t)) for t in (5, 9))
SECTION = Section("steps", "Steps", ("moons",), ("timesteps",), COLUMNS, (ReferenceValue("moons", "emd", "5", 1.5, 1),))
ROWS = np.random.default_rng(0).uniform(-1, 1, (60, 2)).astype(np.float32)
LABELS = (ROWS[:, 0] > 0).astype(np.int64)
DATASET = Dataset("moons", ROWS, LABELS)
CELL = Cell(DATASET.fingerprint, COLUMNS[0].settings, 0)
PROTOCOL = protocol(SETTINGS)
MEASURES = {name: Estimate(30.0, 0.5, 4.0) for name in METRICS}


def network(settings=SETTINGS, columns=2):
    built = settings.architecture.build(jax.random.key(0), columns)
    return weights.to_bytes(built)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The store of a whole small study, with made-up numbers."""
    path = tmp_path_factory.mktemp("good") / "study.db"
    kept = network()
    with Store(path) as store:
        store.set_fact("spec", to_json(Spec("made-up", "A study", 1, (SECTION,))))
        store.set_fact("fingerprints", {"moons": DATASET.fingerprint})
        store.set_fact("machine", {"processor": "x86_64", "devices": 2})
        store.add_dataset(DATASET)
        for metric in METRICS:
            store.add_baselines(DATASET.fingerprint, PROTOCOL, {metric: Baseline(29.0, 0.1, 10)})
        for column in COLUMNS:
            cell = Cell(DATASET.fingerprint, column.settings, 0)
            store.add_models({cell.model_key: Model(np.ones(3, np.float32), kept)})
            store.add_rows(cell.rows_key, ROWS)
            store.add_result(cell, MEASURES)
    return path


@pytest.fixture
def folder(good, tmp_path):
    """A copy of the store in a new folder."""
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    shutil.copy(good, folder / "study.db")
    return folder


def change(folder, do):
    """Applies a function to the store."""
    with Store(folder / "study.db") as store:
        do(store)


def assert_refused(folder, message="is damaged: "):
    with pytest.raises(StoreError, match=message) as caught:
        report(folder)
    text = str(caught.value)
    assert text.startswith(f"{folder / 'study.db'}: ") and "\n" not in text and len(text) < 600
    assert_stays_inside(folder)


def assert_stays_inside(folder):
    root = folder.parent.parent.parent
    outside = [path for path in root.rglob("*") if not path.is_relative_to(folder) and path.is_file()]
    assert outside == []


def test_the_whole_store_is_reported(folder):
    report(folder)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "study.db", "results.csv", "index.html", "results.html", "tables/steps.md", "tables/reported.numbers.md",
        "figures/steps_moons_rows.png", "figures/steps_losses.png", "figures/steps_metrics.png",
    }  # fmt: skip


def section(**values):
    return lambda spec: spec["sections"][0].update(values)


def column(**values):
    return lambda spec: spec["sections"][0]["columns"][0].update(values)


def settings(**values):
    return lambda spec: spec["sections"][0]["columns"][0]["settings"].update(values)


def reference(**values):
    return lambda spec: spec["sections"][0]["reference"][0].update(values)


SPECS = {
    "a section above the folder": section(name="../escaped"),
    "a section with an absolute path": section(name="/tmp/escaped"),
    "a section without a name": section(name=""),
    "a section's long name": section(name="a" * 101),
    "a section's name that is a number": section(name=3),
    "more of a section": section(more=1),
    "10⁹ seeds": lambda spec: spec.update(seeds=10**9),
    "seeds as text": lambda spec: spec.update(seeds="1"),
    "sections that are no list": lambda spec: spec.update(sections={"a": 1}),
    "sections of one name": lambda spec: spec["sections"].append(spec["sections"][0]),
    "more in the spec": lambda spec: spec.update(more=1),
    "less in the spec": lambda spec: spec.pop("title"),
    "a data set that is a number": section(datasets=[3]),
    "data sets of one name": section(datasets=["/a/moons.npy", "/b/moons.npy"]),
    "10,001 settings": lambda spec: spec["sections"][0].update(columns=spec["sections"][0]["columns"][:1] * 10_001),
    "sections of one name but for case": lambda spec: spec["sections"].append({**spec["sections"][0], "name": "Steps"}),
    "sections of one name but for the accent": lambda spec: spec.update(
        sections=[{**spec["sections"][0], "name": name} for name in ("\u00e9", "e\u0301")]
    ),
    "figures of one name": lambda spec: spec.update(
        sections=[
            {**spec["sections"][0], "name": "a", "datasets": ["/x/b_c.npy"]},
            {**spec["sections"][0], "name": "a_b", "datasets": ["/x/c.npy"]},
        ]
    ),
    "a column of a number": section(columns=[3]),
    "settings that are none": column(settings=None),
    "an unknown setting": settings(shell="sh"),
    "T of 10¹²": settings(timesteps=10**12),
    "T of 2.5": settings(timesteps=2.5),
    "a width of 2⁴⁰": settings(width=2**40),
    "a network of another library": settings(network="os.system"),
    "an empty setting that counts": settings(variance=""),
    "classifiers among rows": settings(method="guidance", class_embedding=4, p_uncond=0.2, n_held_out=0),
    "a reported NaN": reference(value=float("nan")),
    "a reported text": reference(value="1"),
    "10⁹ decimals": reference(decimals=10**9),
    "-1 decimals": reference(decimals=-1),
    "reference of no fields": section(reference=[{}]),
    "reference of a long name": reference(metric="a" * 1001),
}


@pytest.mark.parametrize("do", SPECS.values(), ids=SPECS)
def test_invalid_specs_are_refused(folder, do):
    def write(store):
        spec = store.fact("spec")
        do(spec)
        store.set_fact("spec", spec)

    change(folder, write)
    assert_refused(folder)


def test_one_set_under_many_names_is_in_memory_once(folder):
    names = [f"/data/{i}.npy" for i in range(1000)]

    def write(store):
        spec = store.fact("spec")
        spec["sections"][0]["datasets"] = names
        store.set_fact("spec", spec)
        store.set_fact("fingerprints", dict.fromkeys(names, DATASET.fingerprint))

    change(folder, write)
    with Store(folder / "study.db") as store:
        results = Results(store)
    assert {results.dataset(name).name for name in names} == set(names)
    assert len({id(results.dataset(name).rows) for name in names}) == 1


def test_seeds_of_many_cells_are_refused_at_once(folder):
    change(folder, lambda store: store.set_fact("spec", many(store.fact("spec"))))
    assert_refused(folder, "make 400,000 cells, more than 200,000")


def many(spec):
    for_each = spec["sections"][0]
    return {**spec, "seeds": 1000, "sections": [{**for_each, "columns": for_each["columns"] * 200}]}


def fact(name, text):
    return lambda store: store._put("facts", name, text)


def rows_of(columns, data):
    return lambda store: store._put("rows", CELL.rows_key, columns, data)


def model_of(losses, kept):
    return lambda store: store._put("models", CELL.model_key, losses, kept)


def measures_of(text):
    keys = CELL.model_key, CELL.rows_key
    return lambda store: store._put("cells", CELL.key, CELL.dataset, "{}", 0, *keys, text)


def dataset_row(columns, rows, labels):
    return lambda store: store._put("datasets", DATASET.fingerprint, "moons", columns, rows, labels)


LOSSES = np.ones(3, "<f4").tobytes()
HUGE_HEADER = (2**60).to_bytes(8, "little") + b"{}"
HUGE_SHAPE = json.dumps({"input.bias": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}).encode()

CONTENTS = {
    "a spec that is no JSON": fact("spec", "{"),
    "a spec that is nested deeply": fact("spec", "[" * 100_000),
    "a spec with a number of 5,000 digits": fact("spec", "1" * 5000),
    "a spec of bytes": fact("spec", b"\xff\xfe"),
    "a spec that is a list": fact("spec", "[]"),
    "no fingerprints": fact("fingerprints", "null"),
    "a fingerprint that is none": fact("fingerprints", '{"moons": "../x"}'),
    "a fingerprint of nothing": fact("fingerprints", json.dumps({"moons": "0" * 32})),
    "columns that are a list": fact("columns", "[1]"),
    "a column of nothing": fact("columns", '{"moons": {}}'),
    "labels of fewer rows": dataset_row(2, ROWS.tobytes(), LABELS[:9].astype("<i4").tobytes()),
    "other data": dataset_row(2, (ROWS + 1).tobytes(), None),
    "data without columns": dataset_row(0, ROWS.tobytes(), None),
    "data of 10¹² columns": dataset_row(10**12, ROWS.tobytes(), None),
    "data of text": dataset_row(2, "rows", None),
    "data of odd bytes": dataset_row(2, ROWS.tobytes()[:-1], None),
    "columns that are text": dataset_row("2", ROWS.tobytes(), None),
    "rows of -2 columns": rows_of(-2, ROWS.tobytes()),
    "rows of odd bytes": rows_of(2, ROWS.tobytes()[:-1]),
    "rows of text": rows_of(2, "rows"),
    "a network of other bytes": model_of(LOSSES, b"weights"),
    "a network that claims 2⁶⁰ bytes": model_of(LOSSES, HUGE_HEADER),
    "a tensor that claims 2⁶² bytes": model_of(LOSSES, len(HUGE_SHAPE).to_bytes(8, "little") + HUGE_SHAPE),
    "a network of text": model_of(LOSSES, "weights"),
    "a wider network": model_of(LOSSES, network(replace(SETTINGS, width=16))),
    "a network of more columns": model_of(LOSSES, network(columns=3)),
    "a network of other names": model_of(LOSSES, save({"\x1b[31m": np.ones(3)})),
    "losses of odd bytes": model_of(LOSSES[:7], network()),
    "measures that are no JSON": measures_of("{"),
    "a measure that is nested deeply": measures_of('{"emd": ' + "[" * 100_000),
}


@pytest.mark.parametrize("do", CONTENTS.values(), ids=CONTENTS)
def test_contents_that_cannot_be_read_are_refused(folder, do):
    change(folder, do)
    assert_refused(folder)


SCHEMAS = {
    "another table": "CREATE TABLE more (a)",
    "a view": "CREATE VIEW more AS SELECT * FROM facts",
    "a trigger": "CREATE TRIGGER more AFTER INSERT ON facts BEGIN DELETE FROM cells; END",
    "an index": "CREATE INDEX more ON facts (value)",
    "another column": "ALTER TABLE facts ADD COLUMN more TEXT",
    "a computed column": "ALTER TABLE facts ADD COLUMN more TEXT AS (upper(value))",
    "a table less": "DROP TABLE baselines",
    "a view for a table": "DROP TABLE baselines; CREATE VIEW baselines AS SELECT * FROM rows",
}


@pytest.mark.parametrize("statements", SCHEMAS.values(), ids=SCHEMAS)
def test_foreign_tables_are_refused(folder, statements):
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.executescript(statements)
    assert_refused(folder, "is damaged: its tables differ from a store's; --fresh starts a new one")


def test_the_command_reports_errors_in_one_line(folder):
    def write(store):
        spec = store.fact("spec")
        spec["sections"][0]["name"] = "../\x1b[31mescaped"
        store.set_fact("spec", spec)

    change(folder, write)
    command = [sys.executable, "-m", "pointillist", "report", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"pointillist: {folder / 'study.db'}: is damaged: section = ")
    assert done.stderr.count("\n") == 1 and "\x1b" not in done.stderr
    assert_stays_inside(folder)


LINKS = {
    "results.csv": "results.csv",
    "index.html": "index.html",
    "results.html": "results.html",
    "a table": "tables/steps.md",
    "a figure": "figures/steps_losses.png",
    "the folder of tables": "tables",
    "the folder of figures": "figures",
    "the store": "study.db",
}


@pytest.mark.parametrize("name", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("command", ["report", "study", "study --fresh"])
def test_links_out_of_the_folder_are_refused(folder, good, tiny, name, command):
    outside = folder.parent / "outside"
    is_folder = "." not in name
    if is_folder:
        outside.mkdir()
    file = outside / "steps.md" if is_folder else outside
    shutil.copy(good, file)
    before = file.read_bytes()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(ValueError, match=f"{name}: leads out of .*: remove this link first"):
        report(folder) if command == "report" else study(str(tiny), folder, resume=command == "study")
    assert file.read_bytes() == before and (folder / name).is_symlink()
    assert [path.name for path in (outside.iterdir() if is_folder else ())] == (["steps.md"] if is_folder else [])


def test_links_to_missing_files_are_refused(folder):
    (folder / "results.csv").symlink_to(folder.parent / "outside")
    with pytest.raises(ValueError, match=r"results\.csv: leads out of .*: remove this link first"):
        report(folder)


def test_links_within_the_folder_are_followed(folder):
    (folder / "kept").mkdir()
    (folder / "tables").symlink_to(folder / "kept")
    report(folder)
    assert (folder / "kept" / "steps.md").exists()


def test_a_journal_that_names_another_file_is_refused(folder):
    """SQLite would delete the file, which it takes for the journal of several databases."""
    outside = folder.parent / "outside"
    outside.write_text("kept")
    name, magic = str(outside).encode(), bytes.fromhex("d9d505f920a163d7")
    pages, page = (folder / "study.db").stat().st_size // 4096, 4096
    header = magic + struct.pack(">5I", 0, 0, pages, 512, page)
    record = struct.pack(">I", 2**30 // page + 1) + name + struct.pack(">2I", len(name), sum(name)) + magic
    (folder / "study.db-journal").write_bytes(header.ljust(512, b"\0") + record)
    with pytest.raises(StoreError, match=r"study\.db-journal: is not a journal of a study's store; --fresh starts"):
        report(folder)
    assert outside.read_text() == "kept"


NASTY = "[/b] [red]$x$ \x1b[31m \x9b31m | \\ <script>\nnew [a](b)"


def test_untrusted_text_is_shown_escaped_in_reports(folder, capsys):
    def write(store):
        spec = store.fact("spec")
        spec["title"] = spec["sections"][0]["title"] = NASTY
        nasty = f"/data/{NASTY.replace('/', '')}.npy"
        spec["sections"][0]["datasets"] = [nasty]
        store.set_fact("spec", spec)
        store.set_fact("fingerprints", {nasty: DATASET.fingerprint})

    change(folder, write)
    report(folder)
    assert_stays_inside(folder)
    printed = capsys.readouterr().out
    assert "[/b] [red]$x$ \\x1b[31m \\x9b31m" in printed
    text = (folder / "tables" / "steps.md").read_text()
    assert text.startswith("# \\[/b] \\[red]$x$ \\\\x1b\\[31m \\\\x9b31m \\| \\\\ \\<script>\\\\nnew \\[a](b)\n")
    assert len({line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    for written in (printed, text, (folder / "results.csv").read_text()):
        assert not any(c in written for c in "\x1b\x9b")
    for name in ("index.html", "results.html"):
        assert "<script>\nnew" not in (folder / name).read_text()
