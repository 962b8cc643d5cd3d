"""How far the likelihoods of a study are from converged ones: its models' held-out rows again, in more and more steps.

It reads the store that `pointillist study` leaves (the models of seed 0), and prints for each number of steps the
largest and the root mean square difference of the mean log-density from that with the most steps.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from machine import report
from pointillist.engine.devices import configure
from pointillist.engine.mapping import LogDensity, map_rows
from pointillist.progress import Bar, Interruption
from pointillist.study.grid import study_cells
from pointillist.study.measuring import held_out
from pointillist.study.models import denoiser_of
from pointillist.study.results import Results
from pointillist.study.shared import Shared, Study
from pointillist.study.store import Store


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="study.db of a study that has likelihoods")
    parser.add_argument("--steps", type=int, nargs="+", default=[40, 60, 480])
    options = parser.parse_args()
    configure()
    results = Results(Store(options.store))
    study = Study(results.spec, {name: results.dataset(name) for name in results.fingerprints})
    cells = [c for c in study_cells(results.spec, results.fingerprints) if c.seed == 0 and c.settings.kind == "rows"]
    bar = Bar(Console(quiet=True), 1.0, is_shown=False)
    shared = Shared(study, results.store, bar, Interruption())
    found, seconds = {}, {}
    for steps in sorted(options.steps):
        start = time.perf_counter()
        found[steps] = np.array([_mean(shared, cell, steps) for cell in cells])
        seconds[steps] = time.perf_counter() - start
    best = found[max(found)]
    print(f"{len(cells)} models; nats from {max(found)} steps")
    for steps, means in found.items():
        apart = np.abs(means - best)
        print(
            f"{steps:>5} steps: at most {apart.max():.4f}, rms {np.sqrt((apart**2).mean()):.4f}, {seconds[steps]:.0f} s"
        )
    report("study_likelihoods", {"nll": {n: means.tolist() for n, means in found.items()}, "seconds": seconds})


def _mean(shared: Shared, cell: object, steps: int) -> float:
    fresh = held_out(shared.dataset(cell).name, cell.settings.n_held_out)
    return float(-map_rows(LogDensity(denoiser_of(shared, cell), steps), fresh[0]).mean())


if __name__ == "__main__":
    main()
