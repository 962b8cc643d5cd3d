"""Missing cells of 26 small tables, filled: distances of the filled cells and rows to the complete ones.

`--data FOLDER` names a folder with the tables of Jolicoeur-Martineau et al. 2024 (arXiv 2309.09968) as CSV files, with
`types.json` and `published_imputation.csv` (what others report). A fifth of all cells are removed completely at random.
A model is fitted to the table with gaps, to which missing
cells are unknown, and fills it `DRAWS` times. Cells are compared by Gower's distance: for
numbers |a - b| divided by the column's range in the complete table, for categories 0 or 1. MinMAE and AvgMAE are the
least and the mean distance of a removed cell's draws from what it held, averaged over the removed cells; W is the mean
distance of a filled row from the row of the complete table that it is matched with (optimal matching), summed over
columns, averaged over draws. The published columns are beside; their coverage rate, of regression coefficients, is not
repeated here. Seconds are those of a fit and all draws, with compilation.
"""

import argparse
import csv
import json
import os

# Fits are timed with what a first fit takes.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from machine import report
from pointillist import Diffusion
from small_tables import Table

DRAWS = 5
"""Number of filled tables."""

SHARE = 0.2
"""Share of the cells that are removed."""

PEERS = "MissForest", "miceforest"


def removed(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """Chooses cells to remove, shape (n, d); a row keeps at least one."""
    rng = np.random.default_rng(seed)
    is_removed = rng.random(rows.shape) < SHARE
    is_removed[np.arange(len(rows)), rng.integers(0, rows.shape[1], len(rows))] = False
    return is_removed


def cell_distances(table: Table, filled: pd.DataFrame) -> np.ndarray:
    """Gower's distance of each cell from that of the complete table, shape (n, d)."""
    parts = []
    for column in table.rows:
        truth, own = table.rows[column].to_numpy(), filled[column].to_numpy()
        if column in table.categories:
            parts.append((truth != own).astype(float))
        else:
            parts.append(np.abs(truth.astype(float) - own.astype(float)) / (np.ptp(truth) or 1))
    return np.stack(parts, axis=1)


def measured(table: Table, settings: dict[str, Any], seed: int) -> dict[str, float]:
    """Measures a table with the gaps of one seed."""
    is_removed = removed(table.rows, seed)
    gaps = table.rows.mask(is_removed)
    jax.clear_caches()
    start = time.perf_counter()
    model = Diffusion(**{"process": "masked", "missing": "unknown", **settings}, random_state=seed).fit(gaps)
    filled = model.impute(gaps, n_draws=DRAWS, random_state=seed)
    seconds = time.perf_counter() - start
    own = np.stack([cell_distances(table, each)[is_removed] for each in filled])
    truth, distances = table.points(table.rows, table.rows), []
    for each in filled:
        costs = cdist(table.points(each, table.rows), truth, "cityblock")
        distances.append(costs[linear_sum_assignment(costs)].mean())
    return {
        "MinMAE": float(own.min(axis=0).mean()),
        "AvgMAE": float(own.mean()),
        "W": float(np.mean(distances)),
        "seconds": seconds,
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the tables")
    parser.add_argument(
        "--tables", type=lambda text: text.split(","), help="names of some tables, by commas; all by default"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of Diffusion, as JSON")
    options = parser.parse_args()
    kinds = json.loads((options.data / "types.json").read_text())
    with (options.data / "published_imputation.csv").open() as file:
        reported = {(row["dataset"], row["method"]): row for row in csv.DictReader(file)}
    own = "table", "MinMAE", "AvgMAE", "W", "s"
    print(f"| {' | '.join([*own, *(f'{peer}: MinMAE, AvgMAE, W' for peer in PEERS)])} |")
    print(f"|{'---|' * (len(own) + len(PEERS))}")
    results = {}
    for name in options.tables or sorted(kinds):
        table = Table(options.data, name, kinds[name])
        runs = [measured(table, options.settings, seed) for seed in range(options.repeats)]
        found = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
        theirs = []
        for peer in PEERS:
            row = reported.get((name, peer))
            values = [] if row is None else [f"{float(row[key]):.3f}" for key in ("MinMAE", "AvgMAE", "W_train")]
            theirs.append(", ".join(values))
        cells = [*(f"{found[key]:.3f}" for key in ("MinMAE", "AvgMAE", "W")), f"{found['seconds']:.0f}"]
        print(f"| {' | '.join([name, *cells, *theirs])} |", flush=True)
        results[name] = runs
    report("imputation", results)


if __name__ == "__main__":
    main()
