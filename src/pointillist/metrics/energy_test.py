"""A permutation test of the energy distance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pointillist.metrics.checks import check_pair
from pointillist.metrics.distances import Rows, tiles
from pointillist.metrics.energy import energy_distance
from pointillist.metrics.estimate import Estimate

# Divisions of the rows that one matrix product looks at.
CHUNK_PERMUTATIONS = 1000

# Values of the statistic that are this close, relative to the mean distance, are equal but for rounding.
ROUNDING = 1e-6


@dataclass(frozen=True)
class EnergyTest:
    """The energy distance of two sets of rows, and whether chance explains it. See `energy_test`.

    Attributes:
        distance: The `energy_distance` of the rows that were compared, in the unit of the columns.
        p_value: Share of random divisions of the pooled rows with a distance as large, in (0, 1].
        n_permutations: Number of random divisions.
        n_rows: Number of rows compared on each side.
    """

    distance: Estimate
    p_value: float
    n_permutations: int
    n_rows: tuple[int, int]


def energy_test(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    n_permutations: int = 999,
    max_rows: int = 2000,
    random_state: int | np.random.Generator | None = 0,
) -> EnergyTest:
    """Test whether both sides are draws from one distribution, by permutations of the energy distance.

    The pooled rows are divided at random into sides of the same sizes, `n_permutations` times, and

        p = (1 + #{distance of a random division ≥ distance of the sides}) / (1 + n_permutations)

    (Székely & Rizzo 2013, section 6, as a permutation test). If all rows are independent draws from one distribution,
    all divisions are equally likely: P(p ≤ α) ≤ α exactly, at any number of rows. With enough rows, the test finds any
    difference between distributions.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.
        n_permutations: Number of random divisions, at least 1. No p-value is below 1 / (1 + n_permutations).
        max_rows: Most rows taken from each side, at random, at least 2. For the n and m rows taken, the memory is
            4 (n + m)² bytes, and the time about (n + m)² `n_permutations` multiplications.
        random_state: Seed of the subsamples and the divisions.

    Returns:
        The distance and its p-value.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or a number is too small.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> A, B = rng.normal(size=(200, 2)), rng.normal(size=(300, 2))
        >>> energy_test(A, B).p_value > 0.05, energy_test(A, B + 0.5).p_value
        (True, 0.001)
    """
    A, B = check_pair(real, generated)
    if n_permutations < 1 or max_rows < 2:
        raise ValueError(f"n_permutations={n_permutations} must be at least 1 and max_rows={max_rows} at least 2")
    rng = np.random.default_rng(random_state)
    A, B = (side[rng.permutation(len(side))[:max_rows]] for side in (A, B))
    n, m = len(A), len(B)
    distances, unit = _centred_distances(np.concatenate([A, B]))
    sums = distances.sum(axis=1, dtype=np.float64)

    in_A = np.zeros((n + m, 1), np.float32)
    in_A[:n] = 1
    observed = _statistics(distances, sums, in_A)[0]
    as_large = 0
    for start in range(0, n_permutations, CHUNK_PERMUTATIONS):
        size = min(CHUNK_PERMUTATIONS, n_permutations - start)
        divisions = rng.permuted(np.repeat(in_A, size, axis=1), axis=0)
        as_large += int(np.count_nonzero(_statistics(distances, sums, divisions) >= observed - ROUNDING * unit))
    return EnergyTest(energy_distance(A, B), (1 + as_large) / (1 + n_permutations), n_permutations, (n, m))


def _centred_distances(rows: Rows) -> tuple[NDArray[np.float32], float]:
    """Distances between all rows minus their mean, and that mean, both in a unit in which no float32 overflows.

    A constant added to every distance does not change the energy distance, and sums of small numbers round less.
    """
    rows = rows - rows.mean(axis=0)
    rows /= np.abs(rows).max() or 1.0
    distances = np.empty((len(rows), len(rows)), np.float32)
    for some, others, tile in tiles(rows, rows, "euclidean", upper=True):
        distances[some, others] = tile
        distances[others, some] = tile.T
    mean = float(distances.sum(dtype=np.float64)) / (len(rows) * (len(rows) - 1))
    distances -= np.float32(mean)
    np.fill_diagonal(distances, 0)
    return distances, mean


def _statistics(distances: NDArray[np.float32], sums: Rows, in_A: NDArray[np.float32]) -> Rows:
    """The energy distance of each division, a column of zeros and ones; shape `(divisions,)`."""
    n = int(in_A[:, 0].sum())
    m = len(in_A) - n
    within_A = np.einsum("ij,ij->j", distances @ in_A, in_A, dtype=np.float64)
    from_A = sums @ in_A
    within_B = sums.sum() - 2 * from_A + within_A
    return 2 * (from_A - within_A) / (n * m) - within_A / (n * (n - 1)) - within_B / (m * (m - 1))
