"""Posteriors of simulators by `Diffusion().fit(rows, given=…)`, compared with the reference posteriors of sbibm.

Lueckmann et al. 2021 (arXiv 2101.04653) published the tasks, ten observations of each, and 10,000 reference draws for
each observation. `--tasks` names the folder `sbibm/tasks` of the unpacked package sbibm 1.1.0; only its data files are
read. A model with its defaults is fitted to simulated rows (parameters, data), `given` the data. For each observation
it draws as many rows as there are reference draws, with the data in `where`.

C2ST is the benchmark's measure: the accuracy, in five folds, of a classifier that separates new draws from reference
draws; 0.5 is best. The classifier is a perceptron with two hidden layers of ten units per parameter. Its inputs are
scaled by the mean and standard deviation of the reference draws.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.integrate import solve_ivp
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

from machine import report
from pointillist import Diffusion

Simulated = tuple[np.ndarray, np.ndarray]
"""Parameters, shape (n, p), and data, shape (n, d)."""

PUBLISHED: dict[str, dict[int, tuple[float, ...]]] = {
    "two_moons": {1000: (0.725, 0.773, 0.822), 10_000: (0.606, 0.713, 0.761), 100_000: (0.542, 0.668, 0.629)},
    "gaussian_linear": {1000: (0.694, 0.650, 0.672), 10_000: (0.552, 0.555, 0.560), 100_000: (0.506, 0.515, 0.536)},
    "gaussian_mixture": {1000: (0.716, 0.740, 0.777), 10_000: (0.615, 0.723, 0.748), 100_000: (0.548, 0.690, 0.735)},
    "bernoulli_glm": {1000: (0.863, 0.740, 0.899), 10_000: (0.678, 0.605, 0.812), 100_000: (0.559, 0.545, 0.751)},
    "slcp": {1000: (0.975, 0.946, 0.972), 10_000: (0.901, 0.771, 0.947), 100_000: (0.831, 0.699, 0.919)},
    "sir": {1000: (0.815,), 10_000: (0.680,), 100_000: (0.585,)},
    "lotka_volterra": {1000: (0.999,), 10_000: (0.997,), 100_000: (0.981,)},
}
"""Published C2ST by number of simulations (the same source): NPE and, where known, NLE and NRE."""


def two_moons(rng: np.random.Generator, n: int, _: Path) -> Simulated:
    """A crescent that moves with the parameters; two parameters with opposite signs move it alike."""
    theta = rng.uniform(-1, 1, (n, 2))
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, n), rng.normal(0.1, 0.01, n)
    crescent = np.column_stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)])
    along, across = (theta[:, 0] + theta[:, 1]) / 2**0.5, (theta[:, 1] - theta[:, 0]) / 2**0.5
    return theta, crescent + np.column_stack([-np.abs(along), across])


def gaussian_linear(rng: np.random.Generator, n: int, _: Path) -> Simulated:
    """Ten normal means with normal noise."""
    theta = rng.normal(0, 0.1**0.5, (n, 10))
    return theta, theta + rng.normal(0, 0.1**0.5, (n, 10))


def gaussian_mixture(rng: np.random.Generator, n: int, _: Path) -> Simulated:
    """A mean in the plane with noise that is wide or narrow."""
    theta = rng.uniform(-10, 10, (n, 2))
    return theta, theta + np.where(rng.random((n, 1)) < 0.5, 1, 0.1) * rng.normal(size=(n, 2))


def bernoulli_glm(rng: np.random.Generator, n: int, files: Path) -> Simulated:
    """A neuron with an offset and a smooth filter of nine weights; the data are its sufficient statistics."""
    stimulus = _floats(files / "stimulus_I.pt", 100)
    design = _floats(files / "design_matrix.pt", 1000).reshape(100, 10)
    differences = np.eye(9) - np.eye(9, k=-1)
    smoothness = differences @ differences + np.diag(np.arange(9) / 9) ** 0.5
    precision = np.zeros((10, 10))
    precision[0, 0], precision[1:, 1:] = 0.5, smoothness.T @ smoothness
    theta = rng.multivariate_normal(np.zeros(10), np.linalg.inv(precision), n)
    spikes = (rng.random((n, 100)) < 1 / (1 + np.exp(-theta @ design.T))).astype(float)
    padded = np.pad(spikes, ((0, 0), (0, 8)))
    averages = [padded[:, lag : lag + 100] @ stimulus for lag in range(9)]
    return theta, np.column_stack([spikes.sum(axis=1), *averages])


def slcp(rng: np.random.Generator, n: int, _: Path) -> Simulated:
    """Four draws of a normal distribution in the plane, whose parameters enter by squares and a tangent."""
    theta = rng.uniform(-3, 3, (n, 5))
    first, second = theta[:, 2:3] ** 2, theta[:, 3:4] ** 2
    correlation = np.tanh(theta[:, 4:])
    z = rng.normal(size=(2, n, 4))
    x = theta[:, :1] + first * z[0]
    y = theta[:, 1:2] + second * (correlation * z[0] + (1 - correlation**2) ** 0.5 * z[1])
    return theta, np.stack([x, y], axis=2).reshape(n, 8)


def sir(rng: np.random.Generator, n: int, _: Path) -> Simulated:
    """An epidemic of a million people: ten counts of infected among 1,000 tested."""
    theta = np.exp(rng.normal(np.log([0.4, 0.125]), [0.5, 0.2], (n, 2)))

    def rates(state: np.ndarray, theta: np.ndarray) -> np.ndarray:
        infected = theta[0] * state[0] * state[1] / 1e6
        return np.stack([-infected, infected - theta[1] * state[1]])

    infected = _solved(rates, (1e6 - 1, 1.0), theta, 17.0 * np.arange(10))[:, 1]
    return theta, rng.binomial(1000, np.clip(infected / 1e6, 0, 1)).astype(float)


def lotka_volterra(rng: np.random.Generator, n: int, _: Path) -> Simulated:
    """Predators and prey at ten times, with log-normal noise."""
    theta = np.exp(rng.normal([-0.125, -3, -0.125, -3], 0.5, (n, 4)))

    def rates(state: np.ndarray, theta: np.ndarray) -> np.ndarray:
        prey, predators = state
        both = prey * predators
        return np.stack([theta[0] * prey - theta[1] * both, theta[3] * both - theta[2] * predators])

    states = _solved(rates, (30.0, 1.0), theta, 2.1 * np.arange(10))
    return theta, np.clip(states, 1e-10, 1e4).reshape(n, 20) * np.exp(rng.normal(0, 0.1, (n, 20)))


TASKS = {
    f.__name__: f for f in (two_moons, gaussian_linear, gaussian_mixture, bernoulli_glm, slcp, sir, lotka_volterra)
}


def _floats(path: Path, n: int) -> np.ndarray:
    """Reads the last n float32 of a file of PyTorch, without unpickling."""
    return np.frombuffer(path.read_bytes()[-4 * n :], "<f4").astype(float)


def _solved(rates, start: tuple[float, float], theta: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Solves an ordinary differential equation for each row of parameters; shape (n, 2, times)."""
    found = []
    for part in np.array_split(theta, -(-len(theta) // 100)):
        y0 = np.repeat(np.array(start)[:, None], len(part), axis=1)
        solved = solve_ivp(
            lambda _, y, part=part: rates(y.reshape(2, -1), part.T).ravel(),
            (0, times[-1]),
            y0.ravel(),
            t_eval=times,
            rtol=1e-6,
            atol=1e-8,
        )
        found.append(np.moveaxis(solved.y.reshape(2, len(part), len(times)), 0, 1))
    return np.concatenate(found)


def c2st(reference: np.ndarray, drawn: np.ndarray) -> float:
    """Computes the accuracy of the benchmark's classifier of reference draws and new draws."""
    mean, deviation = reference.mean(axis=0), reference.std(axis=0, ddof=1)
    rows = (np.concatenate([reference, drawn]) - mean) / deviation
    units = 10 * rows.shape[1]
    classifier = MLPClassifier((units, units), max_iter=10_000, random_state=1)
    is_drawn = np.repeat([0, 1], [len(reference), len(drawn)])
    return float(cross_val_score(classifier, rows, is_drawn, cv=KFold(5, shuffle=True, random_state=1)).mean())


def measured(name: str, n: int, options: argparse.Namespace) -> dict[str, Any]:
    """Fits a task, and measures its posteriors."""
    folder = options.tasks / name / "files"
    theta, data = TASKS[name](np.random.default_rng(options.seed), n, folder)
    p = theta.shape[1]
    start = time.perf_counter()
    model = Diffusion(random_state=options.seed)
    model.fit(np.column_stack([theta, data]), given=[] if options.plain else list(range(p, p + data.shape[1])))
    seconds = time.perf_counter() - start
    scores = []
    for k in range(1, options.observations + 1):
        observed = pd.read_csv(folder / f"num_observation_{k}" / "observation.csv").iloc[0]
        reference = pd.read_csv(folder / f"num_observation_{k}" / "reference_posterior_samples.csv.bz2").to_numpy()
        reference = reference[: options.draws]
        # A model conditions on values in the range of its training rows.
        inside = np.clip(observed, data.min(axis=0), data.max(axis=0))
        where = {p + j: float(value) for j, value in enumerate(inside)}
        drawn = model.sample(len(reference), where=where, random_state=k)[:, :p]
        scores.append(c2st(reference, drawn))
    return {"fit_s": seconds, "c2st": scores}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=Path, required=True, metavar="FOLDER", help="sbibm's tasks")
    parser.add_argument("--names", nargs="+", choices=TASKS, default=list(TASKS), help="some tasks")
    parser.add_argument("--simulations", nargs="+", type=int, default=[10_000])
    parser.add_argument("--observations", type=int, default=10, help="number of observations, at most 10")
    parser.add_argument("--draws", type=int, default=10_000, help="number of draws for each observation")
    parser.add_argument("--plain", action="store_true", help="fit without given")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results: dict[str, dict[str, Any]] = {}
    print("| task | simulations | C2ST | lowest to highest | NPE, NLE, NRE | fit, s |\n|---|---|---|---|---|---|")
    for name in options.names:
        for n in options.simulations:
            found = measured(name, n, options)
            results[f"{name} {n}"] = found
            scores = found["c2st"]
            published = ", ".join(f"{score:.3f}" for score in PUBLISHED[name].get(n, ()))
            print(
                f"| {name} | {n:,} | {statistics.mean(scores):.3f} | {min(scores):.3f} to {max(scores):.3f} | "
                f"{published} | {found['fit_s']:.0f} |",
                flush=True,
            )
    report("inference", {"draws": options.draws, "plain": options.plain, "results": results})


if __name__ == "__main__":
    main()
