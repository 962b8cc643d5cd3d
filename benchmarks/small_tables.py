"""Models of 26 tables of 103 to 13,611 rows: distances of their rows to held-out and to training rows, and copying.

`--data FOLDER` names a folder with the tables of Jolicoeur-Martineau et al. 2024 (arXiv 2309.09968) as CSV files,
with `types.json` (which columns are categories or integers) and `published_generation.csv` (what others report). The
protocol is that of the paper: split i is `train_test_split(test_size=0.2, random_state=i)`, stratified by class; each
model draws five times as many rows as it was fitted to; distances and coverage are means over those draws. The distance
between two rows is Gower's, summed over the columns: for numbers |a - b| divided by the column's range in the training
rows, for categories 0 or 1. `peers/distances.py` computes W1 and coverage. The training rows themselves are a
yardstick: their distance from held-out rows is that of a perfect copy, and a model of smoother rows can be nearer.

Copying is tested in other splits, into halves (also stratified). Each model draws as many rows as it was fitted to, and
the measure is the share of them that are nearer, by the same distance, to a training row than to a held-out one; ties
count half. The share is 0.5 for rows that do not depend on single training rows.

Fits include compilation, and are of `Diffusion()` with its defaults unless `--settings` changes them. With
`--neighbours` there is no model: rows lie between a training row and one of its five nearest ones (SMOTE: Chawla et al.
2002, arXiv 1106.1813, applied to all rows), with the categories of the first. So near are copies to held-out rows.
"""

import argparse
import csv
import json
import os

# Fits are timed with what a first fit takes.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from sklearn.model_selection import train_test_split

from machine import report
from pointillist import Diffusion

HERE = Path(__file__).parent
DRAWS = 5
"""Number of rows drawn for W1, as a multiple of the rows fitted; one for tables of thousands."""

NEIGHBOURS = 5
"""Number of nearest training rows among which the other end is chosen."""

MEASURES = "W_test", "W_train", "coverage_test", "coverage_train"


class Table:
    """A table, with its categories as text.

    Args:
        folder: The folder.
        name: Name of the table.
        kinds: What `types.json` says of it.
    """

    def __init__(self, folder: Path, name: str, kinds: dict[str, Any]) -> None:
        self.rows = pd.read_csv(folder / f"{name}.csv.gz")
        self.categories = [*kinds["binary"], *kinds["categorical"]]
        for column in self.categories:
            self.rows[column] = [f"is {value}" for value in self.rows[column]]
        self.values = {column: sorted(self.rows[column].unique()) for column in self.categories}

    def divided(self, share: float, seed: int) -> list[pd.DataFrame]:
        """Splits the rows into training and held-out rows."""
        classes = self.rows["y"] if "y" in self.categories else None
        return list(train_test_split(self.rows, test_size=share, random_state=seed, stratify=classes))

    def points(self, rows: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
        """Returns points whose L1 distance is that of the rows, shape (n, k)."""
        parts = []
        for column in self.rows:
            own = rows[column].to_numpy()
            if column in self.categories:
                parts.append((own[:, None] == np.array(self.values[column], object)) / 2)
                continue
            low, width = train[column].min(), np.ptp(train[column].to_numpy())
            parts.append((own[:, None].astype(float) - low) / (width or 1))
        return np.hstack(parts).astype(float)


def between_neighbours(table: Table, train: pd.DataFrame, n_rows: int, seed: int) -> pd.DataFrame:
    """Draws rows between training rows and their neighbours."""
    rng, points = np.random.default_rng(seed), table.points(train, train)
    nearest = cKDTree(points).query(points, k=NEIGHBOURS + 1, p=1)[1]
    first = rng.integers(len(train), size=n_rows)
    other = nearest[first, rng.integers(1, NEIGHBOURS + 1, n_rows)]
    rows, share = train.iloc[first].reset_index(drop=True), rng.random((n_rows, 1))
    numbers = [column for column in train if column not in table.categories]
    ends = train[numbers].to_numpy(float)
    rows[numbers] = ends[first] + share * (ends[other] - ends[first])
    return rows


def drawn_rows(
    table: Table, settings: dict[str, Any] | None, train: pd.DataFrame, n_rows: int, seed: int
) -> tuple[pd.DataFrame, float]:
    """Fits a model and draws rows; also returns the seconds of the fit. Without settings, rows are of neighbours."""
    if settings is None:
        return between_neighbours(table, train, n_rows, seed), 0.0
    jax.clear_caches()
    start = time.perf_counter()
    model = Diffusion(**settings, random_state=seed).fit(train)
    fit = time.perf_counter() - start
    return model.sample(n_rows, random_state=seed), fit


def distances(python: str, drawn: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Measures drawn rows, shape (draws, n, k), in the peers' Python."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npz"
        np.savez(path, drawn=drawn, train=train, test=test)
        done = subprocess.run(
            [python, str(HERE / "peers" / "distances.py"), str(path)], check=True, capture_output=True, text=True
        )
    return json.loads(done.stdout)


def measured(table: Table, settings: dict[str, Any] | None, python: str, seed: int) -> dict[str, float]:
    """Measures a table in one split, and in one split into halves."""
    train, test = table.divided(0.2, seed)
    draws = DRAWS if len(train) < 4000 else 1
    drawn, seconds = drawn_rows(table, settings, train, draws * len(train), seed)
    points = [table.points(side, train) for side in (drawn, train, test)]
    found = distances(python, points[0].reshape(draws, len(train), -1), *points[1:])
    train, test = table.divided(0.5, seed)
    drawn, _ = drawn_rows(table, settings, train, len(train), seed)
    size = min(len(train), len(test))
    points = [table.points(side, train) for side in (drawn, train.iloc[:size], test.iloc[:size])]
    to_train, to_test = (cdist(points[0], side, "cityblock").min(axis=1) for side in points[1:])
    is_tie = np.isclose(to_train, to_test, rtol=0, atol=1e-12)
    nearer = float(np.where(is_tie, 0.5, to_train < to_test).mean())
    return found | {"fit_s": seconds, "nearer": nearer}


def line(name: str, found: dict[str, float], published: dict[str, dict[str, float]]) -> str:
    """Formats a line of the printed table."""
    own = [f"{found[key]:.3f}" for key in MEASURES] + [f"{found['nearer']:.2f}", f"{found['fit_s']:.0f}"]
    theirs = [f"{each['W_test']:.3f}, {each['coverage_test']:.2f}" for each in published.values()]
    return f"| {' | '.join([name, *own, *theirs])} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the tables")
    parser.add_argument("--tables", nargs="+", help="names of some tables; all by default")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--peer", default=str(HERE.parent / ".venv-peers/bin/python"), help="Python that has POT")
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of Diffusion, as JSON")
    parser.add_argument("--neighbours", action="store_true", help="rows between neighbours in place of a model's")
    options = parser.parse_args()
    settings = None if options.neighbours else options.settings
    kinds = json.loads((options.data / "types.json").read_text())
    with (options.data / "published_generation.csv").open() as file:
        reported = [
            {key: value if key in ("dataset", "method") else float(value or "nan") for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    for row in reported:
        # 0 stands for a distance that was not measured, but for that of the training rows from themselves.
        for key in ("W_test", "W_train"):
            if row[key] == 0 and row["method"] != "training_rows":
                row[key] = float("nan")
    methods = sorted({row["method"] for row in reported})
    head = ["table", "W1 to test", "W1 to training", "coverage of test", "of training", "nearer to training", "fit, s"]
    print(f"| {' | '.join([*head, *(f'{method}: W1 to test, coverage' for method in methods)])} |")
    print("|---" * (len(head) + len(methods)) + "|")
    results = {}
    for name in options.tables or kinds:
        table = Table(options.data, name, kinds[name])
        runs = [measured(table, settings, options.peer, seed) for seed in range(options.splits)]
        results[name] = {key: statistics.mean(run[key] for run in runs) for key in runs[0]}
        others = {row["method"]: row for row in reported if row["dataset"] == name}
        print(line(name, results[name], {method: others[method] for method in methods}), flush=True)
    keys = (*MEASURES, "nearer")
    lacking = {row["dataset"] for row in reported if any(np.isnan(row[key]) for key in MEASURES)}
    lacking |= {name for name, found in results.items() if any(np.isnan(found[key]) for key in keys)}
    whole = [name for name in results if name not in lacking]
    if not whole:
        report("small_tables", {"settings": settings, "splits": options.splits, "tables": results})
        return
    means = {key: statistics.mean(results[name][key] for name in whole) for key in keys}
    seconds = sum(found["fit_s"] for found in results.values())
    theirs = {}
    for method in methods:
        rows = [row for row in reported if row["method"] == method and row["dataset"] in whole]
        theirs[method] = {key: statistics.mean(row[key] for row in rows) for key in MEASURES}
    print(line(f"mean of {len(whole)}; seconds: sum", means | {"fit_s": seconds}, theirs))
    report("small_tables", {"settings": settings, "splits": options.splits, "tables": results, "mean": means})


if __name__ == "__main__":
    main()
