"""Fits and draws from the shell: peak memory of large tables, and the same bits in different processes.

Each measurement runs in its own process. Its peak is the most memory that the system reports, mapped files included.
"""

import argparse
import hashlib
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from machine import report

COMMAND = [sys.executable, "-m", "pointillist"]


def run(*arguments: object, devices: int | None = None) -> tuple[float, float]:
    """Measures the seconds and the peak memory, in MB, of a command."""
    environment = {**os.environ, **({} if devices is None else {"POINTILLIST_DEVICES": str(devices)})}
    started = time.perf_counter()
    process = os.posix_spawn(sys.executable, [*COMMAND, *map(str, arguments)], environment)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(map(str, arguments))} ended with status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def apart(make: Callable[..., None], *arguments: object) -> None:
    """Makes tables in a process of its own: what this one has held counts to the peak of those that it starts."""
    process = multiprocessing.get_context("spawn").Process(target=make, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{make.__name__} ended with status {process.exitcode}")


def show(what: str, seconds: float, megabytes: float, results: dict[str, object]) -> None:
    """Prints and keeps one measurement."""
    print(f"{what:<58} {seconds:7.1f} s {megabytes:8.0f} MB", flush=True)
    results[what] = {"seconds": seconds, "peak_mb": megabytes}


def large_draw(folder: Path, n_rows: int, steps: int, results: dict[str, object]) -> None:
    """Draws many rows of a model of two columns and eight classes."""
    from pointillist import load_pointset

    rows, labels = load_pointset("manycircles")
    table = np.column_stack([rows, labels])
    np.savetxt(folder / "points.csv", table, delimiter=",", header="x,y,group", comments="", fmt=["%.6f", "%.6f", "%d"])
    show(
        "fit 8,000 × 2, .csv with labels",
        *run("fit", folder / "points.csv", "--label", "group", "--out", folder / "m"),
        results,
    )
    few = run("sample", folder / "m", "-n", 1000, "--sampler", "ddim", "--steps", steps, "--out", folder / "few.npy")
    show("sample 1,000 rows, .npy", *few, results)
    for ending in (".npy", ".parquet"):
        out = folder / f"many{ending}"
        measured = run("sample", folder / "m", "-n", n_rows, "--sampler", "ddim", "--steps", steps, "--out", out)
        show(f"sample {n_rows:,} rows in {steps} steps, {ending}", *measured, results)
        out.unlink()


def report_job(folder: Path, results: dict[str, object]) -> None:
    """Draws 64 columns from a given x_T without noise, and compares the bits of several processes."""
    from sklearn.datasets import load_digits

    rng = np.random.default_rng(0)
    digits = load_digits().data
    big = digits[rng.integers(len(digits), size=32_561)] + rng.normal(scale=0.5, size=(32_561, 64))
    for name, rows in (("digits", digits), ("32,561 × 64", big)):
        np.save(folder / "rows.npy", rows.reshape(len(rows), 8, 8))
        np.save(folder / "prior.npy", rng.standard_normal((len(rows), 64)))
        fitted = run(
            "fit",
            folder / "rows.npy",
            "--timesteps",
            150,
            "--schedule",
            "linear",
            "--out",
            folder / "m",
            "--epochs",
            20,
        )
        show(f"fit {name}, T = 150, 20 epochs", *fitted, results)
        hashes = []
        for devices in (2, 2, 3):
            out = folder / f"out{len(hashes)}.npy"
            drawn = run(
                "sample",
                folder / "m",
                "--prior",
                folder / "prior.npy",
                "--deterministic",
                "--out",
                out,
                devices=devices,
            )
            show(f"sample {name} from given x_T on {devices} devices", *drawn, results)
            hashes.append(hashlib.sha256(out.read_bytes()).hexdigest())
        same = len(set(hashes)) == 1
        print(f"  the three files are {'the same bit for bit' if same else 'NOT the same'} ({hashes[0][:16]})")
        results[f"{name} same bits"] = same


def numbers_table(folder: Path, n_rows: int) -> None:
    """Writes a table of sixteen columns of numbers."""
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(0)
    columns = {f"x{j}": rng.standard_normal(n_rows) for j in range(16)}
    csv.write_csv(pa.table(columns), folder / "large.csv")
    np.save(folder / "large.npy", np.stack(list(columns.values()), axis=1))


def large_fit(folder: Path, n_rows: int, results: dict[str, object]) -> None:
    """Fits a table that is not held in memory."""
    apart(numbers_table, folder, n_rows)
    for ending in (".npy", ".csv"):
        size = (folder / f"large{ending}").stat().st_size / 2**20
        measured = run("fit", folder / f"large{ending}", "--out", folder / "m", "--batch-size", 1024, "--epochs", 1)
        show(f"fit {n_rows:,} × 16, {ending} of {size:,.0f} MB, 1 epoch", *measured, results)


def mixed_table(folder: Path, n_rows: int) -> None:
    """Writes a table of twelve columns: numbers, one with gaps; categories; integers; and dates."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    rng = np.random.default_rng(0)
    causes = rng.standard_normal((n_rows, 4))
    columns = {f"number{j}": causes[:, j] + 0.3 * rng.standard_normal(n_rows) for j in range(4)}
    columns["holed"] = pa.array(causes[:, 3], mask=rng.random(n_rows) < 0.2)
    for j in range(3):
        columns[f"kind{j}"] = np.array(list("abcdefgh"))[np.clip(2 * causes[:, j] + 4, 0, 7).astype(int)]
        columns[f"count{j}"] = np.floor(np.abs(4 * causes[:, j] + rng.standard_normal(n_rows))).astype(int)
    columns["day"] = (np.datetime64("2020-01-01") + rng.integers(0, 900, n_rows)).astype("M8[D]")
    table = pa.table(columns)
    csv.write_csv(table, folder / "mixed.csv")
    parquet.write_table(table, folder / "mixed.parquet")


def mixed_fit(folder: Path, n_rows: int, results: dict[str, object]) -> None:
    """Fits a large table of many kinds of columns."""
    apart(mixed_table, folder, n_rows)
    for ending in (".csv", ".parquet"):
        measured = run("fit", folder / f"mixed{ending}", "--out", folder / "m", "--epochs", 1, "--quiet")
        show(f"fit {n_rows:,} × 12 of many kinds, {ending}, 1 epoch", *measured, results)


PARTS = "draw", "digits", "numbers", "mixed"


def main() -> None:
    """Runs the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the large draw")
    parser.add_argument("--steps", type=int, default=5, help="sampling steps of the large draw")
    parser.add_argument("--table", type=int, default=3_000_000, help="rows of the large table")
    parser.add_argument("--mixed", type=int, default=1_000_000, help="rows of the large table of many kinds of columns")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="parts to measure")
    options = parser.parse_args()
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "draw" in options.only:
            large_draw(folder, options.rows, options.steps, results)
        if "digits" in options.only:
            report_job(folder, results)
        if "numbers" in options.only:
            large_fit(folder, options.table, results)
        if "mixed" in options.only:
            mixed_fit(folder, options.mixed, results)
    report("rows", results)


if __name__ == "__main__":
    main()
