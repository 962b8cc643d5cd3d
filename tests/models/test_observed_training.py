"""Checks the training of the network of observed numbers alone."""

from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from test_trials import plan_of, table_of_noise

from pointillist import Diffusion
from pointillist.engine.training import held_out_loss
from pointillist.models import training
from pointillist.models.training import train, train_observed
from pointillist.tables.frames import table_of


def test_only_the_network_of_observed_numbers_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "FEWEST_OBSERVED_ROWS", 60)
    monkeypatch.setattr(training, "STEPS_PER_NUMBER", 75)
    plan, alone = plan_of(table_of_noise(60), epochs=2), []

    def noted(plan: Any, **options: Any) -> Any:
        alone.append(plan)
        return train(plan, **options)

    before = train(plan).network
    monkeypatch.setattr(training, "train", noted)
    after = train_observed(plan, before)
    assert after.joint_network is before.joint_network and after.token_network is before.token_network
    again = train_observed(plan, before)
    jax.tree.map(np.testing.assert_array_equal, after.number_network, again.number_network)
    others = plan.codec.encode_table(table_of(table_of_noise(300, seed=1))[0])
    of = alone[0].process.architecture, alone[0].method.objective, *alone[0].process.noise
    new, old = (held_out_loss(networks.number_network, *of, others, None, 0) for networks in (after, before))
    assert new < old


def test_a_set_number_of_epochs_trains_all_networks_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pointillist.models.fitting.train_observed", lambda *_, **__: pytest.fail("trained alone"))
    Diffusion(width=32, depth=1, epochs=1, random_state=0).fit(table_of_noise(60))


@pytest.mark.slow
def test_conditional_noise_around_a_curve_is_that_of_the_data() -> None:
    rng = np.random.default_rng(0)
    x, kind = rng.normal(size=(2, 1000)), rng.choice(["a", "b"], 1000)

    def curve(x: np.ndarray) -> np.ndarray:
        return 2 * np.tanh(2 * x[0]) + 0.5 * x[1] ** 2

    frame = pd.DataFrame({"v": x[0], "w": x[1], "y": curve(x) + 0.4 * rng.normal(size=1000), "kind": kind})
    new = Diffusion(random_state=0).fit(frame).sample(2000, where={"v": rng.choice(x[0], 2000)}, random_state=1)
    residuals = (new.y - curve(new[["v", "w"]].to_numpy().T)) / 0.4
    # The deviation is 1.07, and 1.11 without the further training; two standard errors are 0.03.
    assert residuals.std() == pytest.approx(1, abs=0.09)
