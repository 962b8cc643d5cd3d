"""Code that the benchmarks share: machine, date and commit as text, peak speed, medians, and the JSON output."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
OUTPUT = HERE / "output"


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def _commit() -> str:
    is_changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", "../src")
    return (_git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if is_changed else "")


SOURCE = {"date": date.today().isoformat(), "commit": _commit()}
"""Date when this process began, and commit that it measures. Read at the start: a long run may see later commits."""


def describe() -> dict[str, object]:
    """Returns the processor, the number of cores that this process may use, and the versions that matter."""
    import jax
    import numpy as np

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = {"python": platform.python_version(), "jax": jax.__version__, "numpy": np.__version__}
    return {"processor": name, "cores": cores, **versions}


def peak_gflops(size: int = 4096, repeats: int = 5) -> float:
    """Measures the best of some float32 products of two large matrices in NumPy, on all cores, in GFLOP/s."""
    import numpy as np

    a = np.random.default_rng(0).random((size, size), dtype=np.float32)
    return 2 * size**3 / min(seconds(lambda: a @ a, repeats)) / 1e9


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Measures how long a piece of work takes, each time."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def median_and_range(values: list[float]) -> tuple[float, float, float]:
    """Returns the median, the lowest and the highest value."""
    return statistics.median(values), min(values), max(values)


def report(name: str, content: dict[str, object]) -> None:
    """Prints machine, date and commit, and writes them with the content to `output/NAME.json`."""
    machine = describe()
    print("machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    print(", ".join(f"{key} {value}" for key, value in SOURCE.items()))
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **SOURCE, **content}, indent=1))
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
