"""Measures of rows, of real rows and of independent columns, and further measures of numeric columns."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from pointillist import metrics
from pointillist.lazy import stats
from pointillist.metrics import MEASURES, NearestShare, Utility, nearest_share, utility
from pointillist.metrics.checks import Table, check_pair
from pointillist.metrics.mixed import mean_score
from pointillist.metrics.mixed_tables import count_rows

FOREST_ROWS, FOREST_ROWS_OF_MANY, MANY_COLUMNS = 2000, 1000, 16
"""Most rows per side of the forest, which takes seconds; fewer if there are more columns than that."""


class Scores(SimpleNamespace):
    """Measures of one table against the data.

    Attributes:
        two_sample: Test of how well boosted trees distinguish the two, a `BoostedTwoSample`.
        trends: `PairTrends`, as in the quality report of SDMetrics: numbers in bins over the range of each side.
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


def measure_all(
    data: Table, rows: Table, holdout: Table | None, target: str | None, random_state: int
) -> tuple[Scores, Scores, Scores]:
    """Measure the rows, real rows, and the data with each column permuted by itself; see `Comparison`."""
    rng = np.random.default_rng(random_state)
    m, n = count_rows(rows), count_rows(data)
    independent = {name: column[rng.permutation(n)[:m]] for name, column in data.items()}
    nearest: list[NearestShare | None] = [None] * 3
    learned: list[Utility | None] = [None] * 3
    if holdout is None:
        half, reference = _halves(data, rng)
        real = _take(half, slice(m))
    else:
        real, reference = _take(holdout, rng.permutation(count_rows(holdout))[:m]), data
        one, other = _halves(holdout, rng)
        pairs = (rows, holdout), (one, other), (independent, holdout)
        nearest = [nearest_share(data, table, rest, random_state=random_state) for table, rest in pairs]
        if target is not None:
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
    """Measures of numeric columns of rows and data, divided by the standard deviations of the data.

    Attributes:
        names: Names of the columns.
        forest: Accuracy of a random forest that tries to distinguish rows from data; 0.5 is best.
        forest_rows: Number of rows per side that the forest saw.
        forest_p_value: p-value of an accuracy above 0.5.
        correlations: Test of the correlations, in columns that are not scaled.
        nearest: Distances to the closest data records.
        closer_p_value: p-value of the excess of `nearest.share_closer` over 0.5.
    """

    names: tuple[str, ...]
    forest: metrics.Estimate
    forest_rows: int
    forest_p_value: float
    correlations: metrics.CorrelationTest
    nearest: metrics.NearestRecords
    closer_p_value: float


def measure_numbers(data: Table, rows: Table, random_state: int) -> NumberMeasures | None:
    """Measure the columns that hold numbers and no missing cell in both tables; return None without such columns."""
    sides = data, rows
    names = tuple(n for n in data if all(t[n].dtype != object and not np.isnan(t[n]).any() for t in sides))
    if not names:
        return None
    real, made = (np.stack([table[name] for name in names], axis=1) for table in sides)
    deviations = np.where(np.ptp(real, axis=0) > 0, real.std(axis=0), 0.0)  # of equal values it may be rounding
    scale = np.where(deviations > 0, deviations, 1.0)
    mean = real.mean(axis=0)  # a large mean would drown distances
    scaled = check_pair((real - mean) / scale, (made - mean) / scale, ("data, scaled,", "rows, scaled,"))
    nearest = metrics.nearest_records(*scaled, random_state=random_state)
    forest_rows = min(*map(len, scaled), FOREST_ROWS if len(names) <= MANY_COLUMNS else FOREST_ROWS_OF_MANY)
    forest = metrics.two_sample_test(*scaled, max_rows=forest_rows, random_state=random_state)
    return NumberMeasures(
        names=names,
        forest=forest,
        forest_rows=forest_rows,
        forest_p_value=_above_half(forest, forest.null_standard_error),
        correlations=metrics.correlation_test(real, made, random_state=random_state),
        nearest=nearest,
        closer_p_value=_above_half(nearest.share_closer, nearest.share_closer.standard_error),
    )


def _above_half(estimate: metrics.Estimate, error: float) -> float:
    """Return the one-sided p-value of a fraction above 0.5; with an error of 0 it is 0 or 1."""
    if error == 0:
        return 0.0 if estimate > 0.5 else 1.0
    return float(stats.t.sf((estimate - 0.5) / error, estimate.degrees_of_freedom))
