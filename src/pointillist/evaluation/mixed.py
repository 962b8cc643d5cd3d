"""Rows of a mixed table measured against data, beside real rows and beside columns drawn by themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointillist.evaluation.mixed_report import print_mixed_evaluation
from pointillist.evaluation.plain import plain_value
from pointillist.evaluation.verdict import LEVEL, p_text
from pointillist.metrics.mixed import PairTrends, column_shapes, mean_score, pair_trends
from pointillist.metrics.mixed_models import BoostedTwoSample, Utility, boosted_two_sample, utility
from pointillist.metrics.mixed_nearest import MixedManifold, NearestShare, mixed_manifold, nearest_share
from pointillist.metrics.mixed_tables import Table, check_tables, count_rows

__all__ = ["MixedEvaluation", "MixedScores", "evaluate_mixed", "print_mixed_evaluation"]

MIN_ROWS = 10
"""Fewer rows on a side show nothing."""

# Rows a side, at most: of the boosted trees, which take seconds, and of the manifold scores, which compare all pairs.
TWO_SAMPLE_ROWS = 16_000
MANIFOLD_ROWS = 2000

NEIGHBOURS = 5


@dataclass(frozen=True, eq=False)
class MixedScores:
    """What was measured of one table against the data.

    Attributes:
        two_sample: Whether boosted trees tell the two apart.
        trends: Of pairs of columns, as SDMetrics' quality report has them: numbers in bins of either side's own.
        common_trends: The same with numbers in bins of the data.
        manifold: Precision and coverage.
        nearest: Distances to the data and to held-out rows; None without those.
        utility: What is learnt from the table; None without held-out rows and a target.
        shapes: Of single columns, by name.
        shapes_mean: Over those that are defined.
    """

    two_sample: BoostedTwoSample
    trends: PairTrends
    common_trends: PairTrends
    manifold: MixedManifold
    nearest: NearestShare | None
    utility: Utility | None
    shapes: dict[str, float]
    shapes_mean: float


@dataclass(frozen=True, eq=False)
class MixedEvaluation:
    """What was measured of rows against data, and of two tables that say what the numbers are worth.

    Attributes:
        m: Rows.
        n: Data rows.
        names: Of the columns.
        holdout_rows: Held-out rows; None without those.
        target: The column that was predicted; None if none was.
        rows: Of the rows.
        real: Of as many held-out rows in their place, or all there are: the best that rows can do. Without held-out
            rows, of one random half of the data against the other. Its nearest records are those of one half of the
            held-out rows, among the data and the other half; what trees learn from the data is in
            `rows.utility.of_data`.
        independent: Of the data with each column permuted by itself, as many rows again: what single columns alone are
            worth.
        seconds: That the evaluation took.
    """

    m: int
    n: int
    names: tuple[str, ...]
    holdout_rows: int | None
    target: str | None
    rows: MixedScores
    real: MixedScores
    independent: MixedScores
    seconds: float

    @cached_property
    def two_sample_p_value(self) -> float:
        """Of an AUC of the boosted trees above one half."""
        from scipy.stats import norm

        auc = self.rows.two_sample.auc
        return float(norm.sf((auc - 0.5) / auc.null_standard_error))

    @cached_property
    def copies_p_value(self) -> float | None:
        """That rows no more like single data rows than held-out ones have as many exact copies; None without those.

        By Fisher's one-sided exact test: given the data, rows and held-out rows are independent trials.
        """
        from scipy.stats import hypergeom

        nearest = self.rows.nearest
        if nearest is None or self.holdout_rows is None:
            return None
        of_holdout = round(nearest.holdout_copy_share * self.holdout_rows)
        total = nearest.exact_copies + of_holdout
        return float(hypergeom.sf(nearest.exact_copies - 1, self.m + self.holdout_rows, total, self.m))

    @property
    def can_be_told_apart(self) -> bool:
        """Whether the boosted trees tell rows from data, at the level 0.01."""
        return self.two_sample_p_value <= LEVEL

    @cached_property
    def verdict(self) -> str:
        """One line: whether rows and data can be told apart, how pairs of columns score, whether rows look copied."""
        return " ".join(filter(None, (_say_difference(self), _say_copies(self))))

    def to_json(self) -> dict[str, Any]:
        """All numbers and their standard errors as what JSON knows, the verdict first; None where one is not known."""
        conclusions = {
            "verdict": self.verdict,
            "can_be_told_apart": self.can_be_told_apart,
            "two_sample_p_value": self.two_sample_p_value,
            "copies_p_value": self.copies_p_value,
        }
        return {**plain_value(conclusions), **plain_value(self)}


def evaluate_mixed(
    rows: Table,
    data: Table,
    *,
    holdout: Table | None = None,
    target: str | None = None,
    random_state: int = 0,
) -> MixedEvaluation:
    """Measure how like the data the rows of a mixed table are.

    The same is measured of real rows in their place and of independent columns, for no number means much by itself.
    Pairs, columns and copies are of all rows; the boosted trees see the same number of rows of each table, at most
    16,000 a side, precision and coverage 2,000 a side, nearest records are those of 5,000 rows among 15,000 of either
    side, and a target is learnt from 50,000 rows at most.

    Args:
        rows: A table of m rows, m at least 10: columns of one length by name, float64 for numbers (NaN where missing)
            and object for categories (str, or None where missing).
        data: A table of n rows, n at least 10, with the same columns.
        holdout: Rows of the data's law that the maker of `rows` did not see, at least 10, for the nearest records, a
            target, and as real rows.
        target: A column that is to be predicted in the held-out rows.
        random_state: Seed of all that is drawn.

    Returns:
        What was measured.

    Raises:
        ValueError: In one line, if a table has fewer than 10 rows or is not one, columns differ in name or in kind, the
            target is no column or there are no held-out rows to predict it in, or it has one value only in those.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> rows, data = ({"x": rng.normal(size=100), "c": rng.choice(np.array(["a", "b"], object), 100)} for _ in "12")
        >>> evaluate_mixed(rows, data).can_be_told_apart
        False
    """
    start = time.perf_counter()
    held_out = {} if holdout is None else {"holdout": holdout}
    check_tables(MIN_ROWS, data=data, rows=rows, **held_out)
    if target is not None and target not in data:
        raise ValueError(f"target={target!r} is no column of data: use one of {', '.join(map(repr, data))}")
    if target is not None and holdout is None:
        raise ValueError(f"target={target!r} needs held-out rows to be predicted in: pass holdout")

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
            nearest_share(table, data, rest, random_state=random_state)
            for table, rest in ((rows, holdout), (one, other), (independent, holdout))
        ]
    learnt: list[Utility | None] = [None] * 3
    if holdout is not None and target is not None:
        learnt[::2] = [
            utility(table, data, holdout, target, random_state=random_state) for table in (rows, independent)
        ]
    size = min(m, count_rows(real))
    scores = [
        _score(table, against, size, near, learns, random_state)
        for (table, against), near, learns in zip(
            ((rows, data), (real, reference), (independent, data)), nearest, learnt, strict=True
        )
    ]
    return MixedEvaluation(
        m=m,
        n=n,
        names=tuple(data),
        holdout_rows=None if holdout is None else count_rows(holdout),
        target=target,
        rows=scores[0],
        real=scores[1],
        independent=scores[2],
        seconds=time.perf_counter() - start,
    )


def _score(
    rows: Table, data: Table, size: int, nearest: NearestShare | None, learns: Utility | None, random_state: int
) -> MixedScores:
    size = min(size, count_rows(data))
    shapes = column_shapes(rows, data)
    return MixedScores(
        two_sample=boosted_two_sample(rows, data, max_rows=min(size, TWO_SAMPLE_ROWS), random_state=random_state),
        trends=pair_trends(rows, data),
        common_trends=pair_trends(rows, data, bins="data"),
        manifold=mixed_manifold(
            rows, data, k=min(NEIGHBOURS, size - 1), max_rows=min(size, MANIFOLD_ROWS), random_state=random_state
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


def _say_difference(evaluation: MixedEvaluation) -> str:
    tables = evaluation.rows, evaluation.real, evaluation.independent
    auc, real, independent = (table.two_sample.auc for table in tables)
    told = "tell" if evaluation.can_be_told_apart else "cannot tell"
    line = (
        f"Boosted trees {told} the rows from the data at the 1 % level (AUC {auc:.3f}, where real rows have "
        f"{real:.3f} and independent columns {independent:.3f})"
    )
    trends = [table.common_trends.mean for table in tables]
    if trends[0] != trends[0]:
        return f"{line}."
    return f"{line}; pairs of columns score {trends[0]:.3f} (real rows {trends[1]:.3f}, independent {trends[2]:.3f})."


def _say_copies(evaluation: MixedEvaluation) -> str:
    nearest, p_value = evaluation.rows.nearest, evaluation.copies_p_value
    if nearest is None or p_value is None:
        return ""
    signs = []
    if nearest.share > nearest.interval[1]:  # at the level 0.005, as a sign of two
        signs.append(f"{nearest.share:.0%} are nearer to the data than to held-out rows, not half")
    if p_value <= LEVEL / 2:
        signs.append(
            f"{nearest.exact_copies:,} of {evaluation.m:,} equal a data row, and {nearest.holdout_copy_share:.1%} of "
            f"the held-out rows do ({p_text(p_value)})"
        )
    return f"The rows look copied: {'; '.join(signs)}." if signs else ""
