"""What the peers' scripts share: what is asked of a peer, how it is measured, and the line of JSON that says it.

Each script is run as `python PEER.py {import,train,sample,quality} --data FILE`, a process a measurement, in the Python
that has the peer's library; `data.py` writes the file. `PROCESS_STARTED` in the environment, in seconds of the
monotonic clock, says when the process was begun, so that interpreter and imports count.

The same for all: rows of two columns scaled to [-1, 1], batches of 64 in a new random order in each epoch, Adam at
1e-3; the network is 2 + 16 → 128, five blocks of 128 → 128 with ReLU, 128 → 2. A step is one update of all its weights.
Where quality is asked, every network but that of the published recipe also keeps a running average of its weights.
"""

import argparse
import json
import os
import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

BATCH, TIMESTEPS, BETA_START, BETA_END, LEARNING_RATE = 64, 200, 1e-4, 0.02, 1e-3
FEATURES, WIDTH, DEPTH = 16, 128, 5
AVERAGING = 0.999
"""Share of itself that a running average of the weights keeps in a step."""

EPOCH = 8000 // BATCH
"""Steps in an epoch; the number of steps asked for is a multiple of it."""

ACCURACY = 0.55
"""Largest accuracy of a classifier that distinguishes good rows from fresh ones."""

CLOSE = 1.2
"""Largest ratio of W1 to its real-data baseline that is close enough."""

SCORED_ROWS = 4000
W1_ROWS, W1_PAIRS = 2000, 4
EVALUATIONS = (5, 10, 20, 50, 100, 200)
TIMED_ROWS = 20_000


class Peer(ABC):
    """One model, in training.

    Attributes:
        samplers: Names of its samplers: the usual one of many steps, and that of few evaluations.
        best: The sampler and evaluations of its best rows.
        note: What a reader should know, "" for nothing.
    """

    samplers: tuple[str, ...] = ("ancestral", "dpm")
    best: tuple[str, int] = ("ancestral", TIMESTEPS)
    note: str = ""

    @abstractmethod
    def run(self, budget: int) -> None:
        """Trains for so many more steps; of a peer without steps, what its budget counts."""

    @abstractmethod
    def sample(self, n_rows: int, sampler: str, evaluations: int) -> np.ndarray:
        """New rows, shape (n_rows, 2)."""


Start = Callable[[np.ndarray, argparse.Namespace], Peer]
"""Makes an untrained peer of the rows and the options."""


def main(peer: Start) -> None:
    """Runs the command that the arguments ask for and prints its results as JSON."""
    commands = {"import": _import, "train": _train, "sample": _sample, "quality": _quality}
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=commands)
    parser.add_argument("--data", required=True, help="what data.py wrote")
    parser.add_argument("--variant", default="", help="of a script that has several")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--models", type=int, default=1, help="trained together, of a peer that can")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=8 * EPOCH, help="of training, in a repeat; at least, before a scan"
    )
    parser.add_argument("--wait", action="store_true", help="say when ready to train, and wait for a line")
    parser.add_argument("--sampler", default="ancestral")
    parser.add_argument("--evaluations", type=int, default=TIMESTEPS, help="for a row; in a scan, at most")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--budget", type=int, help="of training, for a peer that starts anew with each; a growing one")
    parser.add_argument("--cap", type=float, default=120.0, help="seconds that a growing budget may take")
    parser.add_argument("--growth", type=float, default=1.5, help="of the next budget over this one")
    parser.add_argument("--scored", type=int, default=SCORED_ROWS, help="rows that the classifier sees of each side")
    parser.add_argument("--scan", action="store_true", help="also find the fewest evaluations of good rows")
    options = parser.parse_args()
    with np.load(options.data) as data:
        data = dict(data)
    options.is_quality = options.command == "quality"
    ready = _since_start()
    result = commands[options.command](peer, options, data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"ready_s": ready, "peak_mb": peak, **result}))


_STARTED = float(os.environ.get("PROCESS_STARTED") or time.monotonic())


def _since_start() -> float:
    return time.monotonic() - _STARTED


def _seconds(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _import(peer: Start, options: argparse.Namespace, data: dict[str, np.ndarray]) -> dict[str, Any]:
    one = peer(data["rows"], options)
    one.run(EPOCH)
    return {"first_epoch_s": _since_start(), "note": one.note}


def _train(peer: Start, options: argparse.Namespace, data: dict[str, np.ndarray]) -> dict[str, Any]:
    one = peer(data["rows"], options)
    first = _seconds(lambda: one.run(EPOCH))
    if options.wait:
        print("ready", flush=True)
        input()
    taken = [_seconds(lambda: one.run(options.steps)) for _ in range(options.repeats)]
    per_step = [1e6 * t / options.steps / options.models for t in taken]
    return {"first_call_s": first, "us_per_step_per_model": per_step, "note": one.note}


def _sample(peer: Start, options: argparse.Namespace, data: dict[str, np.ndarray]) -> dict[str, Any]:
    one = peer(data["rows"], options)
    one.run(4 * EPOCH)
    asked = options.rows, options.sampler, options.evaluations
    # Few rows compile all that many need, but for a library that wants every shape anew.
    first = _seconds(lambda: one.sample(min(options.rows, 5000), *asked[1:]))
    taken = [_seconds(lambda: one.sample(*asked)) for _ in range(options.repeats)]
    return {"first_call_s": first, "rows_per_s": [options.rows / t for t in taken], "note": one.note}


def _quality(peer: Start, options: argparse.Namespace, data: dict[str, np.ndarray]) -> dict[str, Any]:
    """Trains until the rows are good or the time is up; the clock stands still while rows are judged.

    Training goes on from look to look with a constant learning rate, so that a look is what a training of that budget
    would have come to. A look counts one draw of rows, the dearest so far (which compiled what it needs).
    """
    fresh = data["fresh"][options.seed][: options.scored]
    one = peer(data["rows"], options)
    looks: list[dict[str, float]] = []
    done, apart, drawing = 0, 0.0, 0.0
    is_last = False
    for budget in [options.budget] if options.budget else growing():
        one.run(budget - done)
        done, trained = budget, _since_start()
        rows = one.sample(options.scored, *one.best)
        drawing = max(drawing, _since_start() - trained)
        seconds = trained - apart + drawing
        accuracy = two_sample_accuracy(rows, fresh, options.threads)
        is_good = accuracy <= ACCURACY
        looks.append({"budget": budget, "seconds": seconds, "accuracy": accuracy, "is_good": is_good})
        apart += _since_start() - trained
        is_last = is_good or seconds * options.growth > options.cap
        if is_last:
            break
    result = {"looks": looks, "is_last": is_last, "note": one.note}
    if options.scan and is_last:
        if not options.budget and done < options.steps:
            one.run(options.steps - done)
        result["scan"] = _scan(one, data, options)
    return result


def growing() -> list[int]:
    """Numbers of steps, each about half as many again as the one before."""
    return [EPOCH * round(8 * 2 ** (i / 2)) for i in range(20)]


def _scan(peer: Peer, data: dict[str, np.ndarray], options: argparse.Namespace) -> list[dict[str, Any]]:
    """For each sampler, the fewest evaluations whose rows are close to fresh ones, or else its closest."""
    found = []
    for sampler in peer.samplers:
        best: dict[str, Any] = {"ratio": np.inf}
        for evaluations in (n for n in EVALUATIONS if n <= options.evaluations):
            rows = peer.sample(W1_PAIRS * W1_ROWS, sampler, evaluations)
            ratio = w1(rows, data["fresh"][options.seed + 1]) / float(data["baseline"])
            if ratio < best["ratio"]:
                best = {"sampler": sampler, "evaluations": evaluations, "ratio": ratio}
            if ratio <= CLOSE:
                break
        if "sampler" in best:
            asked = sampler, best["evaluations"]
            peer.sample(5000, *asked)
            taken = [_seconds(lambda asked=asked: peer.sample(TIMED_ROWS, *asked)) for _ in range(3)]
            found.append({**best, "is_close": best["ratio"] <= CLOSE, "rows_per_s": [TIMED_ROWS / t for t in taken]})
    return found


def two_sample_accuracy(a: np.ndarray, b: np.ndarray, threads: int) -> float:
    """How often a random forest tells a from b, in rows held out from it (Lopez-Paz & Oquab 2017, arXiv 1610.06545)."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if not np.isfinite(a).all():
        return 1.0
    rows, sides = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    forest = RandomForestClassifier(200, min_samples_leaf=5, random_state=0, n_jobs=threads)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float((cross_val_predict(forest, rows, sides, cv=folds) == sides).mean())


def w1(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein-1 between parts of a and of b of 2,000 rows each, mean over as many as `a` has."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    def of_part(i: int) -> float:
        part = slice(i * W1_ROWS, (i + 1) * W1_ROWS)
        distance = cdist(a[part], b[part])
        return float(distance[linear_sum_assignment(distance)].mean())

    if not np.isfinite(a).all():
        return float("inf")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return float(np.mean(list(pool.map(of_part, range(len(a) // W1_ROWS)))))
