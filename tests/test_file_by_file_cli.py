"""Checks commands over the files of a folder on a real Ray cluster, also while one of its two nodes is killed."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv

from made_models import untrained
from pointillist.models.saving import save_model
from pointillist.tables.table import Table
from test_mixed_cli import call

ray = pytest.importorskip("ray")
PARTS = 12


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a model, and the parts of a table with missing cells."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=40 * PARTS).round(2)
    table = pa.table({"kind": rng.choice(["a", "b"], len(x)), "x": x, "y": (x + rng.normal(size=len(x))).round(1)})
    save_model(untrained(Table(table)), Path("m.model"))
    with_gaps = table.set_column(1, "x", pa.array(x, mask=rng.random(len(x)) < 0.3))
    Path("parts").mkdir()
    for i in range(PARTS):
        csv.write_csv(with_gaps.slice(40 * i, 40), f"parts/{i:02}.csv")
    return tmp_path


def written(name):
    return {path.name: path.read_bytes() for path in Path(name).iterdir()}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork")
def test_files_are_the_same_from_two_nodes_of_which_one_is_killed(folder):
    from ray.cluster_utils import Cluster

    assert call("impute", "m.model", "parts", "-o", "here", "--seed", 3) == 0
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        lacking = []

        def kill():
            # The first files come from either node, so tasks of both are running.
            until = time.monotonic() + 200
            while time.monotonic() < until and not (Path("there").is_dir() and len(written("there")) > 1):
                time.sleep(0.01)
            lacking.append(PARTS - len(written("there")))
            nodes.remove_node(lost, allow_graceful=False)

        killer = threading.Thread(target=kill)
        killer.start()
        ray_options = ("--engine", "ray", "--address", nodes.address)
        assert call("impute", "m.model", "parts", "-o", "there", "--seed", 3, *ray_options) == 0
        killer.join()
        assert lacking[0] > 2 and written("there") == written("here")
        for kept in ("00.csv", "01.csv"):
            Path("there", kept).write_bytes(b"kept")
        Path("there/05.csv").unlink()
        assert call("impute", "m.model", "parts", "-o", "there", "--seed", 3, "--resume", *ray_options) == 0
        assert written("there") == {**written("here"), "00.csv": b"kept", "01.csv": b"kept"}
    finally:
        nodes.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception ignored in.*_at_fork")
def test_scores_and_predictions_are_the_same_on_ray(folder, capsys):
    assert call("impute", "m.model", "parts", "-o", "full") == 0
    for command in (("score", "m.model", "full"), ("predict", "m.model", "full", "--target", "kind")):
        assert call(*command, "-o", "here") == call(*command, "-o", "there", "--engine", "ray") == 0
        assert written("there") == written("here")
    compare = ("evaluate", "full", "m.model", "--json")
    found = []
    for where in ((), ("--engine", "ray")):
        capsys.readouterr()
        assert call(*compare, *where) == 0
        found.append(json.loads(capsys.readouterr().out) | {"seconds": 0})
    assert found[0] == found[1]
    Path("full/03.csv").write_text("kind,x,y\na,1\n")
    capsys.readouterr()
    assert call("impute", "m.model", "full", "-o", "there", "--engine", "ray") == 2
    assert "pointillist: full/03.csv: " in capsys.readouterr().err


def test_ray_takes_a_folder_of_files(folder, capsys):
    assert call("score", "m.model", "parts/00.csv", "-o", "s.csv", "--engine", "ray") == 2
    assert "parts/00.csv: is one file, and Ray takes a folder of them" in capsys.readouterr().err
    assert call("score", "m.model", "parts", "-o", "parts", "--engine", "ray") == 2
    assert "is a file to read and would be overwritten" in capsys.readouterr().err
    assert call("evaluate", "parts", "parts/00.csv", "--engine", "ray") == 2
    assert "parts/00.csv: is a table, and Ray draws the rows of a model: leave --engine out" in capsys.readouterr().err
