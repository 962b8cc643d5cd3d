"""Measures of rows with columns of any kind, of real rows, and of independent columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics.mixed import PairTrends, column_shapes, mean_score, pair_trends
from pointillist.metrics.mixed_models import BoostedTwoSample, Utility, boosted_two_sample, utility
from pointillist.metrics.mixed_nearest import MixedManifold, NearestShare, mixed_manifold, nearest_share
from pointillist.metrics.mixed_tables import Table, count_rows

# Most rows a side, and most cells, that boosted trees see: both take seconds.
TWO_SAMPLE_ROWS = 16_000
TWO_SAMPLE_CELLS = 256_000

# Most rows a side of the manifold scores, which compare all pairs of rows.
MANIFOLD_ROWS = 2000

NEIGHBOURS = 5


@dataclass(frozen=True, eq=False)
class Scores:
    """Measures of one table against the data.

    Attributes:
        two_sample: Test of how well boosted trees distinguish the two.
        trends: Scores of pairs of columns, as in the quality report of SDMetrics: numbers in bins of each side's range.
        common_trends: The same, with numbers in bins over the range of the data.
        manifold: Precision and coverage.
        nearest: Distances to the data and to held-out rows; None without held-out rows.
        utility: Test of what can be learned from the table; None without held-out rows and a target.
        shapes: Score of each column by itself, by name.
        shapes_mean: Mean over the columns whose score is defined.
    """

    two_sample: BoostedTwoSample
    trends: PairTrends
    common_trends: PairTrends
    manifold: MixedManifold
    nearest: NearestShare | None
    utility: Utility | None
    shapes: dict[str, float]
    shapes_mean: float

    @cached_property
    def two_sample_p_value(self) -> float:
        """p-value of an AUC of the boosted trees above one half."""
        from scipy.stats import norm

        auc = self.two_sample.auc
        return float(norm.sf((auc - 0.5) / auc.null_standard_error))


def measure_all(
    data: Table, rows: Table, holdout: Table | None, target: str | None, random_state: int
) -> tuple[Scores, Scores, Scores]:
    """Measure the rows, and two tables in their place: real rows, and the data with each column permuted by itself.

    See `Evaluation` for what these are.
    """
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
    size = min(m, count_rows(real))
    of_rows, of_real, of_independent = (
        _score(against, table, size, near, learns, random_state)
        for (against, table), near, learns in zip(
            ((data, rows), (reference, real), (data, independent)), nearest, learned, strict=True
        )
    )
    return of_rows, of_real, of_independent


def _score(
    data: Table, rows: Table, size: int, nearest: NearestShare | None, learns: Utility | None, random_state: int
) -> Scores:
    size = min(size, count_rows(data))
    seen = min(size, TWO_SAMPLE_ROWS, max(MANIFOLD_ROWS, TWO_SAMPLE_CELLS // len(data)))
    shapes = column_shapes(data, rows)
    return Scores(
        two_sample=boosted_two_sample(data, rows, max_rows=seen, random_state=random_state),
        trends=pair_trends(data, rows),
        common_trends=pair_trends(data, rows, bins="data"),
        manifold=mixed_manifold(
            data, rows, k=min(NEIGHBOURS, size - 1), max_rows=min(size, MANIFOLD_ROWS), random_state=random_state
        ),
        nearest=nearest,
        utility=learns,
        shapes=shapes,
        shapes_mean=mean_score(shapes),
    )


def _halves(table: Table, rng: np.random.Generator) -> tuple[Table, Table]:
    order = rng.permutation(count_rows(table))
    half = len(order) // 2
    return _take(table, order[:half]), _take(table, order[half:])


def _take(table: Table, index: NDArray[np.int64] | slice) -> Table:
    return {name: column[index] for name, column in table.items()}
