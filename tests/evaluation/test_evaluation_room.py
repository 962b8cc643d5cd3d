"""The room as a whole: what it imports, and that its examples run."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import pointillist.evaluation

MODULES = [f"pointillist.evaluation.{module.name}" for module in pkgutil.iter_modules(pointillist.evaluation.__path__)]


def test_importing_is_light():
    code = (
        "import sys, pointillist; before = set(sys.modules); import pointillist.evaluation; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jax", "equinox", "scipy", "sklearn", "matplotlib", "rich"} & set(run.stdout.split())


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_all_is_documented():
    for name in pointillist.evaluation.__all__:
        assert getattr(pointillist.evaluation, name).__doc__
