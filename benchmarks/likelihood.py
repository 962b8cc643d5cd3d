"""Log-densities: how exact they are, and how long they take.

With an exact denoiser they are compared with closed forms. Those of trained models are compared with the true density
of the set, where it is known, and integrated over the plane. The time is that of 8,000 rows of moons, compilation
excluded.
"""

import argparse
import math
import time
from pathlib import Path

import numpy as np

from machine import median_and_range, report, seconds
from pointillist import Diffusion, load_pointset
from pointillist.datasets.pointsets import true_log_density
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.schedules import cosine
from pointillist.engine.mapping import LogDensity, map_rows

MIXTURE = GaussianMixture.of(
    [0.5, 0.3, 0.2],
    [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
    [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
)
GRID = 400


def main() -> None:
    """Prints all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", type=Path, help="where to draw densities")
    options = parser.parse_args()
    error = _oracle_error()
    print(f"exact denoiser of a mixture, 2,000 rows: mean absolute error {error:.5f} nats")
    models = {name: Diffusion(random_state=0).fit(load_pointset(name)[0]) for name in ("moons", "blobs", "manycircles")}
    integrals = {name: _integral(model) for name, model in models.items()}
    for name, value in integrals.items():
        print(f"{name}: the density's integral over the plane is {value:.4f}")
    gaps = {}
    for name in ("blobs", "manycircles"):
        fresh = load_pointset(name, random_state=5)[0]
        true = true_log_density(name, fresh)
        assert true is not None
        found = models[name].score_samples(fresh)
        gap = true - found
        gaps[name] = (-found.mean(), -true.mean(), gap.mean(), gap.std() / np.sqrt(len(gap)))
        print(
            f"{name}: {-found.mean():.4f} nats per fresh row, {-true.mean():.4f} under the true density: "
            f"a difference (KL) of {gap.mean():.4f} ± {gap.std() / np.sqrt(len(gap)):.4f}"
        )
    fresh = load_pointset("moons", random_state=5)[0]
    model = Diffusion(random_state=1).fit(load_pointset("moons")[0])
    taken = seconds(lambda: model.score_samples(fresh), 4)
    median, low, high = median_and_range(taken[1:])
    print(f"8,000 rows of moons: {median:.1f} s ({low:.1f}–{high:.1f})")
    report(
        "likelihood",
        {"oracle_error": error, "integrals": integrals, "nll": gaps, "seconds": [median, low, high]},
    )
    if options.figure is not None:
        _draw(options.figure)


def _oracle_error() -> float:
    schedule = cosine(1000)
    rows = MIXTURE.sample(2000, 0)[0]
    found = map_rows(LogDensity(MIXTURE.denoiser(schedule), lowest=-math.inf), rows.astype(np.float32))
    # Of rows with the noise of t = 1 added.
    exact = MIXTURE.noised(1.0, float(schedule.sigma[1] / schedule.alpha[1])).log_density(rows)
    return float(np.abs(found - exact).mean())


def _integral(model: Diffusion) -> float:
    axis = np.linspace(-1.5, 1.5, GRID)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return float(np.exp(model.score_samples(grid)).sum() * (axis[1] - axis[0]) ** 2)


def _draw(path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(1, 3), ("moons", "pinwheel", "checkerboard"), strict=True):
        started = time.perf_counter()
        rows = load_pointset(name)[0]
        model = Diffusion(random_state=0).fit(rows)
        x, y = np.meshgrid(*np.linspace(rows.min(axis=0) - 0.1, rows.max(axis=0) + 0.1, 200).T)
        density = np.exp(model.score_samples(np.column_stack([x.ravel(), y.ravel()]))).reshape(x.shape)
        axes.figure.colorbar(axes.pcolormesh(x, y, density, shading="gouraud", rasterized=True), ax=axes, label="p(x)")
        axes.set(title=name, xlabel="", ylabel="", xticks=[], yticks=[])
        print(f"{name}: fitted and drawn in {time.perf_counter() - started:.0f} s")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
