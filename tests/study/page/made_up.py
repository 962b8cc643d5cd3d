"""A study with made-up numbers."""

from dataclasses import replace

import numpy as np
from safetensors.numpy import save

from pointillist.study.grid import Cell, Dataset
from pointillist.study.quantities import OF_EACH_CLASS, QUANTITIES, of_class
from pointillist.study.reference import ReferenceValue
from pointillist.study.results import protocol
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, Section
from pointillist.study.store import FloorRecord, Measure, Model

FLOOR = 20.0

PLAIN = Settings(epochs=4, n_samples=120)
STEPS = Section(
    "steps",
    "Number of steps",
    ("moons", "space", "wide"),
    ("timesteps",),
    tuple(Column(str(t), replace(PLAIN, timesteps=t)) for t in (10, 100, 500)),
    (ReferenceValue("moons", "emd", "10", 39.5, 1),),
)
GUIDED = replace(PLAIN, method="guidance", class_embedding=16, p_uncond=0.2, timesteps=500)
GUIDANCE = Section(
    "guidance",
    "Guidance",
    ("moons",),
    ("guidance",),
    tuple(Column(f"{w:g}", replace(GUIDED, guidance=w)) for w in (0.0, 1.0)),
)
CLASSIFIER = Section(
    "classifier",
    "Classifiers",
    ("moons",),
    ("classifier",),
    tuple(Column(name, replace(GUIDED, classifier=name)) for name in ("mlp_100_50", "elbo")),
)
N_COLUMNS = {"space": 3, "wide": 5}


def dataset(name, n_rows=90):
    """Rows of two columns but for some names, in two classes."""
    rng = np.random.default_rng(len(name))
    rows = rng.uniform(-1, 1, (n_rows, N_COLUMNS.get(name, 2))).astype(np.float32)
    return Dataset(name, rows, (rows[:, 0] > 0).astype(np.int64))


NOT_FINITE = save({"hidden.0.bias": np.array([np.nan], np.float32)})
"""Weights of a model that does not travel in the page."""


def emd_of(_, column):
    """Values that fall with T, to the floor: 40, 30, 20."""
    return {"10": 40.0, "100": 30.0, "500": 20.0}.get(column.label, 25.0)


def measures(section, value):
    """Of one cell; the metrics but for the first have the value's tenth."""
    names = list(QUANTITIES[section.kind])
    if section.kind == "classes":
        names += [of_class(name, k) for name in OF_EACH_CLASS for k in (0, 1)]
    return {
        name: Measure(value if i == 0 else value / 10, 1.0 if i == 0 else 0.1, 50.0) for i, name in enumerate(names)
    }


def fill(store, section, column, of, value, seeds, floor):
    """Puts a cell's floors, model, rows and measures into a store."""
    if floor is not None:
        for i, name in enumerate(QUANTITIES[section.kind]):
            record = FloorRecord(floor, 1.0, 50) if i == 0 else FloorRecord(floor / 10, 0.1, 50)
            store.add_floor(of.fingerprint, protocol(column.settings), name, record)
    if value is None:
        return
    for seed in range(seeds):
        cell = Cell(of.fingerprint, column.settings, seed)
        rows = of.rows[np.arange(column.settings.n_samples) % len(of.rows)] * 0.9
        rows[:7] = 5.0
        if np.isnan(value):
            rows[:3] = np.nan
        store.add_models({cell.model_key: Model(np.linspace(1, 0.5, 4).astype(np.float32), NOT_FINITE)})
        store.add_rows(cell.rows_key, rows)
        store.add_result(cell, measures(section, value + 0.01 * seed))
