"""Missing cells of 26 small tables, filled: distances of the filled cells and rows to the complete ones.

`--data FOLDER` names a folder with the tables of Jolicoeur-Martineau et al. 2024 (arXiv 2309.09968) as CSV files, with
`types.json` and `published_imputation.csv` (what others report). The protocol is that of the paper: repeat i takes the
training rows of `train_test_split(test_size=0.2, random_state=i)`, stratified by class, and removes a fifth of all
cells but those of the outcome y, completely at random. A model is fitted to the rows with gaps, to which missing cells
are unknown, and fills them `DRAWS` times. Cells are compared by Gower's distance: for numbers |a - b| divided by the
column's range in the complete rows, for categories 0 or 1. MinMAE adds the distances of a row's cells, takes the least
of the draws, and divides the sum over rows by the number of removed cells; AvgMAE is the mean distance of a removed
cell's draws from what it held; W is the mean distance of a filled row from the complete row that it is matched with
(optimal matching), summed over columns, averaged over draws, for tables of fewer than `MATCHED` rows. Coverage is that
of regression: the share of the coefficients of the complete rows (least squares of y, where it is a number) within the
95 % intervals of those of filled rows, averaged over draws.

CRPS is no part of the protocol: the mean distance of draws from what the cell held less half their mean distance from
one another (Gneiting & Raftery 2007, equation 21, with the pairs of different draws alone). It is the only one of the
five that is least for draws from the right distribution; draws that are all the same value have the lower AvgMAE and W,
which is why medians are measured too. Seconds are those of a fit and all draws, with compilation.

`--methods missforest miceforest` runs these on the same gaps (`peers/imputation.py`); what was measured earlier, of
some tables or methods, is read from the JSON that this writes (`--earlier FILE …`), and printed and ranked with it.
Methods are ranked beside what the paper reports of them, and those that were run beside one another.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from itertools import combinations

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
from scipy.stats import rankdata, t

from machine import HERE, report
from pointillist import Diffusion
from small_tables import Table

OWN = "pointillist", "pointillist, medians"
"""The two ways in which a fitted model fills a table."""

DRAWS = 5
"""Number of filled tables."""

SHARE = 0.2
"""Share of the cells that are removed."""

MATCHED = 5_000
"""Number of rows below which they are matched, as in the paper."""

MEASURES = "MinMAE", "AvgMAE", "W", "coverage", "CRPS"

HIGHER = "coverage"
"""The measure of which more is better."""

REPORTED = {"MinMAE": "MinMAE", "AvgMAE": "AvgMAE", "W": "W_train", "coverage": "CoverageRate"}
"""Names of the measures in the file of published ones; 0 stands for what was not measured."""

PUBLISHED = "MissForest", "miceforest"

METHODS = "pointillist", "missforest", "miceforest"

PEERS = HERE.parent / ".venv-imputation" / "bin" / "python"
"""The Python that has the other methods."""


def removed(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """Chooses cells to remove, shape (n, d), of all columns but y; a row that would lose all others keeps one."""
    rng = np.random.default_rng(seed)
    is_removed = (rng.random(rows.shape) < SHARE) & (rows.columns != "y")
    empty = np.flatnonzero(is_removed[:, rows.columns != "y"].all(axis=1))
    is_removed[empty, rng.choice(np.flatnonzero(rows.columns != "y"), len(empty))] = False
    return is_removed


def filled(
    methods: list[str], gaps: pd.DataFrame, settings: dict[str, Any], n_draws: int, seed: int
) -> dict[str, tuple[list[pd.DataFrame], float]]:
    """Fills a table several times by each method; also returns the seconds that each takes."""
    found = {}
    for method in methods:
        if method == METHODS[0]:
            found |= filled_here(gaps, settings, n_draws, seed)
        else:
            found[method] = filled_by(method, gaps, n_draws, seed)
    return found


def filled_by(
    method: str, gaps: pd.DataFrame, n_draws: int, seed: int, python: str | Path = PEERS
) -> tuple[list[pd.DataFrame], float]:
    """Fills a table several times by a peer, and prints what it says to stderr; also returns the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "gaps.parquet"), Path(folder, "filled.parquet")
        gaps.to_parquet(before, index=False)
        command = [python, HERE / "peers" / "imputation.py", method, before, after, "--draws", n_draws, "--seed", seed]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        filled = pd.read_parquet(after)
    draws = [filled.iloc[i * len(gaps) : (i + 1) * len(gaps)].reset_index(drop=True) for i in range(n_draws)]
    *said, last = done.stdout.splitlines()
    print(*said, sep="\n", end="\n" * bool(said), file=sys.stderr, flush=True)
    return draws, json.loads(last)["seconds"]


def filled_here(
    gaps: pd.DataFrame, settings: dict[str, Any], n_draws: int, seed: int
) -> dict[str, tuple[list[pd.DataFrame], float]]:
    """Fills a table several times by draws, and once by medians; also returns the seconds with those of the fit."""
    jax.clear_caches()
    start = time.perf_counter()
    model = Diffusion(**{"process": "masked", "missing": "unknown", **settings}, random_state=seed).fit(gaps)
    fitted = time.perf_counter()
    drawn = model.impute(gaps, n_draws=n_draws, random_state=seed)
    done = time.perf_counter()
    medians = [model.impute(gaps, statistic="median")] * n_draws
    both = (drawn, done - start), (medians, time.perf_counter() - done + fitted - start)
    return dict(zip(OWN, both, strict=True))


def cell_distances(table: Table, whole: pd.DataFrame, one: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """Gower's distance between the cells of two tables, shape (n, d), in ranges of the complete rows."""
    parts = []
    for column in whole:
        a, b = one[column].to_numpy(), other[column].to_numpy()
        if column in table.categories:
            parts.append((a != b).astype(float))
        else:
            parts.append(np.abs(a.astype(float) - b.astype(float)) / (np.ptp(whole[column].to_numpy()) or 1))
    return np.stack(parts, axis=1)


def measured(table: Table, whole: pd.DataFrame, is_removed: np.ndarray, draws: list[pd.DataFrame]) -> dict[str, float]:
    """Measures filled rows: those of `MEASURES` that there are for the table."""
    own = np.stack([cell_distances(table, whole, each, whole) * is_removed for each in draws])
    n_cells = is_removed.sum()
    mean = own.sum() / n_cells / len(draws)
    between = [(cell_distances(table, whole, *pair) * is_removed).sum() / n_cells for pair in combinations(draws, 2)]
    found = {"MinMAE": own.sum(axis=2).min(axis=0).sum() / n_cells, "AvgMAE": mean, "CRPS": mean - np.mean(between) / 2}
    if len(whole) < MATCHED:
        truth, distances = table.points(whole, whole), []
        for each in draws:
            costs = cdist(table.points(each, whole), truth, "cityblock")
            distances.append(costs[linear_sum_assignment(costs)].mean())
        found["W"] = np.mean(distances)
    if "y" not in table.categories:
        truth, _ = coefficients(whole)
        ends = [coefficients(each) for each in draws]
        found["coverage"] = np.mean([np.abs(center - truth) < width for center, width in ends])
    return {key: float(value) for key, value in found.items()}


def coefficients(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of the least-squares fit of y to numbers, and half the widths of their 95 % intervals."""
    X = np.column_stack([np.ones(len(rows)), rows.drop(columns="y").to_numpy(float)])
    inverse = np.linalg.pinv(X)
    found = inverse @ rows["y"].to_numpy(float)
    freedom = len(X) - np.linalg.matrix_rank(X)
    variance = ((rows["y"].to_numpy(float) - X @ found) ** 2).sum() / freedom
    return found, t.ppf(0.975, freedom) * np.sqrt(variance * (inverse**2).sum(axis=1))


def mean_ranks(results: dict[str, dict[str, dict[str, float]]], ways: list[str]) -> dict[str, tuple[int, list[float]]]:
    """The number of tables on which all of the methods have a measure, and their mean ranks there; 1 is the best."""
    found: dict[str, tuple[int, list[float]]] = {}
    for measure in MEASURES:
        values = [[own.get(way, {}).get(measure, np.nan) for way in ways] for own in results.values()]
        whole = np.array([row for row in values if not np.isnan(row).any()])
        if len(whole):
            ranks = rankdata(-whole if measure == HIGHER else whole, axis=1)
            found[measure] = len(whole), ranks.mean(axis=0).tolist()
    return found


def published(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Reads what the paper reports of `PUBLISHED`, by table and method."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["method"] in PUBLISHED:
                values = {own: float(row[their]) for own, their in REPORTED.items()}
                own = {key: value for key, value in values.items() if value} | {"seconds": float(row["seconds"])}
                found.setdefault(row["dataset"], {})[f"{row['method']}, published"] = own
    return found


def averages(runs: list[dict[str, float]]) -> dict[str, float]:
    """Means over the repeats."""
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the tables")
    parser.add_argument(
        "--tables", type=lambda text: text.split(","), help="names of some tables, by commas, or ''; all by default"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of Diffusion, as JSON")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS[:1], help="by default this one alone")
    parser.add_argument(
        "--earlier", nargs="+", type=Path, default=[], metavar="FILE", help="results to rank with these"
    )
    options = parser.parse_args()
    kinds = json.loads((options.data / "types.json").read_text())
    asked = sorted(kinds) if options.tables is None else [name for name in options.tables if name]
    if unknown := set(asked) - set(kinds):
        parser.error(f"there is no table {', '.join(unknown)}")
    theirs = published(options.data / "published_imputation.csv")
    results: dict[str, Any] = {}
    earlier: dict[str, Any] = {}
    for path in options.earlier:
        for name, ways in json.loads(path.read_text()).items():
            if name in kinds:
                earlier.setdefault(name, {}).update(ways)
    print(f"| table | method | repeats | {' | '.join(MEASURES)} | s |")
    print(f"|{'---|' * (4 + len(MEASURES))}")
    summary: dict[str, dict[str, dict[str, float]]] = {}
    for name in sorted({*asked, *earlier}):
        table = Table(options.data, name, kinds[name])
        runs: dict[str, list[dict[str, float]]] = {}
        for seed in range(options.repeats if name in asked else 0):
            whole = table.divided(0.2, seed)[0].reset_index(drop=True)
            is_removed = removed(whole, seed)
            for way, (draws, seconds) in filled(
                options.methods, whole.mask(is_removed), options.settings, DRAWS, seed
            ).items():
                runs.setdefault(way, []).append(measured(table, whole, is_removed, draws) | {"seconds": seconds})
        if runs:
            results[name] = runs
        together = earlier.get(name, {}) | runs
        summary[name] = {way: averages(own) for way, own in together.items()} | theirs.get(name, {})
        for way, found in summary[name].items():
            cells = [f"{found[key]:.3f}" if key in found else "" for key in MEASURES]
            cells = [name, way, str(len(together.get(way, ""))), *cells, f"{found['seconds']:.0f}"]
            print(f"| {' | '.join(cells)} |", flush=True)
    for ways in ([*OWN, *(f"{each}, published" for each in PUBLISHED)], [*OWN, *METHODS[1:]]):
        for measure, (count, ranks) in mean_ranks(summary, ways).items():
            cells = [f"{way} {rank:.2f}" for way, rank in zip(ways, ranks, strict=True)]
            print(f"mean rank by {measure} on {count} tables: {', '.join(cells)}")
    if taken := [own[OWN[0]]["seconds"] for own in summary.values() if OWN[0] in own]:
        print(f"median seconds of {len(taken)} tables: {np.median(taken):.0f}")
    report("imputation", results)


if __name__ == "__main__":
    main()
