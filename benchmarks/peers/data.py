"""Writes what every peer is given: the rows to train on, fresh draws to compare with, and W1 between fresh draws."""

import sys

import numpy as np
from common import w1

from pointillist import load_pointset

FRESH = 8


def main() -> None:
    """Writes the file that the argument names."""
    fresh = np.stack([load_pointset("moons", random_state=30_000 + i)[0] for i in range(FRESH)])
    baseline = np.mean([w1(fresh[2 * i], fresh[2 * i + 1]) for i in range(FRESH // 2)])
    np.savez(sys.argv[1], rows=load_pointset("moons")[0], fresh=fresh, baseline=baseline)


if __name__ == "__main__":
    main()
