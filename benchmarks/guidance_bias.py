"""Compares rows of guidance and steering with their exact target distributions.

A mixture's own denoiser stands in for a perfect network. Guidance is said to sample p(x | y) p(y | x)^w; that
distribution is sampled here by rejection. Steering should sample p(x) exp(r(x) / temperature), which for a linear
reward is a mixture too. The column "energy distance" has the distance between the rows and their target, and the next
one divides it by its standard error under equal distributions. Writes docs/images/guidance.png on request.
"""

import argparse
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from machine import report
from pointillist.diffusion.guidance import ClassifierFree
from pointillist.diffusion.oracles import GaussianMixture
from pointillist.diffusion.samplers import Ancestral
from pointillist.diffusion.schedules import cosine
from pointillist.diffusion.steering import SVDD, FeynmanKac
from pointillist.engine.sampling import sample_rows
from pointillist.metrics import coverage, energy_distance, spread

ANGLES = np.arange(8) * (2 * np.pi / 8)
CIRCLES = GaussianMixture.of(
    np.ones(8), 0.57 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), 0.57**2 * 0.0625 * np.eye(2), list(range(8))
)
SCHEDULE = cosine(400)
SCALES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
N_ROWS = 4000


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", type=Path, help="where to draw the guidance table")
    options = parser.parse_args()
    guidance = [_guided(w) for w in SCALES]
    print("Guidance of the exact denoiser of eight circles, class 0, against the exact p(x | y) p(y | x)^w")
    print(f"{'w':>5}{'energy distance':>20}{'in null se':>12}{'accuracy':>18}{'coverage':>18}{'spread':>18}")
    for row in guidance:
        pairs = [f"{row[k][0]:.3f} / {row[k][1]:.3f}" for k in ("accuracy", "coverage", "spread")]
        print(f"{row['w']:>5g}{row['apart']:>20}{row['ratio']:>12.1f}{pairs[0]:>18}{pairs[1]:>18}{pairs[2]:>18}")
    print("pairs: guided rows / exact distribution; coverage and spread against the plain class p(x | y)")
    print()
    print("Steering of the exact denoiser to the tilted mixture, reward (1, 2) · x, at equal evaluations per row")
    print(f"{'temperature':>12}{'evaluations':>12}{'method':>14}{'energy distance':>22}{'in null se':>12}")
    steering = [_steered(t, m, method) for t in (4.0, 1.0) for m in (5, 20) for method in ("SVDD", "Feynman-Kac")]
    for row in steering:
        print(f"{row['temperature']:>12g}{row['m']:>12}{row['method']:>14}{row['apart']:>22}{row['ratio']:>12.1f}")
    report("guidance_bias", {"guidance": guidance, "steering": steering})
    if options.figure:
        _draw(guidance, options.figure)


def _guided(w: float) -> dict:
    guided = ClassifierFree(CIRCLES.denoiser(SCHEDULE), jnp.float32(w))
    rows = sample_rows(
        guided, Ancestral(SCHEDULE, "beta"), columns=2, n_rows=N_ROWS, seed=0, labels=np.zeros(N_ROWS, np.int32)
    ).astype(np.float64)
    target = _rejected(w)
    plain = CIRCLES.given(0).sample(N_ROWS, 5)[0]
    distance = energy_distance(rows, target)
    pair = (rows, target)
    return {
        "w": w,
        "apart": f"{distance:.5f} ± {distance.standard_error:.5f}",
        "ratio": float(distance) / distance.null_standard_error,
        "accuracy": [float((CIRCLES.class_probabilities(x).argmax(1) == 0).mean()) for x in pair],
        "coverage": [float(coverage(plain, x)) for x in pair],
        "spread": [float(spread(plain, x)) for x in pair],
    }


def _rejected(w: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    rows = CIRCLES.given(0).sample(60 * N_ROWS, 2)[0]
    accepted = rng.random(len(rows)) < CIRCLES.class_probabilities(rows)[:, 0] ** w
    return rows[accepted][:N_ROWS]


def _steered(temperature: float, m: int, method: str) -> dict:
    slope = np.array([1.0, 2.0])
    distribution = GaussianMixture.of(
        [0.5, 0.3, 0.2],
        [[-0.5, -0.3], [0.5, 0.4], [0.6, -0.6]],
        [np.diag([0.02, 0.05]), [[0.04, 0.02], [0.02, 0.03]], np.diag([0.03, 0.01])],
    )
    sampler = Ancestral(SCHEDULE, "beta")
    steered = (
        SVDD(sampler, _linear, temperature, m)
        if method == "SVDD"
        else FeynmanKac(sampler, _linear, temperature, m, 100 * m)
    )
    rows = sample_rows(distribution.denoiser(SCHEDULE), steered, columns=2, n_rows=N_ROWS, seed=0)
    distance = energy_distance(rows, distribution.tilted(slope / temperature).sample(2 * N_ROWS, 3)[0])
    return {
        "temperature": temperature,
        "m": m,
        "method": method,
        "apart": f"{distance:.5f} ± {distance.standard_error:.5f}",
        "ratio": float(distance) / distance.null_standard_error,
    }


def _linear(x):
    return x @ jnp.array([1.0, 2.0])


def _draw(guidance: list[dict], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, key in zip(figure.subplots(1, 3), ("accuracy", "coverage", "spread"), strict=True):
        guided, target = np.array([row[key] for row in guidance]).T
        axes.plot(SCALES, guided, "o-", color="#1f5fa8", label="guided rows")
        axes.plot(SCALES, target, "s--", color="0.4", label="exact p(x | y) p(y | x)^w")
        # Naeem et al. 2020, lemma 2, for five neighbors and many rows.
        best = {"coverage": 1 - 2**-5, "spread": 1.0}.get(key)
        if best is not None:
            axes.axhline(best, color="0.8", linewidth=1)
        axes.set(xlabel="w (0: plain conditional)", title=key)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Guidance with an exact denoiser: class 0 of eight circles")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
