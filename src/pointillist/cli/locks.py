"""One process at a time for each output."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pointillist.atomic_files import check_different, check_writable


@contextmanager
def alone(lock: Path, output: Path, what: str) -> Iterator[None]:
    """Keeps other processes from an output by locking a file; the system unlocks it if this process is killed.

    If another process has the lock, a ValueError says what it does with the output (`what`).
    """
    from filelock import FileLock, Timeout

    held = FileLock(lock)
    try:
        held.acquire(blocking=False)
    except (OSError, NotImplementedError) as error:
        # Timeout without a lock file means that the folder takes no files, as in /proc.
        if isinstance(error, Timeout) and lock.exists():
            raise ValueError(f"{output}: another process is {what}: wait until it ends") from None
        # The file system has no locks, or the folder cannot be written in, which the command will report.
        yield
        return
    try:
        yield
    finally:
        # Deleted before it is released: a process that has just opened the file then sees that it is no longer a lock.
        lock.unlink(missing_ok=True)
        held.release()


def exclusive(command: Callable[..., None]) -> Callable[..., None]:
    """Makes a command the only one that writes its argument `out`, which must not be a file that it reads.

    Without `out`, the output is a model file with the name of `data`.
    """

    @functools.wraps(command)
    def locked(**options: Any) -> None:
        data: Any = options.get("data")
        out = options["out"] = options["out"] or data.with_name(f"{Path(data.name.removesuffix('.gz')).stem}.model")
        # A folder may be meant, but not the current one, beside which no lock can be.
        if not out.name or (options.get("rows_per_file") is None and not os.path.isdir(out)):
            check_writable(out)
        for name, value in options.items():
            if isinstance(value, Path) and name not in ("out", "checkpoint"):
                check_different(out, value)
        with alone(out.with_name(f".{out.name}.lock"), out, "writing this file"):
            command(**options)

    return locked
