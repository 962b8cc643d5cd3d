"""Cost of guidance and of steering by a reward: seconds for 4,000 rows, beside plain sampling in the same run."""

import argparse
import time

import numpy as np

from machine import median_and_range, report
from pointillist import Diffusion, load_pointset
from pointillist.estimators import REPORT

N_ROWS = 4000


def main() -> None:
    """Prints a table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    X, y = load_pointset("moons")
    model = Diffusion(**{**REPORT, "timesteps": 150, "epochs": 1, "random_state": 0})
    conditional, plain = model.fit(X, y), Diffusion(**model.get_params()).fit(X)
    ancestral: dict = {"sampler": "ancestral", "random_state": 0}
    host = np.array([1.0, 2.0])
    jobs = {
        "plain": lambda: plain.sample(N_ROWS, **ancestral),
        "conditional, w = 0": lambda: conditional.sample(N_ROWS, labels=1, **ancestral),
        "guided, w = 1": lambda: conditional.sample(N_ROWS, labels=1, guidance=1.0, **ancestral),
        "SVDD, M = 10, JAX reward": lambda: plain.sample(N_ROWS, reward=_reward, **ancestral),
        "SVDD, M = 10, NumPy reward": lambda: plain.sample(N_ROWS, reward=lambda x: x @ host, **ancestral),
        "Feynman-Kac, 10 particles a row": lambda: plain.sample(
            N_ROWS, reward=_reward, steering="feynman_kac", **ancestral
        ),
    }
    for job in jobs.values():
        job()
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    # In turn, so that a slow minute of the machine meets all of them.
    for _ in range(options.repeats):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            taken[name].append(time.perf_counter() - start)
    print(f"{N_ROWS} rows of moons, T = 150, the published study's network; median of {options.repeats}")
    print(f"{'':<34}{'seconds':>9}{'range':>16}{'times plain':>13}")
    base = median_and_range(taken["plain"])[0]
    for name, seconds in taken.items():
        median, low, high = median_and_range(seconds)
        print(f"{name:<34}{median:>9.2f}{f'{low:.2f}-{high:.2f}':>16}{median / base:>13.2f}")
    report("guidance", {"seconds": taken})


def _reward(x):
    return x[:, 0] + 2 * x[:, 1]


if __name__ == "__main__":
    main()
