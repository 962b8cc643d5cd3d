"""The page's tables: a section's numbers with their distances from the baseline, and the best settings by section."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlencode

from pointillist.study.page.conclusions import live_name, n_steps, settings, view_name
from pointillist.study.quantities import QUANTITIES
from pointillist.study.result_tables import Line, table_lines
from pointillist.study.results import BANDS, Results
from pointillist.study.settings import Settings
from pointillist.study.spec import Section, short_name

MOST_STEPS = {"dpm": 100, "heun": 50, "ddim": 1000, "ancestral": 1000}
"""The page's samplers, with the most steps of each."""

LEAST_EVALUATIONS = 3

_MOST_NAMED = 4


def page_table(results: Results, section: Section, live: Mapping[str, str] = MappingProxyType({})) -> list[Line]:
    """Makes the lines of a section's table; `live` has the page's models, with each ancestral sampler's variance."""
    requests = {
        short_name(name): [_request(results, name, column.settings, live) for column in section.columns]
        for name in section.drawn
    }
    lines = []
    for line in table_lines(results, section, by_class=True):
        asked = [*requests.get(line.dataset, [""] * len(section.columns)), ""]
        cells = tuple(cell._replace(live=request) for cell, request in zip(line.cells, asked, strict=True))
        lines.append(line._replace(cells=cells))
    return lines


def _request(results: Results, name: str, settings: Settings, live: Mapping[str, str]) -> str:
    """Returns the request of a link to draw a cell's rows; empty if it cannot, as with rewards."""
    model, sampler = live_name(results.cells(name, settings)[0]), settings.sampler
    steps = n_steps(settings)
    evaluations = 2 * steps - 1 if sampler == "heun" else steps
    can_draw = (
        model in live
        and settings.method in ("plain", "guidance")
        and evaluations >= LEAST_EVALUATIONS
        and steps <= MOST_STEPS.get(sampler, 0)
        and (sampler != "ancestral" or settings.variance == live[model])
        # The page's slider of w goes from 0 to 4 in quarters.
        and settings.guidance <= 4
        and (4 * settings.guidance).is_integer()
    )
    asked = {"evaluations": evaluations, "left": f"{model},{sampler},{settings.guidance:g}"}
    return urlencode(asked, safe=",") if can_draw else ""


class GlanceCell(NamedTuple):
    """The settings that no test distinguishes from the best one, with their number or its range; empty if none is done.

    `band` is the best setting's distance from the baseline by its worst metric, as one of `BANDS`; `distance` in words.
    """

    best: str = ""
    value: str = ""
    band: str = ""
    distance: str = ""


def glance(results: Results) -> tuple[list[tuple[str, str, str]], dict[str, list[GlanceCell | None]]]:
    """Finds the best settings by the first metric of each section.

    Returns view, name and metric of each section, and by data set a cell for each section; None if it lacks the set.
    """
    sections = results.spec.sections
    heads = [(view_name(each), each.name, next(iter(QUANTITIES[each.kind].values())).title) for each in sections]
    names = map(short_name, results.fingerprints)
    return heads, {name: [_glance_cell(results, section, name) for section in sections] for name in names}


def _glance_cell(results: Results, section: Section, name: str) -> GlanceCell | None:
    # The first row of a set is of the section's first metric.
    rows = [row for row in results.rows(section) if row.dataset == name]
    if not rows:
        return None
    row = rows[0]
    if not row.present:
        return GlanceCell("diverged" if any(cell.is_diverged for cell in row.cells) else "")
    if not row.is_ranked:
        return GlanceCell("not ranked")
    best = [i for i, cell in enumerate(row.cells) if cell.is_best]
    text = settings(section, best, brief=len(section.columns) - len(best) > _MOST_NAMED)
    low, high = (row.entries[choose(best, key=lambda i: row.cells[i].value)].measured for choose in (min, max))
    if len(best) > 1:
        low, high = (each.partition(" ± ")[0] for each in (low, high))
    value = f"{low} to {high}" if low != high else low
    bands = [*BANDS]
    # By the metric by which the setting is worst.
    leaders = [(other.title, other.cells[row.leader]) for other in rows if other.cells[row.leader].band[0]]
    if not leaders:
        return GlanceCell(text, value)
    title, worst = max(leaders, key=lambda each: (bands.index(each[1].band[0]), each[1].excess or 0.0))
    band, distance = worst.band
    return GlanceCell(text, value, band, f"{title}: {distance}")
