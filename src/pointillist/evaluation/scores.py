"""Measures of rows with columns of any kind, of real rows, and of independent columns."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics import MEASURES, NearestShare, Utility, nearest_share, utility
from pointillist.metrics.mixed import mean_score
from pointillist.metrics.mixed_tables import Table, count_rows


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
