"""The whole study in one small table: the best settings of every section and set."""

from dataclasses import dataclass

from pointillist.study.page.conclusions import leader, present
from pointillist.study.page.table import BANDS, standing
from pointillist.study.page.words import settings, view_name
from pointillist.study.quantities import QUANTITIES
from pointillist.study.result_tables import value_text
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name

_MOST_NAMED = 4


@dataclass(frozen=True)
class GlanceCell:
    """The best of one section and set.

    Attributes:
        best: The settings that no test distinguishes from the best one, or that they are not ranked; empty if nothing
            is finished.
        value: The best one's number, or the range of theirs.
        band: Distance from the floor (the real-data baseline) of the one with the best number, by the metric by which
            it stands worst; one of `table.BANDS`.
        distance: The same in words.
    """

    best: str = ""
    value: str = ""
    band: str = ""
    distance: str = ""


@dataclass(frozen=True)
class Glance:
    """A table of the best settings.

    Attributes:
        heads: For each section: view, name and the metric that decides.
        lines: For each set, one cell per section; None where the section does not have the set.
    """

    heads: tuple[tuple[str, str, str], ...]
    lines: dict[str, list[GlanceCell | None]]


def glance(results: Results) -> Glance:
    """Finds the best settings by the first metric of each section."""
    heads, columns = [], []
    for section in results.spec.sections:
        metric = next(iter(QUANTITIES[section.kind].values()))
        heads.append((view_name(section), section.name, metric.title))
        rows = results.rows(section)
        columns.append(
            {
                row.dataset: _cell(section, row, [other for other in rows if other.dataset == row.dataset])
                for row in rows
                if row.metric == metric.name
            }
        )
    sets = map(short_name, results.fingerprints)
    return Glance(tuple(heads), {name: [column.get(name) for column in columns] for name in sets})


def _cell(section: Section, row: Row, of_set: list[Row]) -> GlanceCell:
    if not present(row):
        return GlanceCell("diverged" if any(summary is not None for summary in row.summaries) else "")
    if not row.is_ranked:
        return GlanceCell("not ranked")
    best = [i for i, is_best in enumerate(row.is_best) if is_best]
    text = settings(section, best, brief=len(section.columns) - len(best) > _MOST_NAMED)
    low, high = (value_text(row, i) for i in (min(best, key=row.value), max(best, key=row.value)))
    if len(best) > 1:
        low, high = (each.partition(" ± ")[0] for each in (low, high))
    value, first = f"{low} to {high}" if low != high else low, leader(row)
    standings = [(other, *standing(other, first)) for other in of_set]
    known = [(other, band, distance) for other, band, distance in standings if band]
    if not known:
        return GlanceCell(text, value)
    # Of all metrics the one by which the setting stands worst.
    worst, band, distance = max(known, key=lambda each: ([*BANDS].index(each[1]), each[0].excess(first) or 0.0))
    return GlanceCell(text, value, band, f"{worst.title}: {distance}")
