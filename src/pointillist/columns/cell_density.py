"""Densities of cells given a distribution of tokens and normal scores.

Categories, labels and missing cells have a mass. Numbers have a density, constant within each cell of the column's
grid: the mass of the cell divided by its width. The width is 1 for integers, 10^-d for d decimals, and one step for
dates, also where these are integers such as 20240320. Numbers of more than `MAX_DECIMALS` decimals have a grid only if
they repeat; its step is the smallest distance between two of them. Otherwise, values that many rows share are point
masses.

In a discrete column, a number that no training row had shares the token of the nearest value. A new category shares the
token of the rarest one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.scores import NormalScores, nearest_index
from pointillist.tables.calendar_dates import day_numbers
from pointillist.tables.table import Column

_LOG_ROOT = 0.5 * np.log(2 * np.pi)

_LARGEST_SHARE = 1 - 1e-7
"""Largest share of rows below that has a score of a size that networks see."""

_SMALLEST = np.finfo(np.float64).tiny

_OUTERMOST = 10
"""Number of knots next to an end that decide how scores go on beyond it."""

_WIDE = 0.05
"""Width of a cell of the grid, in normal scores, above which the density is averaged over the cell."""

_NARROW = 1e-6
"""Width of a cell, in normal scores, below which the slope of the score is more exact than its difference."""


@dataclass(frozen=True)
class Measured:
    """Cells as a distribution of tokens and scores sees them.

    Attributes:
        tokens: Tokens, shape (n,), without places in intervals; 0 where a cell has no mass.
        scores: Scores, shape (n,); 0 where there are none.
        log_factors: What to add to the log-density of token and score, shape (n,): the logarithm of the slope of the
            score or of the width of the scores; -inf for a cell without mass, such as an unknown label.
    """

    tokens: Float[np.ndarray, " n"]
    scores: Float[np.ndarray, " n"]
    log_factors: Float[np.ndarray, " n"]


def has_wide_cells(code: ColumnEncoder) -> bool:
    """Whether a cell of the column's grid covers a range of scores so wide that a density is averaged over it."""
    scores = code.scores
    if scores is None or code.has_intervals:
        return False
    if scores.is_discrete:
        return True
    values = code.rounded(np.interp(np.linspace(-2, 2, 9), scores.levels, scores.points))
    low, high = (_on_line(scores, end)[0] for end in code.cell(values))
    return bool((high - low).max() > _WIDE)


def measured(code: ColumnEncoder, cells: Column, places: Float[np.ndarray, " n"]) -> Measured:
    """Measures the cells of a column.

    Args:
        code: The column's code.
        cells: The cells.
        places: Point in the range of scores of each number's cell, as a fraction in (0, 1).
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
        if len(code.counts):
            # By the rule of succession, as for numbers: the rarest category keeps c / (c + 1).
            rarest = code.counts.argmin()
            factors[is_known & (found == rarest)] = -np.log1p(1 / code.counts[rarest])
            tokens[given & ~is_known], factors[given & ~is_known] = rarest, -np.log1p(code.counts[rarest])
        return Measured(tokens, scores, factors)
    of_numbers = _of_discrete if code.scores is None or code.scores.is_discrete else _of_continuous
    tokens[given], scores[given], factors[given] = of_numbers(code, cells.values[given], places[given])
    return Measured(tokens, scores, factors)


def _of_discrete(
    code: ColumnEncoder, values: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute tokens, scores and log-factors of the numbers of a discrete column."""
    from scipy.special import ndtri

    seen = np.sort(np.concatenate([code.atoms, np.empty(0) if code.scores is None else code.scores.points]))
    nearest, factor = _smoothed(code, seen, values)
    value = seen[nearest]
    is_atom = np.isin(value, code.atoms)
    token, z = np.zeros(len(values)), np.zeros(len(values))
    token[is_atom] = np.searchsorted(code.atoms, value[is_atom])
    if code.scores is not None and not is_atom.all():
        point = np.searchsorted(code.scores.points, value[~is_atom])
        low, high = code.scores.levels[point], code.scores.levels[point + 1]
        share = low + places[~is_atom] * (high - low)
        score = ndtri(np.clip(share, 1 - _LARGEST_SHARE, _LARGEST_SHARE))
        token[~is_atom], z[~is_atom], of_score = _of_scores(code, code.scores, score, np.log(high - low))
        factor[~is_atom] += of_score
    return token, z, factor


def _of_continuous(
    code: ColumnEncoder, values: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute tokens, scores and log-factors of the numbers of a continuous column, with or without point masses."""
    scores, values = code.scores, code.rounded(values)
    assert scores is not None
    z, log_slope = _on_line(scores, values)
    log_share = log_slope - z**2 / 2 - _LOG_ROOT
    if code.unit:
        low, high = (_on_line(scores, end)[0] for end in code.cell(values))
        is_wide = high - low > _NARROW
        log_share += np.log(code.unit)
        log_share[is_wide], z[is_wide] = _of_range(low[is_wide], high[is_wide], places[is_wide])
    token, z, factor = _of_scores(code, scores, z, log_share)
    is_atom = np.isin(values, code.atoms)
    token[is_atom], z[is_atom], factor[is_atom] = np.searchsorted(code.atoms, values[is_atom]), 0.0, 0.0
    return token, z, factor - _log_width(code, code.unit or 1.0)


def _of_scores(
    code: ColumnEncoder, scores: NormalScores, z: np.ndarray, log_share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute tokens, scores and log-factors of cells from a score in each and the log of each cell's probability."""
    from scipy.special import ndtr

    token = np.full(len(z), float(len(code.atoms)))
    if not code.has_intervals:
        # The density of the score, not of its fraction of rows below.
        return token, z, log_share + z**2 / 2 + _LOG_ROOT
    interval = np.searchsorted(scores.edges[1:-1], ndtr(z), side="right")
    return token + interval, np.zeros(len(z)), log_share - np.log(np.diff(scores.edges)[interval])


def _of_range(low: np.ndarray, high: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the log-probability of N(0, 1) between two scores, and its quantile at a fraction in (0, 1)."""
    from scipy.special import log_ndtr, ndtri_exp

    # Mirrored to the lower half, where probabilities are not rounded to 1.
    sign = np.where(low + high > 0, -1.0, 1.0)
    first, last = (log_ndtr(np.where(sign > 0, *ends)) for ends in ((low, -high), (high, -low)))
    log_share = last + np.log(-np.expm1(first - last))
    z = ndtri_exp(np.logaddexp(first, np.log(np.where(sign > 0, places, 1 - places)) + log_share))
    return log_share, sign * z


def _smoothed(code: ColumnEncoder, seen: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the nearest seen value, and the log-density of each value given that nearest one.

    A seen value with c training rows gives 1 / (c + 1) of its probability to the unseen cells nearest to it, by
    Laplace's rule of succession: half to those below it and half to those above. If one side has no unseen cell, the
    value keeps that half. Between two seen values, all unseen cells of a half get the same. Beyond the ends of the
    column, the density falls with the square of the distance, and half of the mass lies within one range of the column.

    Args:
        code: The column's code.
        seen: All values of the training rows, increasing.
        values: The values.
    """
    unit = code.unit or (float(np.diff(seen).min()) if len(seen) > 1 else 1.0)
    if code.is_calendar:
        known, asked = day_numbers(seen) - day_numbers(seen[:1]), day_numbers(values) - day_numbers(seen[:1])
    else:
        known, asked = np.round((seen - seen[0]) / unit), np.round((values - seen[0]) / unit)
    nearest = nearest_index(known, asked)
    if not len(code.counts):
        return nearest, np.where(seen[nearest] == values, 0.0, -np.inf)
    # Number of unseen cells below and above each seen value.
    gaps = np.diff(known) - 1
    others = np.stack([np.append(np.inf, np.floor(gaps / 2)), np.append(np.ceil(gaps / 2), np.inf)])
    taken = np.where(others > 0, 0.5 / (code.counts + 1), 0.0)
    factor = np.log(1 - taken.sum(axis=0))[nearest]
    is_other = asked != known[nearest]
    away, span = np.abs(asked - known[nearest])[is_other], known[-1] or 1.0
    side = (asked > known[nearest])[is_other].astype(np.int64), nearest[is_other]
    beyond = np.log(span) - np.log(away + span) - np.log(away - 1 + span)
    factor[is_other] = np.log(taken[side]) + np.where(np.isinf(others[side]), beyond, -np.log(others[side]))
    return nearest, factor - _log_width(code, unit)


def _log_width(code: ColumnEncoder, unit: float) -> float:
    """Return the log-width of a grid cell in the units of the table; 0 for dates, whose unit is a step."""
    return 0.0 if code.step else float(np.log(unit))


def _on_line(scores: NormalScores, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute scores of the numbers of a continuous column, and the logarithm of their slope.

    Between knots, scores are linear. Beyond the ends, the density of the column falls with the square of the distance,
    from its value at the end, so that even a distant value has a moderate score.
    """
    from scipy.special import log_ndtr, ndtri_exp

    points, levels = scores.points, scores.levels
    if len(points) < 2:
        return values - points[0], np.zeros(len(values))
    segment = np.clip(np.searchsorted(points, values, side="right") - 1, 0, len(points) - 2)
    slope = (np.diff(levels) / np.diff(points))[segment]
    z, log_slope = levels[segment] + (values - points[segment]) * slope, np.log(np.maximum(slope, _SMALLEST))
    for sign, is_beyond in ((1, values < points[0]), (-1, values > points[-1])):
        outer, end = sign * points[::sign], sign * levels[::sign]
        away = outer[0] - sign * values[is_beyond]
        log_share = log_ndtr(end[0])
        span = np.exp(log_share + end[0] ** 2 / 2 + _LOG_ROOT) / max(_flattest(outer, end), _SMALLEST)
        z_beyond = ndtri_exp(log_share - np.log1p(away / span))
        z[is_beyond] = sign * z_beyond
        log_slope[is_beyond] = log_share - np.log(span) - 2 * np.log1p(away / span) + z_beyond**2 / 2 + _LOG_ROOT
    return z, log_slope


def _flattest(points: np.ndarray, levels: np.ndarray) -> float:
    """The smallest slope of the lines from the first knot to the next ones: one may be close to it by chance."""
    some = slice(1, _OUTERMOST + 1)
    return float(np.min((levels[some] - levels[0]) / (points[some] - points[0])))
