"""Profile of the built-in study: seconds and TFLOP of each section by kind of work, beside the peak of the machine.

Devices' work is timed where it is called, one part after another; measures run on threads beside it, and their CPU
seconds are counted apart. TFLOP are those of the formula, two operations per weight and evaluation, so a lower number
of seconds with the same TFLOP is faster code, and fewer TFLOP is less work.
"""

import argparse
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from machine import peak_gflops, report

ON_DEVICES = {
    "train": "training",
    "rows_of": "sampling",
    "log_density_of": "likelihoods",
    "class_probabilities_of": "classifying",
}
ON_THREADS = ("measure_rows", "measure_classes", "measure_fitted", "measure_neighbours", "measure_floor")


class Profile:
    """Seconds and operations by section and kind of work.

    Args:
        sections: Name of a section by key of a cell.
    """

    def __init__(self, sections: dict[str, str]) -> None:
        self.sections = sections
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self.flop: dict[tuple[str, str], float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def on_device(self, kind: str, function: Any) -> Any:
        """Times a function of what the study shares, and a cell or cells."""

        def timed(shared: Any, cells: Any, *arguments: Any) -> Any:
            of = cells if isinstance(cells, list) else [cells]
            works = [self._work(kind, shared, cell) for cell in of]
            start = time.perf_counter()
            result = function(shared, cells, *arguments)
            taken = time.perf_counter() - start
            for cell, work in zip(of, works, strict=True):
                place = self.sections[cell.key], kind
                self.seconds[place] += taken * (work / sum(works) if sum(works) else 1 / len(of))
                self.flop[place] += work
            return result

        return timed

    def on_thread(self, name: str, function: Any) -> Any:
        """Counts the CPU seconds of a function that runs on a thread."""

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.thread_time()
            result = function(*arguments, **named)
            with self._lock:
                self.cpu[name] += time.thread_time() - start
            return result

        return timed

    @staticmethod
    def _work(kind: str, shared: Any, cell: Any) -> float:
        if kind == "training":
            return shared.work.training(cell)
        if kind == "sampling":
            columns = shared.dataset(cell).rows.shape[1]
            return 0.0 if shared.store.rows(cell.rows_key, columns) is not None else shared.work.sampling(cell)
        return shared.work.classifying(cell)


def main() -> None:
    """Runs the study once and prints the profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="sections to run")
    options = parser.parse_args()

    begun = time.perf_counter()
    from pointillist.study import outputs, runner
    from pointillist.study.grid import load_dataset, section_cells
    from pointillist.study.scorer import Scorer
    from pointillist.study.spec import load_spec
    from pointillist.study.store import Store

    peak = peak_gflops()
    spec = load_spec("report")
    if options.only:
        spec = spec.only(options.only)
    names = {name for section in spec.sections for name in section.datasets}
    prints = {name: load_dataset(name).fingerprint for name in names}
    sections: dict[str, str] = {}
    for section in spec.sections:
        for cell in section_cells(section, spec.seeds, prints):
            sections.setdefault(cell.key, section.name)
    profile = Profile(sections)
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(
            runner,
            **{name: profile.on_device(kind, getattr(runner, name)) for name, kind in ON_DEVICES.items()},
            **{name: profile.on_thread(name, getattr(runner, name)) for name in ON_THREADS},
        ),
        mock.patch.object(Scorer, "fit", profile.on_thread("Scorer.fit", Scorer.fit)),
    ):
        with Store(Path(folder) / "study.db") as store:
            runner.run_study(spec, store, Console(quiet=True))
            studied = time.perf_counter()
            outputs.write_outputs(store, Path(folder), Console(quiet=True))
    ended = time.perf_counter()
    kinds = list(ON_DEVICES.values())
    print(f"{'section':>14}" + "".join(f"{kind:>22}" for kind in kinds))
    for section in [*dict.fromkeys(sections.values())]:
        parts = [(profile.seconds[section, kind], profile.flop[section, kind]) for kind in kinds]
        print(f"{section:>14}" + "".join(f"{s:>10.1f} s {f / 1e12:>6.1f} TFLOP"[:22].rjust(22) for s, f in parts))
    totals = [
        (
            kind,
            sum(s for (_, k), s in profile.seconds.items() if k == kind),
            sum(f for (_, k), f in profile.flop.items() if k == kind),
        )
        for kind in kinds
    ]
    for kind, s, f in totals:
        print(f"{kind:>14}: {s:6.1f} s, {f / 1e12:6.2f} TFLOP, {f / max(s, 1e-9) / 1e9:5.0f} GFLOP/s")
    for name, s in profile.cpu.items():
        print(f"{name:>24}: {s:6.1f} CPU s on threads")
    on_devices = sum(s for _, s, _ in totals)
    print(f"waiting for threads, and the rest: {studied - start - on_devices:.1f} s")
    print(f"page, tables and figures: {ended - studied:.1f} s")
    print(f"in all {ended - start:.1f} s; peak of a NumPy product before {peak:.0f}, after {peak_gflops():.0f} GFLOP/s")
    report("study_profile", {"total_s": ended - start, "totals": totals, "cpu": profile.cpu, "peak": peak})
    del begun


if __name__ == "__main__":
    main()
