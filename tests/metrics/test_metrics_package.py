"""The rooms that judge, as wholes: what they export, what they import, and that their examples run."""

import doctest
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

HEAVY = {
    "pointillist.metrics": {"jax", "equinox", "scipy", "sklearn"},
    "pointillist.evaluation": {"jax", "equinox", "scipy", "sklearn", "matplotlib", "rich"},
}
"""What each room does not import, as it takes long."""

MODULES = [f"{room}.{module.name}" for room in HEAVY for module in iter_modules(import_module(room).__path__)]


@pytest.mark.parametrize("room", HEAVY)
def test_importing_is_light(room):
    code = (
        f"import sys, pointillist; before = set(sys.modules); import {room}; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY[room] & set(run.stdout.split())
    assert "pointillist" in run.stdout.split()


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.parametrize("room", HEAVY)
def test_all_is_documented(room):
    exported = import_module(room)
    for name in exported.__all__:
        if name != "METRICS":
            assert getattr(exported, name).__doc__
