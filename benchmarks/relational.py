"""Models of databases: valid keys, numbers of children, columns, pairs of rows, and two-sample tests of parents.

`--data FOLDER` names a folder with Rossmann, Walmart and Chinook: one folder of `.csv.gz` files for each. As in
SyntheRela (Hudovernik et al. 2024, arXiv 2410.03411), Walmart is cut to January 2012, and the accuracy is of trees that
distinguish real from drawn parents with aggregates of their children: counts, means and numbers of categories. The last
column compares two halves of the real tables. `made` is a database whose distribution is known: Poisson numbers of
children, and a Markov chain of states for each kind of parent.

Fits include compilation, and are of `RelationalDiffusion()` with its defaults. With `--peer`, the Python of an
environment with SDV, its HMA is fitted too, except to Chinook, whose keys of two columns it does not take.
"""

import argparse
import os

# Fits are timed with what a first fit takes.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import json
import resource
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from machine import report
from pointillist import RelationalDiffusion
from pointillist.evaluation.related_tables import evaluate_tables
from pointillist.tables.schema import Schema

Database = tuple[dict[str, pd.DataFrame], dict[str, Any]]

CHINOOK: dict[str, Any] = {
    "primary_keys": {
        **{name: f"{name}Id" for name in ("Artist", "Album", "Genre", "MediaType", "Track", "Employee", "Customer")},
        **{name: f"{name}Id" for name in ("Invoice", "InvoiceLine", "Playlist")},
        "PlaylistTrack": ("PlaylistId", "TrackId"),
    },
    "foreign_keys": {
        "Album": {"ArtistId": "Artist"},
        "Track": {"AlbumId": "Album", "MediaTypeId": "MediaType", "GenreId": "Genre"},
        "Employee": {"ReportsTo": "Employee"},
        "Customer": {"SupportRepId": "Employee"},
        "Invoice": {"CustomerId": "Customer"},
        "InvoiceLine": {"InvoiceId": "Invoice", "TrackId": "Track"},
        "PlaylistTrack": {"PlaylistId": "Playlist", "TrackId": "Track"},
    },
    "order": {"Invoice": "InvoiceDate"},
}

RATES = {"a": 2.0, "b": 6.0}
CHANGES = {
    "a": np.array([[0.8, 0.2, 0.0], [0.1, 0.7, 0.2], [0.3, 0.3, 0.4]]),
    "b": np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [0.1, 0.1, 0.8]]),
}
"""Mean number of children of each kind of parent, and probability of each state after each state."""


def rossmann(folder: Path) -> Database:
    """Stores and their daily sales."""
    sales = pd.read_csv(folder / "sales.csv.gz", dtype={"StateHoliday": str}, parse_dates=["Date"])
    keys = {"primary_keys": {"stores": "Store"}, "foreign_keys": {"sales": {"Store": "stores"}}}
    return {"stores": pd.read_csv(folder / "stores.csv.gz"), "sales": sales}, {**keys, "order": {"sales": "Date"}}


def walmart(folder: Path) -> Database:
    """Stores, their weekly features, and the weekly sales of their departments, in January 2012."""
    tables = {"stores": pd.read_csv(folder / "stores.csv.gz")}
    for name in ("features", "sales"):
        rows = pd.read_csv(folder / f"{name}.csv.gz", parse_dates=["Date"])
        tables[name] = rows[rows.Date.between("2012-01-01", "2012-02-01")].reset_index(drop=True)
    children = ("features", "sales")
    keys = {"primary_keys": {"stores": "Store"}, "foreign_keys": {name: {"Store": "stores"} for name in children}}
    return tables, {**keys, "order": dict.fromkeys(children, "Date")}


def chinook(folder: Path) -> Database:
    """Reads the eleven tables of a music shop without postal codes, because some of them are numbers."""
    tables = {name: pd.read_csv(folder / f"{name}.csv.gz") for name in CHINOOK["primary_keys"]}
    tables = {name: table.drop(columns=[*table.filter(like="PostalCode")]) for name, table in tables.items()}
    tables["Invoice"]["InvoiceDate"] = pd.to_datetime(tables["Invoice"]["InvoiceDate"])
    for column in ("BirthDate", "HireDate"):
        tables["Employee"][column] = pd.to_datetime(tables["Employee"][column])
    return tables, CHINOOK


def made(n: int = 4000) -> Database:
    """Draws parents of two kinds, with Poisson numbers of children whose states are a Markov chain."""
    rng = np.random.default_rng(0)
    kinds = rng.choice(["a", "b"], n)
    counts = rng.poisson([RATES[kind] for kind in kinds])
    states = []
    for kind, count in zip(kinds, counts, strict=True):
        state = 0
        for _ in range(count):
            states.append(state := rng.choice(3, p=CHANGES[kind][state]))
    steps = pd.DataFrame({"run": np.repeat(np.arange(n), counts), "state": np.array(list("xyz"))[states]})
    steps["time"] = steps.groupby("run").cumcount()
    keys = {"primary_keys": {"runs": "run"}, "foreign_keys": {"steps": {"run": "runs"}}, "order": {"steps": "time"}}
    return {"runs": pd.DataFrame({"run": np.arange(n), "kind": kinds}), "steps": steps}, keys


def largest_errors(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Largest errors of the made database: of mean numbers of children, relatively, and of transitions."""
    kind = tables["runs"].set_index("run").kind
    counts = tables["steps"].groupby("run").size().reindex(kind.index, fill_value=0)
    of_means, of_changes = [], []
    for each in RATES:
        of_means.append(abs(counts[kind == each].mean() / RATES[each] - 1))
        steps = tables["steps"][tables["steps"].run.map(kind) == each]
        codes, runs = steps.state.map({"x": 0, "y": 1, "z": 2}).to_numpy(), steps.run.to_numpy()
        is_next = runs[1:] == runs[:-1]
        table = np.zeros((3, 3))
        np.add.at(table, (codes[:-1][is_next], codes[1:][is_next]), 1)
        of_changes.append(np.abs(table / table.sum(axis=1, keepdims=True) - CHANGES[each]).max())
    return {"numbers of children, relative": float(max(of_means)), "transitions": float(max(of_changes))}


def measured(name: str, database: Database, seed: int) -> dict[str, Any]:
    """Fits, draws and evaluates a database, and prints the result."""
    tables, keys = database
    start, processor = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = RelationalDiffusion(**keys, random_state=seed).fit(tables)
    fitted = time.perf_counter()
    drawn = model.sample(random_state=seed)
    seconds = {"fit": fitted - start, "sample": time.perf_counter() - fitted}
    seconds["processor"] = time.process_time() - processor
    evaluation = model.evaluate(tables, drawn, random_state=seed)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print_costs(name, seconds, memory)
    print(evaluation)
    found = {"rows": {each: len(frame) for each, frame in drawn.items()}, "seconds": seconds, "memory_gb": memory}
    found |= evaluation.to_json()
    if name == "made":
        found["errors"] = largest_errors(drawn)
        print(f"largest errors: {found['errors']}; of as many real rows: {largest_errors(tables)}")
    return found


def print_costs(name: str, seconds: dict[str, float], memory: float) -> None:
    """Prints seconds and memory in one line."""
    print(f"{name}: {', '.join(f'{each} {value:.0f} s' for each, value in seconds.items())}, peak {memory:.1f} GB")


def of_peer(name: str, database: Database, python: Path, seed: int) -> dict[str, Any]:
    """Fits SDV's HMA in its environment, evaluates its tables, and prints the result."""
    tables, keys = database
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        dates = {each: [*frame.select_dtypes("datetime")] for each, frame in tables.items()}
        for each, frame in tables.items():
            frame.to_csv(folder / f"{each}.csv", index=False)
        (folder / "keys.json").write_text(json.dumps({**keys, "dates": dates}))
        script = Path(__file__).parent / "peers" / "related.py"
        done = subprocess.run([python, script, folder, str(seed)], check=True, stdout=subprocess.PIPE, text=True)
        costs = json.loads(done.stdout.splitlines()[-1])
        drawn = {}
        for each, frame in tables.items():
            texts = {column: str for column in frame if pd.api.types.is_string_dtype(frame[column])}
            path = folder / "drawn" / f"{each}.csv"
            drawn[each] = pd.read_csv(path, dtype=texts, parse_dates=dates[each])
    schema = Schema.of(tuple(tables), keys["primary_keys"], keys["foreign_keys"], keys["order"])
    evaluation = evaluate_tables(tables, drawn, schema, random_state=seed)
    print_costs(f"{name}, HMA", costs["seconds"], costs["memory_gb"])
    print(evaluation)
    return {**costs, **evaluation.to_json()}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    databases = {"rossmann": rossmann, "walmart": walmart, "chinook": chinook}
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="+", choices=[*databases, "made"], default=[*databases, "made"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", type=Path)
    arguments = parser.parse_args()
    found = {}
    for name in arguments.only:
        database = made() if name == "made" else databases[name](arguments.data / name)
        found[name] = measured(name, database, arguments.seed)
        if arguments.peer is not None and name != "chinook":
            found[f"{name}, HMA"] = of_peer(name, database, arguments.peer, arguments.seed)
    report("relational", found)


if __name__ == "__main__":
    main()
