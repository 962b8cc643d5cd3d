"""Distances between rows of a table; run in the peers' Python.

It reads an .npz file with points whose L1 distance is that of the rows: `drawn`, shape (draws, n, k), `train` and
`test`. It prints, as JSON, the exact 1-Wasserstein distance of each draw from the test rows and from the training rows,
averaged over the draws, and the coverage of the test and of the training rows (Naeem et al. 2020, arXiv 2002.09797,
section 3.2), as the code of Jolicoeur-Martineau et al. 2024 (arXiv 2309.09968) computes them: k is 2, or where rows
repeat as many more as it takes for 95 % of the real rows to differ from their (k - 1)-th nearest.
"""

import json
import sys

import numpy as np
import ot
from scipy.spatial.distance import cdist

DIFFERENT = 0.95
"""Least share of rows that differ from their (k - 1)-th nearest."""
MOST_PAIRS = 40_000_000
"""Most pairs of rows of which the exact distance is computed."""


def w1(rows: np.ndarray, others: np.ndarray) -> float:
    """Computes the 1-Wasserstein distance between rows of equal weight; NaN for too many rows."""
    if len(rows) * len(others) > MOST_PAIRS:
        return float("nan")
    weights = (np.full(len(side), 1 / len(side)) for side in (rows, others))
    return float(ot.emd2(*weights, cdist(rows, others, "cityblock"), numItermax=10_000_000))


def coverage(real: np.ndarray, drawn: np.ndarray) -> float:
    """Computes the share of real rows that are nearer to a drawn row than to their k-th nearest real row."""
    # The nearest is the row itself. Equal distances differ by rounding.
    distances = np.sort(cdist(real, real, "cityblock"), axis=1)
    differ = (distances[:, 1:-1] > 1e-9).mean(axis=0) >= DIFFERENT
    radius = distances[:, 2 + differ.argmax()]
    return float(np.mean(cdist(real, drawn, "cityblock").min(axis=1) < radius - 1e-9))


def main() -> None:
    """Prints the means over the draws."""
    with np.load(sys.argv[1]) as points:
        drawn, train, test = (points[name] for name in ("drawn", "train", "test"))
    found = [[w1(rows, test), w1(rows, train), coverage(test, rows), coverage(train, rows)] for rows in drawn]
    names = "W_test", "W_train", "coverage_test", "coverage_train"
    print(json.dumps(dict(zip(names, np.mean(found, axis=0).tolist(), strict=True))))


if __name__ == "__main__":
    main()
