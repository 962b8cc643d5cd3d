"""The quality of what models of tables give, in one table: rows, filled cells and predictions, by the other benchmarks.

Parts are named by what they measure and of which table: `small` and `filling` by the protocols of `small_tables.py` and
`imputation.py`, `regression` by that of `regression.py`, and `tables` by that of `mixed.py`. `--data FOLDER` names a
folder with the folders `small`, `regression`, `default`, `beijing` and `adult` that these take.

`-o FILE` is written after each part; parts that it holds already are not measured again. `--against FILE` prints the
measures of an earlier file beside these, with the differences. Where there are several seeds, the noise of a difference
is the standard error that the spread between seeds gives.
"""

import argparse
import json
import math
import os

# As in the benchmarks that this imports, before JAX is.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import machine

Run = dict[str, float]
"""The measures of one seed."""

PYTHON = machine.HERE.parent / ".venv-peers" / "bin" / "python"

SMALL = "iris", "concrete_slump", "glass", "yacht_hydrodynamics", "congress", "blood_transfusion"
FILLED = "concrete_slump", "wine", "ecoli"
REGRESSION = "yacht", "concrete", "energy", "wine"
TABLES = "beans", "diamonds", "default", "beijing", "adult"


def small(name: str, data: Path, n_seeds: int) -> list[Run]:
    """Measures rows of a small table."""
    import small_tables

    table = _table(name, data)
    return [small_tables.measured(table, {}, str(PYTHON), seed) for seed in range(n_seeds)]


def filling(name: str, data: Path, n_seeds: int) -> list[Run]:
    """Measures filled cells of a small table: draws and medians."""
    import imputation

    table, runs = _table(name, data), []
    for seed in range(n_seeds):
        whole = table.divided(0.2, seed)[0].reset_index(drop=True)
        is_removed = imputation.removed(whole, seed)
        ways = imputation.filled_here(whole.mask(is_removed), {}, imputation.DRAWS, seed)
        found = {way: imputation.measured(table, whole, is_removed, draws) for way, (draws, _) in ways.items()}
        draws, medians = (found[way] for way in imputation.OWN)
        own = {key: draws[key] for key in ("AvgMAE", "MinMAE", "CRPS")}
        runs.append({**own, "AvgMAE of medians": medians["AvgMAE"], "seconds": ways[imputation.OWN[0]][1]})
    return runs


def regression(name: str, data: Path, n_seeds: int) -> list[Run]:
    """Measures predictions of a regression set, on as many splits as there are seeds."""
    import numpy as np

    import regression as benchmark

    with np.load(data / "regression" / f"{name}.npz") as file:
        X, y = file["X"].astype(float), file["y"].astype(float).ravel()
        return [benchmark.measured(X, y, file[f"test_{i}"], {}) for i in range(n_seeds)]


def tables(name: str, data: Path, n_seeds: int) -> list[Run]:
    """Measures rows of a larger table."""
    import pyarrow as pa

    import mixed

    found: tuple[pa.Table, pa.Table, str | None]
    if name == "beans":
        found = *mixed.split(pa.Table.from_pandas(_table("bean", data).rows, preserve_index=False)), "y"
    else:
        found = mixed.diamonds() if name == "diamonds" else mixed.uci(name, data / name)
    keys = "trends", "common", "two_sample", "utility", "nearer"
    return [
        {
            "detection": run["detection"],
            **{key: run["rows"][key] for key in keys},
            "utility of real rows": run["real"]["utility"],
            "fit_s": run["fit_s"],
            "sample_s": run["sample_s"],
        }
        for run in mixed.measured(name, found, partial(mixed.generated, {}), n_seeds)
    ]


def _table(name: str, data: Path) -> Any:
    import small_tables

    kinds = json.loads((data / "small" / "types.json").read_text())
    return small_tables.Table(data / "small", name, kinds[name])


PARTS: dict[str, Callable[[Path, int], list[Run]]] = {
    f"{kind.__name__}/{name}": partial(kind, name)
    for kind, names in ((small, SMALL), (filling, FILLED), (regression, REGRESSION), (tables, TABLES))
    for name in names
}
"""What measures each part, from the quickest to the slowest."""


def lines(parts: dict[str, list[Run]], before: dict[str, list[Run]]) -> list[str]:
    """The lines of the printed table, for the parts that a file holds; of an earlier file, perhaps of none."""
    head = ["part", "measure", "mean", *(["before", "difference", "its noise"] if before else [])]
    found = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for part, runs in parts.items():
        for key in runs[0]:
            sides = [[run[key] for run in side if key in run] for side in (runs, before.get(part, []))]
            if math.isnan(sides[0][0]):
                continue
            cells = [f"{statistics.mean(side):.4f}" if side else "" for side in sides[: 2 if before else 1]]
            if before:
                difference = statistics.mean(sides[0]) - statistics.mean(sides[1]) if sides[1] else None
                noise = _noise(*sides)
                cells += ["" if value is None else f"{value:.4f}" for value in (difference, noise)]
            found.append(f"| {' | '.join([part, key, *cells])} |")
    return found


def _noise(*sides: list[float]) -> float | None:
    """Returns the standard error of the difference of means; None if no side has several values."""
    several = [side for side in sides if len(side) > 1]
    if not several or not all(sides):
        return None
    freedom = sum(len(side) - 1 for side in several)
    variance = sum(statistics.variance(side) * (len(side) - 1) for side in several) / freedom
    return math.sqrt(variance * sum(1 / len(side) for side in sides))


def main() -> None:
    """Measures the parts, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="the measures, as JSON")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the tables; without it, FILE is printed")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="beginnings of names of parts")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--against", type=Path, metavar="FILE", help="measures to compare with")
    options = parser.parse_args()
    asked = [part for part in PARTS if part.startswith(tuple(options.only))]
    if not asked:
        parser.error(f"no part begins with {' or '.join(options.only)}; there are {', '.join(PARTS)}")
    found: dict[str, Any] = {"machine": machine.describe(), **machine.SOURCE, "parts": {}}
    if options.out.exists():
        earlier = json.loads(options.out.read_text())
        if options.data and earlier["commit"] != found["commit"]:
            parser.error(f"{options.out} is of commit {earlier['commit']}, not {found['commit']}: give another file")
        found = earlier
    parts = found["parts"]
    for part in asked if options.data else ():
        if len(parts.get(part, [])) < options.seeds:
            parts[part] = PARTS[part](options.data, options.seeds)
            text = json.dumps({**found, "parts": {name: parts[name] for name in PARTS if name in parts}}, indent=1)
            partial_file = options.out.with_name(f"{options.out.name}.part")
            partial_file.write_text(text + "\n")
            os.replace(partial_file, options.out)
            print(f"measured {part}", flush=True)
    before = json.loads(options.against.read_text()) if options.against else {"parts": {}}
    for side in (found, before):
        if "machine" in side:
            print(f"{side['commit']}, {side['date']}: {side['machine']}")
    print(*lines({part: parts[part] for part in asked if part in parts}, before["parts"]), sep="\n")


if __name__ == "__main__":
    main()
