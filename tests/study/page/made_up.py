"""A study with made-up numbers."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np

from pointillist.engine import weights
from pointillist.metrics import Baseline, Estimate
from pointillist.study.grid import Cell, Dataset
from pointillist.study.quantities import OF_EACH_CLASS, QUANTITIES, class_metric, protocol
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, ReferenceValue, Section
from pointillist.study.store import Model

BASELINE = 20.0

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
    tuple(Column(name, replace(GUIDED, classifier=name, n_held_out=500)) for name in ("mlp_100_50", "elbo")),
)
N_COLUMNS = {"space": 3, "wide": 5}


def dataset(name, n_rows=90):
    """Rows of two columns but for some names, in two classes."""
    rng = np.random.default_rng(len(name))
    rows = rng.uniform(-1, 1, (n_rows, N_COLUMNS.get(name, 2))).astype(np.float32)
    return Dataset(name, rows, (rows[:, 0] > 0).astype(np.int64))


@cache
def not_finite(architecture, columns):
    """Weights of a model that does not travel in the page."""
    template = jax.eval_shape(lambda: architecture.build(jax.random.key(0), columns))
    return weights.to_bytes(jax.tree.map(lambda leaf: np.full(leaf.shape, np.nan, leaf.dtype), template))


def emd_of(_, column):
    """Returns values that fall with T to the baseline: 40, 30, 20."""
    return {"10": 40.0, "100": 30.0, "500": 20.0}.get(column.label, 25.0)


def measures(section, value):
    """Returns measures of one cell: all but the first are a tenth of the value; densities stay if rows diverged."""
    names = list(QUANTITIES[section.kind])
    if section.kind == "classes":
        names += [class_metric(name, k) for name in OF_EACH_CLASS for k in (0, 1)]
    found = {
        name: Estimate(value if i == 0 else value / 10, 1.0 if i == 0 else 0.1, 50.0) for i, name in enumerate(names)
    }
    return found | {"nll": Estimate(2.0, 0.1, 50.0)} if np.isnan(value) and "nll" in found else found


def fill(store, section, column, of, value, seeds, baseline):
    """Puts a cell's baselines, model, rows and measures into a store."""
    if baseline is not None:
        for i, name in enumerate(QUANTITIES[section.kind]):
            record = Baseline(baseline, 1.0, 50) if i == 0 else Baseline(baseline / 10, 0.1, 50)
            store.add_baselines(of.fingerprint, protocol(column.settings), {name: record})
    if value is None:
        return
    for seed in range(seeds):
        cell = Cell(of.fingerprint, column.settings, seed)
        rows = of.rows[np.arange(column.settings.n_samples) % len(of.rows)] * 0.9
        rows[:7] = 5.0
        if np.isnan(value):
            rows[:3] = np.nan
        network = not_finite(column.settings.architecture, rows.shape[1])
        store.add_models({cell.model_key: Model(np.linspace(1, 0.5, 4).astype(np.float32), network)})
        store.add_rows(cell.rows_key, rows)
        store.add_result(cell, measures(section, value + 0.01 * seed))
