"""Start-up: seconds of `pointillist --help`, each in a new process."""

import subprocess
import sys
from pathlib import Path

from machine import median_and_range, report, seconds

REPEATS = 15


def main() -> None:
    """Prints the median."""
    command = [str(Path(sys.executable).with_name("pointillist")), "--help"]

    def run() -> None:
        subprocess.run(command, check=True, capture_output=True)

    run()
    taken = seconds(run, REPEATS)
    median, low, high = median_and_range(taken)
    print(f"pointillist --help: median {median:.3f} s of {REPEATS} ({low:.3f} to {high:.3f})")
    report("startup", {"help_s": taken})


if __name__ == "__main__":
    main()
