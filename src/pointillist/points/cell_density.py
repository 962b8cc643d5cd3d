"""Masses and densities of cells within their columns' codes: what a distribution of tokens and scores says of a table.

A value that has a token of its own has mass 1 within it. A number has the density of its score times the slope of the
score, or within an interval the density of a normal variable that is known to lie there. Numbers of a discrete column
stand for all scores between the shares of rows below them and up to them, and have a mass.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from pointillist.points.column_code import ColumnCode
from pointillist.points.mixed import Cells
from pointillist.points.scores import NormalScores

_LOG_ROOT = 0.5 * np.log(2 * np.pi)

_LARGEST_SHARE = 1 - 1e-7
"""Largest share of rows below that has a score of a size that networks see."""

_OUTERMOST = 10
"""Number of knots next to an end that decide how scores go on beyond it."""


@dataclass(frozen=True)
class Measured:
    """Cells as a distribution of tokens and scores sees them.

    Attributes:
        tokens: Tokens, shape (n,), without places in intervals; 0 where a cell has no mass.
        scores: Scores, shape (n,); 0 where there are none.
        log_factors: What to add to the log-density of token and score, shape (n,): the logarithm of the slope of the
            score or of the width of the scores; -inf for a cell that the column's code gives no mass, such as an
            unknown category.
    """

    tokens: Float[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    log_factors: Float[np.ndarray, " n"]


def has_masses(code: ColumnCode) -> bool:
    """Whether numbers of a column stand for a range of scores, over which a density has to be averaged."""
    return code.scores is not None and code.scores.is_discrete and not code.has_intervals


def measured(code: ColumnCode, cells: Cells, places: Float[np.ndarray, " n"]) -> Measured:
    """Measures the cells of a column.

    Args:
        code: The column's code.
        cells: The cells.
        places: Where each number of a discrete column lies within its range of scores, in (0, 1).
    """
    n = len(cells.values)
    tokens, scores, factors = np.zeros(n), np.zeros(n), np.full(n, -np.inf)
    if code.has_missing:
        tokens[cells.is_missing], factors[cells.is_missing] = code.n_values, 0.0
    given = ~cells.is_missing
    if code.categories is not None:
        places_of = {category: float(i) for i, category in enumerate(code.categories)}
        known = np.array([places_of.get(category, -1.0) for category in cells.categories or ()] or [-1.0])
        found = known[np.where(given, cells.values, 0).astype(np.int64)]
        is_known = given & (found >= 0)
        tokens[is_known], factors[is_known] = found[is_known], 0.0
        return Measured(tokens, scores, factors)
    atom, is_atom = _places_of(cells.values, code.atoms)
    is_atom &= given
    tokens[is_atom], factors[is_atom] = atom[is_atom], 0.0
    is_number = given & ~is_atom
    if code.scores is not None and is_number.any():
        own = _of_numbers(code, code.scores, cells.values[is_number], places[is_number])
        tokens[is_number], scores[is_number], factors[is_number] = own
    return Measured(tokens, scores, factors)


def _places_of(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, Bool[np.ndarray, " n"]]:
    """The places of values among known ones, which increase, and which of them are there."""
    if not len(known):
        return np.zeros(len(values), np.int64), np.zeros(len(values), bool)
    found = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return found, known[found] == values


def _of_numbers(
    code: ColumnCode, scores: NormalScores, values: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from scipy.special import ndtr, ndtri

    token = np.full(len(values), float(len(code.atoms)))
    if scores.is_discrete:
        nearest, is_known = _places_of(values, scores.points)
        low, high = scores.levels[nearest], scores.levels[nearest + 1]
        z = ndtri(np.clip(low + places * (high - low), 1 - _LARGEST_SHARE, _LARGEST_SHARE))
        with np.errstate(divide="ignore"):
            log_share = np.where(is_known, np.log(high - low), -np.inf)
        share = (low + high) / 2
    else:
        z, log_slope = _on_line(scores, values)
        share = ndtr(z)
        log_share = log_slope - z**2 / 2 - _LOG_ROOT
    if not code.has_intervals:
        # Of the score's own density, not of that of its share.
        return token, z, log_share + z**2 / 2 + _LOG_ROOT
    interval = np.searchsorted(scores.edges[1:-1], share, side="right")
    low, high = scores.edges[interval], scores.edges[interval + 1]
    return token + interval, np.zeros(len(values)), log_share - np.log(high - low)


def _on_line(scores: NormalScores, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a continuous column and the logarithm of their slope; beyond the ends they go on in lines."""
    points, levels = scores.points, scores.levels
    if len(points) < 2:
        return np.zeros(len(values)), np.where(values == points[0], 0.0, -np.inf)
    segment = np.clip(np.searchsorted(points, values, side="right") - 1, 0, len(points) - 2)
    start, level, slope = points[segment], levels[segment], (np.diff(levels) / np.diff(points))[segment]
    for is_beyond, end, order in ((values < points[0], 0, 1), (values > points[-1], -1, -1)):
        outer = np.where(is_beyond, _flattest(points[::order], levels[::order]), slope)
        start, level, slope = np.where(is_beyond, points[end], start), np.where(is_beyond, levels[end], level), outer
    return level + (values - start) * slope, np.log(np.maximum(slope, np.finfo(np.float64).tiny))


def _flattest(points: np.ndarray, levels: np.ndarray) -> float:
    """The smallest slope of the lines from the first knot to the next ones: one may be close to it by chance."""
    some = slice(1, _OUTERMOST + 1)
    return float(np.min((levels[some] - levels[0]) / (points[some] - points[0])))
