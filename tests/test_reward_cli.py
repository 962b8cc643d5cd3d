"""`pointillist sample --reward`: reward functions in files, and their errors."""

import sys

import numpy as np
import pytest

from pointillist import Diffusion
from pointillist.cli import main

FILE = """
import numpy
from unit import UNIT

def high(rows):
    return UNIT * rows[:, 0]

def on_the_host(rows):
    return UNIT * numpy.asarray(rows)[:, 0]

def beyond(rows):
    return numpy.asarray(rows)[:, 9]

def wide(rows):
    return rows

def angry(rows):
    raise ValueError("I want more rows")
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs the command in this process, in a folder with a model and a file of rewards; returns its status."""
    rows = np.random.default_rng(0).normal(size=(400, 2))
    Diffusion(timesteps=10, width=16, depth=1, epochs=5, random_state=0).fit(rows).save(tmp_path / "m")
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "f.py").write_text(FILE)
    (tmp_path / "r" / "unit.py").write_text("UNIT = 2.0")
    (tmp_path / "r" / "broken.py").write_text("def f(rows:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["pointillist", "sample", "m", "-o", "rows.npy", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0

    yield run
    sys.modules.pop("unit", None)


@pytest.mark.parametrize("name", ["high", "on_the_host"])
def test_rows_follow_the_reward_function(run, name):
    options = "--reward-temperature", 2, "--candidates", 4, "--steering", "svdd_pm", "--seed", 3
    assert run("-n", 200, "--reward", f"r/f.py:{name}", *options) == 0
    found = np.load("rows.npy")
    model = Diffusion.load("m")
    expected = model.sample(200, reward=lambda x: 2.0 * x[:, 0], reward_temperature=2.0, candidates=4, random_state=3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert found[:, 0].mean() > model.sample(200, random_state=3)[:, 0].mean() + 0.3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reward", "r/f.py"], "--reward takes FILE.py:NAME, not 'r/f.py'"),
        (["--reward", "r/f.py:"], "--reward takes FILE.py:NAME"),
        (["--reward", "r/none.py:high"], "r/none.py: no such file"),
        (["--reward", "r:high"], "r: no such file"),
        (["--reward", "r/f.py:low"], "r/f.py: has no function 'low'; it has high, on_the_host, beyond, wide"),
        (["--reward", "r/f.py:UNIT"], "r/f.py: has no function 'UNIT'"),
        (["--reward", "r/broken.py:f"], "r/broken.py: cannot be run: SyntaxError: "),
        (["--reward", "r/f.py:beyond"], "the reward r/f.py:beyond failed: IndexError: index 9 is out of bounds"),
        (["--reward", "r/f.py:angry"], "the reward r/f.py:angry failed: ValueError: I want more rows"),
        (["--reward", "r/f.py:wide"], "the reward gave shape (4, 2) for 4 rows"),
        (["--reward", "r/f.py:high", "--reward-temperature", "-1"], "reward_temperature must be a number"),
        (["--reward", "r/f.py:high", "--sampler", "dpm"], "rewards steer ancestral sampling, not dpm"),
        (["--candidates", "4"], "candidates has no effect without a reward"),
    ],
)
def test_bad_rewards_are_refused_in_one_line(run, capsys, tmp_path, arguments, message):
    assert run("-n", 20, *arguments) == 2
    text = capsys.readouterr().err
    assert message in text and text.count("\n") == 1
    assert not (tmp_path / "rows.npy").exists()
