"""Seconds and peak memory of the built-in study with one seed, beside one model in the usual PyTorch way.

The peer, `peers/usual_pytorch.py`, trains, samples and scores one model of the same network on moons with T = 200. Its
time, multiplied by the number of models, is what the study would take that way.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import median_and_range, report


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="the Python of an environment with PyTorch")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cold", action="store_true", help="start with an empty cache of compiled programs")
    options = parser.parse_args()
    peer = [_peer(options.peer) for _ in range(3)] if options.peer else []
    taken = [_study(options.cold) for _ in range(options.repeats)]
    median, low, high = median_and_range([t for t, _ in taken])
    n_models = taken[0][1]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(
        f"study of {n_models} models, start to figures: median {median:.0f} s of {len(taken)} ({low:.0f} to {high:.0f})"
    )
    print(f"peak memory of a process: {peak:.2f} GiB")
    content = {"study_s": [t for t, _ in taken], "models": n_models, "peak_gib": peak, "peer": peer}
    if peer:
        train, sample = (median_and_range([p[key] for p in peer])[0] for key in ("train_s", "sample_and_score_s"))
        print(
            f"usual PyTorch {peer[0]['torch']}, one model: {train:.1f} s to train, {sample:.1f} s to sample and score"
        )
        print(
            f"{n_models} such models would take {n_models * (train + sample) / 60:.0f} min: "
            f"{n_models * (train + sample) / median:.1f} times as long"
        )
    report("study", content)


def _study(is_cold: bool) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **({"POINTILLIST_CACHE": f"{folder}/cache"} if is_cold else {})}
        command = [str(Path(sys.executable).with_name("pointillist")), "study", "--out", f"{folder}/report"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        taken = time.perf_counter() - start
        import sqlite3

        connection = sqlite3.connect(f"{folder}/report/study.db")
        return taken, connection.execute("SELECT COUNT(*) FROM models").fetchone()[0]


def _peer(python: Path) -> dict:
    script = Path(__file__).parent / "peers" / "usual_pytorch.py"
    return json.loads(subprocess.run([str(python), str(script)], check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
