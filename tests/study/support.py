"""Helpers that several test files of studies share."""

import numpy as np

from pointillist.study.store import Model

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


def write_tiny(folder):
    """Writes a spec of five distinct models and its two small files to a folder; the spec's path."""
    rng = np.random.default_rng(0)
    np.save(folder / "rows.npy", rng.normal(size=(300, 2)))
    lines = "\n".join(f"{a},{b},{c}" for a, b, c in rng.normal(size=(200, 3)).round(4))
    (folder / "other.csv").write_text(f"x,y,z\n{lines}\n")
    (folder / "reported.csv").write_text("dataset,metric,timesteps,value\nrows,EMD,5,20.5\nrows,NLL,9,1.0\n")
    path = folder / "tiny.toml"
    path.write_text(TINY)
    return path


def dump(store):
    """Returns everything in a store that an interruption must not change, bit for bit."""
    connection = store.connection
    names = ("cells", "models", "rows", "baselines")
    tables = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    assert connection.execute("SELECT COUNT(*) FROM checkpoints").fetchone() == (0,)
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


def add_finished(store, cell, losses, rows, measures):
    """Adds a finished cell with its model and its rows to a store."""
    store.add_models({cell.model_key: Model(losses, b"weights")})
    store.add_rows(cell.rows_key, rows)
    store.add_result(cell, measures)
