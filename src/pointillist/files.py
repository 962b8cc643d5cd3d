"""Files that are written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
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

    Args:
        path: The file, which may be a link to it; its folder is made if needed. What is there must be a regular file.

    Yields:
        The empty file, of a hidden name that no other call gives. Nothing is left of it after the block.
    """
    target = _target(path)
    part = _part(target)
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Raises an OSError, in one line that starts with the path, if no file can be written there; makes its folder."""
    with naming(path):
        # A trial also tells of file systems that are read-only or full, and of names that are too long.
        _part(_target(path)).unlink()


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


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name in front of what the system complains about in the block, as one line."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error) or type(error).__name__).splitlines()[0]
        raise type(error)(f"{path}: {reason[0].lower()}{reason[1:]}") from error
