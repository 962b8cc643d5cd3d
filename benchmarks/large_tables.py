"""Tables of 10^5 to 10^7 rows (10^8 with --rows) × 12 mixed columns: seconds and memory of reading and fitting.

The rows are made and written to a folder of Parquet files in parts of a million. Each size runs in its own process: it
reads the folder (all rows, or a uniform sample), fits the default model, and draws 5,000 rows, which a classifier tries
to tell from 5,000 held-out rows of the same distribution. An area under its curve of 0.5 means that it cannot.

`--libraries` instead fits other libraries to all rows of each size in their environments: NAME=PYTHON, as in
`peers/tables.py`.
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


def measured(folder: Path, *, has_fit: bool) -> dict[str, float]:
    """Reads, and perhaps fits, draws and compares."""
    from pointillist import Diffusion, evaluate
    from pointillist.files.reading import read_table
    from pointillist.tables.row_sampling import ROWS_IN_MEMORY

    warnings.simplefilter("ignore")
    start, started = time.perf_counter(), time.process_time()
    table = read_table(folder, kind="mixed", most_rows=ROWS_IN_MEMORY)
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


def main() -> None:
    """Prints the table; in the process of one size, measures that size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--read", action="store_true", help="only read the tables")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--libraries", nargs="+", default=[], metavar="NAME=PYTHON", help="libraries to fit instead")
    options = parser.parse_args()
    if options.libraries:
        report("large_libraries", {"table": compare(options.libraries, options.rows)})
        return
    if options.measure:
        print(json.dumps(measured(options.measure, has_fit=not options.read)))
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
            command = [sys.executable, __file__, "--measure", str(folder), *["--read"] * options.read]
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
