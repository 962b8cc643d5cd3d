"""Comparison of measured cells with the numbers reported for them: one z-score a cell."""

from dataclasses import dataclass

import numpy as np

from pointillist.study.comparisons import Summary
from pointillist.study.results import Results
from pointillist.study.spec import ReferenceValue

LIMIT = 3.0
"""Largest z-score, in absolute value, of a cell that agrees."""


@dataclass(frozen=True)
class Comparison:
    """A measured cell beside the number reported for it.

    Attributes:
        section: Name of the section.
        metric: Title of the metric.
        measured: The measured cell.
        reported: The reported number, with its data set and column.
        pooled: Standard error of one seed, as root mean square over all settings of the same set and metric: the spread
            of three seeds alone is off by a factor of two or more in a quarter of cases.
    """

    section: str
    metric: str
    measured: Summary
    reported: ReferenceValue
    pooled: float

    @property
    def z(self) -> float:
        """Measured minus reported, in standard errors; NaN if the model diverged.

        The standard error is that of the mean over seeds, of one run more, and of rounding: a reported number is taken
        for one run of the same study, so that its error is that of one seed.
        """
        return self._z(self.measured.of_one_seed)

    @property
    def pooled_z(self) -> float:
        """The same with the pooled error of one seed."""
        return self._z(self.pooled)

    def _z(self, of_one_seed: float) -> float:
        of_runs = of_one_seed * np.sqrt(1 + 1 / self.measured.n_seeds)
        error = float(np.hypot(of_runs, self.reported.rounding_error))
        return (self.measured.value - self.reported.value) / error

    @property
    def agrees(self) -> bool:
        """Whether the two differ by less than `LIMIT` standard errors."""
        return abs(self.z) < LIMIT


def comparisons(results: Results) -> list[Comparison]:
    """Compares the cells of all sections, in the order of the tables."""
    found = []
    for section, row in ((each, row) for each in results.spec.sections for row in results.rows(each)):
        errors = [cell.summary.of_one_seed for cell in row.cells if cell.summary is not None]
        known = np.square([error for error in errors if np.isfinite(error)])
        pooled = float(np.sqrt(known.mean())) if len(known) else np.nan
        for cell in row.cells:
            if cell.summary is not None and cell.reference is not None:
                found.append(Comparison(section.name, row.title, cell.summary, cell.reference, pooled))
    return found
