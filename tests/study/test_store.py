import numpy as np
import pytest

from pointillist.study.grid import Cell, Dataset
from pointillist.study.settings import Settings
from pointillist.study.store import Checkpoint, FloorRecord, Measure, Result, Store, StoreError

CELL = Cell("f" * 32, Settings(), 0)
RESULT = Result(
    np.arange(3, dtype=np.float32),
    np.ones((5, 2), np.float32),
    b"weights",
    {"emd": Measure(1.5, 0.2, 4.0), "report_nll": Measure(np.nan, np.nan, np.inf)},
)


def test_what_goes_in_comes_out_of_the_file(tmp_path):
    dataset = Dataset("rows", np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32))
    with Store(tmp_path / "study.db") as store:
        store.add_dataset(dataset)
        store.set_fact("spec", {"a": [1, None]})
        store.add_floor("f" * 32, "p", "emd", FloorRecord(20.0, 2.0, 16))
        store.add_checkpoints({CELL.key: Checkpoint(2, RESULT.losses[:2], b"state")})
        kept = store.checkpoint(CELL.key)
        assert (kept.epoch, kept.state) == (2, b"state")
        np.testing.assert_array_equal(kept.losses, RESULT.losses[:2])
        store.add_result(CELL, RESULT)
    with Store(tmp_path / "study.db") as store:
        assert store.finished() == {CELL.key}
        assert store.checkpoint(CELL.key) is None
        measures = store.measures(CELL.key)
        assert measures["emd"] == Measure(1.5, 0.2, 4.0)
        assert np.isnan(measures["report_nll"].value) and measures["report_nll"].degrees_of_freedom == np.inf
        np.testing.assert_array_equal(store.rows(CELL.key), RESULT.rows)
        np.testing.assert_array_equal(store.losses(CELL.key), RESULT.losses)
        assert store.network(CELL.key) == b"weights"
        assert store.fact("spec") == {"a": [1, None]} and store.fact("none") is None
        assert store.floors("f" * 32, "p") == {"emd": FloorRecord(20.0, 2.0, 16)}
        assert store.floors("f" * 32, "p")["emd"].standard_error == 0.5
        again = store.dataset(dataset.fingerprint)
        assert again.name == "rows" and again.fingerprint == dataset.fingerprint


def test_a_cell_is_written_whole_or_not_at_all(tmp_path):
    broken = Result(RESULT.losses, RESULT.rows, RESULT.network, {"emd": Measure(object(), 0.0, 1.0)})
    with Store(tmp_path / "study.db") as store:
        store.add_checkpoints({CELL.key: Checkpoint(2, RESULT.losses, b"state")})
        with pytest.raises(Exception, match="type 'object' is not supported"):
            store.add_result(CELL, broken)
        assert store.finished() == set() and store.measures(CELL.key) == {}
        assert store.checkpoint(CELL.key) is not None
        store.add_result(CELL, RESULT)
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
    assert 0 <= CELL.random_seed < 2**32


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "text.db").write_text("no database at all, but long enough to look like one" * 20)
    with pytest.raises(StoreError, match="cannot be used as a study's store"):
        Store(tmp_path / "text.db")
    (tmp_path / "empty.db").write_bytes(b"")
    with pytest.raises(StoreError, match="is not a store of this version"):
        Store(tmp_path / "empty.db")
