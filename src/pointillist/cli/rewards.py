"""What `--reward` names: a function in a Python file."""

import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from typing import Any

from pointillist.foreign_text import listed, shown


def reward_of(text: str) -> Callable[[Any], Any]:
    """Runs a Python file, and returns one of its functions.

    Modules beside the file can be imported by it, as if Python had run it.

    Args:
        text: FILE.py:NAME.

    Raises:
        ValueError: In one line, if there is no such file or function, or if the file cannot be run.
    """
    file, _, name = text.rpartition(":")
    if not file or not name.isidentifier():
        raise ValueError(f"--reward takes FILE.py:NAME, not {shown(text)}")
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"{file}: is no file: --reward takes FILE.py:NAME")
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # Not imported: Ray tasks, which cannot import it, then get the function and not its name.
        found = runpy.run_path(file)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{file}: cannot be run: {_told(error)}") from error
    function = found.get(name)
    if not callable(function):
        functions = [own for own, value in found.items() if callable(value) and not own.startswith("_")]
        raise ValueError(f"{file}: has no function {shown(name)}; it has {listed(functions) or 'none'}")
    return function


@contextmanager
def told(text: str) -> Iterator[None]:
    """Turns what the function of `reward_of` raises into a ValueError of one line that names it."""
    file, _, _ = text.rpartition(":")
    try:
        yield
    except Exception as error:
        if not any(frame.filename == file for frame in extract_tb(error.__traceback__)):
            raise
        raise ValueError(f"the reward {text} failed: {_told(error)} (--debug shows where)") from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
