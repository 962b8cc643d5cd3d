"""The floor of a metric: its value between two samples of the same data, a real-data baseline."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pointillist.metrics.checks import Seed, check_rows
from pointillist.metrics.registry import METRICS, Metric


@dataclass(frozen=True)
class Floor:
    """The floor of a metric: its value between random halves of one data set.

    Attributes:
        value: Mean over the repeats, in the metric's unit.
        spread: Standard deviation of *one* evaluation over the repeats: a model's score within
            about two of these of `value` cannot be distinguished from a perfect one.
        n_repeats: Number of evaluations.
    """

    value: float
    spread: float
    n_repeats: int

    @property
    def standard_error(self) -> float:
        """Standard error of `value` over the splits, with the data held fixed."""
        return self.spread / math.sqrt(self.n_repeats)


def floor(
    metric: str | Callable[..., float],
    data: ArrayLike,
    *,
    n_repeats: int = 20,
    n_rows: int | None = None,
    random_state: Seed = 0,
    **options: Any,
) -> Floor:
    """Evaluate a metric between disjoint random halves of the data, repeatedly, as a real-data baseline.

    Args:
        metric: A name in `METRICS`, a `Metric`, or a callable `(real, generated, **options) -> float`.
        data: Shape `(n, d)`, n at least 4.
        n_repeats: Number of splits, each evaluated once; at least 2.
        n_rows: Most rows per side; None for n // 2. Most floors, or at least their spread, depend on the number of
            rows: use the number that the scores beside it were measured with.
        random_state: Seed of the splits, and of a seeded metric in `METRICS`.
        **options: Options of the metric. One that shares its name with an argument above, as `n_repeats` of
            `emd` does, needs a callable that sets it: `functools.partial(emd, n_repeats=1)`.

    Raises:
        ValueError: If the metric's name is unknown, the data cannot be used, or a number is too small.

    Example:
        >>> import numpy as np
        >>> data = np.random.default_rng(0).normal(size=(1000, 2))
        >>> at_best = floor("energy_distance", data, n_rows=200)
        >>> abs(at_best.value) < 3 * at_best.standard_error
        True
    """
    data = check_rows(data, "data", min_rows=4)
    if n_repeats < 2:
        raise ValueError(f"n_repeats is {n_repeats} but a spread needs at least 2")
    if n_rows is not None and n_rows < 2:
        raise ValueError(f"n_rows is {n_rows} but a metric needs at least 2 rows per side")
    if isinstance(metric, str):
        if metric not in METRICS:
            raise ValueError(f"metric={metric!r} is unknown: use one of {', '.join(METRICS)} or a callable")
        metric = METRICS[metric]

    rng = np.random.default_rng(random_state)
    size = len(data) // 2 if n_rows is None else min(len(data) // 2, n_rows)
    values = np.empty(n_repeats)
    for repeat in range(n_repeats):
        order = rng.permutation(len(data))
        if isinstance(metric, Metric):
            options["random_state"] = rng
        values[repeat] = metric(data[order[:size]], data[order[size : 2 * size]], **options)
    return Floor(float(values.mean()), float(values.std(ddof=1)), n_repeats)
