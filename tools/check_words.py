"""Checks that names, docstrings, messages and documentation use few of the phrases in `words.txt`.

The phrases are a sample: a text that says things plainly needs hardly any of them.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = "src", "docs", "tests"
ENDINGS = ".py", ".md", ".js"

LIMIT = 1.0
"""Largest number of phrases per 1,000 words in a folder."""


def phrases() -> list[str]:
    """Returns the regular expressions of the phrases."""
    lines = Path(__file__).with_name("words.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def main() -> int:
    """Prints the frequency in each folder; returns 1 if one exceeds the limit, and 0 otherwise."""
    pattern, status = re.compile("|".join(phrases())), 0
    for folder in FOLDERS:
        found_files = sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in ENDINGS and path.is_file())
        files = [path for path in found_files if "_build" not in path.parts]
        n_words, found = 0, []
        for path in files:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                n_words += len(line.split())
                found += [f"{path.relative_to(ROOT)}:{number}: {phrase}" for phrase in pattern.findall(line)]
        frequency = 1000 * len(found) / n_words
        print(f"check_words: {folder}: {len(found)} phrases, {frequency:.2f} per 1,000 words (limit {LIMIT:g})")
        if frequency > LIMIT:
            print(*found, sep="\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
