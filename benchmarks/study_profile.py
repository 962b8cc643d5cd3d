"""One run of the built-in study in this process, with its seconds and operations by section and kind of work.

Devices' work is timed where it is called, one part after another. Measures run on threads beside it, and their CPU
seconds are counted apart. Operations are those of the formula: two for each weight of each evaluation of a network.
"""

import json
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

KINDS = {
    "train": "training",
    "rows_of": "sampling",
    "log_density_of": "likelihoods",
    "class_probabilities_of": "classifying",
}
"""Names of the functions in `study.runner` that use the devices, and what they do."""

ON_THREADS = (
    "measure_rows",
    "measure_classes",
    "measure_classifier",
    "measure_on_both",
    "measure_neighbors",
    "measure_baseline",
)


class Profile:
    """Seconds and operations of the parts of a study.

    Attributes:
        sections: Name of the first section that has a cell, by the cell's key.
        seconds: Seconds of the devices, by section and kind of work.
        flop: Operations, by section and kind of work.
        cpu: CPU seconds on threads, by function.
    """

    def __init__(self, sections: dict[str, str]) -> None:
        self.sections = sections
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self.flop: dict[tuple[str, str], float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def on_devices(self, kind: str, function: Any) -> Any:
        """Times a function of what a study's parts share and of a cell, or of cells that share its time."""

        def timed(shared: Any, cells: Any, *arguments: Any) -> Any:
            of = cells if isinstance(cells, list) else [cells]
            works = [_work(kind, shared, cell) for cell in of]
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

        def timed(*arguments: Any) -> Any:
            start = time.thread_time()
            result = function(*arguments)
            with self._lock:
                self.cpu[name] += time.thread_time() - start
            return result

        return timed


def _work(kind: str, shared: Any, cell: Any) -> float:
    if kind == "training":
        return shared.study.training_work(cell)
    if kind == "sampling":
        is_there = shared.store.rows(cell.rows_key) is not None
        return 0.0 if is_there else shared.study.sampling_work(cell)
    return 0.0


def main() -> None:
    """Runs the study once, and writes its profile as JSON to the file that is the only argument."""
    start = time.perf_counter()
    from pointillist.study import measuring, outputs, runner
    from pointillist.study.grid import load_dataset, study_cells
    from pointillist.study.measuring import Scorer
    from pointillist.study.spec_files import load_spec
    from pointillist.study.store import Store

    spec = load_spec("report")
    prints = {name: load_dataset(name).fingerprint for section in spec.sections for name in section.datasets}
    sections: dict[str, str] = {}
    for section in spec.sections:
        for cell in study_cells(replace(spec, sections=(section,)), prints):
            sections.setdefault(cell.key, section.name)
    profile = Profile(sections)
    patches = {name: profile.on_devices(kind, getattr(runner, name)) for name, kind in KINDS.items()}
    measured = {name: profile.on_thread(name, getattr(measuring, name)) for name in ON_THREADS}
    fit = profile.on_thread("Scorer.fit", Scorer.fit)
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.multiple(runner, **patches),
        mock.patch.multiple(measuring, **measured),
        mock.patch.object(Scorer, "fit", fit),
        Store(Path(folder) / "study.db") as store,
    ):
        runner.run_study(spec, store, Console(quiet=True))
        studied = time.perf_counter()
        outputs.write_outputs(store, Path(folder), Console(quiet=True))
    ended = time.perf_counter()
    parts = [[*place, profile.seconds[place], profile.flop[place]] for place in profile.seconds]
    content = {
        "total_s": ended - start,
        "outputs_s": ended - studied,
        "rest_s": studied - start - sum(profile.seconds.values()),
        "parts": parts,
        "cpu_s": profile.cpu,
    }
    Path(sys.argv[1]).write_text(json.dumps(content))


if __name__ == "__main__":
    main()
