"""Missing cells of 26 small tables, filled: distances of the filled cells and rows to the complete ones.

`--data FOLDER` names a folder with the tables of Jolicoeur-Martineau et al. 2024 (arXiv 2309.09968) as CSV files, with
`types.json` and `published_imputation.csv` (what others report). A fifth of all cells are removed completely at
random. A model is fitted to the table with gaps, to which missing cells are unknown, and fills it `DRAWS` times. Cells
are compared by Gower's distance: for numbers |a - b| divided by the column's range in the complete table, for
categories 0 or 1. MinMAE and AvgMAE are the least and the mean distance of a removed cell's draws from what it held,
averaged over the removed cells; W is the mean distance of a filled row from the row of the complete table that it is
matched with (optimal matching), summed over columns, averaged over draws. CRPS is the mean distance of draws from what
the cell held less half their mean distance from one another (Gneiting & Raftery 2007, equation 21, with the pairs of
different draws alone): the only one of the four that is least for draws from the right distribution; draws that are
all the same value have the lower AvgMAE and W, which is why medians are measured too. The published columns are beside;
their coverage rate, of regression coefficients, is not repeated here. Seconds are those of a fit and all draws, with
compilation.

`--methods missforest miceforest` runs these on the same gaps (`peers/imputation.py`); what was measured earlier, of
some tables or methods, is read from the JSON that this writes (`--earlier FILE …`), and printed and ranked with it.
`--adult` and `--beijing` name folders as for `mixed.py`: of `ROWS` training rows, cells of all columns but the target
are removed, completely at random, by the rank of the first column, which stays whole (MAR), or by each cell's own
(MNAR); boosted trees that are trained on the filled rows then predict the target of all held-out rows.
"""

import argparse
import csv
import json
import os
import subprocess
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
from scipy.stats import rankdata

from machine import HERE, report
from mixed import uci
from pointillist import Diffusion
from pointillist.metrics import utility
from small_tables import Table

OWN = "pointillist", "pointillist, medians"
"""The two ways in which a fitted model fills a table."""

DRAWS = 5
"""Number of filled tables."""

SHARE = 0.2
"""Share of the cells that are removed."""

MEASURES = "MinMAE", "AvgMAE", "W", "CRPS"

PUBLISHED = "MissForest", "miceforest"

METHODS = "pointillist", "missforest", "miceforest"

ROWS = 10_000
"""Number of training rows of the larger tables."""

MECHANISMS = "MCAR", "MAR", "MNAR"


def removed(rows: pd.DataFrame, seed: int, mechanism: str = "MCAR") -> np.ndarray:
    """Chooses cells to remove, shape (n, d); a row keeps at least one."""
    rng = np.random.default_rng(seed)
    is_removed = rng.random(rows.shape) < chances(rows, mechanism)
    is_removed[np.arange(len(rows)), rng.integers(0, rows.shape[1], len(rows))] = False
    return is_removed


def chances(rows: pd.DataFrame, mechanism: str) -> np.ndarray:
    """Chance of each cell to be removed, shape (n, d), `SHARE` on average: by ranks for MAR and MNAR."""
    chance = np.full(rows.shape, SHARE)
    if mechanism == "MCAR":
        return chance
    ranks = rows.rank(pct=True).to_numpy()
    if mechanism == "MAR":
        ranks = np.tile(ranks[:, :1], (1, rows.shape[1]))
        ranks[:, 0] = 0
    return 2 * chance * ranks


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


def filled_by(method: str, gaps: pd.DataFrame, n_draws: int, seed: int) -> tuple[list[pd.DataFrame], float]:
    """Fills a table several times by a peer, and prints what it says; also returns the seconds."""
    python = HERE.parent / ".venv-imputation" / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "gaps.parquet"), Path(folder, "filled.parquet")
        gaps.to_parquet(before, index=False)
        command = [python, HERE / "peers" / "imputation.py", method, before, after, "--draws", n_draws, "--seed", seed]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        filled = pd.read_parquet(after)
    draws = [filled.iloc[i * len(gaps) : (i + 1) * len(gaps)].reset_index(drop=True) for i in range(n_draws)]
    *said, last = done.stdout.splitlines()
    print(*said, sep="\n", end="\n" * bool(said), flush=True)
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


def cell_distances(table: Table, one: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """Gower's distance between the cells of two tables, shape (n, d)."""
    parts = []
    for column in table.rows:
        a, b = one[column].to_numpy(), other[column].to_numpy()
        if column in table.categories:
            parts.append((a != b).astype(float))
        else:
            parts.append(np.abs(a.astype(float) - b.astype(float)) / (np.ptp(table.rows[column].to_numpy()) or 1))
    return np.stack(parts, axis=1)


def measured(table: Table, is_removed: np.ndarray, draws: list[pd.DataFrame]) -> dict[str, float]:
    """Measures filled tables."""
    own = np.stack([cell_distances(table, each, table.rows)[is_removed] for each in draws])
    between = [cell_distances(table, *pair)[is_removed].mean() for pair in combinations(draws, 2)]
    truth, distances = table.points(table.rows, table.rows), []
    for each in draws:
        costs = cdist(table.points(each, table.rows), truth, "cityblock")
        distances.append(costs[linear_sum_assignment(costs)].mean())
    found = own.min(axis=0).mean(), own.mean(), np.mean(distances), own.mean() - np.mean(between) / 2
    return dict(zip(MEASURES, map(float, found), strict=True))


def plain(cells: pd.Series) -> np.ndarray:
    """Cells of a column as float64 numbers, NaN where one is missing, or as text, None where it is."""
    if pd.api.types.is_numeric_dtype(cells):
        return cells.to_numpy(float)
    return cells.astype(object).where(cells.notna(), None).to_numpy()


def usefulness(
    name: str, folder: Path, settings: dict[str, Any], methods: list[str], seed: int
) -> dict[str, dict[str, float]]:
    """The utility of filled rows of a larger table by mechanism and method, beside that of the complete rows."""
    train, test, target = uci(name, folder)
    order = np.random.default_rng(seed).permutation(len(train))[:ROWS]
    rows, held_out = train.take(np.sort(order)).to_pandas(), test.to_pandas()
    features = rows.drop(columns=target)

    def score(whole: pd.DataFrame) -> float:
        sides = [{column: plain(side[column]) for column in rows} for side in (rows, whole, held_out)]
        return float(utility(*sides, target).of_rows)

    found: dict[str, dict[str, float]] = {}
    for mechanism in MECHANISMS:
        gaps = rows.copy()
        gaps[features.columns] = features.mask(removed(features, seed, mechanism))
        ways = filled(methods, gaps, settings, 1, seed)
        found[mechanism] = {"complete": score(rows), "gaps as they are": score(gaps)}
        found[mechanism] |= {way: score(draws[0]) for way, (draws, _) in ways.items()}
        cells = [f"{way} {value:.3f}" for way, value in found[mechanism].items()]
        seconds = ", ".join(f"{way} {own:.0f}" for way, (_, own) in ways.items())
        print(f"| {name} | {mechanism} | {' | '.join(cells)} | {seconds} |", flush=True)
    return found


def mean_ranks(results: dict[str, dict[str, list[dict[str, float]]]]) -> dict[str, dict[str, float]]:
    """The mean rank of each method over the tables and gaps that all were run on, by measure; 1 is the best."""
    ways = list(dict.fromkeys(way for runs in results.values() for way in runs))
    whole = [runs for runs in results.values() if len(runs) == len(ways)]
    found: dict[str, dict[str, float]] = {}
    for measure in MEASURES if whole else ():
        values = []
        for runs in whole:
            repeats = min(map(len, runs.values()))
            values.append([np.mean([run[measure] for run in runs[way][:repeats]]) for way in ways])
        found[measure] = dict(zip(ways, rankdata(values, axis=1).mean(axis=0).tolist(), strict=True))
    return found


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
    parser.add_argument("--adult", type=Path, metavar="FOLDER")
    parser.add_argument("--beijing", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    kinds = json.loads((options.data / "types.json").read_text())
    asked = sorted(kinds) if options.tables is None else [name for name in options.tables if name]
    if unknown := set(asked) - set(kinds):
        parser.error(f"there is no table {', '.join(unknown)}")
    with (options.data / "published_imputation.csv").open() as file:
        reported = {(row["dataset"], row["method"]): row for row in csv.DictReader(file)}
    print(f"| table | method | {' | '.join(MEASURES)} | s | {' | '.join(f'{each}, published' for each in PUBLISHED)} |")
    print(f"|{'---|' * (3 + len(MEASURES) + len(PUBLISHED))}")
    results: dict[str, Any] = {}
    earlier: dict[str, Any] = {}
    for path in options.earlier:
        for name, ways in json.loads(path.read_text()).items():
            if name in kinds:
                earlier.setdefault(name, {}).update(ways)
    for name in sorted({*asked, *earlier}):
        table = Table(options.data, name, kinds[name])
        runs: dict[str, list[dict[str, float]]] = {}
        for seed in range(options.repeats if name in asked else 0):
            is_removed = removed(table.rows, seed)
            gaps = table.rows.mask(is_removed)
            for way, (draws, seconds) in filled(options.methods, gaps, options.settings, DRAWS, seed).items():
                runs.setdefault(way, []).append(measured(table, is_removed, draws) | {"seconds": seconds})
        if runs:
            results[name] = runs
        together = earlier.setdefault(name, {})
        together.update(runs)
        theirs = []
        for peer in PUBLISHED:
            row = reported.get((name, peer))
            values = [] if row is None else [f"{float(row[key]):.3f}" for key in ("MinMAE", "AvgMAE", "W_train")]
            theirs.append(", ".join(values))
        for way, own in together.items():
            found = {key: float(np.mean([run[key] for run in own])) for key in own[0]}
            cells = [*(f"{found[key]:.3f}" for key in MEASURES), f"{found['seconds']:.0f}"]
            print(f"| {' | '.join([name, way, *cells, *theirs])} |", flush=True)
    for measure, ranks in mean_ranks(earlier).items():
        print(f"mean rank by {measure}: {', '.join(f'{way} {rank:.2f}' for way, rank in ranks.items())}")
    for name, folder in (("adult", options.adult), ("beijing", options.beijing)):
        if folder is not None:
            results[name] = usefulness(name, folder, options.settings, options.methods, 0)
    report("imputation", results)


if __name__ == "__main__":
    main()
