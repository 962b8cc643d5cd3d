"""The calibration of a model file's predictions of a number, for `pointillist evaluate`."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pointillist.lazy import pa

if TYPE_CHECKING:
    from pointillist.evaluation import Calibration
    from pointillist.models.row_model import RowModel
    from pointillist.tables.table import Table

MOST_ROWS = 2000
"""Most held-out rows that are predicted, chosen by the seed."""


def calibrated(model: "RowModel", data: "Table", holdout: "Table", target: str, seed: int) -> "Calibration | str":
    """Measures a model's predictions of a column of numbers in held-out rows; returns the reason if it cannot."""
    from pointillist.cli.predictions import column_of, labels_in
    from pointillist.cli.table_options import columns_by_text
    from pointillist.evaluation.calibration import POINTS, calibration
    from pointillist.queries.label_conditional import conditional_of
    from pointillist.tables.table import Table

    name = columns_by_text(model).get(target, target)
    try:
        values, known = (_numbers(model, name, side.arrow.column(target)) for side in (holdout, data))
        there = np.flatnonzero(~np.isnan(values))
        places = np.sort(np.random.default_rng(seed).permutation(there)[:MOST_ROWS])
        rows = Table(holdout.arrow.take(places))
        view = conditional_of(model, name, labels_in(model, rows))
        points = view.quantiles(rows, ((np.arange(POINTS) + 0.5) / POINTS).tolist())
        found = _numbers(model, name, column_of(model, name, points.ravel())).reshape(points.shape)
    except ValueError as error:
        return f"no calibration of {target}: {error}"
    return calibration(found, values[places], known[~np.isnan(known)], target=target)


def _numbers(model: "RowModel", name: Any, column: Any) -> Float[np.ndarray, " n"]:
    """A column as numbers, NaN where a cell is missing: dates in the unit and the time zone of the model's column."""
    from pointillist.tables.frames import aligned
    from pointillist.tables.table import Table, cells_in

    codec = model.codec
    if codec.names is not None and name in codec.names:
        one = Table(pa.table([column], names=[str(name)]))
        column = aligned(one, codec.layout, absent=codec.names).arrow.column(codec.names.index(name))
    cells = cells_in(name, column)
    return np.where(cells.is_missing, np.nan, cells.numbers)
