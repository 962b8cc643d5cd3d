"""Adult with a privacy guarantee: what `evaluate` and `audit` say of fits at several ε, and without.

FOLDER holds train.csv.gz and test.csv.gz of the UCI's table Adult. The domain is public: categories as the table's
documentation lists them (here, those that either file has), and ranges of round numbers. With --peer, MST stands
beside (`peers/mst_marginals.py`), at the same ε and δ, for numbers in 32 equal bins of the same ranges, of the
logarithm of 1 + the number for capital gains and losses; integers of fewer values are their own bins.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from machine import HERE, report
from pointillist import Diffusion, audit, evaluate

RANGES: dict[str, tuple[int, int]] = {
    "age": (16, 100),
    "fnlwgt": (0, 1_500_000),
    "education_num": (1, 16),
    "capital_gain": (0, 100_000),
    "capital_loss": (0, 5000),
    "hours_per_week": (0, 100),
}
LOGARITHMIC = ("capital_gain", "capital_loss")
BINS = 32
AUDITED = 4000


def read_domains(*tables: pd.DataFrame) -> dict[str, object]:
    """The public domain of Adult."""
    both = pd.concat(tables)
    listed = {name: sorted(both[name].dropna().unique()) for name in both if name not in RANGES}
    return {name: RANGES.get(name) or [*listed[name], *([None] if both[name].isna().any() else [])] for name in both}


def edges_of(name: str) -> np.ndarray:
    """Ends of the bins of a range, for the peer."""
    low, high = RANGES[name]
    if high - low < BINS:
        return np.arange(low, high + 2) - 0.5
    return (
        np.expm1(np.linspace(0, np.log1p(high), BINS + 1)) if name in LOGARITHMIC else np.linspace(low, high, BINS + 1)
    )


def by_peer(python: str, train: pd.DataFrame, domain: dict, epsilon: float, delta: float) -> pd.DataFrame:
    """Draws as many rows of MST as there are to train on."""
    codes, sizes, rng = [], [], np.random.default_rng(0)
    for name in train:
        if name in RANGES:
            edges = edges_of(name)
            codes.append(np.clip(np.searchsorted(edges, train[name], "right") - 1, 0, len(edges) - 2))
            sizes.append(len(edges) - 1)
        else:
            values = [None if pd.isna(value) else value for value in train[name]]
            codes.append(np.array([domain[name].index(value) for value in values]))
            sizes.append(len(domain[name]))
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/in.npz", codes=np.stack(codes, axis=1), sizes=sizes)
        command = [python, HERE / "peers/mst_marginals.py", f"{folder}/in.npz", f"{folder}/out.npz"]
        subprocess.run([*command, "--epsilon", str(epsilon), "--delta", str(delta)], check=True)
        found = np.load(f"{folder}/out.npz")["codes"]
    columns = {}
    for name, own in zip(train, found.T, strict=True):
        if name not in RANGES:
            columns[name] = np.array(domain[name], object)[own]
            continue
        edges = edges_of(name)
        values = edges[own] + rng.random(len(own)) * (edges[own + 1] - edges[own])
        columns[name] = np.clip(np.round(values), *RANGES[name]).astype(int)
    return pd.DataFrame(columns)


def scores(train: pd.DataFrame, rows: pd.DataFrame, test: pd.DataFrame) -> dict[str, float]:
    """The scores of an evaluation."""
    found = evaluate(train, rows, holdout=test, target="income").to_json()["rows"]
    return {
        "trees, AUC": found["two_sample"]["auc"]["value"],
        "pairs": found["common_trends"]["mean"],
        "columns": found["shapes_mean"],
        "income, AUC": found["utility"]["of_rows"]["value"],
        "real rows": found["utility"]["of_data"]["value"],
    }


def main() -> None:
    """Prints a row a fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adult", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--epsilon", nargs="+", type=float, default=[1.0, 3.0, 10.0])
    parser.add_argument("--without", action="store_true", help="also fit without a guarantee")
    parser.add_argument("--peer", metavar="PYTHON", help="a Python with mbi")
    parser.add_argument("--rows", type=int, help="train on the first so many rows")
    parser.add_argument("--epochs", type=int, help="passes over the rows, to try the command out")
    options = parser.parse_args()
    train, test = (pd.read_csv(options.adult / f"{name}.csv.gz", na_values="?") for name in ("train", "test"))
    train, test = train[: options.rows], test[: options.rows]
    domain, delta, runs = read_domains(train, test), 1 / (10 * len(train)), []
    names = "trees, AUC | pairs | columns | income, AUC | real rows"
    print(f"| fit | {names} | audit, loss AUC | ε at least | s |\n|---" + "|---" * 8 + "|")
    for epsilon in [*options.epsilon, *([None] if options.without else [])]:
        start = time.perf_counter()
        private = {} if epsilon is None else {"epsilon": epsilon, "delta": delta, "domain": domain}
        model = Diffusion(random_state=0, epochs=options.epochs, **private).fit(train)
        seconds = time.perf_counter() - start
        found = audit(model, train, test, max_rows=AUDITED, n_drawn=2 * AUDITED)
        run = {"fit": f"Pointillist, ε = {epsilon}" if epsilon else "Pointillist, no guarantee"}
        run |= scores(train, model.sample(len(train), random_state=0), test)
        runs.append(run | {"audit": float(found.attacks[-1].auc), "bound": found.epsilon, "seconds": seconds})
        _show(runs[-1])
        if options.peer and epsilon is not None:
            start = time.perf_counter()
            rows = by_peer(options.peer, train, domain, epsilon, delta)
            seconds = time.perf_counter() - start
            runs.append({"fit": f"MST, ε = {epsilon}"} | scores(train, rows, test) | {"seconds": seconds})
            _show(runs[-1])
    report("privacy", {"runs": runs})


def _show(run: dict) -> None:
    cells = [run["fit"], *(f"{run[name]:.3f}" for name in run if name not in ("fit", "seconds", "audit", "bound"))]
    cells += [f"{run[name]:.3f}" if name in run else "–" for name in ("audit", "bound")]
    print(f"| {' | '.join(cells)} | {run['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
