"""Generated rows of real tables of mixed columns: how similar they are to the data, and how long they take.

There are three tables of the UCI Machine Learning Repository (CC BY 4.0), Adult (Becker & Kohavi 1996), Beijing's air
(Chen 2015) and the default of credit cards (Yeh 2009), whose folders with train.csv.gz and test.csv.gz the options
give; the diamonds that plotnine ships (53,940 × 10); and tables of CSV and Parquet files. Of the last two kinds a fifth
is held out. `--without-axes` fits without principal axes too, with one seed.

`--libraries` adds other libraries, with one seed each, each in a process of the environment that is given for it, as in
`mostly=.venv-mostly/bin/python`; "pointillist" among them measures its memory in the same way.

Each score stands beside those of real held-out rows and of independently permuted columns, from the same run.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from machine import report
from pointillist import Diffusion
from pointillist.evaluation import Evaluation, evaluate
from pointillist.models import planning
from pointillist.tables.table import Table

ROOT = Path(__file__).parent.parent
SCORES = {
    "trends": "pair trends, own bins (as SDMetrics)",
    "common": "pair trends, common bins",
    "two_sample": "boosted two-sample score",
    "utility": "utility: AUC on held-out rows",
    "nearer": "fraction nearer to training rows",
    "copies": "rows equal to a training row",
    "coverage": "coverage",
    "precision": "precision",
    "shapes": "column shapes",
}


TARGETS = {"adult": "income", "beijing": "pm2.5", "default": "target"}
CODES = {
    "adult": (),
    "beijing": ("year", "month", "day", "hour"),
    "default": ("SEX", "EDUCATION", "MARRIAGE", *(f"PAY_{i}" for i in (0, 2, 3, 4, 5, 6)), "target"),
}
"""Columns of numbers that are codes of categories."""


def uci(name: str, folder: Path) -> tuple[pa.Table, pa.Table, str]:
    """Reads the training rows, the held-out rows, and the column that is predicted."""
    as_text = csv.ConvertOptions(column_types=dict.fromkeys(CODES[name], pa.string()))
    train, test = (csv.read_csv(folder / f"{part}.csv.gz", convert_options=as_text) for part in ("train", "test"))
    return train, test, TARGETS[name]


def diamonds() -> tuple[pa.Table, pa.Table, str]:
    """Reads the same of the diamonds."""
    python = ROOT / ".venv-peers" / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "diamonds.csv"
        code = f"from plotnine.data import diamonds; diamonds.to_csv({str(path)!r}, index=False)"
        subprocess.run([python, "-c", code], check=True)
        table = csv.read_csv(path)
    return *split(table), "cut"


def of_file(path: Path) -> tuple[pa.Table, pa.Table, None]:
    """Reads the same of a file, of which nothing is predicted."""
    table = parquet.read_table(path) if path.suffix == ".parquet" else csv.read_csv(path)
    return *split(table), None


def split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Holds a fifth of the rows out."""
    order = np.random.default_rng(0).permutation(len(table))
    cut = len(table) * 4 // 5
    return table.take(np.sort(order[:cut])), table.take(np.sort(order[cut:]))


Draw = Callable[[pa.Table, int], tuple[pa.Table, dict[str, float]]]
"""Draws as many rows as a table has, with a seed, and measures seconds."""


def generated(
    settings: dict[str, Any], train: pa.Table, seed: int, axes: bool = True
) -> tuple[pa.Table, dict[str, float]]:
    """Draws as many rows as there are training rows, and measures the seconds of fitting and sampling."""
    before = planning.DETERMINED
    planning.DETERMINED = before if axes else -1.0
    started = time.perf_counter()
    try:
        model = Diffusion(random_state=seed, **settings).fit(train)
    finally:
        planning.DETERMINED = before
    fitted = time.perf_counter()
    new = model.sample(len(train), random_state=seed)
    return new, {"fit_s": fitted - started, "sample_s": time.perf_counter() - fitted}


def by_library(library: str, python: str, train: pa.Table, seed: int) -> tuple[pa.Table, dict[str, float]]:
    """Draws as many rows as there are training rows with another library, and measures seconds and peak memory."""
    categories = [field.name for field in train.schema if not is_number(field.type)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{side}.csv" for side in ("train", "rows")]
        csv.write_csv(train, paths[0])
        script = str(ROOT / "benchmarks" / "peers" / "tables.py")
        command = [python, script, library, *map(str, paths), str(seed), *categories]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        types = {field.name: field.type for field in train.schema}
        rows = csv.read_csv(paths[1], convert_options=csv.ConvertOptions(column_types=types))
    return rows, json.loads(done.stdout.splitlines()[-1])


def scores(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Returns the numbers of `SCORES` for rows, real rows and independent columns."""
    found = {}
    copies = {"rows": evaluation.copies, "real": evaluation.holdout_copies}
    for side in ("rows", "real", "independent"):
        own = getattr(evaluation, side)
        utility = own.utility
        found[side] = {
            "trends": own.trends.mean,
            "common": own.common_trends.mean,
            "two_sample": float(own.two_sample.score),
            "utility": float("nan") if utility is None else float(utility.of_rows),
            "nearer": float(own.nearest.share),
            "copies": getattr(copies.get(side), "fraction", float("nan")),
            "coverage": float(own.manifold.coverage),
            "precision": float(own.manifold.precision),
            "shapes": own.shapes_mean,
        }
    return found


def detection(train: pa.Table, rows: pa.Table) -> float:
    """Computes the score of boosted trees against the training rows, in the peers' Python."""
    python = ROOT / ".venv-peers" / "bin" / "python"
    categories = [field.name for field in train.schema if not is_number(field.type)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{side}.csv" for side in ("real", "rows")]
        for path, table in zip(paths, (train, rows), strict=True):
            csv.write_csv(table, path)
        command = [python, ROOT / "benchmarks" / "peers" / "detection.py", *paths, *categories]
        done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return float(done.stdout)


def _mean(values: list[float], digits: int) -> str:
    """Writes the mean and, of several values, the lowest and the highest."""
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is of numbers."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def measured(
    name: str,
    data: tuple[pa.Table, pa.Table, str | None],
    draw: Draw,
    seeds: int,
) -> list[dict[str, Any]]:
    """Draws rows and scores them with each seed, and prints the table."""
    train, test, target = data
    runs = []
    for seed in range(seeds):
        rows, seconds = draw(train, seed)
        sides = [Table(table).arrays() for table in (rows, train, test)]
        evaluation = evaluate(sides[1], sides[0], holdout=sides[2], target=target, random_state=seed)
        runs.append({**seconds, **scores(evaluation), "detection": detection(train, rows)})
    print(f"\n{name}: {len(train):,} rows x {train.num_columns}, {len(test):,} held out, {seeds} seed(s)\n")
    print("| | rows | real held-out rows | independent columns |\n|---|---|---|---|")
    for key, label in SCORES.items():
        if key == "utility" and target is None:
            continue
        others = [statistics.mean(run[side][key] for run in runs) for side in ("real", "independent")]
        cells = ["" if isnan(other) else f"{other:.4f}" for other in others]
        print(f"| {label} | {' | '.join([_mean([run['rows'][key] for run in runs], 4), *cells])} |")
    print(f"| XGBoost's detection score, training rows | {_mean([run['detection'] for run in runs], 4)} | | |")
    labels = {"fit_s": "seconds to fit", "sample_s": "seconds to sample as many rows", "peak_mb": "peak memory, MB"}
    for key, label in labels.items():
        if key in runs[0]:
            print(f"| {label} | {_mean([run[key] for run in runs], 1)} | | |", flush=True)
    return runs


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in TARGETS:
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help="train.csv.gz and test.csv.gz")
    parser.add_argument("--files", type=Path, nargs="*", default=[], metavar="FILE", help="CSV or Parquet")
    parser.add_argument("--diamonds", action="store_true", help="the table that plotnine ships")
    parser.add_argument("--without-axes", action="store_true", help="fit without principal axes too")
    parser.add_argument("--libraries", nargs="+", default=[], metavar="NAME=PYTHON", help="pointillist, mostly, forest")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each table; 0 leaves Diffusion out")
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of Diffusion, as JSON")
    options = parser.parse_args()
    tables: dict[str, tuple[pa.Table, pa.Table, str | None]] = {}
    for name in TARGETS:
        if folder := getattr(options, name):
            tables[name.capitalize()] = uci(name, folder)
    tables |= {path.stem: of_file(path) for path in options.files}
    if options.diamonds:
        tables["diamonds"] = diamonds()
    if not tables:
        parser.error("give --adult FOLDER, --beijing FOLDER, --default FOLDER, --files FILE or --diamonds")
    found = {}
    for name, data in tables.items():
        ways: dict[str, Draw] = {"Diffusion()": partial(generated, options.settings)} if options.seeds else {}
        if options.without_axes:
            ways["without axes"] = partial(generated, options.settings, axes=False)
        for library, _, python in (each.partition("=") for each in options.libraries):
            ways[library] = partial(by_library, library, python)
        for way, draw in ways.items():
            seeds = options.seeds if way == "Diffusion()" else 1
            found[f"{name}, {way}"] = measured(f"{name}, {way}", data, draw, seeds)
    report("mixed", {"tables": found})


if __name__ == "__main__":
    main()
