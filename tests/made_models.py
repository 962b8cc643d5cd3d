"""Models that tests make without training."""

import jax
import numpy as np

from pointillist.models.configuration import Configuration, values_of
from pointillist.models.fitting import prepare
from pointillist.models.row_model import Record, RowModel

TINY = {"width": 8, "depth": 1, "time_embedding": 4, "class_embedding": 4, "timesteps": 20, "random_state": 3}


def untrained(X, y=None, **parameters):
    """Returns a model with random weights in every layer; some initial weights would be 0."""
    asked = Configuration(**TINY, **parameters)
    task = prepare(asked, X, y)
    plan, rng = task.plan, np.random.default_rng(0)
    network = plan.process.architecture.build(jax.random.key(0), plan.codec.width)
    network = jax.tree.map(lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), network)
    process, network = plan.process.finished(network)
    record = Record(np.ones(1, np.float32), np.empty(0, np.float32), plan.seed, "")
    return RowModel(plan.codec, process, network, task.classes, record, values_of(asked), task.trained_with)
