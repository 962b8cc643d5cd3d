"""The room as a whole: what it exports, what it imports, and that its examples run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import pointillist.metrics

MODULES = [f"pointillist.metrics.{module.name}" for module in pkgutil.iter_modules(pointillist.metrics.__path__)]


def test_importing_is_light():
    code = (
        "import sys, pointillist; before = set(sys.modules); import pointillist.metrics; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "equinox", "scipy", "sklearn"} & set(run.stdout.split())
    assert "pointillist" in run.stdout.split()


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_all_is_documented():
    for name in pointillist.metrics.__all__:
        if name != "METRICS":
            assert getattr(pointillist.metrics, name).__doc__
