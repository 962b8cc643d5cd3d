import numpy as np
import pytest

from pointillist.study.grid import Cell, Dataset, random_seed
from pointillist.study.settings import Settings
from pointillist.study.store import Checkpoint, FloorRecord, Measure, Model, Store, StoreError

CELL = Cell("f" * 32, Settings(), 0)
MODEL = Model(np.arange(3, dtype=np.float32), b"weights")
ROWS = np.ones((5, 2), np.float32)
MEASURES = {"emd": Measure(1.5, 0.2, 4.0), "report_nll": Measure(np.nan, np.nan, np.inf)}


def test_what_goes_in_comes_out_of_the_file(tmp_path):
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    dataset, labelled = Dataset("rows", rows), Dataset("rows", rows, np.array([0, 1, 1, 0]))
    assert dataset.fingerprint != labelled.fingerprint
    with Store(tmp_path / "study.db") as store:
        store.add_dataset(dataset)
        store.add_dataset(labelled)
        store.set_fact("spec", {"a": [1, None]})
        store.add_floor("f" * 32, "p", "emd", FloorRecord(20.0, 2.0, 16))
        store.add_checkpoints({CELL.model_key: Checkpoint(2, MODEL.losses[:2], b"state")})
        kept = store.checkpoint(CELL.model_key)
        assert (kept.epoch, kept.state) == (2, b"state")
        np.testing.assert_array_equal(kept.losses, MODEL.losses[:2])
        assert store.model(CELL.model_key) is store.rows(CELL.rows_key) is store.part(CELL.rows_key) is None
        store.add_models({CELL.model_key: MODEL})
        store.add_part(CELL.rows_key, ROWS[:2])
        np.testing.assert_array_equal(store.part(CELL.rows_key), ROWS[:2])
        store.add_rows(CELL.rows_key, ROWS)
        store.add_result(CELL, MEASURES)
    with Store(tmp_path / "study.db") as store:
        assert store.finished() == {CELL.key}
        assert store.checkpoint(CELL.model_key) is None and store.part(CELL.rows_key) is None
        measures = store.measures(CELL.key)
        assert measures["emd"] == Measure(1.5, 0.2, 4.0)
        assert np.isnan(measures["report_nll"].value) and measures["report_nll"].degrees_of_freedom == np.inf
        np.testing.assert_array_equal(store.rows(CELL.rows_key), ROWS)
        np.testing.assert_array_equal(store.model(CELL.model_key).losses, MODEL.losses)
        assert store.model(CELL.model_key).network == b"weights"
        assert store.fact("spec") == {"a": [1, None]} and store.fact("none") is None
        assert store.floors("f" * 32, "p") == {"emd": FloorRecord(20.0, 2.0, 16)}
        assert store.floors("f" * 32, "p")["emd"].standard_error == 0.5
        again = store.dataset(dataset.fingerprint)
        assert again.name == "rows" and again.fingerprint == dataset.fingerprint and again.labels is None
        assert store.dataset(labelled.fingerprint).labels.tolist() == [0, 1, 1, 0]


def test_a_cell_is_written_whole_or_not_at_all(tmp_path):
    with Store(tmp_path / "study.db") as store:
        with pytest.raises(Exception, match="type 'object' is not supported"):
            store.add_result(CELL, {"nll": MEASURES["emd"], "emd": Measure(object(), 0.0, 1.0)})
        assert store.finished() == set() and store.measures(CELL.key) == {}
        store.add_checkpoints({CELL.model_key: Checkpoint(2, MODEL.losses, b"state")})
        with pytest.raises(Exception, match="type 'object' is not supported"):
            store.add_models({CELL.model_key: Model(MODEL.losses, object())})
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
    # The beta range decides nothing where the schedule has none.
    assert len({Cell("f", Settings(schedule="cosine", beta_range=r), 0).key for r in ((0.1, 0.2), (0.1, 0.3))}) == 1
    assert 0 <= random_seed(CELL.key) < 2**32


def keys(**settings):
    cell = Cell("f" * 32, Settings(**settings), 0)
    return cell.model_key, cell.rows_key, cell.key


def test_cells_share_models_and_rows_that_are_the_same():
    plain, steered, guided = keys(), keys(method="svdd_pm"), keys(method="guidance", guidance=1.0)
    assert plain[0] == steered[0] != guided[0] and len({plain[1], steered[1], guided[1]}) == 3
    assert guided[0] == keys(method="guidance", guidance=2.0)[0] and guided[1] != keys(method="guidance")[1]
    neighbours = keys(method="guidance", classifier="knn_100")
    assert neighbours[:2] == keys(method="guidance")[:2] and neighbours[2] != keys(method="guidance")[2]
    assert keys(method="guidance", classifier="elbo")[:2] == (guided[0], "")
    assert keys(method="guidance", classifier="mlp_100_50")[:2] == ("", "")
    # What a method does not use tells no two cells apart.
    assert keys(guidance=1.0, candidates=3) == plain
    assert keys(n_held_out=50)[:2] == plain[:2] and keys(n_held_out=50)[2] != plain[2]
    few, same = keys(sampler="ddim", steps=3), keys(sampler="ddim", steps=3, variance="posterior")
    assert few[0] == plain[0] and few[1] != plain[1] and same == few


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "text.db").write_text("no database at all, but long enough to look like one" * 20)
    with pytest.raises(StoreError, match="cannot be used as a study's store"):
        Store(tmp_path / "text.db")
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(StoreError, match="is not a store of this version"):
        Store(tmp_path / "empty.db")
