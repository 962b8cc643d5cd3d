"""Which process suits a table of numbers: Gaussian or masked diffusion, by how much its columns repeat.

FOLDER holds tables as NAME.csv.gz, with types.json, which says which columns of each are categories; those, a binary
last column and columns of text are left out, as are tables with fewer than two columns left. Rows are split 80/20, at
most 5,000 of them. The measure is the area under the curve of boosted trees that distinguish generated from held-out
rows, at most 2,000 a side. "Repeated" is the largest share of a column's cells whose value many cells have, by which
`Diffusion(process="auto")` chooses (`pointillist.columns.grids`).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

from machine import report
from pointillist import Diffusion
from pointillist.columns.grids import has_repeats, repeated_fraction
from pointillist.metrics import boosted_two_sample


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The numeric columns of each table; integers as such."""
    found = {}
    for name, facts in json.loads((folder / "types.json").read_text()).items():
        frame = pd.read_csv(folder / f"{name}.csv.gz").dropna()
        left_out = {*facts["categorical"], *(["y"] if "y" in facts["binary"] else [])}
        kept = [c for c in frame.select_dtypes("number") if c not in left_out]
        frame = frame[kept].sample(frac=1, random_state=1)[:5000].reset_index(drop=True)
        if len(kept) > 1:
            found[name] = frame.astype({c: int for c in kept if (frame[c] == frame[c].round()).all()})
    return found


def columns(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """A frame as metrics take it."""
    return {name: frame[name].to_numpy(float) for name in frame}


def main() -> None:
    """Prints a row a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--only", nargs="+", help="tables")
    options = parser.parse_args()
    print(
        "| table | rows | columns | repeated | auto | AUC, Gaussian | AUC, masked | fit, s | fit, s |\n|---|"
        + "---|" * 8
    )
    runs = []
    for name, frame in tables(options.folder).items():
        if options.only and name not in options.only:
            continue
        n = round(0.8 * len(frame))
        train, test, rows = frame[:n], frame[n:], frame.to_numpy(float)[:n]
        run = {
            "table": name,
            "rows": n,
            "columns": frame.shape[1],
            "repeated": max(repeated_fraction(column) for column in rows.T),
            "auto": "masked" if has_repeats(rows) else "gaussian",
        }
        for process in ("gaussian", "masked"):
            started = time.perf_counter()
            model = Diffusion(process=process, random_state=0).fit(train)
            run[f"{process}_fit_s"] = time.perf_counter() - started
            drawn = model.sample(n, random_state=0)
            run[process] = float(boosted_two_sample(columns(test), columns(drawn), max_rows=2000).auc)
        runs.append(run)
        print(
            f"| {name} | {n} | {run['columns']} | {run['repeated']:.2f} | {run['auto']} | {run['gaussian']:.3f} | "
            f"{run['masked']:.3f} | {run['gaussian_fit_s']:.0f} | {run['masked_fit_s']:.0f} |",
            flush=True,
        )
    report("process_choice", {"runs": runs})


if __name__ == "__main__":
    main()
