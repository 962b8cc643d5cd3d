"""Wide tables of mixed columns: seconds and memory of fitting a model and drawing rows, by rows and columns.

Of every four columns, two hold numbers, with a quarter of the second's values missing; one holds categories and one
integers. All are made from the same few numbers. Each line is measured in its own process, compilation included, and
its peak is the most memory that the process ever held. Cells per second are those of the fit, and count all passes.
"CPU s" is the time of all cores together, which says more on a machine that others use too.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from machine import report

SIZES = ("2000x10", "2000x100", "2000x300", "2000x1000", "6x1000", "6x5000")
N_DRAWN = 100
LATENT = 5
"""Normal numbers per row, from which all columns are made."""


def table(rows: int, columns: int) -> dict[str, Any]:
    """Makes a table as columns by name."""
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((rows, LATENT))
    made: dict[str, Any] = {}
    for j in range(columns):
        value = causes @ rng.standard_normal(LATENT) + rng.standard_normal(rows)
        if j % 4 == 0:
            made[f"number{j}"] = value
        elif j % 4 == 1:
            made[f"kind{j}"] = np.array(list("abcdefgh"))[np.clip(value + 4, 0, 7).astype(int)]
        elif j % 4 == 2:
            # Some rows of every column have a value, however few there are.
            is_missing = (rng.random(rows) < 0.25) & (np.arange(rows) > 1)
            made[f"holed{j}"] = np.where(is_missing, np.nan, value)
        else:
            made[f"count{j}"] = np.floor(np.abs(4 * value)).astype(int)
    return made


def measured(size: str, epochs: int | None, n_drawn: int) -> dict[str, Any]:
    """Measures seconds and peaks of memory of this process."""
    import pandas as pd

    from pointillist import Diffusion

    rows, columns = (int(part) for part in size.split("x"))
    frame = pd.DataFrame(table(rows, columns))
    started, busy = time.perf_counter(), time.process_time()
    model = Diffusion(epochs=epochs, random_state=0).fit(frame)
    fitted = time.perf_counter()
    sizes = model.model_.codec.encoding.sizes
    found: dict[str, Any] = {"tokens": len(sizes), "values": sum(sizes)}
    found |= {"passes": len(model.history_), "fit_s": fitted - started, "fit_peak_mb": _peak_mb()}
    found["fit_cpu_s"] = time.process_time() - busy
    if n_drawn:
        drawn = model.sample(n_drawn, random_state=0)
        assert drawn.shape == (n_drawn, columns)
        found |= {"draw_s": time.perf_counter() - fitted, "peak_mb": _peak_mb()}
        found["draw_cpu_s"] = time.process_time() - busy - found["fit_cpu_s"]
    return found


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def main() -> None:
    """Prints the table; in the process of one line, measures that line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="ROWSxCOLUMNS")
    parser.add_argument("--epochs", type=int, help="passes over the rows; by default those of Diffusion")
    parser.add_argument("--draw", type=int, default=N_DRAWN, metavar="N", help="rows to draw; 0 for none")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.one, options.epochs, options.draw)))
        return
    found = {}
    draws = f" s to draw {options.draw} | CPU s |" if options.draw else ""
    print("| rows × columns | tokens | values | passes | s to fit | CPU s | peak MB | cells/s |" + draws)
    print("|---" * (10 if options.draw else 8) + "|")
    for size in options.sizes:
        runs = found[size] = [_run(size, options) for _ in range(options.repeats)]
        print("| " + " | ".join(_line(size, runs)) + " |", flush=True)
    report("wide_tables", {"draws": options.draw, "lines": found})


def _run(size: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", size, "--draw", str(options.draw)]
    command += [] if options.epochs is None else ["--epochs", str(options.epochs)]
    environment = {**os.environ, "POINTILLIST_CACHE": "off"}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def _line(size: str, runs: list[dict[str, Any]]) -> list[str]:
    first, fit = runs[0], _median(runs, "fit_s")
    rows, columns = (int(part) for part in size.split("x"))
    cells = [size.replace("x", " × "), *(str(first[name]) for name in ("tokens", "values", "passes"))]
    cells += [f"{fit:.1f}", f"{_median(runs, 'fit_cpu_s'):.1f}", f"{_median(runs, 'fit_peak_mb'):.0f}"]
    cells.append(f"{first['passes'] * rows * columns / fit:,.0f}")
    return cells + [f"{_median(runs, name):.1f}" for name in ("draw_s", "draw_cpu_s") if name in first]


def _median(runs: list[dict[str, Any]], name: str) -> float:
    return statistics.median(run[name] for run in runs)


if __name__ == "__main__":
    main()
