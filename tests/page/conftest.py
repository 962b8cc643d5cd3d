"""Models of mixed columns, and their pages in a browser."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pointillist import Diffusion
from pointillist.columns.covariance import principal_axes

N = 600
TRAINED = {"width": 32, "depth": 2, "epochs": 30, "batch_size": 32, "random_state": 0}


@pytest.fixture(scope="session")
def mixed_table():
    """Returns a table with categories, numbers, dates, missing cells, a sum and repeated values."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, N)
    hours = np.round(rng.gamma(4, 2, N) + kind, 1)
    extra = np.where(rng.random(N) < 0.4, 0.0, np.round(rng.exponential(3, N), 2))
    days = np.datetime64("2024-01-01") + rng.integers(0, 500, N)
    return pa.table(
        {
            "<b>kind": np.array(["one", "two, or more", "</script>"])[kind],
            "hours": hours,
            "extra": extra,
            "sum": hours + extra,
            "rooms": pa.array(np.clip(kind + rng.integers(0, 3, N), 0, 4), mask=rng.random(N) < 0.1),
            "day": days,
            "is_new": rng.random(N) < 0.3,
        }
    )


@pytest.fixture(scope="session")
def mixed_model(mixed_table):
    rng = np.random.default_rng(1)
    model = Diffusion(**TRAINED).fit(mixed_table, np.where(rng.random(N) < 0.5, "yes", "no"))
    # Use rotated axes of the numbers, whichever axes a trial chose.
    process = model.model_.process
    turned = principal_axes(process.covariance, np.ones(len(process.covariance), bool))
    model.model_ = replace(model.model_, process=replace(process, basis=turned))
    return model


@pytest.fixture
def page_of(opened, tmp_path):
    """Opens the page of a model, and waits for its first rows."""

    def build(model, **options):
        model.page(tmp_path / "model.html")
        page = opened(tmp_path / "model.html", **options)
        page.wait_for_function("() => !document.querySelector('#csv').disabled")
        return page

    return build


@pytest.fixture
def ask():
    """Adds a condition on a column to a page; returns its fields."""

    def add(page, name):
        page.select_option("#condition-column", label=name)
        page.click("#condition-add")
        return page.locator("#conditions fieldset").last.locator("input")

    return add
