"""Names of a package whose modules are imported when a name is first asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def getter(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`.

    Args:
        package: Its name.
        homes: By name, the module that has it; or that is it, where its last part is the name.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name])
        return module if module.__name__.endswith(f".{name}") else getattr(module, name)

    return get
