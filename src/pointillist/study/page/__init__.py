"""A study as one page: `index.html`, which opens from a disk without a server or a network."""

import re
from base64 import b64encode
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pointillist.files import write_whole
from pointillist.study.page.content import as_json, page_content
from pointillist.study.page.live import Precision, live_content
from pointillist.study.page.table import BANDS
from pointillist.study.results import Results

SCRIPTS = ("fragment.js", "page.js", "tables.js", "plot.js", "charts.js", "rows.js")
"""Scripts of `assets`, in the order in which the page runs them."""

LIVE_SCRIPTS = ("live/pool.js", "live/scene.js", "live/live.js")
"""Further scripts, if models are in the page."""

WORKER_SCRIPTS = ("live/network.js", "live/samplers.js", "live/worker.js")
"""Scripts of the page's workers, which draw rows."""

SECURITY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""The page's content security policy: it may load nothing from outside."""


def write_page(results: Results, path: Path, *, precision: Precision = "float16") -> None:
    """Writes the page, whole or not at all.

    Args:
        results: The study.
        path: The HTML file.
        precision: Precision of the weights of the models in the page.

    Raises:
        OSError: If it cannot be written.
    """
    write_whole(path, render(results, precision=precision))


def render(results: Results, *, precision: Precision = "float16") -> str:
    """Renders the page's HTML; the same store gives the same text."""
    live = live_content(results, precision=precision)
    if live is not None:
        live["kernel"] = b64encode(files(__package__).joinpath("assets/live/kernel.wasm").read_bytes()).decode()
    environment = Environment(
        loader=PackageLoader("pointillist.study.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["asset"] = _asset
    environment.filters["unbroken"] = _unbroken
    return environment.get_template("page.html.j2").render(
        content=page_content(results),
        live=live,
        live_data=None if live is None else as_json(live),
        worker=Markup("\n").join(_asset(f"assets/{name}") for name in WORKER_SCRIPTS),
        scripts=SCRIPTS + (() if live is None else LIVE_SCRIPTS),
        security=SECURITY,
        bands=BANDS,
    )


def _unbroken(text: str) -> str:
    """Replaces what lines would break at within "T = 10", "1.0 ± 0.1" and "1e-4"."""
    together = text.replace(" = ", "\u00a0=\u00a0").replace(" ± ", "\u00a0±\u00a0")
    return re.sub(r"(?<=\de)-(?=\d)", "-\u2060", together)


def _asset(name: str) -> Markup:
    """Reads the text of a file below this folder unchanged."""
    return Markup(files(__package__).joinpath(name).read_text(encoding="utf-8"))
