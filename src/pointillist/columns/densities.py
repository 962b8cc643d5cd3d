"""Densities of numbers within and between the values of the training rows."""

import numpy as np
from jaxtyping import Float, Int

from pointillist.columns.grids import Grid
from pointillist.columns.scores import NormalScores, nearest_index

LOG_ROOT = 0.5 * np.log(2 * np.pi)

_SMALLEST = np.finfo(np.float64).tiny

_OUTERMOST = 10
"""Number of knots next to an end that determine how scores continue beyond it."""


def smoothed(
    values: Float[np.ndarray, " n"], support: Float[np.ndarray, " m"], counts: Float[np.ndarray, " _"], grid: Grid
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Returns the index of the nearest training value, and the log-density of each value given this index.

    A training value with c rows gives 1 / (c + 1) of its probability to the nearest unseen grid cells, by Laplace's
    rule of succession: half to the cells below and half to the cells above. If one side has no unseen cell, the value
    keeps that half. All unseen cells of a half between two training values get the same probability. Beyond the ends of
    the column, the density falls with the square of the distance, and half of the mass lies within one range of the
    column.

    Args:
        values: The values.
        support: Increasing values of the training rows.
        counts: Their counts; empty if unseen values have no mass.
        grid: Grid of the column.
    """
    unit = grid.unit or (float(np.diff(support).min()) if len(support) > 1 else 1.0)
    seen_steps, value_steps = (np.round((each - support[0]) / unit) for each in (support, values))
    nearest = nearest_index(seen_steps, value_steps)
    if not len(counts):
        return nearest, np.where(support[nearest] == values, 0.0, -np.inf)
    # Number of unseen cells below and above each training value.
    n_unseen = np.diff(seen_steps) - 1
    n_neighbors = np.stack([np.append(np.inf, np.floor(n_unseen / 2)), np.append(np.ceil(n_unseen / 2), np.inf)])
    unseen_mass = np.where(n_neighbors > 0, 0.5 / (counts + 1), 0.0)
    factor = np.log(1 - unseen_mass.sum(axis=0))[nearest]
    is_other = value_steps != seen_steps[nearest]
    distance, span = np.abs(value_steps - seen_steps[nearest])[is_other], seen_steps[-1] or 1.0
    side = (value_steps > seen_steps[nearest])[is_other].astype(np.int64), nearest[is_other]
    beyond = np.log(span) - np.log(distance + span) - np.log(distance - 1 + span)
    between = -np.log(n_neighbors[side])
    factor[is_other] = np.log(unseen_mass[side]) + np.where(np.isinf(n_neighbors[side]), beyond, between)
    return nearest, factor - grid.log_width(unit)


def scores_and_slopes(
    scores: NormalScores, values: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Computes scores of numbers of a continuous column, and the log of their slope.

    Scores are linear between knots. Beyond the ends, the column's density falls with the square of the distance,
    starting from its value at the end, so that even a distant number has a moderate score.
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
        distance = outer[0] - sign * values[is_beyond]
        log_fraction = log_ndtr(end[0])
        # The smallest slope to the next knots; a single one may be close by chance.
        some = slice(1, _OUTERMOST + 1)
        flattest = float(np.min((end[some] - end[0]) / (outer[some] - outer[0])))
        span = np.exp(log_fraction + end[0] ** 2 / 2 + LOG_ROOT) / max(flattest, _SMALLEST)
        z_beyond = ndtri_exp(log_fraction - np.log1p(distance / span))
        z[is_beyond] = sign * z_beyond
        log_slope[is_beyond] = log_fraction - np.log(span) - 2 * np.log1p(distance / span) + z_beyond**2 / 2 + LOG_ROOT
    return z, log_slope


def range_mass(
    low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"], positions: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Log-probability of N(0, 1) between two scores, and its quantile at a fraction of that range in (0, 1)."""
    from scipy.special import log_ndtr, ndtri_exp

    # Mirror to the lower half, where probabilities do not round to 1.
    sign = np.where(low + high > 0, -1.0, 1.0)
    first, last = (log_ndtr(np.where(sign > 0, *ends)) for ends in ((low, -high), (high, -low)))
    log_fraction = last + np.log(-np.expm1(first - last))
    inside = np.where(sign > 0, positions, 1 - positions)
    return log_fraction, sign * ndtri_exp(np.logaddexp(first, np.log(inside) + log_fraction))
