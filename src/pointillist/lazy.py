"""Lazy imports: a package imports a module only when one of the module's names is first used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


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
