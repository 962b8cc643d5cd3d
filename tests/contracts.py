"""Helpers that the contract tests of all packages share."""

import importlib
import inspect
import pkgutil


def concrete(base, package=None):
    """Finds the concrete subclasses of a class in a package; by default the class's package."""
    package = package or base.__module__.rpartition(".")[0]
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        importlib.import_module(module.name)
    found, left = set(), [base]
    while left:
        cls = left.pop()
        left += cls.__subclasses__()
        if not inspect.isabstract(cls) and cls.__module__.startswith(f"{package}."):
            found.add(cls)
    return found
