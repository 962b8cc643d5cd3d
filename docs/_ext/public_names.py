"""Fails the build for a public name that has no docstring, or that no page of the API reference shows.

Names are read from the source, not from imported modules: a dataclass without a docstring is given one when it is made,
and constants have theirs below them, where only the source has it. This module needs no Sphinx until `setup`, so that
the tests can do without.
"""

import ast
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PublicName:
    """A name that users are told of.

    Attributes:
        aliases: Where it can be had: "pointillist.Diffusion", "pointillist.estimators.Diffusion", and where it is
            defined.
        file: The file that defines it.
        line: The line that does.
        docstring: What it says there; None for nothing.
    """

    aliases: frozenset[str]
    file: Path
    line: int
    docstring: str | None

    def __str__(self) -> str:
        return min(self.aliases, key=lambda alias: (alias.count("."), alias))


def without_docstring(names: Iterable[PublicName]) -> list[PublicName]:
    """Those that lack one."""
    return [name for name in names if not name.docstring]


def not_in_reference(names: Iterable[PublicName], documented: Collection[str]) -> list[PublicName]:
    """Those of which no alias is among the names that the reference has an entry for."""
    return [name for name in names if name.aliases.isdisjoint(documented)]


def public_names(root: Path, modules: Iterable[str]) -> list[PublicName]:
    """The public names of modules, with the modules themselves, and the methods and properties of classes.

    Public is what a module's `__all__` lists; without one, what it defines at its top, and does not begin with an
    underscore.

    Args:
        root: The folder that the package lies in.
        modules: Dotted names.
    """
    found: dict[str, PublicName] = {}
    for module in modules:
        parsed = _Module.parsed(root, module)
        for alias, definition in [(module, parsed.definition), *parsed.public()]:
            for owner, suffix, line, docstring in definition.parts():
                key = owner.name + suffix
                known = found[key].aliases if key in found else frozenset({key})
                found[key] = PublicName(known | {alias + suffix}, owner.module.file, line, docstring)
    return list(found.values())


@dataclass(frozen=True)
class _Definition:
    """Where a name is defined: a module, a class, a function, or an assignment with what follows it."""

    name: str
    module: "_Module"
    node: ast.Module | ast.stmt
    docstring: str | None

    def parts(self) -> Iterator[tuple["_Definition", str, int, str | None]]:
        """Itself, and of a class its public methods and properties, and those of the package's classes that it is of.

        Of each the definition that has it, what its name adds, line and docstring.
        """
        yield self, "", getattr(self.node, "lineno", 1), self.docstring
        if not isinstance(self.node, ast.ClassDef):
            return
        own = {suffix for suffix, *_ in self._members()}
        for base in self.node.bases:
            try:
                definition = self.module.found(ast.unparse(base))
            except (ValueError, FileNotFoundError):
                # A class of another package, whose source is not here.
                continue
            yield from (part for part in definition.parts() if part[1] and part[1] not in own)
        yield from ((self, *member) for member in self._members())

    def _members(self) -> Iterator[tuple[str, int, str | None]]:
        for node in getattr(self.node, "body", []):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield f".{node.name}", node.lineno, ast.get_docstring(node)
            # A function of another module may be made a method: `plot = plotting.plot`.
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute | ast.Name):
                name = ast.unparse(node.targets[0])
                if not name.startswith("_"):
                    yield f".{name}", node.lineno, self.module.found(ast.unparse(node.value)).docstring


@dataclass(frozen=True)
class _Module:
    root: Path
    name: str
    file: Path
    tree: ast.Module

    @classmethod
    def parsed(cls, root: Path, name: str) -> "_Module":
        path = root.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        return cls(root, name, file, ast.parse(file.read_text(encoding="utf-8")))

    @property
    def definition(self) -> _Definition:
        return _Definition(self.name, self, self.tree, ast.get_docstring(self.tree))

    def public(self) -> Iterator[tuple[str, _Definition]]:
        """Every public name, dotted, and its definition."""
        own = dict(self._own())
        listed = own.get("__all__")
        names = [name for name in own if not name.startswith("_")]
        if listed is not None and isinstance(listed.node, ast.Assign):
            names = ast.literal_eval(listed.node.value)
        for name in names:
            yield f"{self.name}.{name}", own.get(name) or self.found(name)

    def found(self, name: str) -> _Definition:
        """The definition of a name in use here, with dots or without: its own, or one that it imports."""
        first, *rest = name.split(".", 1)
        if rest:
            return self.parsed(self.root, self.found(first).name).found(rest[0])
        own = dict(self._own())
        if first in own:
            return own[first]
        # Also what is imported for type checkers alone.
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and first in [alias.asname or alias.name for alias in node.names]:
                assert node.module is not None, "the package imports by full names"
                path = self.root.joinpath(*node.module.split("."), first)
                if path.is_dir() or path.with_suffix(".py").exists():
                    return self.parsed(self.root, f"{node.module}.{first}").definition
                return self.parsed(self.root, node.module).found(first)
        raise ValueError(f"{self.file}: {first} is public, and neither defined nor imported there")

    def _own(self) -> Iterator[tuple[str, _Definition]]:
        """What is defined at the top, by name."""
        for i, node in enumerate(self.tree.body):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name, _Definition(f"{self.name}.{node.name}", self, node, ast.get_docstring(node))
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                below = ast.get_docstring(ast.Module(self.tree.body[i + 1 : i + 2], []))
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    name = ast.unparse(target)
                    yield name, _Definition(f"{self.name}.{name}", self, node, below)


def setup(app: Any) -> dict[str, Any]:
    """Called by Sphinx, which this extension gives the setting `public_modules`."""
    from sphinx.util import logging

    logger = logging.getLogger(__name__)

    def check(app: Any, env: Any) -> None:
        names = public_names(app.config.public_root, app.config.public_modules)
        documented = {entry[0] for entry in env.get_domain("py").get_objects()}
        for name in without_docstring(names):
            logger.warning("%s is public and has no docstring", name, location=f"{name.file}:{name.line}")
        for name in not_in_reference(names, documented):
            logger.warning("%s is public and not in the API reference", name, location=f"{name.file}:{name.line}")

    app.add_config_value("public_root", None, "env")
    app.add_config_value("public_modules", [], "env")
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
