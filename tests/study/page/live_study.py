"""Synthetic study whose networks have random weights; their predictions need no meaning."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
from made_up import BASELINE, dataset, emd_of, fill

from pointillist.engine import weights
from pointillist.study.grid import Cell
from pointillist.study.settings import Settings
from pointillist.study.spec import Column, Section, Spec, to_json
from pointillist.study.store import Model

SMALL = Settings(timesteps=60, beta_range=(1e-3, 0.1), width=32, depth=2, time_embedding=8, epochs=4, n_samples=120)
CLASSES = {"method": "guidance", "class_embedding": 8, "p_uncond": 0.2}
RESIDUAL = {"network": "residual", "prediction": "edm", "schedule": "cosine", "width": 64}


def section(name, datasets, *changes):
    columns = tuple(Column(label, replace(SMALL, **change)) for label, change in changes)
    return Section(name, name, datasets, (), columns)


COLUMNS = {"names": ["width", "height, in m", "depth"], "centre": [100.0, 0.0, 0.0], "unit": [2.0, 1.0, 0.5]}

SECTIONS = (
    section("plain", ("moons", "space"), ("10", {}), ("500", {"width": 24})),
    section("residual", ("moons",), ("residual", RESIDUAL)),
    section("guided", ("moons",), ("0", CLASSES), ("1", CLASSES | {"guidance": 1.0})),
)


def put_study(store):
    """Fills a store."""
    names = ("moons", "space")
    datasets = {name: dataset(name) for name in names}
    store.set_fact("spec", to_json(Spec("live", "Live", 1, SECTIONS)))
    store.set_fact("fingerprints", {name: of.fingerprint for name, of in datasets.items()})
    store.set_fact("columns", {"space": COLUMNS})
    store.set_fact("machine", {"processor": "x86_64", "devices": 2})
    store.set_fact("versions", {"pointillist": "0.1.0", "jax": "0.10"})
    rng = np.random.default_rng(0)
    for part in SECTIONS:
        for name in part.datasets:
            store.add_dataset(datasets[name])
            for column in part.columns:
                fill(store, part, column, datasets[name], emd_of(name, column), 1, BASELINE)
                cell = Cell(datasets[name].fingerprint, column.settings, 0)
                network = template(column.settings, datasets[name])
                drawn = jax.tree.map(partial(normal, rng), network)
                store.add_models({cell.model_key: Model(np.ones(4, np.float32), weights.to_bytes(drawn))})


def normal(rng, leaf):
    return rng.normal(size=leaf.shape, scale=leaf.shape[0] ** -0.5).astype(np.float32)


def template(settings, of):
    return jax.eval_shape(lambda: settings.architecture.build(jax.random.key(0), of.rows.shape[1]))
