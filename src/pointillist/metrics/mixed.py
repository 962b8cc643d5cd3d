"""Scores of the columns and pairs of columns of mixed tables, as SDMetrics defines them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics.distances import Rows
from pointillist.metrics.mixed_tables import TableLike, check_tables, encode

Codes = NDArray[np.int64]

DECIMALS, N_BINS = 14, 10
"""Decimals to which SDMetrics compares numbers, and bins into which it puts a number paired with a category."""

RELATED = {"correlation": 0.5, "contingency": 0.3}
"""Strength above which the quality report of SDMetrics counts a pair: |Pearson's correlation| or Cramér's V."""

DENSE_CELLS = 2**20
"""Most cells of a contingency table for which empty cells are counted too."""


@dataclass(frozen=True)
class PairTrend:
    """Similarity of the dependence of two columns in rows and in data.

    Attributes:
        names: Names of the two columns.
        kind: `correlation` for two numbers, otherwise `contingency`.
        score: Similarity in [0, 1], 1 for equal dependence; nan if it is not defined.
        strength: Strength of the dependence in the data, in [0, 1]: |Pearson's correlation| or Cramér's V; nan if it is
            not defined.
    """

    names: tuple[str, str]
    kind: Literal["correlation", "contingency"]
    score: float
    strength: float

    @property
    def is_related(self) -> bool:
        """Whether the quality report of SDMetrics counts the pair: a correlation above 0.5, or a V above 0.3."""
        return self.strength > RELATED[self.kind]


@dataclass(frozen=True)
class PairTrends:
    """Similarity of the dependence of all pairs of columns. See `pair_trends`.

    Attributes:
        mean: Mean over all pairs with a score; nan if there are none.
        related_mean: Mean over the pairs that are related in the data; nan if there are none.
        pairs: The pairs, in the columns' order.
    """

    mean: float
    related_mean: float
    pairs: tuple[PairTrend, ...]


def column_shapes(real: TableLike, generated: TableLike) -> dict[str, float]:
    """Score the marginal distribution of every column, leaving out missing cells.

    A number scores 1 minus the Kolmogorov-Smirnov statistic, with both sides rounded to 14 decimals; a category scores
    1 minus the total variation distance. These are `KSComplement` and `TVComplement` of SDMetrics, whose quality report
    calls their mean "Column Shapes". Dependence between columns is not seen.

    Args:
        real: n rows: an array, or a table with the same columns.
        generated: m rows.

    Returns:
        The score of each column by name, in [0, 1]; nan if a side has missing cells only. `mean_score` averages them.

    Example:
        >>> import numpy as np
        >>> data = {"x": np.array([0.0, 1.0, np.nan]), "c": np.array(["a", "b", "b"], object)}
        >>> rows = {"x": np.array([1.0, 1.0, 1.0]), "c": np.array(["b", "b", None], object)}
        >>> print({name: round(score, 3) for name, score in column_shapes(data, rows).items()})
        {'x': 0.5, 'c': 0.667}
    """
    data, rows = check_tables(real=real, generated=generated)
    (others, some), is_category = encode(data, rows)
    scores = {}
    for j, name in enumerate(data):
        sides = [side[~np.isnan(side[:, j]), j] for side in (some, others)]
        if min(map(len, sides)) == 0:
            scores[name] = math.nan
            continue
        if is_category[j]:
            size = int(max(side.max() for side in sides)) + 1
            fractions = [np.bincount(side.astype(np.int64), minlength=size) / len(side) for side in sides]
            difference = np.abs(fractions[0] - fractions[1]).sum() / 2
        else:
            sides = [np.sort(np.round(side, DECIMALS)) for side in sides]
            fractions = [np.searchsorted(side, np.concatenate(sides), "right") / len(side) for side in sides]
            difference = np.abs(fractions[0] - fractions[1]).max()
        scores[name] = 1 - float(difference)
    return scores


def mean_score(scores: Mapping[Any, float]) -> float:
    """Return the mean of the scores that are not nan, or nan if all are."""
    known = [score for score in scores.values() if score == score]
    return float(np.mean(known)) if known else math.nan


def pair_trends(real: TableLike, generated: TableLike, *, bins: Literal["own", "data"] = "own") -> PairTrends:
    """Score the dependence of every two columns.

    Two numbers score 1 − |r_real − r_generated| / 2 with Pearson's correlations of the rows that have both. Other pairs
    score 1 minus the total variation distance of their joint distributions, where a missing category is a category; a
    number paired with a category is first put into 10 bins of equal width. These are `CorrelationSimilarity` and
    `ContingencySimilarity` of SDMetrics, whose "Column Pair Trends" is the mean over all pairs, or in newer versions
    over the pairs that are related in the data: `related_mean`.

    Args:
        real: n rows: an array, or a table with the same columns.
        generated: m rows.
        bins: With `own`, bins cover the range of each side by itself, and missing numbers are in the last bin, as in
            SDMetrics' quality report: an outlier on one side moves its bins, so real rows can score below independent
            columns. With `data`, bins cover the range of the data for both sides, the outer ones are open, and missing
            numbers have one more, as in `ContingencySimilarity` when it is used by itself.

    Returns:
        Means and pairs, each in [0, 1]. A pair's score is nan if a number is constant or nearly always missing.

    Example:
        >>> import numpy as np
        >>> x = np.array([0.0, 1.0, 2.0, 3.0])
        >>> pair_trends({"x": x, "y": x}, {"x": x, "y": -x}).mean
        0.0
    """
    data, rows = check_tables(real=real, generated=generated)
    (others, some), is_category = encode(data, rows)
    columns = [
        tuple(
            np.where(np.isnan(side), -1, side).astype(np.int64) + 1
            if is_category[j]
            else _put_into_bins(side, others[:, j] if bins == "data" else None)
            for side in (some[:, j], others[:, j])
        )
        for j in range(len(is_category))
    ]
    pairs = []
    for (i, one), (j, two) in combinations(enumerate(data), 2):
        kind: Literal["correlation", "contingency"] = "contingency"
        if is_category[i] or is_category[j]:
            score, strength = _compare_contingencies(columns[i], columns[j])
        else:
            kind = "correlation"
            generated_r, strength = (_correlation(side[:, i], side[:, j]) for side in (some, others))
            score, strength = 1 - abs(strength - generated_r) / 2, abs(strength)
        pairs.append(PairTrend((one, two), kind, score, strength))
    related = {pair.names: pair.score for pair in pairs if pair.is_related}
    return PairTrends(mean_score({pair.names: pair.score for pair in pairs}), mean_score(related), tuple(pairs))


def _put_into_bins(column: Rows, reference: Rows | None) -> Codes:
    """Return each number's bin, over the range of a reference with open ends, or over the range of the column."""
    known = column if reference is None else reference
    known = known[~np.isnan(known)]
    # From 0 on, as bins between large numbers may be narrower than their rounding.
    low = known.min() if len(known) else 0.0
    edges = np.histogram_bin_edges(known - low, N_BINS)
    if reference is not None:
        edges[0], edges[-1] = -np.inf, np.inf
    return np.digitize(column - low, edges).astype(np.int64)


def _correlation(one: Rows, two: Rows) -> float:
    """Return Pearson's correlation over the rows that have both columns; nan if one is constant there."""
    both = ~(np.isnan(one) | np.isnan(two))
    one, two = one[both], two[both]
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return math.nan
    one, two = ((side - side.mean()) / np.linalg.norm(side - side.mean()) for side in (one, two))
    return float(np.clip(one @ two, -1, 1))


def _compare_contingencies(one: tuple[Codes, ...], two: tuple[Codes, ...]) -> tuple[float, float]:
    """Score two columns, each given as codes of rows and of data; return the score and Cramér's V of the data."""
    width = int(max(side.max() for side in two)) + 1
    size = (int(max(side.max() for side in one)) + 1) * width
    cells = np.arange(size)
    keys = [a * width + b for a, b in zip(one, two, strict=True)]
    if size > DENSE_CELLS:
        cells, inverse = np.unique(np.concatenate(keys), return_inverse=True)
        keys = [inverse[: len(keys[0])], inverse[len(keys[0]) :]]
    rows, data = (np.bincount(side, minlength=len(cells)) / len(side) for side in keys)
    score = 1 - float(np.abs(rows - data).sum() / 2)

    margins = [np.bincount(codes) / len(codes) for codes in (one[1], two[1])]
    categories = min(int(np.count_nonzero(margin)) for margin in margins)
    if categories < 2:
        return score, math.nan
    filled = data > 0
    expected = margins[0][cells[filled] // width] * margins[1][cells[filled] % width]
    squares = float((data[filled] ** 2 / expected).sum() - 1)
    return score, float(np.sqrt(max(squares, 0.0) / (categories - 1)))
