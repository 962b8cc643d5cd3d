"""Formulas as MathML, which browsers draw themselves: no script, no font, no request to the network.

Docutils translates the LaTeX; a formula that it cannot translate is a warning.
"""

from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_logger = logging.getLogger(__name__)


_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", _NAMESPACE)
_ACCENTS = frozenset("ˆˉ˜ˇ¯^~")
_APPLY = "\u2061"


def _mended(formula: str) -> str:
    """Two things as TeX has them: an index is beside a letter with an accent, not below, and log p has a gap."""
    root = ElementTree.fromstring(formula.replace("&ApplyFunction;", _APPLY))
    for both in root.iter(f"{{{_NAMESPACE}}}munderover"):
        letter, index, accent = both
        if accent.text in _ACCENTS:
            with_accent = ElementTree.Element(f"{{{_NAMESPACE}}}mover", accent="true")
            with_accent.extend([letter, accent])
            both.tag = f"{{{_NAMESPACE}}}msub"
            both[:] = [with_accent, index]
    for parent in root.iter():
        for apply, argument in pairwise(parent):
            if apply.text == _APPLY and argument.text != "(":
                apply.set("rspace", "0.1667em")
    return ElementTree.tostring(root, encoding="unicode")


def _visit(translator: HTML5Translator, node: nodes.Element) -> None:
    is_block = isinstance(node, nodes.math_block)
    latex = node.astext()
    try:
        formula = _mended(tex2mathml(latex, as_block=is_block))
    except MathError as error:
        _logger.warning("cannot translate the formula %r: %s", latex, error, location=node)
        formula = translator.encode(latex)
    translator.body.append(f'<div class="formula">{formula}</div>\n' if is_block else formula)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", inline_renderers=(_visit, None), block_renderers=(_visit, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
