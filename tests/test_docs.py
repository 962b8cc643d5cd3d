"""The check of the documentation that no public name is without a docstring, or missing from the API reference."""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"

SOURCES = {
    "__init__.py": '''
        """A package."""
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from box import tools
            from box.tools import Hammer, LIMIT

        __all__ = ["Hammer", "LIMIT", "tools"]
    ''',
    "tools.py": '''
        """Tools."""
        from box import lending

        LIMIT = 3
        """Of something."""

        BARE = 4

        class _Tool:
            def sell(self): ...

            def hit(self): ...

        class Hammer(_Tool, dict):
            """Hits."""

            def hit(self):
                """Hits once."""

            @property
            def weight(self):
                return 1

            def _aim(self): ...

            lend = lending.lend

        def saw(): ...

        def _hidden(): ...
    ''',
    "lending.py": '''
        """Lending."""

        def lend(tool): ...
    ''',
}


@pytest.fixture
def public_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(DOCS / "_ext")
    import public_names

    yield public_names
    sys.modules.pop("public_names")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    from textwrap import dedent

    (tmp_path / "box").mkdir()
    for name, source in SOURCES.items():
        (tmp_path / "box" / name).write_text(dedent(source))
    return tmp_path


def test_names_without_a_docstring_are_found(public_names: ModuleType, package: Path) -> None:
    names = public_names.public_names(package, ["box", "box.tools"])
    found = public_names.without_docstring(names)
    assert {str(name): (name.file.name, name.line) for name in found} == {
        "box.tools.BARE": ("tools.py", 8),
        "box.Hammer.sell": ("tools.py", 11),
        "box.Hammer.weight": ("tools.py", 22),
        "box.Hammer.lend": ("tools.py", 27),
        "box.tools.saw": ("tools.py", 29),
    }


def test_names_missing_from_the_reference_are_found(public_names: ModuleType, package: Path) -> None:
    names = public_names.public_names(package, ["box"])
    documented = {
        "box",
        "box.tools",
        "box.Hammer",
        *(f"box.Hammer.{name}" for name in ("sell", "hit", "weight", "lend")),
        "box.tools.LIMIT",
    }
    assert public_names.not_in_reference(names, documented) == []
    without = documented - {"box.Hammer.hit", "box.tools.LIMIT"}
    assert {str(name) for name in public_names.not_in_reference(names, without)} == {"box.Hammer.hit", "box.LIMIT"}


def test_a_listed_name_that_is_not_there_is_an_error(public_names: ModuleType, package: Path) -> None:
    (package / "box" / "__init__.py").write_text('__all__ = ["lost"]\n')
    with pytest.raises(ValueError, match=r"lost is public, and neither defined nor imported there"):
        public_names.public_names(package, ["box"])


def test_every_public_name_has_a_docstring(public_names: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    conf = runpy.run_path(str(DOCS / "conf.py"))
    names = public_names.public_names(conf["public_root"], conf["public_modules"])
    assert [str(name) for name in public_names.without_docstring(names)] == []
    assert "pointillist.Diffusion.fit" in {str(name) for name in names}
