"""Parts of pages: scripts, styles and templates, and values as JSON and base64."""

import base64
import json
import re
from collections.abc import Iterable
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

ENGINE = ("engine/messages.js", "engine/network.js", "engine/samplers.js")
"""Scripts of a page's workers, which compute with networks."""

_NO_CODE = re.compile(r"^[ \t]*(?:/\*(?:[^*]|\*(?!/))*\*/|//.*)?[ \t]*\n?", re.MULTILINE)

SECURITY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""A page's content security policy: it may load nothing from outside."""


def code(name: str, package: str = __package__) -> Markup:
    """Read a script or a style from a folder `assets`, without indentation and lines that are only comments."""
    return Markup(_NO_CODE.sub("", text_of(package, f"assets/{name}")))


def script(name: str, package: str = __package__) -> Markup:
    """Read a script of a page and give it a scope; scripts share names through `window.pointillist`."""
    return Markup('(() => {\n"use strict";\n%s})();') % code(name, package)


def worker(scripts: Iterable[Markup]) -> Markup:
    """Join the scripts of a worker, which share one scope."""
    return Markup("\n").join([Markup('"use strict";'), *scripts])


def text_of(package: str, name: str) -> Markup:
    """Read the text of a file of a package."""
    return Markup(files(package).joinpath(name).read_text(encoding="utf-8"))


def kernel() -> str:
    """Return the WebAssembly that multiplies matrices, as base64."""
    return base64.b64encode(files(__package__).joinpath("assets/engine/kernel.wasm").read_bytes()).decode()


def environment(package: str) -> Environment:
    """Load templates, which escape all text, from a package's folder `assets`."""
    made = Environment(
        loader=PackageLoader(package, "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"code": code, "script": script}
    return made


def as_json(data: Any) -> Markup:
    """Encode a value as JSON in which no text can end the surrounding script element early."""
    return Markup(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def packed(arrays: Iterable[Any], precision: Literal["float16", "float32"]) -> str:
    """Encode the numbers of all arrays, one after another, as base64."""
    # Little-endian, as every browser's typed arrays are.
    kind = np.dtype(precision).newbyteorder("<")
    return base64.b64encode(np.concatenate([*arrays], axis=None, dtype=kind).tobytes()).decode()
