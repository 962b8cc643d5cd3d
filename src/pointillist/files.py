"""Files that are written whole or not at all."""

import os
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
    """Gives a temporary name in the same folder; what was written there becomes the file if the block ends well.

    Args:
        path: The file; its folder is made if needed.

    Yields:
        The temporary name. Nothing is left of it after the block.
    """
    part = _part(path)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Raises an OSError, in one line that starts with the path, if no file can be written there; makes its folder."""
    with naming(path):
        # A trial also tells of file systems that are read-only or full, and of names that are too long.
        part = _part(path)
        part.touch()
        part.unlink()


def _part(path: Path) -> Path:
    if path.is_dir():
        raise IsADirectoryError("is a directory")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(folder for folder in path.parents if folder.exists())
        raise NotADirectoryError(f"is below {file}, which is a file, not a folder") from error
    return path.with_name(f".{path.name}.{os.getpid()}.part")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Puts the file's name in front of what the system complains about in the block, as one line."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error) or type(error).__name__).splitlines()[0]
        raise type(error)(f"{path}: {reason[0].lower()}{reason[1:]}") from error
