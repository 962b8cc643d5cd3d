"""Tests whether rows of `Diffusion()`, with its defaults and 20 evaluations, can be distinguished from fresh draws.

There is a line for each set and seed. "fit" is the seconds of the fit, compilation included. "W1" is the W1 between
2,000 rows and 2,000 rows of a fresh draw (mean of twelve such pairs), divided by the baseline, the W1 between two fresh
draws (mean of sixty pairs); the line "true" has the same ratio for independent rows of the true distribution.
"forest" is the accuracy of a random forest that tries to distinguish 4,000 rows from 4,000 fresh ones (200 trees, at
least 5 rows in a leaf, 5-fold). "energy" is the energy distance, in standard errors at equality.

The last two columns show whether rows lie closer to the training rows than fresh ones do. "closer" is the share of rows
that are closer to the training rows than to as many fresh ones, in standard errors from 0.5. "KS p" is the p-value of
the Kolmogorov-Smirnov test between the distances of rows and of fresh rows to their nearest training rows.

`--settings` changes parameters of `Diffusion`: '{"p_given": 0}' measures what learning from given columns costs.
"""

import argparse
import json
import os

# Fits are timed with what a first fit takes.
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import ks_2samp

from machine import report
from pointillist import Diffusion, load_pointset
from pointillist.estimators import REPORT
from pointillist.metrics import emd, energy_distance, nearest_share, two_sample_test

CHOSEN_ON = ("moons", "circles", "blobs", "manycircles", "helix")
NOT_SEEN = ("checkerboard", "two_spirals", "pinwheel", "swiss_roll", "eight_gaussians")
N_ROWS = 8000
BASELINE_PAIRS = 60
DRAWS = 12
COLUMNS = ("fit_s", "w1", "forest", "energy", "closer", "ks_p")


def main() -> None:
    """Prints a line for each fit and the means of each set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=[*CHOSEN_ON, *NOT_SEEN])
    parser.add_argument("--published", action="store_true", help="use the published study's recipe")
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of Diffusion, as JSON")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("--seeds must be at least 2, for an error bar")
    print(f"{'set':>16}{'seed':>6}{'fit':>8}{'W1':>10}{'forest':>9}{'energy':>8}{'closer':>8}{'KS p':>8}")
    settings = {**(REPORT if options.published else {}), **options.settings}
    drawing = {"sampler": "ancestral"} if options.published else {}
    results = {}
    for name in options.sets:
        baseline, of_data = _baseline(name)
        print(f"{name:>16}  true{'':>8}{of_data:>10.3f}")
        runs = [_run(name, seed, baseline, settings, drawing) for seed in range(options.seeds)]
        means = {key: statistics.mean(run[key] for run in runs) for key in COLUMNS}
        errors = {key: statistics.stdev(run[key] for run in runs) / len(runs) ** 0.5 for key in COLUMNS}
        _show(name, "mean", means)
        _show("", "± se", errors)
        results[name] = {
            "baseline": baseline,
            "w1_of_data": of_data,
            "runs": runs,
            "means": means,
            "standard_errors": errors,
        }
    report("recipe_published" if options.published else "recipe", {"settings": options.settings, "sets": results})


def _fresh(name: str, seed: int) -> np.ndarray:
    return load_pointset(name, random_state=10_000 + seed)[0].astype(np.float64)


def _w1(a: np.ndarray, b: np.ndarray) -> float:
    return float(emd(a, b, n_subsample=2000, n_repeats=1)) / 2000


def _w1_of_draws(model: Diffusion, name: str, seed: int, options: Mapping[str, Any]) -> float:
    # Draws of their own: shares of clusters differ from draw to draw, and W1 with them.
    with ThreadPoolExecutor(2) as pool:
        draws = [model.sample(2000, **options, random_state=DRAWS * seed + i) for i in range(DRAWS)]
        fresh = [_fresh(name, 300 + DRAWS * seed + i) for i in range(DRAWS)]
        return statistics.mean(pool.map(_w1, draws, fresh))


def _baseline(name: str) -> tuple[float, float]:
    """W1 between fresh draws, and the ratio to it of W1 between independent rows of the true distribution and draws.

    Some generators lay rows out evenly (moons, circles), so that draws are nearer to each other than independent rows
    of the same distribution are. No model's rows can be nearer than those.
    """
    rows = np.random.default_rng(0).permutation(load_pointset(name, 2000 * BASELINE_PAIRS, random_state=9)[0])
    independent = rows.astype(np.float64).reshape(BASELINE_PAIRS, 2000, -1)
    with ThreadPoolExecutor(2) as pool:
        drawn = pool.map(lambda i: _w1(_fresh(name, 2 * i), _fresh(name, 2 * i + 1)), range(BASELINE_PAIRS))
        of_data = pool.map(lambda i: _w1(independent[i], _fresh(name, 500 + i)), range(BASELINE_PAIRS))
        baseline = statistics.mean(drawn)
        return baseline, statistics.mean(of_data) / baseline


def _run(
    name: str, seed: int, baseline: float, settings: Mapping[str, Any], drawing: Mapping[str, Any]
) -> dict[str, float]:
    X = load_pointset(name)[0]
    jax.clear_caches()
    start = time.perf_counter()
    model = Diffusion(**settings, random_state=seed).fit(X)
    fit = time.perf_counter() - start
    rows = model.sample(N_ROWS, **drawing, random_state=seed).astype(np.float64)
    fresh, other = _fresh(name, 100 + seed), _fresh(name, 200 + seed)
    energy = energy_distance(rows[:4000], fresh[:4000])
    assert energy.null_standard_error is not None
    closer = nearest_share(X, rows, other).share
    distances = [cKDTree(X).query(side[:4000])[0] for side in (rows, fresh)]
    run = {
        "fit_s": fit,
        "w1": _w1_of_draws(model, name, seed, drawing) / baseline,
        "forest": float(two_sample_test(rows[:4000], fresh[:4000], max_rows=4000)),
        "energy": float(energy) / energy.null_standard_error,
        "closer": (float(closer) - 0.5) / closer.null_standard_error,
        "ks_p": float(ks_2samp(*distances).pvalue),
    }
    _show(name, str(seed), run)
    return run


def _show(name: str, seed: str, run: dict[str, float]) -> None:
    print(
        f"{name:>16}{seed:>6}{run['fit_s']:>7.1f}s{run['w1']:>10.3f}{run['forest']:>9.4f}{run['energy']:>8.2f}"
        f"{run['closer']:>8.2f}{run['ks_p']:>8.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
