"""The measures of one cell, and of data against data: what the threads beside the devices compute."""

import numpy as np
from jaxtyping import Float

from pointillist.metrics import METRICS, floor
from pointillist.study.grid import Cell, Dataset
from pointillist.study.settings import Settings
from pointillist.study.store import FloorRecord, Measure

FLOOR_REPEATS = {"emd": 50}
"""Evaluations that a metric's floor is the mean of; `FEW_REPEATS` for those that use every row and spread little."""

FEW_REPEATS = 12


def _options(metric: str, settings: Settings) -> dict[str, int]:
    return {"n_subsample": settings.emd_rows} if metric == "emd" else {}


def measure_floor(metric: str, dataset: Dataset, settings: Settings) -> FloorRecord:
    """A metric between random halves of a data set."""
    measured = floor(
        METRICS[metric],
        dataset.rows,
        n_rows=settings.n_samples,
        n_repeats=FLOOR_REPEATS.get(metric, FEW_REPEATS),
        **_options(metric, settings),
    )
    return FloorRecord(measured.value, measured.spread, measured.n_repeats)


def measure_cell(cell: Cell, data: Float[np.ndarray, "n d"], rows: Float[np.ndarray, "m d"]) -> dict[str, Measure]:
    """Every metric of a cell's generated rows; NaN where the model diverged."""
    if not np.isfinite(rows).all():
        return {name: Measure(np.nan, np.nan, np.nan) for name in METRICS}
    measures = {}
    for name, metric in METRICS.items():
        estimate = metric(data, rows, random_state=cell.random_seed, **_options(name, cell.settings))
        measures[name] = Measure(float(estimate), estimate.standard_error, estimate.degrees_of_freedom)
    return measures
