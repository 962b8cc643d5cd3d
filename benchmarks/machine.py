"""What the benchmarks share: the machine in words, its peak, medians, and the JSON that they leave."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

OUTPUT = Path(__file__).parent / "output"


def describe() -> dict[str, object]:
    """The processor, the cores that this process may use, and the versions that matter."""
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
    """The best float32 product of two large matrices in NumPy, on all cores, in GFLOP/s."""
    import numpy as np

    a = np.random.default_rng(0).random((size, size), dtype=np.float32)
    return 2 * size**3 / min(seconds(lambda: a @ a, repeats)) / 1e9


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """How long a piece of work takes, each time."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def median_and_range(values: list[float]) -> tuple[float, float, float]:
    """Median, lowest, highest."""
    return statistics.median(values), min(values), max(values)


def report(name: str, content: dict[str, object]) -> None:
    """Prints the machine and writes everything to `output/NAME.json`."""
    machine = describe()
    print("machine: " + ", ".join(f"{key} {value}" for key, value in machine.items()))
    OUTPUT.mkdir(exist_ok=True)
    path = OUTPUT / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **content}, indent=1))
    print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
