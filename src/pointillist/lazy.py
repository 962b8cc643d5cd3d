"""Lazy imports: a module is imported only when one of its names is first used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any


def getter(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Makes a package's `__getattr__`.

    Args:
        package: Name of the package.
        homes: Maps each name to the module that defines it, or to the module itself if the name is a module's.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name])
        return module if module.__name__.endswith(f".{name}") else getattr(module, name)

    return get


class LazyModule:
    """Stands for a module, and imports it when one of its names is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    # Arrow takes a tenth of a second to load, and rows of numbers do without it.
    pa, pc = LazyModule("pyarrow"), LazyModule("pyarrow.compute")
