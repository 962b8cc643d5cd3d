"""Counts of the cells of columns, and the codes of columns that are made from such counts once they have noise.

A row is in at most one bin of each histogram. What is made from noisy counts tells no more of rows than they do.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pointillist.columns.domain import ColumnDomain
from pointillist.columns.encoder import ColumnEncoder
from pointillist.columns.kinds import NEIGHBOURS, TIMES
from pointillist.columns.number import NumberEncoder
from pointillist.lazy import pa
from pointillist.tables.table import Column

EQUAL, NARROWING, PER_OCTAVE, MOST_INTERVALS = 128, 128, 8, 32
"""Number of bins of equal width in a range; number of bins that narrow towards 0 or the lowest value, and how many of
these halve the width; and most intervals with about as many rows each that are made of the bins."""

MOST_VALUES = 2**21
"""Most integers of a range that are counted one by one."""

SPIKE_NOISES, SPIKE_FRACTION = 5, 0.01
"""Least count of a value that gets a token: in standard deviations of the noise, and as a fraction of the rows."""

EVENLY = 0.001
"""Share of a range's rows that is spread evenly over its bins."""

INTERVAL_NOISES = 20
"""Least rows of an interval, in standard deviations of the noise."""


class PrivateColumn(NamedTuple):
    """The encoder of a column and the fraction of rows with each value; fractions are positive and sum to 1."""

    code: ColumnEncoder
    shares: Float[np.ndarray, " size"]


def counts_of(domain: ColumnDomain, cells: Column, kind: "pa.DataType") -> list[np.ndarray]:
    """Counts the cells of a column within its domain by value, or in a range by bins and by its integers or ends."""
    code = domain.encoder(kind)
    if code.scores is None:
        return [_counted(code.encode(cells)[0], code.size)]
    assert isinstance(code, NumberEncoder)
    low, high = code.ends
    values = cells.values[~cells.is_missing]
    bins = edges_of(low, high, is_whole=code.grid.decimals == 0)
    by_bin = np.append(_counted(_bins_of(values, low, high, bins), len(bins) - 1), cells.is_missing.sum())
    if _is_counted_by_value(code):
        return [by_bin, _counted(np.round(values - low), int(high - low) + 1)]
    return [by_bin, np.array([(values == low).sum(), (values == high).sum()], float)]


def column_of(domain: ColumnDomain, kind: "pa.DataType", counts: list[np.ndarray], noise: float) -> PrivateColumn:
    """Makes the encoder of a column from its domain, Arrow's type, and counts with noise of a standard deviation."""
    code = domain.encoder(kind)
    if code.scores is None:
        return PrivateColumn(code, _shares(counts[0]))
    assert isinstance(code, NumberEncoder)
    (low, high), (by_bin, by_value) = code.ends, counts
    is_whole = _is_counted_by_value(code)
    known = np.arange(low, high + 1) if is_whole else np.array([low, high])
    is_spike = by_value >= max(SPIKE_NOISES * noise, SPIKE_FRACTION * by_bin.sum())
    if is_whole:
        padded = np.pad(by_value, NEIGHBOURS, constant_values=np.nan)
        for index in np.flatnonzero(is_spike):
            near = np.delete(padded[index : index + 2 * NEIGHBOURS + 1], NEIGHBOURS)
            is_spike[index] = by_value[index] >= TIMES * np.nanmedian(near)
    bins = edges_of(low, high, is_whole=code.grid.decimals == 0)
    n_bins, atoms = len(bins) - 1, known[is_spike]
    rest = by_bin[:n_bins].copy()
    np.subtract.at(rest, _bins_of(atoms, low, high, bins), by_value[is_spike])
    n_intervals = int(np.clip(rest.sum() / (INTERVAL_NOISES * max(noise, 1e-9)), 2, MOST_INTERVALS))
    edges, within = intervals_of(rest, bins, noise, n_intervals, (high - low) if code.grid.decimals == 0 else 0.0)
    own = domain.encoder(kind, atoms, edges)
    missing = by_bin[n_bins:][: int(domain.has_missing)]
    counted = [by_value[is_spike], max(rest.sum(), 1.0) * within, missing]
    return PrivateColumn(own, _shares(np.concatenate(counted)))


def edges_of(low: float, high: float, *, is_whole: bool) -> Float[np.ndarray, " edges"]:
    """Makes edges of bins, from 0 to 1 in shares of a range, that resolve most amounts: equal ones, and narrowing ones.

    These narrow towards 0 on either side of it, or towards the lowest value of a range without it. Of integers, all
    edges lie between two.
    """
    origin = -low / (high - low) if low < 0 < high else 0.0
    narrow = 2.0 ** -(np.arange(NARROWING) / PER_OCTAVE)
    edges = np.concatenate([np.linspace(0, 1, EQUAL + 1), origin + (1 - origin) * narrow, origin - origin * narrow])
    return _between(edges, high - low) if is_whole else np.unique(edges)


def _between(edges: Float[np.ndarray, " edges"], n_steps: float) -> Float[np.ndarray, " kept"]:
    """Edges of bins, moved between integers."""
    moved = np.unique((np.floor(edges * n_steps) + 0.5) / n_steps)
    return np.concatenate([[0.0], moved[moved < 1], [1.0]])


def intervals_of(
    noisy: Float[np.ndarray, " bins"],
    bins: Float[np.ndarray, " ends"],
    noise: float,
    n_intervals: int,
    n_steps: float = 0.0,
) -> tuple[Float[np.ndarray, " edges"], Float[np.ndarray, " intervals"]]:
    """Makes intervals of about as many rows from a noisy histogram.

    A few rows are spread evenly over the bins, so that no interval is without a width.

    Args:
        noisy: The histogram.
        bins: Edges of its bins, increasing, from 0 to 1 in shares of the range.
        noise: Standard deviation of the counts' noise.
        n_intervals: Most intervals.
        n_steps: The range in units of integers, between which the edges then lie; 0 for other numbers.

    Returns:
        Edges, as those of the bins, and the shares of the rows in the intervals.
    """
    counts = _pruned(noisy, noise)
    evenly = np.full(len(noisy), 1 / len(noisy))
    of_bins = (1 - EVENLY) * counts / max(counts.sum(), 1e-9) + EVENLY * evenly if counts.any() else evenly
    shares = np.concatenate([[0.0], np.cumsum(of_bins)])
    shares /= shares[-1]
    edges = np.interp(np.linspace(0, 1, n_intervals + 1), shares, bins)
    edges = _between(edges, n_steps) if n_steps else np.concatenate([[0.0], np.unique(edges[1:-1]), [1.0]])
    return edges, np.diff(np.interp(edges, bins, shares))


def _bins_of(values: np.ndarray, low: float, high: float, bins: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(bins, (values - low) / (high - low), side="right") - 1, 0, len(bins) - 2)


def _is_counted_by_value(code: NumberEncoder) -> bool:
    low, high = code.ends
    return code.grid.decimals == 0 and not code.grid.step and high - low < MOST_VALUES


def _counted(indices: np.ndarray, n: int) -> Float[np.ndarray, " bins"]:
    return np.bincount(indices.astype(np.int64), minlength=n).astype(float)


def _pruned(noisy: np.ndarray, noise: float) -> np.ndarray:
    """Counts of bins, without those of halves, quarters, … of the range whose sum is indistinguishable from none.

    So the noise of many empty bins does not add up to rows.
    """
    total = float(noisy.sum())
    if total <= 2 * noise * len(noisy) ** 0.5:
        return np.zeros(len(noisy))
    if len(noisy) == 1:
        return noisy
    middle = len(noisy) // 2
    found = np.concatenate([_pruned(noisy[:middle], noise), _pruned(noisy[middle:], noise)])
    return found * (total / found.sum()) if found.any() else np.full(len(noisy), total / len(noisy))


def _shares(noisy: np.ndarray) -> Float[np.ndarray, " size"]:
    """Fractions of the nearest counts that are not negative and have the same sum; each is at least half a row."""
    ordered = np.sort(noisy)[::-1]
    above = (np.cumsum(ordered) - max(float(noisy.sum()), 0.0)) / np.arange(1, len(noisy) + 1)
    counts = np.maximum(noisy - above[np.flatnonzero(ordered >= above)[-1]], 0.5)
    return counts / counts.sum()
