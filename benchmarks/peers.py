"""Compares pointillist with other ways to train and sample the same small model, in one run on this machine.

Each measurement runs in its own process, in the Python that has the peer's library, on all cores that this process may
use; `peers/common.py` says what is the same for all of them and how each is measured. Numbers are medians with their
range; "÷ ours" and "÷ fastest peer" say how many times as long something takes.

Sampling is measured with the C library's default memory settings and, for peers, also with settings by which it keeps
its pages, so that PyTorch need not ask the system for memory again at every large intermediate. "From nothing" and "at
equal quality" are measured with pages kept, for all. There, the baseline is W1 between two fresh draws.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from machine import median_and_range, report

HERE = Path(__file__).parent
ROOT = HERE.parent
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
STACK = 16
EPOCH = 125
"""Steps: numbers of steps are multiples of it."""

KEEP_PAGES = {
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TOP_PAD_": str(2**26),
    # Some versions of the C library refuse so high a threshold.
    "MALLOC_MMAP_MAX_": "0",
}


@dataclass(frozen=True)
class Contender:
    """A peer, or what it is compared with.

    Attributes:
        label: Name in the tables.
        script: Script in `peers/`.
        variant: Variant of the script.
        packages: Packages that a user of it installs.
        is_timed: Whether steps and rows of the common network are measured, and not quality alone.
        budgets: Training budgets, each in its own process, for a contender whose training cannot be continued.
        growth: Approximate ratio of a budget to the one before it.
        full_budget: Budget of the model on which samplers are compared, if it is not the first one that was good.
    """

    label: str
    script: str
    variant: str = ""
    packages: tuple[str, ...] = ()
    is_timed: bool = True
    budgets: tuple[int, ...] = ()
    growth: float = 1.5
    full_budget: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether it is pointillist."""
        return self.script == "ours.py"

    @property
    def python(self) -> str:
        """Path of the Python that has its library."""
        return sys.executable if self.is_ours else str(ROOT / ".venv-peers" / "bin" / "python")


STEPS = tuple(EPOCH * round(8 * 2 ** (i / 2)) for i in range(8))
COPIES = (5, 10, 20, 40, 80)
FOREST = {"packages": ("ForestDiffusion",), "is_timed": False, "budgets": COPIES, "growth": 2.0}
DEFAULT = {"packages": (str(ROOT),), "is_timed": False, "budgets": STEPS, "full_budget": 80 * EPOCH}
CONTENDERS = {
    "published": Contender("pointillist, published recipe", "ours.py", "published", (str(ROOT),)),
    "default": Contender("pointillist, default", "ours.py", "default", **DEFAULT),
    "usual": Contender("PyTorch + diffusers, usual", "usual_pytorch_diffusers.py", "", ("torch", "numpy", "diffusers")),
    "eager": Contender("PyTorch tuned, eager", "tuned_pytorch.py", "eager", ("torch", "numpy")),
    "compiled": Contender("PyTorch tuned, compiled", "tuned_pytorch.py", "compiled", ("torch", "numpy")),
    "smalldiffusion": Contender("smalldiffusion", "small_diffusion.py", "", ("smalldiffusion",)),
    "azula": Contender("azula", "azula_peer.py", "", ("azula",)),
    "forest-flow": Contender("ForestDiffusion, flow", "forest_diffusion.py", "flow", **FOREST),
    "forest-vp": Contender("ForestDiffusion, vp", "forest_diffusion.py", "vp", **FOREST),
}


@dataclass(frozen=True)
class Amounts:
    """Amounts of everything that is measured.

    Attributes:
        repeats: Repeats of short measurements.
        few_repeats: Repeats of starting a process.
        steps: Training steps in a repeat.
        few, many: Numbers of rows drawn.
        ancestral, dpm: Evaluations per row.
        seeds: Trainings for quality; no further one starts after `enough` seconds of them.
        enough: Seconds of training for quality after which no seed is added.
        cap: Most seconds of a training for quality.
        scored: Rows per side that the classifier sees.
        least_steps: Fewest steps of the model on which samplers are compared.
    """

    repeats: int = 5
    few_repeats: int = 3
    steps: int = 8 * EPOCH
    few: int = 5_000
    many: int = 100_000
    ancestral: int = 200
    dpm: int = 20
    seeds: int = 3
    enough: float = 40.0
    cap: float = 120.0
    scored: int = 4_000
    least_steps: int = 80 * EPOCH


QUICK = Amounts(1, 1, EPOCH, 500, 1_000, 5, 5, 1, 0.0, 0.0, 500, 8 * EPOCH)


@dataclass(frozen=True)
class Row:
    """A line of a table: what was measured, and a note on it."""

    contender: Contender
    values: list[float]
    note: str = ""
    suffix: str = ""

    @property
    def label(self) -> str:
        """Name of the line."""
        return self.contender.label + self.suffix


class Bench:
    """The measurements, with one method per section; keeps every table that they print.

    Args:
        contenders: The contenders that take part.
        amounts: How much is measured.
        folder: Folder for data and compiled programs.
    """

    def __init__(self, contenders: list[Contender], amounts: Amounts, folder: Path) -> None:
        self.contenders, self.amounts, self.folder = contenders, amounts, folder
        self.timed = [contender for contender in contenders if contender.is_timed]
        self.tables: dict[str, Any] = {}
        self._data = folder / "data.npz"
        subprocess.run([sys.executable, HERE / "peers" / "data.py", self._data], check=True)

    def _process(
        self, contender: Contender, *arguments: object, caches: Path | None = None, keeps_pages: bool = False
    ) -> subprocess.Popen[str]:
        caches = caches or self.folder / "caches"
        script = HERE / "peers" / contender.script
        command = [contender.python, script, *arguments, "--variant", contender.variant, "--data", self._data]
        environment = {
            **os.environ,
            "POINTILLIST_CACHE": str(caches / "pointillist"),
            "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
            **(KEEP_PAGES if keeps_pages else {}),
            "PROCESS_STARTED": repr(time.monotonic()),
        }
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [str(part) for part in command], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
        )

    def _call(self, contender: Contender, *arguments: object, threads: int = CORES, **how: Any) -> dict[str, Any]:
        return _result(self._process(contender, *arguments, "--threads", threads, **how))

    def _cold(self, contender: Contender, *arguments: object, **how: Any) -> dict[str, Any]:
        """Calls like `_call`, but without compiled programs of an earlier process."""
        with tempfile.TemporaryDirectory(dir=self.folder) as empty:
            return self._call(contender, *arguments, caches=Path(empty), **how)

    def _together(self, contender: Contender, *arguments: object) -> list[dict[str, Any]]:
        """Runs one process of one thread per core; all have started before any is measured."""
        command = [*arguments, "--wait", "--threads", 1]
        processes = [self._process(contender, *command, caches=self.folder / f"core{i}") for i in range(CORES)]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return [_result(process) for process in processes]

    def startup(self) -> None:
        """Measures how long a process takes to be ready, and to train a first epoch."""
        imports, cold, warm = [], [], []
        for contender in self.timed:
            # The first process finds neither files in memory nor compiled programs.
            self._call(contender, "import")
            empty = [self._cold(contender, "import") for _ in range(self.amounts.few_repeats)]
            again = [self._call(contender, "import") for _ in range(self.amounts.few_repeats)]
            imports.append(_row(contender, again, "ready_s"))
            cold.append(_row(contender, empty, "first_epoch_s"))
            warm.append(_row(contender, again, "first_epoch_s"))
        self._table("Seconds to start and import", imports)
        self._table("Seconds to start and train the first epoch of 125 steps, nothing compiled before", cold)
        self._table("Seconds to start and train the first epoch, compiled programs kept from an earlier process", warm)

    def training(self) -> None:
        """Measures a training step of one model, and of sixteen."""
        one, many, peaks = [], [], []
        asked = "train", "--steps", self.amounts.steps, "--repeats", self.amounts.repeats
        for contender in self.timed:
            if contender.is_ours:
                alone = self._call(contender, *asked)
                stack = self._call(contender, *asked, "--models", STACK)
                one.append(_row(contender, [alone], "us_per_step_per_model"))
                many.append(_row(contender, [stack], "us_per_step_per_model", "one stack"))
                peaks += [_peak(contender, alone, ", 1 model"), _peak(contender, stack, f", {STACK} models")]
                continue
            by_threads = {n: self._call(contender, *asked, threads=n) for n in sorted({1, CORES})}
            best = min(by_threads, key=lambda n: _median(by_threads[n], "us_per_step_per_model"))
            one.append(_row(contender, [by_threads[best]], "us_per_step_per_model", f"{best} of {CORES} cores"))
            peaks.append(_peak(contender, by_threads[best]))
            many.append(_better(one[-1], _side_by_side(contender, self._together(contender, *asked))))
        self._table("µs a training step, 1 model", one)
        self._table(f"µs a training step and model, {STACK} models", many)
        self._table("Peak MB of a process that trains", peaks)

    def sampling(self) -> None:
        """Measures rows per second at the same number of evaluations."""
        amounts = self.amounts
        for sampler, evaluations in (("ancestral", amounts.ancestral), ("dpm", amounts.dpm)):
            for n_rows in (amounts.few, amounts.many):
                rows, peaks = [], []
                cost = n_rows * evaluations
                repeats = 1 if cost > 5_000_000 else 3 if cost > 1_000_000 else 5
                repeats = min(repeats, amounts.repeats)
                asked = "sample", "--sampler", sampler, "--evaluations", evaluations, "--rows", n_rows
                for contender in self.timed:
                    for keeps_pages in (False,) if contender.is_ours else (False, True):
                        suffix = ", pages kept" if keeps_pages else ""
                        result = self._call(contender, *asked, "--repeats", repeats, keeps_pages=keeps_pages)
                        rows.append(_row(contender, [result], "rows_per_s", suffix=suffix))
                        peaks.append(_peak(contender, result, suffix))
                what = f"{n_rows:,} rows, {evaluations} evaluations, {sampler}"
                self._table(f"Rows a second, {what}", rows, is_rate=True)
                if n_rows == amounts.many:
                    self._table(f"Peak MB, {what}", peaks)

    def quality(self) -> None:
        """Measures seconds from nothing to rows that a classifier can hardly distinguish from fresh ones.

        It also finds the cheapest good rows.
        """
        times, rates = [], []
        for contender in self.contenders:
            runs: list[list[dict[str, float]]] = []
            for seed in range(self.amounts.seeds):
                looks, scan, failure = self._looks(contender, seed)
                if seed == 0:
                    rates.append(_cheapest(contender, scan, failure))
                runs.append(looks)
                spent = sum(looks[-1]["seconds"] for looks in runs if looks)
                if failure or not looks[-1]["is_good"] or spent > self.amounts.enough:
                    break
            times.append(_time_to_quality(contender, runs, failure))
        self._table("Seconds from nothing to a two-sample accuracy of 0.55", times, reference="default")
        title = "Rows a second at equal quality: the fewest evaluations with W1 within 1.2 of the baseline"
        self._table(title, rates, is_rate=True, reference="default")

    def _looks(self, contender: Contender, seed: int) -> tuple[list[dict[str, float]], list[dict[str, Any]], str]:
        amounts = self.amounts
        asked = ["quality", "--seed", seed, "--scored", amounts.scored, "--steps", amounts.least_steps]
        asked += ["--evaluations", amounts.ancestral, "--growth", contender.growth]
        scan = ["--scan"] if seed == 0 else []
        looks: list[dict[str, float]] = []
        result: dict[str, Any] = {}
        for budget in contender.budgets or (None,):
            own = [] if budget is None else ["--budget", budget]
            own += [] if contender.full_budget else scan
            result = self._cold(contender, *asked, *own, "--cap", amounts.cap, keeps_pages=True)
            if "failed" in result:
                return looks, [], result["failed"]
            looks += result["looks"]
            if result["is_last"]:
                break
        if contender.full_budget and scan:
            budget = min(contender.full_budget, amounts.least_steps)
            result = self._cold(contender, *asked, *scan, "--budget", budget, "--cap", 0, keeps_pages=True)
        return looks, result.get("scan", []), result.get("failed", "")

    def _table(self, title: str, rows: list[Row], *, is_rate: bool = False, reference: str = "published") -> None:
        """Prints a table in Markdown and keeps it."""
        medians = [statistics.median(row.values) if row.values else None for row in rows]
        pick = max if is_rate else min
        ours = [m for m, row in zip(medians, rows, strict=True) if m and row.contender is CONTENDERS[reference]]
        peers = [m for m, row in zip(medians, rows, strict=True) if m and not row.contender.is_ours]
        standards = [pick(group) if group else None for group in (ours, peers)]
        print(f"\n{title}\n\n| | median | range | of | ÷ ours | ÷ fastest peer | |\n|---|---|---|---|---|---|---|")
        for row, median in zip(rows, medians, strict=True):
            cells = ["", "", "0", "", ""]
            if median:
                _, low, high = median_and_range(row.values)
                ratios = ["" if s is None else f"{s / median if is_rate else median / s:.2f}" for s in standards]
                cells = [_number(median), f"{_number(low)} to {_number(high)}", str(len(row.values)), *ratios]
            print("| " + " | ".join([row.label, *cells, row.note]) + " |", flush=True)
        self.tables[title] = {row.label: {"values": row.values, "note": row.note} for row in rows}


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a script printed last; if it failed, why."""
    out, error = process.communicate()
    if process.returncode:
        lines = error.strip().splitlines() or [f"status {process.returncode}"]
        return {"failed": lines[-1][:200]}
    return json.loads(out.strip().splitlines()[-1])


def _row(contender: Contender, results: list[dict], key: str, note: str = "", suffix: str = "") -> Row:
    """A line with one value from each of several processes, or with a list of values from one process."""
    failures = [f"failed: {result['failed']}" for result in results if "failed" in result]
    given = [result[key] for result in results if key in result]
    values = [value for each in given for value in (each if isinstance(each, list) else [each])]
    notes = [note, *{result.get("note", "") for result in results}, *failures[:1]]
    return Row(contender, values, "; ".join(filter(None, notes)), suffix)


def _peak(contender: Contender, result: dict[str, Any], suffix: str = "") -> Row:
    return _row(contender, [result], "peak_mb", suffix=suffix)


def _median(result: dict[str, Any], key: str) -> float:
    return statistics.median(result[key]) if key in result else float("inf")


def _side_by_side(contender: Contender, results: list[dict[str, Any]]) -> Row:
    if any("failed" in result for result in results):
        return _row(contender, results, "")
    slowest = map(max, zip(*(result["us_per_step_per_model"] for result in results), strict=True))
    return Row(contender, [us / len(results) for us in slowest], f"{len(results)} processes of one thread side by side")


def _better(one: Row, together: Row) -> Row:
    """The faster way to train many models: one after another, or in processes side by side."""
    in_turn = Row(one.contender, one.values, f"one after another, {one.note}")
    if not one.values or not together.values:
        return in_turn if one.values else together
    return min(in_turn, together, key=lambda row: statistics.median(row.values))


def _time_to_quality(contender: Contender, runs: list[list[dict[str, float]]], failure: str) -> Row:
    ends = [looks[-1] for looks in runs if looks]
    reached = [end for end in ends if end["is_good"]]
    notes = [f"budget {end['budget']:.0f}: accuracy {end['accuracy']:.3f}" for end in reached]
    notes += [
        f"not reached in {end['seconds']:.0f} s: accuracy {min(look['accuracy'] for look in looks):.3f}"
        for looks, end in zip(runs, ends, strict=True)
        if not end["is_good"]
    ]
    return Row(contender, [end["seconds"] for end in reached], "; ".join([*notes, *filter(None, [failure])]))


def _cheapest(contender: Contender, scan: list[dict[str, Any]], failure: str) -> Row:
    if not scan:
        return Row(contender, [], failure or "no finite rows")
    close = [point for point in scan if point["is_close"]]
    best = max(close, key=lambda point: _median(point, "rows_per_s")) if close else None
    shown = best or min(scan, key=lambda point: point["ratio"])
    note = f"{shown['sampler']}, {shown['evaluations']} evaluations: {shown['ratio']:.2f}"
    return Row(contender, best["rows_per_s"] if best else [], note if best else f"never; closest by {note}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def sizes(contenders: list[Contender]) -> dict[str, Any]:
    """Measures the megabytes of a fresh install of what each contender needs."""
    found = {}
    print("| | MB | largest |\n|---|---|---|")
    for packages in dict.fromkeys(contender.packages for contender in contenders):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, *packages]
            subprocess.run(command, check=True)
            parts = {path.name: _bytes(path) / 2**20 for path in Path(folder).iterdir()}
        largest = sorted(parts, key=parts.__getitem__, reverse=True)[:4]
        name = "pointillist" if packages == (str(ROOT),) else ", ".join(packages)
        found[name] = parts
        print(f"| {name} | {sum(parts.values()):,.0f} | {', '.join(f'{p} {parts[p]:,.0f}' for p in largest)} |")
    return found


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="PEER", help=", ".join(CONTENDERS))
    sections = ("startup", "training", "sampling", "quality")
    parser.add_argument("--sections", nargs="+", choices=sections, default=sections)
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    parser.add_argument(
        "--sizes", action="store_true", help="measure only the sizes of fresh installs, which are downloaded"
    )
    options = parser.parse_args()
    contenders = [CONTENDERS[name] for name in options.only or CONTENDERS]
    if options.sizes:
        report("peers_sizes", {"megabytes": sizes(contenders)})
        return
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(contenders, QUICK if options.quick else Amounts(), Path(folder))
        for section in options.sections:
            getattr(bench, section)()
    report("peers_quick" if options.quick else "peers", {"tables": bench.tables})


if __name__ == "__main__":
    main()
