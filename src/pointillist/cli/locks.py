"""One process at a time for each output."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def alone(lock: Path, output: Path, what: str) -> Iterator[None]:
    """Keeps other processes from an output; the system releases the lock if this process is killed.

    Args:
        lock: The file to lock, in a folder that is there.
        output: The output.
        what: What the other process does with it.

    Raises:
        ValueError: In one line, if another process has the lock.
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except (OSError, NotImplementedError) as error:
        # A folder that takes no files, such as /proc, raises Timeout too, but then there is no lock file.
        if isinstance(error, Timeout) and lock.exists():
            raise ValueError(f"{output}: another process is {what}: wait until it ends") from None
        # A file system without locks, or a folder that nobody can write in: the command says which.
        yield
        return
    try:
        yield
    finally:
        # Who has opened the file in this moment finds that it is gone, and does not take it for a lock.
        lock.unlink(missing_ok=True)
        held.release()


def exclusive(command: Callable[P, R]) -> Callable[P, R]:
    """Makes a command the only one that writes its argument `out` while it runs."""

    @functools.wraps(command)
    def locked(*args: P.args, **options: P.kwargs) -> R:
        out: Any = options["out"]
        if not _can_be(out):
            # The command itself says what is wrong, or makes the folder.
            return command(*args, **options)
        with alone(out.with_name(f".{out.name}.lock"), out, "writing this file"):
            return command(*args, **options)

    return locked


def _can_be(file: Path) -> bool:
    """Whether a path may be that of a file in a folder that is there."""
    try:
        return bool(file.name) and not file.is_dir() and file.parent.is_dir()
    except OSError:
        return False
