"""Calibration: whether predicted distributions of a number fit the observed values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from rich.table import Table

from pointillist.evaluation.report import percent, rounded, text_table
from pointillist.metrics import Estimate, crps, interval_coverage, pit

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Levels of the central intervals whose coverage is measured."""

BINS = 10
"""Number of bins of the PIT histogram."""

POINTS = 99
"""Number of evenly spaced quantiles that represent the distribution of the column in the data."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """How well predicted distributions of a column fit its values.

    Attributes:
        target: Name of the column.
        n_rows: Number of values.
        crps: Mean continuous ranked probability score, in the unit of the column; lower is better.
        marginal_crps: The same with the distribution of the column in the data as the prediction for all rows.
        coverage: Fraction of the values in the central interval of each of `LEVELS`.
        pit: Fraction of the values in each tenth of their predicted distributions; all 0.1 if calibrated.
    """

    target: str
    n_rows: int
    crps: Estimate
    marginal_crps: Estimate
    coverage: tuple[Estimate, ...]
    pit: tuple[float, ...]

    def table(self) -> Table:
        """Make a table for the terminal."""
        rows = [("CRPS, best 0", rounded(self.crps), rounded(self.marginal_crps))]
        for level, covered in zip(LEVELS, self.coverage, strict=True):
            rows.append((f"in the central {percent(level)}", rounded(covered), f"{level:g}"))
        rows.append(("in each tenth of it", " ".join(f"{fraction:.2f}" for fraction in self.pit), f"{1 / BINS:g}"))
        title = f"{self.target} in {self.n_rows:,} held-out rows, predicted by the model"
        caption = (
            "Compare: for the CRPS, the score of the column's distribution in the data; otherwise, the values of "
            "calibrated distributions of numbers without ties. A hump in the tenths shows distributions that are too "
            "wide, a trough ones that are too narrow."
        )
        return text_table(title, ("measure", "model", "compare"), rows, caption)


def calibration(points: ArrayLike, values: ArrayLike, data: ArrayLike, *, target: str = "target") -> Calibration:
    """Measure predicted distributions of a number against the observed values.

    Args:
        points: Shape `(n, m)`: points of equal weight of each row's distribution, such as evenly spaced quantiles, at
            levels (i - 1/2) / m, or draws.
        values: Shape `(n,)`: the observed values.
        data: Values of the column in the data, whose distribution is the baseline.
        target: Name of the column.

    Raises:
        ValueError: In one line, if the shapes do not fit, or a number is not finite.

    Example:
        >>> import numpy as np
        >>> from scipy.stats import norm
        >>> x, noise = np.random.default_rng(0).normal(size=(2, 1000))
        >>> quantiles = x[:, None] + norm.ppf((np.arange(99) + 0.5) / 99)
        >>> found = calibration(quantiles, x + noise, x + noise)
        >>> bool(found.crps < found.marginal_crps)
        True
    """
    observed, points = np.asarray(values, np.float64), np.asarray(points, np.float64)
    score, fractions = crps(points, observed), pit(points, observed)
    covered = []
    for level in LEVELS:
        # Hazen's quantiles of the points, whose levels are (i - 1/2) / m.
        low, high = np.quantile(points, [(1 - level) / 2, (1 + level) / 2], axis=1, method="hazen")
        covered.append(interval_coverage(low, high, observed))
    known = np.asarray(data, np.float64)
    if known.ndim != 1 or not known.size or not np.isfinite(known).all():
        raise ValueError("data must hold finite numbers, one per row: drop or fill missing ones first")
    marginal = np.quantile(known, (np.arange(POINTS) + 0.5) / POINTS)
    return Calibration(
        target=target,
        n_rows=len(observed),
        crps=score,
        marginal_crps=crps(np.tile(marginal, (len(observed), 1)), observed),
        coverage=tuple(covered),
        pit=tuple((np.histogram(fractions, BINS, (0, 1))[0] / len(observed)).tolist()),
    )
