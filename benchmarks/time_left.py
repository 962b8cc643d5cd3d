"""The time left that a fit shows, relative to the time that it then takes, for CSV files.

The progress lines of `pointillist fit FILE --minutes M` are read as they are printed, every 15 seconds. Best: 1.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import report

LINE = re.compile(r"(\d+)%  (\d+) s left")


def ratios(file: Path, options: list[str]) -> list[tuple[int, float]]:
    """Returns the percentage done and the ratio of each progress line from a tenth of the way on."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pointillist", "fit", file, "-o", Path(folder) / "fitted.model", *options]
        with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True) as process:
            lines = [(time.monotonic(), line) for line in process.stderr or ()]
        if process.returncode:
            raise SystemExit(lines[-1][1])
    ended = time.monotonic()
    print("".join(line for _, line in lines), file=sys.stderr)
    shown = [(at, *map(int, found.groups())) for at, line in lines if (found := LINE.search(line))]
    return [(percent, left / (ended - at)) for at, percent, left in shown if percent >= 10]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0])
    arguments = parser.parse_args()
    found = {}
    print("| file | minutes | time left / truth, lowest to highest | lines within 20 % |\n|---|---|---|---|")
    for file in arguments.files:
        for minutes in arguments.minutes:
            each = ratios(file, ["--minutes", str(minutes)])
            found[f"{file.name} {minutes:g}"] = each
            values = [ratio for _, ratio in each]
            within = sum(abs(ratio - 1) <= 0.2 for ratio in values)
            spread = f"{min(values):.2f} to {max(values):.2f}"
            print(f"| {file.name} | {minutes:g} | {spread} | {within} of {len(values)} |", flush=True)
    report("time_left", found)


if __name__ == "__main__":
    main()
