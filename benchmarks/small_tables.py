"""Models of tables of 150 to 569 rows: distances of their rows to held-out and to training rows, and signs of copying.

The tables are scikit-learn's iris, wine and breast cancer, with the class as one more column, and diabetes in its raw
units, with the target as one more number. The protocol is that of ForestDiffusion (Jolicoeur-Martineau et al. 2024,
arXiv 2309.09968, and its `script_generation.py`): split i is `train_test_split(test_size=0.2, random_state=i)`,
stratified by class; each model draws five times as many rows as it was fitted to; W1 is the mean over those draws.

W1 is the exact optimal transport between rows of equal weight, by linear programming (an assignment if both sides have
the same number of rows). The distance between two rows is Gower's, summed over the columns: for numbers |a - b| divided
by the column's range in the training rows, for classes 0 or 1 (half the L1 distance of one-hot codes). Rows outside the
training rows' range are not clipped. The training rows themselves are a yardstick: their distance from held-out rows is
that of a perfect copy, and a model of smoother rows can be nearer.

Copying is tested in other splits, into halves (also stratified). Each model draws as many rows as it was fitted to, and
the measure is the share of them that are nearer, by the same distance, to a training row than to a held-out one; ties
count half. The share is 0.5 for rows that do not depend on single training rows. Its standard error is the binomial one
of all rows of all splits, which treats them as independent and so is somewhat too small.

Our fits include compilation. ForestDiffusion runs in the peers' Python on all cores with its defaults, except for fewer
splits and, on wine and diabetes, a tenth of its noised copies of each row. A fit takes minutes even so, which is why it
runs on iris alone unless `--peer-tables` names more tables. Beside it stand its authors' results for the same splits
(mean of three splits and five draws, 100 copies, 51 noise levels).
"""

import argparse
import json
import os

# Fits are timed with what a first fit takes.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.optimize import linear_sum_assignment, linprog
from scipy.spatial.distance import cdist
from sklearn import datasets
from sklearn.model_selection import train_test_split

from machine import report
from pointillist import Diffusion

HERE = Path(__file__).parent
DRAWS = 5
"""Number of rows drawn for W1, as a multiple of the rows fitted."""

COPIES = {"iris": 100, "wine": 10, "diabetes": 10}
"""Noised copies of each row to which ForestDiffusion is fitted; its default is 100. Breast cancer takes too long."""

PUBLISHED = {
    "iris": {"training rows": (0.0, 0.2361), "flow": (0.1966, 0.3282), "vp": (0.2374, 0.3326)},
    "wine": {"training rows": (0.0, 1.4403), "flow": (0.8447, 1.4206), "vp": (0.9568, 1.4307)},
    "breast_cancer": {"training rows": (0.0, 1.8527), "flow": (1.2814, 1.7488), "vp": (1.4624, 1.8476)},
}
"""W1 to training and to held-out rows in ForestDiffusion's repository, `Results/Results_tabular - generation.csv`."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table.

    Attributes:
        numbers: Numbers, shape (n, d).
        labels: Classes, numbered from 0, shape (n,); None for a table without classes.
    """

    numbers: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: Any) -> "Rows":
        """Returns some of the rows."""
        return Rows(self.numbers[index], None if self.labels is None else self.labels[index])

    def points(self, train: "Rows", n_classes: int) -> np.ndarray:
        """Returns points whose L1 distance is that of the rows, scaled by the columns' ranges in the training rows."""
        low, width = train.numbers.min(axis=0), np.ptp(train.numbers, axis=0)
        scaled = (self.numbers - low) / np.where(width > 0, width, 1)
        return scaled if self.labels is None else np.hstack([scaled, np.eye(n_classes)[self.labels] / 2])


Fit = Callable[[Rows, int, int], tuple[Rows, float]]
"""Takes training rows, a number of rows to draw and a seed; returns the rows, and the seconds that the fit took."""


@dataclass
class Found:
    """Measurements of a contender on a table, one value per split."""

    held_out: list[float] = field(default_factory=list)
    training: list[float] = field(default_factory=list)
    fit_s: list[float] = field(default_factory=list)
    nearer: list[float] = field(default_factory=list)
    n_judged: int = 0


def table(name: str) -> tuple[Rows, int]:
    """Loads a table of scikit-learn, and its number of classes."""
    options = {"scaled": False} if name == "diabetes" else {}
    numbers, target = getattr(datasets, f"load_{name}")(return_X_y=True, **options)
    if name == "diabetes":
        return Rows(np.column_stack([numbers, target]), None), 0
    return Rows(numbers, target.astype(np.int64)), len(np.unique(target))


def divided(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Splits rows into training and held-out rows."""
    train, held_out = train_test_split(np.arange(len(rows)), test_size=share, random_state=seed, stratify=rows.labels)
    return rows.take(train), rows.take(held_out)


def w1(a: np.ndarray, b: np.ndarray) -> float:
    """Computes the exact 1-Wasserstein distance between points of equal weight, with the L1 distance."""
    cost = cdist(a, b, "cityblock")
    n, m = cost.shape
    if n == m:
        return float(cost[linear_sum_assignment(cost)].mean())
    sums = [sparse.kron(sparse.eye_array(n), np.ones((1, m))), sparse.kron(np.ones((1, n)), sparse.eye_array(m))]
    weights = np.repeat([1 / n, 1 / m], [n, m])
    solved = linprog(cost.ravel(), A_eq=sparse.vstack(sums).tocsc(), b_eq=weights, method="highs-ds")
    if not solved.success:
        raise RuntimeError(solved.message)
    return float(solved.fun)


def gaussian(settings: dict[str, Any], sampler: str | None, train: Rows, n_rows: int, seed: int) -> tuple[Rows, float]:
    """Fits `Diffusion()` to numbers, with the class as label."""
    jax.clear_caches()
    start = time.perf_counter()
    model = Diffusion(process="gaussian", **settings, random_state=seed).fit(train.numbers, train.labels)
    fit = time.perf_counter() - start
    if train.labels is None:
        return Rows(model.sample(n_rows, sampler=sampler, random_state=seed), None), fit
    return Rows(*model.sample(n_rows, return_labels=True, sampler=sampler, random_state=seed)), fit


def masked(settings: dict[str, Any], train: Rows, n_rows: int, seed: int) -> tuple[Rows, float]:
    """Fits `Diffusion(process="masked")` to a data frame, with the class as a column of text."""
    frame = pd.DataFrame(train.numbers, columns=[f"x{i}" for i in range(train.numbers.shape[1])])
    if train.labels is not None:
        frame["class"] = [f"class {label}" for label in train.labels]
    jax.clear_caches()
    start = time.perf_counter()
    model = Diffusion(process="masked", **settings, random_state=seed).fit(frame)
    fit = time.perf_counter() - start
    drawn = model.sample(n_rows, random_state=seed)
    if train.labels is None:
        return Rows(drawn.to_numpy(np.float64), None), fit
    labels = drawn.pop("class").str.removeprefix("class ").to_numpy(np.int64)
    return Rows(drawn.to_numpy(np.float64), labels), fit


def forest(kind: str, copies: int, python: str, train: Rows, n_rows: int, seed: int) -> tuple[Rows, float]:
    """Fits ForestDiffusion, in the peers' Python."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.npz"
        labels = np.empty(0, np.int64) if train.labels is None else train.labels
        np.savez(given, numbers=train.numbers, labels=labels)
        script = HERE / "peers" / "forest_tables.py"
        asked = "--rows", n_rows, "--copies", copies, "--seed", seed
        command = [str(part) for part in (python, script, given, made, kind, *asked)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        with np.load(made) as drawn:
            rows = Rows(drawn["numbers"], None if train.labels is None else drawn["labels"])
    return rows, float(done.stdout.strip().splitlines()[-1])


def copied(train: Rows, n_rows: int, seed: int) -> tuple[Rows, float]:
    """Repeats the training rows themselves."""
    return train.take(np.arange(n_rows) % len(train)), 0.0


def measured(rows: Rows, n_classes: int, fit: Fit, n_splits: int) -> Found:
    """Measures both distances and the share, for some splits."""
    found = Found()
    for seed in range(n_splits):
        train, held_out = divided(rows, 0.2, seed)
        drawn, seconds = fit(train, DRAWS * len(train), seed)
        points = [side.points(train, n_classes) for side in (drawn, held_out, train)]
        draws = np.split(points[0], DRAWS)
        if fit is copied:
            draws = draws[:1]
        found.held_out.append(statistics.mean(w1(draw, points[1]) for draw in draws))
        found.training.append(statistics.mean(w1(draw, points[2]) for draw in draws))
        found.fit_s.append(seconds)

        train, held_out = divided(rows, 0.5, seed)
        drawn, _ = fit(train, len(train), seed)
        points = [side.points(train, n_classes) for side in (drawn, train, held_out)]
        size = min(len(train), len(held_out))
        to_train, to_held_out = (cdist(points[0], side[:size], "cityblock").min(axis=1) for side in points[1:])
        is_tie = np.isclose(to_train, to_held_out, rtol=0, atol=1e-12)
        found.nearer.append(float(np.where(is_tie, 0.5, to_train < to_held_out).mean()))
        found.n_judged += len(train)
    return found


def contenders(name: str, options: argparse.Namespace) -> dict[str, tuple[Fit, int]]:
    """Returns the contenders on a table, each with its number of splits."""
    ours = f" {json.dumps(options.settings)}" if options.settings else ""
    sampler = f", {options.sampler}" if options.sampler else ""
    found: dict[str, tuple[Fit, int]] = {
        "training rows": (copied, options.splits),
        f"pointillist{ours}{sampler}": (partial(gaussian, options.settings, options.sampler), options.splits),
        f"pointillist, masked{ours}": (partial(masked, options.settings), options.splits),
    }
    if name in options.peer_tables and options.peer_splits:
        copies = COPIES[name]
        for kind in ("flow", "vp"):
            fit = partial(forest, kind, copies, options.peer)
            found[f"ForestDiffusion {kind}, {copies} copies"] = fit, options.peer_splits
    return {label: value for label, value in found.items() if not options.only or any(o in label for o in options.only)}


def line(name: str, label: str, found: Found) -> str:
    """Formats a line of the printed table."""
    judged, share = found.n_judged, statistics.mean(found.nearer)
    error = (share * (1 - share) / judged) ** 0.5
    cells = [
        *(name, label, str(len(found.held_out))),
        *(_mean(values) for values in (found.held_out, found.training)),
        f"{statistics.median(found.fit_s):.1f}",
        f"{share:.3f} ± {error:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def _mean(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values) / len(values) ** 0.5:.3f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("iris", "wine", "breast_cancer", "diabetes")
    parser.add_argument("--tables", nargs="+", choices=names, default=names)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--peer-splits", type=int, default=1, help="splits for ForestDiffusion; 0 leaves it out")
    parser.add_argument("--peer-tables", nargs="+", choices=COPIES, default=["iris"], help="tables for ForestDiffusion")
    parser.add_argument(
        "--peer", default=str(HERE.parent / ".venv-peers/bin/python"), help="Python that has ForestDiffusion"
    )
    parser.add_argument("--only", nargs="+", help="only contenders whose names contain one of these")
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of Diffusion, as JSON")
    parser.add_argument("--sampler", help="sampler of pointillist's models of numbers")
    options = parser.parse_args()
    print("| table | rows | splits | W1 to held-out | W1 to training | fit (s) | nearer to training |")
    print("|---|---|---|---|---|---|---|")
    results: dict[str, dict[str, Any]] = {}
    for name in options.tables:
        rows, n_classes = table(name)
        results[name] = {}
        for label, (fit, n_splits) in contenders(name, options).items():
            found = measured(rows, n_classes, fit, n_splits)
            results[name][label] = vars(found)
            print(line(name, label, found), flush=True)
        for label, (training, held_out) in PUBLISHED.get(name, {}).items():
            who = label if label == "training rows" else f"ForestDiffusion {label}"
            print(f"| {name} | {who}, published | 3 | {held_out:.3f} | {training:.3f} | | |")
    report(
        "small_tables",
        {"settings": options.settings, "sampler": options.sampler, "tables": results, "published": PUBLISHED},
    )


if __name__ == "__main__":
    main()
