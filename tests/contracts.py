"""What the contract suites of all rooms share."""

import importlib
import inspect
import pkgutil


def concrete(base):
    """Finds the subclasses of a class, in its room, that are not abstract."""
    room = base.__module__.rpartition(".")[0]
    for module in pkgutil.iter_modules(importlib.import_module(room).__path__, f"{room}."):
        importlib.import_module(module.name)
    found, left = set(), [base]
    while left:
        cls = left.pop()
        left += cls.__subclasses__()
        if not inspect.isabstract(cls) and cls.__module__.startswith(f"{room}."):
            found.add(cls)
    return found
