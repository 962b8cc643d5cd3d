"""What rounding the weights of a study's page does to rows: distances from those of single precision.

For every trained network of a store that a page can hold: the squared energy distance between rows drawn with rounded
weights and rows drawn with all digits, from other noise, over the standard error of two draws of one distribution.
"""

import argparse
from pathlib import Path

import numpy as np

from machine import report
from pointillist.diffusion.registries import sampler_named
from pointillist.engine.sampling import sample_rows
from pointillist.engine.training import sigma_data_of
from pointillist.engine.weights import from_named, named
from pointillist.metrics import energy_distance
from pointillist.page.weights import STEPS, WIDE
from pointillist.study.page.live import STEP, choices
from pointillist.study.results import Results
from pointillist.study.store import Store


def main() -> None:
    """Prints a line for each network, and how many are farther than two errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="a study's study.db")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=20, help="evaluations of DPM-Solver++")
    options = parser.parse_args()
    found = []
    with Store(options.store) as store:
        results = Results(store)
        for name, _, cell in choices(results):
            kept = store.model(cell.model_key)
            if kept is None:
                continue
            settings, dataset = cell.settings, results.dataset(name)
            network = store.network(kept.network, settings.architecture, dataset.rows.shape[1])
            coarse = from_named(network, {key: rounded(array) for key, array in named(network).items()})
            # Each network has noise of its own, or all would show the same accident.
            first, second, third = (3 * len(found) + i for i in range(3))
            exact = _rows(network, settings, dataset, options, first)
            others = [_rows(of, settings, dataset, options, s) for of, s in ((network, second), (coarse, third))]
            z = [float(d) / d.null_standard_error for d in (energy_distance(exact, other) for other in others)]
            moved = np.linalg.norm(exact - _rows(coarse, settings, dataset, options, first), axis=1)
            one = {"set": name, "T": settings.timesteps, "digits": z[0], "rounded": z[1]}
            found.append(one | {"moved": float(np.median(moved)), "farthest": float(moved.max())})
            print(
                f"{name:12} T = {settings.timesteps:4} single precision {z[0]:+.2f}; rounded {z[1]:+.2f}; "
                f"a row of the same noise moves by {np.median(moved):.4f} (median), {moved.max():.3f} (most)",
                flush=True,
            )
    for kind in ("digits", "rounded"):
        values = np.array([one[kind] for one in found])
        print(f"{kind}: mean {values.mean():+.2f}, {(values > 2).sum()} of {len(values)} above 2")
    report("quantised", {"networks": found})


def rounded(array: np.ndarray) -> np.ndarray:
    """Return a tensor with the digits that a study's page keeps."""
    if array.ndim != 2 or min(array.shape) < WIDE:
        return array.astype(np.float16).astype(np.float32)
    step = np.float32((np.sqrt(np.mean(array.astype(float) ** 2)) or STEPS) / STEPS * STEP)
    return (np.round(array / step) * step).astype(np.float32)


def _rows(network, settings, dataset, options, seed):
    schedule = settings.noise_schedule()
    parts = network, settings.prediction, sigma_data_of(dataset.rows), schedule, dataset.n_classes
    denoiser = settings.architecture.denoiser(*parts)
    sampler = sampler_named("dpm", schedule, options.steps, "zero")
    labels = None
    if settings.class_embedding:
        labels = np.arange(options.rows, dtype=np.int32) % dataset.n_classes
    columns = dataset.rows.shape[1]
    return sample_rows(denoiser, sampler, columns=columns, n_rows=options.rows, seed=seed, labels=labels)


if __name__ == "__main__":
    main()
