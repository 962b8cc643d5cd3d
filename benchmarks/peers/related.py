"""Fits SDV's HMA to related tables and draws as many parents, in its own environment.

`python related.py FOLDER SEED` reads the tables and `keys.json` of a folder, and writes drawn tables to the folder
`drawn` in it. It prints as JSON the seconds of fitting and drawing, processor seconds, and the process's peak memory in
GB.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def hma(tables: dict[str, pd.DataFrame], primary: dict[str, str], foreign: dict[str, dict[str, str]]) -> Any:
    """Fits SDV's `HMASynthesizer` with its defaults."""
    from sdv.metadata import Metadata
    from sdv.multi_table import HMASynthesizer

    metadata = Metadata.detect_from_dataframes(tables, infer_keys=None)
    for table, column in primary.items():
        metadata.update_column(column, table, sdtype="id")
        metadata.set_primary_key(column, table)
    for table, keys in foreign.items():
        for column, parent in keys.items():
            metadata.update_column(column, table, sdtype="id")
            metadata.add_relationship(parent, table, primary[parent], column)
    model = HMASynthesizer(metadata)
    model.fit(tables)
    return model


def main() -> None:
    """Runs one fit."""
    folder = Path(sys.argv[1])
    np.random.seed(int(sys.argv[2]))
    keys = json.loads((folder / "keys.json").read_text())
    tables = {name: pd.read_csv(folder / f"{name}.csv", parse_dates=dates) for name, dates in keys["dates"].items()}
    start, processor = time.perf_counter(), time.process_time()
    model = hma(tables, keys["primary_keys"], keys["foreign_keys"])
    fitted = time.perf_counter()
    drawn = model.sample_scale(1.0)
    seconds = {"fit": fitted - start, "sample": time.perf_counter() - fitted}
    seconds["processor"] = time.process_time() - processor
    (folder / "drawn").mkdir()
    for name, table in drawn.items():
        table.to_csv(folder / "drawn" / f"{name}.csv", index=False)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"seconds": seconds, "memory_gb": memory}))


if __name__ == "__main__":
    main()
