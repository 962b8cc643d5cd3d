import os
import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from support import dump

from pointillist.metrics import Baseline, Estimate
from pointillist.study.grid import Cell, Dataset, columns_to_json, load_dataset, random_seed, with_columns
from pointillist.study.settings import Settings
from pointillist.study.store import Model, Store, StoreError

CELL = Cell("f" * 32, Settings(), 0)
MODEL = Model(np.arange(3, dtype=np.float32), b"weights")
ROWS = np.ones((5, 2), np.float32)
MEASURES = {"emd": Estimate(1.5, 0.2, 4.0), "report_nll": Estimate(np.nan, np.nan, np.inf)}


def test_columns_of_a_file_keep_their_names_and_units(tmp_path):
    (tmp_path / "rows.csv").write_text("length,weight\n1.5,10\n2.5,30\n3.5,20\n")
    dataset = load_dataset(str(tmp_path / "rows.csv"))
    with Store(tmp_path / "study.db") as store:
        store.set_fact("columns", columns_to_json(dataset))
        again = with_columns(Dataset("rows", dataset.rows), store.fact("columns"))
    assert again.names == ("length", "weight") and again.fingerprint == dataset.fingerprint
    np.testing.assert_allclose(again.scaling.inverse(again.rows), [[1.5, 10], [2.5, 30], [3.5, 20]])
    assert columns_to_json(Dataset("moons", ROWS)) is None


def test_results_are_read_back_from_the_file(tmp_path):
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    dataset, labelled = Dataset("rows", rows), Dataset("rows", rows, np.array([0, 1, 1, 0]))
    assert dataset.fingerprint != labelled.fingerprint
    with Store(tmp_path / "study.db") as store:
        store.add_dataset(dataset)
        store.add_dataset(labelled)
        store.set_fact("spec", {"a": [1, None]})
        store.add_baselines("f" * 32, "p", {"emd": Baseline(20.0, 2.0, 16)})
        store.add_checkpoints({CELL.model_key: Model(MODEL.losses[:2], b"state")})
        kept = store.checkpoint(CELL.model_key)
        assert kept.network == b"state"
        np.testing.assert_array_equal(kept.losses, MODEL.losses[:2])
        assert store.model(CELL.model_key) is store.rows(CELL.rows_key) is None
        store.add_models({CELL.model_key: MODEL})
        store.add_rows(CELL.rows_key, ROWS)
        store.add_result(CELL, MEASURES)
    with Store(tmp_path / "study.db") as store:
        assert store.finished() == {CELL.key}
        assert store.checkpoint(CELL.model_key) is None
        measures = store.measures(CELL.key)
        emd = measures["emd"]
        assert (emd, emd.standard_error, emd.degrees_of_freedom) == (1.5, 0.2, 4.0)
        assert np.isnan(measures["report_nll"]) and measures["report_nll"].degrees_of_freedom == np.inf
        np.testing.assert_array_equal(store.rows(CELL.rows_key), ROWS)
        np.testing.assert_array_equal(store.model(CELL.model_key).losses, MODEL.losses)
        assert store.model(CELL.model_key).network == b"weights"
        assert store.fact("spec") == {"a": [1, None]} and store.fact("none") is None
        assert store.baselines("f" * 32, "p") == {"emd": Baseline(20.0, 2.0, 16)}
        again = store.dataset(dataset.fingerprint)
        assert again.name == "rows" and again.fingerprint == dataset.fingerprint and again.labels is None
        assert store.dataset(labelled.fingerprint).labels.tolist() == [0, 1, 1, 0]


def test_a_cell_is_written_atomically(tmp_path):
    with Store(tmp_path / "study.db") as store:
        with pytest.raises(TypeError, match="not 'object'"):
            store.add_result(CELL, {"nll": MEASURES["emd"], "emd": Estimate(object(), 0.0, 1.0)})
        assert store.finished() == set() and store.measures(CELL.key) == {}
        store.add_checkpoints({CELL.model_key: Model(MODEL.losses, b"state")})
        with pytest.raises(sqlite3.Error, match="object"):
            store.add_models({"other": MODEL, CELL.model_key: Model(MODEL.losses, object())})
        assert store.model("other") is None
        assert store.checkpoint(CELL.model_key) is not None and store.model(CELL.model_key) is None
        store.add_result(CELL, MEASURES)
        assert store.finished() == {CELL.key}


def test_keys_depend_on_everything_that_decides_the_result():
    others = [
        Cell("e" * 32, Settings(), 0),
        Cell("f" * 32, Settings(), 1),
        Cell("f" * 32, Settings(timesteps=100), 0),
        Cell("f" * 32, Settings(beta_range=(1e-5, 0.02)), 0),
        Cell("f" * 32, Settings(emd_rows=100), 0),
    ]
    assert len({cell.key for cell in [CELL, *others]}) == 6
    assert Cell("f" * 32, Settings(), 0).key == CELL.key
    # The beta range has no effect for a schedule without one.
    assert len({Cell("f", Settings(schedule="cosine", beta_range=r), 0).key for r in ((0.1, 0.2), (0.1, 0.3))}) == 1
    assert 0 <= random_seed(CELL.key) < 2**32


def keys(**settings):
    cell = Cell("f" * 32, Settings(**settings), 0)
    return cell.model_key, cell.rows_key, cell.key


def test_cells_share_models_and_rows_that_are_the_same():
    plain, steered, guided = keys(), keys(method="svdd_pm"), keys(method="guidance", guidance=1.0)
    assert plain[0] == steered[0] != guided[0] and len({plain[1], steered[1], guided[1]}) == 3
    assert guided[0] == keys(method="guidance", guidance=2.0)[0] and guided[1] != keys(method="guidance")[1]
    neighbors = keys(method="guidance", classifier="knn_100")
    assert neighbors[:2] == keys(method="guidance")[:2] and neighbors[2] != keys(method="guidance")[2]
    assert keys(method="guidance", classifier="elbo")[:2] == (guided[0], "")
    assert keys(method="guidance", classifier="mlp_100_50")[:2] == ("", "")
    # Settings that a method does not use do not change the keys.
    assert keys(guidance=1.0, candidates=3) == plain
    assert keys(n_held_out=50)[:2] == plain[:2] and keys(n_held_out=50)[2] != plain[2]
    few, same = keys(sampler="ddim", steps=3), keys(sampler="ddim", steps=3, variance="posterior")
    assert few[0] == plain[0] and few[1] != plain[1] and same == few


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "text.db").write_text("no database at all, but long enough to look like one" * 20)
    with pytest.raises(StoreError, match="cannot be used as a study's store"):
        Store(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE cells (key TEXT)")
    with pytest.raises(StoreError, match="is not a store of this version"):
        Store(tmp_path / "other.db")


def fill(path):
    """A store with a row in every table, and more in some."""
    with Store(path) as store:
        store.set_fact("spec", {"a": [1, None]})
        store.add_dataset(Dataset("rows", ROWS, np.array([0, 1, 1, 0, 1])))
        for metric in ("emd", "report_nll"):
            store.add_baselines("f" * 32, "p", {metric: Baseline(20.0, 2.0, 16)})
        for seed in range(9):
            cell = Cell("f" * 32, Settings(), seed)
            store.add_models({cell.model_key: MODEL})
            store.add_rows(cell.rows_key, ROWS)
            store.add_result(cell, MEASURES)
        store.add_checkpoints({"c": Model(MODEL.losses, b"state" * 2000)})
    return path


@pytest.mark.parametrize("damage", ["a block", "a block of zeros"])
def test_damaged_pages_are_harmless_or_noticed(tmp_path, damage):
    whole = fill(tmp_path / "whole.db")
    content = whole.read_bytes()
    rng, path = random.Random(0), tmp_path / "study.db"
    n_noticed = 0
    for _ in range(100):
        changed = bytearray(content)
        start = rng.randrange(1, len(content) // 4096) * 4096
        changed[start : start + 4096] = rng.randbytes(4096) if damage == "a block" else bytes(4096)
        path.write_bytes(changed)
        try:
            Store(path).close()
        except StoreError as error:
            assert str(error).startswith(f"{path}: ") and str(error).endswith("; --fresh starts a new one")
            n_noticed += 1
    assert n_noticed > 60


@pytest.mark.parametrize("fraction", [0.0001, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path, fraction):
    path = fill(tmp_path / "study.db")
    os.truncate(path, max(1, int(fraction * path.stat().st_size)))
    with pytest.raises(StoreError, match=r"study\.db: "):
        Store(path)


def test_an_empty_file_is_a_store_that_was_never_made(tmp_path):
    path = tmp_path / "study.db"
    path.touch()
    # A process that is killed in its first transaction leaves this.
    (tmp_path / "study.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(504))
    with Store(path) as store:
        store.add_result(CELL, MEASURES)
    with Store(path) as store:
        assert store.finished() == {CELL.key}
    assert [each.name for each in tmp_path.iterdir()] == ["study.db"]


def test_stores_are_regular_files(tmp_path):
    os.mkfifo(tmp_path / "study.db")
    with pytest.raises(OSError, match=r"study\.db: is a pipe or a device"):
        Store(tmp_path / "study.db")
    with pytest.raises(OSError, match="/dev/zero: is a pipe or a device"):
        Store(Path("/dev/zero"))


def test_parts_of_a_study_are_merged(tmp_path):
    part = fill(tmp_path / "part.db")
    with Store(tmp_path / "study.db") as store:
        store.add_checkpoints({CELL.model_key: Model(MODEL.losses, b"state")})
        store.merge(part)
        merged = dump(store)
        assert store.measures(CELL.key).keys() == MEASURES.keys()
    with Store(part) as store:
        store.connection.execute("DELETE FROM checkpoints")
        assert dump(store) == merged


def test_a_transaction_is_written_atomically(tmp_path):
    with Store(tmp_path / "study.db") as store:
        with pytest.raises(SystemExit), store.transaction():
            store.set_fact("spec", 1)
            raise SystemExit(143)
        assert store.fact("spec") is None
