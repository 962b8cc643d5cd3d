"""Distances between rows of mixed tables: whether rows are copies, lie far from the data, or leave some of it out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointillist.metrics.distances import Rows
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.manifolds import N_SPLITS, ROUNDING, split_variance
from pointillist.metrics.mixed_tables import Table, check_tables, count_rows, encode

# How far beyond the range of the data a number may lie, in that range; what lies beyond counts as there. With one
# half, a point at distance 1 from all numbers exists (see `_embed`).
REACH = 0.5

# Rows and records of a tile of distances, some 10 MB.
TILE_ROWS = 256
TILE_RECORDS = 4096

# Distances that differ by less are equal but for rounding.
TIE = 1e-12

LEVEL = 0.01
"""Probability that independent rows fall outside the interval of `nearest_share`."""


@dataclass(frozen=True)
class NearestShare:
    """Whether rows are nearer to the table they were made from than to held-out rows. See `nearest_share`.

    Attributes:
        share: Share of rows nearer to the training records than to as many held-out ones; ties count half. It is 0.5
            on average for rows that owe nothing to single records.
        interval: Interval around one half that the shares of such rows fall in 99 times out of 100.
        is_inside: Whether the share is in the interval.
        exact_copies: Number of rows equal to a training record in every cell.
        copy_share: The same as a share of all rows, in [0, 1].
        holdout_copy_share: Share of the held-out rows that equal a training record.
        n_rows: Number of rows whose nearest records were looked up.
        n_records: Number of training records, and of held-out rows, that they were compared with.
    """

    share: Estimate
    interval: tuple[float, float]
    is_inside: bool
    exact_copies: int
    copy_share: float
    holdout_copy_share: float
    n_rows: int
    n_records: int


@dataclass(frozen=True)
class MixedManifold:
    """Precision and coverage of rows. See `mixed_manifold`.

    Attributes:
        precision: Share of rows within the k-neighbor ball of at least one data row, in [0, 1].
        coverage: Share of data rows with one of the rows within their own k-neighbor ball, in [0, 1].
        n_rows: Number of rows on each side.
    """

    precision: Estimate
    coverage: Estimate
    n_rows: int


def nearest_share(
    train: Table,
    rows: Table,
    holdout: Table,
    *,
    max_rows: int = 5000,
    max_records: int = 15_000,
    random_state: int | np.random.Generator | None = 0,
) -> NearestShare:
    """Ask whether rows are nearer to the table they were made from than to held-out rows from the same distribution.

    The distance between two rows is a sum over columns (after Gower 1971). Two numbers add their difference, divided
    by the training table's range; a number more than half that range outside it counts as half the range outside. Two
    categories add 0 if equal and 1 otherwise. Missing cells add 0 if both are missing and 1 otherwise. All pairs are
    compared, a tile at a time.

    Args:
        train: The table that the rows were made from, with the same columns.
        rows: A table of m rows.
        holdout: Rows from the distribution of `train` that were not used to make `rows`.
        max_rows: Most rows whose nearest records are looked up, drawn at random. Copies are counted among all rows.
        max_records: Most training records, and held-out rows, to compare with, drawn at random; as many of each.
        random_state: Seed of these draws.

    Returns:
        The share and the copies. The interval is that of a binomial share, widened if rows share their nearest
        records and so are not independent trials. Its standard deviation is the larger of two: the
        binomial one, 0.5 / √rows, and that of the share if each record had been assigned to the training or to the
        held-out side at random. The latter is `share.null_standard_error`.

    Raises:
        ValueError: As in `check_tables`.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> train, holdout, fresh = ({"x": rng.normal(size=500), "y": rng.normal(size=500)} for _ in range(3))
        >>> nearest_share(train, fresh, holdout).is_inside
        True
        >>> copied = nearest_share(train, train, holdout)
        >>> print(copied.share, copied.is_inside, copied.exact_copies)
        1.0 False 500
    """
    check_tables(train=train, rows=rows, holdout=holdout)
    matrices, is_category = encode(train, rows, holdout)
    copies, holdout_copies = (equal_rows(side, matrices[0]) for side in matrices[1:])
    records, some, others = _embed(matrices, is_category)
    rng = np.random.default_rng(random_state)
    size = min(len(records), len(others), max_records)
    some = some.take(rng.permutation(len(some))[:max_rows])
    sides = [_nearest(some, side.take(rng.permutation(len(side))[:size])) for side in (records, others)]
    (to_train, train_index), (to_holdout, holdout_index) = sides
    weights = np.where(np.abs(to_train - to_holdout) <= TIE, 0.5, to_train < to_holdout)

    m, share = len(some), float(weights.mean())
    counts = np.concatenate([np.bincount(train_index, weights, size), np.bincount(holdout_index, 1 - weights, size)])
    null_variance = size / 2 * counts.var(ddof=1) / m**2  # of a sum over half of the records, drawn at random
    smoothed = (share * m + 1) / (m + 2)  # a share of exactly 0 or 1 is not known without error
    estimate = Estimate(share, math.sqrt(null_variance * 4 * smoothed * (1 - smoothed)), math.inf, null_variance**0.5)
    reach = _quantile(1 - LEVEL / 2) * max(estimate.null_standard_error, 0.5 / math.sqrt(m))
    return NearestShare(
        share=estimate,
        interval=(max(0.0, 0.5 - reach), min(1.0, 0.5 + reach)),
        is_inside=abs(share - 0.5) <= reach,
        exact_copies=int(copies.sum()),
        copy_share=float(copies.mean()),
        holdout_copy_share=float(holdout_copies.mean()),
        n_rows=m,
        n_records=size,
    )


def mixed_manifold(
    data: Table,
    rows: Table,
    *,
    k: int = 5,
    max_rows: int = 2000,
    random_state: int | np.random.Generator | None = 0,
) -> MixedManifold:
    """Precision and coverage of rows, with the distance of `nearest_share` over the data's range.

    Each data row has a closed ball that reaches to its k-th nearest neighbor in the data. Precision falls
    if rows look unlike any data (Kynkäänniemi et al. 2019, arXiv 1904.06991), coverage if some data looks unlike any
    row (Naeem et al. 2020, arXiv 2002.09797). Both depend on the number of rows and on k. See `manifold_scores`.

    Args:
        data: A table of n rows with the same columns.
        rows: A table of m rows.
        k: Number of neighbors, at least 1 and below the number of rows per side.
        max_rows: Most rows taken from each side; the larger side is subsampled to the size of the smaller one.
        random_state: Seed of the subsamples.

    Returns:
        Both shares. The standard errors are taken from differences between halves of both sides, like those of
        `manifold_scores`; they are nan with fewer than 2 (k + 1) rows per side.

    Raises:
        ValueError: As in `check_tables`, or if k is below 1 or not below the number of rows per side.

    Example:
        >>> import numpy as np
        >>> c = np.array(["a"] * 10 + ["b"] * 10, object)
        >>> half = mixed_manifold({"c": c[5:15]}, {"c": c[:10]}, k=2)
        >>> print(half.precision, half.coverage)
        1.0 0.5
    """
    check_tables(data=data, rows=rows)
    n = min(count_rows(rows), count_rows(data), max_rows)
    if not 1 <= k < n:
        raise ValueError(f"k={k} must be at least 1 and below {n}, the number of rows per side: pass more rows")
    matrices, is_category = encode(data, rows)
    rng = np.random.default_rng(random_state)
    records, some = (side.take(rng.permutation(len(side))[:n]) for side in _embed(matrices, is_category))
    within, across = _distances(records, records), _distances(some, records)
    values, variances = _ball_scores(within, across, k), np.full(2, np.nan)
    if n // 2 > k:
        found = split_variance(lambda a, b: _ball_scores(within[np.ix_(a, a)], across[np.ix_(b, a)], k), n, n)
        smoothed = (values * n + 1) / (n + 2)  # a share of exactly 0 or 1 is not known without error
        variances = np.maximum(found, smoothed * (1 - smoothed) / n)
    precision, coverage = (Estimate(v, math.sqrt(s), N_SPLITS) for v, s in zip(values, variances, strict=True))
    return MixedManifold(precision, coverage, n)


@dataclass(frozen=True)
class _Points:
    """Rows whose distance is the L1 distance of their `numbers` plus how many of their `codes` differ."""

    numbers: Rows
    codes: Rows

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: NDArray[np.integer] | slice) -> _Points:
        return _Points(self.numbers[index], self.codes[index])


def _embed(matrices: list[Rows], is_category: NDArray[np.bool_]) -> list[_Points]:
    """Makes points of all tables, with numbers scaled by the range of the first.

    A number x of a column with missing cells becomes (x, −x) / 2, and a missing cell the point that is at distance 1
    from all of those with −REACH ≤ x ≤ 1 + REACH, which exists as long as they are no farther apart than 2.
    """
    parts: list[list[Rows]] = [[np.empty((len(side), 0))] for side in matrices]
    for j in np.flatnonzero(~is_category):
        known = matrices[0][~np.isnan(matrices[0][:, j]), j]
        low, width = (known.min(), np.ptp(known) or 1.0) if len(known) else (0.0, 1.0)
        scaled = [np.clip((side[:, [j]] - low) / width, -REACH, 1 + REACH) for side in matrices]
        if any(np.isnan(side).any() for side in scaled):
            scaled = [
                np.where(np.isnan(side), np.array([-REACH, -1 - REACH]) / 2, np.hstack([side, -side]) / 2)
                for side in scaled
            ]
        for part, side in zip(parts, scaled, strict=True):
            part.append(side)
    codes = [np.nan_to_num(side[:, is_category], nan=-1.0) for side in matrices]
    return [_Points(np.hstack(part), each) for part, each in zip(parts, codes, strict=True)]


def _distances(one: _Points, two: _Points) -> Rows:
    from scipy.spatial.distance import cdist

    distances = np.zeros((len(one), len(two)))
    if one.numbers.shape[1]:
        distances += cdist(one.numbers, two.numbers, "cityblock")
    if n_codes := one.codes.shape[1]:
        distances += n_codes * cdist(one.codes, two.codes, "hamming")
    return distances


def _nearest(queries: _Points, records: _Points) -> tuple[Rows, NDArray[np.int64]]:
    """Distance of each query to its nearest record, and the index of that record."""
    distances, indices = np.full(len(queries), np.inf), np.zeros(len(queries), np.int64)
    for top in range(0, len(queries), TILE_ROWS):
        rows = slice(top, min(top + TILE_ROWS, len(queries)))
        for left in range(0, len(records), TILE_RECORDS):
            tile = _distances(queries.take(rows), records.take(slice(left, left + TILE_RECORDS)))
            index = tile.argmin(axis=1)
            closest = tile[np.arange(len(tile)), index]
            nearer = closest < distances[rows]
            indices[rows] = np.where(nearer, left + index, indices[rows])
            distances[rows] = np.where(nearer, closest, distances[rows])
    return distances, indices


def _ball_scores(within: Rows, across: Rows, k: int) -> Rows:
    """Precision and coverage, from the distances within the data and of rows to data."""
    radii = np.partition(within, k, axis=1)[:, k] * (1 + ROUNDING)  # the row itself is at distance 0
    is_in_ball = across <= radii
    return np.array([is_in_ball.any(axis=1).mean(), is_in_ball.any(axis=0).mean()])


def equal_rows(rows: Rows, records: Rows) -> NDArray[np.bool_]:
    """Return which rows equal a record in every cell; missing cells are equal."""
    return np.isin(row_keys(rows), row_keys(records))


def row_keys(rows: Rows) -> NDArray[np.void]:
    """Return the bytes of each row as one value, so that equal rows have equal values."""
    plain = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0))  # one NaN, and no −0
    return plain.view(np.dtype((np.void, plain.itemsize * plain.shape[1])))[:, 0]


def _quantile(level: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(level))
