"""Files that are read only if they are files, and written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes under a temporary name in the same folder, then renames: a reader never sees a part of the file.

    Args:
        path: The file; its folder is made if needed.
        content: Its bytes, or its text, which is encoded as UTF-8.

    Raises:
        OSError: In one line that starts with the path.
    """
    with naming(path), whole_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives an empty file in the same folder; what was written there becomes the file if the block ends well.

    The content is on the disk before the name is: a loss of power leaves the old file or the new one.

    Args:
        path: The file, which may be a link to it; its folder is made if needed. What is there must be a regular file.

    Yields:
        The empty file, of a hidden name that no other call gives. Nothing is left of it after the block.
    """
    target = _target(path)
    part = _part(target)
    try:
        yield part
        _sync(part)
        part.replace(target)
        # Some file systems cannot sync a folder; the file is whole all the same.
        with suppress(OSError):
            _sync(target.parent)
    finally:
        part.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Raises an OSError, in one line that starts with the path, if no file can be written there; makes its folder."""
    with naming(path):
        # A trial also tells of file systems that are read-only or full, and of names that are too long.
        _part(_target(path)).unlink()


def check_regular(path: Path) -> None:
    """Raises an OSError, in one line that starts with the path, if there is no regular file to read.

    To open a pipe waits for whoever writes to it, and a device may never end.
    """
    with naming(path):
        path.stat()
        if path.is_dir():
            raise IsADirectoryError("is a directory")
        if not path.is_file():
            raise OSError("is a pipe or a device, not a regular file: save its content to a file first")


@contextmanager
def checking(path: Path, kind: type[ValueError] = ValueError) -> Iterator[None]:
    """Turns what goes wrong in a block that reads a file into one line: the file is damaged.

    Args:
        path: The file.
        kind: The error that is raised; one that is of this kind already passes.
    """
    try:
        yield
    except kind:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise kind(f"{path}: is damaged: {reason}") from error


def printable(text: str) -> str:
    """Text for a terminal: control characters, among them those of escape sequences, as Python writes them.

    Line breaks are among them, so that the text stays on its line.
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _target(path: Path) -> Path:
    """The file that is to be replaced, in a folder that is there."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if path.is_dir():
        raise IsADirectoryError("is a directory")
    # Links in a circle lead to no file, but to a link.
    if (path.exists() or target.is_symlink()) and not path.is_file():
        raise OSError("is no regular file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(folder for folder in target.parents if folder.exists())
        raise NotADirectoryError(f"is below {file}, which is a file, not a folder") from error
    return target


def _part(target: Path) -> Path:
    # Nobody can foresee the name and put a link there, and `tempfile` would give permissions of its own.
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    part.touch(exist_ok=False)
    return part


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name in front of what the system complains about in the block, as one line."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error) or type(error).__name__).splitlines()[0]
        raise type(error)(f"{path}: {reason[0].lower()}{reason[1:]}") from error
