"""Measures and tests of the columns of numbers without missing cells."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pointillist import metrics
from pointillist.metrics.checks import check_pair

Rows = NDArray[np.float64]

ENERGY_ROWS, EMD_ROWS = 4000, 250
"""Most rows a side of the energy test, whose 8,000² distances in float32 are 256 MB, and of the EMD."""

FOREST_ROWS, FOREST_ROWS_OF_MANY, MANY_COLUMNS = 2000, 1000, 16
"""Most rows a side of the forest, which takes seconds; fewer if there are more columns than that."""


@dataclass(frozen=True, eq=False)
class NumberMeasures:
    """Measures of rows of numbers against data, in columns divided by the data's deviations.

    Attributes:
        names: Names of the columns.
        energy: Energy distance with its permutation test.
        forest: Accuracy of a random forest that tries to distinguish rows from data; 0.5 is best.
        forest_rows: Number of rows a side that the forest saw.
        forest_p_value: p-value of an accuracy above 0.5.
        emd: Earth mover's distance between subsamples.
        emd_floor: Real-data baseline of `emd`: the same between halves of the data.
        emd_rows: Number of rows in a subsample.
        nearest: Distances to the closest data records.
        closer_p_value: p-value of the excess of `nearest.share_closer` over 0.5.
        correlations: Differences of correlations, in columns that are not scaled.
    """

    names: tuple[str, ...]
    energy: metrics.EnergyTest
    forest: metrics.Estimate
    forest_rows: int
    forest_p_value: float
    emd: metrics.Estimate
    emd_floor: metrics.Floor
    emd_rows: int
    nearest: metrics.NearestRecords
    closer_p_value: float
    correlations: metrics.CorrelationDifferences


def measure_numbers(data: Rows, rows: Rows, names: tuple[str, ...], random_state: int) -> NumberMeasures:
    """Measure rows of shape (m, d) against data of shape (n, d), with d names."""
    (m, d), n = rows.shape, len(data)
    deviations = np.where(np.ptp(data, axis=0) > 0, data.std(axis=0), 0.0)  # of equal values it may be rounding
    scale = np.where(deviations > 0, deviations, 1.0)
    # About 0, as a large constant would drown distances.
    middle = data.mean(axis=0)
    near_data, near_rows = check_pair(
        (data - middle) / scale, (rows - middle) / scale, ("data, scaled,", "rows, scaled,")
    )
    nearest = metrics.nearest_records(near_data, near_rows, random_state=random_state)
    most = FOREST_ROWS if d <= MANY_COLUMNS else FOREST_ROWS_OF_MANY
    forest = metrics.two_sample_test(near_data, near_rows, max_rows=most, random_state=random_state)
    emd_rows = min(EMD_ROWS, n // 2, m)
    return NumberMeasures(
        names=names,
        energy=metrics.energy_test(near_data, near_rows, max_rows=ENERGY_ROWS, random_state=random_state),
        forest=forest,
        forest_rows=min(m, n, most),
        forest_p_value=_above_half(forest, forest.null_standard_error),
        emd=metrics.emd(near_data, near_rows, n_subsample=emd_rows, random_state=random_state),
        emd_floor=metrics.floor(
            partial(metrics.emd, n_subsample=emd_rows, n_repeats=1), near_data, random_state=random_state
        ),
        emd_rows=emd_rows,
        nearest=nearest,
        closer_p_value=_above_half(nearest.share_closer, nearest.share_closer.standard_error),
        correlations=metrics.correlation_differences(data, rows, random_state=random_state),
    )


def _above_half(estimate: metrics.Estimate, error: float) -> float:
    """One-sided p-value of a share above 0.5; an error of zero leaves no doubt, either way."""
    from scipy.stats import t

    if error == 0:
        return 0.0 if estimate > 0.5 else 1.0
    return float(t.sf((estimate - 0.5) / error, estimate.degrees_of_freedom))
