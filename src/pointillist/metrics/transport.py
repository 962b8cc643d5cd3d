"""Earth mover's distance between subsamples."""

import math

import numpy as np
from numpy.typing import ArrayLike

from pointillist.metrics.checks import check_pair
from pointillist.metrics.estimate import Estimate


def emd(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    n_subsample: int = 250,
    n_repeats: int = 5,
    random_state: int | np.random.Generator | None = 0,
) -> Estimate:
    """Earth mover's distance with one unit of mass per row, between random subsamples.

    Draws `n_subsample` rows without replacement from each side, solves the exact transport between them under Euclidean
    distance, and averages over `n_repeats` such draws (Rubner et al. 2000; with equal masses the optimal transport is
    an assignment). The value is `n_subsample` times the mean distance that a row is moved. Between subsamples of one
    distribution it is far from zero: compare it with its `floor`.

    Args:
        real: Shape `(n, d)`, n at least `n_subsample`.
        generated: Shape `(m, d)`, m at least `n_subsample`.
        n_subsample: Number of rows drawn from each side; the cost grows with its cube.
        n_repeats: Number of independent draws, at least 1.
        random_state: Seed of the draws.

    Returns:
        The mean over the draws, in rows times the unit of the columns. The standard error is the
        standard deviation of the draws over √n_repeats, with `n_repeats` − 1 degrees of freedom (nan
        for a single draw). It is over the draws of subsamples, with the rows of both sides held fixed.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or a side has fewer
            rows than `n_subsample`.

    Example:
        >>> import numpy as np
        >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> emd(square, square + [5.0, 0.0], n_subsample=4)
        20 ± 0
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    A, B = check_pair(real, generated)
    if n_subsample < 1 or n_repeats < 1:
        raise ValueError(f"n_subsample={n_subsample} and n_repeats={n_repeats} must both be at least 1")
    for name, rows in (("real", A), ("generated", B)):
        if len(rows) < n_subsample:
            raise ValueError(
                f"{name} has {len(rows)} rows but n_subsample={n_subsample} are drawn from it without "
                f"replacement: pass more rows, or n_subsample={len(rows)} or less"
            )
    rng = np.random.default_rng(random_state)
    totals = np.empty(n_repeats)
    for repeat in range(n_repeats):
        a = A[rng.choice(len(A), n_subsample, replace=False)]
        b = B[rng.choice(len(B), n_subsample, replace=False)]
        cost = cdist(a, b)
        totals[repeat] = cost[linear_sum_assignment(cost)].sum()
    error = totals.std(ddof=1) / math.sqrt(n_repeats) if n_repeats > 1 else math.nan
    return Estimate(totals.mean(), error, n_repeats - 1)
