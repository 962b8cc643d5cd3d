"""The table of metrics by name, for tables and studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from pointillist.metrics.c2st import two_sample_test
from pointillist.metrics.energy import energy_distance
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.nll import report_nll
from pointillist.metrics.transport import emd


@dataclass(frozen=True)
class Metric:
    """A metric and how to read it.

    Attributes:
        name: Its key in `METRICS`.
        title: Heading of its column in a table.
        function: The metric, called as `function(data, samples, **options)`.
        better: `lower`, or `floor` if the best value is that of the data with itself rather than the lowest.
        seeded: Whether `function` takes `random_state`.

    Example:
        >>> import numpy as np
        >>> line = np.linspace(0.0, 1.0, 300)[:, None]
        >>> METRICS["emd"](line, line + 2.0, random_state=1, n_subsample=300, n_repeats=2)
        600 ± 0
    """

    name: str
    title: str
    function: Callable[..., Estimate]
    better: Literal["lower", "floor"]
    seeded: bool

    def __call__(
        self,
        data: ArrayLike,
        samples: ArrayLike,
        *,
        random_state: int | np.random.Generator | None = 0,
        **options: Any,
    ) -> Estimate:
        """Score `samples`, shape `(m, d)`, against `data`, shape `(n, d)`.

        A metric that draws nothing ignores `random_state`; `options` go to the function.
        """
        if self.seeded:
            options["random_state"] = random_state
        return self.function(data, samples, **options)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("emd", "EMD", emd, better="lower", seeded=True),
        Metric("report_nll", "report NLL", report_nll, better="floor", seeded=False),
        Metric("energy_distance", "energy distance", energy_distance, better="lower", seeded=False),
        # Of the two classifiers the one that costs a table of many cells next to nothing.
        Metric("two_sample_test", "C2ST accuracy (15-NN)", partial(two_sample_test, classifier="knn"), "lower", True),
    )
}
"""The metrics that a study prints, by name."""
