"""Spread of rows relative to the data."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from pointillist.metrics.checks import check_pair
from pointillist.metrics.estimate import Estimate


def spread(data: ArrayLike, samples: ArrayLike) -> Estimate:
    """Total standard deviation of samples over that of data: √(tr Cov(samples) / tr Cov(data)).

    The ratio is 1 if samples are spread as widely as the data, and below 1 if they bunch up, as guided rows do.

    Args:
        data: Shape `(n, d)`.
        samples: Shape `(m, d)`.

    Returns:
        The ratio. Its standard error is over the draw of both sides, by the delta method, as each trace is a mean of
        squared distances from the side's mean.

    Raises:
        ValueError: If a side is not a finite `(n, d)` array, the columns differ, or the data is a single point.

    Example:
        >>> import numpy as np
        >>> rows = np.random.default_rng(0).normal(size=(1000, 2))
        >>> spread(rows, 0.5 * rows)
        0.5000 ± 0.0111
    """
    data, samples = check_pair(data, samples, ("data", "samples"))
    squares = [((side - side.mean(axis=0)) ** 2).sum(axis=1) for side in (data, samples)]
    traces = [float(s.mean()) for s in squares]
    if traces[0] == 0:
        raise ValueError("data has no spread: all its rows are equal")
    ratio = math.sqrt(traces[1] / traces[0])
    # Of the logarithm of a trace; half of it is that of the logarithm of its root.
    relative = [
        float(s.std(ddof=1)) / trace / math.sqrt(len(s)) for s, trace in zip(squares, traces, strict=True) if trace
    ]
    return Estimate(ratio, 0.5 * ratio * math.hypot(*relative))
