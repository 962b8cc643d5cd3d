"""Comparison of measured cells with the numbers reported for them: one z-score a cell."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from pointillist.study.comparisons import Summary
from pointillist.study.reference import ReferenceValue
from pointillist.study.results import Results
from pointillist.study.spec import Section

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
    """

    section: str
    metric: str
    measured: Summary
    reported: ReferenceValue

    @property
    def standard_error(self) -> float:
        """Standard error of the difference: that of the mean over seeds, of one run more, and of rounding.

        A reported number is taken for one run of the same study, so that its error is that of one seed.
        """
        of_runs = self.measured.of_one_seed * np.sqrt(1 + 1 / self.measured.n_seeds)
        return float(np.hypot(of_runs, self.reported.rounding_error))

    @property
    def z(self) -> float:
        """Measured minus reported, in standard errors; NaN if the model diverged."""
        return (self.measured.value - self.reported.value) / self.standard_error

    @property
    def agrees(self) -> bool:
        """Whether the two differ by less than `LIMIT` standard errors."""
        return abs(self.z) < LIMIT


@dataclass(frozen=True)
class Agreement:
    """Number of cells of a section and metric that agree with the reported ones.

    Attributes:
        section: Name of the section.
        metric: Title of the metric.
        agreeing: Number of cells that agree.
        compared: Number of cells that are measured and reported.
    """

    section: str
    metric: str
    agreeing: int
    compared: int


def comparisons(results: Results, section: Section | None = None) -> list[Comparison]:
    """Compares the cells of one section, or of all, in the order of the tables."""
    sections = results.spec.sections if section is None else (section,)
    return [each for one in sections for each in _of_section(results, one)]


def _of_section(results: Results, section: Section) -> Iterator[Comparison]:
    for row in results.rows(section):
        for measured, reported in zip(row.summaries, row.references, strict=True):
            if measured is not None and reported is not None:
                yield Comparison(section.name, row.title, measured, reported)


def agreements(compared: list[Comparison]) -> list[Agreement]:
    """Counts the cells that agree by section and metric."""
    by_place = sorted(compared, key=_place)
    found = {place: [each.agrees for each in cells] for place, cells in groupby(by_place, key=_place)}
    return [Agreement(*place, sum(found[place]), len(found[place])) for place in dict.fromkeys(map(_place, compared))]


def _place(comparison: Comparison) -> tuple[str, str]:
    return comparison.section, comparison.metric
