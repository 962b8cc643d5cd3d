"""A section's table on the page: every number with its distance from the floor, the real-data baseline."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from pointillist.study.page.words import column_head, live_name, n_steps
from pointillist.study.result_tables import Line, table_lines
from pointillist.study.results import Results, Row
from pointillist.study.settings import Settings
from pointillist.study.spec import Section, short_name

BANDS = {"floor": "no test finds it worse than the floor", "near": "under 5", "off": "5 to 20", "far": "over 20"}
"""Classes of cells by their distance from the floor in standard errors, with the legend's text for them."""

_NEAR, _FAR = 5, 20

MOST_STEPS = {"dpm": 100, "heun": 50, "ddim": 1000, "ancestral": 1000}
"""The live stage's samplers, with the most steps of each."""


@dataclass(frozen=True)
class Table:
    """A section's table.

    Attributes:
        heads: Headings of the columns of numbers, the floor last.
        lines: Lines below the headings, the floor among their cells.
    """

    heads: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def metrics(self) -> list[str]:
        """Titles of the lines, in their order, without those of single classes."""
        return list(dict.fromkeys(line.title for line in self.lines if not line.is_of_class))

    @property
    def has_classes(self) -> bool:
        """Whether there are lines of single classes."""
        return any(line.is_of_class for line in self.lines)

    @property
    def has_reported(self) -> bool:
        """Whether numbers were reported elsewhere."""
        return any(cell.reported for line in self.lines for cell in line.cells)


def page_table(results: Results, section: Section, live: Mapping[str, str] | None = None) -> Table:
    """Makes the section's table; `live` has the models that the page holds, with each ancestral sampler's variance."""
    live = live or {}
    heads = (*(column_head(section, column) for column in section.columns), "floor")
    requests = {
        short_name(name): [_request(results, name, column.settings, live) for column in section.columns]
        for name in (section.datasets if live and section.kind != "classifier" else ())
    }
    lines = table_lines(results, section, by_class=True)
    return Table(heads, tuple(_line(line, requests.get(line.dataset, [""] * len(line.cells))) for line in lines))


def _request(results: Results, name: str, settings: Settings, live: Mapping[str, str]) -> str:
    """How the live stage draws a cell's rows; empty if it cannot, as with rows that a reward steers."""
    model, sampler = live_name(results.cells(name, settings)[0]), settings.sampler
    steps = n_steps(settings)
    if model not in live or settings.method not in ("plain", "guidance") or steps > MOST_STEPS.get(sampler, 0):
        return ""
    if sampler == "ancestral" and settings.variance != live[model]:
        return ""
    # What the stage's slider of w has no place for.
    if settings.method == "guidance" and not (settings.guidance <= 4 and (4 * settings.guidance).is_integer()):
        return ""
    asked = {"model": model, "sampler": sampler, "steps": steps, "play": 1}
    return urlencode(asked | ({"class": "all", "w": settings.guidance} if settings.method == "guidance" else {}))


def _line(line: Line, requests: list[str]) -> Line:
    """Adds to each cell its distance from the floor, and how the live stage draws its rows."""
    cells = []
    for i, (cell, request) in enumerate(zip(line.cells, requests, strict=True)):
        band, distance = ("", "") if line.row is None else standing(line.row, i)
        cells.append(replace(cell, band=band, distance=distance, live=request))
    return replace(line, cells=(*cells, line.floor))


def standing(row: Row, i: int) -> tuple[str, str]:
    """A column's distance from its floor, as one of `BANDS` and in words; both empty if either is unknown."""
    summary, floor, excess = row.summaries[i], row.floors[i], row.excess(i)
    if summary is None or floor is None or excess is None:
        return "", ""
    side = "above" if summary.value > floor.value else "below"
    distance = f"{abs(excess):.1f} standard errors {side} the floor"
    if row.reaches_floor[i]:
        return "floor", f"{distance}: {BANDS['floor']}"
    return "near" if excess < _NEAR else "off" if excess <= _FAR else "far", distance
