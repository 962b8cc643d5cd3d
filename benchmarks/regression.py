"""`DiffusionRegressor` on the regression sets of the literature: negative log-likelihood, CRPS, and what a fit takes.

`--data FOLDER` names a folder with a file NAME.npz for each set: X, y, and test_0 …, the row numbers of each test set;
all other rows train. The splits are those of Hernández-Lobato & Adams 2015 (arXiv 1502.05336). Errors are standard
errors over the splits. A target of few values (naval, wine) has a mass, and its column of the published negative
log-likelihoods, which are of densities, is no yardstick.

Published: MC dropout (Gal & Ghahramani 2016, arXiv 1506.02142), NGBoost (Duan et al. 2020, arXiv 1910.03225), deep
ensembles (Lakshminarayanan et al. 2017, arXiv 1612.01474). With `--peers`, NGBoost, treeffuser and a deep ensemble of
five are run on the same splits (`peers/regression.py`), each in the environment that the Makefile makes for it; a fit's
seconds are then those of one after another on all cores.

`--coverage ROWS…` needs no data: it fits simulated tables with these numbers of rows, and prints the mean coverage of
90 % intervals with its standard error over the fits.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from machine import HERE, report
from pointillist import DiffusionRegressor
from pointillist.metrics import crps, interval_coverage

PUBLISHED = {
    "concrete": (2.93, 3.04, 3.06),
    "energy": (1.21, 0.60, 1.38),
    "kin8nm": (-1.14, -0.49, -1.20),
    "naval": (-4.45, -5.34, -5.63),
    "power": (2.80, 2.79, 2.79),
    "protein": (2.87, 2.81, 2.83),
    "wine": (0.93, 0.91, 0.94),
    "yacht": (1.25, 0.20, 1.18),
}
"""Negative log-likelihood of MC dropout, NGBoost and deep ensembles."""

LEVELS = (np.arange(100) + 0.5) / 100
MEASURES = "nll", "crps", "rmse", "coverage"

PEERS = {"ngboost": ".venv-regression", "treeffuser": ".venv-regression", "ensemble": ".venv-peers"}
"""The environment of each peer."""

MADE = {
    "linear": (lambda x: 2 * x[:, 0] - x[:, 1], lambda x: 0.5),
    "linear, growing noise": (lambda x: 2 * x[:, 0] - x[:, 1], lambda x: np.exp(x[:, 0] / 2) / 2),
    "curved": (lambda x: np.sin(2 * x[:, 0]) + x[:, 1] ** 2, lambda x: 0.5),
    "curved, growing noise": (lambda x: np.sin(2 * x[:, 0]) + x[:, 1] ** 2, lambda x: np.exp(x[:, 0] / 2) / 2),
}
"""Mean and standard deviation of the target of made tables, given two normal features."""


def made(kind: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes a table: features and target."""
    mean, deviation = MADE[kind]
    rng = np.random.default_rng([seed, n])
    x = rng.normal(size=(n, 2))
    return x, mean(x) + deviation(x) * rng.normal(size=n)


def print_coverage(sizes: list[int], repeats: int, settings: dict[str, Any]) -> None:
    """Prints the coverage of 90 % intervals by the number of training rows."""
    warnings.simplefilter("ignore", UserWarning)
    print(f"| rows | {' | '.join(MADE)} |")
    print("|---" * (1 + len(MADE)) + "|")
    for n in sizes:
        cells = []
        for kind in MADE:
            shares = []
            for seed in range(repeats):
                model = DiffusionRegressor(random_state=seed, **settings).fit(*made(kind, n, seed))
                x, y = made(kind, 200, 1000 + seed)
                low, high = model.quantiles(x, [0.05, 0.95]).T
                shares.append(float(interval_coverage(low, high, y)))
            cells.append(summary(shares))
        print(f"| {n} | {' | '.join(cells)} |", flush=True)


def measured(X: np.ndarray, y: np.ndarray, test: np.ndarray, settings: dict[str, Any]) -> dict[str, float]:
    """Fits to all rows but those of a test set, and measures them."""
    train = np.setdiff1d(np.arange(len(y)), test)
    start = time.perf_counter()
    model = DiffusionRegressor(random_state=0, **settings).fit(X[train], y[train])
    seconds = time.perf_counter() - start
    points = model.quantiles(X[test], LEVELS)
    return {
        "nll": float(-model.log_prob(X[test], y[test]).mean()),
        "crps": float(crps(points, y[test])),
        "rmse": float(np.sqrt(np.mean((model.predict(X[test]) - y[test]) ** 2))),
        # Between the quantiles of 0.055 and 0.945.
        "coverage": float(interval_coverage(points[:, 5], points[:, 94], y[test])),
        "is_mass": float(model.model_.values is not None),
        "fit_s": seconds,
    }


def of_peer(peer: str, X: np.ndarray, y: np.ndarray, test: np.ndarray, seed: int) -> dict[str, Any]:
    """Measures a peer, which runs in a process of its own."""
    train = np.setdiff1d(np.arange(len(y)), test)
    python = HERE.parent / PEERS[peer] / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder, "rows.npz"), Path(folder, "out.npz")
        np.savez(rows, X=X[train], y=y[train], X_test=X[test], y_test=y[test])
        command = [python, HERE / "peers" / "regression.py", peer, rows, out, "--seed", str(seed)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with np.load(out) as found:
            points = np.sort(found["points"], axis=1)
            # Points stand for the middles of equal parts.
            low, high = np.quantile(points, [0.055, 0.945], axis=1, method="hazen")
            return {
                "nll": float(-found["log_density"].mean()),
                "crps": float(crps(points, y[test])),
                "rmse": float(np.sqrt(np.mean((found["mean"] - y[test]) ** 2))),
                "coverage": float(interval_coverage(low, high, y[test])),
                "fit_s": float(found["seconds"]),
                "version": str(found["version"]),
            }


def compared(name: str, of_each: dict[str, list[dict[str, Any]]]) -> list[str]:
    """The lines of the table of peers of a set."""
    lines = []
    for method, runs in of_each.items():
        cells = [name, method, *(summary([run[measure] for run in runs]) for measure in MEASURES)]
        cells[2] += " (mass)" * bool(runs[0].get("is_mass"))
        cells.append(f"{statistics.median(run['fit_s'] for run in runs):.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def summary(values: list[float]) -> str:
    """The mean, and its standard error if there are several."""
    mean = statistics.mean(values)
    # Of naval, errors are a ten-thousandth.
    digits = 3 if abs(mean) > 0.01 else 6
    if len(values) < 2:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {statistics.stdev(values) / len(values) ** 0.5:.{digits}f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--data", type=Path, metavar="FOLDER", help="the sets")
    task.add_argument("--coverage", type=int, nargs="+", metavar="ROWS", help="numbers of rows of simulated tables")
    parser.add_argument("--sets", nargs="+", default=list(PUBLISHED), help="names of some sets; all by default")
    parser.add_argument(
        "--splits", type=int, help="splits of each set (default: all), or fits with --coverage (default: 20)"
    )
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of DiffusionRegressor, as JSON")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=[], help="peers to run on the same splits")
    options = parser.parse_args()
    if options.coverage:
        print_coverage(options.coverage, options.splits or 20, options.settings)
        return
    print("| set | rows | splits | NLL | MC dropout, NGBoost, deep ensembles | CRPS | RMSE | 89 % intervals | fit, s |")
    print("|---" * 9 + "|")
    results: dict[str, Any] = {}
    lines = []
    for name in options.sets:
        with np.load(options.data / f"{name}.npz") as file:
            X, y = file["X"].astype(float), file["y"].astype(float).ravel()
            tests = [file[f"test_{i}"] for i in range(sum(key.startswith("test_") for key in file))]
        tests = tests[: options.splits]
        runs = [measured(X, y, test, options.settings) for test in tests]
        own = {measure: summary([run[measure] for run in runs]) for measure in MEASURES}
        mass = " (mass)" if runs[0]["is_mass"] else ""
        theirs = ", ".join(f"{value:.2f}" for value in PUBLISHED.get(name, ()))
        seconds = statistics.median(run["fit_s"] for run in runs)
        cells = [name, f"{len(y):,}", str(len(runs)), own["nll"] + mass, theirs, own["crps"], own["rmse"]]
        print(f"| {' | '.join([*cells, own['coverage'], f'{seconds:.0f}'])} |", flush=True)
        theirs_here = {
            peer: [of_peer(peer, X, y, test, seed) for seed, test in enumerate(tests)] for peer in options.peers
        }
        lines += compared(name, {"pointillist": runs, **theirs_here} if theirs_here else {})
        results[name] = {"rows": len(y), "runs": runs, "published_nll": PUBLISHED.get(name), "peers": theirs_here}
    if lines:
        print("\n| set | method | NLL | CRPS | RMSE | 89 % intervals | fit, s |")
        print("|---" * 7 + "|", *lines, sep="\n")
        versions = {runs[0]["version"] for own in results.values() for runs in own["peers"].values()}
        print(f"peers: {', '.join(sorted(versions))}")
    report("regression", {"settings": options.settings, "sets": results})


if __name__ == "__main__":
    main()
