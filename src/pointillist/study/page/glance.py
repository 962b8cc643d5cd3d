"""The whole study in one small table: the best settings of every section and set."""

from dataclasses import dataclass

from pointillist.study.page.conclusions import leader, present
from pointillist.study.page.table import standing
from pointillist.study.page.views import view_name
from pointillist.study.page.words import settings
from pointillist.study.quantities import QUANTITIES
from pointillist.study.results import Results, Row
from pointillist.study.spec import Section, short_name
from pointillist.study.tables import value_text

_MOST_NAMED = 3


@dataclass(frozen=True)
class GlanceCell:
    """The best of one section and set.

    Attributes:
        best: The settings that no test distinguishes from the best one; empty if nothing is finished.
        value: The best one's number.
        band: Its distance from the floor (the real-data baseline), one of `table.BANDS`.
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
        rows = (row for row in results.rows(section) if row.metric == metric.name)
        columns.append({row.dataset: _cell(section, row) for row in rows})
    sets = map(short_name, results.fingerprints)
    return Glance(tuple(heads), {name: [column.get(name) for column in columns] for name in sets})


def _cell(section: Section, row: Row) -> GlanceCell:
    if not present(row):
        return GlanceCell()
    first = leader(row)
    best = [i for i, is_best in enumerate(row.is_best) if is_best]
    if len(best) <= _MOST_NAMED:
        text = settings(section, best)
    else:
        text = f"{settings(section, [first])}, tied with {len(best) - 1} others"
    return GlanceCell(text, value_text(row, first), *standing(row, first))
