"""The directive `module-text`: a module's docstring, read as Markdown, as part of a page."""

from importlib import import_module
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx


class _ModuleText(Directive):
    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        module = import_module(self.arguments[0])
        lines = (module.__doc__ or "").splitlines()
        container = nodes.Element()
        self.state.nested_parse(StringList(lines, source=str(module.__file__)), self.content_offset, container)
        return container.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("module-text", _ModuleText)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
