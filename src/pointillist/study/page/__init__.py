"""A study as two pages, which open from a disk without a server or a network.

`index.html` explains and sums up, and `results.html` holds everything that the study measured.
"""

import base64
import gzip
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pointillist.atomic_files import write_whole
from pointillist.page import COLUMNS, table_worker
from pointillist.page.parts import ENGINE, SECURITY, as_json, code, environment, kernel, text_of, worker
from pointillist.study.page.charts import chart, draw_keys, pictures
from pointillist.study.page.conclusions import caution, conclude, count, results_line, sum_up, view_name
from pointillist.study.page.live import live_content, training_schedule
from pointillist.study.page.tables import glance, page_table
from pointillist.study.result_tables import agreement_lines, csv_text, notes
from pointillist.study.results import BANDS, Results
from pointillist.study.spec import Section, short_name

DESCRIPTION = "See how diffusion models turn noise into data, and train one in your browser. With results of a study."
"""What previews of a link to the page say."""

WEIGHTS = "weights", "scales", "rest"
"""What the page reads of a model when it is first used: these texts are most of the page."""

SHARED = ("elements.js", "engine/weights.js")
"""Scripts of all pages, which these run first."""

LIVE_SHARED = (
    *("csv.js", "engine/workers.js", "columns/mathematics.js", "columns/formats.js"),
    *("columns/column.js", "columns/grids.js"),
    *COLUMNS,
)
"""Further ones, if models are in the page."""

SCRIPTS = ("fragment.js", "page.js", "chart.js")
"""Scripts of `assets`, in the order in which both pages run them."""

RESULT_SCRIPTS = ("tables.js", "charts.js", "rows.js")
"""Further scripts of `results.html`."""

WORKER = ("live/worker.js", "train/backward.js", "train/training.js")
"""Scripts of the page's workers, in addition to the engine's."""

LIVE_SCRIPTS = (
    *(f"live/{name}.js" for name in ("pool", "models", "clock", "dots", "view", "scene", "stage")),
    *("train/columns.js", "table/story.js"),
    *(
        f"explain/{name}.js"
        for name in ("two_sample", "duel", "steps", "once", "write", "judge", "knobs", "hero", "explain")
    ),
    *("train/pad.js", "train/train.js"),
)
"""Further scripts of `index.html`, if models are in it."""

PAGES = ("index.html", "results.html")

MOST_SENTENCES = 6


def write_pages(results: Results, folder: Path) -> None:
    """Writes both pages, each whole or not at all."""
    for name, text in render(results).items():
        write_whole(folder / name, text)


def render(results: Results) -> dict[str, str]:
    """Renders the HTML of both pages by their names; the same store gives the same text."""
    live = live_content(results)
    models = [] if live is None else live["models"]
    if live is not None:
        live["kernel"] = kernel()
    weights = {m["id"]: as_json({part: m.pop(part) for part in WEIGHTS if part in m}) for m in models}
    templates = environment(__package__)
    templates.filters["unbroken"] = _unbroken
    content = page_content(results, {m["id"]: m["variance"] for m in models})
    common = {
        "description": DESCRIPTION,
        "project": _project_url(),
        "content": content,
        "package": __package__,
        "security": SECURITY,
        "bands": BANDS,
        "live": live,
    }
    index = templates.get_template("index.html.j2").render(
        **common,
        data=as_json({"study": results.spec.name, "sets": {}, "sections": []}),
        live_data=None if live is None else as_json(live),
        weights=weights,
        table=text_of(__package__, "assets/penguins/model.json"),
        table_worker=table_worker(),
        worker=worker([*map(code, ENGINE), *(code(name, __package__) for name in WORKER)]),
        shared_scripts=SHARED + (() if live is None else LIVE_SHARED),
        scripts=SCRIPTS + (() if live is None else LIVE_SCRIPTS),
        trainer=as_json(training_schedule()),
    )
    found = templates.get_template("results.html.j2").render(
        **common, data=content.data, shared_scripts=SHARED, scripts=SCRIPTS + RESULT_SCRIPTS
    )
    return dict(zip(PAGES, (index, found), strict=True))


def _project_url() -> str:
    """Return the first address in the package's metadata; empty if its publisher gave none."""
    try:
        urls = metadata("pointillist").get_all("Project-URL") or ()
    except PackageNotFoundError:
        # Sources can be used without installing them.
        return ""
    return next((url.partition(", ")[2] for url in urls), "")


def _unbroken(text: str) -> str:
    """Replaces the characters at which lines would break within "T = 10", "1.0 ± 0.1" and "1e-4"."""
    together = text.replace(" = ", "\u00a0=\u00a0").replace(" ± ", "\u00a0±\u00a0")
    return re.sub(r"(?<=\de)-(?=\d)", "-\u2060", together)


def page_content(results: Results, live: Mapping[str, str] = MappingProxyType({})) -> SimpleNamespace:
    """Makes everything that the template says about a study; `live` are its models, as `page_table` takes them."""
    sets, draws = pictures(results)
    sections = [_section(results, section, live) for section in results.spec.sections]
    agreement, *parts = agreement_lines(results) or [""]
    shown = [{key: section[key] for key in _FOR_SCRIPTS} for section in sections]
    return SimpleNamespace(
        title=results.spec.title,
        summary=_summary(results),
        kinds={section.kind for section in results.spec.sections},
        glance=glance(results),
        sentences=_sentences(results),
        caution=caution(results),
        figure=_figure(results),
        agreement=f"{agreement} {'; '.join(parts)}." if parts else "",
        sections=sections,
        data=as_json({"study": results.spec.name, "sets": sets, "sections": shown}),
        draws=as_json(draws),
    )


def _sentences(results: Results) -> list[tuple[str, str]]:
    """Sum the study up in at most six sentences, each with the view that it is about; empty for the whole study.

    With few trainings of each setting, they compare settings with the data alone: two settings may differ by luck.
    """
    sentences = [(results_line(results), ""), (caution(results), "")]
    sentences += [(sum_up(results, section), view_name(section)) for section in results.spec.sections]
    return [each for each in sentences if each[0]][:MOST_SENTENCES]


def _figure(results: Results) -> str:
    """Name a figure of rows in the folder of the page, for previews of a link to it; empty if there is none."""
    drawn = next((section for section in results.spec.sections if section.drawn), None)
    return f"figures/{drawn.name}_{short_name(drawn.drawn[0])}_rows.png" if drawn else ""


_FOR_SCRIPTS = ("view", "name", "title", "kind", "csv", "chart", "draws")
"""What the scripts draw from; the rest of a section is for the template."""


def _section(results: Results, section: Section, live: Mapping[str, str]) -> dict[str, Any]:
    # A time in the header would make two pages of one store differ.
    packed = gzip.compress(csv_text(results, [section]).encode(), mtime=0)
    table = page_table(results, section, live)
    sizes = count(len(section.datasets), "data set"), count(len(section.columns), "setting")
    return {
        "view": view_name(section),
        "name": section.name,
        "title": section.title,
        "kind": section.kind,
        "csv": base64.b64encode(packed).decode(),
        "chart": chart(results, section),
        "draws": {short_name(name): draw_keys(results, section, name) for name in section.drawn},
        "detail": f"{' × '.join(sizes)} × {count(results.spec.seeds, 'seed')}",
        "statements": conclude(results, section),
        "is_compared": len(section.columns) > 1,
        "table": table,
        "has_reported": any(cell.reported for line in table for cell in line.cells),
        "notes": notes(results, section),
        "datasets": [short_name(name) for name in section.datasets],
        "has_unranked": not all(row.is_ranked for row in results.rows(section)),
    }


def _summary(results: Results) -> list[str]:
    """Says how much is finished, what the errors cover, and which versions and machine made the study."""
    what = "A run is one data set, setting and seed; a cell of a table is the average over seeds"
    errors = f"Errors are standard errors over {results.seeds}, which cover training and sampling"
    if not results.covers_training:
        errors = f"Errors are standard errors of sampling only ({results.seeds}): two trainings may differ by more"
    made_by = ", ".join(f"{name} {version}" for name, version in results.origin("versions").items())
    machine = results.origin("machine").items()
    made_on = ", ".join(count(v, name.removesuffix("s")) if isinstance(v, int) else str(v) for name, v in machine)
    origin = ". ".join(filter(None, (made_by and f"Made by {made_by}", made_on and f"Machine: {made_on}")))
    return [f"{results_line(results)} {what}. {errors}.", *filter(None, [origin])]
