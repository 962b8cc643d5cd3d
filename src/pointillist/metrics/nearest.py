"""Signs of copying: rows that equal a data row, or are nearer to the data than they would be by chance."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.lazy import neighbors, spatial, stats
from pointillist.metrics.checks import Seed, check_pair
from pointillist.metrics.distances import Rows
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.manifolds import N_SPLITS, split_variance
from pointillist.metrics.mixed_tables import TableLike, check_tables, encode, points_of

TREE_COLUMNS, TREE_RECORDS = 8, 400
"""Most columns, or records, for which a k-d tree is faster than comparing all pairs by matrix products."""

TIE = 1e-12
"""Distances that differ by less count as equal."""

LEVEL = 0.01
"""Probability that independent rows fall outside the interval of `nearest_share`."""


@dataclass(frozen=True)
class NearestRecords:
    """Distances of rows to their closest data records. See `nearest_records`.

    Attributes:
        share_closer: Probability that a row is closer to the data than a data row is to the other rows, in [0, 1].
        median_distance: Median distance of the rows to their closest data records.
        median_within_data: Median distance of the data records to their closest other ones.
    """

    share_closer: Estimate
    median_distance: float
    median_within_data: float


def nearest_records(
    real: ArrayLike, generated: ArrayLike, *, max_rows: int = 5000, random_state: Seed = 0
) -> NearestRecords:
    """Compare each row's distance to its closest data record with the usual distance within the data.

    Let E be the Euclidean distance of a data record to its closest other one, and D the distance of a row to the
    closest of the same others. Then `share_closer` is P(D < E) + P(D = E) / 2 over all rows and records. It is 0.5 on
    average for independent rows from the distribution of the data, and near 1 for copies with little noise.

    Rows that bunch up where the data is dense raise it too, and rows unlike any data lower it and can hide copies among
    them; `nearest_share` distinguishes these by held-out rows. Copies with a few columns redrawn, or moved by more than
    the usual distance between records, are not found. Scale the columns alike.

    Args:
        real: Shape `(n, d)`: the records that `generated` may be copies of.
        generated: Shape `(m, d)`.
        max_rows: Most rows, and most data records, at least 2, drawn at random, whose nearest records are looked up
            among all n records.
        random_state: Seed of those draws.

    Returns:
        The fraction and medians. The standard error is over the draw of both sides, from differences between halves as
        in `manifold_scores`, and never below the error of independent distances. In 1 to 40 columns and 200 to 1000
        rows it is 0.9 to 1.1 times the true one; it is too large for rows on a coarse grid and for copies, and nan with
        fewer than 4 rows on a side.

    Raises:
        ValueError: If `max_rows` is below 2.
    """
    data, rows = check_pair(real, generated)
    if max_rows < 2:
        raise ValueError(f"max_rows is {max_rows} but must be at least 2")
    rng = np.random.default_rng(random_state)
    rows, order = rows[rng.permutation(len(rows))[:max_rows]], rng.permutation(len(data))
    data = data[order]  # so that the records looked up are the first ones, in any half too

    value, D, E = _share_closer(rows, data, max_rows)
    variance = math.nan
    if min(len(rows), len(data)) >= 4:
        half = max(2, max_rows // 2)
        split = split_variance(
            lambda some, others: _share_closer(rows[some], data[others], half)[0], len(rows), len(data)
        )
        # DeLong et al. 1988
        independent = (1 - placements(D, E)).var() / len(D) + (1 - placements(E, D)).var() / len(E)
        variance = max(split, independent)
    return NearestRecords(Estimate(value, math.sqrt(variance), N_SPLITS), float(np.median(D)), float(np.median(E)))


def _share_closer(rows: Rows, data: Rows, max_records: int) -> tuple[float, Rows, Rows]:
    """Estimate the probability that a row is closer to the data without one record than that record is to the rest.

    Both are compared with the same n − 1 records, so for one distribution the mean is 0.5 for any n. Returned are the
    probability over the first `max_records` records, the distances of rows to their closest records, and the distances
    of these records to their closest others.
    """
    (closest, second), (index, _) = (each.T for each in _nearest(rows, data, 2))
    records = data[:max_records]
    pairs, indices = _nearest(records, data, 2)
    record_distances = np.where(indices == np.arange(len(records))[:, None], np.inf, pairs).min(axis=1)
    total = (1 - placements(closest, record_distances)).sum()
    itself = index < len(records)  # the row's closest record is among those it is compared with
    distances = record_distances[index[itself]]
    correction = _is_below(second[itself], distances).sum() - _is_below(closest[itself], distances).sum()
    return float((total + correction / len(records)) / len(closest)), closest, record_distances


def _is_below(a: Rows, b: Rows) -> Rows:
    return np.where(a == b, 0.5, a < b)


def _nearest(queries: Rows, records: Rows, k: int) -> tuple[Rows, NDArray[np.int64]]:
    """Return the distances to the k nearest records and their indices, each of shape `(queries, k)`."""
    if queries.shape[1] <= TREE_COLUMNS or len(records) <= TREE_RECORDS:
        distances, indices = spatial.cKDTree(records).query(queries, k=list(range(1, k + 1)))
        return distances, indices.astype(np.int64)
    # Neighbors are found from inner products, in which a large mean would drown distances.
    mean = records.mean(axis=0)
    queries, records = queries - mean, records - mean
    index = neighbors.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(records)
    indices = index.kneighbors(queries, return_distance=False)
    # Inner products lose small distances to rounding: measure them again.
    distances = np.stack([np.linalg.norm(queries - records[column], axis=1) for column in indices.T], axis=1)
    return distances, indices.astype(np.int64)


def placements(values: Rows, others: Rows) -> Rows:
    """Return the fraction of `others` below each value, where equal ones count half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return below / (2 * len(others))


@dataclass(frozen=True)
class NearestShare:
    """Whether rows are nearer to the table they were made from than to held-out rows. See `nearest_share`.

    Attributes:
        share: Fraction of rows nearer to the training records than to an equal number of held-out records; ties count
            half. It is 0.5 on average for rows that do not depend on single records.
        interval: Interval around one half that then contains this fraction with probability 0.99.
        is_inside: Whether the fraction is in the interval.
        n_rows: Number of rows whose nearest records were looked up.
        n_records: Number of training records, and of held-out rows, with which they were compared.
    """

    share: Estimate
    interval: tuple[float, float]
    is_inside: bool
    n_rows: int
    n_records: int


def nearest_share(
    real: TableLike,
    generated: TableLike,
    holdout: TableLike,
    *,
    max_rows: int = 5000,
    max_records: int = 15_000,
    random_state: Seed = 0,
) -> NearestShare:
    """Test whether rows are nearer to the table they were made from than to held-out rows of its distribution.

    Args:
        real: The training records, from which the rows were made. Distances are defined in `mixed_tables.points_of`.
        generated: Generated rows with the same columns.
        holdout: Rows of the same distribution that were not used to make the generated ones.
        max_rows: Most rows whose nearest records are looked up, drawn at random.
        max_records: Most training records, and most held-out rows, drawn at random; both have the same number.
        random_state: Seed of these draws.

    Returns:
        The fraction and its interval, a binomial one, widened if rows share their nearest records and so are not
        independent trials. Its standard deviation is the larger of 0.5 / √rows and `share.null_standard_error`, which
        holds if each record is assigned to the training or to the held-out side at random.
    """
    records, some, others = points_of(real=real, generated=generated, holdout=holdout)
    rng = np.random.default_rng(random_state)
    size = min(len(records), len(others), max_records)
    some = some.take(rng.permutation(len(some))[:max_rows])
    sides = [some.nearest(side.take(rng.permutation(len(side))[:size])) for side in (records, others)]
    (to_real, real_index), (to_holdout, holdout_index) = sides
    weights = np.where(np.abs(to_real - to_holdout) <= TIE, 0.5, to_real < to_holdout)

    m, share = len(some), float(weights.mean())
    counts = np.concatenate([np.bincount(real_index, weights, size), np.bincount(holdout_index, 1 - weights, size)])
    null_variance = size / 2 * counts.var(ddof=1) / m**2  # of a sum over half of the records, drawn at random
    smoothed = (share * m + 1) / (m + 2)  # a share of exactly 0 or 1 is not known without error
    estimate = Estimate(share, math.sqrt(null_variance * 4 * smoothed * (1 - smoothed)), math.inf, null_variance**0.5)
    reach = float(stats.norm.ppf(1 - LEVEL / 2)) * max(estimate.null_standard_error, 0.5 / math.sqrt(m))
    return NearestShare(
        share=estimate,
        interval=(max(0.0, 0.5 - reach), min(1.0, 0.5 + reach)),
        is_inside=abs(share - 0.5) <= reach,
        n_rows=m,
        n_records=size,
    )


@dataclass(frozen=True)
class Copies:
    """How many rows equal a data row. See `copies`.

    Attributes:
        count: Number of rows equal to a data row in every cell.
        fraction: The same as a fraction of all rows, in [0, 1].
        duplicates: Fraction of the data rows that equal another data row: the `fraction` to expect of independent rows
            from the data's distribution.
        p_value: p-value of Fisher's one-sided exact test that rows equal data rows more often than data rows equal one
            another.
    """

    count: int
    fraction: float
    duplicates: float
    p_value: float


def copies(real: TableLike, generated: TableLike) -> Copies:
    """Count rows that equal a data row in every cell, where missing cells are equal.

    Args:
        real: n rows: an array, or a table with the same columns.
        generated: m rows.
    """
    (data_matrix, row_matrix), _ = encode(*check_tables(real=real, generated=generated))
    _, index, counts = np.unique(row_keys(data_matrix), return_inverse=True, return_counts=True)
    count, duplicates = int(equal_rows(row_matrix, data_matrix).sum()), float((counts[index] > 1).mean())
    m = len(row_matrix)
    # Data rows are not independent trials. The difference between the probability that a row equals a data row and the
    # fraction p of data rows with a duplicate has a variance of at most (p (1 − p) + p) / n (Esty 1983, with every
    # duplicate one of a pair), which is the variance of n (1 − p) / (2 − p) trials.
    trials = max(1, int(len(data_matrix) * (1 - duplicates) / (2 - duplicates)))
    p_value = float(stats.hypergeom.sf(count - 1, m + trials, count + round(duplicates * trials), m))
    return Copies(count, count / m, duplicates, p_value)


def equal_rows(rows: Rows, records: Rows) -> NDArray[np.bool_]:
    """Return which rows equal a record in every cell; missing cells are equal."""
    return np.isin(row_keys(rows), row_keys(records))


def row_keys(rows: Rows) -> NDArray[np.void]:
    """Return the bytes of each row as one value, so that equal rows have equal values."""
    plain = np.ascontiguousarray(np.where(np.isnan(rows), np.nan, rows + 0.0))  # one NaN, and no −0
    return plain.view(np.dtype((np.void, plain.itemsize * plain.shape[1])))[:, 0]
