"""Generated rows of real tables of mixed columns: how similar they are to the data, and how long they take.

There are three tables of the UCI Machine Learning Repository (CC BY 4.0), Adult (Becker & Kohavi 1996), Beijing's air
(Chen 2015) and the default of credit cards (Yeh 2009), whose folders with train.csv.gz and test.csv.gz the options
give; the diamonds that plotnine ships (53,940 × 10); and tables of CSV and Parquet files. Of the last two kinds a fifth
is held out. `--ways` adds other ways, with one seed each: all numbers by intervals, as tokens; all at once, even those
that nothing explains; without principal axes; and categories in a diffusion of numbers, as one-hot columns or as analog
bits (Chen et al. 2022, arXiv 2208.04202), with numbers by their normal scores and the width of the masked process.

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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet
from sklearn.preprocessing import QuantileTransformer

from machine import report
from pointillist import Diffusion
from pointillist.columns import encoder
from pointillist.evaluation import Evaluation, evaluate
from pointillist.models import planning
from pointillist.tables.table import Column, Table, to_arrow

ROOT = Path(__file__).parent.parent
SCORES = {
    "trends": "pair trends, own bins (as SDMetrics)",
    "common": "pair trends, common bins",
    "two_sample": "boosted two-sample score",
    "utility": "utility: AUC on held-out rows",
    "nearer": "share nearer to training rows",
    "copies": "rows equal to a training row",
    "coverage": "coverage",
    "precision": "precision",
    "shapes": "column shapes",
}


WAYS = "masked", "intervals", "at once", "own axes", "one-hot", "bits"
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


class Numbers:
    """A mixed table as numbers: normal scores of numbers, and codes of categories, decoded to the nearest code.

    Args:
        table: The training rows.
        way: Code of categories, "one-hot" or "bits".
    """

    def __init__(self, table: Table, way: str) -> None:
        self.table, self.codes = table, []
        for cells in table.cells:
            if cells.categories is None:
                self.codes.append(QuantileTransformer(output_distribution="normal").fit(cells.values[:, None]))
                continue
            n = len(cells.categories)
            bits = (np.arange(n)[:, None] >> np.arange(max(1, (n - 1).bit_length()))) & 1
            self.codes.append(np.eye(n) * 2 - 1 if way == "one-hot" else bits * 2.0 - 1)

    def encode(self) -> np.ndarray:
        """Encodes the training rows."""
        parts = []
        for cells, code in zip(self.table.cells, self.codes, strict=True):
            numbers = isinstance(code, QuantileTransformer)
            parts.append(code.transform(cells.values[:, None]) if numbers else code[cells.values.astype(int)])
        return np.concatenate(parts, axis=1)

    def decode(self, rows: np.ndarray) -> pa.Table:
        """Decodes generated rows to a table."""
        out, first = [], 0
        for cells, code in zip(self.table.cells, self.codes, strict=True):
            width = 1 if isinstance(code, QuantileTransformer) else code.shape[1]
            own, first = rows[:, first : first + width], first + width
            none = np.zeros(len(rows), bool)
            if isinstance(code, QuantileTransformer):
                out.append(Column(code.inverse_transform(own)[:, 0], none))
                continue
            distance = (own**2).sum(axis=1)[:, None] - 2 * own @ code.T + (code**2).sum(axis=1)
            out.append(Column(distance.argmin(axis=1), none, cells.categories))
        return to_arrow(out, self.table.arrow.schema)


@contextmanager
def having(way: str) -> Iterator[None]:
    """Sets the share of its variance below which a column is drawn by intervals, and that for principal axes."""
    before = encoder.UNEXPLAINED, planning.DETERMINED
    encoder.UNEXPLAINED = {"intervals": 2.0, "at once": -1.0}.get(way, before[0])
    planning.DETERMINED = -1.0 if way == "own axes" else before[1]
    try:
        yield
    finally:
        encoder.UNEXPLAINED, planning.DETERMINED = before


def generated(way: str, train: pa.Table, seed: int, settings: dict[str, Any]) -> tuple[pa.Table, dict[str, float]]:
    """Draws as many rows as there are training rows, and measures the seconds of fitting and sampling."""
    numbers = Numbers(Table(train), way) if way in ("one-hot", "bits") else None
    rows: Any = train if numbers is None else numbers.encode()
    if numbers is not None:
        settings = {"scaling": None, "width": 256, "batch_size": 256, "epochs": 160}
    started = time.perf_counter()
    with having(way):
        model = Diffusion(random_state=seed, **settings).fit(rows)
    fitted = time.perf_counter()
    new = model.sample(len(train), random_state=seed)
    seconds = {"fit_s": fitted - started, "sample_s": time.perf_counter() - fitted}
    return new if numbers is None else numbers.decode(new), seconds


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
    found["rows"]["is_inside"] = float(evaluation.rows.nearest.is_inside)
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


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is of numbers."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def measured(
    name: str,
    data: tuple[pa.Table, pa.Table, str | None],
    way: str,
    seeds: int,
    settings: dict[str, Any],
    python: str | None = None,
) -> list[dict[str, Any]]:
    """Fits, samples and scores with each seed, and prints the table; with another library if its Python is given."""
    train, test, target = data
    runs = []
    for seed in range(seeds):
        rows, seconds = (
            generated(way, train, seed, settings) if python is None else by_library(way, python, train, seed)
        )
        sides = [Table(table).arrays() for table in (rows, train, test)]
        evaluation = evaluate(sides[1], sides[0], holdout=sides[2], target=target, random_state=seed)
        runs.append({**seconds, **scores(evaluation), "detection": detection(train, rows)})
    print(f"\n{name}, {way}: {len(train):,} rows x {train.num_columns}, {len(test):,} held out, {seeds} seed(s)\n")
    print("| | rows, mean | lowest to highest | real held-out rows | independent columns |\n|---|---|---|---|---|")
    for key, label in SCORES.items():
        values = [run["rows"][key] for run in runs]
        others = [statistics.mean(run[side][key] for run in runs) for side in ("real", "independent")]
        cells = [f"{statistics.mean(values):.4f}", f"{min(values):.4f} to {max(values):.4f}"]
        print(f"| {label} | " + " | ".join([*cells, *(f"{other:.4f}" for other in others)]) + " |")
    inside = sum(run["rows"]["is_inside"] for run in runs)
    print(f"| … within its 99 % interval of one half | {inside:.0f} of {seeds} | | | |")
    values = [run["detection"] for run in runs]
    spread = f"{min(values):.4f} to {max(values):.4f}"
    print(f"| XGBoost's detection score, training rows | {statistics.mean(values):.4f} | {spread} | | |")
    labels = {"fit_s": "seconds to fit", "sample_s": "seconds to sample as many rows", "peak_mb": "peak memory, MB"}
    for key, label in labels.items():
        values = [run[key] for run in runs if key in run]
        if not values:
            continue
        print(f"| {label} | {statistics.median(values):.1f} | {min(values):.1f} to {max(values):.1f} | | |", flush=True)
    return runs


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in TARGETS:
        parser.add_argument(f"--{name}", type=Path, metavar="FOLDER", help="train.csv.gz and test.csv.gz")
    parser.add_argument("--files", type=Path, nargs="*", default=[], metavar="FILE", help="CSV or Parquet")
    parser.add_argument("--diamonds", action="store_true", help="the table that plotnine ships")
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=["masked"])
    parser.add_argument("--libraries", nargs="+", default=[], metavar="NAME=PYTHON", help="pointillist, mostly, forest")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--settings", type=json.loads, default={}, help="parameters of Diffusion, as JSON, but of one-hot and bits"
    )
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
        for way in options.ways:
            seeds = options.seeds if way == "masked" else 1
            found[f"{name}, {way}"] = measured(name, data, way, seeds, options.settings)
        for library in options.libraries:
            own, python = library.split("=", 1)
            found[f"{name}, {own}"] = measured(name, data, own, 1, {}, python)
    report("mixed", {"tables": found})


if __name__ == "__main__":
    main()
