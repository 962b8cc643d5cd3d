"""Fits with a time limit: fewer epochs, a learning rate that still falls to 0, and one line about what was given up."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion
from pointillist.models import time_limits
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import prepare
from pointillist.models.time_limits import MARGIN, TimeLimit, plan_within
from pointillist.models.training import train

TINY = {"width": 8, "depth": 1, "random_state": 0, "verbose": False}


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).standard_normal((130, 2))


def measured(monkeypatch, compiling, seconds):
    monkeypatch.setattr(time_limits, "_speed", lambda plan, limit: (compiling, seconds))


def test_a_fit_that_is_fast_enough_is_unchanged(rows):
    started = time.monotonic()
    model = Diffusion(**TINY, epochs=5, max_minutes=0.5).fit(rows)
    assert time.monotonic() - started < 30
    same = Diffusion(**TINY, epochs=5).fit(rows)
    np.testing.assert_array_equal(model.history_, same.history_)
    np.testing.assert_array_equal(model.sample(5, random_state=0), same.sample(5, random_state=0))


def test_fewer_epochs_give_the_model_of_that_number_of_epochs(monkeypatch, rows):
    measured(monkeypatch, 1.0, 1.0)
    with pytest.warns(UserWarning, match=r"^max_minutes=0.2 \(--minutes\) allows \d of 100 epochs$"):
        model = Diffusion(**TINY, epochs=100, max_minutes=0.2).fit(rows)
    n = len(model.history_)
    assert 5 <= n <= 8
    same = Diffusion(**TINY, epochs=n).fit(rows)
    np.testing.assert_array_equal(model.sample(5, random_state=0), same.sample(5, random_state=0))


def test_trials_that_would_take_too_long_are_left_out(monkeypatch):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.choice(["x", "y"], 200), "b": rng.choice(["x", "y", "z"], 200)})
    task = prepare(Configuration(**TINY, max_minutes=1.0), frame)
    assert task.plan.trial is not None and task.plan.shard_epochs == 60
    measured(monkeypatch, 1.0, 1.0)
    with pytest.warns(UserWarning, match=r"allows 5\d of 60 epochs, no trial of the number of epochs$"):
        plan = plan_within(task.plan, replace(task.limit, started=time.monotonic()))
    assert plan.trial is None and plan.shard_epochs == plan.training.epochs < 60
    measured(monkeypatch, 1.0, 1e-4)
    assert plan_within(task.plan, replace(task.limit, started=time.monotonic())).training.epochs >= 60


def test_a_network_of_tokens_gets_half_its_width_for_few_epochs(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.choice(["x", "y"], 50), "b": rng.choice(["x", "y", "z"], 50)})
    measured(monkeypatch, 1.0, 5.0)
    with pytest.warns(UserWarning, match="4 of 60 epochs, width 128, no trial of the number of epochs|3 of 60 epochs"):
        model = Diffusion(depth=1, random_state=0, max_minutes=0.5, verbose=False).fit(frame)
    model.save(tmp_path / "m")
    again = Diffusion.load(tmp_path / "m")
    assert again.model_.trained_with["width"] == 128 == model.model_.process.architecture.width
    pd.testing.assert_frame_equal(again.sample(5, random_state=0), model.sample(5, random_state=0))
    same = Diffusion(depth=1, width=128, epochs=len(model.history_), random_state=0, verbose=False).fit(frame)
    pd.testing.assert_frame_equal(same.sample(5, random_state=0), model.sample(5, random_state=0))


def test_a_large_table_is_trained_on_a_part_of_its_rows(monkeypatch, rows):
    plan = prepare(Configuration(**TINY, epochs=2), rows).plan
    plan = replace(plan, method=replace(plan.method, batch_size=32))
    monkeypatch.setattr("pointillist.models.plan.SHARD_VALUES", 64)
    assert plan.n_shards == 2 and plan.shard_epochs == 4
    measured(monkeypatch, 1.0, 5.0)
    started = time.monotonic()
    with pytest.warns(UserWarning, match="allows training on 50% of the rows, once"):
        fewer = plan_within(plan, TimeLimit((MARGIN * 5 + 3.5) / 0.97 / 60, started))
    assert fewer.shard_epochs == 1


def test_training_ends_at_the_deadline(rows):
    plan = prepare(Configuration(**TINY, epochs=100_000), rows).plan
    train(replace(plan, training=replace(plan.training, epochs=1)))
    started = time.monotonic()
    trained = train(plan, deadline=started + 1.0)
    assert time.monotonic() - started < 10 and len(trained.history) < 100_000


def test_held_out_rows_are_checked_at_the_deadline(rows):
    configuration = Configuration(**TINY, epochs=100_000, early_stopping=True, n_iter_no_change=100_000)
    plan = prepare(configuration, rows).plan
    trained = train(plan, deadline=time.monotonic() + 3.0)
    assert len(trained.history) < 100_000 and (trained.validation_history > 0).all()
    assert len(trained.validation_history) > 0 and trained.best_epochs <= len(trained.history)


def test_limits_that_are_refused(monkeypatch, rows, tmp_path):
    measured(monkeypatch, 1.0, 1000.0)
    with pytest.raises(
        ValueError, match=r"^max_minutes=0.5 \(--minutes\) is too short for this table: give at least 2"
    ):
        Diffusion(**TINY, max_minutes=0.5).fit(rows)
    with pytest.raises(ValueError, match="leave checkpoint out"):
        Diffusion(**TINY, max_minutes=0.5).fit(rows, checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match="max_minutes must be"):
        Diffusion(max_minutes=0).fit(rows)
    with pytest.raises(ValueError, match="max_minutes is not for private fits"):
        Diffusion(max_minutes=1, epsilon=1.0, domain={0: (-1, 1), 1: (-1, 1)}).fit(rows)
