"""One process at a time for each output."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pointillist.atomic_files import check_apart, check_place


@contextmanager
def alone(lock: Path, output: Path, what: str) -> Iterator[None]:
    """Keeps other processes from an output; the system releases the lock if this process is killed.

    Args:
        lock: The file to lock, in an existing folder.
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
        # A process that has just opened the file sees that it is gone, and does not take it for a lock.
        lock.unlink(missing_ok=True)
        held.release()


def exclusive(command: Callable[..., None]) -> Callable[..., None]:
    """Makes a command the only one that writes its argument `out`, which must be none of the files that it reads."""

    @functools.wraps(command)
    def locked(**options: Any) -> None:
        out = options["out"]
        check_place(out)
        for name, value in options.items():
            if isinstance(value, Path) and name not in ("out", "checkpoint"):
                check_apart(out, value)
        with alone(out.with_name(f".{out.name}.lock"), out, "writing this file"):
            command(**options)

    return locked
