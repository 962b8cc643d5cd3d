"""Model files that were written elsewhere: they open, and give the same rows up to rounding.

The files in `files/` are written by `python tests/models/test_other_machines.py`; do so again when `FORMAT` rises, or
when a change to the code changes what a model draws.
"""

import json
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pointillist import Diffusion, load
from pointillist.models.container import _digest, write_model

FILES = Path(__file__).with_name("files")
SETTINGS = {"width": 8, "depth": 1, "epochs": 30, "random_state": 0, "verbose": False}
N_ROWS = 40

LARGEST = 100_000
"""Most bytes of a file."""


def tables():
    """Returns a table of numbers with labels, and a mixed table with dates and missing cells."""
    rng = np.random.default_rng(0)
    y = np.repeat(["left", "right"], 100)
    numbers = pd.DataFrame(rng.standard_normal((200, 2)) + 2 * (y == "right")[:, None], columns=["a", "b"])
    pay = 1000 * np.exp(0.4 * rng.standard_normal(200))
    mixed = pd.DataFrame(
        {
            "city": rng.choice(["Zürich", "Nice", "Łódź"], 200),
            "pay": pay.round(2),
            "rent": (0.3 * pay + 40 * rng.standard_normal(200)).round(2),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, 200), "D"),
            "sure": np.where(rng.random(200) < 0.1, None, rng.random(200) < 0.5),
        }
    )
    return {"numbers": (numbers, y), "mixed": (mixed, None)}


def answers(model, table):
    """Returns rows and densities of a model as JSON values."""
    rows = model.sample(N_ROWS, random_state=1)
    return {
        "rows": json.loads(rows.to_json(date_format="iso")),
        "log_density": model.score_samples(table.head(N_ROWS)).tolist(),
    }


@pytest.mark.parametrize("name", ["numbers", "mixed"])
def test_a_file_of_another_machine_gives_the_same_rows(name):
    path = FILES / f"{name}.model"
    assert path.stat().st_size < LARGEST
    model, table = load(path), tables()[name][0]
    expected = json.loads((FILES / f"{name}.json").read_text())
    found = json.loads(json.dumps(answers(model, table)))
    np.testing.assert_allclose(found["log_density"], expected["log_density"], rtol=1e-3, atol=0.02)
    rows, old_rows = (pd.DataFrame(each["rows"]) for each in (found, expected))
    assert [*rows] == [*old_rows]
    # Where two values are nearly equally probable, rounding may decide for the other one.
    is_close = np.ones(N_ROWS, bool)
    for column in rows:
        if rows[column].dtype == float:
            is_close &= np.isclose(rows[column], old_rows[column], rtol=0.01, atol=0.01 * old_rows[column].std())
        else:
            is_close &= (rows[column] == old_rows[column]) | (rows[column].isna() & old_rows[column].isna())
    assert is_close.mean() >= 0.9


def test_files_are_the_same_on_machines_of_either_byte_order(tmp_path):
    tensors = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3, dtype="i4")}
    for order, name in (("<", "little"), (">", "big")):
        ordered = {key: each.astype(each.dtype.newbyteorder(order)) for key, each in tensors.items()}
        assert _digest(ordered) == _digest(tensors)
        write_model(tmp_path / name, {"x": 1}, ordered)
    assert (tmp_path / "little").read_bytes() == (tmp_path / "big").read_bytes()


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    for name, (table, y) in tables().items():
        model = Diffusion(**SETTINGS).fit(table, y)
        model.save(FILES / f"{name}.model")
        (FILES / f"{name}.json").write_text(json.dumps(answers(load(FILES / f"{name}.model"), table)) + "\n")
    print(f"written by Python {platform.python_version()} on {platform.machine()}")
