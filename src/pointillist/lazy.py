"""Lazy imports: a module is imported only when one of its names is first used."""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any


def attach(package: str, names: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__`.

    `names` maps modules, relative to the package, to the names that it takes from each; a name that equals the module's
    is the module.
    """
    homes = {name: module for module, module_names in names.items() for name in module_names}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(homes[name], package)
        return module if module.__name__ == f"{package}.{name}" else getattr(module, name)

    return get, lambda: sorted({*vars(sys.modules[package]), *homes})


class LazyModule:
    """A module that is imported when one of its names is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv, parquet
    from scipy import optimize, spatial, special, stats
    from scipy.spatial import distance
    from sklearn import datasets, ensemble, model_selection, neighbors, neural_network
else:
    # They take tenths of a second to load, and many commands do not need them.
    pa, pc = LazyModule("pyarrow"), LazyModule("pyarrow.compute")
    csv, parquet = LazyModule("pyarrow.csv"), LazyModule("pyarrow.parquet")
    optimize, spatial = LazyModule("scipy.optimize"), LazyModule("scipy.spatial")
    special, stats = LazyModule("scipy.special"), LazyModule("scipy.stats")
    distance = LazyModule("scipy.spatial.distance")
    datasets, ensemble = LazyModule("sklearn.datasets"), LazyModule("sklearn.ensemble")
    model_selection = LazyModule("sklearn.model_selection")
    neighbors, neural_network = LazyModule("sklearn.neighbors"), LazyModule("sklearn.neural_network")
