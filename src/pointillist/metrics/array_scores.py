"""Scores of arrays of numbers: earth mover's distance, spread, and the kernel score of the published report."""

import math

import numpy as np
from numpy.typing import ArrayLike

from pointillist.lazy import distance, optimize
from pointillist.metrics.checks import Seed, check_pair
from pointillist.metrics.distances import tiles
from pointillist.metrics.estimate import Estimate


def emd(
    real: ArrayLike, generated: ArrayLike, *, n_subsample: int = 250, n_repeats: int = 5, random_state: Seed = 0
) -> Estimate:
    """Earth mover's distance with one unit of mass per row, between random subsamples.

    Draws `n_subsample` rows without replacement from each side, solves the exact transport between them under Euclidean
    distance, and averages over `n_repeats` such draws (Rubner et al. 2000; with equal masses the optimal transport is
    an assignment). The value is `n_subsample` times the mean distance that a row is moved. Between subsamples of one
    distribution it is far from zero: compare it with its `baseline`.

    Args:
        real: Shape `(n, d)`, n at least `n_subsample`.
        generated: Shape `(m, d)`, m at least `n_subsample`.
        n_subsample: Number of rows drawn from each side; the cost grows with its cube.
        n_repeats: Number of independent draws, at least 1.
        random_state: Seed of the draws.

    Returns:
        The mean over the draws, in rows times the unit of the columns. The standard error is over the draws of
        subsamples, with the rows of both sides held fixed: the standard deviation of the draws over √n_repeats, with
        `n_repeats` − 1 degrees of freedom (nan for a single draw).

    Raises:
        ValueError: If a side has fewer rows than `n_subsample`.

    Example:
        >>> import numpy as np
        >>> square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> emd(square, square + [5.0, 0.0], n_subsample=4)
        20 ± 0
    """
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
        a, b = (rows[rng.choice(len(rows), n_subsample, replace=False)] for rows in (A, B))
        cost = distance.cdist(a, b)
        totals[repeat] = cost[optimize.linear_sum_assignment(cost)].sum()
    error = totals.std(ddof=1) / math.sqrt(n_repeats) if n_repeats > 1 else math.nan
    return Estimate(totals.mean(), error, n_repeats - 1)


def spread(real: ArrayLike, generated: ArrayLike) -> Estimate:
    """Ratio of the total standard deviations of generated and real rows: √(tr Cov(generated) / tr Cov(real)).

    The ratio is 1 if generated rows are spread as widely as real ones, and below 1 if they bunch up, as guided rows do.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.

    Returns:
        The ratio. Its standard error is over the draw of both sides, by the delta method, as each trace is a mean of
        squared distances from the side's mean.

    Raises:
        ValueError: If the real rows are a single point.
    """
    sides = check_pair(real, generated)
    squares = [((side - side.mean(axis=0)) ** 2).sum(axis=1) for side in sides]
    traces = [float(s.mean()) for s in squares]
    if traces[0] == 0:
        raise ValueError("real has no spread: all its rows are equal")
    ratio = math.sqrt(traces[1] / traces[0])
    # Relative standard errors of the traces, which are twice those of their square roots.
    relative = [float(s.std(ddof=1)) / float(s.mean()) / math.sqrt(len(s)) for s in squares if s.any()]
    return Estimate(ratio, 0.5 * ratio * math.hypot(*relative))


def report_nll(real: ArrayLike, generated: ArrayLike, *, temperature: float | int = 0.1) -> Estimate:
    """Minus the log of the mean kernel between generated and real rows, for comparison with the published report.

    With S generated rows s and N real rows x in d columns, and τ the temperature,

        −log [ 1/(S N) Σ_s Σ_x (2πτ)^(−d/2) exp(−‖s − x‖² / (4τ)) ].

    This is not the likelihood of a model: it is the log of a mean rather than the mean of logs, and the kernel
    integrates to 2^(d/2). It can be *lower* for rows that bunch up where the data is dense than for the data itself, so
    the best value is the score of the data with itself. For the likelihood of a model, call its `score_samples`.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.
        temperature: τ, positive, in squared units of the columns.

    Returns:
        The score, at least (d/2) log(2πτ). The standard error is over the draw of `generated`, with the real rows held
        fixed (delta method).

    Raises:
        ValueError: If the temperature is not positive.

    Example:
        >>> import numpy as np
        >>> origin = np.zeros((2, 1))
        >>> report_nll(origin, origin + 1.0, temperature=0.5)  # 1 / (4 · 0.5) + log(2π · 0.5) / 2
        1.07236 ± 0
    """
    data, samples = check_pair(real, generated)
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature} but must be positive and finite")

    log_sums = np.full(len(samples), -np.inf)  # log Σ_x exp(−‖s − x‖² / (4τ)) of each sample s
    for rows, _, tile in tiles(samples, data, "sqeuclidean"):
        tile *= -0.25 / temperature
        top = tile.max(axis=1)
        tile -= top[:, None]
        np.exp(tile, out=tile)
        log_sums[rows] = np.logaddexp(log_sums[rows], top + np.log(tile.sum(axis=1)))

    top = log_sums.max()
    weights = np.exp(log_sums - top)
    mean = weights.mean()
    log_constant = -0.5 * data.shape[1] * math.log(2 * math.pi * temperature) - math.log(len(data))
    value = -(top + math.log(mean) + log_constant)
    error = weights.std(ddof=1) / (math.sqrt(len(samples)) * mean)
    return Estimate(value, error)
