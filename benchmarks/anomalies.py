"""Unusual rows: `score_samples` as a detector on sets of ADBench (Han et al. 2022, arXiv 2206.09426).

`--data FOLDER` names a folder with the sets as .npz files (X, y: 1 for anomalies), and with the areas under the ROC
curve that Livernoche et al. 2024 (arXiv 2305.18593) published. The protocol is theirs: 1,000 rows are drawn with
replacement from smaller sets; a detector is fitted to the first half of the normal rows, and tested on all other rows.
With `--unsupervised`, it is fitted to a bootstrap of all rows, and tested on all. The detector is `Diffusion()` with
its defaults. Isolation forests (scikit-learn's defaults) and the distance to the fifth nearest row (standardized
columns) are run beside it.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from machine import report
from pointillist import Diffusion

METHODS = "DTE-NP", "KNN", "DTE-C", "DDPM", "MCD", "IForest"
"""Published methods that are printed."""

NEIGHBOURS, FEWEST_ROWS, MOST_ROWS = 5, 1000, 50_000
"""The neighbour whose distance is a score, and the fewest and most rows of a set after resampling."""

TOO_WIDE = ("17_InternetAds",)
"""Sets that are left out by default, because they have more than a thousand columns."""


def split(folder: Path, name: str, seed: int, *, is_unsupervised: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the training rows, the test rows, and which test rows are anomalies."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as content:
        X, is_anomaly = content["X"].astype(float), content["y"].astype(bool)
    rng = np.random.default_rng(seed)
    is_small = len(X) < FEWEST_ROWS and not is_unsupervised
    if is_small or len(X) > MOST_ROWS:
        kept = rng.choice(len(X), FEWEST_ROWS if is_small else MOST_ROWS, replace=is_small)
        X, is_anomaly = X[kept], is_anomaly[kept]
    if is_unsupervised:
        return X[rng.integers(len(X), size=len(X))], X, is_anomaly
    normal = np.flatnonzero(~is_anomaly)
    is_training = np.isin(np.arange(len(X)), normal[: len(normal) // 2])
    return X[is_training], X[~is_training], is_anomaly[~is_training]


def neighbours(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns the distances to the nearest training rows."""
    scaler = StandardScaler().fit(train)
    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(scaler.transform(train))
    return nearest.kneighbors(scaler.transform(test))[0][:, -1]


def forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns the scores of an isolation forest."""
    return -IsolationForest(random_state=seed).fit(train).score_samples(test)


def diffusion(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """Returns the negative log-densities of a fitted table."""
    scores = -Diffusion(random_state=seed).fit(train).score_samples(test)
    return np.minimum(scores, np.finfo(float).max)


DETECTORS = {"Diffusion": diffusion, "forest": forest, "neighbours": neighbours}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the sets")
    parser.add_argument("--sets", nargs="+", help="names of some sets, such as 29_Pima")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--unsupervised", action="store_true", help="fit to a bootstrap of all rows")
    options = parser.parse_args()
    kind = "unsupervised" if options.unsupervised else "semi_supervised"
    with (options.data / f"published_auroc_{kind}.csv").open() as file:
        published = {row["Dataset"].lower(): row for row in csv.DictReader(file)}
    print(f"| set | {' | '.join([*DETECTORS, *(f'{method}, published' for method in METHODS)])} | seconds |")
    print("|---" * (2 + len(DETECTORS) + len(METHODS)) + "|")
    results: dict[str, dict[str, Any]] = {}
    all_sets = sorted({path.stem for path in options.data.glob("*.npz")} - {*TOO_WIDE})
    for name in options.sets or all_sets:
        found: dict[str, list[float]] = {detector: [] for detector in DETECTORS}
        seconds = []
        for seed in range(options.seeds):
            train, test, is_anomaly = split(options.data, name, seed, is_unsupervised=options.unsupervised)
            for detector, scores in DETECTORS.items():
                start = time.perf_counter()
                found[detector].append(100 * float(roc_auc_score(is_anomaly, scores(train, test, seed))))
                seconds += [time.perf_counter() - start] if detector == "Diffusion" else []
        row = published.get(name.split("_", 1)[1].lower(), {})
        results[name] = {detector: statistics.mean(areas) for detector, areas in found.items()}
        results[name] |= {f"{method}, published": float(row.get(method, "nan")) for method in METHODS}
        results[name]["seconds"] = statistics.mean(seconds)
        print(line(name, results[name]), flush=True)
    is_large = {name: len(np.load(options.data / f"{name}.npz")["y"]) >= FEWEST_ROWS for name in results}
    means = {
        "mean": mean(list(results.values())),
        f"mean from {FEWEST_ROWS:,} rows": mean([row for name, row in results.items() if is_large[name]]),
    }
    for name, row in means.items():
        print(line(name, row))
    report("anomalies", {"kind": kind, "seeds": options.seeds, "sets": results, "means": means})


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """Returns the mean of each column."""
    return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}


def line(name: str, row: dict[str, float]) -> str:
    """Formats a line of the printed table."""
    *areas, seconds = row.values()
    return f"| {' | '.join([name, *(f'{area:.1f}' for area in areas), f'{seconds:.0f}'])} |"


if __name__ == "__main__":
    main()
