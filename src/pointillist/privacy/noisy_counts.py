"""Histograms of columns, and the encoders that are made from them once they have noise.

A row is in at most one bin of each histogram. What is made from noisy counts reveals no more about rows than they do.
"""

import numpy as np
from jaxtyping import Float

from pointillist.columns.domain import ColumnDomain
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.kinds import NEIGHBORS, TIMES
from pointillist.columns.number import NumberEncoder
from pointillist.lazy import pa
from pointillist.tables.table import Column

EQUAL, NARROWING, PER_OCTAVE, MOST_INTERVALS = 128, 128, 8, 32
"""Number of bins of equal width in a range; number of bins that narrow towards 0 or the lowest value, and how many of
these halve the width; and most intervals with about equally many rows that are made of the bins."""

MOST_VALUES = 2**21
"""Most integers of a range that are counted one by one."""

SPIKE_NOISES, SPIKE_FRACTION = 5, 0.01
"""Least count of a value that gets a token: in standard deviations of the noise, and as a fraction of the rows."""

EVENLY = 0.001
"""Fraction of the rows of a range that is spread evenly over its bins."""

INTERVAL_NOISES = 20
"""Fewest rows of an interval, in standard deviations of the noise."""


def counts_of(domain: ColumnDomain, cells: Column, kind: "pa.DataType") -> list[np.ndarray]:
    """Count the cells of a column within its domain: by value, or for a range by bins and by its integers or ends."""
    encoder = domain.encoder(kind)
    if encoder.scores is None:
        return [_counted(encoder.encode(cells)[0], encoder.size)]
    assert isinstance(encoder, NumberEncoder)
    low, high = encoder.ends
    values = cells.values[~cells.is_missing]
    edges = edges_of(low, high, is_integer=encoder.grid.decimals == 0)
    by_bin = np.append(_counted(_bins_of(values, low, high, edges), len(edges) - 1), cells.is_missing.sum())
    if _is_counted_by_value(encoder):
        return [by_bin, _counted(np.round(values - low), int(high - low) + 1)]
    return [by_bin, np.array([(values == low).sum(), (values == high).sum()], float)]


def column_of(
    domain: ColumnDomain, kind: "pa.DataType", counts: list[np.ndarray], noise: float
) -> tuple[ColumnEncoder, Float[np.ndarray, " size"]]:
    """Make the encoder of a column from its domain, Arrow type, and counts with noise of a standard deviation.

    Also return the fraction of rows with each value. Fractions are positive and sum to 1.
    """
    encoder = domain.encoder(kind)
    if encoder.scores is None:
        return encoder, _fractions(counts[0])
    assert isinstance(encoder, NumberEncoder)
    (low, high), (by_bin, by_value) = encoder.ends, counts
    is_integer, is_counted_by_value = encoder.grid.decimals == 0, _is_counted_by_value(encoder)
    is_spike = by_value >= max(SPIKE_NOISES * noise, SPIKE_FRACTION * by_bin.sum())
    if is_counted_by_value:
        padded = np.pad(by_value, NEIGHBORS, constant_values=np.nan)
        for index in np.flatnonzero(is_spike):
            near = np.delete(padded[index : index + 2 * NEIGHBORS + 1], NEIGHBORS)
            is_spike[index] = by_value[index] >= TIMES * np.nanmedian(near)
    spikes = (np.arange(low, high + 1) if is_counted_by_value else np.array([low, high]))[is_spike]
    bins = edges_of(low, high, is_integer=is_integer)
    n_bins = len(bins) - 1
    rest = by_bin[:n_bins].copy()
    np.subtract.at(rest, _bins_of(spikes, low, high, bins), by_value[is_spike])
    n_intervals = int(np.clip(rest.sum() / (INTERVAL_NOISES * max(noise, 1e-9)), 2, MOST_INTERVALS))
    edges, within = intervals_of(rest, bins, noise, n_intervals, (high - low) if is_integer else 0.0)
    missing = by_bin[n_bins:][: int(domain.has_missing)]
    counted = np.concatenate([by_value[is_spike], max(rest.sum(), 1.0) * within, missing])
    return domain.encoder(kind, spikes, edges), _fractions(counted)


def edges_of(low: float, high: float, *, is_integer: bool) -> Float[np.ndarray, " edges"]:
    """Return edges of bins, as fractions of a range, that resolve amounts of most sizes.

    Some bins have equal widths, others narrow towards 0 on either side, or towards the lowest value if the range does
    not contain 0. The edges of integers lie between two integers.
    """
    origin = -low / (high - low) if low < 0 < high else 0.0
    narrow = 2.0 ** -(np.arange(NARROWING) / PER_OCTAVE)
    edges = np.concatenate([np.linspace(0, 1, EQUAL + 1), origin + (1 - origin) * narrow, origin - origin * narrow])
    return _between(edges, high - low) if is_integer else np.unique(edges)


def _between(edges: Float[np.ndarray, " edges"], n_steps: float) -> Float[np.ndarray, " kept"]:
    moved = np.unique((np.floor(edges * n_steps) + 0.5) / n_steps)
    return np.concatenate([[0.0], moved[moved < 1], [1.0]])


def intervals_of(
    noisy: Float[np.ndarray, " bins"],
    bins: Float[np.ndarray, " ends"],
    noise: float,
    n_intervals: int,
    n_steps: float = 0.0,
) -> tuple[Float[np.ndarray, " edges"], Float[np.ndarray, " intervals"]]:
    """Make at most `n_intervals` intervals with about equally many rows from a noisy histogram.

    A few rows are spread evenly over the bins, so that each interval has a width. Edges of bins and of intervals are
    fractions of the range; `n_steps` is the width of a range of integers, between which edges then lie, and 0 for other
    numbers. Also return the fraction of the rows in each interval.
    """
    counts = _pruned(noisy, noise)
    evenly = np.full(len(noisy), 1 / len(noisy))
    fractions = (1 - EVENLY) * counts / max(counts.sum(), 1e-9) + EVENLY * evenly if counts.any() else evenly
    cumulative = np.concatenate([[0.0], np.cumsum(fractions)])
    cumulative /= cumulative[-1]
    edges = np.interp(np.linspace(0, 1, n_intervals + 1), cumulative, bins)
    edges = _between(edges, n_steps) if n_steps else np.concatenate([[0.0], np.unique(edges[1:-1]), [1.0]])
    return edges, np.diff(np.interp(edges, bins, cumulative))


def _bins_of(values: np.ndarray, low: float, high: float, edges: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, (values - low) / (high - low), side="right") - 1, 0, len(edges) - 2)


def _is_counted_by_value(encoder: NumberEncoder) -> bool:
    low, high = encoder.ends
    return encoder.grid.decimals == 0 and not encoder.grid.step and high - low < MOST_VALUES


def _counted(indices: np.ndarray, n: int) -> Float[np.ndarray, " bins"]:
    return np.bincount(indices.astype(np.int64), minlength=n).astype(float)


def _pruned(noisy: np.ndarray, noise: float) -> np.ndarray:
    """Set counts to 0 in halves, quarters, … of the range whose sum is indistinguishable from 0.

    Otherwise the noise of many empty bins would add up to rows.
    """
    total = float(noisy.sum())
    if total <= 2 * noise * len(noisy) ** 0.5:
        return np.zeros(len(noisy))
    if len(noisy) == 1:
        return noisy
    middle = len(noisy) // 2
    pruned = np.concatenate([_pruned(noisy[:middle], noise), _pruned(noisy[middle:], noise)])
    return pruned * (total / pruned.sum()) if pruned.any() else np.full(len(noisy), total / len(noisy))


def _fractions(noisy: np.ndarray) -> Float[np.ndarray, " size"]:
    """Return fractions of the nearest non-negative counts with the same sum; each count is at least half a row."""
    ordered = np.sort(noisy)[::-1]
    above = (np.cumsum(ordered) - max(float(noisy.sum()), 0.0)) / np.arange(1, len(noisy) + 1)
    counts = np.maximum(noisy - above[np.flatnonzero(ordered >= above)[-1]], 0.5)
    return counts / counts.sum()
