"""Measures of rows, of real rows and of independent columns, and further ones of columns of numbers."""

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointillist import metrics
from pointillist.metrics import MEASURES, NearestShare, Utility, nearest_share, utility
from pointillist.metrics.checks import check_pair
from pointillist.metrics.distances import Rows
from pointillist.metrics.mixed import mean_score
from pointillist.metrics.mixed_tables import Table, count_rows

ENERGY_ROWS, EMD_ROWS = 4000, 250
"""Most rows a side of the energy test, whose 8,000² distances in float32 are 256 MB, and of the EMD."""

FOREST_ROWS, FOREST_ROWS_OF_MANY, MANY_COLUMNS = 2000, 1000, 16
"""Most rows a side of the forest, which takes seconds; fewer if there are more columns than that."""


class Scores(SimpleNamespace):
    """Measures of one table against the data.

    Attributes:
        two_sample: Test of how well boosted trees distinguish the two, a `BoostedTwoSample`.
        trends: `PairTrends`, as in the quality report of SDMetrics: numbers in bins of each side's range.
        common_trends: The same, with numbers in bins over the range of the data.
        manifold: `ManifoldScores`.
        shapes: Score of each column by itself, by name.
        shapes_mean: Mean over the columns whose score is defined.
        nearest: `NearestShare`; None without held-out rows.
        utility: `Utility`: what can be learned from the table; None without held-out rows and a target.

    Each measure registered in `metrics.MEASURES` is an attribute.
    """

    nearest: NearestShare | None
    utility: Utility | None
    shapes: dict[str, float]

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"evaluations have no measure {name!r}")


def measure_all(
    data: Table, rows: Table, holdout: Table | None, target: str | None, random_state: int
) -> tuple[Scores, Scores, Scores]:
    """Measure the rows, real rows, and the data with each column permuted by itself; see `Evaluation`."""
    rng = np.random.default_rng(random_state)
    m, n = count_rows(rows), count_rows(data)
    independent = {name: column[rng.permutation(n)[:m]] for name, column in data.items()}
    nearest: list[NearestShare | None] = [None] * 3
    if holdout is None:
        half, reference = _halves(data, rng)
        real = _take(half, slice(m))
    else:
        real, reference = _take(holdout, rng.permutation(count_rows(holdout))[:m]), data
        one, other = _halves(holdout, rng)
        nearest = [
            nearest_share(data, table, rest, random_state=random_state)
            for table, rest in ((rows, holdout), (one, other), (independent, holdout))
        ]
    learned: list[Utility | None] = [None] * 3
    if holdout is not None and target is not None:
        learned[::2] = [
            utility(data, table, holdout, target, random_state=random_state) for table in (rows, independent)
        ]
    scores = []
    for i, (against, table) in enumerate(((data, rows), (reference, real), (data, independent))):
        size = min(m, count_rows(real), count_rows(against))
        found = {name: measure.function(against, table, size, random_state) for name, measure in MEASURES.items()}
        mean = mean_score(found["shapes"])
        scores.append(Scores(**found, nearest=nearest[i], utility=learned[i], shapes_mean=mean))
    return scores[0], scores[1], scores[2]


def _halves(table: Table, rng: np.random.Generator) -> tuple[Table, Table]:
    order = rng.permutation(count_rows(table))
    half = len(order) // 2
    return _take(table, order[:half]), _take(table, order[half:])


def _take(table: Table, index: NDArray[np.int64] | slice) -> Table:
    return {name: column[index] for name, column in table.items()}


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
