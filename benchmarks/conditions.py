"""Errors of means under ranges, in units of the standard error that the effective sample size states.

A model of mixed columns and one of numbers alone are fitted to a table of a known distribution. Each trial draws rows
under one of five conditions and compares the mean of every column with that of rows that meet the condition: first
among many rows that the model draws without it, then among many rows of the distribution itself, which shows the
model's error too. 95.4 % of the errors should be within two standard errors.
"""

import argparse
import time

import numpy as np
import pandas as pd

from machine import report
from pointillist import Diffusion, between
from pointillist.tables.conditions import Between

CONDITIONS = (
    {"x": between(1, 1.5), "y": between(3, None)},
    {"x": between(None, -1), "k": between(0, 3)},
    {"y": between(2, 4), "m": between(0, 1), "z": between(0.5, None)},
    {"m": between(2.5, None), "k": between(1, None)},
    {"x": between(1.6, None), "z": between(0.5, 2)},
)


def table(n: int, seed: int) -> pd.DataFrame:
    """Makes rows of a category, numbers, counts, a number that is often 0, and a boolean, all related to x."""
    rng = np.random.default_rng(seed)
    c = rng.choice(list("abc"), n, p=[0.5, 0.3, 0.2])
    x = rng.normal(size=n) + (c == "b")
    k = rng.poisson(np.exp(0.3 * x + 0.5 * (c == "c")))
    z = np.where(rng.random(n) < 0.4, 0, rng.exponential(size=n) * np.exp(0.3 * x))
    b = rng.random(n) < 1 / (1 + np.exp(-x))
    y, m = 2 * x + 0.5 * rng.normal(size=n), x + rng.normal(size=n)
    return pd.DataFrame({"c": c, "x": x, "y": y, "k": k, "z": z, "b": b, "m": m})


def as_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the columns as numbers: the category as whether it is "a"."""
    return rows.assign(c=rows["c"] == "a").astype(float) if "c" in rows else rows.astype(float)


def meets(rows: pd.DataFrame, where: dict[str, Between]) -> pd.Series:
    """Returns whether each row meets the conditions."""
    ends = {
        name: (-np.inf if own.low is None else own.low, np.inf if own.high is None else own.high)
        for name, own in where.items()
    }
    return pd.concat([rows[name].between(*own) for name, own in ends.items()], axis=1).all(axis=1)


def trials(model: Diffusion, data: pd.DataFrame, n_rows: int, n_trials: int, n_pool: int) -> list[dict[str, object]]:
    """Draws rows under conditions, n_trials times, and compares each column's mean."""
    own, truth = model.sample(n_pool, random_state=1), table(1_000_000, 99)[data.columns]
    found = []
    for trial in range(n_trials):
        where = CONDITIONS[trial % len(CONDITIONS)]
        start = time.perf_counter()
        rows = as_numbers(model.sample(n_rows, where=where, random_state=trial))
        seconds, size = time.perf_counter() - start, model.effective_sample_size_
        each: dict[str, object] = {"where": str(where), "effective": size, "seconds": seconds}
        for name, pool in (("model", own), ("truth", truth)):
            kept = as_numbers(pool[meets(pool, where)])
            error = np.sqrt(kept.var() * (1 / size + 1 / len(kept)))
            each[name] = ((rows.mean() - kept.mean()) / error).to_dict()
        found.append(each)
    return found


def show(kind: str, found: list[dict[str, object]]) -> None:
    """Prints the effective size and the fraction of errors within two standard errors, by condition and for all."""
    frame = pd.DataFrame(found)
    for name in ("model", "truth"):
        frame[name] = [100 * np.mean([abs(z) <= 2 for z in errors.values()]) for errors in frame[name]]
    print(f"\n| {kind} | trials | effective size (smallest) | seconds | within two of the model | of the truth |")
    print(f"|{6 * '---|'}")
    for where, part in [*frame.groupby("where", sort=False), ("all", frame)]:
        size = f"{part['effective'].median():.1f} ({part['effective'].min():.1f})"
        seconds = part["seconds"].median()
        shares = f"{part['model'].mean():.1f} % | {part['truth'].mean():.1f} %"
        print(f"| {where} | {len(part)} | {size} | {seconds:.2f} | {shares} |", flush=True)


def main() -> None:
    """Prints a table for each kind of model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training-rows", type=int, default=5000)
    parser.add_argument("--epochs", type=int, help="of the mixed model; its default by default")
    parser.add_argument("--rows", type=int, default=50, help="rows of a trial")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--pool", type=int, default=50_000, help="rows that a model draws without conditions")
    asked = parser.parse_args()
    data, results = table(asked.training_rows, 0), {}
    epochs = {} if asked.epochs is None else {"epochs": asked.epochs}
    models = {
        "numbers": (data[["x", "y", "k", "z", "m"]], {"process": "gaussian"}),
        "mixed": (data, epochs),
    }
    for kind, (rows, options) in models.items():
        model = Diffusion(random_state=0, **options).fit(rows)
        results[kind] = trials(model, rows, asked.rows, asked.trials, asked.pool)
        show(kind, results[kind])
    report("conditions", {**vars(asked), "trials": results})


if __name__ == "__main__":
    main()
