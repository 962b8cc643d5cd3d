"""The page's content: the text for its template, and the JSON that its scripts draw from."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pointillist.page.parts import as_json
from pointillist.study.page.charts import chart, losses
from pointillist.study.page.conclusions import Statement, conclude
from pointillist.study.page.finding import Finding, finding
from pointillist.study.page.glance import Glance, glance
from pointillist.study.page.rows import draw_keys, pictures
from pointillist.study.page.table import Table, page_table
from pointillist.study.page.views import view_name
from pointillist.study.page.words import count
from pointillist.study.result_tables import agreement_lines, csv_text, notes
from pointillist.study.results import Results
from pointillist.study.spec import Section, short_name


@dataclass(frozen=True)
class SectionContent:
    """One section as the template needs it.

    Attributes:
        view: Its name in the URL's fragment.
        name: Its name in the spec.
        title: Its heading.
        detail: A line below the heading.
        statements: The conclusions, the main one first.
        table: Its table.
        notes: Notes on how to read the table.
        datasets: Short names of the sets.
        settings: Headings of its columns.
        metrics: Names and titles of the metrics that a chart can show.
        has_unranked: Whether numbers of some set cannot be compared with one another.
        has_rows: Whether rows can be drawn.
        has_losses: Whether training losses can be drawn.
        is_of_classes: Whether rows have their class's colour.
    """

    view: str
    name: str
    title: str
    detail: str
    statements: list[Statement]
    table: Table
    notes: list[str]
    datasets: list[str]
    settings: list[str]
    metrics: list[list[str]]
    has_unranked: bool
    has_rows: bool
    has_losses: bool
    is_of_classes: bool


@dataclass(frozen=True)
class Content:
    """The part of the page that shows results.

    Attributes:
        title: The study's title.
        summary: Two or three lines.
        terms: What stands for what: names of metrics and other words, with their definitions.
        glance: The best setting of every section and set.
        finding: One finding for the top of the page; None if there is none.
        agreement: How many cells agree with numbers reported elsewhere; empty if there are none.
        sections: Its sections.
        data: JSON for a script element.
        draws: JSON of the rows that it shows, for another.
    """

    title: str
    summary: list[str]
    terms: dict[str, str]
    glance: Glance
    finding: Finding | None
    agreement: str
    sections: list[SectionContent]
    data: Markup
    draws: Markup


def page_content(results: Results, live: Mapping[str, str] | None = None) -> Content:
    """Makes everything that the page says about a study; `live` are its models, as `page_table` takes them."""
    rows = pictures(results)
    of_sections = [_section_data(results, section) for section in results.spec.sections]
    data = {"study": results.spec.name, "sets": rows.sets, "sections": of_sections}
    sections = [_section(results, *pair, live) for pair in zip(results.spec.sections, of_sections, strict=True)]
    return Content(
        results.spec.title,
        _summary(results),
        _terms(results),
        glance(results),
        finding(results),
        _agreement(results),
        sections,
        as_json(data),
        as_json(rows.draws),
    )


def _section_data(results: Results, section: Section) -> dict[str, Any]:
    # A time in the header would make two pages of one store differ.
    packed = gzip.compress(csv_text(results, [section]).encode(), mtime=0)
    return {
        "view": view_name(section),
        "name": section.name,
        "title": section.title,
        "kind": section.kind,
        "csv": base64.b64encode(packed).decode(),
        "chart": chart(results, section),
        "losses": losses(results, section),
        "draws": {
            short_name(name): draw_keys(results, section, name)
            for name in (section.datasets if section.kind != "classifier" else ())
        },
    }


def _section(
    results: Results, section: Section, data: dict[str, Any], live: Mapping[str, str] | None
) -> SectionContent:
    return SectionContent(
        data["view"],
        section.name,
        section.title,
        _detail(results, section),
        conclude(results, section),
        page_table(results, section, live),
        notes(results, section),
        [short_name(name) for name in section.datasets],
        data["chart"]["heads"],
        data["chart"]["metrics"],
        not all(row["isRanked"] for row in data["chart"]["rows"]),
        bool(data["draws"]),
        data["losses"] is not None,
        section.kind == "classes",
    )


def _detail(results: Results, section: Section) -> str:
    sizes = count(len(section.datasets), "data set"), count(len(section.columns), "setting")
    return f"{' × '.join(sizes)} × {count(results.spec.seeds, 'seed')}"


def _summary(results: Results) -> list[str]:
    finished, missing = results.finished_and_missing()
    done = (
        f"all {count(finished, 'run')} finished"
        if not missing
        else f"{finished:,} of {finished + missing:,} runs finished"
    )
    if results.covers_training:
        errors = f"Errors are standard errors over {results.seeds}: they cover training and the drawing of rows"
    else:
        errors = (
            f"Errors are standard errors of the drawing of rows alone, with {results.seeds} per setting: two settings "
            "may differ by no more than two trainings of one setting do"
        )
    what = (
        "A run is one data set, setting and seed; a cell of a table is one data set and setting, averaged over seeds."
    )
    lines = [f"{count(len(results.fingerprints), 'data set')}, {done}. {what} {errors}.", _origin(results)]
    return [line for line in lines if line]


def _agreement(results: Results) -> str:
    first, *parts = agreement_lines(results) or [""]
    return f"{first} {'; '.join(parts)}." if parts else ""


_TERMS = {
    "EMD": (
        ("rows", "classes"),
        "the earth mover's distance, the cost of moving generated rows onto as many real ones; between rows of the "
        "data itself it is not 0",
    ),
    "accuracy": (
        ("classes",),
        "the share of generated rows that a classifier of the data puts into the class they were drawn for",
    ),
    "held-out accuracy": (
        ("classifier",),
        "the share of fresh rows of the data that a classifier puts into their class",
    ),
    "two-sample test (C2ST)": (
        ("rows",),
        "a classifier, here the 15 nearest neighbors, that is to distinguish generated rows from real ones; accuracy "
        "0.5 means that it cannot",
    ),
    "floor": (
        ("rows", "classes", "classifier"),
        "the real-data baseline: the same metric between two halves of the data, or of the best possible classifier",
    ),
}


def _terms(results: Results) -> dict[str, str]:
    """Defines the words of the table of best settings that the study uses."""
    kinds = {section.kind for section in results.spec.sections}
    return {term: text for term, (of, text) in _TERMS.items() if not kinds.isdisjoint(of)}


def _origin(results: Results) -> str:
    machine, versions = results.origin("machine"), results.origin("versions")
    made_by = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = (count(v, name.removesuffix("s")) if isinstance(v, int) else str(v) for name, v in machine.items())
    made_on = ", ".join(parts)
    return ". ".join(part for part in (made_by and f"Made by {made_by}", made_on and f"Machine: {made_on}") if part)
