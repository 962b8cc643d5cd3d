"""Checks the regularization of small tables, which is chosen by held-out rows."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from pointillist.engine.training import held_out_loss
from pointillist.models import trials
from pointillist.models.configuration import Configuration
from pointillist.models.fitting import prepare
from pointillist.models.planning import DEFAULT_MIXED_STEPS, MOST_WEIGHTS_IN_ALL
from pointillist.models.training import train
from pointillist.models.trials import run_trials
from pointillist.tables.frames import table_of


def table_of_noise(n: int, seed: int = 0) -> pd.DataFrame:
    """Returns rows whose four noisy columns share one number; a network can otherwise only memorize rows."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, 4)), columns=list("abcd"))
    return frame.assign(kind=rng.choice(["x", "y"], n))


def plan_of(frame: pd.DataFrame, width: int = 32, **asked: Any) -> Any:
    return prepare(Configuration(width=width, depth=1, random_state=0, **asked), frame).plan


@pytest.mark.slow
def test_training_ends_before_rows_are_memorized() -> None:
    plan = plan_of(table_of_noise(30), width=256)
    chosen = run_trials(plan)
    assert chosen.training.epochs is not None and 0 < chosen.training.epochs < plan.trial.longest
    long = train(replace(chosen, training=replace(chosen.training, epochs=plan.trial.longest))).network
    short = train(chosen).network
    others = plan.codec.encode_table(table_of(table_of_noise(500, seed=1))[0])
    asked = chosen.process.architecture, chosen.method.objective, *chosen.process.noise
    short_loss, long_loss = (held_out_loss(network, *asked, others, None, 0) for network in (short, long))
    assert short_loss < long_loss - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("is_unknown", [False, True])
def test_the_epochs_with_the_lowest_loss_are_chosen(is_unknown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table_of_noise(60)
    plan = plan_of(
        frame.mask(np.random.default_rng(1).random(frame.shape) < 0.2) if is_unknown else frame,
        missing="unknown" if is_unknown else "value",
    )
    noted_trials = []

    def noted(plan: Any, **options: Any) -> Any:
        noted_trials.append((plan, train(plan, **options)))
        return noted_trials[-1][1]

    monkeypatch.setattr(trials, "train", noted)
    chosen = run_trials(plan)
    ((trial, result),) = noted_trials
    assert len(trial.held_out) == 12 and len(trial.rows) == 72
    per_check = -(-150 // (60 // chosen.method.batch_size))
    best = per_check * (int(result.validation_history.argmin()) + 1)
    assert result.best_epochs == best
    assert chosen.training.epochs == max(3 * best if is_unknown else best, 150)
    assert not len(chosen.held_out) and not chosen.training.early_stopping


def test_requested_values_are_not_replaced_by_a_trial() -> None:
    assert plan_of(table_of_noise(60), epochs=3).trial is None
    assert plan_of(table_of_noise(60), early_stopping=True).trial is None
    assert plan_of(table_of_noise(19)).trial is None and plan_of(table_of_noise(2001)).trial is None
    assert plan_of(table_of_noise(2000)).trial is not None
    wide = pd.DataFrame(np.random.default_rng(0).integers(0, 3, (60, 129)))
    assert plan_of(wide, process="masked").trial is None
    assert plan_of(wide.iloc[:, 1:], process="masked").trial is not None
    found = [plan_of(table_of_noise(n), **asked) for n, asked in ((60, {"frequencies": 4}), (60, {}), (2001, {}))]
    assert [plan.process.architecture.frequencies for plan in found] == [4, 2, 6]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights() -> None:
    asked = Configuration(width=16, depth=1, random_state=0)
    first, second = (prepare(asked, table_of_noise(40)).fit() for _ in range(2))
    assert first.trained_with["frequencies"] == 2
    assert np.array_equal(first.record.history, second.record.history)


def errors_of(frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], Any]:
    """Returns the errors of the axes that are tried on a table, and the chosen plan."""
    plan, found, error_of = plan_of(frame, width=64, batch_size=32, epochs=100), [], trials._error

    def noted(plan: Any, **options: Any) -> float:
        found.append(error_of(plan, **options))
        return found[-1]

    monkeypatch.setattr(trials, "_error", noted)
    return found, run_trials(plan)


@pytest.mark.slow
def test_the_axes_with_the_lower_error_are_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    thin = pd.DataFrame(rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 4)), columns=list("abcd"))
    thin = (thin + 0.02 * rng.normal(size=(1000, 4))).assign(kind=rng.choice(["x", "y"], 1000))
    plan = plan_of(thin, epochs=100)
    assert plan.alternative is not None
    found, chosen = errors_of(thin, monkeypatch)
    assert found[1] < found[0] and chosen.alternative is None and not len(chosen.held_out)
    np.testing.assert_array_equal(chosen.process.noise[1][1], plan.alternative.noise[1][1])
    assert len(chosen.rows) == 1000


@pytest.mark.parametrize("value", [1.0, 1.1, np.nan])
def test_the_default_axes_are_kept_if_others_do_not_help(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    errors = iter([1.0, value])
    monkeypatch.setattr(trials, "_error", lambda plan, **options: next(errors))
    plan = plan_of(table_of_noise(200), width=16, batch_size=8, epochs=100)
    alternative = replace(plan.process, basis=plan.process.noise[1][1][::-1])
    chosen = run_trials(replace(plan, alternative=alternative))
    assert chosen.process is plan.process and chosen.alternative is None


def test_axes_are_not_tried_if_nothing_depends_on_them() -> None:
    rng = np.random.default_rng(0)
    free = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc")).assign(kind=rng.choice(["x", "y"], 300))
    near = free.assign(b=free["a"] + 0.01 * rng.normal(size=300))
    spiky = near.assign(a=np.where(rng.random(300) < 0.3, 0.0, near["a"]))
    assert plan_of(near).alternative is not None
    for frame, asked in ((free, {}), (spiky, {}), (near, {"missing": "unknown"}), (near, {"early_stopping": True})):
        assert plan_of(frame, **asked).alternative is None
    # With few steps there is no trial.
    short = plan_of(near, epochs=2)
    chosen = run_trials(short)
    assert chosen.alternative is None and chosen.process is short.process


def test_large_networks_are_trained_for_fewer_steps() -> None:
    few, many = (table_of_noise(3000).assign(code=[f"code {i % n}" for i in range(3000)]) for n in (3, 400))

    def planned(frame: pd.DataFrame, **asked: Any) -> Any:
        return prepare(Configuration(random_state=0, **asked), frame).plan

    assert planned(few).default_steps == planned(many, width=256).default_steps == DEFAULT_MIXED_STEPS
    plan = planned(many)
    network = jax.jit(lambda key: plan.process.architecture.build(key, plan.codec.width))(jax.random.key(0))
    n_weights = sum(leaf.size for leaf in jax.tree.leaves(network))
    assert plan.default_steps == MOST_WEIGHTS_IN_ALL // n_weights < DEFAULT_MIXED_STEPS
