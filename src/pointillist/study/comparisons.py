"""Tests that find the best cells in a row of a table, and the cells that reach the real-data baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np

from pointillist.lazy import stats
from pointillist.metrics import Estimate
from pointillist.metrics.estimate import holm

Better = Literal["lower", "higher", "baseline"]
"""Direction in which a quantity is better; "baseline": closest to the value of the data itself."""

LEVEL = 0.05
"""Significance level of the family of tests of one row of a table."""

MIN_SEEDS_FOR_SPREAD = 3
"""Fewest seeds with which the error bars cover training too."""


@dataclass(frozen=True)
class Summary:
    """Mean of a cell over its seeds, NaN if a model diverged, with its standard error.

    The degrees of freedom of the error are inf if it is asymptotic. `seed_error` is the standard error of one seed's
    value: the error of sampling, or the standard deviation over seeds if it is larger.
    """

    value: float
    standard_error: float
    degrees_of_freedom: float
    n_seeds: int
    seed_error: float = np.nan


def summarize(estimates: Sequence[Estimate], *, on_same_rows: bool = False) -> Summary:
    """Averages over seeds, at least one, with the standard error of the mean.

    From three seeds on, the error comes from the spread between seeds, which includes training and sampling. With
    fewer, it combines the cells' standard errors, which include only sampling, with degrees of freedom by Welch and
    Satterthwaite. Seeds that all have one value, for instance of a classifier without a seed, are one measurement.
    If all seeds are measured on the same held-out rows, averaging does not make that part of the error smaller.
    """
    values, n, mean = list(map(float, estimates)), len(estimates), float(np.mean(estimates))
    variances = np.square([each.standard_error for each in estimates])
    degrees_of_freedom = [each.degrees_of_freedom for each in estimates]
    sampling_error = float(np.sqrt(variances.mean()))
    if len(set(values)) == 1 < n or (on_same_rows and n < MIN_SEEDS_FOR_SPREAD):
        return Summary(mean, sampling_error, min(degrees_of_freedom), n, sampling_error)
    if n >= MIN_SEEDS_FOR_SPREAD:
        spread = float(np.std(values, ddof=1))
        return Summary(mean, spread / np.sqrt(n), n - 1, n, max(spread, sampling_error))
    freedom = satterthwaite(variances, degrees_of_freedom)
    return Summary(mean, float(np.sqrt(variances.sum()) / n), freedom, n, sampling_error)


def satterthwaite(variances: Sequence[float] | np.ndarray, degrees_of_freedom: Sequence[float]) -> float:
    """Computes the degrees of freedom of a sum of independent variances, by Welch and Satterthwaite."""
    variances = np.asarray(variances, dtype=np.float64)
    denominator = (variances**2 / np.asarray(degrees_of_freedom)).sum()
    return float(variances.sum() ** 2 / denominator) if denominator > 0 else np.inf


@lru_cache(maxsize=100_000)  # tables, figures and conclusions ask for the same ones
def p_value_greater(a: Summary, b: Summary) -> float:
    """Computes the p-value of Welch's one-sided test that a's mean is above b's."""
    variances = [a.standard_error**2, b.standard_error**2]
    scale = np.sqrt(sum(variances))
    if scale == 0:
        return 0.0 if a.value > b.value else 1.0
    freedom = satterthwaite(variances, [a.degrees_of_freedom, b.degrees_of_freedom])
    return float(stats.t.sf((a.value - b.value) / scale, freedom))


def best(
    summaries: Sequence[Summary | None], targets: Sequence[float] | None = None, *, highest: bool = False
) -> list[bool]:
    """Marks the cells that no test distinguishes from the best one; all ties are marked.

    Every cell is tested against the best by Welch's one-sided t-test at level 0.05 for all the row's tests together
    (Holm's correction). The lowest value is best, or the highest, or for each cell the one closest to its target.
    Cells without a number are None or NaN.
    """
    scored: dict[int, Summary] = {}
    for i, (s, target) in enumerate(zip(summaries, targets or [0.0] * len(summaries), strict=True)):
        if s is not None and np.isfinite(s.value):
            value = -s.value if highest else s.value if targets is None else abs(s.value - target)
            scored[i] = replace(s, value=value)
    first = min(scored, key=lambda i: scored[i].value, default=-1)
    worse = _rejected({i: p_value_greater(s, scored[first]) for i, s in scored.items() if i != first})
    return [i in scored and i not in worse for i in range(len(summaries))]


def excess(summary: Summary | None, baseline: Summary | None, better: Better) -> float | None:
    """Distance of a cell on the worse side of its baseline, in standard errors of their difference; None if unknown."""
    if summary is None or baseline is None or not np.isfinite(summary.value):
        return None
    error = float(np.hypot(summary.standard_error, baseline.standard_error))
    above = summary.value - baseline.value
    difference = {"lower": above, "higher": -above, "baseline": abs(above)}[better]
    return difference / error if error > 0 else 0.0 if difference == 0 else float(np.copysign(np.inf, difference))


def reach_baseline(
    summaries: Sequence[Summary | None], baselines: Sequence[Summary | None], better: Better
) -> list[bool]:
    """Marks the cells that no test finds worse than their baseline: cells near the baseline or better.

    The test is Welch's t-test at level 0.05 for all the row's tests together (Holm's correction), one-sided unless the
    baseline itself is best. The baselines have the error of one evaluation.
    """
    p_values = {}
    for i, (cell, baseline) in enumerate(zip(summaries, baselines, strict=True)):
        if cell is not None and baseline is not None and np.isfinite(cell.value):
            above, below = p_value_greater(cell, baseline), p_value_greater(baseline, cell)
            p_values[i] = {"lower": above, "higher": below, "baseline": min(1.0, 2 * min(above, below))}[better]
    differing = _rejected(p_values)
    return [i in p_values and i not in differing for i in range(len(summaries))]


def _rejected(p_values: dict[int, float]) -> set[int]:
    return {i for i, adjusted in holm(p_values).items() if adjusted <= LEVEL}
