"""Missing cells of four larger tables, filled: errors by method, for cells that are missing for three reasons.

The protocol is that of Zhang et al. 2025 (DiffPuter, arXiv 2405.20690): `SHARE` of the cells of all columns but the
target are removed, by the mechanisms of Muzellec et al. 2020 (arXiv 2002.03860, section 4):

- MCAR: each cell with the same probability;
- MAR: cells of 70 % of the columns, by a logistic model of the other columns, which are not removed; its weights are
  random, and its constant makes the share right;
- MNAR: the same, but cells of the other columns are removed too, each with the same probability.

A method is fitted to the rows with gaps, and fills them. Errors are those of removed cells, of numbers in standard
deviations of their column: MAE of the median of the filled tables, RMSE of their mean, and CRPS, the mean distance of
filled tables from the true value less half their mean distance from one another (Gneiting & Raftery 2007, equation 21,
with the pairs of different tables alone). Accuracy is the share of categories whose most frequent draw is true. A
method that fills cells with one guess has one table. Seconds are those of a fit and all filled tables.

"new rows" are held-out rows with gaps, removed in the same way, filled by the model that was fitted to the others.
"trees" is the utility of the rows of the first filled table, with their targets: boosted trees that are trained on them
predict the target of complete held-out rows (AUC, or R² of Beijing); with whole rows and with gaps beside it.

`--data FOLDER` names the folder of the tables: california_train.csv.gz and california_test.csv.gz in `imputation`, and
train.csv.gz and test.csv.gz in `adult`, `beijing` and `default`. `--peers METHOD=PYTHON …` runs others, each by a
Python that has it (`peers/imputation.py`). `--rows` takes the first rows of the tables
alone, the published results all.
"""

import argparse
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_numeric_dtype
from pyarrow import csv
from scipy.optimize import brentq
from scipy.special import expit

from imputation import filled_by
from machine import report
from mixed import uci
from pointillist import Diffusion
from pointillist.metrics import utility

TABLES = "california", "adult", "beijing", "default"
MECHANISMS = "MCAR", "MAR", "MNAR"

SHARE = 0.3
"""Share of the cells that are removed, and of the columns on which the removal of the others depends."""

DRAWS = 5
"""Number of tables that methods that draw cells fill."""

SINGLE = "missforest", "hyperimpute"
"""Methods that fill cells with one guess."""

MEASURES = "MAE", "RMSE", "CRPS", "accuracy"


def read(name: str, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Reads training and held-out rows of a table, categories as text and numbers as floats, and its target."""
    if name == "california":
        tables = [csv.read_csv(folder / "imputation" / f"california_{part}.csv.gz") for part in ("train", "test")]
        return *(plain(table) for table in tables), "ocean_proximity"
    train, test, target = uci(name, folder / name)
    return plain(train), plain(test), target


def plain(table: pa.Table) -> pd.DataFrame:
    """Returns a table with numbers as floats."""
    frame = table.to_pandas()
    return frame.astype({column: float for column in frame if is_numeric_dtype(frame[column])})


def known(new: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Returns new rows without those that have a category that no row with gaps has."""
    is_known = np.ones(len(new), bool)
    for column in rows:
        is_known &= new[column].isin(rows[column]) | is_numeric_dtype(rows[column])
    return new[is_known].reset_index(drop=True)


def removed(rows: pd.DataFrame, mechanism: str, rng: np.random.Generator) -> np.ndarray:
    """Chooses cells to remove, shape (n, d); a row that would lose all keeps one."""
    n, d = rows.shape
    is_removed = rng.random((n, d)) < SHARE
    if mechanism != "MCAR":
        inputs = rng.choice(d, max(int(SHARE * d), 1), replace=False)
        others = np.setdiff1d(np.arange(d), inputs)
        codes = np.stack([cells if is_numeric_dtype(cells) else pd.factorize(cells)[0] for _, cells in rows.items()], 1)
        scores = codes[:, inputs] @ rng.standard_normal((len(inputs), len(others)))
        scores /= scores.std(axis=0)
        share = SHARE / (1 - SHARE) if mechanism == "MAR" else SHARE
        for column, score in zip(others, scores.T, strict=True):
            constant = brentq(lambda c, score=score: expit(score + c).mean() - share, -1e6, 1e6)
            is_removed[:, column] = rng.random(n) < expit(score + constant)
        is_removed[:, inputs] &= mechanism == "MNAR"
    empty = np.flatnonzero(is_removed.all(axis=1))
    is_removed[empty, rng.integers(d, size=len(empty))] = False
    return is_removed


def measured(rows: pd.DataFrame, is_removed: np.ndarray, tables: list[pd.DataFrame]) -> dict[str, float]:
    """Measures filled tables: those of `MEASURES` for which there are columns."""
    found: dict[str, list[np.ndarray]] = {measure: [] for measure in MEASURES}
    for j in np.flatnonzero(is_removed.any(axis=0)):
        column = rows.columns[j]
        true = rows[column].to_numpy()[is_removed[:, j]]
        drawn = np.stack([table[column].to_numpy()[is_removed[:, j]] for table in tables])
        if not is_numeric_dtype(rows[column]):
            guess = pd.DataFrame(drawn).mode().iloc[0].to_numpy()
            found["accuracy"].append(guess == true)
            continue
        drawn, true = drawn.astype(float) / rows[column].std(ddof=0), true / rows[column].std(ddof=0)
        pairs = list(combinations(range(len(drawn)), 2))
        between = sum(np.abs(drawn[i] - drawn[j]) for i, j in pairs) / max(len(pairs), 1)
        found["MAE"].append(np.abs(np.median(drawn, axis=0) - true))
        found["RMSE"].append((drawn.mean(axis=0) - true) ** 2)
        found["CRPS"].append(np.abs(drawn - true).mean(axis=0) - between / 2)
    means = {measure: float(np.concatenate(values).mean()) for measure, values in found.items() if values}
    return means | {"RMSE": means["RMSE"] ** 0.5}


def filled_here(gaps: pd.DataFrame, seed: int) -> tuple[Diffusion, list[pd.DataFrame], float]:
    """Fits a model to rows with gaps and fills them; also returns the seconds."""
    start = time.perf_counter()
    model = Diffusion(missing="unknown", random_state=seed).fit(gaps)
    tables = model.impute(gaps, n_draws=DRAWS, random_state=seed)
    return model, tables, time.perf_counter() - start


def compare(
    name: str, folder: Path, mechanism: str, n_rows: int | None, peers: dict[str, str], seed: int
) -> dict[str, dict[str, float]]:
    """Fills a table by all methods; prints a line and returns the measures of each."""
    train, test, target = read(name, folder)
    train, rng = train[:n_rows], np.random.default_rng(seed)
    rows = train.drop(columns=target)
    is_removed = removed(rows, mechanism, rng)
    gaps = rows.mask(is_removed)
    new = known(test.drop(columns=target)[:n_rows], gaps)
    is_removed_of_new = removed(new, mechanism, rng)

    def trees(features: pd.DataFrame) -> float:
        drawn = features.assign(**{target: train[target]})
        return float(utility(train, drawn, test, target).of_rows)

    model, tables, seconds = filled_here(gaps, seed)
    own = measured(rows, is_removed, tables)
    found: dict[str, dict[str, Any]] = {"pointillist": own | {"trees": trees(tables[0]), "s": seconds}}
    tables = model.impute(new.mask(is_removed_of_new), n_draws=DRAWS, random_state=seed)
    found["pointillist, new rows"] = measured(new, is_removed_of_new, tables)
    for method, python in peers.items():
        tables, seconds = filled_by(method, gaps, 1 if method in SINGLE else DRAWS, seed, python)
        found[method] = measured(rows, is_removed, tables) | {"trees": trees(tables[0]), "s": seconds}
    found["with missing cells"], found["complete"] = {"trees": trees(gaps)}, {"trees": trees(rows)}
    for method, values in found.items():
        cells = [f"{values[key]:.3f}" if key in values else "" for key in (*MEASURES, "trees")]
        print(f"| {name} | {mechanism} | {method} | {' | '.join(cells)} | {values.get('s', 0):.0f} |", flush=True)
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--mechanisms", nargs="+", choices=MECHANISMS, default=MECHANISMS)
    parser.add_argument("--rows", type=int, help="number of training and of new rows; all by default")
    parser.add_argument("--peers", nargs="+", default=[], metavar="METHOD=PYTHON")
    options = parser.parse_args()
    peers = dict(each.split("=", 1) for each in options.peers)
    print(f"| table | cells | method | {' | '.join(MEASURES)} | trees | s |")
    print(f"|{'---|' * (5 + len(MEASURES))}")
    results = {
        f"{name}, {mechanism}": compare(name, options.data, mechanism, options.rows, peers, 0)
        for name in options.tables
        for mechanism in options.mechanisms
    }
    report("mechanisms", results)


if __name__ == "__main__":
    main()
