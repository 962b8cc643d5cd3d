"""Checks paths before files are read or written there, and writes files whole or not at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file by way of `whole_file`, text as UTF-8; an OSError is one line that starts with the path."""
    with naming(path), whole_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield an empty temporary file in the same folder, which replaces the file if the block ends without an error.

    A reader never sees a partly written file, and a power failure leaves the old file or the new one. The path may be a
    link; an existing file must be a regular one, and a missing folder is made. The temporary file has a hidden and
    unique name. If the process is killed, it stays until the file is written the next time (on Windows, until somebody
    removes it).
    """
    target = _target(path)
    _remove_orphans(target)
    with _part(target) as part:
        yield part
        _sync(part)
        part.replace(target)
        # Some file systems cannot sync a folder; the file is whole all the same.
        with suppress(OSError):
            _sync(target.parent)


def check_writable(path: Path) -> None:
    """Raise an OSError, in one line that starts with the path, if no file can be written there; make its folder."""
    # A trial also finds file systems that are read-only or full, and names that are too long.
    with naming(path), _part(_target(path)):
        pass


def check_different(out: Path, read: Path) -> None:
    """Raise a ValueError if the file to write is the file to read."""
    if out.exists() and read.exists() and out.samefile(read):
        raise ValueError(f"{out}: is a file to read and would be overwritten: give another name")


def check_regular(path: Path) -> None:
    """Raise an OSError, in one line that starts with the path, if there is no regular file to read.

    Opening a pipe would wait for a writer, and reading a device may never end.
    """
    with naming(path):
        path.stat()
        if path.is_dir():
            raise IsADirectoryError("is a directory")
        if not path.is_file():
            raise OSError("is a pipe or a device, not a regular file: save its content to a file first")


def check_inside(folder: Path, paths: Iterable[Path]) -> None:
    """Raise a ValueError if one of the paths leads out of the folder, by a link or by its name."""
    root = os.path.realpath(folder)
    for path in paths:
        if not Path(os.path.realpath(path)).is_relative_to(root):
            raise ValueError(f"{path}: leads out of {folder}: remove this link first")


@contextmanager
def checking(path: Path, kind: type[ValueError] = ValueError) -> Iterator[None]:
    """Turn any error in a block that reads a file into a one-line error of a kind: the file is damaged."""
    try:
        yield
    except kind:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise kind(f"{path}: is damaged: {reason}") from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the path in front of the message of any system error in the block, as one line."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error) or type(error).__name__).splitlines()[0]
        raise type(error)(f"{path}: {reason[0].lower()}{reason[1:]}") from error


def _target(path: Path) -> Path:
    """Return the file to replace, and make its folder."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if path.is_dir():
        raise IsADirectoryError("is a directory")
    # Links in a circle lead to no file, but to a link.
    if (path.exists() or target.is_symlink()) and not path.is_file():
        raise OSError("is not a regular file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(folder for folder in target.parents if folder.exists())
        raise NotADirectoryError(f"is below {file}, which is a file, not a folder") from error
    return target


@contextmanager
def _part(target: Path) -> Iterator[Path]:
    """Make an empty temporary file for the block, and lock it: the lock ends with the process."""
    while True:
        # Nobody can guess the name and put a link there, and `tempfile` would restrict the permissions.
        part = target.with_name(f".{target.name}.{os.urandom(8).hex()}.part")
        with part.open("xb") as file:
            if fcntl is None:
                file.close()
            else:
                # A file system without locks has no orphans either, as nobody can lock them to remove them.
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX)
            # Before it was locked, another process may have removed it as an orphan.
            if not part.exists():
                continue
            try:
                yield part
            finally:
                part.unlink(missing_ok=True)
            return


def _remove_orphans(target: Path) -> None:
    """Remove temporary files of the target that no process has locked, because the process was killed."""
    if fcntl is None:
        return
    for path in target.parent.glob(f".{escape(target.name)}.{'[0-9a-f]' * 16}.part"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                with path.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
