import subprocess
import sys

import numpy as np
import pytest

TINY = """
title = "A tiny study"
seeds = 1
width = 8
depth = 1
time_embedding = 4
epochs = 3
batch_size = 32
n_samples = 100
emd_rows = 20

[sections.steps]
datasets = ["rows.npy", "other.csv"]
timesteps = [5, 9]
reference = "reported.csv"

[sections.kinds]
datasets = ["rows.npy"]
timesteps = 5
schedule = ["linear", "cosine", "sigmoid"]
"""


@pytest.fixture
def tiny(tmp_path):
    """A spec of five distinct models on two small files."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "rows.npy", rng.normal(size=(300, 2)))
    lines = "\n".join(f"{a},{b},{c}" for a, b, c in rng.normal(size=(200, 3)).round(4))
    (tmp_path / "other.csv").write_text(f"x,y,z\n{lines}\n")
    (tmp_path / "reported.csv").write_text("dataset,metric,timesteps,value\nrows,EMD,5,20.5\nrows,NLL,9,1.0\n")
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def command():
    """Runs the real command line in a process of its own."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "pointillist", *map(str, arguments)], capture_output=True, text=True, **options
        )

    return run
