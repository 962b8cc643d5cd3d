"""The negative log-likelihood of the published report: a kernel score, kept for comparison with its tables."""

import math

import numpy as np
from numpy.typing import ArrayLike

from pointillist.metrics.checks import check_pair
from pointillist.metrics.distances import tiles
from pointillist.metrics.estimate import Estimate


def report_nll(real: ArrayLike, generated: ArrayLike, *, temperature: float | int = 0.1) -> Estimate:
    """Minus the log of the mean kernel between generated and real rows.

    With S generated rows s and N real rows x in d columns, and τ the temperature,

        −log [ 1/(S N) Σ_s Σ_x (2πτ)^(−d/2) exp(−‖s − x‖² / (4τ)) ].

    This is not the likelihood of a model: it is the log of a mean rather than the mean of logs, and the kernel
    integrates to 2^(d/2). It can be *lower* for rows that bunch up where the data is dense than for the data itself, so
    the best value is that of the data with itself. For the likelihood of a model, in nats, call its `score_samples`.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.
        temperature: τ, positive, in squared units of the columns.

    Returns:
        The score, at least (d/2) log(2πτ). The standard error is over the draw of `generated`, with the real rows held
        fixed (delta method).

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or the temperature is not positive.

    Example:
        >>> import numpy as np
        >>> origin = np.zeros((2, 1))
        >>> report_nll(origin, origin + 1.0, temperature=0.5)  # 1 / (4 · 0.5) + log(2π · 0.5) / 2
        1.07236 ± 0
    """
    data, samples = check_pair(real, generated)
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature is {temperature} but must be positive and finite")

    log_sums = np.full(len(samples), -np.inf)  # of each sample, log Σ_x exp(−‖s − x‖² / (4τ))
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
