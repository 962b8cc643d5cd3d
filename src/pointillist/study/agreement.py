"""Comparison of measured cells with the numbers reported for them: one z-score a cell."""

from dataclasses import dataclass

import numpy as np

from pointillist.study.comparisons import Summary
from pointillist.study.reference import ReferenceValue
from pointillist.study.results import Results

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
        errors = [s.of_one_seed for s in row.summaries if s is not None and np.isfinite(s.of_one_seed)]
        pooled = float(np.sqrt(np.mean(np.square(errors)))) if errors else np.nan
        for measured, reported in zip(row.summaries, row.references, strict=True):
            if measured is not None and reported is not None:
                found.append(Comparison(section.name, row.title, measured, reported, pooled))
    return found


def agreements(compared: list[Comparison]) -> dict[tuple[str, str], str]:
    """Says for each section and metric how many cells agree, of those that are measured and reported."""
    found: dict[tuple[str, str], list[bool]] = {}
    for each in compared:
        found.setdefault((each.section, each.metric), []).append(each.agrees)
    return {of: f"{sum(agree)} of {len(agree)}" for of, agree in found.items()}
