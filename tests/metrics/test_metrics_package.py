"""The packages metrics and evaluation: what they export, what they import, and that their examples run."""

import doctest
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

HEAVY = {
    "pointillist.metrics": {"jax", "equinox", "scipy", "sklearn"},
    "pointillist.evaluation": {"jax", "equinox", "scipy", "sklearn", "matplotlib"},
}
"""Libraries that each package does not import, because they load slowly."""

MODULES = [f"{package}.{module.name}" for package in HEAVY for module in iter_modules(import_module(package).__path__)]


@pytest.mark.parametrize("package", HEAVY)
def test_importing_is_light(package):
    code = (
        f"import sys, pointillist; before = set(sys.modules); import {package}; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY[package] & set(run.stdout.split())
    assert "pointillist" in run.stdout.split()


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.parametrize("package", HEAVY)
def test_all_is_documented(package):
    exported = import_module(package)
    for name in exported.__all__:
        if name != "METRICS":
            assert getattr(exported, name).__doc__
