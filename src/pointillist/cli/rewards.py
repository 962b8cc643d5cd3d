"""Loads the function that `--reward` names."""

import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any

from pointillist.foreign_text import listed, shown


def reward_of(text: str) -> Callable[[Any], Any]:
    """Runs a Python file, and returns one of its functions, given as FILE.py:NAME.

    The file can import modules from its folder. Raises a ValueError if there is no such file or function, or if the
    file cannot be run.
    """
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        raise ValueError(f"--reward takes FILE.py:NAME, not {shown(text)}")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: no such file: --reward takes FILE.py:NAME")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # Not imported: Ray would then pass its name to tasks, which cannot import it, and not the function.
        found = runpy.run_path(file)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{file}: cannot be run: {_line_of(error)}") from error
    function = found.get(name)
    if not callable(function):
        functions = [key for key, value in found.items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"{file}: has no function {shown(name)}; it has {listed(functions) or 'none'}")
    return function


@contextmanager
def explained(text: str | None) -> Iterator[None]:
    """Turns errors of the function of `reward_of` into a ValueError of one line that names it."""
    file = (text or "").rpartition(":")[0]
    try:
        yield
    except Exception as error:
        if not any(frame.filename == file for frame in extract_tb(error.__traceback__)):
            raise
        raise ValueError(f"the reward {text} failed: {_line_of(error)} (--debug shows where)") from error


def _line_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
