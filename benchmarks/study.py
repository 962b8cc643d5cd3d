"""Seconds, TFLOP and peak memory of the built-in study with one seed, by section and kind of work.

Beside it stand the machine's peak, a large float32 product in NumPy before and after, and, with `--peer`, one model in
the usual PyTorch way. The peer, `peers/usual_pytorch.py`, trains, samples and scores one model of the same network on
moons with T = 200. Its time, multiplied by the number of models, is what the study would take that way.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import median_and_range, peak_gflops, report
from study_profile import KINDS

MODELS = 70
"""Number of models that the study trains."""


def main() -> None:
    """Prints the profile and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, help="the Python of an environment with PyTorch")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cold", action="store_true", help="start with an empty cache of compiled programs")
    options = parser.parse_args()
    peer = [_peer(options.peer) for _ in range(3)] if options.peer else []
    peaks = [peak_gflops()]
    runs = []
    for _ in range(options.repeats):
        runs.append(_study(options.cold))
        peaks.append(peak_gflops())
    median, low, high = median_and_range([run["total_s"] for run in runs])
    middle = min(runs, key=lambda run: abs(run["total_s"] - median))
    _print(middle)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    peak = statistics.median(peaks)
    print(f"start to page: median {median:.0f} s of {len(runs)} ({low:.0f} to {high:.0f}); {memory:.2f} GiB of memory")
    flop = sum(part[3] for part in middle["parts"])
    print(
        f"peak of the machine {peak:.0f} GFLOP/s ({min(peaks):.0f} to {max(peaks):.0f}): {flop / 1e12:.0f} TFLOP would "
        f"take {flop / peak / 1e9:.0f} s, so the study runs at {flop / peak / 1e9 / median:.2f} of the peak"
    )
    content = {"runs": runs, "peak_gib": memory, "peak_gflops": peaks, "peer": peer}
    if peer:
        train, sample = (median_and_range([p[key] for p in peer])[0] for key in ("train_s", "sample_and_score_s"))
        print(
            f"usual PyTorch {peer[0]['torch']}, one model: {train:.1f} s to train, {sample:.1f} s to sample and score"
        )
        print(
            f"{MODELS} such models would take {MODELS * (train + sample) / 60:.0f} min: "
            f"{MODELS * (train + sample) / median:.1f} times as long"
        )
    report("study", content)


def _print(run: dict[str, Any]) -> None:
    """Prints the profile of a run."""
    kinds = [*KINDS.values()]
    parts = {(section, kind): (seconds, flop) for section, kind, seconds, flop in run["parts"]}
    sections = [*dict.fromkeys(section for section, _ in parts)]
    print(f"{'section':<14}" + "".join(f"{kind:>22}" for kind in kinds))
    for section in sections:
        print(f"{section:<14}" + "".join(_entry(*parts.get((section, kind), (0.0, 0.0))) for kind in kinds))
    totals = [
        [sum(parts.get((section, kind), (0.0, 0.0))[i] for section in sections) for i in (0, 1)] for kind in kinds
    ]
    print(f"{'all':<14}" + "".join(_entry(*total) for total in totals))
    speeds = [f"{flop / max(seconds, 1e-9) / 1e9:.0f} GFLOP/s" for seconds, flop in totals]
    print(f"{'':<14}" + "".join(f"{speed:>22}" for speed in speeds))
    beside = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(run["cpu_s"].items()))
    print(f"CPU time of measures on threads, beside that: {beside}; in all {sum(run['cpu_s'].values()):.0f} s")
    print(f"waiting, imports, the store: {run['rest_s']:.0f} s; figures, tables, page: {run['outputs_s']:.0f} s")


def _entry(seconds: float, flop: float) -> str:
    return f"{seconds:.1f} s {flop / 1e12:6.2f} TFLOP".rjust(22) if seconds else "–".rjust(22)


def _study(is_cold: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **({"POINTILLIST_CACHE": f"{folder}/cache"} if is_cold else {})}
        script = Path(__file__).with_name("study_profile.py")
        subprocess.run([sys.executable, str(script), f"{folder}/profile.json"], check=True, env=environment)
        return json.loads(Path(f"{folder}/profile.json").read_text())


def _peer(python: Path) -> dict:
    script = Path(__file__).parent / "peers" / "usual_pytorch.py"
    return json.loads(subprocess.run([str(python), str(script)], check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
