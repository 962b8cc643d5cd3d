"""Seconds of `pointillist --help`, and of `pointillist fit` for one epoch, each in a new process.

The second `fit` finds compiled programs in the cache; the third also does, and ends as its first step begins.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from machine import median_and_range, report, seconds
from pointillist import load_pointset

REPEATS, FEW_REPEATS = 15, 5

UNTIL_TRAINING = """
import os, gc
gc.set_threshold(100_000)  # as the command does, before it imports anything
from pointillist.engine import training
run = training._run
training._run = lambda *arguments, **options: (run(*arguments, **options), os._exit(0))
from pointillist.cli import main
main()
"""


def main() -> None:
    """Prints the medians."""
    command = str(Path(sys.executable).with_name("pointillist"))

    def run(*arguments: str, cache: str = "off") -> None:
        environment = {**os.environ, "POINTILLIST_CACHE": cache}
        subprocess.run([command, *arguments], check=True, capture_output=True, env=environment)

    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/moons.npy", load_pointset("moons")[0])
        fit = "fit", f"{folder}/moons.npy", "--out", f"{folder}/moons.model", "--epochs", "1"
        run("--help")
        taken["--help"] = seconds(lambda: run("--help"), REPEATS)
        taken["fit, nothing compiled"] = seconds(lambda: run(*fit), FEW_REPEATS)
        run(*fit, cache=f"{folder}/cache")
        taken["fit, compiled before"] = seconds(lambda: run(*fit, cache=f"{folder}/cache"), FEW_REPEATS)
        until_training = [sys.executable, "-c", UNTIL_TRAINING, *fit]
        cached = {**os.environ, "POINTILLIST_CACHE": f"{folder}/cache"}
        taken["fit, until it trains"] = seconds(
            lambda: subprocess.run(until_training, check=True, capture_output=True, env=cached), FEW_REPEATS
        )
        importing = [sys.executable, "-c", "from pointillist import Diffusion; Diffusion"]
        taken["import of Diffusion"] = seconds(lambda: subprocess.run(importing, check=True), FEW_REPEATS)
    for name, values in taken.items():
        median, low, high = median_and_range(values)
        print(f"{name:<24} median {median:.2f} s of {len(values)} ({low:.2f} to {high:.2f})")
    report("startup", {"seconds": taken})


if __name__ == "__main__":
    main()
