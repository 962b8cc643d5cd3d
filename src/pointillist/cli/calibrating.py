"""What `pointillist evaluate` measures of a model file's predictions of a number."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pointillist.evaluation import Calibration
    from pointillist.points import CsvForm

MOST_ROWS = 2000
"""Most held-out rows that are predicted, chosen by the seed."""


def calibrated(
    model: Path, data: np.ndarray, holdout: Path, target: str, form: "CsvForm", seed: int
) -> "Calibration | str":
    """Measures a model's predictions of a column of numbers in held-out rows; or says why it has none.

    Args:
        model: The model file.
        data: The column in the data.
        holdout: File of the held-out rows.
        target: Name of the column.
        form: Form of the file, if it is a CSV file.
        seed: Seed of the choice of rows.
    """
    from pointillist.cli.predictions import column_named, labels_in
    from pointillist.cli.tables import read_for
    from pointillist.evaluation.calibration import POINTS, calibration
    from pointillist.models.conditionals import conditional_of
    from pointillist.models.saving import load_model
    from pointillist.points import MixedTable
    from pointillist.points.frames import mixed_table

    fitted = load_model(model)
    table = mixed_table(read_for(fitted, holdout, form))
    values = table.arrays()[target]
    there = np.flatnonzero(~np.isnan(values))
    places = np.sort(np.random.default_rng(seed).permutation(there)[:MOST_ROWS])
    try:
        rows = MixedTable(table.arrow.take(places))
        view = conditional_of(fitted, column_named(fitted, target), labels_in(fitted, rows))
        points = view.quantiles(rows, ((np.arange(POINTS) + 0.5) / POINTS).tolist())
    except ValueError as error:
        return f"no calibration of {target}: {error}"
    return calibration(points, values[places], data[~np.isnan(data)], target=target)
