"""Quality against cost: of sampling with every sampler, and of training by the default and the published recipe.

Quality is W1 between 2,000 rows and 2,000 rows of a fresh draw, divided by the baseline, which is the W1 between two
fresh draws: 1 is as good as real data. Values are means over sets, seeds and pairs of subsamples. Training seconds
exclude compilation.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from machine import report
from pointillist import Diffusion, load_pointset
from pointillist.estimators import REPORT
from pointillist.metrics import emd

SETS = ("moons", "circles", "helix")
EVALUATIONS = (5, 10, 20, 50, 200)
SAMPLERS = ("ancestral", "ddim", "dpm", "dpm-sde", "heun")
EPOCHS = (3, 6, 12, 25, 50, 100)
PAIRS = 3

Curve = list[tuple[float, float, float]]


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--figure", type=Path, help="where to draw the curves")
    options = parser.parse_args()
    baselines = {name: statistics.mean(_w1(_fresh(name, i), _fresh(name, 50 + i)) for i in range(4)) for name in SETS}
    recipes = {"default": {}, "published": REPORT}
    training = {name: _training(parameters, baselines, options.seeds) for name, parameters in recipes.items()}
    sampling = _sampling(baselines, options.seeds)
    print("W1 relative to fresh data, by evaluations of the network per row")
    print(f"{'':>12}" + "".join(f"{n:>12}" for n in EVALUATIONS))
    for sampler, curve in sampling.items():
        print(f"{sampler:>12}" + "".join(f"{mean:>7.2f}±{error:.2f}" for _, mean, error in curve))
    print("W1 relative to fresh data, by seconds of training")
    for name, curve in training.items():
        print(f"{name:>12}  " + "  ".join(f"{s:.1f} s: {mean:.2f}±{error:.2f}" for s, mean, error in curve))
    report("samplers", {"sampling": sampling, "training": training, "sets": SETS, "baselines": baselines})
    if options.figure is not None:
        _draw(sampling, training, options.figure)


def _fresh(name: str, seed: int) -> np.ndarray:
    return load_pointset(name, random_state=20_000 + seed)[0].astype(np.float64)


def _w1(a: np.ndarray, b: np.ndarray) -> float:
    return float(emd(a, b, n_subsample=2000, n_repeats=PAIRS)) / 2000


def _point(cost: float, ratios: list[float]) -> tuple[float, float, float]:
    return cost, statistics.mean(ratios), statistics.stdev(ratios) / len(ratios) ** 0.5


def _sampling(baselines: dict[str, float], seeds: int) -> dict[str, Curve]:
    models = [(name, seed, _fitted(name, seed, {})) for name in SETS for seed in range(seeds)]
    curves: dict[str, Curve] = {}
    for sampler in SAMPLERS:
        curves[sampler] = []
        for n in EVALUATIONS:
            # Heun takes two evaluations a step but for the last.
            steps = (n + 1) // 2 if sampler == "heun" else n
            ratios = [
                _w1(model.sample(8000, sampler=sampler, steps=steps, random_state=seed), _fresh(name, 100 + seed))
                / baselines[name]
                for name, seed, model in models
            ]
            curves[sampler].append(_point(2 * steps - 1 if sampler == "heun" else n, ratios))
    return curves


def _training(parameters: dict, baselines: dict[str, float], seeds: int) -> Curve:
    curve = []
    for epochs in EPOCHS:
        ratios, seconds = [], []
        for name in SETS:
            for seed in range(seeds):
                _fitted(name, seed, {**parameters, "epochs": 1})
                start = time.perf_counter()
                model = _fitted(name, seed, {**parameters, "epochs": epochs})
                seconds.append(time.perf_counter() - start)
                sampler = "ancestral" if parameters else None
                ratios.append(_w1(model.sample(8000, sampler=sampler, random_state=seed), _fresh(name, 100 + seed)))
                ratios[-1] /= baselines[name]
        curve.append(_point(statistics.median(seconds), ratios))
    return curve


def _fitted(name: str, seed: int, parameters: dict) -> Diffusion:
    return Diffusion(**parameters, random_state=seed).fit(load_pointset(name)[0])


def _draw(sampling: dict[str, Curve], training: dict[str, Curve], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    labels = ("evaluations of the network per row", "seconds of training")
    for axes, curves, label in zip(figure.subplots(1, 2), (sampling, training), labels, strict=True):
        for name, curve in curves.items():
            cost, mean, error = np.array(curve).T
            axes.errorbar(cost, mean, error, marker="o", markersize=3, linewidth=1, label=name)
        axes.axhline(1, color="0.7", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel=label)
        costs = EVALUATIONS if curves is sampling else (0.2, 0.5, 1, 2, 5)
        axes.set_xticks(costs, [f"{cost:g}" for cost in costs])
        axes.set_yticks((1, 2, 5, 10), ["1", "2", "5", "10"])
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=8)
    figure.axes[0].set_ylabel("W1 relative to fresh data")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
