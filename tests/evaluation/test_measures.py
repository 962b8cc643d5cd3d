"""Checks that a registered measure is in the report, in the JSON values and among the tests."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from pointillist.evaluation import evaluate, print_evaluation
from pointillist.metrics import MEASURES, Measure

RNG = np.random.default_rng(0)
DATA, LIKE = RNG.normal(size=(60, 2)), RNG.normal(size=(50, 2))


def means(real, generated, size, random_state):
    assert size <= 60 and random_state == 0
    off = max(abs(generated[name].mean() - column.mean()) for name, column in real.items())
    return SimpleNamespace(off=float(off), p_value=1e-9)


@pytest.fixture
def found(monkeypatch):
    measure = Measure(means, lambda found: [("means, largest difference", found.off)], test="means")
    monkeypatch.setitem(MEASURES, "means", measure)
    return evaluate(DATA, LIKE)


def test_a_registered_measure_is_reported(found):
    console = Console(file=io.StringIO(), width=140)
    print_evaluation(found, console)
    text = console.file.getvalue()
    line = next(line for line in text.splitlines() if "means, largest difference" in line)
    assert f"{found.rows.means.off:.3f}" in line and "<0.0001" in line
    assert found.to_json()["rows"]["means"]["off"] == found.rows.means.off
    assert found.rows.means.off == pytest.approx(np.abs(DATA.mean(axis=0) - LIKE.mean(axis=0)).max())


def test_the_test_of_a_measure_counts_in_the_verdict(found):
    assert found.p_values["means"] == 1e-9 and found.is_distinguishable
    assert "most clearly by means, p < 0.0001" in found.verdict


def test_scores_include_the_registered_measures(found):
    for side in (found.rows, found.real, found.independent):
        assert MEASURES.keys() <= vars(side).keys()
    with pytest.raises(AttributeError, match="'other'"):
        _ = found.rows.other
