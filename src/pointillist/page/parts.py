"""What pages are made of: the texts that travel in them, and numbers as base64."""

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
    """Reads a script or a style of a folder `assets` without comments and indentation, a quarter of its length.

    Comments that follow code in a line stay; no text of the scripts spans lines.
    """
    return Markup(_NO_CODE.sub("", text_of(package, f"assets/{name}")))


def script(name: str, package: str = __package__) -> Markup:
    """Reads a script of a page, whose names are its own; it hands on others in `window.pointillist`."""
    return Markup('(() => {\n"use strict";\n%s})();') % code(name, package)


def worker(scripts: Iterable[Markup]) -> Markup:
    """Joins the scripts of a worker, which share one scope."""
    return Markup("\n").join([Markup('"use strict";'), *scripts])


def text_of(package: str, name: str) -> Markup:
    """Reads the text of a file of a package, unchanged."""
    return Markup(files(package).joinpath(name).read_text(encoding="utf-8"))


def kernel() -> str:
    """The WebAssembly that multiplies matrices, as base64."""
    return base64.b64encode(files(__package__).joinpath("assets/engine/kernel.wasm").read_bytes()).decode()


def environment(package: str) -> Environment:
    """Makes templates of a package's folder `assets`, which escape all text; `code` reads this package's."""
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
    """Encodes a value as JSON in which no text can end the surrounding script element early."""
    return Markup(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def packed(arrays: Iterable[Any], precision: Literal["float16", "float32"]) -> str:
    """Encodes numbers, one array after another, as base64."""
    # Little-endian, as every browser's typed arrays are.
    kind = {"float16": "<f2", "float32": "<f4"}[precision]
    flat = np.concatenate([np.asarray(array, kind).ravel() for array in arrays])
    return base64.b64encode(flat.tobytes()).decode()
