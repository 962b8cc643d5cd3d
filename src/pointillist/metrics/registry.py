"""The registries of measures, `METRICS` for studies and `MEASURES` for `evaluate`, and the baselines of metrics."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from pointillist.metrics.array_scores import emd, report_nll
from pointillist.metrics.checks import Seed, Table, check_rows
from pointillist.metrics.classifiers import boosted_two_sample, two_sample_test
from pointillist.metrics.energy import energy_distance
from pointillist.metrics.estimate import Estimate
from pointillist.metrics.manifolds import manifold_scores
from pointillist.metrics.mixed import column_shapes, mean_score, pair_trends


@dataclass(frozen=True)
class Metric:
    """A metric and how to read it.

    Attributes:
        name: Its key in `METRICS`.
        title: Heading of its column in a table.
        function: The metric, called as `function(real, generated, **options)`.
        better: `lower`, or `baseline` if the best value is the score of the data with itself rather than the lowest.
        seeded: Whether `function` takes `random_state`.
    """

    name: str
    title: str
    function: Callable[..., Estimate]
    better: Literal["lower", "baseline"]
    seeded: bool

    def __call__(self, real: ArrayLike, generated: ArrayLike, *, random_state: Seed = 0, **options: Any) -> Estimate:
        """Score `generated`, shape `(m, d)`, against `real`, shape `(n, d)`; metrics without draws ignore the seed."""
        seed = {"random_state": random_state} if self.seeded else {}
        return self.function(real, generated, **options, **seed)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("emd", "EMD", emd, better="lower", seeded=True),
        Metric("report_nll", "report NLL", report_nll, better="baseline", seeded=False),
        Metric("energy_distance", "energy distance", energy_distance, better="lower", seeded=False),
        # Nearest neighbors cost a table of many cells next to nothing.
        Metric("two_sample_test", "C2ST accuracy (15-NN)", partial(two_sample_test, classifier="knn"), "lower", True),
    )
}
"""The metrics that a study prints, by name."""


@dataclass(frozen=True)
class Baseline:
    """The baseline of a metric: its value between random halves of one data set.

    Attributes:
        value: Mean over the repeats, in the metric's unit.
        spread: Standard deviation of *one* evaluation over the repeats. A model's score less than about two standard
            deviations from `value` cannot be distinguished from a perfect one.
        n_repeats: Number of evaluations.
    """

    value: float
    spread: float
    n_repeats: int

    @property
    def standard_error(self) -> float:
        """Standard error of `value` over the splits, with the data held fixed."""
        return self.spread / math.sqrt(self.n_repeats)


def baseline(
    metric: str | Callable[..., float],
    data: ArrayLike,
    *,
    n_repeats: int = 20,
    n_rows: int | None = None,
    random_state: Seed = 0,
    **options: Any,
) -> Baseline:
    """Evaluate a metric between disjoint random halves of the data, repeatedly, as a real-data baseline.

    Args:
        metric: A name in `METRICS`, a `Metric`, or a callable `(real, generated, **options) -> float`.
        data: Shape `(n, d)`, n at least 4.
        n_repeats: Number of splits, each evaluated once; at least 2.
        n_rows: Most rows per side; None for n // 2. Most baselines, or at least their spread, depend on the number of
            rows: use the number of rows of the scores that you compare with the baseline.
        random_state: Seed of the splits, and of a seeded metric in `METRICS`.
        **options: Options of the metric. An option with the name of an argument above, such as `n_repeats` of `emd`,
            needs a callable that sets it: `functools.partial(emd, n_repeats=1)`.

    Raises:
        ValueError: If the metric's name is unknown, the data cannot be used, or a number is too small.

    Example:
        >>> import numpy as np
        >>> data = np.random.default_rng(0).normal(size=(1000, 2))
        >>> at_best = baseline("energy_distance", data, n_rows=200)
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
    return Baseline(float(values.mean()), float(values.std(ddof=1)), n_repeats)


MANIFOLD_ROWS, NEIGHBORS = 2000, 5
"""Most rows per side, and number of neighbors, of manifold scores."""

TWO_SAMPLE_ROWS, TWO_SAMPLE_CELLS = 16_000, 256_000
"""Most rows per side, and most cells, of the boosted trees: both take seconds."""


@dataclass(frozen=True)
class Measure:
    """A measure of tables of any columns, and its lines in a report.

    Attributes:
        function: The measure, called as `function(real, generated, size, random_state)` with tables; `size` is the
            number of rows per side if it compares subsamples.
        lines: Titles and numbers of its lines in a report, from its result.
        test: Name of its test, if its result has a `p_value`; empty if it tests nothing.
        detail: What a verdict adds to the name of the test, from the result.
    """

    function: Callable[[Table, Table, int, int], Any]
    lines: Callable[[Any], list[tuple[str, float]]]
    test: str = ""
    detail: Callable[[Any], str] = lambda found: ""


def _boosted_two_sample(real: Table, generated: Table, size: int, random_state: int) -> Any:
    seen = min(size, TWO_SAMPLE_ROWS, max(MANIFOLD_ROWS, TWO_SAMPLE_CELLS // len(real)))
    return boosted_two_sample(real, generated, max_rows=seen, random_state=random_state)


def _manifold_scores(real: Table, generated: Table, size: int, random_state: int) -> Any:
    k, most = min(NEIGHBORS, size - 1), min(size, MANIFOLD_ROWS)
    return manifold_scores(real, generated, k=k, max_rows=most, random_state=random_state)


MEASURES: dict[str, Measure] = {
    "two_sample": Measure(
        _boosted_two_sample,
        lambda found: [
            (f"boosted trees, AUC, {found.n_rows:,} rows per side", found.auc),
            ("  as a score, best 1", found.score),
        ],
        test="boosted trees",
        detail=lambda found: f" (AUC {found.auc:.2f})",
    ),
    "trends": Measure(
        lambda real, generated, *_: pair_trends(real, generated), lambda found: [("pair trends, best 1", found.mean)]
    ),
    "common_trends": Measure(
        lambda real, generated, *_: pair_trends(real, generated, bins="data"),
        lambda found: [("  in bins of the data", found.mean), ("  of related pairs", found.related_mean)],
    ),
    "manifold": Measure(
        _manifold_scores,
        lambda found: [(f"precision, {found.n_rows:,} rows per side", found.precision), ("coverage", found.coverage)],
    ),
    "shapes": Measure(
        lambda real, generated, *_: column_shapes(real, generated),
        lambda found: [("column shapes, best 1", mean_score(found))],
    ),
}
"""The measures that `evaluate` reports for generated rows, and as baselines for real rows and independent columns."""
