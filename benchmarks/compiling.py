"""Programs that XLA compiles for a fit and a draw, and how long it takes, for six kinds of small tables.

Each kind is fitted in a new process with an empty cache, and again in another process with the cache that it left. The
table then loses a tenth of its rows, and is fitted in a third process, which shows what similar tables share.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from machine import report

KINDS = "numbers", "categories", "mixed", "missing cells", "classes", "private"
N = 600


def table(kind: str, n: int) -> tuple[object, object]:
    """Returns a table of n rows, and labels or None."""
    import pandas as pd

    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(n, 4)) @ rng.normal(size=(4, 4))
    if kind == "numbers":
        return numbers, None
    if kind == "classes":
        return numbers, numbers[:, 0] > 0
    frame = pd.DataFrame({f"category{j}": np.array([*"abcd"])[rng.integers(0, 4, n)] for j in range(3)})
    if kind != "categories":
        frame = frame.join(pd.DataFrame(numbers, columns=[*"wxyz"]))
    return frame.mask(rng.random(frame.shape) < 0.1) if kind == "missing cells" else frame, None


def once(kind: str, n: int) -> None:
    """Fits a table, draws rows, and prints the programs and the seconds as JSON."""
    import jax

    compiled: list[float] = []

    def listen(event: str, seconds: float, **_: object) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    from pointillist import Diffusion

    X, y = table(kind, n)
    options = {}
    if kind == "private":
        domain = {f"category{j}": [*"abcd"] for j in range(3)} | dict.fromkeys("wxyz", (-10, 10))
        options = {"epsilon": 5.0, "domain": domain}
    model = Diffusion(epochs=2, random_state=0, **options).fit(X, y)
    model.sample(n)
    print(json.dumps({"programs": len(compiled), "compile_s": sum(compiled)}))


def measured(kind: str, n: int, cache: str) -> dict[str, float]:
    """Measures one process from its start."""
    started = time.perf_counter()
    command = [sys.executable, "-W", "ignore", __file__, kind, str(n)]
    environment = {**os.environ, "POINTILLIST_CACHE": cache}
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
    return {**json.loads(output), "seconds": time.perf_counter() - started}


def main() -> None:
    """Prints the table."""
    if len(sys.argv) > 1:
        once(sys.argv[1], int(sys.argv[2]))
        return
    found = {}
    print("| table | programs | compiling, s | in all, s | again | a tenth fewer rows |\n|" + "---|" * 6)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as cache:
            runs = [measured(kind, n, cache) for n in (N, N, N * 9 // 10)]
        found[kind] = runs
        seconds = " | ".join(f"{run['seconds']:.1f}" for run in runs)
        print(f"| {kind} | {runs[0]['programs']} | {runs[0]['compile_s']:.1f} | {seconds} |", flush=True)
    report("compiling", {"runs": found})


if __name__ == "__main__":
    main()
