"""Checks tracked files for what they must not be or hold; `make lint` runs it.

- A symbolic link: a checkout on another system, or the sdist, may not have it.
- An absolute path on somebody's machine, in a text file.
- A large file: more than a megabyte.
- An address in a file that pins versions: the user chooses the registry.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

LARGEST = 10**6
"""Most bytes of a file that is not in `LARGE`."""

LARGE: dict[str, str] = {}
"""Files that may be larger, with the reason."""

PATHS: dict[tuple[str, str], str] = {}
"""Text that looks like a path on a machine but is not: the file and the text found in it, with the reason."""

PINS = ("*constraints*.txt", "*requirements*.txt", "*.lock", "*-lock.json", "*-lock.yaml")
"""Names of files that pin versions."""

# Not after a letter, a dot or the like: those are parts of addresses and of relative paths.
_PATH = re.compile(r"(?<![\w.~)}\]-])/(?:home|root|work|Users)/\.?\w[\w.-]*|\b[A-Za-z]:\\+Users\\+\w+")
_ADDRESS = re.compile(r"\w+://[^\s\"']+|^\s*(?:-i|-f|--(?:extra-)?index-url|--find-links)\b.*", re.MULTILINE)


def main() -> int:
    """Prints a line for each fault and a closing one; returns the exit status."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        print("check_tracked: this is not a git checkout, so nothing is tracked")
        return 0
    files = tracked(root)
    found = [line for name, mode in files.items() for line in faults(root, name, mode)]
    print(*found, f"check_tracked: {len(files)} files, {len(found)} faults", sep="\n")
    return 1 if found else 0


def tracked(root: Path) -> dict[str, str]:
    """Returns the mode of every file in git's index, by name."""
    done = subprocess.run(["git", "ls-files", "--stage", "-z"], cwd=root, check=True, capture_output=True, text=True)
    entries = (line.split("\t", 1) for line in done.stdout.split("\0") if line)
    return {name: head.split()[0] for head, name in entries}


def faults(root: Path, name: str, mode: str) -> Iterator[str]:
    """Yields a line for each fault of a file.

    Args:
        root: Root of the checkout.
        name: Name of the file, relative to the root.
        mode: Mode of the file in git; 120000 is a symbolic link.
    """
    path = root / name
    if mode == "120000":
        yield f"{name}: is a symbolic link"
        return
    if not path.is_file():  # deleted, and not yet committed; or a submodule
        return
    content = path.read_bytes()
    if len(content) > LARGEST and name not in LARGE:
        yield f"{name}: has {len(content):,} bytes, more than {LARGEST:,}; shrink it, or give a reason in LARGE"
    if b"\0" in content:
        return
    text = content.decode(errors="replace")
    for found in _PATH.finditer(text):
        if (name, found[0]) not in PATHS:
            yield f"{name}:{_line(text, found)}: {found[0]} is a path of one machine"
    if any(fnmatch(path.name, pattern) for pattern in PINS):
        for found in _ADDRESS.finditer(text):
            yield f"{name}:{_line(text, found)}: {found[0].strip()!r} in a file of versions; leave the registry open"


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


if __name__ == "__main__":
    sys.exit(main())
