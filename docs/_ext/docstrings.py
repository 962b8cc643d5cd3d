"""What autodoc is helped with: constants, names in backticks, bars, and long types."""

import inspect
import re
import sys
from typing import Any

from docutils import nodes
from jax import Array
from jaxtyping import PRNGKeyArray
from numpy.typing import ArrayLike
from sphinx.addnodes import desc_content, desc_signature
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.roles import XRefRole
from sphinx.util.typing import stringify_annotation

_AFTER_NAPOLEON = 900

_BARS = re.compile(r"\|(\S|\S[^|]*\S)\|")

_TYPES = {"ArrayLike": ArrayLike, "PRNGKeyArray": PRNGKeyArray, "Array": Array}
_NAMES = {stringify_annotation(long, "smart"): short for short, long in _TYPES.items()}
"""Types that are long unions, as autodoc writes them, and what they are called."""

_INNER_MODULE = re.compile(r"\b(jax\.)?jaxlib\._jax\.")


class _Name(XRefRole):
    """What stands in single backticks: a link if there is such a Python name, and code as it stands if not."""

    def process_link(
        self, env: BuildEnvironment, refnode: nodes.Element, has_explicit_title: bool, title: str, target: str
    ) -> tuple[str, str]:
        refnode["refdomain"], refnode["reftype"] = "py", "obj"
        for part in ("py:module", "py:class"):
            refnode[part] = env.ref_context.get(part)
        return title, target


def _mend(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    if what == "data":
        # Of a constant that is imported, autodoc sees only the docstring of its type.
        lines[:] = _constant_docs(name.rpartition(".")[2], obj) or lines
    if what == "property":
        # Napoleon reads the words before a colon as a type.
        lines[:] = [*(inspect.getdoc(obj) or "").splitlines(), ""]
    # |x| is an absolute value, and no substitution.
    lines[:] = [_BARS.sub(r"\\|\1\\|", line) for line in lines]


def _constant_docs(name: str, value: object) -> list[str]:
    """The text below a constant, in the module that defines it."""
    holders = [module for module in list(sys.modules) if module.startswith("pointillist")]
    for module in (holder for holder in holders if getattr(sys.modules[holder], name, None) is value):
        docs = ModuleAnalyzer.for_module(module).find_attr_docs()
        if ("", name) in docs:
            return docs["", name]
    return []


def _shorten(app: Sphinx, *event: Any) -> tuple[str | None, str | None]:
    *_, signature, returned = event
    for long, short in _NAMES.items():
        signature, returned = (text and text.replace(long, short) for text in (signature, returned))
    return signature, returned


def _tidy_types(app: Sphinx, doctree: nodes.document) -> None:
    for signature in doctree.findall(desc_signature):
        for text in [text for text in signature.findall(nodes.Text) if _INNER_MODULE.search(text)]:
            text.parent.replace(text, nodes.Text(_INNER_MODULE.sub("", text)))
    for content in doctree.findall(desc_content):
        # What a name for a type stands for is written for types that are plain classes, and comes out garbled.
        for paragraph in [child for child in content.children if child.astext().startswith("alias of ")]:
            content.remove(paragraph)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_role("name", _Name())
    app.connect("autodoc-process-docstring", _mend, _AFTER_NAPOLEON)
    app.connect("doctree-read", _tidy_types)
    app.connect("autodoc-process-signature", _shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
