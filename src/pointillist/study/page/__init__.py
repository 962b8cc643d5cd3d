"""A study as one page: `index.html`, which opens from a disk without a server or a network."""

import re
from pathlib import Path

from pointillist.atomic_files import write_whole
from pointillist.page.parts import ENGINE, SECURITY, as_json, code, environment, kernel, worker
from pointillist.study.page.content import page_content
from pointillist.study.page.live import live_content, training_schedule
from pointillist.study.results import BANDS, Results

WEIGHTS = "weights", "scales", "rest"
"""What the page reads of a model when it is first used: these texts are most of the page."""

SHARED = ("elements.js", "engine/weights.js")
"""Scripts of all pages, which this one runs first."""

LIVE_SHARED = ("csv.js", "engine/workers.js")
"""Further ones, if models are in the page."""

SCRIPTS = ("fragment.js", "page.js", "chart.js", "tables.js", "charts.js", "rows.js")
"""Scripts of `assets`, in the order in which the page runs them."""

WORKER = ("live/worker.js", "train/backward.js", "train/training.js")
"""Scripts of the page's workers, besides those of the engine."""

LIVE_SCRIPTS = (
    *(f"live/{name}.js" for name in ("pool", "models", "frames", "clock", "dots", "density", "view", "scene", "stage")),
    *(f"explain/{name}.js" for name in ("distance", "duel", "steps", "compare", "hero", "explain")),
    *(f"train/{name}.js" for name in ("columns", "pad", "train")),
    "live/live.js",
)
"""Further scripts, if models are in the page."""


def write_page(results: Results, path: Path) -> None:
    """Writes the page, whole or not at all."""
    write_whole(path, render(results))


def render(results: Results) -> str:
    """Renders the page's HTML; the same store gives the same text."""
    live = live_content(results)
    models = [] if live is None else live["models"]
    if live is not None:
        live["kernel"] = kernel()
    weights = {m["id"]: as_json({part: m.pop(part) for part in WEIGHTS if part in m}) for m in models}
    templates = environment(__package__)
    templates.filters["unbroken"] = _unbroken
    return templates.get_template("page.html.j2").render(
        content=page_content(results, {m["id"]: m["variance"] for m in models}),
        live=live,
        live_data=None if live is None else as_json(live),
        weights=weights,
        package=__package__,
        worker=worker([*map(code, ENGINE), *(code(name, __package__) for name in WORKER)]),
        shared_scripts=SHARED + (() if live is None else LIVE_SHARED),
        scripts=SCRIPTS + (() if live is None else LIVE_SCRIPTS),
        trainer=as_json(training_schedule()),
        security=SECURITY,
        bands=BANDS,
    )


def _unbroken(text: str) -> str:
    """Replaces what lines would break at within "T = 10", "1.0 ± 0.1" and "1e-4"."""
    together = text.replace(" = ", "\u00a0=\u00a0").replace(" ± ", "\u00a0±\u00a0")
    return re.sub(r"(?<=\de)-(?=\d)", "-\u2060", together)
