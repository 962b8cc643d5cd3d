"""Spread of rows relative to the data."""

import math

from numpy.typing import ArrayLike

from pointillist.metrics.checks import check_pair
from pointillist.metrics.estimate import Estimate


def spread(real: ArrayLike, generated: ArrayLike) -> Estimate:
    """Total standard deviation of generated over that of real rows: √(tr Cov(generated) / tr Cov(real)).

    The ratio is 1 if generated rows are spread as widely as real ones, and below 1 if they bunch up, as guided rows do.

    Args:
        real: Shape `(n, d)`.
        generated: Shape `(m, d)`.

    Returns:
        The ratio. Its standard error is over the draw of both sides, by the delta method, as each trace is a mean of
        squared distances from the side's mean.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or the real rows are a single point.

    Example:
        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(1000, 2))
        >>> spread(rows, 0.5 * rows)
        0.5000 ± 0.0111
    """
    data, samples = check_pair(real, generated)
    squares = [((side - side.mean(axis=0)) ** 2).sum(axis=1) for side in (data, samples)]
    traces = [float(s.mean()) for s in squares]
    if traces[0] == 0:
        raise ValueError("real has no spread: all its rows are equal")
    ratio = math.sqrt(traces[1] / traces[0])
    # Of the logarithm of a trace; half of it is that of the logarithm of its root.
    relative = [
        float(s.std(ddof=1)) / trace / math.sqrt(len(s)) for s, trace in zip(squares, traces, strict=True) if trace
    ]
    return Estimate(ratio, 0.5 * ratio * math.hypot(*relative))
